"""`iv.check_grads`: are the derivatives of a function right, and if not, where are they wrong?

Along random directions forward mode must agree with central differences, and reverse mode with forward mode.  Where
one doesn't, halving the direction finds one element of the argument in which it doesn't.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optree

from iverson.lang import state
from iverson.run.foreign import copies
from iverson.run.transforms import jvp, vjp

Tree = Any


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    *,
    order: int = 1,
    modes: Sequence[str] = ("fwd", "rev"),
    step: float | None = None,
    tolerance: float | None = None,
    seed: int = 0,
) -> None:
    """Test the derivatives of f at `args`: forward mode against central differences, reverse against forward mode.

    Each argument is tested by itself along a random direction v: jvp(v) against (f(x + h v) - f(x - h v)) / 2h, and
    <vjp(w), v> against <w, jvp(v)> for a random cotangent w.  `modes` may leave one out; with "rev" alone reverse mode
    is held against central differences.  With `order=2` the derivatives of the derivative are tested, too, and so on.
    The arguments must be floating-point or complex; `step` and `tolerance` are 1e-6 and 1e-5 unless given, with single
    precision among them 1e-2 and 1e-2.

    Raises AssertionError that says in which mode, for which element of which leaf of which argument, what the
    derivative of which result is, what it should be, and where f returned: the worst of them.
    """
    args = tuple(args)
    unknown = [m for m in modes if m not in ("fwd", "rev")]
    if unknown or not modes:
        raise ValueError(f"modes are 'fwd' and 'rev', not {unknown[0]!r}" if unknown else "no mode to be tested")
    single = any(np.asarray(x).dtype in (np.float32, np.complex64) for x in _leaves(args))
    step = step or (1e-2 if single else 1e-6)
    tolerance = tolerance or (1e-2 if single else 1e-5)
    rng = np.random.default_rng(seed)
    for k in range(len(args)):
        at = _At(f, args, k, step)
        v = _random(args[k], rng)
        if "fwd" in modes:
            at.compare(v, at.forward, at.differences, tolerance, "forward mode against central differences")
        if "rev" in modes:
            at.w = _random(f(*copies(args)) if "fwd" not in modes else jvp(f, args, at.tangents(v))[0], rng)
            pulled = vjp(f, *args)[1](at.w)[k]
            reverse = lambda v, pulled=pulled: [np.asarray(_inner(pulled, v))]  # noqa: E731
            if "fwd" in modes:
                tight = 1e-3 if single else 1e-9
                at.compare(v, reverse, at.weighed(at.forward), tight, "reverse mode against forward mode")
            else:
                at.compare(
                    v, reverse, at.weighed(at.differences), tolerance, "reverse mode against central differences"
                )
    if order > 1:
        directions = tuple(_random(a, rng) for a in args)
        name = getattr(f, "__name__", "f")

        def derivative(*xs: Any) -> Any:
            if "fwd" in modes:
                return jvp(f, xs, directions)[1]
            out, pullback = vjp(f, *xs)
            return pullback(out)

        derivative.__name__ = f"the derivative of {name}"
        check_grads(
            derivative, args, order=order - 1, modes=modes, step=step, tolerance=tolerance, seed=seed + 1
        )  # fmt: skip


@dataclass
class _At:
    """f in its argument k."""

    f: Callable[..., Any]
    args: tuple[Any, ...]
    k: int
    step: float
    w: Tree = None

    def tangents(self, v: Tree) -> tuple[Any, ...]:
        return tuple(v if j == self.k else _zeros(a) for j, a in enumerate(self.args))

    def forward(self, v: Tree) -> list[Any]:
        return _leaves(jvp(self.f, self.args, self.tangents(v))[1])

    def differences(self, v: Tree) -> list[Any]:
        up, down = (_leaves(self.f(*self._moved(v, h))) for h in (self.step, -self.step))
        return [
            (np.asarray(p) - m) / (2 * self.step)
            for p, m in zip(up, down, strict=True)
            if np.asarray(p).dtype.kind in "fc"
        ]

    def weighed(self, derivative: Callable[[Tree], list[Any]]) -> Callable[[Tree], list[Any]]:
        """<w, derivative(v)>"""
        weights = [w for w in _leaves(self.w) if np.asarray(w).dtype.kind in "fc"]
        return lambda v: [np.asarray(_inner(weights, derivative(v)))]

    def _moved(self, v: Tree, h: float) -> tuple[Any, ...]:
        moved = list(copies(self.args))
        leaves, spec = state.flatten(self.args[self.k])
        shifted = [_like(x + h * d, x) for x, d in zip(leaves, _leaves(v), strict=True)]
        moved[self.k] = state.unflatten(spec, shifted)
        return tuple(moved)

    def compare(
        self, v: Tree, got: Callable[[Tree], list[Any]], want: Callable[[Tree], list[Any]], tolerance: float, what: str
    ) -> None:
        error, _, _ = _worst(got(v), want(v))
        if error <= tolerance:
            return
        single = self._single(v, lambda u: _worst(got(u), want(u))[0])
        _, place, (x, y) = _worst(got(single), want(single))
        where, index, scale = self._place(single)
        result = "" if what.startswith("reverse") else f" of {place}"
        raise AssertionError(
            f"argument {self.k}: {what}: they differ by {error:.2e} (relative) along a random direction.\n"
            f"  in {where}{_shown(index)} the derivative{result} is {x / scale:.8g} and should be {y / scale:.8g}"
        )

    def _single(self, v: Tree, error: Callable[[Tree], float]) -> Tree:
        """One element of a direction along which the error is large: that half again and again."""
        leaves, spec = state.flatten(v)
        sizes = [np.size(x) * (2 if np.iscomplexobj(x) else 1) for x in leaves]
        low, high = 0, sum(sizes)
        while high - low > 1:
            middle = (low + high) // 2
            halves = [(low, middle), (middle, high)]
            errors = [error(state.unflatten(spec, _only(leaves, sizes, *half))) for half in halves]
            low, high = halves[int(not errors[0] >= errors[1])]
        return state.unflatten(spec, _only(leaves, sizes, low, high))

    def _place(self, v: Tree) -> tuple[str, tuple[int, ...], Any]:
        """The leaf and index of the one element of a direction, and its value."""
        paths = optree.tree_accessors(v, none_is_leaf=True, namespace=state.NAMESPACE)
        for path, x in zip(paths, _leaves(v), strict=True):
            at = np.flatnonzero(x)
            if len(at):
                index = tuple(map(int, np.unravel_index(at[0], np.shape(x))))
                value = np.asarray(x)[index]
                return path.codify(f"argument {self.k}"), index, value.real or value.imag
        return f"argument {self.k}", (), 1.0


def _worst(got: list[Any], want: list[Any]) -> tuple[float, str, tuple[Any, Any]]:
    """The largest error, relative to the size of the leaf; where it is, and the two values."""
    found: tuple[float, str, tuple[Any, Any]] = (0.0, "the result", (0.0, 0.0))
    for k, (a, b) in enumerate(zip(map(np.asarray, got), map(np.asarray, want), strict=True)):
        apart = np.abs(a - b)
        scale = max(1.0, float(np.max(np.abs(b), initial=0.0)))
        error = float(np.max(apart, initial=0.0)) / scale
        if not error <= found[0]:
            index = tuple(map(int, np.unravel_index(np.argmax(apart), a.shape))) if a.shape else ()
            leaf = f"result{f' leaf {k}' if len(got) > 1 else ''}{_shown(index)}"
            found = np.inf if np.isnan(error) else error, leaf, (a[index], b[index])
    return found


def _shown(index: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, index))}]" if index else ""


def _only(leaves: Sequence[Any], sizes: Sequence[int], low: int, high: int) -> list[Any]:
    """The elements numbered low to high - 1 of all of the leaves (parts of complex ones by themselves), else zeros."""
    out, start = [], 0
    for x, n in zip(leaves, sizes, strict=True):
        flat = np.ravel(x).copy()
        parts = flat.view(flat.real.dtype)
        keep = np.arange(start, start + n)
        parts[(keep < low) | (keep >= high)] = 0
        out.append(_like(flat.reshape(np.shape(x)), x))
        start += n
    return out


def _leaves(tree: Tree) -> list[Any]:
    return [x for x in state.flatten(tree)[0] if x is not None]


def _like(y: Any, x: Any) -> Any:
    """An array or NumPy scalar of the dtype of x."""
    return np.asarray(y).astype(np.asarray(x).dtype)[()]


def _zeros(tree: Tree) -> Tree:
    leaves, spec = state.flatten(tree)
    return state.unflatten(spec, [_like(np.zeros(np.shape(x)), x) for x in leaves])


def _random(tree: Tree, rng: np.random.Generator) -> Tree:
    leaves, spec = state.flatten(tree)

    def draw(x: Any) -> Any:
        kind = np.asarray(x).dtype.kind
        if x is None or kind not in "fc":
            return x
        y = rng.normal(size=np.shape(x))
        return _like(y + 1j * rng.normal(size=np.shape(x)) if kind == "c" else y, x)

    return state.unflatten(spec, [draw(x) for x in leaves])


def _inner(x: Tree, y: Tree) -> float:
    """Re sum x y: how cotangents and tangents pair."""
    pairs = zip(_leaves(x), _leaves(y), strict=True)
    return float(sum(np.sum(np.asarray(a) * np.asarray(b)).real for a, b in pairs))
