"""From a grid to finished cells: what to run, where results are kept, and the processes."""
