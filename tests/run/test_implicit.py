"""`iv.linear_solve`, `iv.root`, `iv.fixed_point`, `iv.minimize`: solutions, their derivatives, and what goes wrong."""

import sys
import warnings

import numpy as np
import pytest

import iverson as iv
from iverson.core.evaluate import evaluate
from iverson.opt.pipeline import optimise

RNG = np.random.default_rng(0)
A = RNG.normal(size=(6, 6)) + 6.0 * np.eye(6)
S = A @ A.T
B = np.arange(6.0) + 1.0


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setenv("IVERSON_LEVEL", "0")


# --- linear systems ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["gmres", "cg"])
def test_linear_solve(method):
    solve = iv.jit(lambda a, b: iv.linear_solve(lambda x: a @ x, b, method=method))
    a = S if method == "cg" else A
    np.testing.assert_allclose(solve(a, B), np.linalg.solve(a, B))
    np.testing.assert_allclose(solve(a, 0.0 * B), 0.0 * B)
    np.testing.assert_allclose(solve(a.astype(np.float32), B.astype(np.float32)), np.linalg.solve(a, B), rtol=1e-3)


@pytest.mark.parametrize("method", ["gmres", pytest.param("cg", marks=pytest.mark.slow)])
def test_derivatives_of_linear_solutions(method):
    a = S if method == "cg" else A

    def symmetric(a):
        return 0.5 * (a + a.T) if method == "cg" else a

    def free(a, b):
        return (iv.linear_solve(lambda x: symmetric(a) @ x, b, method=method) ** 2).sum()

    def dense(a, b):
        return (np.linalg.solve(symmetric(a), b) ** 2).sum()

    for got, want in zip(iv.grad(free, argnums=(0, 1))(a, B), iv.grad(dense, argnums=(0, 1))(a, B), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-7, atol=1e-10)
    assert np.isclose(iv.jvp(free, (a, B), (A, B))[1], iv.jvp(dense, (a, B), (A, B))[1])
    second, expected = (iv.hvp(f, argnums=(0, 1))(a, B, (A, B)) for f in (free, dense))
    for got, want in zip(second, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-9)


def test_linear_solve_of_trees_from_a_start_with_a_preconditioner():
    b = {"u": B[:4], "v": 2.0}

    def matvec(x):
        return {"u": 3.0 * x["u"] + x["v"], "v": x["u"].sum() + 9.0 * x["v"]}

    def preconditioner(x):
        return {"u": x["u"] / 3.0, "v": x["v"] / 9.0}

    x = iv.linear_solve(matvec, b, b, preconditioner=preconditioner)
    back = matvec(x)
    np.testing.assert_allclose(back["u"], b["u"])
    assert np.isclose(back["v"], 2.0)
    slope = iv.grad(lambda c: iv.linear_solve(lambda x: c * A @ x, B, preconditioner=lambda x: x / c).sum())(2.0)
    assert np.isclose(slope, -np.linalg.solve(A, B).sum() / 4.0)


def test_restarts():
    n = 40
    a = np.diag(np.linspace(1.0, 3.0, n)) + np.diag(np.full(n - 1, 0.4), 1)
    b = np.ones(n)
    got = iv.linear_solve(lambda x: np.linspace(1.0, 3.0, n) * x + np.append(0.4 * x[1:], 0.0), b, restart=5)
    np.testing.assert_allclose(got, np.linalg.solve(a, b))


# --- equations --------------------------------------------------------------------------------------------------------


def square_root(a):
    return iv.root(lambda x: x * x - a, 1.0)


def test_root_and_its_derivatives():
    assert np.isclose(square_root(4.0), 2.0)
    assert np.isclose(iv.grad(square_root)(4.0), 0.25)
    assert np.isclose(iv.jvp(square_root, (4.0,), (2.0,))[1], 0.5)
    for second in (iv.grad(iv.grad(square_root)), lambda a: iv.jvp(iv.grad(square_root), (a,), (1.0,))[1]):
        assert np.isclose(second(4.0), -1.0 / 32.0)
    x = np.arange(1.0, 7.0)
    np.testing.assert_allclose(iv.vmap(iv.grad(square_root))(x), 0.5 / np.sqrt(x))


@pytest.mark.parametrize("method", ["newton", pytest.param("krylov", marks=pytest.mark.slow)])
def test_root_of_trees(method):
    def solution(p, q):
        def f(x, q):
            return {"u": x["u"] ** 3 + p * x["v"] - q, "v": 2.0 * x["v"] - x["u"].sum()}

        return iv.root(f, {"u": np.ones(5), "v": 1.0}, (q,), method=method)

    x = solution(0.3, 1.0)
    np.testing.assert_allclose(x["u"] ** 3 + 0.3 * x["v"], 1.0)
    up, down = solution(0.3 + 1e-5, 1.0), solution(0.3 - 1e-5, 1.0)
    forward, backward = (j(solution, argnums=(0, 1))(0.3, 1.0) for j in (iv.jacfwd, iv.jacrev))
    np.testing.assert_allclose(forward["u"][0], (up["u"] - down["u"]) / 2e-5, rtol=1e-6)
    for k in (0, 1):
        np.testing.assert_allclose(forward["u"][k], backward["u"][k])


def test_fixed_point():
    def dottie(c):
        return iv.fixed_point(lambda x, c: np.cos(c * x), 1.0, (c,))

    x = dottie(1.0)
    assert np.isclose(x, 0.7390851332151607)
    assert np.isclose(iv.grad(dottie)(1.0), -np.sin(x) * x / (1.0 + np.sin(x)))
    slope = iv.jit(lambda c: iv.grad(dottie)(c))
    assert np.isclose(iv.grad(iv.grad(dottie))(0.8), (slope(0.8 + 1e-4) - slope(0.8 - 1e-4)) / 2e-4)


def test_minimum():
    def f(x, a):
        return (np.cosh(x - a) + 0.1 * x[0] * x).sum()

    def least(a):
        return iv.minimize(f, np.zeros(3), (a,))

    a = np.array([0.5, -1.0, 2.0])
    np.testing.assert_allclose(iv.grad(f)(least(a), a), 0.0, atol=1e-6)
    h = iv.hessian(f)(least(a), a)
    mixed = iv.jacfwd(iv.grad(f), argnums=1)(least(a), a)
    np.testing.assert_allclose(iv.jacrev(least)(a), -np.linalg.solve(h, mixed), atol=1e-7)
    np.testing.assert_allclose(iv.jacfwd(least)(a), -np.linalg.solve(h, mixed), atol=1e-7)


def test_memory_does_not_depend_on_the_turns():
    def slow(c, x):
        return iv.fixed_point(lambda y: x - c * y, np.zeros(8), tol=1e-9).sum()

    program = optimise(iv.grad(slow).staged((0.5, np.ones(8)), {}).function)
    costs = [evaluate(program, [c, 8, np.ones(8)]).cost for c in (0.5, 0.99)]
    assert costs[1].work > 20 * costs[0].work
    assert costs[1].peak == costs[0].peak


@pytest.mark.skipif(sys.platform != "linux", reason="the units of ru_maxrss are Linux's")
def test_the_process_needs_no_more_memory_for_more_turns():
    """A solve of a thousand steps over vectors of a megabyte, after one of ten: its states would be a gigabyte."""
    resource = pytest.importorskip("resource")
    n = 2**17

    def total(b, rate):
        return np.sum(iv.fixed_point(lambda x, b, rate: rate * x + b, np.zeros(n), (b, rate), tol=1e-9) ** 2)

    slope = iv.value_and_grad(total, argnums=(0, 1))
    peaks = []
    for rate in (0.1, 0.98):
        got = slope(np.ones(n), rate)[1][0]
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        np.testing.assert_allclose(got, 2.0 / (1.0 - rate) ** 2, rtol=1e-6)
    assert peaks[1] <= 1.05 * peaks[0]


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("solve", "says"),
    [
        (lambda how: iv.root(lambda x: x * x + 1.0, 1.1, maxiter=20, **how), "has not converged in 20 turns"),
        (lambda how: iv.fixed_point(lambda x: 2.0 * x, 1.0, maxiter=9, **how), "not converged in 9 turns"),
        (lambda how: iv.minimize(lambda x: -x, 1.0, maxiter=9, **how), "BFGS has not converged"),
        (lambda how: iv.linear_solve(lambda x: 0.0 * x, B, **how), "GMRES has not converged"),
        (lambda how: iv.linear_solve(lambda x: -x * B, B, method="cg", maxiter=2, **how), "conjugate gradients"),
    ],
)
def test_what_does_not_converge_may_be_an_error(solve, says):
    with pytest.raises(RuntimeError, match=says):
        solve({"unconverged": "raise"})


@pytest.mark.parametrize(
    ("call", "kind", "says"),
    [
        (lambda: iv.linear_solve(lambda x: x[:3], B), ValueError, "result of matvec must have the shape of the right"),
        (lambda: iv.linear_solve(lambda x: x, B, method="lu"), ValueError, "'gmres' or 'cg', not 'lu'"),
        (lambda: iv.linear_solve(lambda x: x, 3), TypeError, "floats of one dtype, not int64"),
        (lambda: iv.root(lambda x: (x, x), 1.0), TypeError, "must have the structure of x0"),
        (lambda: iv.root(lambda x: x, 1.0, method="secant"), ValueError, "'newton' or 'krylov'"),
    ],
)
def test_mistakes(call, kind, says):
    with pytest.raises(kind, match=says):
        call()


def test_what_has_not_converged_is_a_warning():
    with pytest.warns(RuntimeWarning, match="the iteration has not converged in 4 turns") as issued:
        assert iv.fixed_point(lambda x: 2.0 * x, 1.0, maxiter=4) == 16.0
    assert issued[0].filename == __file__
    with pytest.warns(RuntimeWarning, match="GMRES has not converged in 1 turns"):
        iv.grad(lambda a: iv.linear_solve(lambda x: a @ x, B, maxiter=1).sum())(A)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert iv.fixed_point(lambda x: 2.0 * x, 1.0, maxiter=4, unconverged="ignore") == 16.0
        iv.root(lambda x: x * x - 2.0, np.ones(5), method="krylov")
    with pytest.raises(ValueError, match="'warn', 'raise' or 'ignore', not 'stop'"):
        iv.fixed_point(np.cos, 1.0, unconverged="stop")


# --- which solver -----------------------------------------------------------------------------------------------------


def test_the_solution_and_its_derivative_don_t_depend_on_the_solver() -> None:
    def descent(f, x0):
        x = x0
        for _ in range(80):
            x = x - 0.2 * iv.grad(f)(x)
        return x

    a = np.array([1.0, 2.0, 3.0])
    for method in ("bfgs", "lbfgs", descent):
        least = lambda a, m=method: iv.minimize(lambda x: np.sum((x - a**2) ** 2), np.zeros(3), method=m)  # noqa: E731
        np.testing.assert_allclose(least(a), a**2, rtol=1e-7)
        np.testing.assert_allclose(iv.jacrev(least)(a), np.diag(2 * a), rtol=1e-7, atol=1e-9)


def test_roots_and_fixed_points_by_other_solvers() -> None:
    def bisection(f, x0):
        low, high = 0.0, x0
        for _ in range(60):
            middle = 0.5 * (low + high)
            if f(middle) < 0.0:
                low = middle
            else:
                high = middle
        return 0.5 * (low + high)

    def twice(f, x0):
        x = x0
        for _ in range(40):
            x = {"p": f(f(x))["p"]}
        return x

    assert abs(iv.grad(lambda a: iv.root(lambda x: x * x - a, 10.0, method=bisection))(4.0) - 0.25) < 1e-12
    at = iv.fixed_point(lambda x: 0.6 * np.cos(x), 1.0)
    for method in ("iteration", "anderson", twice):

        def solved(a, method=method):
            return iv.fixed_point(lambda tree: {"p": a * np.cos(tree["p"])}, {"p": 1.0}, method=method)["p"]

        np.testing.assert_allclose(iv.grad(solved)(0.6), np.cos(at) / (1.0 + 0.6 * np.sin(at)), rtol=1e-8)
    with pytest.raises(ValueError, match="method is 'bfgs' or 'lbfgs', or a function"):
        iv.minimize(lambda x: x * x, 1.0, method="newton")
