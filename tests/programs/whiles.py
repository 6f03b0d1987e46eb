"""while, break, continue and early return: turns that only the data knows."""

import math

import numpy as np

from .registry import program


@program(args=lambda n, rng: (rng.uniform(0.5, 9.0, size=n),), wrt=(0,), tags="while exit comprehension call map")
def newton_square_roots(values):
    def root(v):
        x = v
        while abs(x * x - v) > 1e-12 * v:
            x = 0.5 * (x + v / x)
        return x

    return [root(v) for v in values]


@program(args=lambda n, rng: (float(n) + 2.5,), wrt=(0,), tags="while recurrence")
def newton_cube_root(a):
    x = a
    error = 1.0
    while error > 1e-10:
        new = x - (x**3 - a) / (3.0 * x**2)
        error = abs(new - x)
        x = new
    return x


@program(args=lambda n, rng: (float(n) + 0.7,), smooth=False, tags="while branch exit")
def bisection(target):
    low, high = 0.0, 10.0
    while high - low > 1e-9:
        middle = (low + high) / 2.0
        if middle**3 + middle < target:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0


@program(args=lambda n, rng: (n * 7 + 1,), sizes=(0, 1, 2, 5, 27), tags="while dtype branch")
def collatz_length(n):
    turns = 0
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        turns += 1
    return turns


@program(args=lambda n, rng: (n * 12, n * 18 + 4), tags="while dtype alias")
def greatest_common_divisor(a, b):
    while b != 0:
        a, b = b, a % b
    return a


@program(
    args=lambda n, rng: (np.exp(3.0 * rng.uniform(0.0, 1.0, size=n)), 0.8),
    wrt=(0, 1),
    tags="while loop recurrence set",
)
def per_lane_while_heavy_tail(energy, loss):
    n = len(energy)
    left = np.zeros(n)
    turns = np.zeros(n, dtype=np.int64)
    for lane in range(n):
        e = energy[lane]
        while e > 1.0:
            e = e * loss - 0.01 * math.sin(e)
            turns[lane] += 1
        left[lane] = e
    return left, turns


@program(args=lambda n, rng: (rng.uniform(0.5, 1.5, size=n + 2), 0.05), wrt=(0, 1), tags="while inplace update")
def relax_until_flat(u, rate):
    u = u.copy()
    turns = 0
    while turns < 40 and np.max(u) - np.min(u) > 0.2:
        for i in range(1, len(u)):
            u[i] += rate * (u[i - 1] - u[i])
        turns += 1
    return u, turns


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="loop exit recurrence")
def sum_until_large(x):
    total = 0.0
    for v in x:
        total += v * v
        if total > 2.0:
            break
    return total


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="loop exit branch sum")
def skip_negatives(x):
    total = 0.0
    count = 0
    for i in range(len(x)):
        if x[i] < 0.0:
            continue
        count += 1
        total += math.sqrt(x[i])
    return total, count


@program(args=lambda n, rng: (rng.normal(size=n), 0.4), wrt=(0,), tags="loop exit call index")
def first_above(x, threshold):
    for i in range(len(x)):
        if x[i] > threshold:
            return x[i] * 2.0, i
    return 0.0, -1


@program(args=lambda n, rng: (rng.normal(size=(n, n)), 0.9), wrt=(0,), large=40, tags="loop exit while branch")
def search_rows_with_exits(a, threshold):
    n = len(a)
    total = 0.0
    for i in range(n):
        j = 0
        while True:
            if j >= n:
                break
            v = a[i, j]
            j += 1
            if v < -0.5:
                continue
            if v > threshold:
                total += v * v
                break
            total += 0.1 * v
    return total


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="loop exit")
def for_else(x):
    for v in x:
        if v > 1.5:
            found = v * 3.0
            break
    else:
        found = -1.0
    return found


@program(args=lambda n, rng: (n, 0.31, 0.04), tags="while loop exit dtype", large=60)
def mandelbrot_counts(n, cx, cy):
    counts = np.zeros((n, n + 1), dtype=np.int64)
    for row in range(n):
        for column in range(n + 1):
            x0 = cx + 2.5 * column / (n + 1) - 1.75
            y0 = cy + 2.0 * row / max(n, 1) - 1.0
            x, y, k = 0.0, 0.0, 0
            while x * x + y * y <= 4.0 and k < 50:
                x, y = x * x - y * y + x0, 2.0 * x * y + y0
                k += 1
            counts[row, column] = k
    return counts


@program(args=lambda n, rng: (np.sort(rng.normal(size=n)), 0.2), tags="while index dtype branch")
def binary_search(sorted_values, key):
    low, high = 0, len(sorted_values)
    while low < high:
        middle = (low + high) // 2
        if sorted_values[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low


@program(args=lambda n, rng: (10.0 + 0.1 * n,), wrt=(0,), tags="while exit recurrence")
def particle_until_ground(charge):
    x, y, vx, vy, dt = 0.0, 8.0, 0.75, 0.0, 0.1
    while True:
        dx1, dy1, dx2, dy2 = x - 10.0, y - (10.0 - charge), x - 10.0, y
        r1 = (dx1 * dx1 + dy1 * dy1) ** 1.5
        r2 = (dx2 * dx2 + dy2 * dy2) ** 1.5
        ax, ay = dx1 / r1 + dx2 / r2, dy1 / r1 + dy2 / r2 - 0.1
        x, y = x + dt * vx, y + dt * vy
        if y <= 0.0:
            break
        vx, vy = vx + dt * ax, vy + dt * ay
    t = -y / vy
    return (x + t * vx) ** 2


@program(args=lambda n, rng: (rng.uniform(0.5, 2.0, size=n),), wrt=(0,), tags="while recurrence numpy")
def vector_fixed_point(b):
    x = np.zeros(len(b))
    gap = 1.0
    while gap > 1e-11:
        new = 0.5 * np.cos(x) + 0.1 * b
        gap = np.sum(np.abs(new - x))
        x = new
    return x


@program(
    args=lambda n, rng: (rng.integers(0, 100, size=n),),
    mutates=(0,),
    tags="while loop index mutation dtype",
    large=200,
)
def insertion_sort(a):
    for i in range(1, len(a)):
        key = a[i]
        j = i - 1
        while j >= 0 and a[j] > key:
            a[j + 1] = a[j]
            j -= 1
        a[j + 1] = key


@program(
    args=lambda n, rng: (rng.normal(size=n),),
    wrt=(0,),
    mutates=(0,),
    tags="while loop alias mutation inplace",
    large=100,
)
def bubble_sort_floats(a):
    n = len(a)
    swapped = True
    while swapped:
        swapped = False
        for i in range(n - 1):
            if a[i] > a[i + 1]:
                a[i], a[i + 1] = a[i + 1], a[i]
                swapped = True


@program(
    args=lambda n, rng: (np.cumsum(rng.uniform(0.1, 1.0, n + 2)), rng.normal(size=n + 2), rng.normal(size=2 * n)),
    wrt=(0, 1, 2),
    tags="while branch gather loop",
)
def interpolation_by_bisection(grid, heights, queries):
    """Two searches whose indices stay between what they begin with, one that clips, and a place that goes round."""
    out, at, last = np.zeros(len(queries)), 0, len(grid) - 1
    for q in range(len(queries)):
        low, high = 0, last
        while high - low > 1:
            middle = (low + high) // 2
            if grid[middle] > queries[q]:
                high = middle
            else:
                low = middle
        slope = (heights[low + 1] - heights[low]) / (grid[low + 1] - grid[low])
        left, right = 0, len(grid)
        while left < right:
            middle = (left + right) // 2
            if grid[middle] < queries[q]:
                left = middle + 1
            else:
                right = middle
        at = (3 * at + left) % len(grid)
        out[q] = heights[low] + slope * (queries[q] - grid[low]) + heights[min(left, last)] * heights[at]
    return out
