"""No call plans past the machine's memory: a loop whose record would need more raises before it begins.

    x', e... = Loop (i < n) ...     ->     Check bytes(e...) <= the machine's memory;  x', e... = Loop (i < n) ...

What a loop emits is what a derivative keeps of its turns.  The check is the last pass over a program, when everything
that needn't be kept has gone.
"""

from __future__ import annotations

import os

import numpy as np

from iverson.core.build import Builder, dtype_of, extents_of, literal
from iverson.core.rewrite import with_body, with_lets
from iverson.core.syntax import Array, Atom, Function, Let, Loop
from iverson.diff.adjoints import product

MESSAGE = (
    "a derivative keeps {} bytes of the turns of this loop, and the machine has "
    "{}: say tape=iv.tape.checkpoint(slots=...) or iv.tape.budget(...)"
)


def memory() -> int:
    """The machine's memory in bytes; without bound where the system doesn't say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 1 << 62


def guarded(f: Function) -> Function:
    """The function with a check before each outermost loop that emits."""
    b, limit = Builder(), literal(memory())
    with b.scope() as lets:
        for let in f.body:
            if isinstance(let.op, Loop) and len(let.vars) > len(let.op.carry):
                _check(b, let, len(let.op.carry), limit)
            b.let(let)
    return with_body(f, with_lets(f.body, lets))


def _check(b: Builder, let: Let, carries: int, limit: Atom) -> None:
    total: Atom = literal(0)
    for v in let.vars[carries:]:
        assert isinstance(v.type, Array)
        size = np.dtype(dtype_of(v).value).itemsize
        total = b.o.add(total, b.o.mul(product(b, extents_of(v)), size))
    b.site = let.site
    b.check(b.o.le(total, limit), MESSAGE, total, limit, error="MemoryError")
