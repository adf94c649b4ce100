"""What chooses hyper-parameters: the spaces of a search, its trials, and their verdict."""
