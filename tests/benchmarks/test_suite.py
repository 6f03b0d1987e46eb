"""benchmarks/suite: what there is to measure, one process a cell, results that are gone on with, and the page."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.suite import __main__ as command
from benchmarks.suite import page, readme, runner
from benchmarks.suite.measures import digest, measure_growth, measure_time, sample
from benchmarks.suite.registry import GROUPS, OURS, PEERS, Program, Workload, named, workloads
from benchmarks.suite.results import Results, geometric_mean, ratios

MACHINE = {"processor": "a processor", "cores": 2, "system": "a system", "versions": {"Python": "3"}}


def record(workload: str, peer: str, measure: str = "time", **values: Any) -> dict[str, Any]:
    common = {"group": "loops", "state": "done", "tolerance": 1e-6, "limit": 60.0, "commit": "abc"}
    return {"workload": workload, "peer": peer, "measure": measure, **common, **values}


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Two workloads; JAX is wrong on one, and late on the other."""
    found = Results(tmp_path / "results.jsonl")
    found.on(MACHINE)
    good, bad = digest([1.0, 2.0]), digest([1.0, 2.1])
    times = {"value": 1e-3, "gradient": 2e-3, "value_first": 0.5, "gradient_first": 1.0, "value_digest": good}
    found.add(record("one", OURS, **times, gradient_digest=good))
    found.add(record("one", "Numba", value=2e-3, gradient=8e-3, value_digest=good, gradient_digest=good))
    found.add(record("one", "JAX", value=5e-3, gradient=6e-3, value_digest=good, gradient_digest=bad))
    found.add(record("two", OURS, **times, gradient_digest=good))
    found.add(record("two", "C++", value=0.5e-3, value_digest=good))
    found.add(record("two", "JAX", state="limit", value_first=3.0))
    found.add(record("two", "autograd", state="error", message="TypeError: no | loops"))
    found.add(record("two", "PyTorch", state="missing"))
    found.add(record("one", OURS, "growth", growth=[{"n": n, "value": 1e-3, "gradient": 3e-3} for n in (10, 1000)]))
    found.add(record("one", OURS, "memory", memory=3.5 * 2**20))
    found.add(record("threads: one", OURS, "threads", one=2e-3, several=1e-3, threads=2, same=False))
    found.add(record("call: one", OURS, "calls", nanoseconds={OURS: 60.0, "JAX": 4600.0}))
    return found


# --- what there is ----------------------------------------------------------------------------------------------------


def test_workloads_have_names_of_their_own_and_known_peers() -> None:
    found = workloads()
    names = [w.name for w in found]
    assert len(names) == len(set(names)) > 90
    for w in found:
        assert set(w.peers) <= set(PEERS) and (OURS in w.peers) == bool(w.peers)
        assert w.cells()[0][0] == OURS
    assert named("LBM D2Q9") in found
    assert {"lse 160000", "cholesky", "softmax", "tree recurrence", "LBM D2Q9", "threads: GMM"} <= set(names)


def test_options_choose_cells() -> None:
    def cells(*given: str) -> set[tuple[str, str, str]]:
        return {(w.name, peer, measure) for w, peer, measure in command.chosen(command.arguments(given))}

    assert cells("--only", "cholesky", "--peers", "Numba") == {
        ("cholesky", "Numba", "time"),
        ("cholesky", "Numba", "memory"),
    }
    quick = cells("--quick")
    assert 10 <= len({name for name, _, _ in quick}) <= 25 and all(measure != "memory" for _, _, measure in quick)
    assert {m for _, _, m in cells("--only", *GROUPS, "--measures", "growth", "--peers", OURS)} == {"growth"}


# --- a cell -----------------------------------------------------------------------------------------------------------


def test_digests_tell_results_apart() -> None:
    x = np.arange(6.0).reshape(2, 3)
    assert digest((1.0, [x])) == digest({"a": np.float64(1.0), "b": x.tolist()})
    assert digest(x) != digest(x.T.copy()) and digest(x)["count"] == 6
    assert digest([]) == {"count": 0, "norm": 0.0, "product": 0.0}


def test_measures_say_what_they_find() -> None:
    program = Program(lambda n: n * 1.0, lambda n: (n * 1.0, np.ones(3)), prepare=lambda args: args)
    workload = Workload("w", "g", lambda n: (n,), 5, growth=(2, 3))
    found: dict[str, Any] = {}
    for event in measure_time(workload, program, 0.001):
        found |= json.loads(json.dumps(event))
    assert found["value"] > 0 and found["gradient"] > 0 and found["gradient_digest"]["count"] == 4
    *_, last = measure_growth(workload, program, 0.001)
    assert [row["n"] for row in last["growth"]] == [2, 3] and all(row["gradient"] > 0 for row in last["growth"])
    assert sample(lambda: None, 0.0, least=3)


def test_a_cell_is_measured_in_a_process_of_its_own() -> None:
    found = runner.measured(named("hello"), OURS, "time", runner.Settings(0.001, 60))
    assert found["state"] == "done" and found["gradient"] > 0 and found["value_first"] > 0, found
    assert json.loads(json.dumps(found)) == found


def test_what_fails_is_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PEERS, "nowhere", ("not installed", "a_module_that_is_not_there"))
    assert runner.measured(named("hello"), "nowhere", "time", runner.Settings())["state"] == "missing"
    found = runner.measured(named("hello"), "NumPy", "time", runner.Settings(0.001, 60))
    assert found["state"] == "error" and found["message"].startswith("KeyError")


@pytest.mark.parametrize(
    "source, state",
    [("while True: pass", "limit"), ("import time; time.sleep(60)", "limit"), ("import os; os.abort()", "killed")],
)
def test_processes_end(source: str, state: str) -> None:
    said = f"print('begun', flush=True)\n{source}"
    child = subprocess.Popen(
        [sys.executable, "-c", said], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    limit, patience = (0.5, 60.0) if "while" in source else (60.0, 5.0) if "sleep" in source else (60.0, 60.0)
    assert runner._waited(child, limit, patience)[:2] == (state, "begun\n")


# --- results ----------------------------------------------------------------------------------------------------------


def test_a_run_goes_on_where_it_was(results: Results, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    with results.path.open("a") as file:
        file.write('{"workload": "three", "pe')  # it was ended here
    again = Results.read(results.path)
    assert again.cells == results.cells and again.machine == MACHINE
    asked: list[tuple[str, str]] = []

    def measured(w: Workload, peer: str, measure: str, settings: Any) -> dict[str, Any]:
        asked.append((w.name, peer))
        return record(w.name, peer, measure, value=1.0)

    monkeypatch.setattr(runner, "measured", measured)
    monkeypatch.setattr(runner, "describe", lambda: MACHINE)
    cells = [
        (Workload(name, "loops"), peer, "time") for name, peer in (("one", OURS), ("two", "PyTorch"), ("six", OURS))
    ]
    runner.run(cells, again, runner.Settings())
    assert asked == [("two", "PyTorch"), ("six", OURS)], "what was missing is tried again"
    assert "1 there already" in capsys.readouterr().out
    runner.run(cells, again, runner.Settings(), again=True)
    assert len(asked) == 5
    assert Results.read(results.path).get("six", OURS)["value"] == 1.0


def test_results_of_two_machines_are_not_mixed(results: Results) -> None:
    with pytest.raises(ValueError, match="another machine"):
        results.on({**MACHINE, "processor": "another"})


def test_ratios_count_what_agrees(results: Results) -> None:
    assert ratios(results, "loops", "Numba", "gradient") == {"one": pytest.approx(4.0)}
    assert ratios(results, "loops", "JAX", "gradient") == {}
    assert list(results.differing()) == [("one", "JAX", "gradient")]
    assert geometric_mean([2.0, 8.0, float("nan")]) == pytest.approx(4.0)


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_is_written_from_results_alone(results: Results) -> None:
    text = page.text(Results.read(results.path), {"loops": "pictures/loops.png"})
    for expected in (
        "Machine: a processor, 2 cores, a system. Python 3. Iverson at abc.",
        "Not installed, so not measured: PyTorch.",
        "![Loops](pictures/loops.png)",
        "| one | 2.00 | 8.00 (4.00x) | differs |",
        "| two | 1.00 | 0.50 (0.50x) |  | > 60 s |",
        "| two | 2.00 |  | > 60 s |",
        "| two | 2.00 | - |",
        "| one | Iverson | 10 to 1,000 | 3.00 (3.00), 3.00 (3.00) |  |",
        "| one | 3.50 |",
        "| one | 2.00 | 1.00 | 2.00 | NO |",
        "| one | 60.0 | 4,600 |",
        "| two | autograd | time | `TypeError: no / loops` |",
        "| one | JAX | gradient |",
    ):
        assert expected in text, (expected, text)


def test_the_page_and_its_pictures(results: Results, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = page.write(results, tmp_path)
    names = {file.name for file in (tmp_path / "pictures").iterdir()}
    assert names == {f"benchmarks-{name}.png" for name in ("loops", "growth", "memory", "first", "threads")}
    assert all(f"pictures/{name}" in path.read_text() for name in names)


def test_no_page_without_results(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no results"):
        page.write(Results(tmp_path / "none.jsonl"), tmp_path)


def test_figures_of_the_readme(results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readme, "PROGRAMS", {"one": "the first", "two": "the second", "six": "not measured"})
    monkeypatch.setattr(readme, "GRADBENCH", {"two": "second"})
    path = tmp_path / "README.md"
    path.write_text((runner.ROOT / "README.md").read_text())
    for _ in range(2):  # what was put there is replaced
        readme.write(results, path)
        text = path.read_text()
        assert text.count("| the first | 1.00 | 0.50 | - | 2.00 | - | 2.00 |") == 1
        assert text.count("| the second | 1.00 | - | 2.00 | 2.00 | - | 2.00 |") == 1
        assert "| second |\n| --- |\n| 4.00 |\n" in text and "not measured" not in text
    path.write_text("nothing")
    with pytest.raises(ValueError, match="no place"):
        readme.write(results, path)
    names = {w.name for w in workloads()}
    monkeypatch.undo()
    assert {*readme.PROGRAMS, *readme.GRADBENCH} <= names
