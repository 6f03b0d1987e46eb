"""Looking at programs: `iv.show`; and testing derivatives: `iv.check_grads`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from iverson.core import show as printer
from iverson.lang import state
from iverson.opt.pipeline import optimise
from iverson.run.jit import Jit
from iverson.run.transforms import jvp, vjp

STAGES = ("source", "core", "optimised", "loops", "llvm", "asm")


class Text(str):
    """A program's text; a prompt shows it as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def show(f: Callable[..., Any], stage: str = "core") -> Callable[..., Text]:
    """A function of f's arguments that gives the text of the program that f is for them.

    Stages: "source", the Python; "core", as staged (and differentiated); "optimised", after every pass; "loops", the
    loop program of the back end; "llvm", optimised; "asm".  Raises ValueError for another stage.

    >>> print(iv.show(iv.grad(f), stage="optimised")(x))
    """
    if stage not in STAGES:
        raise ValueError(f"stage is one of {', '.join(STAGES)}, not {stage!r}")
    jitted = f if isinstance(f, Jit) else Jit(f)

    def text(*args: Any, **kwargs: Any) -> Text:
        if stage == "source":
            return Text(inspect.getsource(inspect.unwrap(jitted)))
        if stage in ("core", "optimised"):
            function = jitted.staged(args, kwargs).function
            return Text(printer.show(function if stage == "core" else optimise(function)))
        program, leaves = jitted.program(args, kwargs)
        compiled = program.native(leaves).compiled
        return Text({"loops": compiled.loops, "llvm": compiled.optimised, "asm": compiled.assembly}[stage])

    return text


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    *,
    step: float | None = None,
    tolerance: float | None = None,
    seed: int = 0,
) -> None:
    """Test the derivatives of f at `args`: forward mode against central differences, reverse against forward mode.

    Each argument is tested by itself along a random direction v: jvp(v) against (f(x + h v) - f(x - h v)) / 2h, and
    <vjp(w), v> against <w, jvp(v)> for a random cotangent w.  The arguments must be floating-point; `step` and
    `tolerance` are 1e-6 and 1e-5 unless given, with float32 among them 1e-2 and 1e-2.  Raises AssertionError that says
    which argument, by how much.
    """
    args = tuple(args)
    single = any(np.asarray(x).dtype == np.float32 for x in _leaves(args))
    step = step or (1e-2 if single else 1e-6)
    tolerance = tolerance or (1e-2 if single else 1e-5)
    rng = np.random.default_rng(seed)
    for k in range(len(args)):
        tangents = tuple(_random(a, rng, float(k == j)) for j, a in enumerate(args))
        out, forward = jvp(f, args, tangents)
        up, down = (jvp(f, _moved(args, tangents, s * step), tangents)[0] for s in (1, -1))
        difference = _map(lambda p, m: (np.asarray(p) - m) / (2 * step), up, down)
        _compare(forward, difference, tolerance, f"argument {k}: forward mode against central differences")
        cotangent = _random(out, rng, 1.0)
        pulled = vjp(f, *args)[1](cotangent)
        left, right = _inner(pulled, tangents), _inner(cotangent, forward)
        _compare(left, right, 1e-3 if single else 1e-9, f"argument {k}: <vjp w, v> against <w, jvp v>")


def _leaves(tree: Any) -> list[Any]:
    return [x for x in state.flatten(tree)[0] if x is not None]


def _map(f: Callable[..., Any], *trees: Any) -> list[Any]:
    return [f(*xs) for xs in zip(*map(_leaves, trees), strict=True)]


def _random(tree: Any, rng: np.random.Generator, scale: float) -> Any:
    leaves, spec = state.flatten(tree)

    def draw(x: Any) -> Any:
        y = np.asarray(x)
        return (scale * rng.normal(size=y.shape)).astype(y.dtype)[()] if y.dtype.kind == "f" else x

    return state.unflatten(spec, [draw(x) for x in leaves])


def _moved(args: tuple[Any, ...], tangents: tuple[Any, ...], h: float) -> tuple[Any, ...]:
    leaves, spec = state.flatten(args)
    moved = [
        x + h * v if np.asarray(x).dtype.kind == "f" else x for x, v in zip(leaves, _leaves(tangents), strict=True)
    ]
    return state.unflatten(spec, moved)  # type: ignore[no-any-return]


def _inner(x: Any, y: Any) -> float:
    return float(sum(np.vdot(a, b) for a, b in zip(_leaves(x), _leaves(y), strict=True)))


def _compare(x: Any, y: Any, tolerance: float, what: str) -> None:
    for k, (a, b) in enumerate(zip(_leaves(x), _leaves(y), strict=True)):
        a, b = np.asarray(a), np.asarray(b)
        scale = max(1.0, float(np.max(np.abs(b), initial=0.0)))
        error = float(np.max(np.abs(a - b), initial=0.0)) / scale
        if not error <= tolerance:
            worst = np.unravel_index(np.argmax(np.abs(a - b)), a.shape) if a.shape else ()
            raise AssertionError(
                f"{what}: leaf {k} differs by {error:.2e} (relative), most at {tuple(map(int, worst))}: "
                f"{a[worst]} and {b[worst]}"
            )
