"""The native entry of compiled functions: what it compares, and when it leaves the call to Python."""

import gc
import pickle
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import iverson as iv
from iverson.lang import staging
from iverson.run import entry

RATE = 2.0
TABLE = [1.0, 2.0]


def helper(x: float) -> float:
    return 3 * x


def scaled(x: np.ndarray) -> np.ndarray:
    return RATE * x + helper(1.0)


def looked_up(x: np.ndarray) -> np.ndarray:
    return x * TABLE[1]


def with_cell() -> tuple[Callable[[np.ndarray], np.ndarray], Callable[[Any], None]]:
    rate: Any = 2.0

    def f(x: np.ndarray) -> np.ndarray:
        return x * rate

    def put(value: Any) -> None:
        nonlocal rate
        rate = value

    return f, put


def is_straight(f: Any) -> bool:
    return f._state[1] is not None


def test_it_is_native_here() -> None:
    assert entry._NATIVE
    f = iv.jit(scaled)
    x = np.arange(5.0)
    assert not is_straight(f)
    assert np.array_equal(f(x), 2 * x + 3)
    assert is_straight(f)
    assert np.array_equal(f(x), 2 * x + 3)


def test_globals_and_helpers_that_are_bound_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    f, x = iv.jit(scaled), np.arange(5.0)
    f(x)
    monkeypatch.setitem(globals(), "RATE", 5.0)
    assert np.array_equal(f(x), 5 * x + 3)
    monkeypatch.setitem(globals(), "helper", lambda x: 4 * x)
    assert np.array_equal(f(x), 5 * x + 4)
    monkeypatch.delitem(globals(), "RATE")
    with pytest.raises(NameError):
        f(x)
    monkeypatch.setitem(globals(), "RATE", 1.0)
    assert np.array_equal(f(x), x + 4)


def test_cells_that_are_bound_anew() -> None:
    f, put = with_cell()
    g, x = iv.jit(f), np.arange(5.0)
    assert np.array_equal(g(x), 2 * x)
    assert is_straight(g)
    put(7.0)
    assert np.array_equal(g(x), 7 * x)
    put(np.full(5, 3.0))  # an array, which is read again at each call
    assert np.array_equal(g(x), 3 * x)


def test_lists_are_watched_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    f, x = iv.jit(looked_up), np.arange(5.0)
    assert np.array_equal(f(x), 2 * x)
    assert not is_straight(f)
    monkeypatch.setattr(sys.modules[__name__], "TABLE", [1.0, 9.0])
    assert np.array_equal(f(x), 9 * x)
    TABLE[1] = 8.0
    assert np.array_equal(f(x), 8 * x)


def test_while_another_thread_stages_calls_go_on() -> None:
    f, x, results = iv.jit(scaled), np.arange(5.0), []
    f(x)
    with staging.staging():
        other = threading.Thread(target=lambda: results.append(f(x)))
        other.start()
        other.join()
    assert np.array_equal(results[0], 2 * x + 3)
    assert not staging.OPEN


def test_a_compiled_function_inside_another_is_staged() -> None:
    f, x = iv.jit(scaled), np.arange(5.0)
    f(x)
    assert is_straight(f)
    assert np.array_equal(iv.jit(lambda x: f(x) + 1)(x), 2 * x + 4)
    assert np.array_equal(iv.grad(lambda x: f(x).sum())(x), np.full(5, 2.0))


def test_other_arguments_keywords_and_methods() -> None:
    f, x = iv.jit(scaled), np.arange(5.0)
    assert np.array_equal(f(x), f(x=x))
    assert np.array_equal(f(np.ones((5, 5))), np.full((5, 5), 5.0))
    assert np.array_equal(f(x), 2 * x + 3)
    with pytest.raises(TypeError):
        f()
    with pytest.raises(TypeError):
        f(x, x)

    class Model:
        rate = 2.0

        @iv.jit
        def step(self, x: np.ndarray) -> np.ndarray:
            return self.rate * x

    assert np.array_equal(Model().step(x), 2 * x)


def test_it_is_a_function_to_others() -> None:
    f = iv.jit(scaled)
    assert callable(f) and f.__name__ == "scaled" and f.__doc__ == scaled.__doc__
    assert f.__call__(np.ones(5))[0] == 5
    assert next(map(f, [np.ones(5)]))[0] == 5
    alive = weakref.ref(iv.jit(lambda x: x + 1))
    gc.collect()
    assert alive() is None


def test_ahead_of_time() -> None:
    f = iv.jit(scaled).compile(iv.spec(np.float64, (None,)))
    x = np.arange(5.0)
    assert np.array_equal(f(x), 2 * x + 3)
    assert is_straight(f)
    assert np.array_equal(f(x), 2 * x + 3)
    with pytest.raises(TypeError):
        f(1.0)


def test_an_object_half_made_is_no_crash() -> None:
    bare = entry.Entry.__new__(entry.Entry)
    with pytest.raises(NotImplementedError):
        bare()
    with pytest.raises(TypeError):
        entry._Base()()
    with pytest.raises((TypeError, pickle.PicklingError)):
        pickle.dumps(entry._Base())


def test_the_plain_entry_does_the_same() -> None:
    code = (
        "import sys, numpy as np; sys.implementation.name = 'another'\n"
        "import iverson as iv\n"
        "from iverson.run import entry\n"
        "assert not entry._NATIVE\n"
        "f = iv.jit(lambda x, y: x * y + 1)\n"
        "x = np.arange(5.0)\n"
        "assert np.array_equal(f(x, x), x * x + 1) and np.array_equal(f(x, x), x * x + 1)\n"
        "assert np.array_equal(iv.grad(lambda x: f(x, x).sum())(x), 2 * x)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_captured_arrays_are_read_again_natively() -> None:
    data = {"x": np.arange(6.0), "z": np.arange(6.0) + 1j}
    x, written = data["x"], np.zeros(6)

    def f(w: np.ndarray) -> float:
        return (x * w).sum()

    def count(w: np.ndarray) -> None:
        written[:] += w

    g, w = iv.jit(f), np.ones(6)
    assert g(w) == 15
    assert is_straight(g)
    x[0] = 5
    assert g(w) == 20
    x.shape = 3, 2  # no longer what it was compiled for
    with pytest.raises(ValueError):
        g(w)
    x.shape = (6,)
    x = np.ones(6)
    assert g(w) == 6
    assert np.array_equal(iv.grad(f)(w), x)
    h = iv.jit(count)
    h(w), h(w), h(w)
    assert np.array_equal(written, 3 * w)
    with pytest.raises(ValueError, match="overlap"):
        h(written)
    assert np.array_equal(written, 3 * w)
    z = data["z"]
    k = iv.jit(lambda w: (z * w).sum())
    assert k(w) == k(w) == z.sum()


def test_trees_and_keywords_go_straight_to_the_leaves() -> None:
    @iv.jit
    def step(p: dict[str, Any], rate: float = 1.0, *, mode: str = "add") -> dict[str, Any]:
        return {"w": p["w"] + rate if mode == "add" else p["w"] - rate, "n": 3, "all": (p["w"], p["b"])}

    w = np.arange(3.0)
    for _ in range(3):
        out = step({"w": w, "b": 2.0}, rate=0.5)
        assert np.array_equal(out["w"], w + 0.5)
        assert out["n"] == 3 and out["all"][0] is w and out["all"][1] == 2.0
    assert np.array_equal(step({"w": w, "b": 2.0}, rate=0.5, mode="sub")["w"], w - 0.5)
    assert np.array_equal(step({"b": 2.0, "w": w}, rate=0.5)["w"], w + 0.5)
    assert np.array_equal(step({"w": np.ones((2, 2)), "b": 2.0})["w"], np.full((2, 2), 2.0))
    assert np.array_equal(step({"w": w[::-1], "b": 2.0}, rate=0.5)["w"], w[::-1] + 0.5)
    with pytest.raises(KeyError):
        step({"w": w})
    assert np.array_equal(step({"w": w, "b": 2.0}, 0.5)["w"], w + 0.5)


def test_a_compiled_method_sees_its_object_change() -> None:
    class Model:
        def __init__(self, rate: float) -> None:
            self.rate = rate

        @iv.jit
        def step(self, x: float) -> float:
            return self.rate * x

    model = Model(3.0)
    step, slope = iv.jit(model.step), iv.grad(model.step)
    assert (step(1.0), slope(1.0)) == (3.0, 3.0)
    model.rate = 7.0
    assert (step(1.0), slope(1.0)) == (7.0, 7.0)
