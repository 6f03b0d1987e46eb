"""The pictures of the page, by matplotlib where it is installed."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.suite.registry import OURS, PEERS
from benchmarks.suite.results import Results

COLOURS = dict(zip(PEERS, [f"C{k}" for k in (3, 7, 8, 0, 1, 2, 4, 5, 6, 9)], strict=True))
MARKERS = dict(zip(PEERS, "osdD^vPX*<", strict=True))


def slug(title: str) -> str:
    return re.sub(r"\W+", "-", title.lower()).strip("-")


def draw(results: Results, folder: Path) -> dict[str, Path]:
    """The pictures by name; none without matplotlib."""
    try:
        import matplotlib
    except ImportError:
        return {}
    matplotlib.use("Agg")
    from matplotlib import pyplot

    groups = list(dict.fromkeys(c["group"] for c in results.cells.values() if c["measure"] == "time"))
    drawn: dict[str, Callable[[Any], Any]] = {slug(g): lambda plt, g=g: _times(plt, results, g) for g in groups}  # type: ignore[misc]
    drawn |= {
        "growth": lambda plt: _growth(plt, results),
        "memory": lambda plt: _dots(plt, _memory(results), "gradient, MB beyond the arguments"),
        "first": lambda plt: _dots(plt, _first(results), "first call of the gradient, CPU seconds"),
        "threads": lambda plt: _threads(plt, results),
    }
    made = {}
    for name, picture in drawn.items():
        if (figure := picture(pyplot)) is not None:
            folder.mkdir(parents=True, exist_ok=True)
            made[name] = folder / f"benchmarks-{name}.png"
            figure.savefig(made[name], dpi=110, bbox_inches="tight", metadata={"Software": None})
            pyplot.close(figure)
    return made


Points = dict[str, dict[str, float]]  # workload -> peer -> number


def _panel(axes: Any, points: Points, label: str) -> None:
    """A row a workload, a mark a peer, on a logarithmic axis."""
    names = list(points)
    for peer in PEERS:
        at = [(x, k) for k, w in enumerate(names) if (x := points[w].get(peer, math.nan)) > 0]
        if at:
            axes.scatter(*zip(*at, strict=True), color=COLOURS[peer], marker=MARKERS[peer], s=26, label=peer, zorder=3)
    axes.set_xscale("log")
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(True, which="major", alpha=0.3)
    axes.set_xlabel(label)


def _legend(figure: Any, axes: Any) -> None:
    handles: dict[str, Any] = {}
    for a in axes:
        handles |= {name: h for h, name in zip(*a.get_legend_handles_labels(), strict=True) if name not in handles}
    shown = [p for p in PEERS if p in handles]
    figure.legend(
        [handles[p] for p in shown], shown, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=5, frameon=False
    )


def _height(rows: int) -> float:
    return 1.0 + 0.22 * rows


def _times(plt: Any, results: Results, group: str) -> Any:
    """Values, gradients, and gradient by value, of a group."""
    cells = results.of(group)
    panels: list[tuple[Points, str]] = []
    for what in ("value", "gradient"):
        panels.append(
            ({w: {p: 1e3 * results.number(w, p, what) for p in row} for w, row in cells.items()}, f"{what}, ms")
        )
    by_value = {w: {p: panels[1][0][w][p] / (panels[0][0][w][p] or math.nan) for p in row} for w, row in cells.items()}
    panels.append((by_value, "gradient / value"))
    if not any(x > 0 for points, _ in panels for row in points.values() for x in row.values()):
        return None
    figure, axes = plt.subplots(1, 3, figsize=(13, _height(len(cells))), sharey=True, layout="constrained")
    for a, (points, label) in zip(axes, panels, strict=True):
        _panel(a, points, label)
    _legend(figure, axes)
    return figure


def _dots(plt: Any, points: Points, label: str) -> Any:
    if not points:
        return None
    figure, axes = plt.subplots(figsize=(8, _height(len(points))), layout="constrained")
    _panel(axes, points, label)
    _legend(figure, [axes])
    return figure


def _memory(results: Results) -> Points:
    return _points(
        results, "memory", lambda c: max(c["memory"], 2.0**12) / 2**20 if c.get("memory") is not None else None
    )


def _first(results: Results) -> Points:
    return _points(results, "time", lambda c: c.get("gradient_first"))


def _points(results: Results, measure: str, number: Callable[[dict[str, Any]], float | None]) -> Points:
    found: Points = {}
    for (w, peer, what), cell in results.cells.items():
        if what == measure and (x := number(cell)) is not None:
            found.setdefault(w, {})[peer] = x
    return found


def _growth(plt: Any, results: Results) -> Any:
    found = {(w, p): c["growth"] for (w, p, m), c in results.cells.items() if m == "growth" and c.get("growth")}
    names = list(dict.fromkeys(w for w, _ in found))
    if not names:
        return None
    rows = math.ceil(len(names) / 4)
    figure, axes = plt.subplots(rows, 4, figsize=(13, 2.4 * rows + 0.6), layout="constrained", squeeze=False)
    for a in axes.flat:
        a.set_visible(False)
    for a, name in zip(axes.flat, names, strict=False):
        a.set_visible(True)
        for peer in PEERS:
            reached = [r for r in found.get((name, peer), ()) if r.get("value") and r.get("gradient")]
            if reached:
                x, y = [r["n"] for r in reached], [r["gradient"] / r["value"] for r in reached]
                a.plot(x, y, color=COLOURS[peer], marker=MARKERS[peer], label=peer, markersize=4)
        a.set(xscale="log", yscale="log", title=name, xlabel="n", ylabel="gradient / value")
        a.title.set_fontsize(9)
        a.set_ylim(bottom=1.0)
        a.grid(True, alpha=0.3)
    _legend(figure, list(axes.flat))
    return figure


def _threads(plt: Any, results: Results) -> Any:
    found = {w: c for (w, p, m), c in results.cells.items() if m == "threads" and p == OURS and "one" in c}
    if not found:
        return None
    figure, axes = plt.subplots(figsize=(8, _height(len(found))), layout="constrained")
    names = [w.removeprefix("threads: ") for w in found]
    axes.barh(names, [c["one"] / c["several"] for c in found.values()], color=COLOURS[OURS], height=0.6)
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.tick_params(axis="y", labelsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(f"times as fast on {next(iter(found.values()))['threads']} threads")
    return figure
