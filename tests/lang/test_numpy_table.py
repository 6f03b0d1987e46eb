"""Every name of the NumPy table against NumPy itself, and every refusal."""

import math
import random
import warnings

import numpy as np
import pytest
from scipy import special

from iverson.lang import functional, table
from iverson.lang import random as keyed
from iverson.lang.mathtable import MATH
from tests.lang import numpy_cases_arrays, numpy_cases_linalg, numpy_cases_numbers
from tests.lang.numpy_cases import CASES
from tests.lang.staging_oracle import run

assert numpy_cases_arrays and numpy_cases_linalg and numpy_cases_numbers  # importing them lists their programs
table.load()


def compare(got, expected):
    if isinstance(expected, tuple | list):
        assert len(got) == len(expected)
        for g, e in zip(got, expected, strict=True):
            compare(g, e)
        return
    expected = np.asarray(expected)
    assert np.shape(got) == expected.shape
    assert np.asarray(got).dtype == expected.dtype
    tolerance = 2e-5 if expected.dtype in (np.float32, np.complex64) else 1e-11
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("program", "args"), [c[2:] for c in CASES], ids=[c[1] for c in CASES])
def test_name(program, args):
    with np.errstate(all="ignore"):
        expected = program(*args)
    compare(run(program, *args), expected)


def is_refused(function):
    return table.FUNCTIONS[function].__qualname__.endswith((".refused", ".refuse"))


def test_every_name_has_a_case():
    tested = {id(c[0]) for c in CASES}
    others = {id(f) for f in (*MATH, np.mgrid, np.ogrid, np.complex64, np.complex128, warnings.warn)}
    others |= {id(getattr(m, name)) for m in (functional, keyed) for name in dir(m)}
    builtins = (
        *("iverson.lang.builtin", "iverson.lang.iterate", "iverson.lang.raising"),
        *("iverson.lang.sketching", "iverson.run.notes"),
    )
    ours = [
        f for f, g in table.FUNCTIONS.items() if g.__module__ not in builtins and not g.__module__.startswith("tests.")
    ]
    missing = [f for f in ours if id(f) not in tested | others and not is_refused(f)]
    assert [getattr(f, "__name__", f) for f in missing] == []


def test_grids():
    compare(run(lambda x: np.mgrid[0 : len(x), 1:4], np.zeros(6)), np.mgrid[0:6, 1:4])
    compare(run(lambda x: np.ogrid[0 : len(x), 1:4], np.zeros(6)), np.ogrid[0:6, 1:4])
    compare(run(lambda x: np.mgrid[0:1:5j], np.zeros(6)), np.mgrid[0:1:5j])


# --- complex numbers --------------------------------------------------------------------------------------------------

Z = np.random.default_rng(4).normal(size=(2, 6, 5)) @ np.array([[1.0 + 0.5j] * 5] * 5) + 1j * np.arange(5)
COMPLEX = {
    "sums": lambda z: (np.sum(z), z.sum(axis=0), np.mean(z, axis=1), np.cumsum(z, axis=0), np.diff(z)),
    "moments": lambda z: (np.var(z), np.std(z, axis=0), np.cov(z), np.linalg.norm(z)),
    "parts": lambda z: (z.real, z.imag, np.conj(z), np.abs(z), np.angle(z), np.isnan(z), np.iscomplexobj(z)),
    "products": lambda z: (z @ z.T, np.vdot(z, z), np.einsum("ij,kj->ik", z, z), np.outer(z[0], z[1]), np.trace(z)),
    "joins": lambda z: (np.concatenate([z, z]), np.stack([z[0], z[1]]), np.tile(z, 2), np.roll(z, 1), np.tril(z)),
    "views": lambda z: (z.T.copy(), np.flip(z, 0), np.diag(z[0]), z.reshape(-1)[::2], np.take(z, [0, 2])),
    "choices": lambda z: (np.where(np.abs(z) > 1, z, 0), np.nonzero(z), np.any(z), np.count_nonzero(z), z == z),
    "creation": lambda z: (np.zeros_like(z), np.full(3, 1j), np.array([1j, z[0, 0]]), np.linspace(0, 1j, 5)),
    "lines": lambda z: (np.convolve(z[0], z[1]), np.correlate(z[0], z[1]), np.round(z, 2), np.allclose(z, z)),
    "functions": lambda z: (np.exp(z), np.log(z), np.sqrt(z), z**2, z / z[0], np.sin(z) * 2j, z.astype(np.complex64)),
}


@pytest.mark.parametrize("name", COMPLEX)
def test_complex(name):
    compare(run(COMPLEX[name], Z[0]), COMPLEX[name](Z[0]))


# --- refusals ---------------------------------------------------------------------------------------------------------

X = np.arange(6.0)
MATRIX = np.eye(5)
GENERATOR = np.random.default_rng(0)

REFUSED = {
    "np.random.normal": lambda x: np.random.normal(size=3) + x[0],
    "np.random.seed": lambda x: np.random.seed(0),
    "a generator": lambda x: x + GENERATOR.normal(size=6),
    "random.random": lambda x: x * random.random(),
    "np.fft.hfft": lambda x: np.fft.hfft(x),
    "np.linalg.eig": lambda x: np.linalg.eig(np.outer(x, x)),
    "np.linalg.qr, all of it": lambda x: np.linalg.qr(np.outer(x, x), mode="complete"),
    "out of np.fft": lambda x: np.fft.fft(x, out=x + 0j),
    "np.union1d": lambda x: np.union1d(x, x),
    "np.quantile by another method": lambda x: np.quantile(x, 0.1, method="lower"),
    "math.frexp": lambda x: math.frexp(x[0]),
    "special.zeta": lambda x: special.zeta(x, 2.0),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_so(name):
    with pytest.raises(NotImplementedError, match=r"test_numpy_table\.py"):
        run(REFUSED[name], X)


def test_all_singular_vectors_are_of_square_matrices():
    with pytest.raises(NotImplementedError, match="full_matrices=False"):
        run(lambda x: np.linalg.svd(np.outer(x, x[:5]))[0], X)


_DECOMPOSITIONS = [n for n in np.linalg.__all__ if n.islower() and callable(getattr(np.linalg, n))]


@pytest.mark.parametrize("name", _DECOMPOSITIONS)
def test_linear_algebra_is_there_or_refused(name):
    function = getattr(np.linalg, name)
    assert function in table.FUNCTIONS or name in ("linalgerror",), name


def test_what_programs_lack():
    with pytest.raises(ValueError, match="must increase"):
        run(lambda x: np.digitize(x, x[::-1]), X)
    with pytest.raises(TypeError, match="float16"):
        run(lambda x: np.zeros(3, dtype=np.float16) + x[0], X)


def test_the_hint_of_np_random_is_iv_random():
    with pytest.raises(NotImplementedError, match=r"iv\.random"):
        run(lambda x: x + np.random.rand(6), X)


# --- errors -----------------------------------------------------------------------------------------------------------

ERRORS = {
    "axis": (np.exceptions.AxisError, lambda x: np.sum(x, axis=3)),
    "duplicate axis": (ValueError, lambda x: np.sum(x[:, None], axis=(0, 0))),
    "empty maximum": (ValueError, lambda x: np.max(x[:0])),
    "empty argmin": (ValueError, lambda x: np.argmin(x[:0])),
    "empty maximum at run time": (ValueError, lambda x: np.max(x[x > 100])),
    "einsum letters": (ValueError, lambda x: np.einsum("ij->i", x)),
    "einsum output": (ValueError, lambda x: np.einsum("i->j", x)),
    "matmul of numbers": (ValueError, lambda x: np.matmul(x, 2.0)),
    "matmul shapes": (ValueError, lambda x: x @ np.ones(4)),
    "concatenate of axes": (ValueError, lambda x: np.concatenate([x, x[:, None]])),
    "concatenate of nothing": (ValueError, lambda x: np.concatenate([])),
    "broadcast_to": (ValueError, lambda x: np.broadcast_to(x, (4, 5))),
    "write into a broadcast": (ValueError, lambda x: np.copyto(np.broadcast_to(x, (2, 6)), 0.0)),
    "squeeze": (ValueError, lambda x: np.squeeze(x[:4], 0)),
    "unequal split": (ValueError, lambda x: np.split(x, 4)),
    "take": (IndexError, lambda x: np.take(x, 9)),
    "bincount of floats": (TypeError, lambda x: np.bincount(x)),
    "bincount of negatives": (ValueError, lambda x: np.bincount(np.array([1, -1]))),
    "histogram range": (ValueError, lambda x: np.histogram(x, 3, (1.0, 0.0))),
    "choose": (ValueError, lambda x: np.choose(np.array([0, 3]), [1, 2])),
    "singular matrix": (ValueError, lambda x: np.linalg.solve(np.zeros((2, 2)), x[:2])),
    "not positive definite": (ValueError, lambda x: np.linalg.cholesky(-np.eye(2) * x[1])),
    "not square": (np.linalg.LinAlgError, lambda x: np.linalg.inv(x.reshape(2, 3))),
    "where of three": (ValueError, lambda x: np.where(x > 0, x)),
    "cast of out": (TypeError, lambda x: np.add(x, 1.5, out=np.zeros(6, int))),
    "mask dtype": (TypeError, lambda x: np.sum(x, where=x)),
    "interp lengths": (ValueError, lambda x: np.interp(0.5, x, x[:3])),
    "linspace": (ValueError, lambda x: np.linspace(0, 1, -1)),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_numpys(name):
    kind, program = ERRORS[name]
    with pytest.raises(kind):
        program(X)
    with pytest.raises(kind):
        run(program, X)


BROKEN = {
    "negative dimensions": (ValueError, lambda x: np.zeros((len(x) - 8, 2))),
    "negative dimensions, known": (ValueError, lambda x: np.ones(-1)),
    "negative repeats": (ValueError, lambda x: np.repeat(x, np.array([1, 2, -1, 1, 1, 1]))),
    "negative repeat": (ValueError, lambda x: np.repeat(x, -1)),
    "no bins": (ValueError, lambda x: np.histogram(x, 0)),
    "falling edges": (ValueError, lambda x: np.histogram(x, np.array([2.0, 1.0, 3.0]))),
    "interp of nothing": (ValueError, lambda x: np.interp(x, x[x > 99], x[x > 99])),
    "quantile of nothing": (IndexError, lambda x: np.quantile(x[x > 99], 0.5)),
    "quantile out of range": (ValueError, lambda x: np.quantile(x, 1.5)),
    "padding with what is not there": (ValueError, lambda x: np.pad(x[x > 99], 1, "edge")),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_numpy_refuses_is_never_read(name):
    kind, program = BROKEN[name]
    with pytest.raises(kind):
        program(X)
    with pytest.raises(kind):
        run(program, X)


def test_interp_of_points_in_disorder_reads_inside():
    points = np.array([3.0, np.nan, 0.0, -1.0, 2.0])
    assert run(lambda p: np.interp(np.linspace(-2, 4, 20), p, p), points).shape == (20,)


def test_median_of_nothing():
    assert np.isnan(run(lambda x: np.median(x[x > 99]), X))


# --- math -------------------------------------------------------------------------------------------------------------

ONE = {
    **dict.fromkeys(MATH, 0.6),
    math.acosh: 1.7,
    math.comb: (7, 3),
    math.perm: (6, 2),
    math.factorial: 6,
    math.isqrt: 50,
    math.gcd: (12, 18, 8),
    math.lcm: (4, 6),
    math.ldexp: (0.75, 5),
    math.atan2: (0.5, -0.3),
    math.copysign: (0.5, -0.3),
    math.fmod: (-7.5, 2.0),
    math.pow: (1.5, 2.5),
    math.remainder: (7.5, 2.0),
    math.hypot: (3.0, 4.0, 12.0),
    math.dist: ((0.0, 1.0), (3.0, 5.0)),
    math.isclose: (1.0, 1.0 + 1e-10),
}


@pytest.mark.parametrize("function", list(MATH), ids=lambda f: f.__name__)
def test_math(function):
    args = ONE[function] if isinstance(ONE[function], tuple) else (ONE[function],)
    compare(run(function, *args), function(*args))
    if all(isinstance(a, float) for a in args):
        compare(run(lambda *a: function(*(-x for x in a)), *[-a for a in args]), function(*args))


def test_math_beyond_pythons_domain_follows_numpy():
    assert np.isnan(run(lambda x: math.sqrt(x), -1.0))
    assert run(lambda x: math.log(x), 0.0) == -np.inf
    assert run(lambda x: math.exp(x), 1e4) == np.inf


def test_math_of_an_array_is_an_error():
    with pytest.raises(TypeError, match="takes numbers"):
        run(lambda x: math.sin(x), X)


@pytest.mark.parametrize("n", [0, 1, 15, 16, 17, 10**15, 2**52 - 1, (2**31 - 1) ** 2, (3 * 10**9) ** 2 - 1])
def test_isqrt(n):
    assert run(lambda k: math.isqrt(k), n) == math.isqrt(n)


@pytest.mark.parametrize(
    ("x", "y"), [(5.5, 2.0), (-5.5, 2.0), (5.0, 2.0), (3.0, 2.0), (1.0, 0.3), (2.0, -3.0), (0.5, np.inf)]
)
def test_remainder(x, y):
    assert run(lambda a, b: math.remainder(a, b), x, y) == math.remainder(x, y)
