"""A data set's folder of atomic files: where they lie, how they are read, what is wrong in them."""
