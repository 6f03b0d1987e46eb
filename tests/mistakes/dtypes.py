"""Types that don't go together, division by zero, and arguments that are no numbers."""

import math

import numpy as np

from .indices import vector
from .registry import mistake, undecided, unsupported


@mistake(TypeError, r"int64.*float64|float64.*int64", lambda: (np.arange(5),))
def float_added_to_an_integer_array_in_place(x):
    x += 0.5  # <-- here


@mistake(TypeError, r"int64.*float64|float64.*int64", lambda: (np.arange(5),))
def integer_array_divided_in_place(x):
    x[1:] /= 2  # <-- here


@mistake(TypeError, r"bool.*subtract|subtract.*bool", lambda: (vector() > 2.0, vector() > 3.0))
def bools_subtracted(a, b):
    return a - b  # <-- here


@mistake(TypeError, r"bool.*negative|negative.*bool", lambda: (vector() > 2.0,))
def bools_negated(a):
    return -a  # <-- here


@mistake(TypeError, r"invert|float|~", lambda: (vector(),))
def floats_inverted(x):
    return ~x  # <-- here


@mistake(TypeError, r"and|float|&", lambda: (vector(), vector()))
def comparison_without_parentheses(x, y):
    return x > 1.0 & y < 2.0  # <-- here


@mistake(TypeError, r"shift|float|<<", lambda: (vector(),))
def floats_shifted(x):
    return x << 1  # <-- here


@mistake(TypeError, r"complex", lambda: (vector(),))
def complex_number_stored_among_floats(x):
    x[0] = 1j * x[1]  # <-- here


@mistake(TypeError, r"floor_divide|complex|//", lambda: (vector() + 1j,))
def complex_floor_division(z):
    return z // 2.0  # <-- here


@mistake(TypeError, r"floor|complex", lambda: (vector() + 1j,))
def floor_of_complex_numbers(z):
    return np.floor(z)  # <-- here


@mistake(TypeError, r"complex", lambda: (2.0 + 1j,))
def float_of_a_complex_number(z):
    return float(z)  # <-- here


@mistake(TypeError, r"complex|<", lambda: (2.0 + 1j, 3.0 + 0j))
def complex_numbers_ordered(z, w):
    return z < w  # <-- here


@mistake(OverflowError, r"1099511627776.*int32", lambda: (np.arange(5, dtype=np.int32),))
def number_too_large_for_int32(x):
    return x + 2**40  # <-- here


@mistake(ZeroDivisionError, r"zero", lambda: (7, 0), good=lambda: (7, 2))
def integer_division_by_zero(a, b):
    return a // b  # <-- here


@mistake(ZeroDivisionError, r"zero", lambda: (7, 0), good=lambda: (7, 2))
def modulo_zero(a, b):
    return a % b  # <-- here


@mistake(ZeroDivisionError, r"zero", lambda: (vector(0),), good=lambda: (vector(),))
def size_divided_by_an_empty_size(x):
    return 100 // len(x)  # <-- here


@mistake(
    ZeroDivisionError,
    r"zero",
    lambda: (np.array([4, 5]), np.array([2, 0])),
    plain=False,
    good=lambda: (np.array([4, 5]), np.array([2, 1])),
)
def zero_among_integer_divisors(a, b):
    s = 0
    for k in range(len(a)):
        s += a[k] // b[k]  # <-- here
    return s


@mistake(ValueError, r"negative", lambda: (3, -1), good=lambda: (3, 1))
def negative_shift(a, k):
    return a << k  # <-- here


@mistake(ValueError, r"negative", lambda: (np.array([2, 3]), -1), good=lambda: (np.array([2, 3]), 2))
def integers_to_a_negative_power(a, k):
    return a**k  # <-- here


@mistake(TypeError, r"scalar|0-dim|size-1|length-1|one element|array", lambda: (vector(),))
def math_sqrt_of_an_array(x):
    return math.sqrt(x)  # <-- here


@mistake(TypeError, r"scalar|0-dim|size-1|length-1|one element|array", lambda: (vector(),))
def float_of_an_array(x):
    return float(x)  # <-- here


@mistake(TypeError, r"iter", lambda: (2.0,))
def loop_over_a_number(t):
    s = 0.0
    for v in t:  # <-- here
        s += v
    return s


@mistake(TypeError, r"len|unsized", lambda: (2.0,))
def length_of_a_number(t):
    return len(t)  # <-- here


@mistake(TypeError, r"callable", lambda: (vector(),))
def parentheses_for_brackets(x):
    return x(0)  # <-- here


@mistake(TypeError, r"str|'<U|StrDType", lambda: (vector(),))
def number_plus_string(x):
    return x + "1"  # <-- here


@mistake(TypeError, r"None", lambda: (vector(), None))
def none_where_an_array_is_expected(x, weights):
    return x * weights  # <-- here


@mistake((TypeError, ValueError), r"inhomogeneous|shape|length|ragged", lambda: ([[1.0], [2.0, 3.0]],))
def ragged_list_made_an_array(rows):
    return np.array(rows)  # <-- here


@mistake(AttributeError, r"lenght", lambda: (vector(),))
def misspelt_attribute(x):
    return x.lenght  # <-- here


@mistake(AttributeError, r"square_root", lambda: (vector(),))
def misspelt_numpy_name(x):
    return np.square_root(x)  # <-- here


@mistake(NameError, r"undefined_name", lambda: (vector(),))
def misspelt_variable(x):
    return x + undefined_name  # <-- here


@mistake(TypeError, r"axes|keyword|argument", lambda: (vector(),))
def misspelt_keyword_of_a_numpy_function(x):
    return np.sum(x, axes=0)  # <-- here


@mistake(TypeError, r"dtype|quaternion|understood", lambda: (vector(),))
def unknown_dtype(x):
    return x.astype("quaternion")  # <-- here


@unsupported(r"linalg|eig", lambda: (np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 2.0]]),))
def unsupported_linear_algebra(a):
    return np.linalg.eig(a).eigenvalues  # <-- here


@unsupported(r"random", lambda: (vector(),))
def numpy_random_inside(x):
    return x + np.random.normal(size=len(x))  # <-- here


@unsupported(r"crc32|bytes|opaque|call", lambda: (vector(),))
def c_function_called_on_arrays(x):
    import zlib

    return zlib.crc32(x)  # <-- here


@undecided(r"float16", lambda: (vector(),))
def half_precision(x):
    return x.astype(np.float16).astype(np.float64)  # <-- here
