"""Arrays, views, objects and numbers, staged and evaluated: each program means what plain Python says."""

import dataclasses
import math

import numpy as np
import pytest

from iverson.lang.errors import StagingError
from tests.lang.agreement import SIZES, agree, vector
from tests.lang.test_stage_corpus import run

# --- arrays, views, aliases -------------------------------------------------------------------------------------------


def test_views_write_through():
    def f(a):
        row = a[1]
        row[0] = 7.0
        column = a[:, 2]
        column += 1.0
        block = a[1:, ::2]
        block *= -1.0
        a.T[0, 1] = 3.0
        a.reshape(-1)[5] = 11.0
        return row.copy(), a

    agree(f, np.arange(30.0).reshape(5, 6))


def test_slices_of_every_kind():
    def f(x, i):
        return (
            x[i:], x[:i], x[-i:], x[:-i], x[i:-1], x[::2], x[::-1], x[i::-1], x[-2:1:-1], x[100:], x[-100:2],
            x[None, :], x[..., None], x[1:1],
        )  # fmt: skip

    for n in (0, 1, 3, 8):
        for i in (0, 1, 2, 5, 9):
            agree(f, vector(n), i)


def test_overlapping_slice_assignment_reads_first():
    def f(x):
        x[1:] = x[:-1]
        x[:-1] += x[1:]
        x[::2] = x[::2][::-1]
        return x

    for n in (1, 2, 6):
        agree(f, vector(n))


def test_fancy_reads_and_writes():
    def f(a, idx, mask):
        y = a[idx] * 2.0
        z = a[idx, 1]
        a[idx] = -1.0
        a[mask] += 10.0
        w = a[mask]
        a[0, idx[:2]] = 5.0
        return y, z, w, a[np.array([0, -1])], a[:, idx]

    agree(f, np.arange(25.0).reshape(5, 5), np.array([3, 1, 1]), np.array([True, False, True, False, True]))


def test_repeated_indices_do_not_accumulate():
    def f(x, idx):
        x[idx] += 1.0
        np.add.at(x, idx, 2.0)
        return x

    agree(f, np.zeros(5), np.array([0, 1, 1, 4, 1]))


def test_names_are_references():
    def f(x):
        y = x
        y[0] = 5.0
        z = x[1:]
        x = x + 1.0
        z[0] = 9.0
        return x, y, z

    agree(f, vector(6))


def test_in_place_and_rebinding_differ():
    def f(x, y):
        a, b = x, y
        a += 1.0
        b = b + 1.0
        return a, b

    agree(f, vector(5), vector(5, 1))


def test_arguments_trade_places():
    def f(x, y, turns):
        for _ in range(turns):
            y[1:] = 0.5 * (x[1:] + x[:-1])
            x, y = y, x
        x[0] = 7.0
        return x

    for turns in range(4):
        agree(f, vector(6), vector(6, 1), turns)


def test_a_choice_of_arrays_is_read_under_the_branch():
    def f(x, y, p):
        z = x if p > 0.0 else y
        return sum(z) + z[1]

    agree(f, vector(5), vector(6), 1.0)
    agree(f, vector(5), vector(6), -1.0)


def test_writing_what_may_be_two_arrays_is_refused():
    def f(x, y, p):
        z = x if p > 0.0 else y
        z[0] = 1.0
        return x, y

    with pytest.raises(StagingError, match="copy"):
        run(f, (vector(5), vector(5), 1.0))


def test_rebinding_after_a_write_in_a_loop_is_refused():
    def f(x, n):
        for _ in range(n):
            x[0] = x[0] + 1.0
            x = x * 2.0
        return x

    with pytest.raises(StagingError, match="copy"):
        run(f, (vector(5), 3))


def test_writes_on_one_side_of_a_branch():
    def f(x, p):
        y = np.zeros(len(x))
        if p > 0.0:
            x[0] = 5.0
            y = x * 2.0
        else:
            y[1] = 3.0
        y[2] = 4.0
        return y

    for p in (1.0, -1.0):
        agree(f, vector(5), p)


def test_a_local_array_that_grows_stale():
    def f(x):
        best = x[0]
        where = x[0] * 0.0 + np.zeros(x.shape[1])
        for row in x:
            if sum(row) > sum(best):
                best = row
                where = row * 2.0
        return best, where

    agree(f, np.random.default_rng(3).normal(size=(6, 5)))


# --- functions, objects, containers -----------------------------------------------------------------------------------


@dataclasses.dataclass
class Point:
    x: float
    y: float

    def moved(self, dx):
        return Point(self.x + dx, self.y)

    @property
    def length(self):
        return math.sqrt(self.x**2 + self.y**2) if self.x > 0.0 else 0.0

    def drift(self, speeds):
        for v in speeds:
            self.x += v


class Counter:
    def __init__(self, start):
        self.value = start
        if start > 2.0:
            self.value = 2.0

    def add(self, v):
        self.value += v
        return self.value

    def __call__(self, v):
        return self.add(v) * 2.0


def test_objects_keep_state_in_loops():
    def f(p, speeds):
        p = p.moved(1.0)
        p.drift(speeds)
        c = Counter(p.y)
        for v in speeds:
            if v > 0.0:
                c.add(v)
            c(0.5)
        return p, p.length, c.value

    for n in SIZES:
        agree(f, Point(0.5, 3.0), vector(n))


def test_containers_as_state():
    def f(x):
        state = {"sum": 0, "n": 0}
        history = [0.0, 0.0]
        for v in x:
            state["sum"] += v
            state["n"] += 1
            history[0], history[1] = history[1], v
        if len(x) > 2 and x[0] > 0.0:
            history[0] = -1.0
        return state, history

    for n in SIZES:
        agree(f, vector(n))


def test_closures_see_later_values():
    def f(x):
        scale = 1.0

        def scaled(v):
            return scale * v

        first = scaled(x[0])
        scale = 3.0
        total = 0.0

        def add(v):
            nonlocal total
            total += v

        for v in x:
            add(scaled(v))
        return first, total

    for n in (1, 2, 5):
        agree(f, vector(n))


def test_defaults_keywords_stars_and_lambdas():
    def g(a, b=2.0, *rest, c=1.0, **more):
        return a * b + sum(rest) * c + sum(more.values())

    def f(x):
        args = (x[0], x[1])
        double, half = (lambda v: 2.0 * v), (lambda v: 0.5 * v)
        return g(x[0]), g(*args), g(1.0, 2.0, x[2], x[3], c=3.0, d=x[1]), double(x[0]) + half(x[1])

    agree(f, vector(5))


def test_recursion_ends_at_staging_time():
    def power(x, n):
        return 1.0 if n == 0 else x * power(x, n - 1)

    def fib(n):
        if n < 2:
            return n
        return fib(n - 1) + fib(n - 2)

    agree(lambda x: power(x, 5) + fib(7), 1.5)
    with pytest.raises(RecursionError):
        run(lambda n: fib(n), (5,))


def test_a_list_that_grows_in_a_loop_of_the_program_is_refused():
    def f(x):
        out = []
        for v in x:
            out.append(v)
        return out

    with pytest.raises(TypeError, match="list"):
        run(f, (vector(5),))


TABLE = np.arange(10.0)


def test_captured_arrays_are_inputs():
    def f(i):
        return TABLE[i] + TABLE.sum()

    agree(f, 3)


def test_captured_arrays_are_written():
    def f(v):
        TABLE[3] = v
        return TABLE[3] * 2.0

    before = TABLE.copy()
    assert run(f, (5.0,)) == 10.0
    assert np.array_equal(TABLE, before)  # the evaluator doesn't write captured arrays back


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_integers_like_python():
    def f(a, b):
        return a // b, a % b, -a // b, -a % b, divmod(a, -b), a << 2, a >> 1, a & b, a | b, a ^ b, ~a, abs(-a), a**3

    for a in (0, 7, -7, 12):
        for b in (1, 2, 5):
            agree(f, a, b)


def test_division_by_zero_raises_for_integers():
    with pytest.raises(ZeroDivisionError):
        run(lambda a, b: a // b, (1, 0))


def test_promotion():
    def f(x32, i32, k, v):
        return x32 * v, x32 + k, i32 * 2, i32 / 2, i32 + v, (x32 > 0.0) + (i32 > 1), x32[0] * 2.0, k / 2, k * 0.5

    agree(f, np.float32([1.5, -2.5]), np.int32([1, 2]), 3, 0.1)


def test_conversions():
    def f(v, k):
        return (
            int(v),
            float(k),
            bool(k),
            round(v),
            round(v, 1),
            int(v > 0.0),
            math.floor(v),
            -(-k // 2),
            isinstance(k, int),
        )

    for v in (2.5, -1.7, 0.0):
        agree(f, v, 3)


def test_complex_numbers():
    def f(z, w):
        u = z * w + 1j / (z - 2.0)
        return u, abs(u), u.real, u.imag, np.conj(u), z**2, np.exp(1j * z.real)

    agree(f, 1.5 + 0.5j, -0.3 + 2.0j)


def test_messages_have_the_values():
    def f(x, i):
        assert x[i] > 0.0, f"element {i} is {x[i]:.2f} {{}}"
        return x[i]

    with pytest.raises(AssertionError, match=r"element 2 is -3\.50 \{\}"):
        run(f, (np.array([1.0, 2.0, -3.5]), 2))


def test_exceptions_on_the_path_taken():
    def f(x):
        if x < 0.0:
            raise ValueError(f"negative: {x}")
        if x > 10.0:
            raise OverflowError("large")
        return math.sqrt(x)

    agree(f, 4.0)
    with pytest.raises(ValueError, match="negative"):
        run(f, (-1.0,))
    with pytest.raises(OverflowError):
        run(f, (11.0,))
