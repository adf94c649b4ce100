"""Vectors of texts and images, from models that are on this machine."""
