"""Core programs written by hand, one for every construct and every way an array can travel through it."""

from tests.backend.constructs import parallel, accumulation, loops, branches, types  # isort: skip  # in this order
from tests.backend.constructs.cases import CASES, Case

__all__ = ["CASES", "Case", "accumulation", "branches", "loops", "parallel", "types"]
