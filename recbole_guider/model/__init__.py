"""Backbones: RecBole models that turn users, items and modalities into representations."""
