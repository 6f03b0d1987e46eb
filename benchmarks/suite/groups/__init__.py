"""The groups of workloads: each adapts programs that stand elsewhere in benchmarks/."""
