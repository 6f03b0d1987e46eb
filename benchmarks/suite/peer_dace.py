"""The peer that compiles NumPy programs ahead: DaCe, with the backward pass that it adds."""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.suite.native import BUILT
from benchmarks.suite.registry import Args, Program

FLAGS = "-O3 -march=native -ffast-math -fPIC -std=c++17 -w"


def rebindings_made_copies(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, where an argument whose name is bound anew is copied first: DaCe would write the argument."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    (definition,) = tree.body
    assert isinstance(definition, ast.FunctionDef)
    definition.decorator_list = []
    bound = {n.id for n in ast.walk(definition) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    for argument in definition.args.args:
        if argument.arg in bound:
            copied = ast.parse(f"{argument.arg} = np.copy({argument.arg}_given)").body
            argument.arg += "_given"
            definition.body[:0] = copied
    source = ast.unparse(ast.fix_missing_locations(tree))
    name = f"<{function.__name__} for DaCe>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    scope: dict[str, Any] = {**function.__globals__, "np": np}  # type: ignore[attr-defined]
    exec(compile(source, name, "exec"), scope)
    return scope[function.__name__]  # type: ignore[no-any-return]


def _typed(dace: Any, a: Any) -> Any:
    if isinstance(a, np.ndarray):
        kind = getattr(dace, a.dtype.name)
        return kind[a.shape] if a.ndim else kind
    return dace.int64 if isinstance(a, int) else dace.float64


def program(function: Callable[..., Any], wrt: int = 0) -> Program:
    """The NumPy source as a DaCe program with the types of the arguments; compiled for each size."""
    import dace
    from dace.autodiff import add_backward_pass

    dace.Config.set("compiler", "cpu", "args", value=FLAGS)
    dace.Config.set("default_build_folder", value=str(BUILT / "dace"))
    plain = rebindings_made_copies(function)
    names = list(inspect.signature(plain).parameters)
    types: dict[tuple[Any, ...], Args] = {}

    def graph(key: tuple[Any, ...]) -> Any:
        plain.__annotations__ = {n: _typed(dace, a) for n, a in zip(names, types[key], strict=True)}
        return dace.program(plain).to_sdfg(simplify=True)

    @functools.cache
    def value(key: tuple[Any, ...]) -> Callable[..., Any]:
        run = graph(key).compile()
        return lambda *args: run(**dict(zip(names, args, strict=True)))

    @functools.cache
    def gradient(key: tuple[Any, ...]) -> Callable[..., Any]:
        both = graph(key)
        both.name += "_gradient"
        (out,) = [n for n in both.arrays if n.startswith("__return")]
        add_backward_pass(sdfg=both, outputs=[out], inputs=[names[wrt]])
        run = both.compile()
        slope, one = np.zeros_like(types[key][wrt]), np.ones(1)
        seeds = {f"gradient_{names[wrt]}": slope, f"gradient_{out}": one}

        def call(*args: Any) -> Any:
            slope[...] = 0.0
            one[...] = 1.0
            return run(**dict(zip(names, args, strict=True)), **seeds), slope

        return call

    def keyed(made: Callable[[tuple[Any, ...]], Callable[..., Any]]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            key = tuple(np.shape(a) for a in args)
            types[key] = args
            return made(key)(*args)

        return call

    def prepare(args: Args) -> Args:
        return tuple(a.copy() if isinstance(a, np.ndarray) else a for a in args)

    return Program(keyed(value), keyed(gradient), prepare=prepare)
