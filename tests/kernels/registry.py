"""Where the kernels are listed: the corpus's Program record, in a list of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.programs.registry import Program

KERNELS: list[Program] = []


def kernel(
    args: Callable[[int, np.random.Generator], tuple[Any, ...]], *, large: int = 1000, **fields: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Record a function as a kernel, run at sizes 0, 1, 2, 5 and `large`; the fields are those of Program."""

    def record(function: Callable[..., Any]) -> Callable[..., Any]:
        KERNELS.append(Program(function, args, sizes=(0, 1, 2, 5, large), large=large, **fields))
        return function

    return record
