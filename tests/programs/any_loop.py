"""Loops that reverse mode must keep its promise on: deep exits, turns and places that data decide, views, aliases."""

import math

import numpy as np

from .registry import program

SIZES = (0, 1, 2, 5, 11)


def vector(n, rng):
    return (rng.normal(size=n),)


def two(n, rng):
    return rng.normal(size=n), rng.normal(size=n)


@program(args=two, wrt=(0, 1), sizes=SIZES, tags="loop while exit inplace branch")
def exits_at_every_depth(x, y):
    a = x.copy()
    for i in range(len(a)):
        j = i
        while j > 0:
            j -= 1
            if a[j] > 1.2:
                break
            for k in range(j + 1):
                if k == 3:
                    break
                if y[k] < -0.5:
                    continue
                a[k] = math.tanh(a[k] + 0.2 * a[j] * y[i])
            a[i] += 0.1 * a[j]
    return a


@program(args=two, wrt=(0, 1), sizes=SIZES, tags="loop exit inplace call")
def return_from_three_loops(x, y):
    def settle(a):
        for i in range(len(a)):
            for j in range(i + 1):
                k = j
                while k < len(a):
                    a[k] = 0.8 * a[k] - 0.1 * a[i] * y[j]
                    if a[k] < -1.5:
                        return a[k] * a[i], k
                    k += i + 1
        return sum(a), -1

    a = x.copy()
    value, where = settle(a)
    return value, where, a


@program(args=two, wrt=(0, 1), sizes=SIZES, tags="loop while inplace index")
def pointer_jumping_in_place(x, y):
    a = x.copy()
    n = len(a)
    at = 0
    for _ in range(n):
        steps = 0
        while steps < 3 and a[at] * a[at] < 4.0:
            following = (at + 1 + int(3.0 * abs(a[at]))) % n
            a[following] = a[following] * 0.9 + math.sin(a[at]) * y[following]
            at = following
            steps += 1
        a[at] *= 0.5
    return a, at


@program(
    args=lambda n, rng: (rng.normal(size=(n, n)),), wrt=(0,), sizes=(0, 1, 2, 5, 8), large=60, tags="loop inplace slice"
)
def partial_rows_and_columns(m):
    a = m.copy()
    n = len(a)
    for i in range(n):
        a[i, i:] *= 0.5
        for j in range(i):
            a[j, : i - j] += 0.1 * a[i, j] * a[i, : i - j]
        a[i:, i] = np.tanh(a[i:, i])
    return a


@program(
    args=lambda n, rng: (rng.normal(size=(3, n, 2)), rng.integers(0, 3, size=n)),
    wrt=(0,),
    sizes=SIZES,
    tags="loop inplace slice scatter",
)
def planes_of_a_cube(cube, which):
    c = cube.copy()
    for i in range(len(which)):
        p = which[i]
        c[p, i] = c[p, i - 1] * c[(p + 1) % 3, i]
        c[p, i, 0] += math.sin(c[p, i, 1])
        if p == 1:
            c[:, i, 1] -= 0.1 * c[0, i, 0]
    return c


@program(args=two, wrt=(0, 1), sizes=SIZES, tags="loop alias inplace slice")
def views_that_move_with_the_loop(x, y):
    a = x.copy()
    for i in range(1, len(a)):
        left, right = a[:i], a[i:]
        right[0] += math.sin(left[i - 1]) * y[i]
        left[: i // 2] *= 0.9
        whole = a
        whole[i - 1] -= 0.2 * right[0]
    return a


@program(args=two, wrt=(0, 1), sizes=SIZES, tags="loop while branch inplace")
def conditional_writes_of_conditional_writes(x, y):
    a, b = x.copy(), y.copy()
    i = 0
    while i < len(a):
        if a[i] > 0.0:
            if b[i] > 0.0:
                a[i - 1] = a[i] * b[i]
            else:
                b[i] = a[i] + b[i - 1]
                for k in range(i % 3):
                    b[k] *= 0.9 + 0.1 * a[k]
            i += 1
        elif b[i] > 0.5:
            a[i] += b[i]
        else:
            b[i] = math.sin(b[i]) - a[i - 1]
            i += 2
    return a, b


@program(args=vector, wrt=(0,), sizes=SIZES, tags="loop while inplace exit")
def insertion_sort_with_weights(x):
    a = x.copy()
    for i in range(1, len(a)):
        v = a[i]
        j = i - 1
        while j >= 0 and a[j] > v:
            a[j + 1] = a[j] * 1.01
            j -= 1
        a[j + 1] = v
    return a


@program(args=two, wrt=(0, 1), sizes=SIZES, tags="loop while inplace recurrence")
def heap_pushed_and_popped(x, y):
    heap = x * 0.0
    total = 0.0
    for size in range(len(x)):
        heap[size] = x[size]
        k = size
        while k > 0 and heap[(k - 1) // 2] > heap[k]:
            up = (k - 1) // 2
            heap[k], heap[up] = heap[up], heap[k]
            k = up
        total += heap[0] * y[size]
    return heap, total


@program(args=two, wrt=(0, 1), sizes=SIZES, tags="loop while index inplace")
def union_find_with_potentials(x, y):
    n = len(x)
    parent = np.arange(n)
    offset = np.zeros(n)
    for i in range(1, n):
        k = (3 * i) % i
        total = 0.0
        while parent[k] != k:
            total += offset[k]
            offset[k] *= 0.5
            k = parent[k]
        parent[i] = k
        offset[i] = x[i] * total + y[k]
    return offset, parent


@program(args=two, wrt=(0, 1), sizes=SIZES, tags="loop exit inplace", smooth=True)
def else_of_loops_and_last_values(x, y):
    a = x.copy()
    last = 0.0
    for i in range(len(a)):
        for j in range(i):
            if a[j] * y[i] > 1.0:
                a[j] *= 0.5
                last = a[j]
                break
        else:
            a[i] += last * y[i]
            continue
        a[i] -= last
    return a, last


@program(
    args=lambda n, rng: (rng.normal(size=(n, n)), rng.normal(size=n)),
    wrt=(0, 1),
    sizes=(0, 1, 2, 5, 8),
    large=60,
    tags="loop while inplace recurrence branch",
)
def pivoted_elimination_that_may_stop(m, b):
    a, x = m.copy(), b.copy()
    n = len(x)
    for k in range(n):
        p = k
        for i in range(k + 1, n):
            if abs(a[i, k]) > abs(a[p, k]):
                p = i
        if abs(a[p, k]) < 1e-3:
            break
        for j in range(k, n):
            a[k, j], a[p, j] = a[p, j], a[k, j]
        x[k], x[p] = x[p], x[k]
        for i in range(k + 1, n):
            f = a[i, k] / (2.0 * abs(a[k, k]) + 1.0)
            a[i, k:] -= f * a[k, k:]
            x[i] -= f * x[k]
    return a, x


@program(args=two, wrt=(0, 1), sizes=SIZES, tags="loop inplace accumulate scatter")
def histogram_read_while_it_grows(x, y):
    n = len(x)
    h = np.zeros(n + 1)
    for i in range(n):
        k = int(abs(x[i]) * 5.0) % n
        h[k] += y[i] * (1.0 + h[k - 1])
        np.add.at(h, np.array([k, (k + 1) % n, k]), np.array([x[i], h[k], y[k]]))
        h[n] = max(h[n], h[k])
    return h


@program(args=two, wrt=(0, 1), sizes=SIZES, tags="loop inplace recurrence comprehension")
def local_arrays_in_turns(x, y):
    a = x.copy()
    n = len(a)
    for i in range(n):
        w = [a[(i + k) % n] * y[k % n] for k in range(4)]
        for k in range(3):
            w[k + 1] += math.sin(w[k])
            if w[k + 1] > 0.5:
                w[k] = w[k + 1] * 0.5
        a[i] = w[3] - w[0] * a[i - 1]
    return a


@program(args=two, wrt=(0, 1), sizes=SIZES, tags="loop while alias inplace branch")
def stack_machine(x, y):
    n = len(x)
    stack = np.zeros(n + 1)
    top = 0
    for i in range(n):
        if y[i] > 0.0 or top < 2:
            stack[top] = x[i]
            top += 1
        else:
            while top >= 2 and stack[top - 1] < stack[top - 2] + 3.0 * y[i] * y[i]:
                top -= 1
                stack[top - 1] = math.tanh(stack[top - 1] * stack[top]) + y[i]
    return stack, top


@program(
    args=lambda n, rng: (
        rng.normal(size=n),
        rng.normal(size=n),
        rng.integers(0, n, size=(n, 2)) if n else np.zeros((0, 2), int),
    ),
    wrt=(0, 1),
    tags="loop inplace accumulate scatter",
)
def products_scattered_each_turn(x, v, at):
    """A few elements are multiplied each turn, of an array that is updated in place throughout."""
    x = x.copy()
    total = 0.0
    for i in range(len(v)):
        s = 0.0
        for j in range(2):
            s += np.sin(x[at[i, j]])
        np.multiply.at(x, at[i], 1.0 + 0.3 * np.sin(s + v[i]))
        total += x[at[i, 0]] * s
    return total, x


@program(
    args=lambda n, rng: (np.array([rng.integers(0, n) for _ in range(n)], int), rng.normal(size=n)),
    wrt=(1,),
    sizes=SIZES,
    tags="loop inplace recurrence gather",
)
def table_filled_by_recurrence(where, theta):
    """Elements of a table of zeros, each from one at a place that data decide: behind it, or still zero."""
    s, t = np.zeros(len(theta)), np.full(len(theta) + 1, 0.5)
    for i in range(len(theta)):
        s[i] = 0.5 * s[where[i]] + theta[i] * (1.0 - s[where[i]])
        t[len(theta) - i] += math.sin(t[where[i]]) * s[i]
    return s, t
