"""Shapes that don't fit: the message names both."""

import numpy as np

from .indices import matrix, vector
from .registry import mistake


@mistake(ValueError, r"5.*4", lambda: (vector(5), vector(4)), good=lambda: (vector(5), vector(5)))
def add_different_lengths(x, y):
    z = x * 2.0
    return z + y  # <-- here


@mistake(ValueError, r"3.*6.*5", lambda: (matrix(3, 6), vector(5)), good=lambda: (matrix(3, 6), vector(6)))
def row_that_does_not_broadcast(a, x):
    return np.maximum(a, x)  # <-- here


@mistake(ValueError, r"5.*7|7.*5", lambda: (vector(5), vector(7)), good=lambda: (vector(5), vector(5)))
def in_a_reduction_of_a_product(x, y):
    return np.sum(x * y)  # <-- here


@mistake(ValueError, r"6.*3|3.*6", lambda: (matrix(), matrix()), good=lambda: (matrix(3, 6), matrix(6, 3)))
def matmul_without_transposing(a, b):
    return a @ b  # <-- here


@mistake(ValueError, r"6.*5|5.*6", lambda: (matrix(), vector(5)), good=lambda: (matrix(), vector(6)))
def matrix_times_vector(a, x):
    return a @ x  # <-- here


@mistake(ValueError, r"5.*7", lambda: (vector(5), vector(7)), good=lambda: (vector(6), vector(6)))
def dot_of_different_lengths(x, y):
    return np.dot(x, y)  # <-- here


@mistake(ValueError, r"scalar|0|dimension", lambda: (vector(5),))
def matmul_with_a_number(x):
    return x @ 2.0  # <-- here


@mistake(ValueError, r"5.*4|4.*5", lambda: (vector(), vector()))
def slice_assigned_a_longer_array(x, y):
    x[0] = 7.0
    x[1:] = y  # <-- here


@mistake(ValueError, r"2.*3|3.*2", lambda: (vector(), 2, 3), good=lambda: (vector(), 2, 2))
def variable_slices_of_different_lengths(x, i, j):
    x[:i] = x[-j:] * 2.0  # <-- here


@mistake(ValueError, r"5.*6|6.*5", lambda: (matrix(), vector(5)), good=lambda: (matrix(), vector(6)))
def row_assigned_in_a_loop(a, x):
    for i in range(len(a)):
        a[i, :] = x * i  # <-- here


@mistake(ValueError, r"4.*5|5.*4", lambda: (vector(), vector()))
def augmented_slice(x, y):
    x[1:] += y  # <-- here


@mistake(ValueError, r"3.*5|5.*3", lambda: (vector(5), matrix(3, 5)))
def in_place_result_larger_than_its_target(x, a):
    x += a  # <-- here


@mistake(ValueError, r"6.*4|4.*6", lambda: (matrix(3, 6), matrix(2, 4)), good=lambda: (matrix(3, 6), matrix(2, 6)))
def concatenate_unequal_columns(a, b):
    return np.concatenate([a, b])  # <-- here


@mistake(ValueError, r"dimension", lambda: (matrix(3, 6), vector(6)))
def concatenate_a_row_without_its_axis(a, x):
    return np.concatenate([a, x])  # <-- here


@mistake(ValueError, r"dimension", lambda: (1.0, 2.0))
def concatenate_scalars(s, t):
    return np.concatenate([s, t])  # <-- here


@mistake(ValueError, r"shape", lambda: (vector(5), vector(6)), good=lambda: (vector(5), vector(5)))
def stack_unequal_lengths(x, y):
    return np.stack([x, y])  # <-- here


@mistake(ValueError, r"5.*2|2.*5", lambda: (vector(5),), good=lambda: (vector(8),))
def reshape_to_another_size(x):
    return x.reshape(2, -1)  # <-- here


@mistake(ValueError, r"18.*4.*4|4.*4.*18|3.*6.*4.*4", lambda: (matrix(3, 6),))
def reshape_to_fixed_lengths(a):
    return np.reshape(a, (4, 4))  # <-- here


@mistake(
    ValueError,
    r"6.*4|4.*6",
    lambda: (vector(6), np.array([4])),
    good=lambda: (vector(6), np.array([3])),
)
def reshape_by_a_number_read_from_data(x, counts):
    return x.reshape(counts[0], -1).sum(axis=0)  # <-- here


@mistake(ValueError, r"-1|unknown", lambda: (vector(6),))
def reshape_with_two_unknown_lengths(x):
    return x.reshape(-1, -1)  # <-- here


@mistake(ValueError, r"5.*4|4.*5", lambda: (vector(5), vector(4)))
def where_of_different_lengths(x, y):
    return np.where(x > 2.0, x, y)  # <-- here


@mistake(ValueError, r"5.*6|6.*5", lambda: (vector(5), vector(6)))
def out_of_the_wrong_length(x, out):
    np.multiply(x, 2.0, out=out)  # <-- here


@mistake(ValueError, r"5.*3|3.*5", lambda: (vector(5),))
def broadcast_to_a_shorter_shape(x):
    return np.broadcast_to(x, (2, 3))  # <-- here


@mistake(ValueError, r"ax[ei]s", lambda: (matrix(),))
def transpose_with_a_wrong_axis(a):
    return a.transpose(0, 2)  # <-- here


@mistake(ValueError, r"axis|size|one", lambda: (matrix(),))
def squeeze_a_long_axis(a):
    return np.squeeze(a, axis=0)  # <-- here


@mistake(ValueError, r"equal|divi", lambda: (vector(5),))
def split_that_does_not_divide(x):
    left, right = np.split(x, 2)  # <-- here
    return left - right


@mistake(ValueError, r"unpack", lambda: (np.arange(3.0),))
def unpack_three_into_two(x):
    a, b = x  # <-- here
    return a + b


@mistake(ValueError, r"unpack", lambda: (matrix(),))
def unpack_a_shape_wrongly(a):
    n, m, k = a.shape  # <-- here
    return n * m * k


@mistake(ValueError, r"square", lambda: (matrix(3, 6),))
def cholesky_of_a_rectangle(a):
    return np.linalg.cholesky(a)  # <-- here


@mistake(ValueError, r"3.*4|4.*3", lambda: (np.eye(3), vector(4)))
def solve_with_a_longer_right_hand_side(a, b):
    return np.linalg.solve(a, b)  # <-- here


@mistake(ValueError, r"[Ss]ingular", lambda: (np.ones((3, 3)), vector(3)), good=lambda: (np.eye(3), vector(3)))
def solve_a_singular_system(a, b):
    return np.linalg.solve(a, b)  # <-- here


@mistake(ValueError, r"positive", lambda: (-np.eye(3),), good=lambda: (np.eye(3),))
def cholesky_of_a_negative_matrix(a):
    return np.linalg.cholesky(a)  # <-- here


@mistake(ValueError, r"inhomogeneous|shape|length|ragged", lambda: (vector(),))
def ragged_comprehension(x):
    return np.array([x[:i] for i in range(3)])  # <-- here


@mistake(ValueError, r"5.*5|subscript|operand|dimension", lambda: (vector(5),))
def einsum_with_too_many_letters(x):
    return np.einsum("ij->i", x)  # <-- here
