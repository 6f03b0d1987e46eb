"""Programs by which array languages with differentiation are measured, that GradBench doesn't have."""
