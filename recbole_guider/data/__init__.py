"""Data sets: splits, modalities, negative sampling and the preparation of source files."""
