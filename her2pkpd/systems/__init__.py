"""Whole models, assembled from mechanisms and the library."""
