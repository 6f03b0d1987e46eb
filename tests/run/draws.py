"""Means and variances of estimates over many keys, and what says that they are unbiased."""

import numpy as np

import iverson as iv

KEY = iv.random.key(5)


def moments(gradient, draws):
    """Mean and variance of gradient(key) over keys, in one compiled program."""

    @iv.jit
    def run(key):
        g = gradient(iv.random.fold_in(key, 0))
        total, squares = g * 0.0, g * 0.0
        for s in range(draws):
            g = gradient(iv.random.fold_in(key, s))
            total = total + g
            squares = squares + g * g
        return total / draws, squares / draws

    mean, square = run(KEY)
    return mean, (square - mean**2) * draws / (draws - 1)


def z_scores(gradient, exact, draws):
    mean, variance = moments(gradient, draws)
    scale = np.sqrt(variance / draws)
    assert np.all(scale > 0)
    return ((mean - exact) / scale).ravel(), variance


def unbiased(z):
    return abs(z.mean()) < 4 / np.sqrt(z.size) and np.mean(np.abs(z) > 3) < 0.006
