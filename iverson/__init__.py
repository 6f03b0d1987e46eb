"""Iverson: gradients for the Python you already write."""
