"""`iv.check_grads` passes what is right, in either precision, and says what is wrong, and where."""

import numpy as np
import pytest

import iverson as iv


def smooth(p):
    return np.sin(p["x"]) * p["scale"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_right(dtype):
    iv.check_grads(smooth, ({"x": np.linspace(-1, 2, 7).astype(dtype), "scale": np.dtype(dtype).type(1.5)},))


def test_right_in_other_ways():
    x = np.linspace(-1.0, 2.0, 7)
    iv.check_grads(smooth, ({"x": x, "scale": 1.5},), order=2)
    iv.check_grads(smooth, ({"x": x, "scale": 1.5},), modes=("rev",))
    iv.check_grads(lambda z: (z * z.conj() * z, 3, abs(z)), (x + 1j,))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_wrong(dtype):
    with pytest.raises(AssertionError, match="argument 1: forward mode against central differences"):
        iv.check_grads(lambda x, y: np.sum(x * iv.stop_gradient(y)), (np.ones(3, dtype), np.ones(3, dtype)))


def test_says_which_element():
    product = iv.custom_vjp(lambda p: (p["x"] * p["y"]).sum())
    fault = np.where(np.arange(6) == 4, 3.0, 1.0)
    product.defvjp(lambda p: (product(p), p), lambda p, ct: ({"x": ct * p["y"], "y": ct * p["x"] * fault},))
    p = {"x": np.arange(1.0, 7.0), "y": np.ones(6)}
    with pytest.raises(
        AssertionError, match=r"in argument 0\['y'\]\[4\] the derivative of result is 15 and should be 5"
    ):
        iv.check_grads(product, (p,))
    with pytest.raises(AssertionError, match=r"reverse mode against central(.|\n)*in argument 0\['y'\]\[4\]"):
        iv.check_grads(product, (p,), modes=("rev",))


def test_says_which_result():
    pair = iv.custom_jvp(lambda x: (x * 2.0, np.outer(x, x)))

    @pair.defjvp
    def rule(primals, tangents):
        (x,), (t,) = primals, tangents
        second = np.outer(x, t) + np.outer(t, x)
        second[1, 2] *= 2.0
        return pair(x), (2.0 * t, second)

    with pytest.raises(AssertionError, match=r"of result leaf 1\[1, 2\] is 4 and should be 2"):
        iv.check_grads(pair, (np.array([1.0, 2.0, 1.0]),))


def test_second_order_faults_are_found():
    f = iv.custom_jvp(lambda x: x**3)
    f.defjvps(lambda t, y, x: 3.0 * t * x * iv.stop_gradient(x))
    iv.check_grads(f, (1.5,))
    with pytest.raises(AssertionError, match="argument 0: forward mode"):
        iv.check_grads(f, (1.5,), order=2)


def test_modes():
    with pytest.raises(ValueError, match="'fwd' and 'rev', not 'forward'"):
        iv.check_grads(smooth, (1.0,), modes=("forward",))
