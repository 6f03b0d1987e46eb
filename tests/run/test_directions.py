"""Jacobians in vector mode: eight directions at once are the directions one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import iverson as iv


@pytest.fixture(autouse=True)
def _cheaply(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IVERSON_LEVEL", "0")


def in_place(x):
    """A loop that reads what it wrote."""
    y = np.zeros((len(x), 3))
    for i in range(len(x)):
        y[i, 0] = np.sin(x[i])
        if i > 0:
            for j in range(3):
                y[i, j] += y[i - 1, (j + 1) % 3] * x[i]
    return y


def repeated(x):
    """A loop whose carries the directions differ in, with a branch."""
    z, total, k = x * 1.0, 0.0, 0
    while k < 5:
        z = z * np.cos(z) if k != 2 else z + total
        total += z.sum()
        k += 1
    return z * total


def chain(x):
    """Frames of a tree, blended: a frame moves with those above it."""
    n = len(x)
    frames = np.zeros((n, 2, 2))
    for b in range(n):
        turn = np.array([[np.cos(x[b]), -np.sin(x[b])], [np.sin(x[b]), np.cos(x[b])]])
        frames[b] = turn if b == 0 else frames[(b - 1) // 2] @ turn
    weights = np.array([[float((v * 7 + b * 3) % 5) for b in range(n)] for v in range(11)])
    return np.array([
        [[sum(weights[v, b] * frames[b, i, j] for b in range(n)) for j in range(2)] for i in range(2)]
        for v in range(11)
    ])  # fmt: skip


def gradient(x):
    def energy(y):
        y = y.copy()
        for i in range(1, len(y)):
            y[i] -= y[i - 1] ** 2 * np.sin(x[i])
        return (y**2).sum() * y[-1]

    return iv.grad(energy)(x)


def scattered(x):
    z = np.zeros(len(x))
    for i in range(2 * len(x)):
        z[(5 * i) % len(x)] += x[i % len(x)] * x[(i * i) % len(x)]
    return z


def extrema(x):
    return np.array([x.max(), np.prod(x), np.maximum(x, 0.6).sum(), np.cumsum(x)[-1]])


def solved(x):
    return np.linalg.solve(np.outer(x, x) + 3.0 * np.eye(len(x)), x)


def loops(f: Callable[..., Any], *args: Any) -> str:
    return iv.show(iv.jit(f), stage="loops")(*args)


@pytest.mark.parametrize("f", [in_place, repeated, chain, gradient, scattered, extrema, solved])
def test_columns_are_products(f):
    """Fewer directions than lanes, and blocks that overlap."""
    jacobian = iv.jit(lambda x: iv.jacfwd(f)(x))
    product = iv.jit(lambda x, t: iv.jvp(f, (x,), (t,))[1])
    for n in (5, 13):
        x = np.random.default_rng(n).uniform(0.2, 1.0, n)
        expected = np.stack([product(x, e) for e in np.eye(n)], axis=-1)
        np.testing.assert_allclose(jacobian(x), expected, rtol=1e-9, atol=1e-12)
    assert " wide" in loops(jacobian, x)


def test_single_precision():
    def f(x):
        return in_place(x) * np.float32(2.0)

    x = np.linspace(0.2, 1.0, 11)
    np.testing.assert_allclose(iv.jacfwd(f)(x.astype(np.float32)), 2.0 * iv.jacfwd(in_place)(x), rtol=1e-4)


def test_of_a_batch_and_twice():
    x = np.random.default_rng(0).uniform(0.2, 1.0, (3, 9))
    batch = iv.vmap(iv.jacfwd(chain))(x)
    np.testing.assert_allclose(batch[1], iv.jacfwd(chain)(x[1]), rtol=1e-12)
    product = iv.jit(lambda x, v: iv.jvp(gradient, (x,), (v,))[1])
    one_by_one = np.stack([product(x[0], e) for e in np.eye(9)], axis=-1)
    np.testing.assert_allclose(iv.jacfwd(gradient)(x[0]), one_by_one, rtol=1e-9)
    np.testing.assert_allclose(iv.jacrev(repeated)(x[0]), iv.jacfwd(repeated)(x[0]), rtol=1e-9, atol=1e-12)


def test_of_a_matrix():
    def f(a):
        return np.array([sum(a[i, j] * a[j, i] for j in range(len(a))) for i in range(len(a))])

    a = np.random.default_rng(0).normal(size=(4, 4))
    product = iv.jit(lambda a, t: iv.jvp(f, (a,), (t,))[1])
    single = np.stack([product(a, e.reshape(4, 4)) for e in np.eye(16)], axis=-1)
    np.testing.assert_allclose(iv.jacfwd(f)(a).reshape(4, 16), single, rtol=1e-12)


# --- what a direction doesn't reach -----------------------------------------------------------------------------------


def blended(x, weights):
    """Every other frame stands alone."""
    n = len(x)
    frames = np.zeros(n)
    for b in range(n):
        frames[b] = np.sin(x[b]) if b % 2 == 0 else x[b] * frames[b - 1]
    return np.array([sum(weights[v, b] * frames[b] for b in range(n)) for v in range(len(weights))])


def test_sums_leave_out_what_a_direction_does_not_reach():
    n = 70  # more inputs than a set tells apart
    x, weights = np.random.default_rng(0).uniform(0.5, 1.0, n), np.random.default_rng(1).normal(size=(5, n))
    jacobian = iv.jit(lambda x, w: iv.jacfwd(blended)(x, w))
    product = iv.jit(lambda x, w, t: iv.jvp(lambda y: blended(y, w), (x,), (t,))[1])
    expected = np.stack([product(x, weights, e) for e in np.eye(n)], axis=-1)
    np.testing.assert_allclose(jacobian(x, weights), expected, rtol=1e-12, atol=1e-14)
    assert "list" in loops(jacobian, x, weights)


def test_what_is_not_reached_counts_for_nothing():
    """Not even as 0 * inf: as where a branch isn't taken."""
    x, weights = np.linspace(0.5, 1.0, 10), np.ones((3, 10))
    weights[:, 4] = np.inf
    found = iv.jacfwd(blended)(x, weights)
    assert np.isinf(found[:, 4]).all()
    assert np.isfinite(found[:, [0, 1, 2, 3, 6, 7, 8, 9]]).all()


def fingers(x, weights, fingers):
    """Chains of frames side by side, each turned by an input of its own: one long chain, or each alone."""
    n = len(x)
    frames = np.zeros((n, 2, 2))
    for b in range(n):
        turn = np.array([[np.cos(x[b]), -np.sin(x[b])], [np.sin(x[b]), x[b]]])
        frames[b] = turn if b < fingers else frames[b - fingers] @ turn
    return np.array([
        [[sum(weights[v, b] * frames[b, i, j] for b in range(n)) for j in range(2)] for i in range(2)]
        for v in range(len(weights))
    ])  # fmt: skip


@pytest.mark.parametrize("n", [9, 21, 66])
def test_lanes_follow_lists_of_their_own(n):
    jacobian = iv.jit(lambda x, w, k: iv.jacfwd(fingers)(x, w, k))
    product = iv.jit(lambda x, w, k, t: iv.jvp(lambda y: fingers(y, w, k), (x,), (t,))[1])
    x, weights = np.random.default_rng(n).uniform(0.5, 1.0, n), np.random.default_rng(1).normal(size=(6, n))
    for k in (1, 2, 8, n - 1, n):
        expected = np.stack([product(x, weights, k, e) for e in np.eye(n)], axis=-1)
        np.testing.assert_allclose(jacobian(x, weights, k), expected, rtol=1e-11, atol=1e-13)
    assert jacobian(x, weights[:0], k).shape == (0, 2, 2, n)
    assert "lists" in loops(jacobian, x, weights, k)


def test_what_other_lanes_list_counts_for_nothing():
    x, weights = np.linspace(0.5, 1.0, 16), np.ones((6, 16))
    weights[1, 5], weights[2, 7] = np.inf, np.nan
    found = iv.jacfwd(fingers)(x, weights, 16)
    assert np.isinf(found[1, 0, 0, 5]) and np.isnan(found[2, 0, 0, 7])
    assert np.isfinite(np.delete(found, [5, 7], axis=-1)).all() and np.isfinite(found[0]).all()


# --- rows that one loop hands on to the next --------------------------------------------------------------------------


def skin(x, weights):
    """Points that move with all of x, before the second loop turns them."""
    frames = np.array([[np.sin(x[b]), x[b] ** 2] for b in range(len(x))])
    return np.array([[sum(weights[v, b] * frames[b, c] for b in range(len(x))) for c in range(2)]
                     for v in range(len(weights))])  # fmt: skip


def turned(x, weights):
    points = skin(x, weights)
    c, s = np.cos(x[0]), np.sin(x[1])
    return points @ np.array([[c, -s], [s, c]]).T + x[2:4]


def before(x, weights):
    """Not the row of the same turn."""
    points = skin(x, weights)
    return np.array([points[max(v - 1, 0)] * x[0] + x[1] for v in range(len(points))])


def mirrored(x, weights):
    points = skin(x, weights)
    return points[::-1] * x[0] + points


def read_later(x, weights):
    points = skin(x, weights)
    moved = points * x[0] + x[1]
    return moved, points[:, 0] * moved[:, 1]


def in_place_of(x, weights):
    """The second loop writes into the first one's array."""
    points = skin(x, weights)
    for v in range(1, len(points)):
        points[v] += points[v - 1] * x[0]
    return points


def corners(x, weights):
    """A direction moves all pairs of coordinates alike."""
    points = skin(x[2:], weights[:, 2:])
    u, v = weights[:, 0:1] + x[0], weights[:, 1:2] + x[1]
    return (u * points[::-1] + v * points + (1 - u - v) * points[0]).ravel()


@pytest.mark.parametrize("f", [turned, before, mirrored, read_later, in_place_of, corners])
def test_rows_are_handed_on(f):
    jacobian = iv.jit(lambda x, w: iv.jacfwd(f)(x, w))
    product = iv.jit(lambda x, w, t: iv.jvp(lambda y: f(y, w), (x,), (t,))[1])
    x = np.random.default_rng(1).uniform(0.5, 1.0, 11)
    for m in (1, 5, 9) if f is corners else (0, 1, 5, 9):
        weights = np.random.default_rng(m).normal(size=(m, 11))
        found, products = jacobian(x, weights), [product(x, weights, e) for e in np.eye(11)]
        pairs = zip(found, zip(*products, strict=True), strict=True) if f is read_later else [(found, products)]
        for result, columns in pairs:
            np.testing.assert_allclose(result, np.stack(columns, axis=-1), rtol=1e-11, atol=1e-13)
    assert " wide" in loops(jacobian, x, weights)


def test_a_row_handed_on_needs_no_array():
    with_, without = (
        loops(iv.jit(lambda x, w, f=f: iv.jacfwd(f)(x, w), threads=False), np.ones(11), np.ones((9, 11)))
        for f in (before, turned)
    )
    rows = "alloc float64[x1_n0, 2, 8]"
    assert with_.count(rows) == without.count(rows) + 1


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("at", "shown"), [(12, "12"), (-13, "-13")])
def test_an_index_out_of_bounds(at, shown):
    """The primal's test is there for the tangents, which are linear here and need nothing of the primal."""

    def picked(x, where):
        return 2.0 * x[where]

    x, where = np.ones(12), np.array([0, -12, at])
    with pytest.raises(IndexError, match=f"index {shown} is out of bounds for axis 0 with size 12"):
        iv.jacfwd(picked)(x, where)
    assert iv.jacfwd(picked)(x, where[:2]).sum() == 4.0
