"""Products over triangles and other parts of axes: their values, whatever is in the rest, and their gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from iverson.core.check import check
from iverson.core.evaluate import evaluate
from iverson.core.rewrite import statements
from iverson.core.syntax import Function, Library
from iverson.diff.reverse import gradient
from iverson.lang.stage import stage_for
from iverson.opt import product
from iverson.opt.pipeline import optimise, prepare
from tests.lang.test_stage_corpus import inputs
from tests.opt.support import same


def lower_times(a: Any, b: Any) -> Any:
    n, m = b.shape
    return np.array([[sum(a[i, k] * b[k, j] for k in range(i + 1)) for j in range(m)] for i in range(n)])


def strictly_lower_rows(a: Any, b: Any) -> Any:
    n, m = b.shape
    c = np.zeros((n, m))
    for i in range(n):
        for k in range(i):
            for j in range(m):
                c[i, j] += a[i, k] * b[k, j]
    return c


def upper_times(a: Any, b: Any) -> Any:
    n, m = b.shape
    return np.array([[sum(a[i, i + k] * b[i + k, j] for k in range(n - i)) for j in range(m)] for i in range(n)])


def transposed_rows(a: Any, b: Any) -> Any:
    n, m = b.shape
    c = np.zeros((n, m))
    for i in range(n):
        for k in range(i):
            for j in range(m):
                c[k, j] += 2.0 * a[i, k] * b[i, j]
    return c


def rank_update(a: Any, b: Any) -> Any:
    n, m = b.shape
    c = np.zeros((n, n))
    for i in range(n):
        for k in range(m):
            for j in range(i + 1):
                c[i, j] += b[i, k] * b[j, k]
    return c


def corner_update(a: Any, b: Any) -> Any:
    n, m = b.shape
    c = np.zeros((n, n))
    for i in range(n - 1):
        for k in range(1, m):
            for j in range(i + 1):
                c[i, j] += b[i, k] * b[j, k]
    return c


def gram_with_offset(a: Any, b: Any) -> Any:
    n, m = b.shape
    return np.array([sum(sum(b[i, k] * b[i + j, k] for k in range(m)) ** 2 for j in range(1, n - i)) for i in range(n)])


def both_ways(a: Any, b: Any) -> Any:
    n, m = b.shape
    c = np.zeros((m, n))
    for i in range(n):
        for k in range(i):
            for j in range(m):
                c[j, i] += a[i, k] * b[k, j]
            for j in range(m):
                c[j, k] += a[i, k] * b[i, j]
    return c


def backwards(a: Any, b: Any) -> Any:
    n, m = b.shape
    c = np.zeros((n, m))
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            for j in range(m):
                c[i, j] += a[i, k] * b[k, j]
    return c


def scaled_and_updated(a: Any, b: Any) -> Any:
    """syrk: rows are scaled before they are added to."""
    c = a.copy()
    for i in range(b.shape[0]):
        c[i, : i + 1] *= 1.25
        for k in range(b.shape[1]):
            c[i, : i + 1] += 0.5 * b[i, k] * b[: i + 1, k]
    return c


def symmetric_update(a: Any, b: Any) -> Any:
    """syr2k: two products of which one is the other's transpose."""
    c, d = a.copy(), np.cos(b)
    for i in range(b.shape[0]):
        c[i, : i + 1] *= 1.25
        for k in range(b.shape[1]):
            c[i, : i + 1] += b[: i + 1, k] * 0.5 * d[i, k] + d[: i + 1, k] * 0.5 * b[i, k]
    return c


def symmetric_times(a: Any, b: Any) -> Any:
    """symm: a symmetric matrix of which one triangle is read."""
    c, row = 0.5 * b, np.empty(b.shape[1])
    for i in range(b.shape[0]):
        for j in range(b.shape[1]):
            c[:i, j] += 1.5 * b[i, j] * a[i, :i]
            row[j] = b[:i, j] @ a[i, :i]
        c[i, :] += 1.5 * b[i, :] * a[i, i] + 1.5 * row
    return c


def below_the_diagonal(a: Any, b: Any) -> Any:
    """trmm, with ranges of two arrays that are one."""
    c = b.copy()
    for i in range(b.shape[0]):
        for j in range(b.shape[1]):
            c[i, j] += np.dot(a[i + 1 : b.shape[0], i], b[i + 1 :, j])
    return c


def sums_and_contributions(a: Any, b: Any) -> Any:
    """One loop adds to a matrix and sums up, and what it sums up is a term of what is added elsewhere."""
    n, m = b.shape
    c = np.zeros((n, m))
    for i in range(n):
        for j in range(m):
            total = 0.0
            for k in range(i):
                c[k, j] -= a[i, k] * b[i, j]
                total += a[i, k] * b[k, j] - 2.0 * (a[k, i] * b[k, j])
            c[i, j] += b[i, j] - 3.0 * total
    return c


def quadratic_forms(a: Any, b: Any) -> Any:
    """Three factors, of which two are summed over: no partial ranges."""
    n, m = b.shape
    c = np.zeros(m)
    for i in range(m):
        for j in range(n):
            for k in range(n):
                c[i] += a[j, k] * b[j, i] * b[k, i]
    return c


def sums_of_sums(a: Any, b: Any) -> Any:
    """What an outer loop sums up is contributed; the inner one sums up, and contributes."""
    n, m = b.shape
    c, d = np.zeros(m), np.zeros((n, m))
    for i in range(m):
        total = 0.0
        for j in range(n):
            part = 0.0
            for k in range(n):
                part += a[j, k] * b[k, i]
                d[k, i] += a[j, k] * b[j, i]
            total += b[j, i] * part
        c[i] += 0.5 * total
    return c + d


def band(a: Any, b: Any) -> Any:
    n, m = b.shape
    return np.array(
        [[sum(a[i, i + k] * b[i + k, j] for k in range(min(2, n - i))) for j in range(m)] for i in range(n)]
    )


PROGRAMS = [
    lower_times,
    strictly_lower_rows,
    upper_times,
    transposed_rows,
    rank_update,
    corner_update,
    gram_with_offset,
    both_ways,
    backwards,
    scaled_and_updated,
    symmetric_update,
    symmetric_times,
    below_the_diagonal,
    sums_and_contributions,
    quadratic_forms,
    sums_of_sums,
]


def staged(program: Callable[..., Any], args: list[Any]) -> tuple[Function, list[Any]]:
    s = stage_for(program, args)
    return s.function, inputs(s, args)


def products(f: Function) -> int:
    return sum(isinstance(s.op, Library) for s in statements(f.body))


def matrices(n: int, m: int, more: int = 0) -> list[Any]:
    rng = np.random.default_rng(n)
    return [rng.normal(size=(n + more, n + more)), rng.normal(size=(n, m))]


@pytest.mark.parametrize("n, m, more", [(1, 1, 0), (2, 1, 0), (2, 3, 0), (7, 5, 0), (6, 6, 2)])
@pytest.mark.parametrize("program", [*PROGRAMS, band], ids=lambda p: p.__name__)
def test_values(program: Callable[..., Any], n: int, m: int, more: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is read there may be anything, and infinities meet no zeros that aren't the program's."""
    monkeypatch.setattr(product, "SMALLEST", 1)
    args = matrices(n, m, more)
    f, given = staged(program, args)
    f = optimise(prepare(f))
    check(f)
    assert products(f) or n < 6 or program is band
    triangles = (np.tril_indices(n + more, -1), np.triu_indices(n + more, 1), np.diag_indices(n + more))
    bad = [(0, t, v) for t in triangles for v in (np.nan, np.inf)]
    bad += [(1, place, np.inf) for place in ((0, 0), (n - 1, m - 1), (n // 2, 0))]
    for which, place, v in [*bad, (0, (), None)]:
        here = [a.copy() for a in args]
        if v is not None:
            here[which][place] = v
        f_args = [
            next(h for h, a in zip(here, args, strict=True) if g is a) if isinstance(g, np.ndarray) else g
            for g in given
        ]
        with np.errstate(all="ignore"):
            want, got = program(*here), evaluate(f, f_args).values[0]
        assert same(want, got, exact=False), (which, place, v)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_gradients(program: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product, "SMALLEST", 1)

    def objective(a: Any, b: Any) -> Any:
        return np.sum(np.sin(program(a, b)))

    f, given = staged(objective, matrices(6, 5))
    wrt = [k for k, p in enumerate(f.params) if p.type.dtype.is_float]  # type: ignore[union-attr]
    want = evaluate(gradient(f, wrt), given).values
    g = optimise(gradient(prepare(f), wrt))
    check(g)
    assert products(g)
    for a, b in zip(want, evaluate(g, given).values, strict=True):
        assert same(a, b, exact=False)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_errors(program: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where sizes don't fit, or there are no turns, the outcome is that of the program as it is written."""
    monkeypatch.setattr(product, "SMALLEST", 1)
    f, _ = staged(program, matrices(7, 5))
    g = optimise(prepare(f))
    for p, q, n, m in (
        (6, 5, 6, 4),
        (5, 6, 6, 4),
        (5, 5, 6, 4),
        (7, 7, 6, 4),
        (6, 6, 0, 4),
        (6, 6, 6, 0),
        (0, 6, 6, 4),
        (6, 2, 2, 2),
    ):
        rng = np.random.default_rng(0)
        args = [p, q, rng.normal(size=(p, q)), n, m, rng.normal(size=(n, m))]
        want, got = outcome(f, args), outcome(g, args)
        if isinstance(want, str) or isinstance(got, str):
            assert want == got, (p, q, n, m)
        else:
            assert same(want, got, exact=False), (p, q, n, m)


def outcome(f: Function, args: list[Any]) -> Any:
    try:
        return evaluate(f, args).values[0]
    except (IndexError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
