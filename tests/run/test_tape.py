"""`iv.tape`: options, budgets kept as the allocator sees it, notes of loops, reports."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest

import iverson as iv
from iverson.run import limits
from iverson.run.cost import time
from tests.allocations import Allocations, counted
from tests.run.tape_programs import BUDGETED, decay, oscillator, until, walk


@pytest.fixture(autouse=True)
def _lowest_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IVERSON_LEVEL", "0")


def same(got: object, want: object) -> None:
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


# --- options ----------------------------------------------------------------------------------------------------------

OPTIONS = ["recompute", iv.tape.checkpoint(slots=3, block=1), ("store", iv.tape.checkpoint(slots=2, block=4))]


@pytest.mark.parametrize("tape", OPTIONS, ids=str)
def test_every_derivative_takes_it(tape: object) -> None:
    x, n = 0.7, 11
    value, slope = iv.value_and_grad(oscillator)(x, n)
    same(iv.value_and_grad(oscillator, tape=tape)(x, n), (value, slope))
    same([iv.jacrev(lambda x: oscillator(x, n), tape=tape)(x)], [slope])
    same(iv.vjp(lambda x: oscillator(x, n), x, tape=tape)[1](1.0), [slope])
    curvature = iv.hessian(lambda x: oscillator(x, n))(x)
    same([iv.hessian(lambda x: oscillator(x, n), tape=tape)(x)], [curvature])
    same([iv.hvp(oscillator, tape=tape)(x, n, 2.0)], [2.0 * curvature])
    twice = iv.grad(iv.grad(oscillator, tape=tape), tape=tape)
    same([twice(x, n)], [curvature])


def test_it_works_inside_of_other_transforms() -> None:
    g = iv.grad(oscillator, tape=iv.tape.checkpoint(slots=2, block=1))
    points = np.array([0.2, 0.7, 1.1])
    want = [iv.grad(oscillator)(x, 9) for x in points]
    same(iv.vmap(g, in_axes=(0, None))(points, 9), want)
    same([iv.jit(lambda x: 3.0 * g(x, 9))(0.7)], [3.0 * want[1]])


def test_turns_that_run_again_draw_the_same_numbers() -> None:
    key, x = iv.random.key(3), np.linspace(0.1, 1.0, 5)
    want = iv.grad(walk)(x, key, 14)
    for block in (1, 4):
        got = iv.grad(walk, tape=iv.tape.checkpoint(slots=3, block=block))(x, key, 14)
        np.testing.assert_allclose(got, want, rtol=1e-13)


def test_a_while_needs_no_bound_on_its_turns() -> None:
    for tape in (iv.tape.checkpoint(slots=1, block=1), iv.tape.checkpoint(slots=4)):
        same(iv.value_and_grad(until, tape=tape)(3.0, 0.2), iv.value_and_grad(until)(3.0, 0.2))


@pytest.mark.parametrize("turns", [0, 1, 2])
def test_few_turns(turns: int) -> None:
    for block in (1, 3):
        g = iv.value_and_grad(oscillator, tape=iv.tape.checkpoint(slots=2, block=block))
        same(g(0.7, turns), iv.value_and_grad(oscillator)(0.7, turns))


# --- notes of loops ---------------------------------------------------------------------------------------------------


def noted(x, n, m):
    s = x
    for i in iv.range(n, tape=iv.tape.checkpoint(slots=3, block=1)):
        for k in iv.range(m, tape="store"):
            s = np.sin(s + k) + 0.1 * x * i
    return s


def unnoted(x, n, m):
    s = x
    for i in range(n):
        for k in range(m):
            s = np.sin(s + k) + 0.1 * x * i
    return s


def test_a_loop_says_it_itself() -> None:
    assert noted(0.3, 5, 2) == unnoted(0.3, 5, 2)
    same(iv.value_and_grad(noted)(0.3, 7, 3), iv.value_and_grad(unnoted)(0.3, 7, 3))
    assert "Checkpoint(slots=3, block=1)" in iv.show(noted)(0.3, 7, 3)
    how = {r.how for r in iv.cost(iv.grad(noted))(0.3, 7, 3).residuals}
    assert "checkpoint" in how and "stored" not in how


def test_what_a_loop_is_told_is_stronger() -> None:
    def kept(x, n):
        for _ in iv.range(n, tape="store"):
            x = np.sin(x)
        return x

    residuals = iv.cost(iv.grad(kept, tape=iv.tape.checkpoint(slots=3)))(0.3, 7).residuals
    assert [r.how for r in residuals] == ["stored"]


def test_notes_pass_through_enumerate_zip_and_reversed() -> None:
    def each(x, w):
        n = len(w)
        for k, (_, i) in enumerate(zip(w, iv.range(n, tape=iv.tape.checkpoint(slots=2, block=1)), strict=True)):
            x = np.sin(x + w[i]) + k
        for i in reversed(iv.range(n, tape=iv.tape.checkpoint(slots=4, block=1))):
            x = np.cos(x * w[i])
        return x

    w = np.linspace(0.0, 1.0, 9)
    text = iv.show(each)(0.3, w)
    assert "slots=2" in text and "slots=4" in text
    same([iv.grad(each)(0.3, w)], [(each(0.3 + 1e-6, w) - each(0.3 - 1e-6, w)) / 2e-6])


def test_values_are_kept_and_computed_again() -> None:
    def turns(w, h, keep, recompute):
        for k in range(len(w)):
            h = np.tanh(recompute(w[k] @ h)) * keep(np.exp(h.sum()))
        return h.sum()

    w, h = np.ones((4, 5, 5)) / 9.0, np.ones(5) / 5.0
    noted = iv.grad(lambda w, h: turns(w, h, iv.keep, iv.recompute))
    same([noted(w, h)], [iv.grad(lambda w, h: turns(w, h, lambda x: x, lambda x: x))(w, h)])
    how = [r.how for r in iv.cost(noted)(w, h).residuals]
    assert how.count("re-run") == 1
    assert iv.keep({"a": 1.5, "n": 2}) == {"a": 1.5, "n": 2} and iv.recompute(3) == 3
    assert "keep" not in iv.show(noted, stage="optimised")(w, h)


# --- bad arguments ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: iv.grad(oscillator, tape="keep"), ValueError, "'auto', 'store', 'recompute'"),
        (lambda: iv.grad(oscillator, tape=3), ValueError, "tape=3"),
        (lambda: iv.tape.checkpoint(slots=0), ValueError, "slots is a positive integer, not 0"),
        (lambda: iv.tape.checkpoint(slots=2.5), TypeError, "slots is a positive integer, not float"),
        (lambda: iv.tape.checkpoint(slots=2, block=True), TypeError, "block is a positive integer"),
        (lambda: iv.tape.budget("many"), ValueError, "'many' is no size"),
        (lambda: iv.tape.budget("3 parsecs"), ValueError, "no size"),
        (lambda: iv.tape.budget(0), ValueError, "positive number of bytes, at most 2**62, not 0"),
        (lambda: iv.range(3, tape="recompute"), ValueError, "a loop's tape is"),
        (lambda: iv.range(3, tape=iv.tape.budget(5)), ValueError, "a budget is for iv.grad"),
        (lambda: iv.jacrev(oscillator, tape=iv.tape.budget(5)), ValueError, "a budget is for iv.grad"),
        (
            lambda: iv.grad(oscillator, tape=(iv.tape.checkpoint(slots=2), iv.tape.checkpoint(slots=3))),
            ValueError,
            "two options for the tape's checkpoint",
        ),
    ],
)
def test_bad_options(make: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        make()


def test_sizes() -> None:
    assert iv.tape.budget("200MB").budget == 200_000_000
    assert iv.tape.budget("1.5 GiB").budget == 3 << 29
    assert iv.tape.budget(" 7 kB").budget == 7000
    assert iv.tape.budget(np.int64(9)).budget == 9


# --- budgets ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def allocations() -> Iterator[Allocations]:
    with counted() as found:
        yield found


def measured(allocations: Allocations, f: object, args: tuple[object, ...]) -> tuple[object, int]:
    f(*args)
    allocations.start()
    return f(*args), allocations.most


QUICK = ("oscillator", "in_place", "leapfrog", "layers", "branching")


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in BUDGETED]
)
def test_a_budget_is_kept_and_used(name: str, allocations: Allocations) -> None:
    f, args = BUDGETED[name]
    want, most = measured(allocations, iv.value_and_grad(f), args)
    enough = iv.value_and_grad(f, tape=iv.tape.budget(most + 4096))
    assert not any(enough.plan(*args).planned)
    planner = enough.planner(args, {})
    planner.best(1)  # no plan: what the least is
    least = planner.least
    assert least is not None and least < most / 2
    for bound in (int(1.1 * least), int(np.sqrt(least * most))):
        g = iv.value_and_grad(f, tape=iv.tape.budget(bound))
        got, bytes_ = measured(allocations, g, args)
        same(got[:1], want[:1])
        np.testing.assert_allclose(got[1], want[1], rtol=1e-9, atol=1e-12)
        plan = g.plan(*args)
        assert bytes_ <= plan.bytes <= bound
        binds = planner.best(int(1.15 * bound)).extra < 0.99 * plan.extra
        assert not binds or bytes_ >= 0.85 * bound - 64 * 40
    with pytest.raises(MemoryError, match=f"the least is {least:,} with checkpoints in the loops at line"):
        iv.value_and_grad(f, tape=iv.tape.budget(least - 1))(*args)


def test_many_turns_of_a_small_state(allocations: Allocations) -> None:
    g = iv.value_and_grad(oscillator, tape=iv.tape.checkpoint(slots=20, block=1))
    got, most = measured(allocations, g, (0.7, 1_000_000))
    same(got, iv.value_and_grad(oscillator)(0.7, 1_000_000))
    assert most < 2_000_000


def test_plans_are_kept_by_size() -> None:
    g = iv.grad(decay, tape=iv.tape.budget(30_000))
    x = np.linspace(0.0, 1.0, 100)
    first = g.plan(x, 100)
    assert g.plan(x + 1.0, 100) is first
    assert g.plan(x, 200) is not first
    other = iv.grad(decay, tape=iv.tape.budget(30_000))
    np.testing.assert_allclose(g(x, 200), iv.grad(decay)(x, 200), rtol=1e-9)
    assert len(g._made) == 2 and g.plan(x, 200).planned == (True,)
    np.testing.assert_allclose(other(x, 3), iv.grad(decay)(x, 3), rtol=1e-12)


def test_a_budget_needs_the_sizes_of_a_call() -> None:
    g = iv.grad(oscillator, tape=iv.tape.budget("1MB"))
    with pytest.raises(TypeError, match="a budget is planned at the sizes of a call"):
        iv.jit(lambda x: g(x, 3))(0.5)


def test_nothing_to_checkpoint() -> None:
    g = iv.grad(lambda x: np.sum(np.sin(x) * x), tape=iv.tape.budget(100))
    with pytest.raises(MemoryError, match="there is no loop to checkpoint"):
        g(np.ones(1000))


def test_no_call_plans_past_the_machines_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "memory", lambda: 10_000)

    def long(x, n):
        for _ in range(n):
            x = np.sin(x) * x
        return x

    assert iv.grad(long)(0.5, 100) == pytest.approx(iv.grad(long, tape=iv.tape.checkpoint(slots=3))(0.5, 100))
    with pytest.raises(MemoryError, match="80000 bytes of the turns of this loop") as raised:
        iv.grad(long)(0.5, 10_000)
    line = long.__code__.co_firstlineno + 1
    assert f"test_tape.py:{line}, in long" in raised.value.__notes__[0]
    iv.grad(long, tape=iv.tape.checkpoint(slots=3, block=1))(0.5, 10_000)


def test_a_budget_of_a_while() -> None:
    g = iv.value_and_grad(until, tape=iv.tape.budget(2000))
    assert g.plan(3.0, 0.01).planned == (True,)
    same(g(3.0, 0.01), iv.value_and_grad(until)(3.0, 0.01))


def test_no_bound_is_promised_where_data_decide() -> None:
    def ragged(x, n):
        total = 0.0
        for i in range(n):
            y = [x[j] * x[i] for j in range(i + 1)]
            for j in range(len(y)):
                total = np.sin(total + y[j])
        return total

    with pytest.raises(MemoryError, match="depends on the data"):
        iv.grad(ragged, tape=iv.tape.budget(10_000))(np.ones(50), 50)


# --- what it says -----------------------------------------------------------------------------------------------------


def test_report() -> None:
    x = np.linspace(0.0, 1.0, 50)
    report = iv.tape.report(decay)(x, 1000)
    assert report.peak == pytest.approx(1000 * 50 * 8, rel=0.02)
    assert {r.how for r in report.residuals} == {"stored"}
    sizes = [p.bytes for p in report.front]
    again = [report.again(p) for p in report.front]
    assert sizes == sorted(sizes, reverse=True) and again == sorted(again) and again[0] == 0.0 and len(sizes) > 4
    other = iv.tape.report(decay, tape=iv.tape.checkpoint(slots=5))(x, 1000)
    assert other.peak < report.peak / 5 and [p.bytes for p in other.front] == sizes
    text = str(report)
    assert "memory over time" in text and "checkpoint: " in text and "█" in text


def test_report_draws() -> None:
    pytest.importorskip("matplotlib")
    figure = iv.tape.report(decay)(np.ones(9), 30).plot()
    assert [a.get_title() for a in figure.axes] == ["memory over time", "memory against time"]


def test_residuals_say_what_computing_them_again_costs() -> None:
    def net(w, x):
        total = 0.0
        for i in range(len(x)):
            total += np.exp(-sum(w[j] * x[i] ** j for j in range(len(w)))) * total + 1.0
        return total

    kept = iv.cost(iv.grad(net))(np.ones(5), np.ones(30)).residuals
    inner = [r for r in kept if r.again is not None]
    assert inner and all(r.uses >= 1 for r in kept if r.how == "stored")
    assert inner[0].again(w_n0=50, x_n0=30) == pytest.approx(10 * inner[0].again.value)


def test_residuals_say_why() -> None:
    x = np.linspace(0.1, 1.0, 60)
    kept = iv.cost(iv.grad(BUDGETED["pairs"][0]))(x, 100).residuals
    carried, dear, cheap = (
        next(r for r in kept if r.how == how and said in r.why)
        for how, said in (("stored", "carried from turn to turn"), ("stored", "of its own"), ("re-run", "cheap: "))
    )
    assert carried.bytes.value == 60 * 100 * 8 and cheap.saved.value == dear.bytes.value == 60 * 60 * 100 * 8
    assert cheap.bytes.value == 0 and "re-run: saves 8·x_n0²·n bytes = 2,880,000 bytes\n" in str(cheap)
    assert carried.keep_seconds < cheap.again_seconds < dear.keep_seconds < dear.again_seconds
    assert cheap.keep_seconds == dear.keep_seconds and carried.again_seconds > dear.again_seconds
    text = iv.show(iv.grad(BUDGETED["pairs"][0]), stage="tape")(x, 100)
    assert "\n" + " " * 24 + "to keep " in text and ", to compute again " in text and str(dear) in text
    bounded = iv.grad(BUDGETED["pairs"][0], tape=iv.tape.budget("200kB"))
    assert "the plan within the budget" in {r.why for r in iv.cost(bounded)(x, 100).residuals}
    told = iv.grad(decay, tape=iv.tape.checkpoint(slots=3))
    assert "iv.tape.checkpoint says so" in iv.show(told, stage="tape")(x, 100)
    assert iv.show(decay, stage="tape")(x, 3) == "nothing is kept"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (7.24e-9, "7.2 ns"),
        (99.6e-9, "100 ns"),
        (9.96e-7, "1.0 us"),
        (1.2e-3, "1.2 ms"),
        (0.9996, "1.0 s"),
        (4321, "4,300 s"),
    ],
)
def test_times_have_two_digits(seconds: float, text: str) -> None:
    assert time(seconds) == text


def test_a_planned_call_has_a_cost() -> None:
    cost = iv.cost(iv.grad(decay, tape=iv.tape.budget(30_000)))(np.ones(100), 100)
    assert any(r.how == "checkpoint" for r in cost.residuals)


def scaled_square(model, x):
    return model.rate * x * x


def test_a_gradient_within_a_budget_is_a_method() -> None:
    class Model:
        rate = 2.0
        slope = iv.grad(scaled_square, argnums=1, tape=iv.tape.budget("1MB"))

    assert Model().slope(0.5) == 2.0
    assert "1,000,000 bytes" in repr(Model.slope)


def test_a_gradient_that_allocates_nothing_and_integers_that_wrap_are_reported() -> None:
    def drawn(x, seed):
        return np.sum(np.zeros((seed * 6364136223846793005 + 1) % 5) + x)

    assert "0 bytes" in str(iv.tape.report(lambda x: x * x)(2.0))
    assert "bytes" in str(iv.tape.report(drawn)(2.0, 1234))
