"""Mistakes at the call of a transform or of what it made: the traceback ends at the user's call."""

import datetime

import numpy as np

import iverson as iv

from .indices import matrix, vector
from .registry import mistake


def square(x):
    return x * x


def total(x):
    return np.sum(x * x)


def scaled(x, factor=1.0):
    return x * factor


def double_in_place(x):
    x *= 2.0


def shift_into(out, x):
    out[1:] = x[:-1]


def labelled(x, label):
    return x * len(label)


@mistake(TypeError, r"int", transform="")
def gradient_of_an_integer():
    return iv.grad(square)(3)  # <-- here


@mistake(TypeError, r"int|bool", transform="")
def gradient_of_an_integer_array():
    return iv.grad(total)(np.arange(4))  # <-- here


@mistake(TypeError, r"bool", transform="")
def gradient_of_a_bool():
    return iv.grad(scaled, argnums=1)(2.0, True)  # <-- here


@mistake(TypeError, r"scalar|shape", transform="")
def gradient_of_an_array_valued_function():
    return iv.grad(square)(vector())  # <-- here


@mistake(TypeError, r"scalar|tuple", transform="")
def gradient_of_a_pair():
    return iv.grad(lambda x: (x, x))(1.0)  # <-- here


@mistake(TypeError, r"None", transform="")
def gradient_of_a_function_that_returns_none():
    return iv.grad(double_in_place)(vector())  # <-- here


@mistake(TypeError, r"int|float|differentiable", transform="")
def gradient_of_an_integer_result():
    return iv.grad(lambda x: np.argmax(x))(vector())  # <-- here


@mistake((TypeError, ValueError), r"argnums|argument", transform="")
def argnums_out_of_range():
    return iv.grad(square, argnums=2)(1.0)  # <-- here


@mistake(TypeError, r"argnums|int", transform="")
def argnums_by_name():
    return iv.grad(square, argnums="x")(1.0)  # <-- here


@mistake(TypeError, r"missing.*'x'|argument", transform="")
def too_few_arguments():
    return iv.jit(square)()  # <-- here


@mistake(TypeError, r"positional|argument", transform="")
def too_many_arguments():
    return iv.jit(square)(1.0, 2.0)  # <-- here


@mistake(TypeError, r"factr", transform="")
def unknown_keyword():
    return iv.jit(scaled)(1.0, factr=2.0)  # <-- here


@mistake(TypeError, r"multiple values|'x'", transform="")
def argument_given_twice():
    return iv.jit(scaled)(1.0, x=2.0)  # <-- here


@mistake((TypeError, ValueError), r"hash", transform="")
def unhashable_static_argument():
    return iv.jit(labelled, static_argnames=("label",))(vector(), {"a", "b"})  # <-- here


@mistake((TypeError, ValueError), r"lable", transform="")
def unknown_static_argument():
    return iv.jit(labelled, static_argnames=("lable",))(vector(), "ab")  # <-- here


@mistake(TypeError, r"callable|function", transform="")
def jit_of_a_number():
    return iv.jit(3.0)(1.0)  # <-- here


@mistake((TypeError, OSError, ValueError), r"source", transform="")
def function_without_source():
    absolute = eval("lambda x: x if x > 0.0 else -x")
    return iv.jit(absolute)(-1.0)  # <-- here


@mistake(TypeError, r"object", transform="")
def array_of_objects():
    return iv.jit(square)(np.array([1.0, 2.5], dtype=object))  # <-- here


@mistake(TypeError, r"str|<U", transform="")
def array_of_strings_as_an_argument():
    return iv.jit(square)(np.array(["a", "b"]))  # <-- here


@mistake(TypeError, r"datetime|<M8", transform="")
def array_of_dates():
    return iv.jit(scaled)(np.array(["2020-01-01"], dtype="datetime64[D]"))  # <-- here


@mistake(TypeError, r"date", transform="")
def a_date():
    return iv.jit(square)(datetime.date(2020, 1, 1))  # <-- here


@mistake(TypeError, r"dtype|void|struct|\[\('", transform="")
def structured_array():
    return iv.jit(square)(np.zeros(3, dtype=[("x", float), ("y", float)]))  # <-- here


@mistake(OverflowError, r"int", transform="")
def integer_beyond_64_bits():
    return iv.jit(square)(2**70)  # <-- here


@mistake(ValueError, r"read-only|readonly", transform="")
def read_only_array_written():
    x = vector()
    x.flags.writeable = False
    return iv.jit(double_in_place)(x)  # <-- here


@mistake(ValueError, r"overlap|memory|alias", transform="")
def overlapping_arguments_written():
    x = vector()
    return iv.jit(shift_into)(x[1:], x[:-1])  # <-- here


@mistake(ValueError, r"overlap|memory|alias", transform="")
def one_array_passed_twice_and_written():
    x = vector()
    return iv.jit(shift_into)(x, x)  # <-- here


@mistake((TypeError, ValueError), r"shape|5.*4|4.*5", transform="")
def cotangent_of_the_wrong_shape():
    _, pullback = iv.vjp(square, vector(5))
    return pullback(vector(4))  # <-- here


@mistake((TypeError, ValueError), r"shape|5.*4|4.*5", transform="")
def tangent_of_the_wrong_shape():
    return iv.jvp(square, (vector(5),), (vector(4),))  # <-- here


@mistake((TypeError, ValueError), r"tangent|primal|2.*1|1.*2", transform="")
def fewer_tangents_than_primals():
    return iv.jvp(scaled, (1.0, 2.0), (1.0,))  # <-- here


@mistake(ValueError, r"5.*4|4.*5", transform="")
def vmap_over_different_lengths():
    return iv.vmap(scaled)(vector(5), vector(4))  # <-- here


@mistake((TypeError, ValueError), r"scalar|dimension|axis|rank", transform="")
def vmap_over_a_number():
    return iv.vmap(square)(2.0)  # <-- here


@mistake((IndexError, ValueError), r"axis|in_axes|dimension", transform="")
def vmap_over_an_axis_that_is_not_there():
    return iv.vmap(square, in_axes=3)(matrix())  # <-- here


@mistake(IndexError, r"7.*3", transform="")
def segment_out_of_range():
    return iv.segment_sum(vector(3), np.array([0, 7, 1]), 3)  # <-- here


@mistake(ValueError, r"3.*2|2.*3|length|shape", transform="")
def segments_of_another_length():
    return iv.segment_sum(vector(3), np.array([0, 1]), 3)  # <-- here


@mistake(ValueError, r"skip|mode", transform="")
def histogram_with_an_unknown_mode():
    return iv.histogram(np.add, 0.0, np.array([0, 1]), vector(2), 2, mode="skip")  # <-- here


@mistake((TypeError, ValueError), r"carry|shape|dtype|type", transform="")
def fori_loop_that_changes_its_carry():
    return iv.jit(lambda x: iv.fori_loop(0, 3, lambda i, c: c[1:], x))(vector())  # <-- here
