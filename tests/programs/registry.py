"""The corpus: plain Python programs that mean what Python says they mean.

`@program(...)` records a function and returns it unchanged, so every program stays an importable, undecorated
function; `tests.programs.PROGRAMS` lists them all. A program's oracle is the function itself. The helpers
below are what the tests of every pass share: comparable leaves of an outcome, a random projection of it to
one number, and finite differences of that number.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

TAGS = {
    # what a user writes: the rows of the language's table
    "comprehension": "[e for i in range(n)], nested, np.array([...])",
    "reduction": "sum, min, max, any, all, math.prod of a generator",
    "clause": "an `if` clause of a comprehension or a reduction",
    "loop": "for over a range",
    "iterate": "for over an array, enumerate or zip of arrays",
    "while": "while; reverse mode through a run-time number of turns",
    "exit": "break, continue, early return",
    "branch": "if/elif/else, conditional expressions, and/or/not, chained comparison",
    "index": "element reads, negative and computed indices",
    "slice": "slices, steps, views, newaxis, reshape, transposition",
    "gather": "integer-array reads",
    "mask": "boolean masks",
    "update": "item, slice and augmented assignment",
    "scatter": "np.add.at, writes at computed or repeated indices",
    "numpy": "ufuncs, reductions, creation and manipulation by NumPy's names",
    "math": "the math module",
    "linalg": "np.linalg",
    "call": "calls of other functions, nested functions, closures, lambdas, recursion, methods",
    "unroll": "iteration over ordinary Python containers, static indices",
    "pytree": "tuples, lists, dicts, dataclasses, named tuples in and out",
    "mutation": "the caller's array is written",
    "alias": "several names, views or swaps of arrays",
    "size": "arithmetic of sizes, run-time bounds",
    "dtype": "integers, bools, float32, promotion, wrap-around",
    "complex": "complex numbers",
    "nan": "NaN and infinity, the branch not taken",
    "error": "asserts and exceptions",
    "functional": "iv.cond, iv.fori_loop, iv.while_loop, iv.segment_sum",
    "monoid": "iv.reduce, iv.scan, iv.histogram with an operator of the user",
    # what reverse mode must do: the rows of the derivative table
    "prim": "scalar primitives",
    "map": "For yielding Map",
    "sum": "Reduce add",
    "minmax": "Reduce or Scan min, max: the first winner",
    "product": "Reduce mul with 0, 1, 2 zeros",
    "scan": "Scan add, mul, min, max",
    "accumulate": "Accumulate add",
    "set": "Accumulate set",
    "recurrence": "Loop carrying scalars or whole arrays",
    "inplace": "Loop over an array updated in place",
    "contraction": "Reduce of products: gemm, gemv, dot and their kin",
    "library": "library operations",
}


@dataclasses.dataclass(frozen=True, eq=False)
class Program:
    """One program of the corpus.

    make(n, rng)  fresh arguments of size n
    wrt           argument numbers (arrays, floats or pytrees of them) that have a derivative
    sizes         the sizes at which the program is defined
    smooth        the derivative in `wrt` exists in a neighbourhood of the arguments: finite differences hold
    analytic      the complex step holds too, given comparisons, floor and abs by the real part
    mutates       argument numbers whose final contents are part of the outcome
    raises        size -> the exception that the program raises there
    tolerance     relative; larger for float32
    needs         names of the public surface that the plain function itself calls
    large         a size at which running time means something, and plain Python takes well under a minute
    """

    function: Callable[..., Any]
    make: Callable[[int, np.random.Generator], tuple[Any, ...]]
    wrt: tuple[int, ...] = ()
    sizes: tuple[int, ...] = (0, 1, 2, 5)
    smooth: bool = True
    analytic: bool = True
    mutates: tuple[int, ...] = ()
    raises: Mapping[int, type[BaseException]] = dataclasses.field(default_factory=dict)
    tags: frozenset[str] = frozenset()
    tolerance: float = 1e-9
    needs: tuple[str, ...] = ()
    large: int = 1000

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def differentiable(self) -> bool:
        return self.smooth and bool(self.wrt)

    def arguments(self, n: int) -> tuple[Any, ...]:
        """Fresh arguments of size n, the same numbers on every call, in the layout the program asks for."""
        return self.make(n, np.random.default_rng([zlib.crc32(self.name.encode()), n]))

    def outcome(self, args: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        """The plain function on contiguous copies of `args`: its result, and the final contents of what it mutates."""
        args = copied(args)
        result = self.function(*args)
        return result, tuple(args[k] for k in self.mutates)

    def projected(self, args: tuple[Any, ...], seed: int = 0) -> float:
        """A fixed random projection of the outcome: the scalar function whose gradients tests compare."""
        return project(self.outcome(args), seed)


PROGRAMS: list[Program] = []


def program(
    args: Callable[[int, np.random.Generator], tuple[Any, ...]], *, tags: str, **fields: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Record a function as a program of the corpus; `tags` is a space-separated choice of TAGS."""

    def record(function: Callable[..., Any]) -> Callable[..., Any]:
        PROGRAMS.append(Program(function, args, tags=frozenset(tags.split()), **fields))
        return function

    return record


def map_leaves(f: Callable[[Any], Any], tree: Any) -> Any:
    """Apply f to the arrays and scalars of a pytree."""
    if isinstance(tree, dict):
        return {key: map_leaves(f, tree[key]) for key in tree}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(map_leaves(f, x) for x in tree))
    if isinstance(tree, (list, tuple)):
        return type(tree)(map_leaves(f, x) for x in tree)
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        values = {x.name: map_leaves(f, getattr(tree, x.name)) for x in dataclasses.fields(tree)}
        return dataclasses.replace(tree, **values)
    return f(tree)


def copied(tree: Any) -> Any:
    return map_leaves(lambda x: x.copy() if isinstance(x, np.ndarray) else x, tree)


def is_float(x: Any) -> bool:
    """A leaf that carries a derivative: a float or complex scalar or array."""
    return np.asarray(x).dtype.kind in "fc"


def leaves(tree: Any) -> list[np.ndarray]:
    """The leaves of an outcome as arrays, in order.

    A list of numbers, and a list of such lists of one shape, is one array: that is what a comprehension is in
    plain Python. None has no leaves.
    """
    if tree is None:
        return []
    if isinstance(tree, dict):
        return [leaf for key in sorted(tree) for leaf in leaves(tree[key])]
    if isinstance(tree, list):
        parts = [leaves(x) for x in tree]
        if all(len(part) == 1 for part in parts) and len({part[0].shape for part in parts}) <= 1:
            return [np.array([part[0] for part in parts])]
        return [leaf for part in parts for leaf in part]
    if isinstance(tree, tuple):
        return [leaf for x in tree for leaf in leaves(x)]
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        return [leaf for x in dataclasses.fields(tree) for leaf in leaves(getattr(tree, x.name))]
    return [np.asarray(tree)]


def assert_same(got: Any, expected: Any, tolerance: float = 1e-9) -> None:
    """Equal outcomes: shapes, kinds of dtype, NaNs and infinities exactly; finite floats up to `tolerance`.

    What plain Python doesn't know is forgiven: the width of an empty comprehension of rows, and that an empty
    sum or product of floats (the integer 0 or 1) is a float.
    """
    ours, theirs = leaves(got), leaves(expected)
    assert len(ours) == len(theirs), f"{len(ours)} leaves for {len(theirs)}"
    for k, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if a.size == b.size == 0:
            continue
        assert a.shape == b.shape, f"leaf {k}: shape {a.shape} for {b.shape}"
        neutral = a.dtype.kind == "f" and b.dtype.kind == "i" and bool(np.all((b == 0) | (b == 1)))
        assert a.dtype.kind == b.dtype.kind or neutral, f"leaf {k}: {a.dtype} for {b.dtype}"
        if b.dtype.kind in "fc":
            finite = b[np.isfinite(b)]
            scale = np.max(np.abs(finite)) if finite.size else 0.0
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale, err_msg=f"leaf {k}")
        else:
            np.testing.assert_array_equal(a, b, err_msg=f"leaf {k}")


def project(tree: Any, seed: int = 0) -> float:
    """A random linear functional of all float leaves: their sum weighted by `projection_weights`."""
    total = 0.0
    for k, leaf in enumerate(leaves(tree)):
        if is_float(leaf):
            total += float(np.sum(projection_weights(leaf, k, seed) * leaf).real)
    return total


def projection_weights(leaf: np.ndarray, k: int, seed: int = 0) -> np.ndarray:
    """The weights `project` gives to leaf k: the cotangent of the outcome. Zero for integers and bools.

    For a complex leaf, Re(w·z): the real part weighs Re w and the imaginary part -Im w.
    """
    rng = np.random.default_rng([seed, k])
    weights = rng.uniform(0.5, 1.5, size=leaf.shape) * rng.choice([-1.0, 1.0], size=leaf.shape)
    if leaf.dtype.kind == "c":
        weights = weights + 1j * rng.uniform(0.5, 1.5, size=leaf.shape)
    return weights if is_float(leaf) else np.zeros(leaf.shape)


def random_direction(args: tuple[Any, ...], wrt: tuple[int, ...], seed: int = 0) -> tuple[Any, ...]:
    """A random tangent for the arguments `wrt`: float leaves of order one, zeros for other leaves."""
    rng = np.random.default_rng([seed, 1])
    return tuple(
        map_leaves(lambda x: rng.normal(size=np.shape(x)) if is_float(x) else np.zeros(np.shape(x)), args[k])
        for k in wrt
    )


def shifted(args: tuple[Any, ...], wrt: tuple[int, ...], direction: tuple[Any, ...], h: float) -> tuple[Any, ...]:
    """The arguments moved by h along `direction`; float32 becomes float64, so that the step is exact."""
    moved = list(copied(args))
    for k, tangent in zip(wrt, direction, strict=True):
        steps = iter(raw_leaves(tangent))

        def move(x: Any, steps: Any = steps) -> Any:
            step = next(steps)
            if not is_float(x):
                return x
            y = np.asarray(x).astype(np.result_type(x, np.float64)) + h * step
            return y if isinstance(x, np.ndarray) else y.item()

        moved[k] = map_leaves(move, moved[k])
    return tuple(moved)


def raw_leaves(tree: Any) -> list[Any]:
    """The leaves in the order of map_leaves, one per array or scalar."""
    found: list[Any] = []
    map_leaves(found.append, tree)
    return found


def finite_difference(
    f: Callable[..., float],
    args: tuple[Any, ...],
    wrt: tuple[int, ...],
    direction: tuple[Any, ...],
    h: float = 1e-5,
) -> float:
    """The central difference of the scalar function f(*args) along `direction` in the arguments `wrt`."""
    return (f(*shifted(args, wrt, direction, h)) - f(*shifted(args, wrt, direction, -h))) / (2 * h)
