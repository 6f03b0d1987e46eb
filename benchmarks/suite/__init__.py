"""Every workload beside every peer that is installed: `python -m benchmarks.suite`, and the page that it writes."""
