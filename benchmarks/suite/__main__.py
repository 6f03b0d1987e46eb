"""`make bench`, or `python -m benchmarks.suite`: every workload beside every peer that is installed, and a page of it.

Results go to a file of JSON lines as they are found: a run that was stopped goes on where it was.  The page is written
from that file alone.  One process a pair of workload and peer; a machine with nothing else to do is assumed.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.suite import readme
from benchmarks.suite.page import write
from benchmarks.suite.registry import GROUPS, MEASURES, PEERS, Workload, of_group
from benchmarks.suite.results import Results
from benchmarks.suite.runner import ROOT, Settings, run

OUT = ROOT / "benchmarks" / "out"
QUICK = Settings(seconds=0.2, limit=10.0)
SLOW_TO_COMPILE = ("Enzyme", "DaCe")  # peers that `--quick` leaves out unless they are named


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.suite", description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", nargs="+", default=[], metavar="PART", help="workloads or groups with this in them")
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), metavar="PEER")
    parser.add_argument("--measures", nargs="+", choices=MEASURES, default=list(MEASURES), metavar="MEASURE")
    parser.add_argument("--quick", action="store_true", help="a dozen workloads, less exactly, a limit of 10 s a pair")
    parser.add_argument("--limit", type=float, help="seconds that a pair may take (60)")
    parser.add_argument("--again", action="store_true", help="measure also what has been measured")
    parser.add_argument("--page", action="store_true", help="only write the page")
    parser.add_argument("--readme", action="store_true", help="also put the tables of figures in README.md")
    parser.add_argument("--list", action="store_true", help="only say what would be measured")
    parser.add_argument("--results", type=Path, help="the file of results (benchmarks/out/results.jsonl)")
    parser.add_argument("--docs", type=Path, help="where the page goes (docs, or benchmarks/out with --quick)")
    return parser.parse_args(given)


def chosen(options: argparse.Namespace) -> list[tuple[Workload, str, str]]:
    """The cells that the options ask for, the least work first: a table fills row by row."""
    found = []
    peers = options.peers or [p for p in PEERS if not (options.quick and p in SLOW_TO_COMPILE)]
    for group in GROUPS:
        for w in of_group(group):
            if options.only and not any(part in (group, w.group) or part in w.name for part in options.only):
                continue
            if options.quick and not w.quick:
                continue
            for peer, measure in w.cells():
                skipped = options.quick and measure == "memory"
                if peer in peers and measure in options.measures and not skipped:
                    found.append((w, peer, measure))
    return found


def main(given: Sequence[str] | None = None) -> None:
    options = arguments(given)
    settings = QUICK if options.quick else Settings()
    if options.limit:
        settings = Settings(settings.seconds, options.limit)
    cells = chosen(options)
    if options.list:
        for w, peer, measure in cells:
            print(f"{w.group}: {w.name}, {peer}, {measure}")
        return
    results = Results.read(options.results or OUT / ("quick.jsonl" if options.quick else "results.jsonl"))
    if not options.page:
        run(cells, results, settings, options.again)
    print(write(results, options.docs or (OUT if options.quick else ROOT / "docs")))
    if options.readme:
        readme.write(results, ROOT / "README.md")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that the cell ends as well
    main()
