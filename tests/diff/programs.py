"""Core programs that differentiate every construct."""

from tests.diff import loop_programs, parallel_programs, swap_programs, undo_programs
from tests.diff.cases import CASES, Case, normal

__all__ = ["CASES", "Case", "loop_programs", "normal", "parallel_programs", "swap_programs", "undo_programs"]
