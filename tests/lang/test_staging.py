"""Control flow and comprehensions, staged and evaluated: each program means what plain Python says."""

import gc
import math

import numpy as np
import pytest

import iverson as iv
from iverson.lang.stage import stage_for
from tests.lang.agreement import SIZES, agree, vector
from tests.lang.test_stage_corpus import run

# --- control flow -----------------------------------------------------------------------------------------------------


def test_early_returns_in_a_cascade():
    def sign(v):
        if v > 1.0:
            return 2
        if v > 0.0:
            return 1
        if v == 0.0:
            return 0
        return -1

    for v in (3.0, 0.5, 0.0, -0.5):
        agree(sign, v)


def test_mixed_exits_of_nested_branches():
    def f(a, b):
        total = 0.0
        if a > 0.0:
            if b > 0.0:
                return a + b
            total += a
        else:
            if b > 1.0:
                total -= 1.0
        total = total * 2.0 + b
        return total

    for a in (-1.0, 2.0):
        for b in (-1.0, 0.5, 3.0):
            agree(f, a, b)


def test_continue_break_and_return_in_one_loop():
    def f(x, stop):
        total = 0.0
        for i in range(len(x)):
            if x[i] < -0.5:
                continue
            if total > 1.5:
                break
            for j in range(i):
                if x[j] * x[i] > stop:
                    return total, i, j
                total += 0.1
            total += x[i]
        return total, -1, -1

    for n in SIZES:
        for stop in (0.1, 5.0):
            agree(f, vector(n), stop)


def test_while_with_else_and_continue():
    def f(n):
        k = total = 0
        while k < n:
            k += 1
            if k % 3 == 0:
                continue
            total += k
            if total > 20:
                break
        else:
            total = -total
        return total, k

    for n in (0, 1, 4, 30):
        agree(f, n)


def test_while_true_returns():
    def f(x):
        k = 0
        while True:
            x = x * 0.5
            k += 1
            if x < 1.0:
                return x, k

    agree(f, 100.0)


def test_early_return_from_a_helper_in_a_loop():
    def first_above(x, level):
        for i in range(len(x)):
            if x[i] > level:
                return i
        return -1

    def f(x):
        out = np.zeros(len(x))
        for k in range(len(x)):
            out[k] = first_above(x, x[k])
        return out

    for n in SIZES:
        agree(f, vector(n))


def test_types_of_the_state_settle():
    def f(x):
        a, b, c = 0, 0, 1
        for v in x:
            a, b, c = b, a + 1, c * v
        return a, b, c

    for n in SIZES:
        agree(f, vector(n))


def test_deep_nests_with_promotions_are_traced_quickly():
    def f(x):
        s = 0
        for a in range(2):
            p = 0
            for b in range(2):
                q = 0
                for c in range(2):
                    r = 0
                    for d in range(2):
                        t = 0
                        for e in range(2):
                            u = 0
                            for g in range(len(x)):
                                u += x[g] * (a + b + c + d + e)
                            t += u
                        r += t
                    q += r
                p += q
            s += p
        return s

    agree(f, vector(3))


def test_a_name_bound_only_in_the_loop():
    def f(x):
        for i in range(len(x)):
            last = x[i] * 2.0
        return last, i

    agree(f, vector(5))
    with pytest.raises(UnboundLocalError):
        run(f, (np.zeros(0),))


def test_a_name_bound_on_one_side():
    def f(x, flag):
        if flag > 0:
            y = x[0]
        return y

    assert run(f, (vector(3), 1)) == vector(3)[0]
    with pytest.raises(UnboundLocalError):
        run(f, (vector(3), 0))


def test_short_circuits_guard_reads():
    def f(x, i):
        inside = 0 <= i < len(x) and x[i] > 0.0
        outside = i < 0 or i >= len(x) or x[i] <= 0.0
        return inside, outside, not inside

    for i in (-1, 0, 3, 4, 100):
        agree(f, vector(5), i)


def test_conditional_expressions_are_lazy():
    def f(x):
        return sum(math.log(v) if v > 0.0 else 1.0 / v if v < -1.0 else 0.0 for v in x)

    for n in SIZES:
        agree(f, vector(n))


def test_ranges_of_every_kind():
    def f(x, n, step):
        total = 0.0
        for i in range(n - 1, -1, -1):
            total = total * 0.5 + x[i]
        for i in range(0, n, 2):
            total += x[i] * i
        for i in range(n, 0, -3):
            total -= x[i - 1]
        for i in range(1, n, step):
            total += x[i]
        for i in reversed(range(n)):
            total = total * 0.9 + x[i]
        return total

    for n in SIZES:
        agree(f, vector(n), n, 2)


def test_iteration_over_arrays():
    def f(a, b):
        total = 0.0
        for i, row in enumerate(a):
            for v, w in zip(row, b):  # noqa: B905
                total += v * w * i
        for (k, p), q in zip(enumerate(b, 1), reversed(b)):  # noqa: B905
            total += k * p * q
        return total

    for n in SIZES:
        agree(f, np.random.default_rng(1).normal(size=(n, 5)), vector(5))


def test_match_by_value():
    def f(k, x):
        match k:
            case 0 | 1:
                y = x
            case 2 if x > 0.0:
                return 3.0 * x
            case other:
                y = x + other
        return y

    for k in range(4):
        agree(f, k, 1.5)
        agree(f, k, -1.5)


def test_loops_that_must_unroll():
    def f(x, weights):
        layers = [(2.0, 1), (0.5, 2), (3.0, 0)]
        parts = []
        for k in range(3):
            scale, power = layers[k]
            parts.append(scale * x**power + weights[k])
        return parts[0] + parts[1] * parts[2]

    agree(f, 1.7, [1.0, 2.0, 3.0])


# --- comprehensions ---------------------------------------------------------------------------------------------------


def test_comprehensions_with_clauses_and_inner_loops():
    def f(x):
        n = len(x)
        flat = [x[i] * j for i in range(n) for j in range(3)]
        kept = [v for v in x if v > 0.0]
        ragged = [x[i] - x[j] for i in range(n) for j in range(i) if x[j] > x[i]]
        table = [[x[i] * x[j] for j in range(n)] for i in range(n)]
        return np.array(flat), np.array(kept), np.array(ragged), table

    for n in SIZES:
        agree(f, vector(n))


def test_lists_of_tuples():
    def f(x):
        pairs = [(v, i) for i, v in enumerate(x)]
        total = 0.0
        for v, i in pairs:
            total += v * i
        return total, sum(v * i for v, i in pairs)

    for n in SIZES:
        agree(f, vector(n))


def test_tuples_of_numbers_are_tables(monkeypatch):
    """Many numbers are an input, one for equal tables, whatever their types and signs; few are written out."""
    monkeypatch.setenv("IVERSON_LEVEL", "0")
    whole, parts, zeros = (10, 20, -30, 40, 50), (0.5, -0.0, 0.0, math.nan, 2.0), (-0.0, 0.0, 0.0, 0.0, 0.0)

    def f(i):
        other = (10, 20, -30, 40, 50)
        return whole[i], other[i], parts[i], zeros[i], (True, False, True, True, True)[i], (1, 2.5, 3, 4, 5)[i]

    compiled = iv.jit(f)
    for i in range(-5, 5):
        assert [repr(float(v)) for v in compiled(i)] == [repr(float(v)) for v in f(i)]
    assert len(compiled.staged((0,), {}).captured) == 3
    with pytest.raises(IndexError, match="index 5 is out of bounds for axis 0 with size 5"):
        compiled(5)

    def bump(i):
        counts = [1, 2, 3, 4, 5]
        total, k = 0, 0
        while k < i:
            counts[k % 5] += k
            total, k = total + counts[(k + 1) % 5], k + 1
        return total

    for i in (0, 3, 23):
        assert iv.jit(bump)(i) == bump(i)


def test_lists_keep_their_operators():
    def f(x):
        a = [v * 2.0 for v in x]
        b = a + [v for v in x]  # noqa: C416
        return b, a * 2, len(b)

    for n in (1, 5):
        agree(f, vector(n))
    with pytest.raises(TypeError):
        run(lambda x: [v for v in x] * 2.0, (vector(5),))  # noqa: C416
    with pytest.raises(TypeError):
        run(lambda x: [v for v in x] - 1.0, (vector(5),))  # noqa: C416


def test_reductions_with_defaults_and_keys():
    def f(x):
        n = len(x)
        nearest = min((abs(v - w) for i, v in enumerate(x) for w in x[:i]), default=-1.0)
        best = max(range(n), key=lambda i: x[i]) if n > 0 else -1
        return nearest, best, any(v > 1.0 for v in x), all(v < 3.0 for v in x if v > 0.0)

    for n in SIZES:
        agree(f, vector(n))


def test_sums_of_arrays():
    def f(a):
        return sum(row * i for i, row in enumerate(a)), sum([row[0] for row in a])

    agree(f, np.random.default_rng(2).normal(size=(6, 5)))


def test_the_minimum_of_nothing_raises():
    with pytest.raises(ValueError, match="empty"):
        run(lambda x: min(v for v in x if v > 100.0), (vector(5),))


def test_collections_of_garbage_leave_out_what_was_there_before():
    """A large process stages as fast as a small one; afterwards its garbage is collected as it was."""
    seen = []

    def f(x):
        seen.append(gc.get_freeze_count())
        return x.sum()

    stage_for(f, (vector(5),))
    with pytest.raises(KeyError):
        stage_for(lambda x: {}["missing"], (vector(5),))
    assert seen[0] > 0 and gc.get_freeze_count() == 0
    gc.freeze()
    try:
        stage_for(f, (vector(5),))
        assert gc.get_freeze_count() >= seen[0]
    finally:
        gc.unfreeze()
