"""Conditions, assertions, names that may be unbound, and state that changes its shape."""

import numpy as np

from .indices import matrix, vector
from .registry import mistake, undecided


@mistake(ValueError, r"truth value|ambiguous", lambda: (vector(),))
def condition_is_an_array(x):
    if x > 0.0:  # <-- here
        return x
    return -x


@mistake(ValueError, r"truth value|ambiguous", lambda: (vector(),))
def while_condition_is_an_array(x):
    while x > 1.0:  # <-- here
        x = x / 2.0
    return x


@mistake(ValueError, r"truth value|ambiguous", lambda: (vector(),))
def chained_comparison_of_an_array(x):
    inside = 0.0 < x < 3.0  # <-- here
    return inside


@mistake(ValueError, r"truth value|ambiguous", lambda: (vector(), vector()))
def and_of_arrays(x, y):
    return (x > 0.0) and (y > 0.0)  # <-- here


@mistake(ValueError, r"truth value|ambiguous", lambda: (vector(),))
def not_of_an_array(x):
    return not x  # <-- here


@mistake(ValueError, r"truth value|ambiguous", lambda: (vector(), vector()))
def python_max_of_arrays(x, y):
    return max(x, y)  # <-- here


@mistake(ValueError, r"truth value|ambiguous", lambda: (vector(),))
def assertion_about_an_array(x):
    assert x > 0.0  # <-- here
    return x


@mistake(ValueError, r"truth value|ambiguous", lambda: (vector(),))
def conditional_expression_on_an_array(x):
    return x if x > 0.0 else 0.0  # <-- here


@mistake(AssertionError, r"sums to 15", lambda: (vector(),), good=lambda: (vector() / 15.0,))
def assertion_with_a_message(x):
    assert abs(x.sum() - 1.0) < 1e-6, "not a distribution: sums to 15, not 1"  # <-- here
    return x


@mistake(AssertionError, r"", lambda: (vector(),), good=lambda: (-vector(),))
def assertion_without_a_message_in_a_loop(x):
    for i in range(len(x)):
        assert x[i] < 4.0  # <-- here
    return x.sum()


@mistake(ValueError, r"rate must be positive", lambda: (vector(), -1.0), good=lambda: (vector(), 1.0))
def exception_raised_by_the_user(x, rate):
    if rate <= 0.0:
        raise ValueError("rate must be positive")  # <-- here
    return x * rate


@mistake(KeyError, r"slope", lambda: (vector(),))
def key_that_is_not_there(x):
    parameters = {"offset": x[0]}
    return parameters["slope"]  # <-- here


@mistake(NameError, r"last", lambda: (np.zeros(0),))
def variable_after_a_loop_that_does_not_run(x):
    for v in x:
        last = v
    return last  # <-- here


@mistake(NameError, r"'i'", lambda: (np.zeros(0),))
def counter_after_a_loop_that_does_not_run(x):
    for i in range(len(x)):
        x[i] += 1.0
    return i  # <-- here


@mistake(NameError, r"sign", lambda: (-1.0,))
def variable_bound_in_one_branch(t):
    if t > 0.0:
        sign = 1.0
    return sign * t  # <-- here


@mistake(NameError, r"total", lambda: (vector(),))
def accumulator_without_a_start(x):
    for v in x:
        total += v  # <-- here
    return total


@mistake(ValueError, r"shorter|longer|length|5.*4", lambda: (vector(5), vector(4)))
def strict_zip_of_different_lengths(x, y):
    s = 0.0
    for a, b in zip(x, y, strict=True):  # <-- here
        s += a * b
    return s


@mistake(TypeError, r"None|NoneType", lambda: (vector(),))
def result_of_an_in_place_helper(x):
    def double(v):
        v *= 2.0

    return double(x) + 1.0  # <-- here


@mistake(
    (TypeError, ValueError, NotImplementedError),
    r"shape|length|size",
    lambda: (vector(), 1.0),
    plain=False,
    lenient=True,
)
def branches_of_different_shapes(x, t):
    y = x[:2] if t > 0.0 else x[:3]  # <-- here
    return y * 2.0


@mistake(
    (TypeError, ValueError, NotImplementedError),
    r"shape|length|size",
    lambda: (vector(), 3),
    plain=False,
    lenient=True,
)
def loop_that_grows_its_array(x, turns):
    for _ in range(turns):  # <-- here
        x = np.concatenate([x, x])
    return x


@mistake(
    (TypeError, ValueError, NotImplementedError),
    r"shape|length|size|dimension",
    lambda: (matrix(), 2),
    plain=False,
    lenient=True,
)
def loop_that_drops_an_axis(a, turns):
    for _ in range(turns):  # <-- here
        a = a.sum(axis=0)
    return a


@mistake(
    (TypeError, ValueError, NotImplementedError),
    r"copy|alias",
    lambda: (vector(), vector(), 1.0),
    plain=False,
    lenient=True,
)
def written_name_is_one_array_or_another(x, y, t):
    z = x if t > 0.0 else y
    z[0] = 9.0  # <-- here
    return x.sum() - 2.0 * y.sum()


@undecided(r"list|index|integer", lambda: (vector(), 1))
def list_indexed_by_an_argument(x, k):
    choices = [x.sum(), x[0], x[-1]]
    return choices[k]  # <-- here


@mistake(RecursionError, r"recursion|depth", lambda: (5.0,))
def recursion_without_an_end(t):
    def down(s):
        return down(s - 1.0) + 1.0  # <-- here

    return down(t)
