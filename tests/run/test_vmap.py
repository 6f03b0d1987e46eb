"""`iv.vmap` is f on each lane: any axes, under and over every other transform, with what goes wrong said clearly."""

from typing import NamedTuple

import numpy as np
import pytest

import iverson as iv

RNG = np.random.default_rng(4)
X = RNG.normal(size=(6, 5))
V = RNG.normal(size=5)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setenv("IVERSON_LEVEL", "0")


class Pair(NamedTuple):
    a: object
    b: object


def soft(row, w):
    return np.tanh(row * w).sum() + row[0] * w[-1]


def halvings(x):
    n = 0
    while x > 1.0:
        x = x * 0.5
        n += 1
    return x, n


# --- axes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, -1, -2])
def test_axes_in_and_out(axis):
    got = iv.vmap(lambda r: r * 2.0, in_axes=axis, out_axes=axis)(X)
    np.testing.assert_array_equal(got, 2.0 * X)
    np.testing.assert_array_equal(iv.vmap(lambda r: r * 2.0, in_axes=axis)(X), 2.0 * np.moveaxis(X, axis, 0))


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_the_lanes_of_a_result_go_anywhere(axis):
    x = RNG.normal(size=(5, 2, 3))
    got = iv.vmap(lambda m: m.T + 1.0, out_axes=axis)(x)
    np.testing.assert_array_equal(got, np.moveaxis(x.transpose(0, 2, 1) + 1.0, 0, axis))


def test_trees_in_and_out():
    p = {"w": X, "pair": Pair(V, [X.T, 3.0])}
    axes = ({"w": 1, "pair": Pair(0, [0, None])},)

    def f(p):
        return {"s": p["w"] * p["pair"].a, "t": (p["pair"].b[0] @ p["w"], None, p["pair"].b[1])}

    got = iv.vmap(f, in_axes=axes, out_axes={"s": 1, "t": 0})(p)
    np.testing.assert_allclose(got["s"], X * V)
    np.testing.assert_allclose(got["t"][0], (X.T * X.T).sum(1))
    assert got["t"][1] is None
    np.testing.assert_array_equal(got["t"][2], np.full(5, 3.0))


def test_shared_arguments_and_results():
    shared, own = iv.vmap(lambda r, c: (c * 2.0, r * c), in_axes=(0, None), out_axes=(None, 0))(X, V)
    np.testing.assert_array_equal(shared, 2.0 * V)
    np.testing.assert_array_equal(own, X * V)
    scalar, turns = iv.vmap(lambda r, c: (halvings(c)[1], r), in_axes=(0, None), out_axes=(None, 0))(V, 9.0)
    assert scalar == 4 and np.array_equal(turns, V)


def test_keywords_are_mapped_and_an_axis_size_given():
    np.testing.assert_array_equal(iv.vmap(lambda x, *, y: x - y)(V, y=V[::-1]), V - V[::-1])
    assert iv.vmap(lambda x: x + 1.0, in_axes=None, axis_size=3)(2.0).tolist() == [3.0, 3.0, 3.0]


def test_no_lane_and_one():
    for n in (0, 1):
        value, turns = iv.vmap(halvings)(np.full(n, 10.0))
        assert value.tolist() == [0.625] * n and turns.tolist() == [4] * n
        assert turns.dtype == np.int64
    assert iv.vmap(lambda r: r[:2])(np.ones((0, 5))).shape == (0, 2)


def test_one_program_for_all_numbers_of_lanes():
    f = iv.vmap(soft, in_axes=(0, None))
    for n in (7, 30):
        x = RNG.normal(size=(n, 5))
        np.testing.assert_allclose(f(x, V), [soft(r, V) for r in x])
    assert len(f.programs) == 1


@pytest.mark.parametrize("dtype", ["bool", "int32", "int64", "float32", "float64", "complex64", "complex128"])
def test_dtypes(dtype):
    x = np.array([[0, 1, 3], [2, 0, 5]]).astype(dtype)
    got = iv.vmap(lambda r: (r[::-1], r[1], 1, True))(x)
    assert got[0].dtype == got[1].dtype == x.dtype
    np.testing.assert_array_equal(got[0], x[:, ::-1])
    np.testing.assert_array_equal(got[1], x[:, 1])
    assert got[2].tolist() == [1, 1] and got[3].tolist() == [True, True]


# --- what lanes do ----------------------------------------------------------------------------------------------------


def test_lanes_take_their_own_turns_and_branches():
    x = np.array([0.5, 3.0, 1e6, 1.0, 40.0])
    value, turns = iv.vmap(halvings)(x)
    assert turns.tolist() == [halvings(v)[1] for v in x]
    np.testing.assert_array_equal(value, [halvings(v)[0] for v in x])
    roots = iv.vmap(lambda v: v if v < 0 else np.sqrt(v))(np.array([-1.0, 4.0]))
    assert roots.tolist() == [-1.0, 2.0]


@pytest.mark.parametrize("axis", [0, 1])
def test_lanes_write_arrays_of_their_own(axis):
    def cumulate(row, c):
        for i in range(1, len(row)):
            row[i] += row[i - 1] * c[0]
        c[0] = 7.0
        return row, c

    x, c = X.copy(), np.full(2, 2.0)
    got, written = iv.vmap(cumulate, in_axes=(axis, None))(x, c)
    for k, row in enumerate(np.moveaxis(X, axis, 0)):
        np.testing.assert_allclose(got[k], cumulate(row.copy(), np.full(2, 2.0))[0])
    assert np.array_equal(x, X) and c.tolist() == [2.0, 2.0] and written[:, 0].tolist() == [7.0] * len(got)


def test_lanes_draw_their_own_numbers():
    keys = iv.random.split(iv.random.key(3), 5)
    got = iv.vmap(lambda k: iv.random.normal(k, (2,)))(keys)
    np.testing.assert_allclose(got, [iv.random.normal(k, (2,)) for k in keys])
    orders = iv.vmap(lambda k: iv.random.permutation(k, 6))(keys)
    np.testing.assert_array_equal(orders, [iv.random.permutation(k, 6) for k in keys])
    np.testing.assert_array_equal(iv.vmap(lambda k: iv.random.split(k, 3))(keys), [iv.random.split(k, 3) for k in keys])


# --- with the other transforms ----------------------------------------------------------------------------------------


def by_rows(f, *args):
    return np.array([f(r, *args) for r in X])


def test_derivatives_of_lanes():
    per_row = iv.grad(soft)
    np.testing.assert_allclose(iv.vmap(per_row, in_axes=(0, None))(X, V), by_rows(per_row, V))
    mapped = iv.vmap(soft, in_axes=(0, None))
    np.testing.assert_allclose(iv.grad(lambda x, w: mapped(x, w).sum())(X, V), by_rows(per_row, V))
    wrt_w = iv.grad(lambda x, w: mapped(x, w).sum(), argnums=1)(X, V)
    np.testing.assert_allclose(wrt_w, by_rows(iv.grad(soft, argnums=1), V).sum(0))
    iv.check_grads(mapped, (X, V))


def test_hessians_of_lanes_and_lanes_of_hessians():
    rows = by_rows(iv.hessian(soft), V)
    np.testing.assert_allclose(iv.vmap(iv.hessian(soft), in_axes=(0, None))(X, V), rows, atol=1e-12)
    whole = iv.hessian(lambda x: iv.vmap(soft, in_axes=(0, None))(x, V).sum())(X)
    for i in range(6):
        for j in range(6):
            np.testing.assert_allclose(whole[i, :, j], rows[i] if i == j else 0.0, atol=1e-12)


def test_jacobians_are_products_with_lanes_of_unit_vectors():
    def f(x):
        return np.cumsum(np.sin(x)) * x[0]

    columns = iv.vmap(lambda v: iv.jvp(f, (V,), (v,))[1], out_axes=1)(np.eye(5))
    rows = iv.vmap(lambda v: iv.vjp(f, V)[1](v)[0])(np.eye(5))
    np.testing.assert_allclose(columns, iv.jacfwd(f)(V), atol=1e-14)
    np.testing.assert_allclose(rows, iv.jacrev(f)(V), atol=1e-14)
    np.testing.assert_allclose(iv.vmap(iv.jacrev(f))(X), by_rows(iv.jacfwd(f)), atol=1e-14)


def test_jit_inside_and_outside():
    inner = iv.jit(soft)
    got = iv.jit(lambda x, w: iv.vmap(inner, in_axes=(0, None))(x, w))(X, V)
    np.testing.assert_allclose(got, by_rows(soft, V))
    np.testing.assert_allclose(iv.vmap(iv.vmap(lambda a, b: a * b, (None, 0)), (0, None))(V, V), np.outer(V, V))


def test_gradient_of_lanes_of_whiles():
    def total(x, rate):
        def decay(v):
            s = 0.0
            while v > 0.1:
                v = v * rate
                s += v * v
            return s

        return iv.vmap(decay)(x).sum()

    iv.check_grads(total, (np.array([3.0, 0.05, 40.0, 1.7]), 0.8), tolerance=1e-4)


def test_the_work_is_that_of_the_lanes():
    """Rows are views, and a lane with few turns doesn't wait for one with many."""
    from iverson.core.evaluate import evaluate
    from iverson.opt.pipeline import optimise

    def work(f, *args):
        values = [n for x in args for n in (*np.shape(x), x)]
        return evaluate(optimise(iv.jit(f).staged(args, {}).function), values).cost.work

    lanes = 50
    few = work(lambda x: iv.vmap(halvings)(x)[0], np.full(lanes, 1.5))
    one = work(lambda x: iv.vmap(halvings)(x)[0], np.append(np.full(lanes - 1, 1.5), 2.0**400))
    assert one < few + 400 * 5
    assert work(lambda x: iv.vmap(lambda r: r[0] + r[7])(x), np.ones((lanes, 1000))) < 10 * lanes


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "kind", "says"),
    [
        (lambda: iv.vmap(lambda a, b: a * b)(np.ones(5), np.ones(6)), ValueError, r"different lengths.*5 and 6"),
        (lambda: iv.vmap(lambda a, b: a * b)(np.ones(3), np.ones(4)), ValueError, r"argument 1 along axis 0 \(3 and 4"),
        (lambda: iv.vmap(lambda a: a)(2.0), ValueError, "it is a scalar"),
        (lambda: iv.vmap(lambda a: a)("text"), TypeError, "in_axes must be None"),
        (lambda: iv.vmap(lambda a: a, in_axes=2)(X), ValueError, "axis 2, but it has 2 dimensions"),
        (lambda: iv.vmap(lambda a: a, out_axes=-3)(X), ValueError, "out_axes has -3"),
        (lambda: iv.vmap(lambda a: a[a > 0.0])(X), ValueError, "shape of a result under vmap depends on the lane"),
        (lambda: iv.vmap(lambda a: a * 2.0, out_axes=None)(X), ValueError, "may not depend on the lane"),
        (lambda: iv.vmap(lambda a: a, in_axes=(0, 0))(X), TypeError, "2 entries, but there are 1"),
        (lambda: iv.vmap(lambda a: a, in_axes=({"b": 0},))(X), TypeError, "in_axes of argument 0"),
        (lambda: iv.vmap(lambda a: a, in_axes=(0.5,))(X), TypeError, "ints and None, not float"),
        (lambda: iv.vmap(lambda a: a, in_axes=None)(X), ValueError, "all of in_axes is None"),
        (lambda: iv.vmap(lambda a: a, axis_size=4)(X), ValueError, "axis_size and argument 0"),
    ],
)
def test_mistakes(call, kind, says):
    with pytest.raises(kind, match=says):
        call()


def test_an_array_from_outside_is_not_written():
    seen = np.zeros(3)

    def f(x):
        seen[0] = x
        return x

    with pytest.raises(TypeError, match="under vmap writes an array from outside"):
        iv.vmap(f)(V)
    assert seen[0] == 0.0
