"""Methods: RecBole trainers that decide what happens to any backbone's ranking term."""
