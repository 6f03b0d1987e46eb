"""Transforms as users call them: Python numbers as arguments, directions and results; again and again."""

import itertools

import numpy as np
import pytest

import iverson as iv


def test_derivative_at_a_constant_inside_a_program():
    assert iv.grad(lambda x: x * iv.grad(lambda y: x * y)(2.0))(3.0) == 6.0


def test_directions_are_python_numbers():
    assert iv.jit(lambda x: iv.jvp(np.sin, (x,), (1.0,)))(0.0) == (0.0, 1.0)
    assert iv.jit(lambda x: iv.jvp(np.sin, (0.0,), (x,)))(0.5) == (0.0, 0.5)
    assert iv.jit(lambda x: iv.vjp(np.sin, x)[1](1.0))(0.0) == (1.0,)


def test_results_are_python_numbers():
    def mixed(x):
        return x * x, 3, x > 1.0, 2.5, None, "a"

    out, tangent = iv.jvp(mixed, (2.0,), (1.0,))
    assert out == (4.0, 3, True, 2.5, None, "a")
    assert tangent[:4] == (4.0, None, None, 0.0)
    for jacobian in (iv.jacfwd, iv.jacrev):
        assert jacobian(lambda x: mixed(x)[:4])(2.0) == (4.0, None, None, 0.0)
    assert iv.grad(lambda x: 3.0)(2.0) == 0.0
    with pytest.raises(TypeError, match="returns int64"):
        iv.grad(lambda x: 3)(2.0)


def test_cotangents_must_fit():
    _, pullback = iv.vjp(np.sin, np.ones(8))
    with pytest.raises(ValueError, match="the cotangent has the wrong shape"):
        pullback(np.ones(7))


def test_transforms_of_one_function_are_compiled_once():
    turns = itertools.count()

    def counted(x):
        next(turns)
        return x * x

    for x in (1.0, 2.0, 3.0):
        assert iv.jvp(counted, (x,), (1.0,))[1] == 2 * x
        assert iv.vjp(counted, x)[1](1.0) == (2 * x,)
    assert next(turns) == 3  # jvp, the value, the pullback
