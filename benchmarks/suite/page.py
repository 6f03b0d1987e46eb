"""The page: tables and plots of results, from their file alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.suite import plots
from benchmarks.suite.registry import OURS, PEERS
from benchmarks.suite.results import Results, geometric_mean, ratios

NAME = "benchmarks.md"
LATE = 1.1  # of C++'s time: a value above is listed
REASONS = {"killed": "out of memory", "missing": "", "error": "error"}

INTRODUCTION = """\
Every workload of `benchmarks/` beside every peer that was installed: `make bench` measures and writes this page.

{machine}

Times are medians of processor time, one process a pair of workload and peer, on one core with one thread unless a table
says otherwise, with freed memory kept by the C library. "value" is the objective, "gradient" the objective and its
gradient, or the derivative that a workload is about. A cell "> 60 s" did not end within its process's limit, first call
included; "error" is a program that the peer cannot differentiate or compile ([why](#what-failed)). Results of all peers
are compared with ours; what differs is not counted ([which](#what-differed)). Memory is by how much the peak of the
resident set grows in a second call, with nothing kept of the first (of kernels at three times the size of the times),
and what JAX plans for temporaries.

| peer | what is measured |
|---|---|
{peers}
"""


def number(x: float) -> str:
    """Three digits, without exponents."""
    if not math.isfinite(x):
        return "-"
    return f"{x:,.0f}" if abs(x) >= 100 else f"{x:.1f}" if abs(x) >= 10 else f"{x:.2f}" if abs(x) >= 0.1 else f"{x:.3g}"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def machine(results: Results) -> str:
    m = results.machine
    versions = ", ".join(f"{name} {version}" for name, version in m["versions"].items())
    commits = sorted({cell["commit"] for cell in results.cells.values() if cell.get("commit")})
    said = f"Machine: {m['processor']}, {m['cores']} cores, {m['system']}. {versions}."
    return said + (f" Iverson at {', '.join(commits)}." if commits else "")


def groups(results: Results) -> list[str]:
    return list(dict.fromkeys(cell["group"] for cell in results.cells.values() if cell["measure"] == "time"))


def present(results: Results, group: str, what: str) -> list[str]:
    """The peers that have something to show in a group."""
    cells = [(p, c) for row in results.of(group).values() for p, c in row.items()]
    shown = {p for p, c in cells if what in c or c["state"] in ("limit", "killed")}
    return [p for p in PEERS if p in shown]


def cell(results: Results, workload: str, peer: str, what: str) -> str:
    """ms, or why there is no time; and how many times ours it is."""
    found = results.get(workload, peer)
    if what not in found:
        stopped = f"{what}_first" in found or what == "gradient" or "value_first" not in found
        return reason(found) if found and stopped else ""
    if not results.agrees(workload, peer, what):
        return "differs"
    text = number(1e3 * found[what])
    ours = results.number(workload, OURS, what)
    return text if peer == OURS or not ours > 0 else f"{text} ({number(found[what] / ours)}x)"


def reason(found: dict[str, Any]) -> str:
    if found["state"] == "limit":
        return f"> {found['limit']:.0f} s"
    return REASONS.get(found["state"], "")


def times(results: Results, group: str) -> str:
    parts = []
    for what in ("value", "gradient"):
        shown = present(results, group, what)
        if OURS not in shown:
            continue
        rows = [[w, *(cell(results, w, p, what) for p in shown)] for w in results.of(group)]
        parts.append(table([f"{what}, ms (x ours)", *shown], rows))
        means = [
            f"{p} {number(geometric_mean(list(found.values())))}x ({len(found)}, least {number(min(found.values()))})"
            for p in shown
            if p != OURS and (found := ratios(results, group, p, what))
        ]
        if means:
            parts.append(f"Geometric means, {what}: {'; '.join(means)}.\n")
    return "\n".join(parts)


def gradient_by_value(results: Results, group: str) -> str:
    shown = [p for p in PEERS if any(_ratio(results, w, p) > 0 for w in results.of(group))]
    rows = [[w, *(number(_ratio(results, w, p)) for p in shown)] for w in results.of(group)]
    return table(["gradient / value", *shown], rows) if shown else ""


def _ratio(results: Results, workload: str, peer: str) -> float:
    value, gradient = (results.number(workload, peer, what) for what in ("value", "gradient"))
    return gradient / value if value > 0 else math.nan


def beside_primal(results: Results, group: str) -> str:
    """The derivative as a multiple of the C++ value, beside the best that is known."""
    rows = []
    for w, row in results.of(group).items():
        base = results.number(w, "C++", "value")
        if base > 0:
            known = row[OURS].get("known")
            best = f"{known[0]} ({known[1]})" if known else ""
            rows.append([w, *(number(results.number(w, OURS, k) / base) for k in ("value", "gradient")), best])
    return table(["of C++'s value", "our value", "our gradient", "best known gradient"], rows) if rows else ""


def behind(results: Results) -> str:
    """Values that are slower than Numba's or more than 1.1 of C++'s."""
    rows = []
    for group in groups(results):
        for w in results.of(group):
            ours = results.number(w, OURS, "value")
            cells = [ours / results.number(w, p, "value") for p in ("C++", "Numba")]
            if cells[0] > LATE or cells[1] > 1.0:
                rows.append([w, *map(number, cells)])
    return table(["our value, of the time of", "C++", "Numba"], rows) if rows else "None.\n"


def by_peer(results: Results, measure: str, text: Callable[[dict[str, Any]], str], head: str) -> str:
    cells = {
        (w, p): text(c) for g in groups(results) for w, row in results.of(g, measure).items() for p, c in row.items()
    }
    shown = [p for p in PEERS if any(q == p and t for (_, q), t in cells.items())]
    names = list(dict.fromkeys(w for w, _ in cells))
    rows = [[w, *(cells.get((w, p), "") for p in shown)] for w in names if any(cells.get((w, p)) for p in shown)]
    return table([head, *shown], rows) if rows else ""


def memory_cell(found: dict[str, Any]) -> str:
    return number(found["memory"] / 2**20) if found.get("memory") is not None else reason(found)


def first_cell(found: dict[str, Any]) -> str:
    return number(found["gradient_first"]) if "gradient_first" in found else ""


def growth(results: Results) -> str:
    rows = []
    for (w, peer, measure), found in results.cells.items():
        if measure == "growth" and (reached := found.get("growth")):
            shown = [
                f"{number(row['gradient'] / row['value'])} ({number(1e3 * row['gradient'])})"
                for row in reached
                if row.get("value") and row.get("gradient")
            ]
            if shown:
                sizes = f"{reached[0]['n']:,} to {reached[-1]['n']:,}"
                rows.append([w, peer, sizes, ", ".join(shown), reason(found)])
    return table(["program", "peer", "n", "gradient / value (ms of the gradient)", ""], rows) if rows else ""


def threads(results: Results) -> str:
    found = {w: c for (w, _, measure), c in results.cells.items() if measure == "threads" and "one" in c}
    rows = []
    for w, c in found.items():
        times = [1e3 * c["one"], 1e3 * c["several"], c["one"] / c["several"]]
        rows.append([w.removeprefix("threads: "), *map(number, times), "yes" if c["same"] else "NO"])
    several = next(iter(found.values()))["threads"] if found else 2
    return table(["wall time, ms", "1 thread", f"{several} threads", "speed-up", "same bits"], rows) if rows else ""


def calls(results: Results) -> str:
    found = {w: c["nanoseconds"] for (w, _, m), c in results.cells.items() if m == "calls" and "nanoseconds" in c}
    shown = [p for p in PEERS if any(p in c for c in found.values())]
    rows = [[w.removeprefix("call: "), *(number(c.get(p, math.nan)) for p in shown)] for w, c in found.items()]
    return table(["ns a call", *shown], rows) if rows else ""


def failed(results: Results) -> str:
    rows = [
        [w, peer, measure, f"`{found['message']}`".replace("|", "/")]
        for (w, peer, measure), found in results.cells.items()
        if found["state"] == "error" and found.get("message")
    ]
    return table(["workload", "peer", "measuring", "message"], rows) if rows else "Nothing.\n"


def differed(results: Results) -> str:
    rows = [[w, peer, what] for w, peer, what in results.differing()]
    return table(["workload", "peer", "what"], rows) if rows else "Nothing.\n"


def text(results: Results, pictures: dict[str, str]) -> str:
    """The page as Markdown; `pictures` are paths by name."""
    parts = ["# Benchmarks\n"]
    measured = {peer for _, peer, _ in results.cells}
    absent = sorted({p for (_, p, _), c in results.cells.items() if c["state"] == "missing"}, key=list(PEERS).index)
    described = "\n".join(f"| {peer} | {PEERS[peer][0]} |" for peer in PEERS if peer in measured and peer not in absent)
    parts.append(INTRODUCTION.format(machine=machine(results), peers=described))
    if absent:
        parts.append(f"Not installed, so not measured: {', '.join(absent)}.\n")

    def section(title: str, picture: str, *bodies: str) -> None:
        shown = [b for b in bodies if b]
        if shown:
            parts.append(f"## {title}\n")
            if picture in pictures:
                parts.append(f"![{title}]({pictures[picture]})\n")
            parts.extend(shown)

    for group in groups(results):
        title = group if group[:1].isupper() and not group.islower() else group.capitalize()
        bodies = times(results, group), beside_primal(results, group) if group == "GradBench" else ""
        section(title, plots.slug(group), *bodies, gradient_by_value(results, group))
    section("Growth with n", "growth", growth(results))
    section("Memory of the gradient", "memory", by_peer(results, "memory", memory_cell, "MB beyond the arguments"))
    section("First calls", "first", by_peer(results, "time", first_cell, "gradient, CPU seconds"))
    section("Threads", "threads", threads(results))
    section("Calls", "", calls(results))
    section("Values behind C++ or Numba", "", behind(results))
    section("What differed", "", differed(results))
    section("What failed", "", failed(results))
    return "\n".join(parts)


def write(results: Results, folder: Path) -> Path:
    """Write the page and its pictures; where it is."""
    if not results.machine:
        raise ValueError(f"{results.path} has no results yet: measure first")
    pictures = plots.draw(results, folder / "pictures")
    path = folder / NAME
    path.write_text(text(results, {name: f"pictures/{file.name}" for name, file in pictures.items()}))
    return path
