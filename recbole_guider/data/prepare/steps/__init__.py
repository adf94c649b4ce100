"""From what a source was read into to a data set's folder: filters, split, texts, writing."""
