"""What a gradient's loops take by the clock: the cost model of the tape's planner, in seconds.

    a turn             OPERATION work + LATENCY span            work and span are the cost model's (core/costs.py)
    checkpoints        each turn that is run again, and for each block BLOCK + COPY bytes of a state
    states in memory   FRESH for each byte beyond what the cache holds

The constants are fitted to the times of nine programs of tests/run/tape_programs.py, each at 11 sizes of blocks and 5
numbers of slots (one thread of an AMD EPYC with AVX-512, its pool of blocks warm).  With the rate of a turn fitted for
each program, all times are within 15% of this; the rate itself is .02 to .1 ns an operation in vectors, 1.5 to 2
in chains.  `python -m benchmarks.tape front` measures what the planner chooses beside what it could have chosen.
"""

from __future__ import annotations

OPERATION = 0.06e-9  # an operation of many, in vectors
LATENCY = 1.5e-9  # one after the other
BLOCK = 100e-9  # a block of turns that is recorded and swept back
COPY = 0.083e-9  # a byte of a state, of each block
CACHE = 1 << 19  # bytes
FRESH = 0.05e-9  # a byte that is written for the first time


def run(work: float, span: float) -> float:
    """So much work, of which so much is one after the other."""
    return OPERATION * work + LATENCY * span


def blocks(count: int, state: int, kept: int) -> float:
    """What checkpoints cost beside the turns: blocks, bytes of a state, and of the states that are kept."""
    return count * (BLOCK + COPY * state) + FRESH * max(kept - CACHE, 0)
