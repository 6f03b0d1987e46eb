"""`iv.check_grads` passes what is right, in either precision, and says what is wrong."""

import numpy as np
import pytest

import iverson as iv


def smooth(p):
    return np.sin(p["x"]) * p["scale"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_right(dtype):
    iv.check_grads(smooth, ({"x": np.linspace(-1, 2, 7).astype(dtype), "scale": np.dtype(dtype).type(1.5)},))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_wrong(dtype):
    with pytest.raises(AssertionError, match="argument 1: forward mode against central differences"):
        iv.check_grads(lambda x, y: np.sum(x * iv.stop_gradient(y)), (np.ones(3, dtype), np.ones(3, dtype)))
