"""Run a function as a staged program on the core's evaluator, to be compared with the function itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from iverson.core.evaluate import evaluate
from iverson.lang import state
from iverson.lang.stage import ParamSpec, Staged, stage_for


def staged(f: Callable[..., Any], *args: Any, static_shapes: bool = False) -> Staged:
    """f staged for these arguments: lengths above 4 are symbols, unless `static_shapes`."""
    return stage_for(f, args, static_shapes)


def parameter(program: Staged, p: ParamSpec, leaves: list[Any]) -> Any:
    """The value of a parameter of the core function."""
    x = program.captured[p.leaf] if p.kind == "captured" else leaves[p.leaf]
    if p.kind == "extent":
        return x.shape[p.axis]
    if np.iscomplexobj(x):
        parts = np.stack([np.real(x), np.imag(x)], axis=-1)
        return parts if np.ndim(x) else parts[1 if p.part else 0]
    return np.asarray(x)[()] if p.kind == "scalar" else np.asarray(x)


def run(f: Callable[..., Any], *args: Any, static_shapes: bool = False) -> Any:
    """f(*args) by the evaluator: a pytree of NumPy arrays and scalars."""
    program = staged(f, *args, static_shapes=static_shapes)
    leaves = state.flatten((args, {}))[0]
    values = evaluate(program.function, [parameter(program, p, leaves) for p in program.params]).values
    return program.rebuild(values)
