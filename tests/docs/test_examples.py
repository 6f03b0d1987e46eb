"""The examples run, and are right: what they find is compared with what is known otherwise."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import iverson as iv

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def level(monkeypatch):
    monkeypatch.setenv("IVERSON_LEVEL", "0")


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["chain", "kalman", "lorenz", "tree"])
def test_runs(name, capsys):
    load(name).main()
    assert "nan" not in capsys.readouterr().out


def joint(kalman, theta, n):
    """Covariance of the positions of all times, and of their observations, without a filter."""
    f, h, q, r = kalman.model(theta)
    p, covariance = 10.0 * np.eye(4), np.zeros((2 * n, 2 * n))
    for i in range(n):
        moved = p
        for j in range(i, n):
            block = h @ moved @ h.T
            covariance[2 * j : 2 * j + 2, 2 * i : 2 * i + 2] = block
            covariance[2 * i : 2 * i + 2, 2 * j : 2 * j + 2] = block.T
            moved = f @ moved
        p = f @ p @ f.T + q
    return covariance, covariance + np.kron(np.eye(n), r)


def test_kalman_filter_and_smoother_are_those_of_the_joint_distribution():
    kalman = load("kalman")
    theta = np.array([0.3, -0.4])
    ys = kalman.simulate(theta, 12, np.random.default_rng(1))[1]
    signal, observed = joint(kalman, theta, len(ys))
    white = np.linalg.solve(observed, ys.ravel())
    density = -0.5 * (ys.ravel() @ white + np.linalg.slogdet(2.0 * np.pi * observed)[1])
    assert np.isclose(iv.jit(kalman.log_likelihood)(theta, ys), density)
    np.testing.assert_allclose(kalman.smoothed(theta, ys).ravel(), signal @ white, rtol=1e-8)


def test_chain_hangs_as_statics_says():
    chain = load("chain")
    wanted = chain.arch(chain.LINKS)
    slopes = np.diff(wanted[:, 1]) / np.diff(wanted[:, 0])
    exact = np.log(np.diff(slopes) / (slopes[-1] - slopes[0]))
    value, gradient = iv.value_and_grad(chain.misfit)(exact, wanted)
    assert value < 1e-6
    other = exact + np.linspace(-0.3, 0.5, chain.LINKS - 1)
    value, gradient = iv.value_and_grad(chain.misfit)(other, wanted)
    misfit, step, along = iv.jit(chain.misfit), 1e-5, np.linspace(1.0, -0.5, chain.LINKS - 1)
    slope = (misfit(other + step * along, wanted) - misfit(other - step * along, wanted)) / (2.0 * step)
    assert np.isclose(gradient @ along, slope, rtol=1e-5)


def test_checkpoints_take_less_memory_for_the_same_gradient():
    rows = load("checkpoints").main(cells=40, steps=300)
    stored, *others = [states for _, states, _ in rows]
    assert len(others) > 8 and min(others) < 0.1 * stored


def test_sampled_gradients_control_the_reactor(monkeypatch, capsys):
    reactor = load("reactor")
    monkeypatch.setattr(reactor, "STEPS", 64)
    monkeypatch.setattr(reactor, "PARTS", (1.0, 0.1))
    reactor.main(iterations=6)
    assert "nan" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["fully connected", pytest.param("convolution", marks=pytest.mark.slow)])
def test_sampled_digits(name, monkeypatch, capsys):
    """Also with fewer iterations than are drawn."""
    example = load("sampled_digits")
    monkeypatch.setattr(example, "SEEDS", range(2))
    monkeypatch.setattr(example, "NETWORKS", {name: example.NETWORKS[name]._replace(rates=(4e-3,))})
    curves = example.main(2)
    assert all(runs.shape == (2, 2) and np.isfinite(runs).all() for runs in curves.values())
    assert "nan" not in capsys.readouterr().out


def test_recurrent_network_learns_from_a_part_of_its_states(monkeypatch):
    example = load("irnn")
    monkeypatch.setattr(example, "HIDDEN", 16)
    monkeypatch.setattr(example, "PARTS", (1.0, 0.3))
    curves = example.main(iterations=30)
    assert all(losses[-1] < losses[0] for losses in curves.values())
