"""Kernels as their callers see them: errors and their sites, failing memory, strides, donated arrays, order of sums."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from iverson import backend
from iverson.backend.abi import Layout
from iverson.core.build import Builder
from iverson.core.evaluate import evaluate
from iverson.core.syntax import F64, I64, Array, Function, Scalar, Site, Var
from tests.backend import native
from tests.backend.constructs import CASES

Make = Callable[[Builder, Var, Var, Var], Any]


def program(make: Make, **options: Any) -> Function:
    """A function of n, k and the vector x of length n; its statements are at line 7."""
    b = Builder()
    b.site = Site("user.py", 7)
    n, k = Var(Scalar(I64), "n"), Var(Scalar(I64), "k")
    x = Var(Array(F64, (n,)), "x")
    outs = make(b, n, k, x)
    donated = [x] if options.get("donated") else []
    return b.function([n, k, x], outs, donated=donated)


def set_many(b: Builder, n: Var, k: Var, x: Var) -> Any:
    return b.accumulate([("add", [b.zeros([n], F64)])], lambda acc: b.for_(n, lambda i: put(b, acc, i, k, x), []))


def put(b: Builder, acc: Var, i: Var, k: Var, x: Var) -> tuple[()]:
    b.contribute(acc, [b.o.add(i, k)], b.read(x, i))
    return ()


def add_squares(b: Builder, n: Var, k: Var, x: Var) -> Any:
    """y[i * i] += x[i], k times: an index that is not affine."""

    def turn(acc: Var, i: Var) -> tuple[()]:
        b.contribute(acc, [b.o.mul(i, i)], b.read(x, i))
        return ()

    return b.accumulate([("add", [b.zeros([n], F64)])], lambda acc: b.for_(k, lambda i: turn(acc, i), []))


def temporaries_then_error(b: Builder, n: Var, k: Var, x: Var) -> Any:
    y = b.map(n, lambda i: b.o.exp(b.read(x, i)))

    def turn(i: Var, z: Var) -> Any:
        w = b.map(n, lambda j: b.o.mul(b.read(z, j), b.read(y, i)))
        b.check(b.o.lt(i, k), "turn {0} of {1}", i, k)
        return w

    return b.loop(n, [y], turn)


FAILURES: dict[str, tuple[Make, int, type[Exception], str]] = {
    "read": (lambda b, n, k, x: b.read(x, k), 5, IndexError, "index 5 is out of bounds for axis 0 with size 5"),
    "negative": (lambda b, n, k, x: b.read(x, k), -1, IndexError, "index -6 is out of bounds for axis 0 with size 5"),
    "affine": (
        lambda b, n, k, x: b.map(n, lambda i: b.read(x, b.o.add(i, k))),
        2,
        IndexError,
        "index 5 is out of bounds for axis 0 with size 5",
    ),
    "gather": (
        lambda b, n, k, x: b.reduce("add", n, lambda i: b.read(x, b.o.int64(b.o.mul(b.read(x, i), b.o.float64(k))))),
        3,
        IndexError,
        "index 6 is out of bounds for axis 0 with size 5",
    ),
    "contribute": (set_many, 1, IndexError, "index 5 is out of bounds for axis 0 with size 5"),
    "contribute to squares": (add_squares, 4, IndexError, "index 9 is out of bounds for axis 0 with size 5"),
    "divide": (
        lambda b, n, k, x: b.map(n, lambda i: b.o.floordiv(i, b.o.sub(i, k))),
        3,
        ZeroDivisionError,
        "integer division or modulo by zero",
    ),
    "check": (temporaries_then_error, 3, ValueError, "turn 3 of 3"),
}


@pytest.mark.parametrize("level", [0, 3])
@pytest.mark.parametrize("name", FAILURES)
def test_failure(name: str, level: int) -> None:
    make, k, kind, message = FAILURES[name]
    function = program(make)
    kernel = native.Native(function, level)
    args = [5, k, np.arange(5.0)]
    for run in (lambda: kernel(*args), lambda: evaluate(function, args)):
        with pytest.raises(kind) as caught:
            run()
        assert str(caught.value) == message
        assert caught.value.site == Site("user.py", 7)
    assert not native.LIVE


def test_a_store_is_checked_before() -> None:
    """Only a read may go on with a clamped index, and fail later."""
    assert "bad" not in backend.compile(program(add_squares)).loops


def test_no_turns_no_error() -> None:
    """A bad index in a loop that doesn't run is no error."""
    function = program(lambda b, n, k, x: b.map(n, lambda i: b.read(x, b.o.add(k, 100))))
    assert native.Native(function)(0, 1, np.zeros(0))[0].shape == (0,)


@pytest.mark.parametrize(
    "name",
    [
        "leapfrog",
        "append_log",
        "log_per_turn",
        "log_in_a_branch",
        "log_filled",
        "matrix_operator",
        "branch_in_a_loop",
        "outs_of_every_kind",
    ],
)
def test_out_of_memory_anywhere(name: str) -> None:
    """Whichever allocation fails, everything allocated before is freed."""
    function, arguments = CASES[name]()
    kernel = native.Native(function)
    args = arguments(300, np.random.default_rng(0))
    native.COUNT[0] = 0
    kernel(*args)
    needed = native.COUNT[0]
    assert needed > 0
    try:
        for limit in range(min(needed, 40)):
            native.COUNT[0], native.FAIL_AFTER[0] = 0, limit
            with pytest.raises(MemoryError):
                kernel(*args)
            assert not native.LIVE
    finally:
        native.FAIL_AFTER[0] = None


def test_logs_of_branches_are_opened_before_the_loop() -> None:
    lines = backend.compile(CASES["log_in_a_branch"]()[0]).loops.splitlines()
    opened = [k for k, line in enumerate(lines) if "grow" in line and "[ ->" in line]
    assert len(opened) == 2 and max(opened) < next(k for k, line in enumerate(lines) if line.startswith("  for"))


def test_absurd_size() -> None:
    function = program(lambda b, n, k, x: b.map([k, k, k], lambda *i: 0.0))
    with pytest.raises(MemoryError):
        native.Native(function)(1, 2**40, np.zeros(1))


def test_negative_size() -> None:
    function = program(lambda b, n, k, x: b.map([n, b.o.sub(n, k)], lambda *i: 0.0))
    with pytest.raises(ValueError, match="negative dimensions are not allowed"):
        native.Native(function)(1, 2, np.zeros(1))


def strided(x: np.ndarray) -> list[np.ndarray]:
    """The same values with other strides: gaps, backwards, transposed."""
    gaps = np.zeros((2 * x.shape[0] + 1, 3 * x.shape[1] + 1))[1::2, ::3][: x.shape[0], : x.shape[1]]
    gaps[...] = x
    return [gaps, x[::-1, ::-1].copy()[::-1, ::-1], np.asfortranarray(x), np.broadcast_to(x[:1], x.shape)]


@pytest.mark.parametrize("name", ["nests", "rows_stacked", "reduce_rows"])
def test_strided_arguments(name: str) -> None:
    function, arguments = CASES[name]()
    kernel = native.Native(function, layouts=[Layout.C, Layout.C, Layout.ANY])
    n, m, a = arguments(6, np.random.default_rng(0))
    for view in strided(a):
        for got, want in zip(kernel(n, m, view), evaluate(function, [n, m, view]).values, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-12)


def test_donated_in_place() -> None:
    """A donated array is updated where it is, without a single allocation."""

    def make(b: Builder, n: Var, k: Var, x: Var) -> Any:
        return b.loop(n, [x], lambda i, y: b.set(y, [i], b.o.mul(b.read(y, i, safe=True), 2.0)))

    function = program(make, donated=True)
    x = np.arange(8.0)
    native.COUNT[0] = 0
    native.Native(function, committed={0: 2})(8, 0, x)
    np.testing.assert_array_equal(x, 2.0 * np.arange(8))


@pytest.mark.parametrize("layout", Layout)
def test_error_leaves_donated_array(layout: Layout) -> None:
    def make(b: Builder, n: Var, k: Var, x: Var) -> Any:
        return b.loop(k, [x], lambda i, y: b.set(y, [i], 0.0))

    function = program(make, donated=True)
    kernel = native.Native(function, committed={0: 2}, layouts=[Layout.C, Layout.C, layout])
    x = np.arange(16.0)[:: 1 if layout is Layout.C else 2]
    kept = x.copy()
    with pytest.raises(IndexError):
        kernel(len(x), len(x) + 1, x)
    np.testing.assert_array_equal(x, kept)
    kernel(len(x), 3, x)
    np.testing.assert_array_equal(x, np.where(np.arange(len(x)) < 3, 0.0, kept))


def test_donated_exchange() -> None:
    """Two donated arrays, each committed to the other's memory."""
    b = Builder()
    n = Var(Scalar(I64), "n")
    x, y = Var(Array(F64, (n,)), "x"), Var(Array(F64, (n,)), "y")
    function = b.function([n, x, y], [y, x], donated=[x, y])
    p, q = np.arange(3.0), np.arange(3.0) + 10
    native.Native(function, committed={0: 1, 1: 2})(3, p, q)
    assert p[0] == 10 and q[0] == 0


def test_order_is_kept_without_reassociation() -> None:
    function = program(lambda b, n, k, x: b.reduce("add", n, lambda i: b.read(x, i)))
    x = np.random.default_rng(1).normal(size=4097)
    ordered = native.Native(function, 3, reassociate=False)(len(x), 0, x)[0]
    total = 0.0
    for v in x:
        total += v
    assert ordered == total
    free = native.Native(function, 3)(len(x), 0, x)[0]
    assert free != total and abs(free - total) < 1e-10


INTERRUPTED = """
import os, signal, threading, time
import numpy as np
from tests.backend.test_kernels import endless
threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
start = time.time()
try:
    endless()
except KeyboardInterrupt:
    print("interrupted", time.time() - start < 30)
"""


def endless() -> None:
    """A run of hours."""

    def make(b: Builder, n: Var, k: Var, x: Var) -> Any:
        start = b.map(n, lambda i: b.read(x, i))
        return b.loop(k, [start], lambda i, y: b.map(n, lambda j: b.o.mul(b.read(y, j), 0.5)))

    native.Native(program(make), 3, count=False)(1000, 2**40, np.zeros(1000))


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_interrupt() -> None:
    """Ctrl-C ends a kernel."""
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["interrupted", "True"], done.stderr
