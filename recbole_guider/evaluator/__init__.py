"""Per-user ranking metrics over all items."""
