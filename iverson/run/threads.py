"""`iv.set_threads`, `iv.get_threads`."""

from __future__ import annotations

from iverson.backend import pool


def set_threads(n: int) -> None:
    """Use at most `n` threads for loops that run in parallel, from the next such loop on.

    At first there are as many as this process has cores, or what the environment says in `IVERSON_NUM_THREADS`.
    Nothing is compiled again, and results are the same bits for any number.  It holds for the whole process.

    Raises TypeError if `n` is no integer, ValueError if it is not from 1 to 1024.

    >>> iv.set_threads(1)
    """
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise TypeError(f"iv.set_threads takes an integer, not {type(n).__name__}")
    n = n.__index__()
    if not 1 <= n <= pool.MOST_THREADS:
        raise ValueError(f"iv.set_threads takes a number of threads from 1 to {pool.MOST_THREADS}, not {n}")
    pool.set_limit(n)


def get_threads() -> int:
    """How many threads a parallel loop may use; see `set_threads`."""
    return pool.limit()
