"""GradBench's evaluations through its protocol, JSON in and JSON out, against oracles of their own, to 1e-9."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest

from benchmarks.gradbench.protocol import NAMES, evaluation, serve
from tests.benchmarks import gradbench_oracles as oracles
from tests.benchmarks.gradbench_oracles import derivative


@pytest.fixture(autouse=True)
def lowest_level(monkeypatch):
    """The evaluations are imported, and compiled, when they are first asked for."""
    monkeypatch.setenv("IVERSON_LEVEL", "0")


def converse(*requests: dict[str, Any]) -> list[dict[str, Any]]:
    responses = io.StringIO()
    serve([json.dumps({"id": k, **r}) for k, r in enumerate(requests)], responses)
    found = [json.loads(line) for line in responses.getvalue().splitlines()]
    assert [r["id"] for r in found] == list(range(len(requests)))
    return found


def ask(module: str, function: str, data: Any) -> Any:
    (response,) = converse({"kind": "evaluate", "module": module, "function": function, "input": data})
    assert response["success"], response
    assert response["timings"] and all(t["name"] == "evaluate" and t["nanoseconds"] > 0 for t in response["timings"])
    return response["output"]


def made(module: str, *sizes: Any) -> tuple[Any, list[Any]]:
    """An input, and what of it is arrays as such, for oracles."""
    data = evaluation(module).make(np.random.default_rng(7), *sizes)
    return data, [np.array(v, dtype=float) if isinstance(v, list) else v for v in data.values()]


def same(got: Any, expected: Any, tolerance: float = 1e-9) -> None:
    expected = np.asarray(expected, dtype=float)
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(np.asarray(got, dtype=float), expected, rtol=tolerance, atol=tolerance * scale)


# --- the protocol -----------------------------------------------------------------------------------------------------


def test_protocol():
    data, _ = made("lse", 3)
    often = {**data, "min_runs": 5, "min_seconds": 0.01}
    start, define, run, unknown, analysis, missing, wrong, module = converse(
        {"kind": "start", "eval": "lse"},
        {"kind": "define", "module": "lse"},
        {"kind": "evaluate", "module": "lse", "function": "primal", "input": often},
        {"kind": "something"},
        {"kind": "analysis", "of": 2, "valid": True},
        {"kind": "evaluate", "module": "lse", "function": "hessian", "input": data},
        {"kind": "evaluate", "module": "lse", "function": "primal", "input": {"x": [[1.0]]}},
        {"kind": "define", "module": "sqrt"},
    )  # fmt: skip
    assert start == {"id": 0, "tool": "iverson"} and define == {"id": 1, "success": True}
    times = [t["nanoseconds"] for t in run["timings"]]
    assert run["success"] and len(times) >= 5 and sum(times) >= 1e7
    assert unknown == {"id": 3} and analysis == {"id": 4}
    assert not missing["success"] and "primal, gradient" in missing["error"]
    assert not wrong["success"] and wrong["error"]
    assert not module["success"] and "particle" in module["error"]


@pytest.mark.parametrize("name", NAMES)
def test_answers_are_of_json(name):
    """A sample input through all functions of an evaluation: numbers and lists, none of them missing."""
    chosen = evaluation(name)
    data = chosen.make(np.random.default_rng(0), *chosen.sample[-1 if name != "det" else 1])
    for function in chosen.functions:
        assert ask(name, function, data) not in (None, [], {})


# --- the evaluations --------------------------------------------------------------------------------------------------


def test_hello():
    assert ask("hello", "square", 3.0) == 9.0 and ask("hello", "double", 3) == 6.0


@pytest.mark.parametrize("m, n", [(8, 21), (1, 2), (5, 50)])
def test_llsq(m, n):
    data, (x, _) = made("llsq", m, n)
    same(ask("llsq", "primal", data), oracles.llsq(x, n))
    same(ask("llsq", "gradient", data), derivative(lambda x: oracles.llsq(x, n), x))


@pytest.mark.parametrize("n", [1, 50])
def test_lse(n):
    data, (x,) = made("lse", n)
    data["x"][0] = x[0] = 1000.0
    same(ask("lse", "primal", data), oracles.logsumexp(x))
    same(ask("lse", "gradient", data), derivative(oracles.logsumexp, x))


@pytest.mark.parametrize("d, k, n", [(2, 5, 6), (6, 3, 9), (5, 5, 5)])
def test_gmm(d, k, n):
    data, _ = made("gmm", d, k, n)
    data |= {"m": 2, "gamma": 1.5}
    names = ("alpha", "mu", "q", "l")
    parameters = {name: np.array(data[name]) for name in names}
    x = np.array(data["x"])
    same(ask("gmm", "objective", data), oracles.gmm(**parameters, x=x, gamma=1.5, m=2))
    gradient = ask("gmm", "jacobian", data)
    assert list(gradient) == list(names)
    for name in names:
        f = lambda v, name=name: oracles.gmm(**{**parameters, name: v}, x=x, gamma=1.5, m=2)  # noqa: E731
        same(gradient[name], derivative(f, parameters[name]))


@pytest.mark.parametrize("layers, characters", [(1, 3), (3, 7), (5, 2)])
def test_lstm(layers, characters):
    data, (main, extra, state, sequence) = made("lstm", layers, characters)
    same(ask("lstm", "objective", data), oracles.lstm(main, extra, state, sequence))
    in_main = derivative(lambda v: oracles.lstm(v, extra, state, sequence), main)
    in_extra = derivative(lambda v: oracles.lstm(main, v, state, sequence), extra)
    same(ask("lstm", "jacobian", data), np.concatenate([in_main.ravel(), in_extra.ravel()]))


@pytest.mark.parametrize("n, s", [(1, 3), (6, 1), (9, 5), (20, 5)])
def test_ode(n, s):
    data, (x, _) = made("ode", n, s)
    same(ask("ode", "primal", data), oracles.ode(x, s))
    same(ask("ode", "gradient", data), derivative(lambda x: oracles.ode(x, s)[-1], x))


@pytest.mark.parametrize("ell", [1, 2, 4, 5, 7])
def test_det(ell):
    data, _ = made("det", ell)
    a = np.array(data["A"]).reshape(ell, ell)
    same(ask("det", "primal", data), np.linalg.det(a))
    same(ask("det", "gradient", data), (np.linalg.det(a) * np.linalg.inv(a).T).ravel())


@pytest.mark.parametrize("k, n, d", [(7, 90, 3), (5, 40, 9)])
def test_kmeans(k, n, d):
    data, (points, centroids) = made("kmeans", k, n, d)
    cost, step = oracles.kmeans(points, centroids)
    same(ask("kmeans", "cost", data), cost)
    same(ask("kmeans", "dir", data), step)


@pytest.mark.parametrize("turned", [True, False])
def test_ba(turned):
    n, m, p = 5, 7, 11
    data, _ = made("ba", n, m, p)
    if not turned:
        data["cam"][:3] = [0.0, 0.0, 0.0]
    camera, point, w, feature = (np.array(data[name]) for name in ("cam", "x", "w", "feat"))
    objective = ask("ba", "objective", data)
    same(objective["reproj_error"]["elements"], oracles.ba(camera, point, w, feature))
    same(objective["w_err"]["element"], 1 - w**2)
    assert objective["reproj_error"]["repeated"] == objective["w_err"]["repeated"] == p
    jacobian = ask("ba", "jacobian", data)
    starts = [*range(0, 30 * p, 15), *range(30 * p, 31 * p + 1)]
    assert jacobian["rows"] == [*starts[:30], starts[-1]]
    assert jacobian["cols"][:15] == [*range(11), 11 * n, 11 * n + 1, 11 * n + 2, 11 * n + 3 * m]
    assert jacobian["cols"][-1] == 11 * n + 3 * m + p - 1
    if turned:
        blocks = [
            derivative(lambda v: oracles.ba(v, point, w, feature), camera),
            derivative(lambda v: oracles.ba(camera, v, w, feature), point),
            derivative(lambda v: oracles.ba(camera, point, v, feature), w)[:, None],
        ]
        same(jacobian["vals"][:30], np.concatenate(blocks, axis=1).ravel())
    same(jacobian["vals"][-1], -2 * w)


def test_ba_of_different_cameras():
    """The whole sparse matrix, with no two cameras, points, weights or features alike."""
    rng = np.random.default_rng(3)
    chosen = evaluation("ba")
    n, m, p = 5, 6, 9
    cameras, points, weights, _, features = chosen.arguments(made("ba", n, m, p)[0])
    cameras, points = cameras + 0.1 * rng.normal(size=(n, 11)), points + 0.1 * rng.normal(size=(m, 3))
    weights, features = rng.normal(size=p), rng.normal(size=(p, 2))
    observations = np.stack([rng.integers(0, n, p), rng.integers(0, m, p)], axis=1)
    rows, cols, vals = chosen.functions["jacobian"](cameras, points, weights, observations, features)
    dense = np.zeros((3 * p, 11 * n + 3 * m + p))
    for r in range(3 * p):
        dense[r, cols[rows[r] : rows[r + 1]]] += vals[rows[r] : rows[r + 1]]

    def errors(flat):
        c, x, w = flat[: 11 * n].reshape(n, 11), flat[11 * n : 11 * n + 3 * m].reshape(m, 3), flat[11 * n + 3 * m :]
        seen = [oracles.ba(c[i], x[j], w[k], features[k]) for k, (i, j) in enumerate(observations)]
        return np.concatenate([np.ravel(seen), 1 - w**2])

    same(dense, derivative(errors, np.concatenate([cameras.ravel(), points.ravel(), weights])))


@pytest.mark.parametrize("complicated, mirrored", [(False, False), (True, False), (True, True)])
def test_ht(complicated, mirrored):
    data, _ = made("ht", 9, 7, complicated, mirrored)
    theta, us = np.array(data["theta"]), np.array(data["us"]) if complicated else None
    same(ask("ht", "objective", data), oracles.ht(theta, us, data["data"]))
    expected = derivative(lambda t: oracles.ht(t, us, data["data"]), theta)
    if complicated:
        in_us = derivative(lambda u: oracles.ht(theta, u, data["data"]), us).reshape(7, 3, 7, 2)
        compressed = np.einsum("idiu->idu", in_us).reshape(21, 2)
        expected = np.concatenate([compressed, expected], axis=1)
    same(ask("ht", "jacobian", data), expected)


@pytest.mark.parametrize("modes", ["rr", "rf", "fr", "ff"])
def test_particle(modes):
    same(ask("particle", modes, {"w": 0.0}), oracles.particle(0.0))
    same(ask("particle", modes, {"w": 0.0}), 0.20719187, 1e-7)


@pytest.mark.parametrize("modes, start", [("rr", [1, 1]), ("rf", [1, 1]), ("fr", [0.5, -2]), ("ff", [0.1, 0])])
def test_saddle(modes, start):
    same(ask("saddle", modes, {"start": start}), oracles.saddle(np.array(start)))
