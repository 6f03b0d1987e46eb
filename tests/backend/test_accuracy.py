"""Elementary functions in vectorised loops against mpmath, in units of the last place."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from iverson.backend import cpu, elementary
from iverson.core.prims import TABLE
from iverson.core.syntax import F32, F64
from tests.backend.harness import Loop, loop

COUNT = 150
# name: (reference, ulp allowed, domain)
UNARY = {
    "exp": (mpmath.exp, 1.0, (-745.0, 709.7)),
    "exp2": (lambda x: mpmath.power(2, x), 1.2, (-1074.0, 1023.9)),
    "expm1": (mpmath.expm1, 1.9, (-50.0, 709.7)),
    "log": (mpmath.log, 0.8, (0.0, np.inf)),
    "log2": (lambda x: mpmath.log(x, 2), 0.7, (0.0, np.inf)),
    "log10": (mpmath.log10, 0.7, (0.0, np.inf)),
    "log1p": (mpmath.log1p, 0.9, (-1.0, np.inf)),
    "tanh": (mpmath.tanh, 2.2, (-np.inf, np.inf)),
    "sinh": (mpmath.sinh, 1.9, (-710.0, 710.0)),
    "cosh": (mpmath.cosh, 1.6, (-710.0, 710.0)),
    "asinh": (mpmath.asinh, 1.9, (-np.inf, np.inf)),
    "acosh": (mpmath.acosh, 1.9, (1.0, np.inf)),
    "atanh": (mpmath.atanh, 1.6, (-1.0, 1.0)),
    "sigmoid": (lambda x: 1 / (1 + mpmath.exp(-x)), 2.0, (-745.0, np.inf)),
    "softplus": (lambda x: mpmath.log1p(mpmath.exp(x)), 1.6, (-745.0, 700.0)),
    "sin": (mpmath.sin, 1.5, (-np.inf, np.inf)),
    "cos": (mpmath.cos, 1.5, (-np.inf, np.inf)),
    "tan": (mpmath.tan, 2.6, (-np.inf, np.inf)),
    "asin": (mpmath.asin, 1.2, (-1.0, 1.0)),
    "acos": (mpmath.acos, 1.2, (-1.0, 1.0)),
    "atan": (mpmath.atan, 1.2, (-np.inf, np.inf)),
    "cbrt": (lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)), 0.6, (-np.inf, np.inf)),
    "erf": (mpmath.erf, 1.2, (-10.0, 10.0)),
    "erfc": (mpmath.erfc, 4.0, (-6.0, 26.5)),
}


@pytest.fixture(autouse=True)
def precision():
    with mpmath.workprec(1200):  # enough to reduce the largest argument of a sine
        yield


def points(low: float, high: float) -> np.ndarray:
    rng = np.random.default_rng(1)
    u = rng.uniform
    near_multiples = rng.integers(-(2**38), 2**38, COUNT) * (np.pi / 2) * (1 + u(-1, 1, COUNT) * 1e-15)
    sets = [
        u(-1, 1, COUNT),
        u(-10, 10, COUNT),
        u(-750, 710, COUNT),
        u(-1, 1, COUNT) * 10.0 ** u(-20, 0, COUNT),
        1 + u(-1, 1, COUNT) * 10.0 ** u(-16, 0, COUNT),
        -1 + 10.0 ** u(-16, 0, COUNT),
        10.0 ** u(-307, 307, COUNT),
        near_multiples,
        np.array([2.0**40, 2.0**40 + 1, 1e22, 5319372648326541.0 * 2.0**971 / 4]),
    ]
    x = np.concatenate(sets)
    return x[(x > low) & (x < high)]


def worst(x: tuple[np.ndarray, ...], y: np.ndarray, exact: list[mpmath.mpf]) -> tuple[float, tuple]:
    unit = [mpmath.mpf(float(np.spacing(np.abs(y.dtype.type(float(e)))))) for e in exact]
    errors = [float(abs(mpmath.mpf(float(v)) - e) / u) for v, e, u in zip(y, exact, unit, strict=True)]
    i = int(np.argmax(errors))
    return errors[i], (*(float(a[i]) for a in x), float(y[i]), float(exact[i]))


@pytest.mark.parametrize("name", UNARY)
def test_double(name: str) -> None:
    reference, allowed, domain = UNARY[name]
    x = points(*domain)
    error, where = worst((x,), loop(name, F64)(x), [reference(mpmath.mpf(float(a))) for a in x])
    assert error <= allowed, where


@pytest.mark.parametrize("name", UNARY)
def test_single(name: str) -> None:
    reference, allowed, (low, high) = UNARY[name]
    if name not in elementary.UNARY:  # computed in double precision
        allowed = 0.51
    low, high = (limit / 8 if 2 < abs(limit) < np.inf else limit for limit in (low, high))
    with np.errstate(over="ignore"):
        x = points(low, high).astype(np.float32)
    x = x[(x > low) & (x < high) & (np.abs(x) < 1e37)]
    error, where = worst((x,), loop(name, F32)(x), [reference(mpmath.mpf(float(a))) for a in x])
    assert error <= allowed + 0.1, where


def test_pow() -> None:
    rng = np.random.default_rng(2)
    base = np.concatenate([10.0 ** rng.uniform(-300, 300, COUNT), 1 + rng.uniform(-1, 1, COUNT) * 1e-8])
    exponent = rng.uniform(-700, 700, 2 * COUNT) / np.abs(np.log(base))
    exact = [mpmath.power(mpmath.mpf(float(a)), mpmath.mpf(float(b))) for a, b in zip(base, exponent, strict=True)]
    error, where = worst((base, exponent), loop("pow", F64)(base, exponent), exact)
    assert error <= 1.2, where


@pytest.mark.parametrize(("name", "reference", "allowed"), [("atan2", mpmath.atan2, 2.0), ("hypot", mpmath.hypot, 1.1)])
def test_two_arguments(name: str, reference, allowed: float) -> None:
    rng = np.random.default_rng(3)
    x, y = (np.concatenate([rng.normal(size=COUNT), 10.0 ** rng.uniform(-150, 150, COUNT)]) for _ in range(2))
    exact = [reference(mpmath.mpf(float(a)), mpmath.mpf(float(b))) for a, b in zip(x, y, strict=True)]
    error, where = worst((x, y), loop(name, F64)(x, y), exact)
    assert error <= allowed, where


@pytest.mark.parametrize("order", [1, 2, 3, 6])
def test_polygamma(order: int) -> None:
    x = np.concatenate([np.linspace(0.05, 30, 20), -np.linspace(0.1, 5, 20) + 0.01, [1e3, 1e10]])
    y = loop("polygamma", F64)(np.full(len(x), order), x)
    with mpmath.workprec(200):
        exact = np.array([float(mpmath.polygamma(order, mpmath.mpf(float(a)))) for a in x])
    np.testing.assert_allclose(y, exact, rtol=2e-12)


def test_powers_of_ten_and_two_have_exact_logarithms() -> None:
    n = np.arange(23.0)
    np.testing.assert_array_equal(loop("log10", F64)(10.0**n), n)
    n = np.arange(-1074.0, 1024.0)
    np.testing.assert_array_equal(loop("log2", F64)(2.0**n), n)
    np.testing.assert_array_equal(loop("exp2", F64)(n), 2.0**n)


@pytest.mark.parametrize("dtype", [F64, F32])
@pytest.mark.parametrize(("name", "function"), [("mod", np.mod), ("floordiv", np.floor_divide)])
def test_remainders_are_exact(name: str, function, dtype) -> None:
    rng = np.random.default_rng(4)
    n = 5000
    a = [rng.normal(size=n) * 10.0 ** rng.uniform(-10, 10, n), rng.integers(-(10**6), 10**6, n) * 0.1]
    b = [rng.normal(size=n), np.full(n, 0.1)]
    if dtype is F64:
        a += [rng.integers(-(10**15), 10**15, n) * 1.0, 10.0 ** rng.uniform(-310, 308, n)]
        b += [rng.integers(1, 1000, n) * 1.0, 10.0 ** rng.uniform(-310, 308, n)]
    x, y = np.concatenate(a).astype(dtype.value), np.concatenate(b).astype(dtype.value)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(loop(name, dtype)(x, y), function(x, y))


def test_without_avx512(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bits from narrower instruction sets: nothing depends on one."""
    if "+avx512f" not in cpu.features():
        pytest.skip("nothing narrower than this machine to compare with")
    x, y = points(-700.0, 700.0), points(-1e300, 1e300)[: len(points(-700.0, 700.0))]
    names = [*UNARY, "pow", "atan2", "hypot", "mod"]
    wide = {name: loop(name, F64)(*(x, y)[: TABLE[name].arity]) for name in names}
    narrow = ",".join(f for f in cpu.features().split(",") if "avx512" not in f and "256" not in f)
    monkeypatch.setattr(cpu, "features", lambda: f"{narrow},-avx512f")
    cpu._machine.cache_clear()
    try:
        for name in names:
            alone = Loop(name, F64)
            assert "zmm" not in cpu.assembly(alone.text)
            np.testing.assert_array_equal(alone(*(x, y)[: TABLE[name].arity]), wide[name], err_msg=name)
    finally:
        cpu._machine.cache_clear()
