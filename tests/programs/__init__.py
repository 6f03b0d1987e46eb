"""The corpus of programs: every pass and transform of the system is tested on each of them."""

from . import branches, elementwise, linalg_loops, loops, reductions, stencils, whiles  # noqa: F401
from .registry import (
    PROGRAMS,
    TAGS,
    Program,
    assert_same,
    finite_difference,
    leaves,
    map_leaves,
    project,
    projection_weights,
    random_direction,
    shifted,
)

__all__ = [
    "PROGRAMS",
    "TAGS",
    "Program",
    "assert_same",
    "finite_difference",
    "leaves",
    "map_leaves",
    "project",
    "projection_weights",
    "random_direction",
    "shifted",
]
