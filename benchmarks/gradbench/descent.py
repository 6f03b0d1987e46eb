"""The gradient descent of particle and saddle: its step grows after ten that were good, and shrinks after a bad one."""

import numpy as np


def argmin(f, derivative, x):
    """Where f is least; `derivative` is the transform that differentiates it."""
    value, slope = f(x), derivative(f)(x)
    rate, good = 1e-5, 0
    while np.linalg.norm(slope) > 1e-5:
        if good == 10:
            rate, good = 2 * rate, 0
            continue
        new = x - rate * slope
        if np.linalg.norm(new - x) <= 1e-5:
            break
        new_value = f(new)
        if new_value < value:
            x, value, slope, good = new, new_value, derivative(f)(new), good + 1
        else:
            rate, good = rate / 2, 0
    return x


def argmax(f, derivative, x):
    return argmin(lambda y: -f(y), derivative, x)
