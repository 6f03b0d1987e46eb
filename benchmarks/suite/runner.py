"""One process a cell, one after the other, each with a time limit, on one core unless it is about threads."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.suite.machine import commit, describe
from benchmarks.suite.registry import PEERS, Workload, installed
from benchmarks.suite.results import Results

ROOT = Path(__file__).parents[2]
ONE_THREAD = {
    **{f"{name}_NUM_THREADS": "1" for name in ("OPENBLAS", "OMP", "MKL", "NUMBA", "IVERSON")},
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}
LOOK = 0.25  # seconds between two looks at what a cell has taken
PATIENCE = 10  # seconds of the clock that a cell may take for each of its processor: others may be at work
UNWANTED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "IVERSON_LEVEL")  # they would slow some


@dataclass(frozen=True)
class Settings:
    """Processor seconds: of the runs that a median is of, and the limit of a cell, first calls included."""

    seconds: float = 1.0
    limit: float = 60.0


def environment(measure: str) -> dict[str, str]:
    """Of a cell's process: nothing on disk that was compiled before, and one thread."""
    kept = {k: v for k, v in os.environ.items() if k not in UNWANTED}
    found = {**kept, "PYTHONPATH": str(ROOT), "IVERSON_CACHE_DIR": "off", "JAX_PLATFORMS": "cpu"}
    return found if measure in ("threads", "calls") else {**found, **ONE_THREAD}


def _prepare(measure: str) -> None:
    """In the cell's process: on one core, and the first to go when memory runs out."""
    os.setsid()
    if measure != "threads" and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if os.path.exists("/proc/self/oom_score_adj"):
        Path("/proc/self/oom_score_adj").write_text("1000")


def measured(workload: Workload, peer: str, measure: str, settings: Settings) -> dict[str, Any]:
    """The record of a cell."""
    record: dict[str, Any] = {
        "workload": workload.name,
        "group": workload.group,
        "peer": peer,
        "measure": measure,
        "size": workload.size if not isinstance(workload.size, tuple) else list(workload.size),
        "tolerance": workload.tolerance,
        "known": workload.known,
        "limit": settings.limit,
    }
    if not installed(peer):
        return {**record, "state": "missing"}
    command = [sys.executable, "-m", "benchmarks.suite.cell", workload.name, peer, measure, str(settings.seconds)]
    child = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(measure),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: _prepare(measure),
    )
    state, output, errors = _waited(child, settings.limit, PATIENCE * settings.limit)
    for line in output.splitlines():
        if line.startswith("{"):
            record |= json.loads(line)
    if state == "error":
        record["message"] = _last_line(errors)
        state = "missing" if "ModuleNotFoundError" in record["message"] else state
    return {**record, "state": state}


def _waited(child: subprocess.Popen[str], limit: float, patience: float) -> tuple[str, str, str]:
    """(state, output, errors) of a process that may take so long, of processor and clock; what it has started ends too.

    Its limit is not the system's RLIMIT_CPU: Linux counts the time of a process that has one by ticks, of 4 ms say.
    """
    end = time.monotonic() + patience
    state = None
    while True:
        try:
            output, errors = child.communicate(timeout=None if state else LOOK)
            return state or _ended(child.returncode), output, errors
        except subprocess.TimeoutExpired:
            if time.monotonic() > end or _spent(child.pid) > limit:
                state = "limit"
                os.killpg(child.pid, signal.SIGKILL)
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            raise


def _ended(code: int) -> str:
    return "done" if code == 0 else "killed" if code < 0 else "error"


def _spent(pid: int) -> float:
    """Processor seconds of a process and of those that it has waited for; 0.0 where the system doesn't tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _last_line(errors: str) -> str:
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    named = [line for line in lines if "Error" in line.split(":")[0] or "Exception" in line.split(":")[0]]
    return (named or lines or [""])[-1][:300]


def run(chosen: list[tuple[Workload, str, str]], results: Results, settings: Settings, again: bool = False) -> None:
    """Measure the cells that aren't in the results, or all of them again."""
    results.on(describe())
    version, begin = commit(), time.perf_counter()
    absent = sorted({peer for _, peer, _ in chosen if not installed(peer)}, key=list(PEERS).index)
    if absent:
        print(f"not installed: {', '.join(absent)}")
    missing = [c for c in chosen if again or results.get(c[0].name, c[1], c[2]).get("state", "missing") == "missing"]
    print(f"{len(missing)} cells to measure, {len(chosen) - len(missing)} there already", flush=True)
    for k, (workload, peer, measure) in enumerate(missing):
        record = {**measured(workload, peer, measure, settings), "commit": version}
        results.add(record)
        passed = time.perf_counter() - begin
        print(f"[{k + 1}/{len(missing)} {passed:5.0f} s] {said(record)}", flush=True)


def said(record: dict[str, Any]) -> str:
    """A cell in a line."""
    parts = [f"{what} {1e3 * record[what]:.4g} ms" for what in ("value", "gradient") if what in record]
    if "memory" in record:
        parts.append(f"{record['memory'] / 2**20:.4g} MB")
    if "growth" in record:
        parts.append(f"{len(record['growth'])} sizes")
    if record["state"] != "done":
        reason = f"> {record['limit']:.0f} s" if record["state"] == "limit" else record["state"]
        parts.append(reason + (f": {record['message']}" if "message" in record else ""))
    return f"{record['group']}: {record['workload']}, {record['peer']}, {record['measure']}: {', '.join(parts)}"
