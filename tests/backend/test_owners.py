"""Loops that write rows of computed numbers: every row's turns in order, on any number of threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import iverson as iv
from iverson.backend import owners, threads
from iverson.core.evaluate import evaluate
from iverson.lang import state
from tests.backend.test_threads import on_each, python, some
from tests.corpus import Case
from tests.corpus_costs import largest
from tests.programs import PROGRAMS, Program, assert_same
from tests.test_corpus import assert_compiled


@pytest.fixture(autouse=True)
def _always(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Owners run every loop that they may, by tiles of a few turns; no chunk has copies."""
    number = iv.get_threads()
    for name, value in {"LEAST": 0.0, "DEAR": 0.0, "LISTED": 0.0, "SHARE": 1e30, "TILE": 4, "LINE": 0}.items():
        monkeypatch.setattr(owners, name, value)
    monkeypatch.setattr(threads, "PART", 1e-30)
    monkeypatch.setenv("IVERSON_CACHE_DIR", "off")
    monkeypatch.setenv("IVERSON_LEVEL", "0")
    yield
    iv.set_threads(number)


def owned(f: Callable[..., Any], *args: Any) -> bool:
    return "threads_ready" in str(iv.show(f, stage="loops")(*args))


def copied(args: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(np.copy(x) if isinstance(x, np.ndarray) else x for x in args)


def outcome(f: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    mine = copied(args)
    return f(*mine), mine


class Pair:
    """A function with and without chunks."""

    def __init__(self, f: Callable[..., Any], tolerance: float = 0.0) -> None:
        self.function, self.plain, self.tolerance = iv.jit(f), iv.jit(f, threads=False), tolerance

    def check(self, *args: Any, owned_: bool = True) -> None:
        """The same bits for any number of threads, those of the loop itself if there is no tolerance."""
        assert not owned_ or owned(self.function, *copied(args))
        first, *others = on_each(lambda: outcome(self.function, args))
        for other in others:
            assert [x.tobytes() for x in first] == [x.tobytes() for x in other]
        expected = [np.asarray(x) for x in state.flatten(outcome(self.plain, args))[0]]
        if not self.tolerance:
            assert [x.tobytes() for x in first] == [x.tobytes() for x in expected]
        assert_same(first, expected, self.tolerance or 1e-12)


# --- the corpus -------------------------------------------------------------------------------------------------------

# those in which some loop has owners, or that of a gradient
NAMES = """reshaped_view_is_written segment_sums histograms_of_monoids histogram_loop scatter_add permute_and_invert
last_write_wins bins_of_products_and_minima masked_writes histogram_counts class_means lists_of_a_repeated_number
bins_a_maximum_and_a_product_in_one_loop correlation lloyd_iterations fancy_reads_are_copies index_out_of_range
gather_with_duplicates gather_rows_and_pairs masked_sums boolean_mask_argument linear_interpolation batched_products
circular_convolution nested_loops_with_lookup rolls_and_flips repeats_and_tiles sorting quaternion_springs
cumulative_sums_along_axes reshapes views_at_computed_indices"""
OWNED = [p for p in PROGRAMS if p.name in NAMES.split()]
FEW = [p for p in OWNED if p.name in ("last_write_wins", "nested_loops_with_lookup", "bins_of_products_and_minima")]


@pytest.mark.parametrize("program", some(OWNED, FEW))
def test_values(program: Program) -> None:
    iv.set_threads(3)
    for n in (largest(program), *program.raises):
        assert_compiled(program, iv.jit(program.function), n)


@pytest.mark.parametrize("program", some([p for p in OWNED if p.differentiable], FEW))
def test_gradients(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(program, largest(program))
    args = (*case.args, case.weights_like(evaluate(case.function, case.values).values))
    function = iv.value_and_grad(case.weighed(), argnums=program.wrt)
    plain = iv.jit(iv.value_and_grad(case.weighed(), argnums=program.wrt), threads=False)
    assert_same(on_each(lambda: function(*args))[2], on_each(lambda: plain(*args))[0], max(program.tolerance, 1e-9))


# --- programs ---------------------------------------------------------------------------------------------------------


def scattered(x, where):
    """The last one to write stays."""
    out = np.zeros(len(x))
    for i in range(len(where)):
        out[where[i]] = np.sin(x[i])
    return out


def added(y, where, v):
    np.add.at(y, where, np.exp(v))
    return y


def looked_up(table, words, weights):
    total = 0.0
    for i in range(len(words)):
        total += np.tanh(np.sum(table[words[i]] * weights))
    return total


def seen(state, where, v):
    """What a turn does depends on what turns before did to its row."""
    count = np.zeros(len(state), dtype=int)
    for i in range(len(where)):
        k = where[i]
        if v[i] > state[k]:
            state[k] = 0.9 * v[i] + 0.1 * np.tanh(state[k])
            count[k] += 1
    return state, count


def twice(x, first, second):
    """The number of the row is looked up twice."""
    out = np.zeros((len(x), 3))
    for i in range(len(second)):
        k = first[second[i]]
        for j in range(3):
            out[k, j] += x[i] ** j
    return out


def extremes(v, where, n):
    """Sums of several kinds beside."""
    low, high, total, bins = np.inf, -np.inf, 0, np.ones(n)
    for i in range(len(v)):
        low, high = min(low, v[i]), max(high, v[i])
        total += where[i]
        bins[where[i]] *= 1.0 + v[i]
    return low, high, total, bins


def blocks(x, where, m):
    """A turn has arrays of its own."""
    out = np.zeros((4, m))
    for i in range(len(where)):
        row = np.cumsum(np.sin(x[i] * np.arange(m)))
        out[where[i]] = out[where[i]] * 0.5 + row / (1.0 + np.sum(row * row))
    return out


def steps(x, where, turns):
    for _ in range(turns):
        y = np.zeros(len(x))
        for i in range(len(where)):
            y[where[i]] += np.cos(x[i])
        x = y
    return x


RNG = np.random.default_rng(11)
SIZES = (0, 1, 5, 15, 16, 17, 333)


@pytest.mark.parametrize("kind", [np.int64, np.int32])
def test_programs(kind: type) -> None:
    pairs = {f: Pair(f) for f in (scattered, added, seen, twice, steps, extremes, blocks)}
    table = Pair(iv.value_and_grad(looked_up, argnums=(0, 2)), 1e-12)
    reads = Pair(iv.grad(lambda x, k: np.sum(np.tanh(x[k]))))
    for n in SIZES:
        where, v = RNG.integers(-5, 5, size=n).astype(kind), RNG.normal(size=n)
        x, large = RNG.normal(size=max(n, 5)), n > 4  # short lengths are part of the type
        if n > 3:
            v[2] = np.nan
        numbers = RNG.integers(0, max(n, 1), size=n).astype(kind)
        words = RNG.integers(-9, 9, size=n).astype(kind)
        pairs[scattered].check(x, where, owned_=large)
        pairs[added].check(np.zeros(5), where, v, owned_=large)
        pairs[seen].check(np.zeros(5), where, v, owned_=large)
        pairs[twice].check(x, where, numbers, owned_=large)
        pairs[steps].check(x, where, 3, owned_=large)
        pairs[extremes].check(v, where, 5, owned_=large)
        pairs[blocks].check(v, where % 4, 6, owned_=large)
        table.check(RNG.normal(size=(9, 5)), words, RNG.normal(size=5), owned_=large)
        reads.check(x, where, owned_=large)


def test_most_of_one_row() -> None:
    """Then all turns have one owner; the numbers are the same."""
    v, sums, histories = RNG.normal(size=200), Pair(added), Pair(seen)
    table = Pair(iv.value_and_grad(looked_up, argnums=(0, 2)), 1e-12)
    for where in (np.zeros(200, dtype=int), np.where(np.arange(200) < 60, np.arange(200) % 7, 2)):
        sums.check(np.zeros(9), where, v)
        histories.check(np.zeros(9), where, v)
        table.check(RNG.normal(size=(9, 5)), where, RNG.normal(size=5))


def meeting(x, where):
    """A turn reads a row of another's."""
    out = np.zeros(len(x))
    for i in range(1, len(where)):
        out[where[i]] += np.sin(x[i]) + out[where[i - 1]]
    return out


def followed(x, where):
    """The number is read from what turns write."""
    where = where.copy()
    for i in range(len(x)):
        k = where[i]
        where[k] = (k * 7 + i) % len(where)
        x[k] = np.sin(x[k])
    return x


def two_rows(x, a, b):
    out = np.zeros(len(x))
    for i in range(len(a)):
        out[a[i]] = np.sin(x[i])
        out[b[i]] = np.cos(x[i])
    return out


def test_loops_that_are_not() -> None:
    x, a, b = RNG.normal(size=40), RNG.integers(0, 40, size=40), RNG.integers(0, 40, size=40)
    for f, args in ((meeting, (x, a)), (followed, (x, a)), (two_rows, (x, a, b))):
        assert not owned(iv.jit(f), *copied(args))
        assert_same(iv.jit(f)(*copied(args)), f(*copied(args)), 1e-12)
    assert not owned(iv.jit(scattered, threads=False), x, a)
    assert not owned(iv.grad(lambda x, a: np.sum(scattered(x, a)), tape=iv.tape.budget("1MB")), x, a)


def test_an_index_out_of_range() -> None:
    x, where = RNG.normal(size=300), RNG.integers(0, 300, size=300)
    f, y = iv.jit(added), np.zeros(300)
    iv.set_threads(3)
    for at, bad in ((0, 300), (17, -301), (299, 2**62), (150, -(2**63))):
        wrong = where.copy()
        wrong[at] = bad
        with pytest.raises(IndexError, match=str(bad)):
            f(y, wrong, x)
        assert not y.any()
    np.testing.assert_allclose(f(y, where, x), added(np.zeros(300), where, x), rtol=1e-12)


def raised(x, where):
    out = np.zeros(len(x))
    for i in range(len(where)):
        if x[i] < 0:
            raise ValueError(f"negative at {i}")
        out[where[i]] += np.sqrt(x[i])
    return out


def test_the_first_error() -> None:
    x, where = RNG.uniform(1, 2, size=100), RNG.integers(0, 100, size=100)
    f = iv.jit(raised)
    iv.set_threads(3)
    np.testing.assert_allclose(f(x, where), raised(x, where), rtol=1e-13)
    x[[90, 40, 77]] = -1.0
    with pytest.raises(ValueError, match="negative at 40"):
        f(x, where)


def test_while_others_call() -> None:
    """In a child of a fork, and from several Python threads."""
    done = python("""
        from tests.backend.test_owners import added
        iv.set_threads(3)
        rng = np.random.default_rng(0)
        where, v = rng.integers(0, 50_000, size=200_000), rng.normal(size=200_000)
        g = iv.jit(added)
        assert "threads_ready" in iv.show(g, stage="loops")(np.zeros(50_000), where, v)
        want, wrong = g(np.zeros(50_000), where, v), []
        np.testing.assert_allclose(want, added(np.zeros(50_000), where, v), rtol=1e-12)
        def work():
            for _ in range(10):
                wrong.extend([] if np.array_equal(g(np.zeros(50_000), where, v), want) else ["thread"])
        others = [threading.Thread(target=work) for _ in range(3)]
        for other in others: other.start()
        child = os.fork()
        if child == 0:
            os._exit(0 if np.array_equal(g(np.zeros(50_000), where, v), want) else 1)
        wrong.extend([] if os.waitpid(child, 0)[1] == 0 else ["child"])
        for other in others: other.join()
        print(wrong)
    """)
    assert done.stdout.split() == ["[]"], done.stderr
