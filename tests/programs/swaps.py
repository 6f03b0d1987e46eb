"""Names that trade arrays when the program runs: in inner loops, under conditions, with updates before and after."""

import math

import numpy as np

from .registry import program


def two(n, rng):
    return rng.normal(size=n), rng.normal(size=n)


def three(n, rng):
    return rng.normal(size=n), rng.normal(size=n), rng.normal(size=n)


SIZES = (0, 1, 2, 5, 11)


@program(args=two, wrt=(0, 1), sizes=SIZES, tags="loop alias branch inplace")
def swap_under_a_condition(x, y):
    a, b = x.copy(), y.copy()
    for i in range(len(x)):
        a[i] = math.tanh(a[i]) * b[i]
        if x[i] > 0.0:
            a, b = b, a
        b[i] += a[i] * a[i]
    return a, b


@program(args=two, wrt=(0, 1), sizes=SIZES, tags="loop alias branch inplace")
def swap_in_one_branch_with_updates_in_both(x, y):
    n = len(x)
    a, b = np.zeros(n), y.copy()
    for i in range(n):
        if x[i] > 0.2:
            b[i] = math.sin(b[i]) - a[i - 1]
            a, b = b, a
            a[i] += b[i] * x[i]
        else:
            a[i] = x[i] * b[i]
            b[i - 1] *= 0.5
    return a, b


@program(args=two, wrt=(0, 1), sizes=SIZES, tags="while alias branch inplace exit")
def swap_in_a_while_with_break_and_continue(x, y):
    a, b = x.copy(), y.copy()
    i = 0
    while True:
        if i >= len(x):
            break
        i += 1
        a[i - 1] += 0.5 * b[i - 1]
        if a[i - 1] > 2.5:
            break
        if b[i - 1] > 0.0:
            a, b = b, a
            continue
        b[i - 1] -= a[i - 1] * a[0]
    return a, b, i


@program(args=three, wrt=(0, 1, 2), sizes=SIZES, tags="loop while alias branch inplace")
def rotations_of_three_arrays_nested(x, y, z):
    a, b, c = x.copy(), y.copy(), z.copy()
    for i in range(len(x)):
        k = i
        while k > 0:
            a[k] = math.tanh(a[k] + b[i])
            if k % 2:
                a, b = b, a
            else:
                a, b, c = c, a, b
            k //= 2
        c[i] += a[i] * b[0]
    return a, b, c


@program(args=three, wrt=(0, 1, 2), sizes=SIZES, tags="loop alias branch inplace")
def one_of_three_permutations(x, y, z):
    a, b, c = x.copy(), y.copy(), z.copy()
    for i in range(len(x)):
        a[i] += b[i] * c[i]
        if z[i] > 0.3:
            a, b, c = b, c, a
        elif z[i] < -0.3:
            a, c = c, a
        c[i] = math.sin(c[i] - b[i - 1])
    return a - b, c


@program(args=three, wrt=(0, 1, 2), sizes=SIZES, tags="loop alias inplace update slice")
def swaps_deep_inside_with_slices(x, y, z):
    a, b, c = x.copy(), y.copy(), z.copy()
    for i in range(len(x)):
        for j in range(i % 3):
            for _ in range((i + j) % 2):
                a[j : j + 2] *= 0.9
                a, b = b, a
            b, c = c, b
            c[j] += 0.1 * a[i] * b[j]
        a[i] = math.cos(b[i]) * c[i]
    return a, b, c


@program(args=two, wrt=(0, 1), sizes=SIZES, tags="loop alias branch inplace", smooth=True)
def best_of_two_and_a_swap(x, y):
    a, best = x.copy(), y.copy()
    n = len(x)
    for i in range(n):
        a[i] = math.sin(a[i]) + 0.1 * best[i]
        if i % (n // 2 + 1) == 1:
            best = a.copy()
        elif a[i] < best[i]:
            a, best = best, a
        best[i] *= 0.7
    return a, best


@program(args=two, wrt=(0, 1), sizes=SIZES, tags="loop alias branch inplace comprehension")
def seldom_begun_anew_in_an_inner_loop(x, y):
    a, b = x.copy(), y.copy()
    n = len(x)
    for i in range(n):
        a[i] = math.tanh(a[i] * b[i - 1])
        for _ in range(1 if i % (n // 2 + 1) == 1 else 0):
            a = np.sin(a) * y
            a, b = b, a
        b[i] += 0.3 * a[i]
    return a, b


@program(
    args=lambda n, rng: (rng.normal(size=n), rng.normal(size=n)),
    wrt=(0, 1),
    sizes=SIZES,
    mutates=(0, 1),
    tags="loop alias branch inplace mutation",
)
def swap_of_arguments_under_a_condition(a, b):
    for i in range(len(a)):
        a[i] += b[i] * 0.5
        if a[i] > 0.0:
            a, b = b, a
        b[i] *= 2.0 - a[i]
    return a, b


@program(
    args=lambda n, rng: (rng.normal(size=(n, 3)), rng.normal(size=(n, 3)), rng.integers(0, 2, size=n)),
    wrt=(0, 1),
    sizes=SIZES,
    tags="loop alias branch inplace slice",
)
def rows_of_matrices_that_trade(x, y, which):
    a, b = x.copy(), y.copy()
    for i in range(len(which)):
        a[i] = np.tanh(a[i] + b[i - 1])
        if which[i] == 1:
            a, b = b, a
            b[i, 1:] *= a[i, :-1]
        b[i, 0] += 0.5 * a[i - 1, 2]
    return a, b


@program(args=three, wrt=(0, 1, 2), sizes=SIZES, tags="loop alias inplace scatter branch")
def scatters_onto_arrays_that_trade(x, y, w):
    a, b = x.copy(), y.copy()
    n = len(x)
    for i in range(n):
        where = np.array([int(10.0 * abs(b[(i + j) % n])) % n for j in range(3)])
        np.add.at(a, where, np.array([math.sin(w[k]) for k in where]))
        if i % 3 != 1:
            a, b = b, a
        b[i] *= 0.5 * a[i]
    return a, b
