"""Iverson beside its peers: `make bench`, or `python -m benchmarks` in an environment that has them."""
