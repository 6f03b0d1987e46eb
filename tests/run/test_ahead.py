"""iv.jit(f).compile(iv.spec(...)): compiled before there are arguments, for these and no others."""

import numpy as np
import pytest

import iverson as iv
from iverson.run import program


@pytest.fixture(autouse=True)
def _cheaply(monkeypatch):
    monkeypatch.setenv("IVERSON_LEVEL", "0")


def scaled(x, w, a, k=2):
    return a * (x @ w) + k


@pytest.fixture
def compilations(monkeypatch):
    """How many programs have been compiled."""
    made = []
    make = program._Native.__init__
    monkeypatch.setattr(program._Native, "__init__", lambda self, *args: made.append(1) or make(self, *args))
    return made


def test_calls_compile_nothing(compilations):
    compiled = iv.jit(scaled, static_argnames="k").compile(
        iv.spec(np.float64, (None, 3)), iv.spec(np.float64, 3), iv.spec(float), k=5
    )
    assert len(compilations) == 1
    for n in (5, 100, 7):
        x = np.arange(3.0 * n).reshape(n, 3)
        np.testing.assert_array_equal(compiled(x, np.ones(3), 2.0, k=5), scaled(x, np.ones(3), 2.0, 5))
    assert len(compilations) == 1
    assert repr(compiled) == "<scaled compiled for float64[_, 3], float64[3], Python float64, 5>"


@pytest.mark.parametrize(
    ("args", "k", "message"),
    [
        ((np.ones((7, 4)), np.ones(3), 2.0), 5, r"argument 0 is float64\[7, 4\].*float64\[_, 3\]"),
        ((np.ones((4, 3)), np.ones(3), 2.0), 5, r"argument 0 is float64\[4, 3\]"),
        ((np.ones((7, 3), np.float32), np.ones(3), 2.0), 5, r"argument 0 is float32"),
        ((np.ones((7, 3)), np.ones(3), 2), 5, r"argument 2 is 2, a int.*Python float64"),
        ((np.ones((7, 3)), np.ones(3), np.float64(2.0)), 5, r"argument 2 is np.float64"),
        ((np.ones((7, 3)), np.ones(3), 2.0), 6, r"argument 3 is 6"),
        ((np.ones((7, 3)), np.ones(3)), 5, r"structure"),
    ],
)
def test_other_arguments_are_errors(args, k, message):
    compiled = iv.jit(scaled, static_argnames="k").compile(
        iv.spec(np.float64, (None, 3)), iv.spec(np.float64, 3), iv.spec(float), k=5
    )
    for _ in range(2):
        with pytest.raises(TypeError, match=message):
            compiled(*args, k=k)
        assert compiled(np.ones((7, 3)), np.ones(3), 2.0, k=5).tolist() == [11.0] * 7


def test_equal_names_are_equal_lengths():
    compiled = iv.jit(lambda x, y: x @ y).compile(iv.spec(np.float64, ("n",)), iv.spec(np.float64, ("n", "m")))
    assert compiled(np.ones(6), np.ones((6, 7))).tolist() == [6.0] * 7
    for _ in range(2):
        with pytest.raises(TypeError, match="argument 1"):
            compiled(np.ones(6), np.ones((7, 7)))
        assert compiled(np.ones(6), np.ones((6, 8))).tolist() == [6.0] * 8


def test_stated_lengths_are_part_of_the_program():
    compiled = iv.jit(lambda x, y: x + y).compile(iv.spec(np.float64, (1,)), iv.spec(np.float64, (100,)))
    assert compiled(np.ones(1), np.ones(100)).shape == (100,)
    with pytest.raises(TypeError):
        compiled(np.ones(1), np.ones(101))


def test_computed_lengths_may_stretch():
    compiled = iv.jit(lambda x, y: x[4:] + y).compile(iv.spec(np.float64, (None,)), iv.spec(np.float64, (None,)))
    for n in (10, 5, 10):
        assert compiled(np.ones(n), np.ones(6)).tolist() == [2.0] * 6


def test_derivatives_trees_and_layouts():
    def loss(p, x):
        return np.sum((x @ p["w"] + p["b"]) ** 2)

    gradient = iv.grad(loss)
    compiled = gradient.compile({"w": iv.spec(np.float64, (3,)), "b": iv.spec(float)}, iv.spec(np.float64, (None, 3)))
    x, p = np.arange(30.0).reshape(10, 3), {"w": np.ones(3), "b": 0.5}
    for data in (x, np.asfortranarray(x), x[::-1]):
        got, want = compiled(p, data), gradient(p, data)
        np.testing.assert_allclose(got["w"], want["w"])
        np.testing.assert_allclose(got["b"], want["b"])


def test_inside_another_program_it_is_the_function():
    compiled = iv.jit(lambda x: x * 2.0).compile(iv.spec(np.float64, (None,)))
    assert iv.jit(lambda x: compiled(x) + 1.0)(np.ones(3)).tolist() == [3.0] * 3


def test_mistakes_in_specifications():
    for wrong, kind in (((np.float64, (-1,)), ValueError), ((np.float64, (2.5,)), TypeError), ((bool,), TypeError)):
        with pytest.raises(kind):
            iv.spec(*wrong)
    with pytest.raises(TypeError, match="float16"):
        iv.spec(np.float16, (3,))


def test_static_argnums():
    def power(x, n, *rest):
        for _ in range(n):
            x = x * 2.0
        return x, rest

    compiled = iv.jit(power, static_argnums=(1, 3))
    assert compiled(1.0, 3, 2.0, 7) == (8.0, (2.0, 7))
    assert compiled(1.0, 4, 3.0, 7) == (16.0, (3.0, 7))
    assert compiled(1.0, 4, 5.0, 7) == (16.0, (5.0, 7))
    assert len(compiled.programs) == 2
    last = iv.jit(lambda x, n: x[n:], static_argnums=-1)
    assert last(np.arange(6.0), 5).tolist() == [5.0] and last(np.arange(6.0), n=4).tolist() == [4.0, 5.0]
    assert len(last.programs) == 2
