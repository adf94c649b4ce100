"""Two folders of records, compared cell by cell."""
