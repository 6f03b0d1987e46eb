"""Loops that become one, arrays that become registers, order that is given up: what programs then do, and where not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import iverson as iv
from iverson.backend import loopir as ir
from iverson.backend.loopir import Buffer, For, Reg, View, integer
from iverson.backend.places import Places
from iverson.core.syntax import F64, I64

X, Y = np.linspace(-1.0, 2.0, 12), np.cos(np.arange(12.0))
A = np.sin(np.arange(42.0)).reshape(7, 6)

# --- programs ---------------------------------------------------------------------------------------------------------


def one_behind(x, y):
    a, b = np.zeros(len(x) + 1), np.zeros(len(x))
    for i in range(len(x)):
        a[i] = x[i] * y[i]
    for i in range(len(x)):
        b[i] = a[i + 1] + x[i]
    return b


def from_the_end(x, y):
    a, b = np.zeros(len(x)), np.zeros(len(x))
    for i in range(len(x)):
        a[i] = x[i] * y[i]
    for i in range(len(x)):
        b[i] = a[len(x) - 1 - i] + y[i]
    return b


def two_passes(x, y):
    a = x * 2.0
    a += y
    a *= x
    return a


def read_again_behind(x, y):
    a = x * 2.0
    total = 0.0
    for i in range(len(x)):
        total += a[i] * y[i]
    a[3] = total
    b = a * y
    return b, a


def recurrence(x, y):
    x = x.copy()
    for i in range(1, len(x)):
        x[i] += 0.5 * x[i - 1] * y[i]
        y_i = y[i] * x[i]
        x[0] += y_i
    return x


def sum_in_a_place_that_others_pass(x, y):
    s = np.zeros(len(x))
    for k in range(3):
        for i in range(len(x)):
            s[i] += x[i] * y[k]
            s[k] += y[i]
    return s


def sum_that_sees_itself(x, y):
    s = np.ones(2)
    for i in range(len(x)):
        s[1] += s[1] * x[i] * 0.1
        s[0] += s[1] + y[i]
    return s


def above_the_diagonal(x, y):
    x = x.copy()
    for i in range(len(x)):
        for j in range(i + 1, len(x)):
            x[j] -= 0.1 * x[i] * x[j]
            x[i] += 0.01 * y[j]
    return x


def prefix_sums(x, y):
    out, total = np.zeros(len(x)), 0.0
    for i in range(len(x)):
        total += x[i]
        out[i] = total * y[i]
    return out


PROGRAMS = [
    one_behind,
    from_the_end,
    two_passes,
    read_again_behind,
    recurrence,
    sum_in_a_place_that_others_pass,
    sum_that_sees_itself,
    above_the_diagonal,
    prefix_sums,
]


def row_of_itself(a, k):
    a = a.copy()
    for i in range(a.shape[0]):
        a[i] -= 0.3 * a[k]
        a[k] += 0.1 * a[i]
    return a


def elimination(a, columns):
    a = a.copy()
    for k in range(columns):
        for i in range(k + 1, a.shape[0]):
            f = a[i, k] / (2.0 + a[k, k])
            a[i, k:] -= f * a[k, k:]
    return a


def short_axis(a, k):
    total = np.zeros(3)
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            for c in range(3):
                total[c] += a[i, j] * a[i, c]
                total[0] += a[i, k] * c
    return total


def loops(f: Callable[..., Any], *args: Any) -> str:
    return str(iv.show(iv.jit(f, threads=False), stage="loops")(*args))


def assert_python(f: Callable[..., Any], args: tuple[Any, ...], level: int) -> None:
    want, got = f(*args), iv.jit(f, level=level)(*args)
    for x, y in zip(got if isinstance(got, tuple) else [got], want if isinstance(want, tuple) else [want], strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("level", [0, 3])
@pytest.mark.parametrize("f", PROGRAMS, ids=lambda f: f.__name__)
def test_vectors(f: Callable[..., Any], level: int) -> None:
    assert_python(f, (X, Y), level)
    assert_python(f, (X[:5], Y[:5]), level)


@pytest.mark.parametrize("level", [0, 3])
@pytest.mark.parametrize("k", [0, 3])
@pytest.mark.parametrize("f", [row_of_itself, elimination, short_axis], ids=lambda f: f.__name__)
def test_rows(f: Callable[..., Any], k: int, level: int) -> None:
    assert_python(f, (A, k), level)


@pytest.mark.parametrize("f", [*PROGRAMS, row_of_itself, elimination, short_axis], ids=lambda f: f.__name__)
def test_gradients(f: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IVERSON_LEVEL", "0")
    args = (X, Y) if f in PROGRAMS else (A,)

    def total(*xs: Any) -> Any:
        result = f(*xs) if f in PROGRAMS else f(*xs, 3)
        return np.sum(np.sin(result[0] if f is read_again_behind else result))

    iv.check_grads(total, args)


def test_passes_over_one_array_are_one_loop_without_it() -> None:
    text = loops(lambda x, y: np.sum(two_passes(x, y)), X, Y)
    assert text.count("for ") == 1 and "alloc" not in text


def test_turns_that_need_others_stay_apart() -> None:
    for f in (one_behind, from_the_end):
        assert loops(f, X, Y).count("for ") >= 2


def test_order_is_kept_where_turns_depend_on_turns() -> None:
    assert "seq" in loops(recurrence, X, Y) and "seq" in loops(sum_that_sees_itself, X, Y)


def test_a_sum_is_reassociated_only_where_sums_are() -> None:
    def f(x: Any, y: Any) -> Any:
        return above_the_diagonal(x, y)

    assert "apart" in loops(f, X, Y)
    got = iv.jit(f, reassociate=False)(X, Y)
    np.testing.assert_array_equal(got, above_the_diagonal(X, Y))


def test_logs_are_filled_and_read_in_place() -> None:
    text = loops(iv.grad(lambda a: np.sum(elimination(a, 3))), A)
    assert text.count("alloc") <= 5


def test_an_error_leaves_the_caller_s_array() -> None:
    def twice(x: Any, y: Any) -> None:
        for i in range(len(x)):
            x[i] = 2.0 * x[i]
        for i in range(len(x)):
            x[i] += y[i]

    x = X.copy()
    with pytest.raises(IndexError):
        iv.jit(twice)(x, Y[:7])
    np.testing.assert_array_equal(x, X)


# --- places -----------------------------------------------------------------------------------------------------------


def _reg() -> Reg:
    return Reg(I64)


def test_places() -> None:
    i, j, k, n = _reg(), _reg(), _reg(), _reg()
    shifted, behind, mirrored, last, up = (_reg() for _ in range(5))
    buffer = Buffer(F64, (n,), Reg(ir.POINTER))
    view = lambda *at: View(buffer, at)  # noqa: E731
    body: list[ir.Stmt] = [
        ir.Argument(buffer.pointer, 0),
        For(i, integer(0), n, [ir.Compute(shifted, "add", (k, i)), ir.Load(Reg(F64), view(shifted))], [], "any"),
        For(
            j,
            integer(0),
            n,
            [ir.Compute(behind, "add", (j, k)), ir.Compute(up, "add", (behind, integer(1)))],
            [],
            "any",
        ),
        ir.Compute(last, "sub", (n, integer(1))),
        ir.Compute(mirrored, "sub", (last, j)),
    ]
    places = Places(body)
    assert places.meet_in_turn(view(shifted), i, view(behind), j)
    assert not places.meet_in_turn(view(shifted), i, view(up), j)
    assert not places.meet_in_turn(view(i), i, view(mirrored), j)
    assert places.apart(view(behind), view(up)) and not places.apart(view(behind), view(k))
    assert places.apart(view(up), view(k)) and places.same(view(last), view(last))
    assert not places.apart(view(last), view(mirrored)) and not places.apart(view(i), view(k))


def two_recurrences(x, y):
    a, b = np.zeros(len(x)), np.zeros(len(x))
    up, down = 1.0, 0.5
    for i in range(len(x)):
        up = up * x[i] + 0.25
        a[i] = up
    for i in range(len(x)):
        down = 0.5 * down + x[len(x) - 1 - i]
        b[i] = down
    return a, b


def one_after_the_other(x, y):
    a, b = np.zeros(len(x)), np.zeros(len(x))
    up, down = 1.0, 0.5
    for i in range(len(x)):
        up = up * x[i] + 0.25
        a[i] = up
    for i in range(len(x)):
        down = 0.5 * down + a[len(x) - 1 - i]
        b[i] = down
    return a, b


@pytest.mark.parametrize(("f", "loops"), [(two_recurrences, 1), (one_after_the_other, 2)])
def test_recurrences(f: Callable[..., Any], loops: int) -> None:
    shown = iv.show(f, stage="loops")(X, Y).splitlines()
    assert sum(" seq; " in line for line in shown) == loops
    for got, want in zip(iv.jit(f)(X, Y), f(X, Y), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-14)
