"""iv.random: known answers, the same bits eager and staged, and the distributions themselves."""

import numpy as np
import pytest
from scipy import stats

from iverson.core.prims import NumpyOps
from iverson.lang import philox
from iverson.lang import random as R
from tests.lang.staging_oracle import run

# Philox4x32-10: counter, key, output; the known-answer vectors that its authors publish.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_known_answers(counter, key, words):
    o = NumpyOps()
    packed = np.array([key[0] | key[1] << 32], np.uint64).view(np.int64)
    found = philox.philox(o, tuple(np.array([c]) for c in counter), philox.schedule(o, packed))
    assert tuple(int(w[0]) for w in found) == words


def test_the_generator_is_numpys():
    """NumPy's Philox is the 64-bit variant; its 4x32 sibling is checked against a plain transcription."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        counter, key = rng.integers(0, 2**32, 4), rng.integers(0, 2**32, 2)
        packed = np.array([int(key[0]) | int(key[1]) << 32], np.uint64).view(np.int64)
        o = NumpyOps()
        found = philox.philox(o, tuple(np.array([c]) for c in counter), philox.schedule(o, packed))
        assert [int(w[0]) for w in found] == transcription([int(c) for c in counter], [int(k) for k in key])


def transcription(c, k):
    """The published algorithm in Python's unbounded integers."""
    for _ in range(10):
        a, b = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [(b >> 32) ^ c[1] ^ k[0], b & 0xFFFFFFFF, (a >> 32) ^ c[3] ^ k[1], a & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


# --- eager and staged -------------------------------------------------------------------------------------------------

EXACT = {
    "bits": lambda k: R.bits(k, (3, 7)),
    "bits of a scalar": lambda k: R.bits(k),
    "uniform": lambda k: R.uniform(k, 9),
    "uniform float32": lambda k: R.uniform(k, (2, 6), dtype=np.float32),
    "split": lambda k: R.split(k, 6),
    "split and draw": lambda k: R.uniform(R.split(k)[1], 4),
    "fold_in": lambda k: R.fold_in(k, 12),
    "integers": lambda k: R.integers(k, 10, shape=(8,)),
    "integers between": lambda k: R.integers(k, -5, 5, (4, 5)),
    "integers with endpoint": lambda k: R.integers(k, 0, 1, (20,), endpoint=True),
    "int32": lambda k: R.integers(k, 100, shape=5, dtype=np.int32),
    "permutation": lambda k: R.permutation(k, 11),
    "permutation of none": lambda k: R.permutation(k, 0),
    "permutation of rows": lambda k: R.permutation(k, np.arange(14.0).reshape(7, 2)),
    "choice": lambda k: R.choice(k, 9, (5,)),
    "choice of rows": lambda k: R.choice(k, np.arange(12.0).reshape(6, 2), (2, 3)),
    "choice without replacement": lambda k: R.choice(k, 9, (2, 3), replace=False),
    "weighted choice": lambda k: R.choice(k, 5, (40,), p=np.array([0.1, 0.2, 0.3, 0.2, 0.2])),
    "empty": lambda k: R.uniform(k, (0, 3)),
}
ROUNDED = {
    "normal": lambda k: R.normal(k, (3, 5)),
    "normal with parameters": lambda k: R.normal(k, 6, 2.0, 0.5),
    "normal float32": lambda k: R.normal(k, 6, dtype=np.float32),
    "uniform between": lambda k: R.uniform(k, 6, -1.0, 3.0),
}


@pytest.mark.parametrize("name", EXACT)
def test_the_same_bits_eager_and_staged(name):
    for seed in (0, -1, 2**63 - 1):
        key = R.key(seed)
        expected, found = EXACT[name](key), run(EXACT[name], key)
        assert np.asarray(found).dtype == np.asarray(expected).dtype
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ROUNDED)
def test_the_same_numbers_eager_and_staged(name):
    key = R.key(17)
    expected, found = ROUNDED[name](key), run(ROUNDED[name], key)
    assert np.asarray(found).dtype == np.asarray(expected).dtype
    np.testing.assert_allclose(found, expected, rtol=1e-6 if expected.dtype == np.float32 else 1e-13)


def test_shapes_may_be_sizes_of_the_program():
    def program(x, key):
        return R.uniform(key, x.shape) + 0.0 * x

    x = np.zeros((6, 7))
    np.testing.assert_array_equal(run(program, x, R.key(4)), program(x, R.key(4)))


def test_keys_flow_through_loops():
    def program(key, n):
        total = 0.0
        for i in range(n):
            total += R.uniform(R.fold_in(key, i))
        return total

    np.testing.assert_allclose(run(program, R.key(8), 6), program(R.key(8), 6))


# --- distributions ----------------------------------------------------------------------------------------------------

KEY = R.key(2024)
MANY = 200_000


def test_uniform_is_uniform():
    u = R.uniform(KEY, MANY)
    assert u.min() >= 0 and u.max() < 1
    assert stats.kstest(u, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(u[1:], u[:-1])[0, 1]) < 0.01


def test_normal_is_normal():
    z = R.normal(KEY, MANY)
    assert np.all(np.isfinite(z))
    assert stats.kstest(z, "norm").pvalue > 1e-3
    assert abs(stats.kurtosis(z)) < 0.05


def test_bits_are_fair():
    words = R.bits(KEY, 50_000)
    for place in range(64):
        share = ((words >> place) & 1).mean()
        assert abs(share - 0.5) < 5 * 0.5 / np.sqrt(len(words))


def test_integers_are_fair():
    counts = np.bincount(R.integers(KEY, 7, shape=MANY))
    assert len(counts) == 7 and stats.chisquare(counts).pvalue > 1e-3


def test_permutations_are_fair():
    keys = R.split(KEY, 1500)
    orders = [tuple(R.permutation(k, 3)) for k in keys]
    counts = [orders.count(p) for p in set(orders)]
    assert len(counts) == 6 and stats.chisquare(counts).pvalue > 1e-3


def test_weights_are_kept():
    p = np.array([0.5, 0.0, 0.3, 0.2])
    counts = np.bincount(R.choice(KEY, 4, MANY, p=p), minlength=4)
    assert counts[1] == 0
    assert stats.chisquare(counts[[0, 2, 3]], MANY * p[[0, 2, 3]]).pvalue > 1e-3


def test_streams_differ():
    keys = R.split(KEY, 1000)
    assert len(set(keys.tolist())) == 1000
    folded = [int(R.fold_in(KEY, i)) for i in range(1000)]
    draws = R.bits(KEY, 1000).tolist()
    assert len({*keys.tolist(), *folded, *draws}) == 3000
    assert abs(np.corrcoef(R.uniform(keys[0], 5000), R.uniform(keys[1], 5000))[0, 1]) < 0.06


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "program"),
    [
        (TypeError, lambda: R.uniform(0.5)),
        (TypeError, lambda: R.uniform(np.array([1, 2]))),
        (TypeError, lambda: R.uniform(KEY, dtype=np.int64)),
        (TypeError, lambda: R.integers(KEY, 5, dtype=float)),
        (ValueError, lambda: R.integers(KEY, 0)),
        (ValueError, lambda: R.choice(KEY, 3, (4,), replace=False)),
        (ValueError, lambda: R.uniform(KEY, (-1,))),
    ],
)
def test_mistakes(error, program):
    with pytest.raises(error):
        program()


def test_mistakes_in_staged_programs():
    with pytest.raises(TypeError, match=r"iv\.random\.key"):
        run(lambda k: R.uniform(k, 3), 0.5)
    with pytest.raises(ValueError, match="low >= high"):
        run(lambda k, n: R.integers(k, n), KEY, 0)
