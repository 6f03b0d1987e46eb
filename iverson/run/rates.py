"""What a gradient's loops take by the clock: the cost model of the tape's planner, in seconds.

    a turn             OPERATION work + LATENCY span    the cost model's (core/costs.py), functions as in diff/cheap.py
    what runs again    the same
    what is kept       MEMORY for each byte beyond what the cache holds, written and read
    checkpoints        the turns that run again; for each block BLOCK + COPY bytes of a state, and what it keeps
    states on disk     FILE for each loop, DISK for each byte

The constants are fitted to programs of tests/run/tape_programs.py (one thread of an AMD EPYC with AVX-512, its pool of
blocks warm).  `python -m benchmarks.tape turns` measures turns beside it, `front` what the planner chooses beside what
it could have chosen.
"""

from __future__ import annotations

OPERATION = 0.025e-9  # an operation of many, in vectors
LATENCY = 1.5e-9  # one after the other
BLOCK = 100e-9  # a block of turns that is recorded and swept back
COPY = 0.083e-9  # a byte of a state, of each block
CACHE = 1 << 19  # bytes
LOGS = 1 << 18  # of it, for what a block keeps, beside all else that its turns touch
MEMORY = 0.05e-9
FILE = 250e-6  # a file
DISK = 0.8e-9  # a byte that is written to it, and read, as long as the system has room to keep it in memory
KEPT = 0.015e-9  # a byte that is written and read, in the cache


def run(work: float, span: float) -> float:
    """So much work, of which so much is one after the other."""
    return OPERATION * work + LATENCY * span


def memory(kept: float, cached: int = CACHE) -> float:
    """So many bytes that are written, and read later."""
    return MEMORY * max(kept - cached, 0)


def keeping(kept: float) -> float:
    """The same with what the cache takes."""
    return KEPT * kept + memory(kept)


def files(kept: float) -> float:
    """So many bytes of states in a file."""
    return FILE + DISK * kept if kept else 0.0


def blocks(count: int, state: int) -> float:
    """So many blocks, beside their turns; bytes of a state."""
    return count * (BLOCK + COPY * state)
