"""Results as lines of JSON: one for the machine, then one a cell, the last of a cell counts."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.suite.registry import OURS

Key = tuple[str, str, str]  # workload, peer, measure
# "done": all that was to be measured; "limit": what there was time for; else nothing, and why
STATES = ("done", "limit", "killed", "missing", "error")


@dataclass
class Results:
    """What has been measured, and the file that it is in."""

    path: Path
    machine: dict[str, Any] = field(default_factory=dict)
    cells: dict[Key, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Results:
        found = cls(path)
        for line in path.read_text().splitlines() if path.exists() else ():
            try:
                record = json.loads(line)
            except json.JSONDecodeError:  # the run was ended while it wrote
                continue
            if "machine" in record:
                found.machine = record["machine"]
            else:
                found.cells[_key(record)] = record
        return found

    def on(self, machine: dict[str, Any]) -> None:
        """Measure on this machine: results of another aren't added to."""
        if self.machine and self.machine["processor"] != machine["processor"]:
            raise ValueError(f"{self.path} has results of another machine ({self.machine['processor']}): move it away")
        if self.machine != machine:
            self.machine = machine
            self._write({"machine": machine})

    def add(self, record: dict[str, Any]) -> None:
        self.cells[_key(record)] = record
        self._write(record)

    def _write(self, record: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")

    def get(self, workload: str, peer: str, measure: str = "time") -> dict[str, Any]:
        return self.cells.get((workload, peer, measure), {})

    def of(self, group: str, measure: str = "time") -> dict[str, dict[str, dict[str, Any]]]:
        """workload -> peer -> its cell, of a group, in the order measured."""
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for (workload, peer, what), cell in self.cells.items():
            if what == measure and cell["group"] == group:
                found.setdefault(workload, {})[peer] = cell
        return found

    def number(self, workload: str, peer: str, what: str) -> float:
        """A peer's seconds for "value" or "gradient"; NaN where there is none that counts."""
        found = self.get(workload, peer).get(what)
        return found if found is not None and self.agrees(workload, peer, what) else math.nan

    def agrees(self, workload: str, peer: str, what: str) -> bool:
        """Whether the peer's results are ours, within the workload's tolerance."""
        ours, theirs = (self.get(workload, p).get(f"{what}_digest") for p in (OURS, peer))
        if ours is None or theirs is None:
            return True
        return ours["count"] == theirs["count"] and all(
            abs(ours[k] - theirs[k]) <= self.get(workload, peer)["tolerance"] * max(abs(ours["norm"]), 1e-9)
            for k in ("norm", "product")
        )

    def differing(self) -> Iterator[tuple[str, str, str]]:
        """(workload, peer, "value" or "gradient") whose results aren't ours."""
        for workload, peer, measure in self.cells:
            for what in ("value", "gradient") if measure == "time" else ():
                if not self.agrees(workload, peer, what):
                    yield workload, peer, what


def _key(record: dict[str, Any]) -> Key:
    return record["workload"], record["peer"], record["measure"]


def geometric_mean(ratios: list[float]) -> float:
    known = [r for r in ratios if r > 0 and math.isfinite(r)]
    return math.exp(sum(map(math.log, known)) / len(known)) if known else math.nan


def ratios(results: Results, group: str, peer: str, what: str) -> dict[str, float]:
    """workload -> a peer's time by ours, where both are known."""
    found = {w: results.number(w, peer, what) / _or_nan(results.number(w, OURS, what)) for w in results.of(group)}
    return {w: r for w, r in found.items() if math.isfinite(r)}


def _or_nan(x: float) -> float:
    return x if x > 0 else math.nan
