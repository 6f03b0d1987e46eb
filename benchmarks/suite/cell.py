"""`python -m benchmarks.suite.cell WORKLOAD PEER MEASURE SECONDS`: one cell, in this process, as lines of JSON.

What has been found is printed as it is found, so that a process that is ended at its time limit has said the rest.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

from benchmarks.suite.measures import MEASURING, Event
from benchmarks.suite.registry import named


def events(name: str, peer: str, measure: str, seconds: float) -> Iterator[Event]:
    workload = named(name)
    if measure in workload.benchmark:
        yield workload.benchmark[measure]()
    else:
        yield from MEASURING[measure](workload, workload.peers[peer](), seconds)


def main(name: str, peer: str, measure: str, seconds: str) -> None:
    for event in events(name, peer, measure, float(seconds)):
        print(json.dumps(event), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
