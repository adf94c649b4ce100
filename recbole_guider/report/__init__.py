"""What a set of finished cells says: statistics, comparisons and tables, from the store alone."""
