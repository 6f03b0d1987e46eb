"""Sizes that can't be, and reductions of nothing."""

import numpy as np

from .indices import vector
from .registry import mistake


@mistake((MemoryError, ValueError), r"allocate|memory|large|big|1000000000000000", lambda: ())
def more_memory_than_there_is():
    return np.zeros(10**15)  # <-- here


@mistake((MemoryError, ValueError), r"allocate|memory|large|big|exceed|1000000000000000", lambda: (10**15,))
def more_memory_by_an_argument(n):
    out = np.ones(n)  # <-- here
    out[n - 1] = 2.0
    return out


@mistake((MemoryError, ValueError), r"allocate|memory|large|big|exceed|overflow", lambda: (2**40, 2**40))
def sizes_whose_product_overflows(n, m):
    return np.zeros((n, m))  # <-- here


@mistake(ValueError, r"negative", lambda: (vector(),))
def a_negative_size(x):
    return np.zeros(len(x) - 7)  # <-- here


@mistake(ValueError, r"negative", lambda: (-2,), good=lambda: (2,))
def a_negative_size_by_an_argument(n):
    return np.ones((3, n))  # <-- here


@mistake(TypeError, r"integer", lambda: (vector(),))
def a_float_size(x):
    return np.zeros(len(x) / 2)  # <-- here


@mistake(TypeError, r"float.*integer|integer.*float", lambda: (vector(),))
def a_range_of_floats(x):
    s = 0.0
    for i in range(x[0]):  # <-- here
        s += i
    return s


@mistake(ValueError, r"zero", lambda: (vector(), 0), good=lambda: (vector(), 2))
def a_range_with_step_zero(x, step):
    s = 0.0
    for i in range(0, len(x), step):  # <-- here
        s += x[i]
    return s


@mistake(ValueError, r"zero", lambda: (vector(),))
def a_slice_with_step_zero(x):
    return x[::0]  # <-- here


@mistake(ValueError, r"zero-size|empty|identity", lambda: (np.zeros(0),), good=lambda: (vector(),))
def minimum_of_nothing(x):
    return x.min()  # <-- here


@mistake(ValueError, r"zero-size|empty|identity", lambda: (np.zeros((0, 4)),))
def maximum_along_an_empty_axis(a):
    return np.max(a, axis=0)  # <-- here


@mistake(ValueError, r"zero-size|empty|identity", lambda: (vector(), 2, 2), good=lambda: (vector(), 2, 3))
def maximum_of_an_empty_slice(x, i, j):
    return np.max(x[i:j])  # <-- here


@mistake(ValueError, r"empty", lambda: (np.zeros(0),), good=lambda: (vector(),))
def argmin_of_nothing(x):
    return np.argmin(x)  # <-- here


@mistake(ValueError, r"empty", lambda: (np.zeros(0),), good=lambda: (vector(),))
def python_min_of_nothing(x):
    return min(x[i] ** 2 for i in range(len(x)))  # <-- here


@mistake(ValueError, r"empty", lambda: (-vector(),), good=lambda: (vector(),))
def python_max_whose_clause_excludes_all(x):
    return max(v for v in x if v > 0.0)  # <-- here
