"""Programs that catch reverse mode out: overwritten values, imperfect nests, carries of mixed descent."""

import math

import numpy as np

from .registry import program


@program(args=lambda n, rng: (rng.normal(size=n), 3), wrt=(0,), tags="loop inplace update")
def several_updates_of_one_element_in_a_turn(x, turns):
    a = x.copy()
    for t in range(turns):
        for i in range(len(a)):
            a[i] = math.sin(a[i]) + 0.1 * t
            a[i] *= a[i]
            a[i] += a[i - 1] * a[0]
            a[0] = 0.5 * a[0] * a[i]
    return a


@program(
    args=lambda n, rng: (rng.normal(size=n), rng.integers(0, np.maximum(n, 1), size=(3, n))),
    wrt=(0,),
    tags="loop inplace gather scatter",
)
def overwrites_at_data_dependent_places(x, where):
    a = x.copy()
    for i in range(where.shape[1]):
        old = a[where[0, i]]
        a[where[1, i]] = old * a[where[2, i]]
        a[where[2, i]] += math.cos(old)
    return a


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="loop update set")
def overwritten_before_use(x):
    a = x * x
    for i in range(len(a)):
        a[i] = 1.0
    for i in range(len(a)):
        a[i] = a[i] * x[i]
    b = np.exp(x)
    b[:] = 2.0
    return a.sum() + b.sum()


@program(args=lambda n, rng: (rng.normal(size=n), 4), wrt=(0,), tags="loop inplace recurrence alias")
def carry_that_restarts_from_an_input(x, turns):
    a = x.copy()
    total = 0.0
    for t in range(turns):
        if t % 2 == 0:
            a = x.copy()
        for i in range(1, len(a)):
            a[i] += a[i - 1] * a[i]
        total += a.sum()
    return total, a


@program(args=lambda n, rng: (rng.normal(size=n), 3), wrt=(0,), tags="loop recurrence alias inplace")
def kept_copy_of_an_earlier_state(x, turns):
    now = x.copy()
    earlier = np.zeros(len(x))
    for _ in range(turns):
        snapshot = now.copy()
        for i in range(1, len(now)):
            now[i] = 0.5 * now[i] * now[i - 1] + earlier[i]
        earlier = snapshot
    return now - earlier


@program(args=lambda n, rng: (rng.normal(size=n), rng.normal(size=n)), wrt=(0, 1), tags="loop alias inplace recurrence")
def swap_inside_an_inner_loop(x, y):
    a, b = x.copy(), y.copy()
    for i in range(len(x)):
        for _ in range(i % 3):
            a[i] = math.tanh(a[i] + b[i])
            a, b = b, a
    return a, b


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="loop while inplace exit recurrence")
def nested_whiles_in_place(x):
    a = x.copy()
    i = 0
    while i < len(a):
        turns = 0
        while abs(a[i]) > 0.3:
            a[i] = 0.7 * a[i] - 0.01 * a[i - 1]
            turns += 1
            if turns > 20:
                break
        i += 1 + turns % 2
    return a


@program(args=lambda n, rng: (rng.normal(size=(n, n)),), wrt=(0,), large=40, tags="comprehension reduction map sum")
def imperfect_nest_of_depth_four(a):
    n = len(a)

    def row(i):
        scale = math.exp(0.1 * sum(a[i, j] for j in range(n)))
        return scale * sum(
            math.sin(a[i, j]) * sum(a[j, k] * math.cos(scale * a[k, i]) for k in range(n)) for j in range(n)
        )

    return [row(i) for i in range(n)]


@program(
    args=lambda n, rng: (rng.normal(size=n), rng.normal(size=6)), wrt=(0, 1), tags="comprehension map call reduction"
)
def local_array_used_twice(x, w):
    def features(v):
        powers = [v**k * w[k] for k in range(6)]
        return sum(p * p for p in powers) + max(powers[k] for k in range(6)) + powers[2]

    return [features(v) for v in x]


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="loop inplace comprehension reduction", large=200)
def reduction_over_the_carried_array(x):
    a = x.copy()
    for i in range(len(a)):
        mean = sum(v for v in a) / len(a)
        a[i] = a[i] - 0.5 * mean * mean
    return a


@program(args=lambda n, rng: (rng.normal(size=n), rng.normal(size=n)), wrt=(0, 1), tags="branch loop inplace alias")
def updates_in_one_branch_only(x, y):
    a, b = x.copy(), y.copy()
    for i in range(1, len(a)):
        if x[i] > 0.0:
            a[i] = a[i - 1] * b[i]
        elif y[i] > 0.0:
            b[i - 1] = a[i] * b[i]
            b[i] *= 2.0
    return a, b.sum()


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="loop exit inplace")
def break_after_a_partial_update(x):
    a = x.copy()
    i = -1
    for i in range(len(a)):
        a[i] *= 3.0
        if a[i] > 1.0:
            a[i] = -a[i]
            break
        a[i] += 1.0
    else:
        a *= 0.5
    return a, i


@program(
    args=lambda n, rng: (rng.normal(size=n), rng.normal(size=4)),
    wrt=(0, 1),
    large=200,
    tags="loop recurrence accumulate scatter",
)
def histogram_carried_through_a_loop(x, h0):
    h = h0.copy()
    for i in range(len(x)):
        k = int(abs(x[i]) * 2.0) % 4
        h[k] += x[i] * h[(k + 1) % 4]
    return h


@program(args=lambda n, rng: (rng.normal(size=n), 0.3), wrt=(0, 1), tags="call exit while recurrence")
def return_from_inside_a_while(x, rate):
    def settle(v):
        turns = 0
        while True:
            v = v - rate * math.sin(v)
            turns += 1
            if abs(v) < 0.05:
                return v, turns
            for k in range(turns):
                if turns > 6 + k:
                    return 2.0 * v, k

    results = [settle(v) for v in x]
    return [v for v, _ in results], sum(turns for _, turns in results)


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="reduction branch index clause")
def lazy_any_and_all(x):
    n = len(x)
    rises = any(x[i] < x[i + 1] for i in range(n) if i + 1 < n)
    guarded = all(i + 1 >= n or x[i] * x[i + 1] < 5.0 for i in range(n))
    return (
        (x * 2.0 if rises else x * 3.0),
        guarded,
        [x[i] / x[i + 1] if i + 1 < n and x[i + 1] != 0.0 else 1.0 for i in range(n)],
    )


@program(args=lambda n, rng: (rng.normal(size=n), 3), wrt=(0,), tags="loop recurrence set")
def states_collected_in_rows(x, steps):
    history = np.zeros((steps + 1, len(x)))
    history[0] = x
    for t in range(steps):
        history[t + 1] = history[t] + 0.1 * np.sin(history[t]) * history[0]
    return history, history[-1].sum()


@program(
    args=lambda n, rng: (rng.normal(size=(n, 3)), rng.normal(size=3)), wrt=(0, 1), tags="loop iterate inplace branch"
)
def row_views_in_branches(a, w):
    out = a.copy()
    for i, row in enumerate(out):
        score = row @ w
        if score > 0.0:
            row *= score
        elif i > 0:
            row[:] = out[i - 1] + w
    return out


@program(args=lambda n, rng: (rng.normal(size=n), n), wrt=(0,), tags="loop inplace size scan")
def triangular_updates(x, n):
    a = x.copy()
    for i in range(n):
        for j in range(i + 1, n):
            a[j] -= 0.1 * a[i] * a[j]
        a[i + 1 :] *= 0.9
    return a


@program(args=lambda n, rng: (0.4, 1.3, n), wrt=(0, 1), large=30, tags="loop recurrence pytree")
def matrix_powers_as_tuples(a, b, n):
    m = ((a, b), (-b, a))
    p = ((1.0, 0.0), (0.0, 1.0))
    for _ in range(n):
        p = tuple(tuple(sum(p[i][k] * m[k][j] for k in range(2)) for j in range(2)) for i in range(2))
    return p


@program(args=lambda n, rng: (rng.normal(size=n), 0.2), wrt=(0, 1), tags="loop while recurrence inplace update")
def whole_array_recurrence_with_history_dependent_turns(x, rate):
    y = x.copy()
    turns = 0
    while turns < 30 and np.sum(y * y) > 0.5:
        y = y - rate * np.tanh(y) * (1.0 + 0.01 * turns)
        y[:1] *= 0.9
        turns += 1
    return y, turns


@program(
    args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), sizes=(1, 2, 5, 11), tags="loop inplace accumulate reduction"
)
def bins_a_maximum_and_a_product_in_one_loop(x):
    """What goes to bins is swept once, whatever else the turns combine."""
    bins = np.zeros(3)
    high, product = -10.0, 1.0
    for i in range(len(x)):
        bins[i % 3] += np.sin(x[i])
        high = max(high, np.cos(x[i]))
        product *= x[i]
    return bins[0] + 2.0 * bins[1] * bins[2] + high + product


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), sizes=(1, 2, 5, 11), tags="loop inplace branch")
def arrays_begun_in_turns_and_updated_often(x):
    """Every turn begins an array anew and updates a few of its elements, some under conditions."""
    a, total = x.copy(), 0.0
    for t in range(4):
        b = np.sin(a) + 0.1 * t
        b[0] = b[0] * b[-1]
        if b[0] > 0.1:
            b[-1] = np.cos(b[0] * b[-1])
        b[0] += 0.5 * b[-1] ** 2
        b[len(b) // 2] *= 1.5
        total += b[0] * b[-1]
        a = np.cos(b) * x
        a[t % len(a)] *= total
        a[0] -= a[-1]
    return total, a
