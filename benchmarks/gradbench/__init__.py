"""GradBench: the evaluations of the field's benchmark of differentiation tools, one file each, and its protocol."""
