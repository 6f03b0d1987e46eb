"""Arrays of other libraries go in and come out, their memory shared."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

import iverson as iv


@pytest.fixture(autouse=True)
def _cheaply(monkeypatch):
    monkeypatch.setenv("IVERSON_LEVEL", "0")


class Tensor:
    """An array of a library that speaks DLPack, and nothing else."""

    def __init__(self, data):
        self.data = data

    def __dlpack__(self, **options):
        return self.data.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.data.__dlpack_device__()

    def __array_namespace__(self):
        return LIBRARY


LIBRARY = SimpleNamespace(
    from_dlpack=lambda x: Tensor(np.from_dlpack(x)), asarray=lambda x: Tensor(np.array(x)), __name__="library"
)


def norm(x):
    return x / np.sqrt(np.sum(x * x)), np.sum(x)


def test_results_are_of_the_arguments_library():
    compiled = iv.jit(norm)
    for _ in range(2):
        unit, total = compiled(Tensor(np.array([3.0, 4.0])))
        assert isinstance(unit, Tensor) and unit.data.tolist() == [0.6, 0.8]
        assert isinstance(total, Tensor) and total.data.shape == () and total.data == 7.0
        unit, total = compiled(np.array([3.0, 4.0]))
        assert isinstance(unit, np.ndarray) and isinstance(total, np.float64)


def test_structures_and_other_arguments_are_kept():
    def f(tree, y, name):
        return {"sum": tree["a"] + y, "name": name, "none": None, "less": [tree["b"] < 1]}

    out = iv.jit(f)({"a": Tensor(np.ones(6)), "b": 0.5}, np.ones(6), "x")
    assert out["sum"].data.tolist() == [2.0] * 6 and out["name"] == "x" and out["none"] is None
    assert isinstance(out["less"][0], Tensor) and bool(out["less"][0].data)


def test_derivatives_are_of_the_arguments_library():
    x = Tensor(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    value, gradient = iv.value_and_grad(lambda x: np.sum(x**3))(x)
    assert value.data == 225.0 and gradient.data.tolist() == [3.0, 12.0, 27.0, 48.0, 75.0]
    out, pullback = iv.vjp(lambda x: x**2, x)
    x.data[:] = 0.0
    assert out.data[1] == 4.0 and pullback(Tensor(np.ones(5)))[0].data.tolist() == [2.0, 4.0, 6.0, 8.0, 10.0]
    assert iv.jvp(np.sin, (x,), (Tensor(np.ones(5)),))[1].data.tolist() == [1.0] * 5


def test_memory_is_shared():
    x = Tensor(np.zeros(6))

    def fill(x, v):
        x[:] = v
        return x

    assert iv.jit(fill)(x, 3.0) is x
    assert x.data.tolist() == [3.0] * 6


def test_what_numpy_cannot_see_is_an_error():
    class Elsewhere(Tensor):
        def __dlpack__(self, **options):
            raise BufferError("it is in another machine's memory")

    with pytest.raises(TypeError, match=r"Elsewhere.*another machine's memory"):
        iv.jit(norm)(Elsewhere(np.ones(3)))


def test_no_library_is_imported():
    iv.jit(norm)(Tensor(np.ones(3)))
    assert "iverson" in sys.modules and not {"torch", "jax"} & {m for m in sys.modules if "." not in m} - _BEFORE


_BEFORE = set(sys.modules)


def test_torch():
    torch = pytest.importorskip("torch")
    x = torch.arange(6.0, dtype=torch.float64)
    unit, total = iv.jit(norm)(x)
    assert isinstance(unit, torch.Tensor) and isinstance(total, torch.Tensor) and total == 15.0
    gradient = iv.grad(lambda x: np.sum(x**2))(x)
    assert torch.equal(gradient, 2 * x)

    @iv.jit
    def double(x):
        x *= 2.0

    double(x)
    assert x[5] == 10.0
    with pytest.raises(TypeError, match="detach"):
        iv.jit(norm)(x.requires_grad_())


def test_jax():
    jax = pytest.importorskip("jax")
    x = jax.numpy.arange(6.0, dtype="float32")
    unit, total = iv.jit(norm)(x)
    assert isinstance(unit, jax.Array) and isinstance(total, jax.Array) and total == 15.0
    assert isinstance(iv.grad(lambda x: np.sum(x**2))(x), jax.Array)
    with pytest.raises(ValueError, match="read-only"):
        iv.jit(lambda x: x.__setitem__(0, 1.0))(x)
