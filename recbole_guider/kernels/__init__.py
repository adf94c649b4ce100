"""Numerical kernels in plain torch: no RecBole, no files."""
