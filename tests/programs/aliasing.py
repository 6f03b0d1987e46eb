"""Names, views and arguments alias as in NumPy: writes through any of them are seen through all."""

import numpy as np

from .registry import program


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="alias update mutation", mutates=(0,))
def two_names_one_array(x):
    y = x
    y[:] = y * 2.0
    x += 1.0
    return y.sum() - 2.0 * x.sum()


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="alias update")
def augmented_assignment_writes_but_rebinding_does_not(x):
    a = x.copy()
    b = a
    a += 1.0
    c = a
    a = a + 10.0
    a *= 2.0
    return a, b, c


@program(
    args=lambda n, rng: (rng.normal(size=(n, n + 1)),),
    wrt=(0,),
    mutates=(0,),
    large=60,
    tags="alias slice update mutation inplace",
)
def write_through_row_views(a):
    for i in range(len(a)):
        row = a[i]
        row[:] = row * (i + 1.0)
        row[0] += row[-1]
    for row in a:
        row -= row.sum() / len(row)


@program(
    args=lambda n, rng: (rng.normal(size=(n, n)),), wrt=(0,), mutates=(0,), large=60, tags="alias slice update mutation"
)
def write_through_a_transpose(a):
    t = a.T
    t[:1] += 2.0
    t[:, :1] *= 3.0
    a[:, -1:] = t[:, -1:] * 0.5
    return t.sum(axis=0)


@program(args=lambda n, rng: (rng.normal(size=2 * n + 1),), wrt=(0,), mutates=(0,), tags="alias slice update mutation")
def write_through_strided_views(x):
    even, odd = x[::2], x[1::2]
    even[1:] += odd
    odd *= even[:-1]
    backwards = x[::-1]
    backwards[0] = 5.0
    middle = backwards[1:-1]
    middle -= 0.5
    return even[-1] + x[-1]


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="alias slice update")
def view_of_a_view_sees_later_writes(x):
    a = x.copy()
    tail = a[1:]
    tip = tail[1:]
    a[:] = a * a
    before = tip.copy()
    tail += 1.0
    return tip - before, tip.sum(), a


@program(
    args=lambda n, rng: (rng.normal(size=n), rng.normal(size=n), 5), wrt=(0, 1), tags="alias loop inplace recurrence"
)
def swap_of_arrays_in_a_loop(x, y, turns):
    a, b = x.copy(), y.copy()
    for _ in range(turns):
        for i in range(1, len(a) - 1):
            b[i] = 0.5 * (a[i - 1] + a[i + 1]) * a[i]
        a, b = b, a
    return a, b


@program(
    args=lambda n, rng: (rng.normal(size=n), rng.normal(size=n), rng.normal(size=n), 4),
    wrt=(0, 1, 2),
    tags="alias loop recurrence inplace",
)
def rotate_three_buffers(x, y, z, turns):
    x, y, z = x.copy(), y.copy(), z.copy()
    for t in range(turns):
        x[:] = np.sin(y) + 0.1 * z
        x, y, z = y, z, x
        x[:1] += t
    return x - y, z


@program(
    args=lambda n, rng: (rng.normal(size=n), rng.normal(size=n)),
    wrt=(0, 1),
    mutates=(0, 1),
    tags="alias mutation update",
)
def swap_contents_of_arguments(x, y):
    keep = x.copy()
    x[:] = y
    y[:] = keep
    x, y = y, x
    x[:1] = 9.0


@program(args=lambda n, rng: (rng.normal(size=(n, 3)),), wrt=(0,), mutates=(0,), tags="alias mutation index update")
def swap_rows_and_elements(a):
    n = len(a)
    for i in range(n // 2):
        a[[i, n - 1 - i]] = a[[n - 1 - i, i]]
        a[i, 0], a[i, 2] = a[i, 2], a[i, 0]
    for i in range(1, n):
        keep = a[i].copy()
        a[i] = a[i - 1]
        a[i - 1] = keep


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="alias update")
def chained_assignment(x):
    a = b = x * 2.0
    a[:1] = 0.0
    c = d = 0.0
    c += b.sum()
    return a, b, c, d


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="alias call update")
def returned_views_alias(x):
    def halves(a):
        m = len(a) // 2
        return a[:m], a[m:]

    a = x.copy()
    left, right = halves(a)
    left *= 2.0
    right[:] = right + 1.0
    return a, left.sum() * right.sum()


@program(args=lambda n, rng: (rng.normal(size=(n, 4)),), wrt=(0,), mutates=(0,), tags="alias slice mutation update")
def reshaped_view_is_written(a):
    flat = a.reshape(-1)
    flat[::3] = 0.5
    blocks = a.reshape(len(a), 2, 2)
    blocks[:, 0, 1] *= blocks[:, 1, 0]
    return flat.sum()


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="alias gather mask")
def fancy_reads_are_copies(x):
    a = x.copy()
    index = np.arange(len(a))
    b, c = a[index], a[a > 0.0]
    b[:] = 0.0
    c *= 3.0
    return a, b.sum() + c.sum()


@program(args=lambda n, rng: (rng.normal(size=n), 3), wrt=(0,), tags="alias loop update inplace")
def buffer_reused_across_turns(x, turns):
    work = np.zeros(len(x))
    total = np.zeros(len(x))
    for t in range(turns):
        work[:] = 0.0
        for i in range(len(x)):
            work[i] += x[i] ** (t + 1)
        total += np.cos(work)
    return total


@program(args=lambda n, rng: (rng.normal(size=n),), mutates=(0,), wrt=(0,), tags="mutation exit loop")
def mutation_and_early_return(x):
    for i in range(len(x)):
        x[i] = 2.0 * x[i]
        if x[i] > 1.0:
            return i
    x[:1] = 0.0
    return -1


@program(args=lambda n, rng: (rng.normal(size=3 * n)[::3],), wrt=(0,), mutates=(0,), tags="mutation slice loop")
def mutate_a_strided_argument(x):
    for i in range(1, len(x)):
        x[i] += x[i - 1]


@program(args=lambda n, rng: (rng.normal(size=4 * n + 2),), wrt=(0,), mutates=(0,), tags="alias slice update mutation")
def write_through_reshaped_views(x):
    flat = x.reshape(2, -1).reshape(-1)
    flat[0] += 1.0
    pairs = x[1:-1].reshape(-1, 2)
    pairs[:, 0] *= 3.0
    backwards = x[::-2].reshape(1, -1)
    backwards[0] += x[0]
    return flat.sum() + pairs[:, 1].sum()


@program(
    args=lambda n, rng: (rng.normal(size=(n + 1, 2 * n)),), wrt=(0,), mutates=(0,), tags="alias slice update mutation"
)
def write_through_views_with_an_axis_more(a):
    n, m = a.shape
    thick = a[:, ::-1].reshape(n, m, 1)
    thick[0] += 1.0
    halves = a[1:].reshape(n - 1, 2, m // 2)
    halves[:, 1] *= 2.0
    return thick.sum() + halves[:, 0].sum()
