"""How a program is built for each peer, from the source that it has for it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

import numpy as np

import iverson as iv
from benchmarks.suite.registry import Args, Program

Wrt = int | tuple[int, ...]
Function = Callable[..., Any]


def ours(function: Function, wrt: Wrt = 0) -> Program:
    return Program(iv.jit(function), iv.value_and_grad(function, argnums=wrt))


def interpreted(function: Function) -> Program:
    """By NumPy and Python, as it stands."""
    return Program(function)


def numba(function: Function, adjoint: Function | None = None, helpers: Sequence[Function] = ()) -> Program:
    """Loops, and an adjoint by hand that gives the value too; `helpers` are functions that these call."""
    import numba

    scope = {h.__name__: numba.njit(fastmath=True)(h) for h in helpers}

    def compiled(f: Function) -> Function:
        if hasattr(f, "py_func"):
            return f
        bound = FunctionType(f.__code__, {**f.__globals__, **scope}, f.__name__)  # type: ignore[attr-defined]
        return numba.njit(fastmath=True)(bound)  # type: ignore[no-any-return]

    return Program(compiled(function), None if adjoint is None else compiled(adjoint))


def with_module(function: Function, module: Any) -> Function:
    """The same source, where `np` is another module of array functions."""
    scope = {**function.__globals__, "np": module}  # type: ignore[attr-defined]
    return FunctionType(function.__code__, scope, closure=function.__closure__)  # type: ignore[attr-defined]


def without(static: tuple[int, ...]) -> Callable[[Args], Args]:
    return lambda args: tuple(a for k, a in enumerate(args) if k not in static)


# --- JAX and Enzyme ---------------------------------------------------------------------------------------------------


def jax(function: Callable[[], Function], wrt: Wrt = 0, static: tuple[int, ...] = ()) -> Program:
    """`function` gives the program, when JAX may be imported; static arguments are compile-time numbers."""
    import jax

    jax.config.update("jax_enable_x64", True)
    program = function()
    value = jax.jit(program, static_argnums=static)
    gradient = jax.jit(jax.value_and_grad(program, argnums=wrt), static_argnums=static)
    return jax_program(value, gradient)


def jax_program(value: Function | None, gradient: Function) -> Program:
    """Of functions that are compiled by `jax.jit`."""
    import jax

    def temporaries(args: Args) -> float:
        return float(gradient.lower(*args).compile().memory_analysis().temp_size_in_bytes)  # type: ignore[attr-defined]

    def prepare(args: Args) -> Args:
        return tuple(
            jax.tree.map(lambda a: jax.numpy.asarray(a) if isinstance(a, np.ndarray) else a, arg) for arg in args
        )

    return Program(value, gradient, prepare, jax.block_until_ready, temporaries)


def enzyme(function: Callable[[], Function], wrt: Wrt = 0, static: tuple[int, ...] = ()) -> Program:
    """The JAX program through Enzyme: its custom derivative replaces JAX's. Static arguments are bound at each size."""
    import jax
    from enzyme_ad.jax import enzyme_jax_ir

    jax.config.update("jax_enable_x64", True)
    program = function()
    moved = tuple(k - sum(s < k for s in static) for k in ((wrt,) if isinstance(wrt, int) else wrt))

    @functools.cache
    def compiled(constants: tuple[Any, ...]) -> tuple[Function, Function]:
        def bound(*rest: Any) -> Any:
            given = list(rest)
            for k, c in zip(static, constants, strict=True):
                given.insert(k, c)
            return program(*given)

        by_enzyme = enzyme_jax_ir()(bound)
        argnums = moved[0] if isinstance(wrt, int) else moved
        return jax.jit(by_enzyme), jax.jit(jax.value_and_grad(by_enzyme, argnums=argnums))

    def call(which: int) -> Function:
        return lambda *args: compiled(tuple(args[k] for k in static))[which](*without(static)(args))

    def prepare(args: Args) -> Args:
        given = [jax.tree.map(lambda a: a if k in static else jax.numpy.asarray(a), x) for k, x in enumerate(args)]  # noqa: B023
        return tuple(given)

    return Program(call(0), call(1), prepare, jax.block_until_ready)


# --- libraries of arrays ----------------------------------------------------------------------------------------------


def torch(function: Callable[[], Function], wrt: Wrt = 0) -> Program:
    import torch

    torch.set_num_threads(1)
    program = function()
    wanted = (wrt,) if isinstance(wrt, int) else wrt

    def prepare(args: Args) -> Args:
        given = [torch.from_numpy(a.copy()) if isinstance(a, np.ndarray) else a for a in args]
        for k in wanted:
            given[k].requires_grad_()
        return tuple(given)

    def value(*args: Any) -> Any:
        with torch.no_grad():
            return program(*args)

    def gradient(*args: Any) -> Any:
        result = program(*args)
        return result, torch.autograd.grad(result, [args[k] for k in wanted])

    return Program(value, gradient, prepare)


def autograd(function: Function, wrt: Wrt = 0) -> Program:
    """The NumPy source with autograd's NumPy for `np`."""
    import autograd
    import autograd.numpy

    return Program(None, autograd.value_and_grad(with_module(function, autograd.numpy), wrt))


def casadi(build: Callable[[Any, Args], tuple[Any, Sequence[Any]]], inputs: Callable[[Args], Sequence[Any]]) -> Program:
    """`build(casadi, arguments)` gives an expression of symbols for the size of the arguments, and the symbols."""
    import casadi

    made: dict[tuple[Any, ...], tuple[Any, Any]] = {}

    def compiled(args: Args) -> tuple[Any, Any]:
        key = tuple(np.shape(x) for x in inputs(args))
        if key not in made:
            expression, symbols = build(casadi, args)
            made[key] = (
                casadi.Function("value", symbols, [expression]),
                casadi.Function("gradient", symbols, [expression, *(casadi.gradient(expression, s) for s in symbols)]),
            )
        return made[key]

    def call(which: int) -> Function:
        def run(*args: Any) -> Any:
            found = compiled(args)[which](*inputs(args))
            return found if isinstance(found, tuple) else (found,)

        return run

    return Program(call(0), call(1))
