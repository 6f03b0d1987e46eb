"""What sampled gradients hold, by the allocator: the bars are those of Oktay et al., ICLR 2021, for these shapes."""

import numpy as np
import pytest
from optree import tree_leaves
from sklearn.datasets import load_digits

import iverson as iv
from benchmarks import sampling
from examples import reactor, sampled_digits
from tests.allocations import counted


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setenv("IVERSON_LEVEL", "0")
    monkeypatch.setenv("IVERSON_CACHE_DIR", "off")


def held(f, args, part, shared=True):
    return sampling.bytes_of(f, part, shared, args)[0]


def test_connected():
    """At a tenth 1.85 MB with the parameters (exact 2.7), of which the masks are a bit each."""
    args = sampling.connected_args()
    parameters = sum(leaf.nbytes for leaf in tree_leaves(args[0]))
    assert parameters + held(sampling.connected, args, 1.0) > 2.7e6
    assert parameters + held(sampling.connected, args, 0.1) <= 1.85e6
    assert sampling.bytes_of(sampling.connected, 0.1, True, args)[1] < 0.6 * (784 + 900) * sampling.BATCH * 4


@pytest.mark.slow
def test_convolution():
    """At a tenth 3.9 MB for a batch of 150: an image's share of that is seen with 8 of them."""
    args = sampling.convolution_args(8)
    parameters = sum(leaf.nbytes for leaf in tree_leaves(args[0]))
    assert parameters + held(sampling.convolution, args, 0.1) * sampling.BATCH / 8 <= 3.9e6


@pytest.mark.parametrize("name", sampled_digits.NETWORKS)
def test_digits_at_equal_memory(name):
    """The small batch needs the memory of the large, sampled one, for no activation waits for the return sweep; where a
    weight is used at many places the variance is less."""
    setting, rng = sampled_digits.NETWORKS[name], np.random.default_rng(0)
    weights, found, scatter = sampled_digits.layers(rng, *setting.shapes), [], []
    digits = load_digits()
    with counted() as allocations:
        for part, size in zip((1.0, setting.part), sampled_digits.batches(name), strict=True):
            gradient = iv.jit(iv.grad(setting.network(part)), threads=False)
            draws = []
            for key in range(40):
                chosen = rng.integers(0, len(digits.data), size)
                allocations.start()
                result = gradient(weights, (digits.data[chosen] / 16.0).astype(np.float32), digits.target[chosen], key)
                found[len(scatter) :] = [allocations.held()]
                draws.append(np.concatenate([np.ravel(leaf) for leaf in tree_leaves(result)]))
            scatter.append(np.var(draws, axis=0).sum())
    assert abs(found[1] / found[0] - 1.0) < 0.08
    activations = 128 + 128 if name == "fully connected" else 36 * 16 + 16 * 32
    assert found[1] < 0.5 * setting.large * activations * 4
    assert scatter[1] < (0.9 if name == "convolution" else 1.8) * scatter[0]


def test_reactor(monkeypatch):
    """At a hundredth 2 % of the fields, by the allocator, all that the gradient needs besides included."""
    monkeypatch.setattr(reactor, "STEPS", 2000)
    args = (np.full(reactor.CONTROLS, 0.1), iv.random.key(1))
    fields = reactor.STEPS * reactor.SIDE**2 * 8
    kept, most = sampling.bytes_of(reactor.loss, 0.01, None, args)
    assert kept <= most <= 0.02 * fields
    assert held(reactor.loss, args, 1.0, None) >= fields


@pytest.mark.slow
def test_networks_are_what_they_seem(monkeypatch):
    """A sample of all gives the exact gradient, and the value is Python's."""
    monkeypatch.setattr(sampling, "BATCH", 3)
    rng = np.random.default_rng(1)
    weights = sampling.layers(rng, (3, 3, 2, 4), (3, 3, 4, 5), (3, 3, 5, 5), (3, 3, 5, 5), (20, 10))
    args = weights, rng.normal(size=(3, 8, 8, 2)).astype(np.float32), rng.integers(0, 10, 3), 0
    value, exact = iv.value_and_grad(sampling.convolution)(*args)
    assert np.isclose(value, sampling.convolution(*args), rtol=1e-5)
    every = iv.grad(sampling.convolution, tape=iv.tape.sample(1.0, "key"))(*args)
    for a, b in zip(tree_leaves(every), tree_leaves(exact), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.abs(b).max())
