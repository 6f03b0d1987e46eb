"""Out of range, in every position: the message names the index and the size."""

import numpy as np

from .registry import mistake


def vector(n=5):
    return np.arange(1.0, n + 1.0)


def matrix(n=3, m=6):
    return np.arange(1.0, n * m + 1.0).reshape(n, m)


@mistake(IndexError, r"5.*5", lambda: (vector(),))
def read_one_past_the_end(x):
    return x[len(x)]  # <-- here


@mistake(IndexError, r"-6.*5", lambda: (vector(), 6), good=lambda: (vector(), 5))
def read_below_the_negative_range(x, k):
    return x[-k]  # <-- here


@mistake(IndexError, r"7.*3", lambda: (matrix(), 7), good=lambda: (matrix(), 2))
def read_first_axis(a, i):
    s = 2.0 * a[0, 0]
    return s + a[i, 0]  # <-- here


@mistake(IndexError, r"6.*6", lambda: (matrix(), 6), good=lambda: (matrix(), -6))
def read_second_axis(a, j):
    return a[1, j]  # <-- here


@mistake(IndexError, r"5.*5", lambda: (vector(), 5), good=lambda: (vector(), 0))
def write(x, i):
    x[0] = 9.0
    x[i] = 1.0  # <-- here


@mistake(IndexError, r"8.*5", lambda: (vector(), 8), good=lambda: (vector(), 4))
def augmented_write(x, i):
    x[i] += 1.0  # <-- here


@mistake(IndexError, r"-4.*3", lambda: (matrix(), -4), good=lambda: (matrix(), -3))
def negative_write_of_a_row(a, i):
    a[i, :] = 0.0  # <-- here


@mistake(
    IndexError,
    r"9.*5",
    lambda: (vector(), np.array([0, 9, 1])),
    good=lambda: (vector(), np.array([0, 4, 1])),
)
def gather(x, index):
    return x[index].sum()  # <-- here


@mistake(
    IndexError,
    r"-7.*5",
    lambda: (vector(), np.array([0, 1, -7])),
    good=lambda: (vector(), np.array([0, 1, -5])),
)
def scatter(x, index):
    x[index] = 0.0  # <-- here


@mistake(
    IndexError,
    r"5.*5",
    lambda: (vector(), np.array([4, 5])),
    good=lambda: (vector(), np.array([4, 4])),
)
def add_at(x, index):
    np.add.at(x, index, 1.0)  # <-- here


@mistake(IndexError, r"6.*6", lambda: (matrix(),))
def inside_nested_loops(a):
    n, m = a.shape
    s = 0.0
    for i in range(n):
        for j in range(m):
            s += a[i, j + 1] - a[i, j]  # <-- here
    return s


@mistake(IndexError, r"3.*3", lambda: (matrix(),))
def swapped_axes_in_a_loop(a):
    out = np.zeros(a.shape)
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            out[i, j] = a[j, i]  # <-- here
    return out


@mistake(IndexError, r"5.*5", lambda: (vector(),))
def inside_a_comprehension(x):
    return np.array([x[i + 1] - x[i] for i in range(len(x))])  # <-- here


@mistake(
    IndexError,
    r"11.*5",
    lambda: (vector(), np.array([1, 11, 2])),
    good=lambda: (vector(), np.array([1, 1, 2])),
)
def inside_a_reduction(x, index):
    total = sum(x[index[k]] for k in range(len(index)))  # <-- here
    return total


@mistake(
    IndexError,
    r"12.*5",
    lambda: (vector(), np.array([12.7])),
    good=lambda: (vector(), np.array([3.7])),
)
def at_a_place_read_from_data(x, y):
    k = int(y[0])
    return x[k]  # <-- here


@mistake(IndexError, r"5.*5", lambda: (vector(),), good=lambda: (vector() - 3.0,))
def while_runs_off_the_end(x):
    i = 0
    while x[i] > 0.0 or i < 2:  # <-- here
        i += 1
    return i


@mistake(IndexError, r"0.*0", lambda: (np.zeros(0),), good=lambda: (vector(),))
def first_of_nothing(x):
    return x[0]  # <-- here


@mistake(IndexError, r"-1.*0", lambda: (np.zeros((3, 0)),), good=lambda: (matrix(),))
def last_column_of_none(a):
    return a[:, -1]  # <-- here


@mistake(IndexError, r"4.*4", lambda: (vector(), vector(4)), good=lambda: (vector(), vector(7)))
def shorter_second_array(x, w):
    s = 0.0
    for i in range(len(x)):
        s += x[i] * w[i]  # <-- here
    return s


@mistake(IndexError, r"3.*3", lambda: (matrix(),))
def chained_subscripts(a):
    return a[3][0]  # <-- here


@mistake(IndexError, r"5.*5", lambda: (vector(),))
def inside_a_helper(x):
    def forward(v, k):
        return v[k + 1] - v[k]  # <-- here

    return sum(forward(x, k) for k in range(len(x)))


@mistake(IndexError, r"7.*5", lambda: (vector(), 7), transform="grad", good=lambda: (vector(), 4))
def under_grad(x, k):
    y = x * x
    return y[k]  # <-- here


@mistake(IndexError, r"9.*5", lambda: (np.array([1.0, 2.0]),), transform="vmap")
def under_vmap(t):
    table = np.arange(5.0)
    return table[9] * t  # <-- here


@mistake(IndexError, r"6.*5", lambda: (vector(), np.array([6, 0])), good=lambda: (vector(), np.array([3, 0])))
def by_np_take(x, index):
    return np.take(x, index)  # <-- here


@mistake(IndexError, r"range", lambda: (vector(),))
def python_list_too_short(x):
    pair = [x[0], x[1]]
    return pair[2]  # <-- here


@mistake(IndexError, r"5.*5", lambda: (vector(), vector(3)))
def the_first_of_two_errors_is_reported(x, y):
    s = x[len(x)]  # <-- here
    return s + y[17]


@mistake(IndexError, r"too many|dimension", lambda: (vector(),))
def too_many_indices(x):
    return x[0, 1]  # <-- here


@mistake(IndexError, r"too many|dimension", lambda: (vector(),))
def new_axes_do_not_add_indices(x):
    return x[np.newaxis, 0, 0]  # <-- here


@mistake(IndexError, r"integer|float", lambda: (vector(),))
def a_float_index(x):
    middle = len(x) / 2
    return x[middle]  # <-- here


@mistake(IndexError, r"integer|float", lambda: (vector(), 1.0))
def a_float_argument_as_an_index(x, t):
    return x[t]  # <-- here


@mistake(IndexError, r"integer|float", lambda: (vector(), np.array([0.0, 1.0])))
def a_float_array_as_an_index(x, index):
    return x[index]  # <-- here


@mistake(IndexError, r"3.*5|5.*3", lambda: (vector(), np.array([True, False, True])))
def mask_of_the_wrong_length(x, mask):
    return x[mask].sum()  # <-- here


@mistake(IndexError, r"4.*5|5.*4", lambda: (vector(), np.zeros(4, dtype=bool)))
def write_under_a_mask_of_the_wrong_length(x, mask):
    x[mask] = 0.0  # <-- here


@mistake(IndexError, r"2.*3|3.*2", lambda: (matrix(), np.array([0, 1]), np.array([0, 1, 2])))
def index_arrays_of_different_shapes(a, i, j):
    return a[i, j]  # <-- here


@mistake(IndexError, r"integer|str|indices", lambda: (vector(),))
def a_string_as_an_index(x):
    return x["first"]  # <-- here


@mistake((IndexError, ValueError), r"axis 3|3.*dimension", lambda: (vector(),))
def expand_beyond_the_dimensions(x):
    return np.expand_dims(x, 3)  # <-- here


@mistake((IndexError, ValueError), r"axis 2|2.*dimension", lambda: (matrix(),))
def sum_over_an_axis_that_is_not_there(a):
    return a.sum(axis=2)  # <-- here


@mistake(IndexError, r"5.*size 5", lambda: (vector(6), 5), good=lambda: (vector(6), 4))
def read_beyond_a_view_but_inside_its_array(x, i):
    return x[:-1][i]  # <-- here


@mistake(IndexError, r"-4.*size 3", lambda: (vector(), -4), good=lambda: (vector(), -3))
def read_before_a_view_with_steps(x, i):
    return x[::2][i]  # <-- here


@mistake(IndexError, r"4.*axis 0.*size 4", lambda: (matrix(6, 6), 4), good=lambda: (matrix(6, 6), 3))
def row_of_the_inner_matrix(a, i):
    inner = a[1:-1, 1:-1].T
    return inner[i, 0]  # <-- here


@mistake(IndexError, r"3.*axis 1.*size 3", lambda: (vector(6), 3), good=lambda: (vector(6), 2))
def column_of_a_reshaped_vector(x, i):
    x.reshape(2, 3)[0, i] = 1.0  # <-- here


@mistake(IndexError, r"4.*size 4", lambda: (vector(6), 4), good=lambda: (vector(6), 3))
def write_beyond_a_view(x, i):
    inner = x[1:-1]
    inner[i] += 1.0  # <-- here


@mistake(
    IndexError, r"4.*size 3", lambda: (vector(), np.array([0, 1, 4])), good=lambda: (vector(), np.array([0, 1, 2]))
)
def gather_beyond_a_view(x, k):
    return x[:3][k]  # <-- here


@mistake(IndexError, r"3.*size 3", lambda: (vector(), np.array([0, 3])), good=lambda: (vector(), np.array([0, 2])))
def scatter_beyond_a_view(x, k):
    np.add.at(x[:3], k, 1.0)  # <-- here


@mistake(IndexError, r"4.*size 3", lambda: (vector(15), 4), good=lambda: (vector(15), 2))
def read_beyond_a_view_but_not_its_storage(x, i):
    return x[2:5][i]  # <-- here


@mistake(IndexError, r"-4.*size 3", lambda: (vector(15), -4), good=lambda: (vector(15), -3))
def write_below_a_view_but_not_its_storage(x, i):
    y = x[2:5]
    y[i] = 1.0  # <-- here


@mistake(IndexError, r"4.*axis 1 with size 3", lambda: (vector(15), 4), good=lambda: (vector(15), 2))
def beyond_a_row_of_a_reshaped_array(x, j):
    y = x.reshape(5, 3)
    y[0, j] += 1.0  # <-- here


@mistake(IndexError, r"7.*size 5", lambda: (vector(15), np.array([0, 7])), good=lambda: (vector(15), np.array([0, 4])))
def gather_from_a_view(x, index):
    return x[5:10][index].sum()  # <-- here


@mistake(IndexError, r"out of", lambda: (5, 5), good=lambda: (5, -5))
def beyond_a_range(n, i):
    return range(n)[i]  # <-- here
