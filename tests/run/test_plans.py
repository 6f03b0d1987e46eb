"""The planner of budgets: optimal among what it may choose, few walks for many turns, results that run again."""

from __future__ import annotations

from itertools import product
from math import comb

import numpy as np
import pytest

import iverson as iv
from iverson.run import planner
from iverson.run.planner import Choice, Footprint, _Option, _solved
from iverson.run.priced import advances
from tests.allocations import counted
from tests.run.tape_programs import BUDGETED, decay, oscillator, pairs, walk


@pytest.fixture(autouse=True)
def _lowest_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IVERSON_LEVEL", "0")


def test_the_integer_program_is_solved() -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        options = [
            [_Option(False, frozenset(), *rng.integers(0, 20, 3).astype(float)) for _ in range(rng.integers(1, 6))]
            for _ in range(rng.integers(1, 5))
        ]
        bound = float(rng.integers(0, 60))
        fits = [
            sum(o.seconds for o in those)
            for those in product(*options)
            if sum(o.kept for o in those) + max(o.passing for o in those) <= bound
        ]
        found = _solved(options, bound)
        assert (found is None) == (not fits)
        if found is not None:
            assert sum(o.seconds for o in found) == pytest.approx(min(fits), rel=2e-3)
            assert sum(o.kept for o in found) + max(o.passing for o in found) <= bound + 1e-6


def test_the_integer_program_goes_on_to_other_choices() -> None:
    one, two = frozenset({("a", 1)}), frozenset({("b", 2)})
    options = [
        [_Option(True, frozenset(), 1.0, 5, 0), _Option(True, frozenset(), 4.0, 1, 0), _Option(False, one, 2.0, 5, 0)],
        [_Option(False, frozenset(), 0.0, 5, 0), _Option(False, two, 3.0, 1, 0)],
    ]
    found, seconds = [Choice((False, False), (one, two))], []  # of four choices one has been tried
    while (chosen := _solved(options, 10.0, found)) is not None:
        found.append(Choice(tuple(o.planned for o in chosen), tuple(o.again for o in chosen)))
        seconds.append(sum(o.seconds for o in chosen))
    assert seconds == [1.0, 2.0, 4.0] and len({*found}) == 4


def test_no_choice_that_is_left_is_better() -> None:
    x, n = BUDGETED["pairs"][1]
    whole = Footprint(iv.value_and_grad(pairs), (x, n), {}).at().bytes
    g = iv.value_and_grad(pairs, tape=iv.tape.budget(1 << 40))
    planner = g.planner((x, n), {})
    names = [
        frozenset(),
        *(frozenset({group.name}) for group in planner.loops[0].groups),
        planner.smallest[-1].again[0],
    ]
    assert planner.best(1) is None and planner.least is not None
    for bound in (whole // 5, int((whole * planner.least) ** 0.5), int(1.1 * planner.least)):
        best = planner.best(bound)
        every = [planner.plan(Choice((p,), (a,)), bound) for p in (True, False) for a in names]
        assert best.bytes <= bound and best.extra <= min(p.extra for p in every if p is not None) * 1.001


def test_a_loop_of_independent_turns_is_not_a_chain() -> None:
    """By its time: leapfrog updates in place, an element a turn that no other turn reads; `nested` is a chain."""
    x = np.linspace(0.1, 1.0, 1000)
    near, chain = (
        iv.grad(f, tape=iv.tape.budget(1 << 40)).planner((x, 50), {}).loops[0].seconds / len(x)
        for f in (BUDGETED["leapfrog"][0], BUDGETED["nested"][0])
    )
    assert near < 2e-9 < chain


def test_a_loop_that_says_it_itself_has_no_part_in_the_times() -> None:
    def both(x, n):
        for _ in iv.range(n, tape="store"):
            x = x * 0.5
        for _ in range(n):
            x = np.sin(np.cos(np.tanh(x)))
        return x.sum()

    def one(x, n):
        for _ in range(n):
            x = np.sin(np.cos(np.tanh(x)))
        return x.sum()

    (mine,), (alone,) = (
        iv.grad(f, tape=iv.tape.budget(1 << 40)).planner((np.ones(100), 50), {}).loops for f in (both, one)
    )
    assert mine.seconds == pytest.approx(alone.seconds, rel=0.05)


@pytest.mark.parametrize(
    ("blocks", "slots"), [(10**6, 20), (10**9, 3), (10**12, 17145), (10**9, 2), (10**15, 1), (7, 9)]
)
def test_runs_of_any_number_of_turns(blocks: int, slots: int) -> None:
    """t(l, c) - (l - 1), r being the least with C(c + r, c) >= l."""
    found = advances(blocks, slots)
    if slots == 1:
        assert found == (blocks - 1) * (blocks - 2) // 2
        return
    total = found + blocks - 1
    r = -(-(total + 1) // blocks)  # t = r l - C(c + r, r - 1) is between (r - 1) l and r l
    while comb(slots + r, slots) < blocks:
        r += 1
    while r > 1 and comb(slots + r - 1, slots) >= blocks:
        r -= 1
    assert total == max(r * blocks - comb(slots + r, r - 1), blocks - 1)


def test_many_turns_take_few_walks(monkeypatch: pytest.MonkeyPatch) -> None:
    walks = []
    monkeypatch.setattr(planner, "peak", lambda *a, of=planner.peak: walks.append(1) or of(*a))
    numbers = []
    for turns in (10**6, 10**9, 10**12):
        walks.clear()
        g = iv.value_and_grad(oscillator, tape=iv.tape.budget("1MB"))
        plan = g.plan(0.3, turns)
        assert plan.bytes <= 1_000_000 and plan.planned == (True,)
        assert plan.extra < 4.0 * turns * g.planner((0.3, turns), {}).loops[0].seconds
        numbers.append(len(walks))
    assert numbers[-1] < 5 * numbers[0]


def test_results_run_again_where_that_is_less_work() -> None:
    x, n = BUDGETED["pairs"][1]
    with counted() as allocations:

        def most(f: object) -> int:
            f(x, n)
            allocations.start()
            f(x, n)
            return allocations.most

        plain = iv.value_and_grad(pairs)
        bound, want = Footprint(plain, (x, n), {}).at().bytes // 5, plain(x, n)
        g = iv.value_and_grad(pairs, tape=iv.tape.budget(bound))
        for a, b in zip(g(x, n), want, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10)
        assert most(g) <= g.plan(x, n).bytes <= bound
    plan = g.plan(x, n)
    assert plan.planned == (False,) and any(plan.choice.again)
    kept = g.planner((x, n), {})
    other = kept.plan(Choice((True,), (frozenset(),)), bound)
    assert other is not None and plan.extra < other.extra
    assert "store; again: t of line " in plan.decisions()[0]
    how = [r.how for r in iv.cost(g)(x, n).residuals]
    assert how.count("re-run") >= 2


def five(x, n):
    for _ in range(n):
        x = np.sin(x)
    y = x
    for _ in range(n):
        y = y * np.cos(y)
    for _ in range(2 * n):
        y = y + 0.1 * np.sin(y)
    z = y * x
    for _ in range(3 * n):
        z = np.tanh(z) + 0.1 * z
    for _ in range(n):
        z = np.sin(z * z)
    return z.sum()


@pytest.mark.slow
def test_many_loops() -> None:
    x, n = np.linspace(0.1, 1.0, 50), 40
    want = iv.grad(five)(x, n)
    whole = 8 * n * 50 * 8
    for share in (0.7, 0.3):
        g = iv.grad(five, tape=iv.tape.budget(int(share * whole)))
        np.testing.assert_allclose(g(x, n), want, rtol=1e-10)
        plan = g.plan(x, n)
        every = g.planner((x, n), {}).plan(Choice((True,) * 5, (frozenset(),) * 5), int(share * whole))
        assert every is None or plan.extra <= every.extra
        assert share < 0.7 or sum(plan.planned) < 5


def test_turns_within_a_budget_draw_the_same_numbers() -> None:
    key, x = iv.random.key(3), np.linspace(0.1, 1.0, 40)
    want = iv.grad(walk)(x, key, 60)
    bounded = iv.grad(walk, tape=iv.tape.budget(9000))
    assert any(bounded.plan(x, key, 60).planned)
    np.testing.assert_allclose(bounded(x, key, 60), want, rtol=1e-12)


@pytest.mark.slow
def test_higher_orders_draw_the_same_numbers() -> None:
    key = iv.random.key(3)
    short, along = np.linspace(0.1, 1.0, 4), np.array([1.0, -0.5, 0.3, 2.0])
    want = iv.hvp(walk)(short, key, 9, along)
    got = iv.hvp(walk, tape=iv.tape.checkpoint(slots=2, block=1))(short, key, 9, along)
    np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-13)


def test_errors_name_the_users_line() -> None:
    bounded = iv.grad(decay, tape=iv.tape.budget("1MB"))
    for call in (lambda: bounded(np.arange(4), 3), lambda: iv.tape.report(decay)(np.arange(4), 3)):
        with pytest.raises(TypeError, match=f"only floating-point.*\n  at {__file__}:"):
            call()
    for wrong in (2**63, 2**62 + 1):
        with pytest.raises(ValueError, match=r"block is a positive integer, at most 2\*\*62"):
            iv.tape.checkpoint(slots=2, block=wrong)
        with pytest.raises(ValueError, match=r"at most 2\*\*62"):
            iv.tape.budget(wrong)
    large = iv.grad(decay, tape=iv.tape.checkpoint(slots=2**62, block=2**62))
    np.testing.assert_array_equal(large(np.ones(3), 5), iv.grad(decay)(np.ones(3), 5))
