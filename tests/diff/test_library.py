"""Derivatives of library operations: complex step, finite differences, transpose identity, second order, errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from iverson.core.build import Builder, extents_of
from iverson.core.check import check
from iverson.core.evaluate import evaluate
from iverson.core.library import TABLE
from iverson.core.rewrite import statements
from iverson.core.syntax import F32, Array, Function, Library
from iverson.diff.forward import jvp
from iverson.diff.reverse import vjp
from tests.diff.oracle import array, check_jvp, check_vjp, dot, program, size

Body = Callable[..., Any]


def square(body: Body, *more: Any, dtype: Any = None) -> Function:
    """A program of a square matrix."""
    n = size()
    a = array(n, n, **({} if dtype is None else {"dtype": dtype}))
    return program([n, a], lambda b: body(b, a))


def tall(body: Body) -> Function:
    m, n = size("m"), size("n")
    a = array(m, n)
    return program([m, n, a], lambda b: body(b, a))


def with_right(body: Body, columns: bool) -> Function:
    n, k = size("n"), size("k")
    a = array(n, n)
    x = array(n, k) if columns else array(n)
    return program([n, k, a, x], lambda b: body(b, a, x))


def solved(transpose: bool) -> Body:
    return lambda b, a, x: b.library("factored_solve", a, *b.library("lu", a), x, transpose=transpose)


def triangular(**params: Any) -> Body:
    return lambda b, a, x: b.library("triangular_solve", a, x, **params)


def spd(b: Builder, a: Any) -> Any:
    """a a' + 1 as a matrix, so that a may be anything."""
    n = extents_of(a)[0]
    (p,) = b.library("matmul", a, a, transpose_b=True)
    return b.map((n, n), lambda i, j: b.o.add(b.read(p, i, j), b.o.select(b.o.eq(i, j), 1.0, 0.0)))


def pseudoinverse(b: Builder, a: Any) -> Any:
    return b.library("pinv", a, *b.library("svd", a))


def by_factors(name: str) -> Body:
    return lambda b, a: b.library(name, a, *b.library("lu", a))


SQUARE: dict[str, Body] = {
    "lu": lambda b, a: b.library("lu", a)[:1],
    "det": by_factors("det"),
    "logabsdet": by_factors("logabsdet"),
    "cholesky": lambda b, a: b.library("cholesky", spd(b, a)),
    "eigh": lambda b, a: b.library("eigh", a),
    "sort": lambda b, a: b.library("sort", a),
}
TALL: dict[str, Body] = {
    "qr": lambda b, a: b.library("qr", a),
    "svd": lambda b, a: b.library("svd", a),
    "pinv": pseudoinverse,
}
RIGHT: dict[str, Body] = {
    "solve": solved(False),
    "solve transposed": solved(True),
    "lower": triangular(lower=True),
    "upper": triangular(lower=False),
    "lower transposed": triangular(lower=True, transpose=True),
    "upper unit": triangular(lower=False, unit=True),
    "upper transposed unit": triangular(lower=False, transpose=True, unit=True),
}
SIZES = [0, 1, 2, 3, 5, 20]
SHAPES = [(0, 0), (3, 0), (1, 1), (2, 2), (3, 2), (5, 5), (7, 4), (20, 12)]


def both(f: Function, values: list[Any], rtol: float = 1e-8) -> None:
    check_jvp(f, values, rtol)
    check_vjp(f, values, rtol)


def second(f: Function, values: list[Any]) -> None:
    """Derivatives of the derivatives, in all four orders: each against the complex step."""
    outs = evaluate(f, values).values
    rng = np.random.default_rng(3)
    wrt = [k for k, v in enumerate(values) if isinstance(v, np.ndarray)]
    floats = [y for y in outs if np.asarray(y).dtype.kind == "f"]
    forward = jvp(f, wrt), [*values, *(rng.standard_normal(values[k].shape) for k in wrt)]
    backward = vjp(f, wrt), [*values, *(rng.standard_normal(np.shape(y)) for y in floats)]
    for g, arguments in (forward, backward):
        check(g)
        both(g, arguments, 1e-6)


def matrix(n: int, m: int | None = None, seed: int = 0) -> np.ndarray:
    m = n if m is None else m
    return np.random.default_rng(seed).normal(size=(n, m)) + 2.0 * np.diag(np.arange(1.0, max(n, m) + 1))[:n, :m]


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("name", SQUARE)
def test_square(name: str, n: int) -> None:
    f, values = square(SQUARE[name]), [n, matrix(n)]
    if n == 20 and name == "det":
        values[1] /= 20.0
    both(f, values)
    if n in (1, 3):
        second(f, values)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", TALL)
def test_tall(name: str, shape: tuple[int, int]) -> None:
    f, values = tall(TALL[name]), [*shape, matrix(*shape)]
    both(f, values)
    if shape in ((3, 0), (2, 2), (3, 2)):
        second(f, values)


@pytest.mark.parametrize("columns", [None, 0, 3])
@pytest.mark.parametrize("n", [0, 1, 3, 20])
@pytest.mark.parametrize("name", RIGHT)
def test_right_hand_sides(name: str, n: int, columns: int | None) -> None:
    f = with_right(RIGHT[name], columns is not None)
    shape = (n,) if columns is None else (n, columns)
    a = matrix(n) * (0.02 if "unit" in name else 1.0)
    values = [n, columns or 0, a, np.random.default_rng(1).normal(size=shape)]
    both(f, values)
    if (n, columns) in ((0, None), (3, 3)):
        second(f, values)


@pytest.mark.parametrize("ranks", [(2, 2), (2, 1), (1, 2), (1, 1)])
@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("right", [False, True])
def test_matmul(ranks: tuple[int, int], left: bool, right: bool) -> None:
    n, k, m = size("n"), size("k"), size("m")
    params = {"transpose_a": left and ranks[0] == 2, "transpose_b": right and ranks[1] == 2}
    rows, columns = (n, k)[-ranks[0] :], (k, m)[: ranks[1]]
    x = array(*(rows[::-1] if params["transpose_a"] else rows))
    y = array(*(columns[::-1] if params["transpose_b"] else columns))
    f = program([n, k, m, x, y], lambda b: b.library("matmul", x, y, **params))
    for lengths in ((3, 4, 2), (1, 1, 1), (0, 2, 3), (2, 0, 3)):
        by = dict(zip((n, k, m), lengths, strict=True))
        rng = np.random.default_rng(0)
        arrays = [rng.normal(size=[by[e] for e in extents_of(v)]) for v in (x, y)]
        both(f, [*lengths, *arrays])
        if lengths == (3, 4, 2):
            second(f, [*lengths, *arrays])


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("n", [0, 1, 5, 8])
def test_fourier(n: int, inverse: bool) -> None:
    f = fourier(inverse)
    values = [n, np.random.default_rng(n).normal(size=(2, n, 2))]
    both(f, values)
    second(f, values)


FINITE = {
    "lu": square(SQUARE["lu"]),
    "det": square(SQUARE["det"]),
    "logabsdet": square(SQUARE["logabsdet"]),
    "cholesky": square(SQUARE["cholesky"]),
    "eigh": square(SQUARE["eigh"]),
    "sort": square(SQUARE["sort"]),
    **{name: tall(body) for name, body in TALL.items()},
}


@pytest.mark.parametrize("name", FINITE)
def test_finite_differences(name: str) -> None:
    """The real meaning alone, which is LAPACK's."""
    f = FINITE[name]
    a = matrix(4) if len(f.params) == 2 else matrix(6, 4)
    direction = np.random.default_rng(2).normal(size=a.shape)
    sizes = [4] if len(f.params) == 2 else [6, 4]
    pushed = evaluate(jvp(f, [len(sizes)]), [*sizes, a, direction]).values
    h = 1e-6
    ends = [evaluate(f, [*sizes, a + s * h * direction]).values for s in (1, -1)]
    count = len(f.body.outs)
    for k, tangent in enumerate(pushed[count:]):
        np.testing.assert_allclose(tangent, (ends[0][k] - ends[1][k]) / (2 * h), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("rank", [1, 2])
def test_pseudoinverse_of_lower_rank(rank: int) -> None:
    """The derivative along matrices of the same rank."""

    def body(b: Builder, p: Any) -> Any:
        (a,) = b.library("matmul", p, p, transpose_b=True)
        u, s, vt = b.library("svd", a)
        kept = b.map(extents_of(s), lambda i: b.o.select(b.o.lt(i, rank), b.read(s, i), 0.0))
        return b.library("pinv", a, u, kept, vt)

    f, values = tall(body), [5, rank, matrix(5, rank)]
    both(f, values)
    second(f, values)


@pytest.mark.parametrize("zeros", [1, 2])
def test_determinant_of_a_singular_matrix(zeros: int) -> None:
    f = square(SQUARE["det"])
    a = matrix(4)
    a[:, :zeros] = 0.0
    pulled = evaluate(vjp(f, [1]), [4, a, 1.0]).values[1]
    basis = np.eye(16).reshape(16, 4, 4)
    want = [(np.linalg.det(a + 0.5 * e) - np.linalg.det(a - 0.5 * e)) for e in basis]
    np.testing.assert_allclose(pulled.ravel(), want, rtol=1e-10, atol=1e-10)
    tangent = evaluate(jvp(f, [1]), [4, a, basis[2]]).values[1]
    np.testing.assert_allclose(tangent, want[2], rtol=1e-10, atol=1e-10)


def test_values_have_derivatives_where_vectors_have_none() -> None:
    """The sum of squared eigenvalues of the identity, and of its singular values."""

    def squares(b: Builder, w: Any) -> Any:
        return b.reduce("add", extents_of(w), lambda i: b.o.mul(b.read(w, i), b.read(w, i)))

    eigen = square(lambda b, a: squares(b, b.library("eigh", a)[0]))
    singular = tall(lambda b, a: squares(b, b.library("svd", a)[1]))
    for f, values in ((eigen, [3, np.eye(3)]), (singular, [4, 3, np.eye(4, 3)])):
        k = len(values) - 1
        np.testing.assert_allclose(evaluate(vjp(f, [k]), [*values, 1.0]).values[1], 2.0 * values[k], atol=1e-12)
        tangent = evaluate(jvp(f, [k]), [*values, values[k]]).values[1]
        np.testing.assert_allclose(tangent, 6.0)


@pytest.mark.parametrize(
    "f, values, message",
    [
        (square(lambda b, a: b.library("eigh", a)[1:]), [2, np.eye(2)], "distinct eigenvalues"),
        (tall(lambda b, a: b.library("svd", a)[:1]), [2, 2, np.eye(2)], "distinct singular values"),
        (tall(lambda b, a: b.library("svd", a)[:1]), [3, 2, np.diag([1.0, 0, 0])[:, :2]], "distinct singular values"),
        (square(by_factors("logabsdet")), [2, np.ones((2, 2))], "Singular matrix"),
        (tall(lambda b, a: b.library("qr", a)[:1]), [3, 2, np.zeros((3, 2))], "singular"),
    ],
)
def test_no_derivative(f: Function, values: list[Any], message: str) -> None:
    k, out = len(values) - 1, evaluate(f, values).values[0]
    with pytest.raises(np.linalg.LinAlgError, match=message):
        evaluate(jvp(f, [k]), [*values, values[k]])
    with pytest.raises(np.linalg.LinAlgError, match=message):
        evaluate(vjp(f, [k]), [*values, np.ones_like(out)])


@pytest.mark.parametrize("inside", ["for", "loop", "while", "if"])
def test_inside(inside: str) -> None:
    """Operations in bodies: their results are kept as those of any nested statement, or had again."""
    n = size()
    a, x = array(n, n), array(n)

    def step(b: Builder, y: Any) -> Any:
        return b.library("factored_solve", a, *b.library("lu", a), y)[0]

    def body(b: Builder) -> Any:
        o = b.o
        match inside:
            case "for":
                scaled = lambda i: b.map(n, lambda j: o.mul(b.read(x, j), b.read(a, i, i)))  # noqa: E731
                return b.map(3, lambda i: step(b, scaled(i)))
            case "loop":
                return b.loop(3, [x], lambda i, y: step(b, y))
            case "while":
                small = lambda y, k: o.lt(k, 3)  # noqa: E731
                return b.while_(
                    [x, 0], small, lambda y, k: [step(b, b.map(n, lambda i: o.sin(b.read(y, i)))), o.add(k, 1)]
                )
            case _:
                positive = o.gt(b.read(x, 0), 0.0)
                return b.if_(positive, lambda: step(b, step(b, x)), lambda: b.copy(x))

    f = program([n, a, x], body)
    values = [4, matrix(4), np.random.default_rng(0).normal(size=4)]
    both(f, values)
    second(f, values)
    both(f, [4, matrix(4), -values[2]])


def test_one_factorisation_serves_every_order() -> None:
    """The Hessian of a linear system's solution factors its matrix once."""
    from iverson.core.rewrite import statements
    from iverson.core.syntax import Library

    f = with_right(solved(False), False)
    g = jvp(vjp(f, [2, 3]), [2, 3, 4])
    names = [let.op.name for let in statements(g.body) if isinstance(let.op, Library)]
    assert names.count("lu") == 1 and names.count("factored_solve") > 2


def test_single_precision() -> None:
    n = size()
    a = array(n, n, dtype=F32)
    f = program([n, a], lambda b: b.library("cholesky", spd_single(b, a)))
    value = matrix(3).astype(np.float32)
    g = vjp(f, [1])
    out = evaluate(g, [3, value, np.ones((3, 3), np.float32)]).values[1]
    assert out.dtype == np.float32
    wide = evaluate(vjp(square(SQUARE["cholesky"]), [1]), [3, matrix(3), np.ones((3, 3))]).values[1]
    np.testing.assert_allclose(out, wide, rtol=1e-4, atol=1e-5)


def spd_single(b: Builder, a: Any) -> Any:
    n = extents_of(a)[0]
    assert isinstance(a.type, Array)
    (p,) = b.library("matmul", a, a, transpose_b=True)
    unit = lambda i, j: b.cast(b.o.select(b.o.eq(i, j), 1.0, 0.0), F32)  # noqa: E731
    return b.map((n, n), lambda i, j: b.o.add(b.read(p, i, j), unit(i, j)))


def fourier(inverse: bool) -> Function:
    rows = size()
    x = array(2, rows, 2)
    return program([rows, x], lambda b: b.library("fft", x, inverse=inverse))


def product() -> Function:
    n, m = size("n"), size("m")
    x, y = array(n, m), array(m, n)
    return program([n, m, x, y], lambda b: b.library("matmul", x, y))


TIGHT: dict[str, tuple[Function, list[Any]]] = {
    **{name: (square(body), [4, matrix(4)]) for name, body in SQUARE.items()},
    **{name: (tall(body), [6, 4, matrix(6, 4)]) for name, body in TALL.items()},
    **{name: (with_right(body, True), [4, 3, matrix(4), matrix(4, 3, seed=1)]) for name, body in RIGHT.items()},
    "fft": (fourier(False), [5, np.random.default_rng(5).normal(size=(2, 5, 2))]),
    "inverse fft": (fourier(True), [5, np.random.default_rng(5).normal(size=(2, 5, 2))]),
    "matmul": (product(), [4, 3, matrix(4, 3), matrix(3, 4, seed=1)]),
}
WITHOUT = {"argsort", "sort_by_bin"}  # orders
CONSTANT = {"mapped"}
ALONG = {"gaps"}  # what derivatives of eigh and svd are made of: differentiated in their second orders


@pytest.mark.parametrize("name", TIGHT)
def test_transpose_identity_is_tight(name: str) -> None:
    """<Jᵀ ȳ, ẋ> = <ȳ, J ẋ> to 1e-10, with both modes' own programs, of first and second order."""
    f, values = TIGHT[name]
    wrt = [k for k, v in enumerate(values) if isinstance(v, np.ndarray)]
    given = [*values, *(np.random.default_rng(7).normal(size=values[k].shape) for k in wrt)]
    for g, arguments in ((f, values), (jvp(f, wrt), given)):
        rng = np.random.default_rng(0)
        active = [k for k, v in enumerate(arguments) if isinstance(v, np.ndarray)]
        outs = evaluate(g, arguments).values
        floats = [k for k, y in enumerate(outs) if np.asarray(y).dtype.kind == "f"]
        directions = [rng.normal(size=arguments[k].shape) for k in active]
        cotangents = [rng.normal(size=np.shape(outs[k])) for k in floats]
        forward = evaluate(jvp(g, active), [*arguments, *directions]).values[len(outs) :]
        back = evaluate(vjp(g, active), [*arguments, *cotangents]).values[len(outs) :]
        tangents = [forward[k] for k in floats]
        np.testing.assert_allclose(dot(cotangents, tangents), dot(back, directions), rtol=1e-10)


def test_every_row_is_among_them() -> None:
    used = {let.op.name for f, _ in TIGHT.values() for let in statements(f.body) if isinstance(let.op, Library)}
    assert used | WITHOUT | ALONG | CONSTANT == set(TABLE)
