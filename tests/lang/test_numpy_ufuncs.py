"""Every ufunc of the table against NumPy and SciPy themselves: dtypes, broadcasting, empty arrays, ufunc methods."""

import numpy as np
import pytest
from scipy import special

from iverson.lang import scalars
from iverson.lang.specials import ROWS, SPECIAL
from tests.lang.staging_oracle import run

RNG = np.random.default_rng(5)
DTYPES = ["bool", "int32", "int64", "float32", "float64"]
NAMES = {f.__name__: f for f in ROWS}

# Where a function is defined, if not everywhere.
POSITIVE = ["sqrt", "log", "log2", "log10", "log1p", "y0", "y1", "loggamma", "entr", "betaln", "beta", "xlogy", "pow"]
RANGES = {
    **dict.fromkeys(POSITIVE, (0.25, 3.0)),
    **dict.fromkeys(("arcsin", "arccos", "arctanh", "erfinv", "xlog1py"), (-0.9, 0.9)),
    "power": (0.25, 3.0),
    "float_power": (0.25, 3.0),
    "arccosh": (1.0, 4.0),
    "logit": (0.1, 0.9),
    "digamma": (0.5, 4.0),
    "psi": (0.5, 4.0),
    "rel_entr": (0.25, 3.0),
    "kl_div": (0.25, 3.0),
    "huber": (0.25, 3.0),
    "pseudo_huber": (0.25, 3.0),
}
# Divisors of integers aren't 0, and shifts and exponents are small.
NATURAL = [
    "floor_divide",
    "remainder",
    "fmod",
    "divmod",
    "left_shift",
    "right_shift",
    "power",
    "reciprocal",
    "gcd",
    "lcm",
]


def sample(function, dtype, shape, k):
    """Random values that a function is defined at."""
    low, high = RANGES.get(function.__name__, (-3.0, 3.0))
    if dtype == "bool":
        return (
            np.ones(shape, bool) if function.__name__ in NATURAL or low > 0 else RNG.integers(0, 2, shape).astype(bool)
        )
    if dtype.startswith("int"):
        natural = function.__name__ in NATURAL or low >= 0 or low > -1
        return RNG.integers(1 if natural else -4, 5, shape).astype(dtype)
    return RNG.uniform(low, high, shape).astype(dtype)


def expected_dtype(dtype):
    """What the table computes in where NumPy takes a dtype that programs don't have."""
    return np.dtype(scalars.WIDENED[dtype.name].value) if dtype.name in scalars.WIDENED else dtype


def check(got, expected, tolerance=None):
    if isinstance(expected, tuple | list):
        assert len(got) == len(expected)
        for g, e in zip(got, expected, strict=True):
            check(g, e, tolerance)
        return
    expected = np.asarray(expected)
    want = expected_dtype(expected.dtype)
    assert got.shape == expected.shape
    assert got.dtype == want
    if tolerance is None:
        tolerance = {"float16": 2e-2, "float32": 2e-5, "complex64": 2e-5}.get(expected.dtype.name, 1e-11)
    np.testing.assert_allclose(got, expected.astype(want), rtol=tolerance, atol=tolerance)


def quiet(f, *args):
    with np.errstate(all="ignore"):
        return f(*args)


def takes(function, *dtypes):
    """Whether NumPy has a loop for these dtypes."""
    try:
        function.resolve_dtypes((*map(np.dtype, dtypes), *[None] * function.nout))
    except TypeError:
        return False
    return True


UNARY = sorted(name for name, f in NAMES.items() if f.nin == 1)
BINARY = sorted(name for name, f in NAMES.items() if f.nin == 2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", UNARY)
def test_unary(name, dtype):
    f = NAMES[name]
    if not takes(f, dtype):
        pytest.skip("NumPy has no such loop")
    for shape in [(6,), (0,), (1,), (2, 7), (5, 1, 3)]:
        x = sample(f, dtype, shape, 0)
        check(run(f, x), quiet(f, x))
    x = sample(f, dtype, (), 0)[()]
    check(run(f, x), quiet(f, x))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BINARY)
def test_binary(name, dtype):
    f = NAMES[name]
    other = "int32" if name == "ldexp" else dtype
    if not takes(f, dtype, other):
        pytest.skip("NumPy has no such loop")
    for p, q in [((6,), (6,)), ((0,), (0,)), ((6, 1), (5,)), ((2, 3), (1, 3)), ((1,), (5,)), ((7,), ())]:
        x, y = sample(f, dtype, p, 0), sample(f, other, q, 1)
        check(run(f, x, y[()] if y.ndim == 0 else y), quiet(f, x, y))


@pytest.mark.parametrize("name", BINARY)
def test_mixed_dtypes_promote_as_in_numpy(name):
    f = NAMES[name]
    for p in DTYPES:
        for q in DTYPES:
            if p != q and takes(f, p, q):
                x, y = sample(f, p, (3,), 0), sample(f, q, (3,), 1)
                with np.errstate(all="ignore"):
                    want = f(x, y)
                check(run(f, x, y), want, 1e-4 if "float32" in (p, q) else 2e-2 if want_half(want) else None)


def want_half(value):
    return any(np.asarray(v).dtype == np.float16 for v in (value if isinstance(value, tuple) else (value,)))


@pytest.mark.parametrize("name", [n for n in BINARY if n != "ldexp"])
@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_python_numbers_are_weak(name, dtype):
    f = NAMES[name]
    number = 2 if name not in RANGES or name in ("power", "float_power") else 0.5
    x = sample(f, dtype, (3,), 0)
    try:
        want = quiet(f, x, number)
    except TypeError:
        pytest.skip("NumPy has no such loop")
    check(run(lambda v: f(v, number), x), want)


SPECIAL_VALUES = np.array([0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 1e-300, 1e300, np.inf, -np.inf, np.nan])
# At infinity these are the limits where SciPy has NaN, and they may be infinite a little earlier or later.
SMOOTH_ONLY = {
    "gamma",
    "rgamma",
    "gammasgn",
    "beta",
    "betaln",
    "ldexp",
    "logit",
    "kl_div",
    "float_power",
    "power",
    "pseudo_huber",
    "rel_entr",
    "gammaln",
    "j0",
    "j1",
    "y0",
    "y1",
}


@pytest.mark.parametrize("name", [n for n in UNARY if n not in SMOOTH_ONLY and takes(NAMES[n], "float64")])
def test_special_values_unary(name):
    f = NAMES[name]
    got, want = run(f, SPECIAL_VALUES), quiet(f, SPECIAL_VALUES)
    for g, w in zip(got, want, strict=True) if isinstance(want, tuple) else [(got, want)]:
        np.testing.assert_allclose(g, w, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", [n for n in BINARY if n not in SMOOTH_ONLY and takes(NAMES[n], "float64", "float64")])
def test_special_values_binary(name):
    f = NAMES[name]
    x, y = SPECIAL_VALUES[:, None], SPECIAL_VALUES[None, :]
    got, want = run(f, x, y), quiet(f, x, y)
    for g, w in zip(got, want, strict=True) if isinstance(want, tuple) else [(got, want)]:
        np.testing.assert_allclose(g, w, rtol=1e-9, atol=1e-12)


# --- ufunc methods ----------------------------------------------------------------------------------------------------

REDUCTIONS = ["add", "multiply", "maximum", "minimum", "logical_and", "logical_or", "logaddexp", "fmax", "fmin"]


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reduce_and_accumulate(name):
    f = NAMES[name]
    for shape in [(4,), (2, 3), (1, 3)]:
        x = RNG.normal(size=shape)
        check(run(lambda v: f.reduce(v), x), f.reduce(x))
        check(run(lambda v: f.reduce(v, axis=-1, keepdims=True), x), f.reduce(x, axis=-1, keepdims=True))
        check(run(lambda v: f.reduce(v, axis=None), x), f.reduce(x, axis=None))
        check(run(lambda v: f.accumulate(v, axis=-1), x), f.accumulate(x, axis=-1))
        check(run(lambda v: f.accumulate(v), x), f.accumulate(x))


@pytest.mark.parametrize(
    "name", ["add", "multiply", "maximum", "bitwise_and", "bitwise_or", "bitwise_xor", "gcd", "lcm"]
)
@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_reduce_of_integers(name, dtype):
    f = NAMES[name]
    x = RNG.integers(1, 30, (3, 4)).astype(dtype)
    check(run(lambda v: f.reduce(v, axis=1), x), f.reduce(x, axis=1))
    check(run(lambda v: f.accumulate(v), x), f.accumulate(x))


@pytest.mark.parametrize("name", ["add", "multiply", "maximum", "logical_xor", "bitwise_xor", "bitwise_and"])
def test_reduce_of_bools(name):
    f = NAMES[name]
    x = RNG.integers(0, 2, (3, 4)).astype(bool)
    check(run(lambda v: f.reduce(v, axis=1), x), f.reduce(x, axis=1))


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "arctan2", "less", "maximum"])
def test_outer(name):
    f = NAMES[name]
    x, y = RNG.normal(size=3), RNG.normal(size=(2, 4))
    check(run(lambda p, q: f.outer(p, q), x, y), f.outer(x, y))


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "maximum", "minimum"])
def test_at_counts_repeated_indices(name):
    f = NAMES[name]
    x, at, v = RNG.normal(size=4), np.array([0, 2, 2, -1, 0]), RNG.normal(size=5)

    def program(x, at, v):
        y = x.copy()
        f.at(y, at, v)
        return y

    check(run(program, x, at, v), program(x, at, v))
    check(run(lambda x: program(x, slice(1, None), 2.0), x), program(x, slice(1, None), 2.0))
    m, i, j = RNG.normal(size=(3, 3)), np.array([0, 1, 0]), np.array([2, 2, 2])
    check(run(lambda m, i, j, v: program(m, (i, j), v), m, i, j, v[:3]), program(m, (i, j), v[:3]))


def test_out_where_and_dtype():
    x, y = RNG.normal(size=(2, 3)), RNG.normal(size=3)

    def into(x, y):
        z = np.zeros((2, 3))
        np.add(x, y, out=z)
        np.multiply(x, 2.0, z, where=x > 0)
        return z

    def plain(x, y):
        return np.where(x > 0, x * 2.0, x + y)

    got = run(lambda x, y: _staged_into(x, y), x, y)
    np.testing.assert_allclose(got, plain(x, y))
    assert into(x, y).shape == got.shape
    check(run(lambda v: np.add(v, 1, dtype=np.float32), x), np.add(x, 1, dtype=np.float32, casting="unsafe"), 1e-6)


def _staged_into(x, y):
    z = x * 0.0
    np.add(x, y, out=z)
    np.multiply(x, 2.0, z, where=x > 0)
    return z


def test_integer_division_by_zero_raises():
    with pytest.raises(ZeroDivisionError):
        run(np.floor_divide, np.array([1, 2]), np.array([1, 0]))


def test_a_ufunc_that_the_table_lacks_says_so():
    with pytest.raises(NotImplementedError, match="nextafter"):
        run(np.nextafter, np.ones(2), np.ones(2))


def test_every_special_function_is_tested():
    assert {f.__name__ for f in SPECIAL} <= {*UNARY, *BINARY}
    assert special.expit in ROWS
