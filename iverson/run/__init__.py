"""Ties the layers: compilation cache, calling convention, arrays in and out, transforms."""
