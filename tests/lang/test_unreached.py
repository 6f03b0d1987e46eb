"""Exceptions that constants decide are raised when, and only if, execution gets there: as Python does it."""

import math

import numpy as np
import pytest

import iverson as iv
from tests.programs.registry import assert_same, copied


@pytest.fixture(autouse=True)
def _cheaply(monkeypatch):
    monkeypatch.setenv("IVERSON_LEVEL", "0")


SHORT, LONG, NOTHING = np.arange(3.0), np.arange(8.0), np.zeros(0)
TABLE = {"a": 1.0}


def remainder_by_a_length(x, p):
    return 2 % len(x) if p > 0.0 else -1


def division_in_a_branch(x, p):
    y = 0
    if p > 0.0:
        y = 1 // (len(x) - 3)
    return y + x.sum()


def index_beyond_a_short_array(x, p):
    if p > 0.0:
        return x[5]
    return x[0]


def row_beyond_a_short_array(x, p):
    total = 0.0
    if p > 0.0:
        first, _, _, last = x
        total = first + last
    return total


def shapes_that_do_not_fit(x, p):
    if p > 0.0:
        x = x + np.ones(7)
        x = x @ np.ones((2, 2))
    return x


def reshape_that_does_not_fit(x, p):
    y = x.reshape(7, 1)[0] if p > 0.0 else x[:1]
    return y * 2.0


def after_a_return(x, p):
    if p < 0.0:
        return x.sum()
    return x.sum() + 3 // (len(x) - 3)


def always_after_a_return(x, p):
    if p < 0.0:
        return 1.0
    raise ValueError("p is positive")


def in_turns(x, p):
    total = 0.0
    for k in range(int(p)):
        total += x[k]
        total += 1 % (len(x) - 3)
    return total


def in_the_last_turns(x, p):
    total = 0.0
    for k in range(int(p) + 2):
        if k >= 2:
            x = x + np.ones(9)
            total += math.sqrt(-1.0)
        total += x.sum()
    return total


def in_a_while(x, p):
    n = 0
    while p > n:
        x[0] = 7.0
        n += 1 // (len(x) - 3)
    return n + x.sum()


def in_a_while_with_break(x, p):
    n = 0
    while True:
        if p < 5.0:
            break
        n += TABLE["b"]
    return n


def forever_but_for_an_exception(x, p):
    n = p
    while True:
        n = n + 1.0
        if n > 10.0:
            raise OverflowError("n is too large")


def of_a_list(x, p):
    parts = [x.sum(), p]
    return parts[7] if p > 0.0 else parts[0]


def of_a_dict_after_a_list_has_grown(x, p):
    parts = [x.sum()]
    if p > 0.0:
        parts.append(TABLE["b"])
        parts.append(p)
    return parts[0]


def second_operand(x, p):
    return p > 0.0 and 1 // (len(x) - 3) > 0


def other_second_operand(x, p):
    return p < 0.0 or x[len(x) - 1] > 1 // (len(x) - 3)


def comparison_that_goes_on(x, p):
    return 0.0 < p < 1 // (len(x) - 3)


def both_branches(x, p):
    if p > 0.0:
        y = x[0] // (0 if len(x) else 1) + [1.0, 2.0][3]
    else:
        y = 0.0
        raise KeyError("the other")
    return y + 1.0


def elements_of_a_comprehension(x, p):
    return np.array([x[0] + 5 // (len(x) - 3) for _ in range(int(p))])


def sum_of_a_generator(x, p):
    return sum(x[0] * (5 // (len(x) - 3)) for _ in range(int(p)))


def sum_with_a_clause(x, p):
    return sum(v * (5 // (len(x) - 3)) for v in x if v > 1.5 - p)


def filtered_elements(x, p):
    return np.sum([v * (5 // (len(x) - 3)) for v in x if v > 1.5 - p])


def clause_that_fails(x, p):
    return np.sum([float(k) for k in range(int(p)) if x[0] > 5 // (len(x) - 3)])


def largest_with_a_default(x, p):
    return max((x[0] + 5 // (len(x) - 3) for _ in range(int(p))), default=-2.0)


def helper(x):
    raise ValueError("the helper raises")


def call_that_always_raises(x, p):
    y = x[0]
    if p > 0.0:
        y = helper(x) + 1.0
        y = y * TABLE["a"]
    return y


def nested(x, p):
    total = 0.0
    for v in x:
        if v > 1.0 - p:
            for k in range(int(p)):
                if k > 0:
                    total += [1.0][k]
                total += v
    return total


def name_that_is_not_there(x, p):
    if p > 0.0:
        return no_such_name + p  # noqa: F821
    return x[0]


def written_before(x, p):
    x[1] = p
    if p > 0.0:
        x[2] = 5.0
        x[0] = 1 // (len(x) - 3)
    return x.sum()


def message_with_braces(x, p):
    if p > 0.0:
        raise KeyError({"a": {}}["{b} of {}"])
    return x[0]


# (function, x): p = -1 and p = 0 are harmless, p = 2 raises
CASES = [
    (remainder_by_a_length, NOTHING),
    *(
        (f, SHORT)
        for f in (
            division_in_a_branch,
            index_beyond_a_short_array,
            row_beyond_a_short_array,
            shapes_that_do_not_fit,
            reshape_that_does_not_fit,
            after_a_return,
            always_after_a_return,
            in_turns,
            in_the_last_turns,
            in_a_while,
            of_a_list,
            of_a_dict_after_a_list_has_grown,
            second_operand,
            other_second_operand,
            comparison_that_goes_on,
            elements_of_a_comprehension,
            sum_of_a_generator,
            clause_that_fails,
            largest_with_a_default,
            call_that_always_raises,
            nested,
            name_that_is_not_there,
            written_before,
            message_with_braces,
            both_branches,
            forever_but_for_an_exception,
        )
    ),
    (sum_with_a_clause, np.array([0.0, 0.5, -1.0])),
    (filtered_elements, np.array([0.0, 0.5, -1.0])),
    (in_a_while_with_break, SHORT),
    (shapes_that_do_not_fit, LONG),
    (index_beyond_a_short_array, NOTHING),
]


def outcome(function, x, p):
    """The result and x afterwards, or the exception and x as it was."""
    (x,) = copied((x,))
    try:
        with np.errstate(all="ignore"):
            return function(x, p), x
    except Exception as e:
        return e


@pytest.mark.parametrize(("function", "x"), [pytest.param(f, x, id=f"{f.__name__}-{len(x)}") for f, x in CASES])
def test_raised_if_and_only_if_execution_gets_there(function, x):
    compiled = iv.jit(function)
    raised = 0
    for p in (-1.0, 2.0, 0.0, 2.0, 7.0):
        want, got = outcome(function, x, p), outcome(compiled, x, p)
        if isinstance(want, Exception):
            raised += 1
            assert isinstance(got, Exception), f"no {want!r} at p = {p}, but {got}"
            assert type(want) in type(got).__mro__, f"{got!r} instead of {want!r}"
            assert f"in {function.__name__}" in "".join(got.__notes__) or "helper" in str(got)
        else:
            assert not isinstance(got, Exception), f"at p = {p}: {got!r}"
            assert_same(got, want)
    assert raised


@pytest.mark.parametrize("function", [division_in_a_branch, in_turns, after_a_return, written_before])
def test_gradients_get_there_too(function):
    gradient = iv.grad(lambda x, p: function(x, p) * 1.0)
    assert gradient(SHORT, -1.0).shape == (3,)
    with pytest.raises(ZeroDivisionError):
        gradient(SHORT, 2.0)


def test_message_and_line_are_python_s():
    compiled = iv.jit(of_a_list)
    with pytest.raises(IndexError, match="list index out of range") as caught:
        compiled(SHORT, 1.0)
    line = of_a_list.__code__.co_firstlineno + 2
    assert caught.value.__notes__ == [f"  at {__file__}:{line}, in of_a_list"]


def test_what_certainly_runs_raises_at_the_first_call():
    for f in (lambda x: 1 // len(x[3:]), lambda x: [x[0]][1], lambda x: x @ np.ones((2, 2))):
        with pytest.raises((ZeroDivisionError, IndexError, ValueError)):
            iv.jit(f)(SHORT)


def test_what_cannot_be_staged_raises_at_once():
    def printed(x):
        if x > 0.0:
            return float(f"{x}")
        return x

    with pytest.raises(TypeError, match="only known when the program runs"):
        iv.jit(printed)(-1.0)
