"""Sequential loops: recurrences, integrators, dynamic programming over scalars and rows."""

import math

import numpy as np

from .registry import program


@program(args=lambda n, rng: (rng.normal(size=n), 0.9), wrt=(0, 1), tags="loop recurrence")
def horner(coefficients, x):
    value = 0.0
    for i in range(len(coefficients) - 1, -1, -1):
        value = value * x + coefficients[i]
    return value


@program(args=lambda n, rng: (rng.normal(size=n), 0.5), wrt=(0, 1), tags="loop recurrence update inplace")
def linear_recurrence(x, a):
    n = len(x)
    s = np.zeros(n)
    carry = 1.0
    for i in range(n):
        carry = a * carry + x[i]
        s[i] = carry
    return s


@program(
    args=lambda n, rng: (n, rng.normal(size=3), 10.0, 28.0, 8.0 / 3.0),
    wrt=(1, 2, 3, 4),
    tags="loop recurrence call",
)
def lorenz_rk4(steps, start, sigma, rho, beta):
    def slope(x, y, z):
        return sigma * (y - x), x * (rho - z) - y, x * y - beta * z

    h = 0.01
    x, y, z = start[0], start[1], start[2]
    for _ in range(steps):
        k1x, k1y, k1z = slope(x, y, z)
        k2x, k2y, k2z = slope(x + 0.5 * h * k1x, y + 0.5 * h * k1y, z + 0.5 * h * k1z)
        k3x, k3y, k3z = slope(x + 0.5 * h * k2x, y + 0.5 * h * k2y, z + 0.5 * h * k2z)
        k4x, k4y, k4z = slope(x + h * k3x, y + h * k3y, z + h * k3z)
        x += h / 6.0 * (k1x + 2.0 * k2x + 2.0 * k3x + k4x)
        y += h / 6.0 * (k1y + 2.0 * k2y + 2.0 * k3y + k4y)
        z += h / 6.0 * (k1z + 2.0 * k2z + 2.0 * k3z + k4z)
    return x, y, z


@program(args=lambda n, rng: (rng.normal(size=n), 5), wrt=(0,), tags="loop recurrence call numpy map")
def ode_rk4_vectors(x, steps):
    def slope(y):
        rate = np.copy(x)
        rate[1:] *= y[:-1]
        return rate

    h = 2.0 / steps
    y = np.zeros(len(x))
    for _ in range(steps):
        k1 = slope(y)
        k2 = slope(y + 0.5 * h * k1)
        k3 = slope(y + 0.5 * h * k2)
        k4 = slope(y + h * k3)
        y = y + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
    return y


@program(
    args=lambda n, rng: (rng.normal(size=(n, 2)), rng.normal(size=(n, 2)), 7),
    wrt=(0, 1),
    large=300,
    tags="loop recurrence numpy map",
)
def leapfrog(position, velocity, steps):
    dt = 0.05
    force = -position - 0.1 * position**3
    for _ in range(steps):
        half = velocity + 0.5 * dt * force
        position = position + dt * half
        force = -position - 0.1 * position**3
        velocity = half + 0.5 * dt * force
    energy = 0.5 * np.sum(velocity**2) + np.sum(0.5 * position**2 + 0.025 * position**4)
    return position, velocity, energy


@program(
    args=lambda n, rng: (np.maximum(rng.integers(-1, np.maximum(np.arange(n), 1)), 0), rng.normal(size=n)),
    wrt=(1,),
    tags="loop inplace gather update",
)
def tree_recurrence(parent, theta):
    n = len(theta)
    s = np.zeros(n)
    for i in range(n):
        before = s[parent[i]] if i > 0 else 0.1
        s[i] = math.tanh(before + theta[i])
    return s


@program(
    args=lambda n, rng: (rng.integers(np.arange(n), n), rng.uniform(0.1, 1.0, size=n), 0.9),
    wrt=(1, 2),
    tags="loop inplace scatter update",
)
def downstream_accumulation(down, rain, keep):
    q = rain.copy()
    for i in range(len(q)):
        if down[i] != i:
            q[down[i]] += keep * q[i] * q[i] / (1.0 + q[i])
    return q


@program(args=lambda n, rng: (n, np.array([1.0, 2.0, 1.5, 0.5])), wrt=(1,), tags="loop recurrence size")
def nonlinear_product_runtime_bound(turns, x):
    p = 1.0
    for i in range(turns):
        p = p * math.sin(x[i % 4] * p) + 0.1 * x[i % 4]
    return p


@program(
    args=lambda n, rng: (rng.integers(0, 11, size=(n, 8)), rng.normal(size=11), rng.normal(size=8)),
    wrt=(1, 2),
    tags="loop gather recurrence",
)
def nested_loops_with_lookup(keys, table, weights):
    total = 0.0
    energy = 0.0
    for t in range(keys.shape[0]):
        local = 0.0
        for j in range(keys.shape[1]):
            local += weights[j] * table[keys[t, j]]
        energy = 0.5 * energy + math.tanh(local)
        total += energy * local
    return total


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="loop sum")
def rosenbrock(x):
    total = 0.0
    for i in range(len(x) - 1):
        total += 100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2
    return total


@program(args=lambda n, rng: (rng.normal(size=n), 0.3, 1.1, 0.5, 2.0), wrt=(0, 1, 2, 3, 4), tags="loop recurrence")
def kalman_scalar_filter(observed, start, a, q, r):
    mean, variance, score = start, 1.0, 0.0
    for y in observed:
        mean, variance = a * mean, a * a * variance + q
        gain = variance / (variance + r)
        error = y - mean
        score += -0.5 * (error * error / (variance + r) + math.log(2.0 * math.pi * (variance + r)))
        mean, variance = mean + gain * error, (1.0 - gain) * variance
    return mean, variance, score


@program(
    args=lambda n, rng: (
        rng.integers(0, 4, size=n),
        rng.uniform(size=3),
        rng.uniform(size=(3, 3)),
        rng.uniform(size=(3, 4)),
    ),
    wrt=(1, 2, 3),
    tags="loop recurrence gather numpy contraction",
)
def hmm_forward(symbols, start, transition, emission):
    belief = start / start.sum()
    moves = transition / transition.sum(axis=1, keepdims=True)
    shows = emission / emission.sum(axis=1, keepdims=True)
    likelihood = 0.0
    for t in range(len(symbols)):
        belief = (belief @ moves) * shows[:, symbols[t]]
        norm = belief.sum()
        belief = belief / norm
        likelihood += np.log(norm)
    return likelihood, belief


@program(
    args=lambda n, rng: (rng.normal(size=(n, 3)), rng.normal(size=(3, 3))),
    wrt=(0, 1),
    sizes=(1, 2, 5),
    tags="loop recurrence minmax index set",
)
def viterbi(scores, moves):
    n, k = scores.shape
    back = np.zeros((n, k), dtype=np.int64)
    best = scores[0].copy()
    for t in range(1, n):
        new = np.empty(k)
        for j in range(k):
            options = [best[i] + moves[i, j] for i in range(k)]
            back[t, j] = np.argmax(options)
            new[j] = max(options) + scores[t, j]
        best = new
    path = np.zeros(n, dtype=np.int64)
    path[n - 1] = np.argmax(best)
    for t in range(n - 1, 0, -1):
        path[t - 1] = back[t, path[t]]
    return np.max(best), path


@program(
    args=lambda n, rng: (rng.normal(size=n), rng.normal(size=(3, 3)), rng.normal(size=3), rng.normal(size=3)),
    wrt=(0, 1, 2, 3),
    tags="loop recurrence iterate numpy contraction",
)
def recurrent_network(inputs, w, u, b):
    h = np.zeros(3)
    states = np.zeros((len(inputs), 3))
    for t, x in enumerate(inputs):
        h = np.tanh(w @ h + u * x + b)
        states[t] = h
    return h, states.sum(axis=0)


@program(args=lambda n, rng: (n, 12345), sizes=(0, 1, 2, 5, 40), tags="loop recurrence dtype")
def random_walk_lcg(steps, seed):
    state, position, furthest = seed, 0, 0
    for _ in range(steps):
        state = (1103515245 * state + 12345) % 2147483648
        position += 1 if (state >> 16) & 1 else -1
        furthest = max(furthest, abs(position))
    return position, furthest, state


@program(args=lambda n, rng: (n, 0.35, 2018, 100.0), wrt=(1, 3), tags="loop recurrence dtype branch")
def monte_carlo_with_lcg(samples, volatility, seed, strike):
    state = seed
    total = 0.0
    for _ in range(samples):
        normal = -6.0
        for _ in range(12):
            state = (25214903917 * state + 11) % (2**48) % 1000003
            normal += state / 1000003.0
        price = 100.0 * math.exp(volatility * normal)
        total += price - strike if price > strike else 0.0
    return total / max(samples, 1)


@program(
    args=lambda n, rng: (rng.normal(size=(n, n)),),
    wrt=(0,),
    sizes=(1, 2, 5),
    large=60,
    tags="loop recurrence numpy contraction",
)
def power_iteration(a):
    symmetric = a @ a.T + np.eye(len(a))
    v = np.ones(len(a))
    for _ in range(6):
        w = symmetric @ v
        v = w / np.sqrt(np.sum(w * w))
    return v @ symmetric @ v, v


@program(args=lambda n, rng: (n, 0.3, 3.7), wrt=(1, 2), sizes=(0, 1, 2, 5, 9), large=30, tags="loop recurrence")
def logistic_map(turns, x, r):
    for _ in range(turns):
        x = r * x * (1.0 - x)
    return x


@program(args=lambda n, rng: (n,), large=80, tags="loop dtype recurrence")
def fibonacci(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="loop index recurrence size")
def reverse_and_strided_ranges(x):
    n = len(x)
    backwards = 0.0
    for i in range(n - 1, -1, -1):
        backwards = 0.5 * backwards + x[i]
    every_other = 1.0
    for i in range(1, n, 2):
        every_other = every_other * 0.9 + x[i] * x[i - 1]
    down_by_three = 0.0
    for i in range(n - 1, 0, -3):
        down_by_three = down_by_three * x[i] + x[-1]
    nothing = 0.0
    for _ in range(n, 0):
        nothing += 1.0
    return backwards, every_other, down_by_three, nothing


@program(args=lambda n, rng: (rng.normal(size=n), rng.normal(size=n)), wrt=(0, 1), tags="loop recurrence index")
def value_after_the_loop(x, y):
    last, i = 0.0, -1
    for i in range(len(x)):
        last = x[i] * y[i] + 0.1 * last
    return last, i


@program(
    args=lambda n, rng: (rng.normal(size=n), rng.normal(size=n + 2)),
    wrt=(0, 1),
    sizes=(1, 2, 6),
    tags="loop recurrence update nan",
)
def warping_by_lists(x, y):
    before = [np.inf] * (len(y) + 1)
    before[0] = 0
    for i in range(len(x)):
        row = [np.inf] * (len(y) + 1)
        for j in range(len(y)):
            row[j + 1] = abs(x[i] - y[j]) + min(before[j], before[j + 1], row[j])
        before = row
    return before[-1]


@program(args=lambda n, rng: (rng.normal(size=n), rng.integers(0, 3, size=n)), wrt=(0,), tags="loop update set")
def lists_of_a_repeated_number(x, bins):
    n = len(x)
    sums, seen, ends = [0.0] * n, [False] * n, n * [1.0, -1.0]
    for i in range(n):
        k = bins[i] % n
        sums[k] += x[i] * ends[i]
        sums[k] /= 2.0
        seen[k] = True
    return sum(s * s for s, p in zip(sums, seen) if p) + len(ends)
