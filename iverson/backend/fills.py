"""An array is filled where its elements are first used.

    for i < n: t[i] = 0                       for k < n seq:
    for k < n seq:                     ->         t[n - 1 - k] = 0
        t[n - 1 - k] <+> v                        t[n - 1 - k] <+> v

where each turn uses one element, each another one, and nothing else is done between.  What is left is a store: one
pass over memory instead of two, and nothing to load.
"""

from __future__ import annotations

from itertools import islice

from iverson.backend import loopir as ir
from iverson.backend.loopir import Alloc, For, Literal, Program, Reg, Stmt, Store
from iverson.backend.places import Places
from iverson.backend.turns import Nest, mentions, nest, touching


def run(program: Program) -> None:
    """Rewrite a program in place."""
    _block(program.body, Places(program.body))


def _block(body: list[Stmt], places: Places) -> None:
    for alloc in [s for s in body if isinstance(s, Alloc)]:
        _moved(body, alloc, places)
    for stmt in body:
        for inner in ir.blocks(stmt):
            _block(inner, places)


def _moved(body: list[Stmt], alloc: Alloc, places: Places) -> None:
    """Move the fill of an array into the nest that uses it first, if it may be."""
    buffer = alloc.buffer
    rank = len(buffer.extents)
    behind = islice(body, body.index(alloc) + 1, None)
    users = list(islice((s for s in behind if mentions(s, [buffer.pointer])), 2)) if rank else []
    if len(users) < 2:
        return
    fill, use = (nest(s, [buffer], rank) for s in users)
    if fill is None or use is None or use.loops[0].tag != "seq":
        return
    stores, used = touching(fill.body, buffer), touching(use.body, buffer)
    constant = stores[0].value if isinstance(stores[0], Store) else None
    if not isinstance(constant, Literal) or len(stores) != 1 or not _alone(fill) or not isinstance(users[0], For):
        return
    if not all(n.once(a, places) and n.whole(a[0].view, places) for n, a in ((fill, stores), (use, used))):
        return
    first = next(k for k, s in enumerate(use.body) if touching([s], buffer))
    late = {r for s in use.body[first:] for r in _made(s)}
    known = [a for a in used if not late.intersection(v for v in a.view.prefix if isinstance(v, Reg))]
    if known:
        use.body.insert(first, Store(known[0].view, constant))
        body.remove(users[0])


def _alone(fill: Nest) -> bool:
    """Does a nest do nothing but store one element a turn?"""
    return all(loop.body == [inner] for loop, inner in zip(fill.loops, fill.loops[1:], strict=False)) and (
        len(fill.body) == 1 and not any(loop.carries for loop in fill.loops)
    )


def _made(stmt: Stmt) -> set[Reg]:
    """What a statement assigns, at any depth."""
    return {r for s in ir.walk([stmt]) for r in (*ir.defined(s), *ir.entered(s))}
