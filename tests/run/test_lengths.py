"""Programs for lengths that are computed: which is compiled, and which is found again."""

import numpy as np
import pytest

import iverson as iv


@pytest.fixture(autouse=True)
def _cheaply(monkeypatch):
    monkeypatch.setenv("IVERSON_LEVEL", "0")


def tail(x, y):
    return x[4:] + y


def test_a_program_a_length_that_is_one_and_one_for_all_others():
    compiled = iv.jit(tail)
    y = np.arange(6.0)
    for n in (10, 5, 10, 5, 10):
        np.testing.assert_array_equal(compiled(np.ones(n), y), tail(np.ones(n), y))
    np.testing.assert_array_equal(compiled(np.ones(11), np.arange(7.0)), tail(np.ones(11), np.arange(7.0)))
    assert len(compiled.programs) == 2
    with pytest.raises(ValueError, match="could not be broadcast"):
        compiled(np.ones(11), y)
    assert len(compiled.programs) == 2


def test_where_it_decides_nothing_there_is_one_program():
    compiled = iv.jit(lambda x: x[4:] * 2.0 + x[4:])
    for n in (5, 6, 9):
        assert compiled(np.ones(n)).shape == (n - 4,)
    assert len(compiled.programs) == 1


def test_an_argument_that_is_written_is_written_once():
    @iv.jit
    def shift(x, y):
        y += 1.0
        y *= x[4:]
        return y[0]

    for n in (10, 5, 10):
        y = np.zeros(6)
        assert shift(np.full(n, 2.0), y) == 2.0
        assert y.tolist() == [2.0] * 6
    y = np.zeros(6)
    with pytest.raises(ValueError, match="could not be broadcast"):
        shift(np.ones(7), y)
    assert y.tolist() == [0.0] * 6


@pytest.mark.parametrize("n", [5, 10])
def test_transforms_nest(n):
    def loss(x, y):
        return np.sum(tail(x, y) ** 3)

    @iv.jit
    def step(x, y):
        gx, gy = iv.grad(loss, argnums=(0, 1))(x, y)
        return x - 0.1 * gx, y - 0.1 * gy, iv.jit(loss)(x, y)

    x, y = np.linspace(0.0, 1.0, n), np.linspace(1.0, 2.0, 6)
    gx, gy, value = step(x, y)
    inner = 3 * tail(x, y) ** 2
    np.testing.assert_allclose(gy, y - 0.1 * inner)
    np.testing.assert_allclose(gx[4:], (x[4:] - 0.1 * (inner.sum() if n == 5 else inner)))
    np.testing.assert_allclose(value, loss(x, y))
    hessian = iv.hessian(loss)(x, y)
    assert hessian.shape == (n, n) and np.allclose(
        hessian[4, 4], 6 * np.sum(tail(x, y)[slice(None, None if n == 5 else 1)])
    )
    out, pullback = iv.vjp(lambda k: tail(k, y), x)
    np.testing.assert_allclose(pullback(np.ones_like(out))[0][4:], 6.0 if n == 5 else 1.0)


def test_a_pullback_takes_integers_that_make_lengths():
    _, pullback = iv.vjp(lambda x: x[:1] * np.ones(7), np.arange(9.0))
    assert pullback(np.ones(7))[0].tolist() == [7.0] + [0.0] * 8


def test_shown_programs_are_those_that_run():
    text = iv.show(tail)(np.ones(5), np.ones(6))
    assert "x[4" in text and "x[4" not in iv.show(tail)(np.ones(10), np.ones(6))


def test_a_length_that_depends_on_data_does_not_stretch():
    def positive(x, y):
        return x[x > 0.0] + y

    compiled = iv.jit(positive)
    x = np.array([1.0, -1.0, -1.0, 2.0, -1.0])
    assert compiled(x, np.ones(2)).tolist() == [2.0, 3.0]
    with pytest.raises(ValueError, match="depends on the elements of arrays does not stretch"):
        compiled(-x - 1.5, np.ones(6))


def test_the_disk_keeps_both_programs(tmp_path, monkeypatch):
    monkeypatch.setenv("IVERSON_CACHE_DIR", str(tmp_path / "cache"))
    for _ in range(2):
        compiled = iv.jit(tail)
        for n in (10, 5):
            np.testing.assert_array_equal(compiled(np.ones(n), np.arange(6.0)), 1.0 + np.arange(6.0))
    assert len(list((tmp_path / "cache").glob("*.iv"))) >= 2


def test_squeeze_removes_axes_of_length_one():
    compiled = iv.jit(lambda a: a[4:].squeeze())
    for n in (5, 7, 5):
        assert compiled(np.ones((n, 6))).shape == np.ones((n, 6))[4:].squeeze().shape


def test_products_do_not_stretch_what_they_sum():
    for f in (lambda x, a: x @ a, np.dot, lambda x, a: np.tensordot(x, a, 1)):
        with pytest.raises(ValueError, match="match"):
            iv.jit(f)(np.ones(1), np.ones((5, 6)))
    assert iv.jit(lambda x, a: np.einsum("i,ij->j", x, a))(np.ones(1), np.ones((5, 6))).tolist() == [5.0] * 6


def test_one_element_is_a_number_and_several_are_not():
    number, truth = iv.jit(lambda x: x[4:].item()), iv.jit(lambda x: 1.0 if x[4:] else 2.0)
    assert number(np.arange(5.0)) == 4.0 and truth(np.arange(5.0)) == 1.0 and truth(np.zeros(5)) == 2.0
    for f, text in (number, "size 1"), (truth, "ambiguous"):
        with pytest.raises(ValueError, match=text):
            f(np.ones(7))
