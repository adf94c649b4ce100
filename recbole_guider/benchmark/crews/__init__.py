"""What computes the cells of a grid: processes of this machine, or a Ray cluster."""
