"""np.where computes only the side that is taken: gradients where the other side has none."""

import numpy as np
import pytest

import iverson as iv

X = np.array([-1.0, 0.0, 2.0, 3.0, 0.5, 0.0])
ALONE = np.array([0.0, 0.0, 0.5, 1 / 3, 2.0, 0.0])  # of log where positive


def log_of_the_positive(x):
    return np.sum(np.where(x > 0, np.log(x), 0.0))


def log_in_two_steps(x):
    y = np.log(x)
    z = np.where(x > 0, y, 0.0)
    return np.sum(z)


def log_through_a_view(x):
    y = np.log(x)[::-1]
    return np.sum(np.where(x[::-1] > 0, y, 0.0))


def log_elementwise(x):
    return sum(np.where(v > 0, np.log(v), 0.0) for v in x)


def log_in_a_loop(x):
    total = 0.0
    for i in range(len(x)):
        y = np.log(x[i])
        total += np.where(x[i] > 0, y, 0.0)
    return total


def log_under_a_mask(x):
    return np.sum(np.log(x), where=x > 0)


def log_by_select(x):
    return np.sum(np.select([x > 0], [np.log(x)], 0.0))


@pytest.mark.parametrize(
    "program",
    [
        log_of_the_positive,
        log_in_two_steps,
        log_through_a_view,
        log_elementwise,
        log_in_a_loop,
        log_under_a_mask,
        log_by_select,
    ],
)
def test_the_side_not_taken_has_no_say(program):
    np.testing.assert_allclose(iv.grad(program)(X), ALONE)


def used_twice(x):
    y = np.log(x)
    return np.sum(np.where(x > 0, y * y + y, 0.0))


def inverse_length(x):
    length = np.sqrt(x * x)
    return np.sum(np.where(length > 0, 1 / length, 0.0))


def its_own_condition(x):
    y = np.log(x * x)
    return np.sum(np.where(y > -10, y, -10.0))


def quotient(x):
    return np.sum(np.where(x != 0, 1 / x, 0.0))


def normalised(x):
    length = np.sqrt(np.sum(x * 0.0))
    return np.where(length > 0, np.sum(x) / length, 0.0)


@pytest.mark.parametrize(
    ("program", "slope"),
    [
        (used_twice, lambda v: (2 * np.log(v) + 1) / v if v > 0 else 0.0),
        (inverse_length, lambda v: -np.sign(v) / v**2 if v else 0.0),
        (its_own_condition, lambda v: 2 / v if v else 0.0),
        (quotient, lambda v: -1 / v**2 if v else 0.0),
        (normalised, lambda v: 0.0),
    ],
)
def test_values_with_other_uses(program, slope):
    np.testing.assert_allclose(iv.grad(program)(X), [slope(v) for v in X])


def test_an_array_that_was_written_since_is_not_read_again():
    def program(x):
        y = x * 2.0
        z = np.sqrt(y)
        y[:] = -1.0
        return np.where(x > 0, z, 0.0), y

    with np.errstate(all="ignore"):
        expected = program(X)
    for got, want in zip(iv.jit(program)(X), expected, strict=True):
        np.testing.assert_allclose(got, want)


def test_what_raises_stays_where_it_is():
    def program(k, m):
        q = k // m
        return np.where(m > 0, q, 0)

    with pytest.raises(ZeroDivisionError):
        iv.jit(program)(np.array([4, 5]), np.array([2, 0]))
