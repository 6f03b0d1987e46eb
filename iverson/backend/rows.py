"""In blocks of vectors a row that one loop leaves to the next is a few registers.

    for v any: .. a[v, 0] = x; a[v, 1] = y            for v any:
    B                                          ->         .. x .. y
    for v any: .. a[v, 0] .. a[v, 1]                      .. x .. y

where the second loop, its short loops written out, reads what the first one stored in the same turn, nothing else
uses the array, and B touches nothing that the first loop writes, and writes nothing that it reads.  In blocks of
vectors only: elsewhere one of two loops may run over neighbours where both together don't.
"""

from __future__ import annotations

from dataclasses import replace

from iverson.backend import loopir as ir
from iverson.backend.loopir import Alloc, Buffer, Compute, For, Free, Load, Reg, Stmt, Store, Value
from iverson.backend.places import Places, accesses
from iverson.backend.unroll import written_out
from iverson.core.syntax import Literal

STATEMENTS = 400  # of a loop, at most


def handed_on(body: list[Stmt]) -> list[Stmt]:
    """The statements of a block, with its loops merged where that saves an array."""
    places = Places(body)
    for alloc in [s for s in body if isinstance(s, Alloc)]:
        body = _without(body, alloc, places) or body
    return body


def _without(body: list[Stmt], alloc: Alloc, places: Places) -> list[Stmt] | None:
    """The body without an array that one loop makes and the next one uses; None if it isn't so."""
    pointer = alloc.buffer.pointer
    users = [s for s in body if s is not alloc and any(pointer in ir.used(t) for t in ir.walk([s]))]
    if len(users) != 3 or not isinstance(users[2], Free):
        return None
    one, two, free = users
    if not (isinstance(one, For) and isinstance(two, For) and _alike(one, two)):
        return None
    between = body[body.index(one) + 1 : body.index(two)]
    mine = {a.view.buffer for a in accesses([one])}
    frees = [s for s in between if isinstance(s, Free) and s.buffer in mine]
    between = [s for s in between if s not in frees]
    merged = _merged(one, two, alloc.buffer)
    if merged is None or not _moves(one, between, places) or not _apart(one, two, alloc.buffer, places):
        return None
    out: list[Stmt] = []
    for s in body:
        if s is two:
            out += [merged, *frees]
        elif s not in (alloc, one, free, *frees):
            out.append(s)
    return out


def _alike(one: For, two: For) -> bool:
    plain = Compute | ir.Combine | Load | Store | For | ir.If
    return (
        all(f.tag in ("any", "apart") and not f.carries for f in (one, two))
        and (one.low, one.high) == (two.low, two.high)
        and all(isinstance(s, plain) for s in ir.walk([*one.body, *two.body]))
        and sum(1 for _ in ir.walk([*one.body, *two.body])) <= STATEMENTS
    )


def _moves(one: For, between: list[Stmt], places: Places) -> bool:
    """May a loop run behind these?"""
    if any(isinstance(s, ir.Own | ir.Copy | ir.Call | ir.Grow | ir.Get | ir.Put) for s in ir.walk(between)):
        return False
    freed = [s.buffer for s in ir.walk(between) if isinstance(s, Free)]
    touched = [a.view.buffer for a in accesses([one])]
    return all(places.disjoint(a, b) and a.slot is not b.slot for a in touched for b in freed) and all(
        places.disjoint(a.view.buffer, b.view.buffer)
        for a in accesses([one])
        for b in accesses(between)
        if isinstance(a, Store) or isinstance(b, Store)
    )


def _apart(one: For, two: For, shared: Buffer, places: Places) -> bool:
    """Is there nothing else that one of the loops writes and both touch?"""
    return all(
        a.view.buffer is shared or b.view.buffer is shared or places.disjoint(a.view.buffer, b.view.buffer)
        for a in accesses([one])
        for b in accesses([two])
        if isinstance(a, Store) or isinstance(b, Store)
    )


def _merged(one: For, two: For, buffer: Buffer) -> For | None:
    """The turns of one, each followed by that of the other; None if the array is used in another way."""
    (second,) = ir.renamed([two], {two.index: one.index})
    assert isinstance(second, For)
    body, _ = written_out([*one.body, *second.body])
    known: dict[tuple[Value, ...], Value] = {}
    env: dict[Reg, Value] = {}
    out: list[Stmt] = []
    for stmt in body:
        (stmt,) = ir.renamed([stmt], env)
        if not (isinstance(stmt, Load | Store) and stmt.view.buffer is buffer):
            if any(buffer.pointer in ir.used(s) for s in ir.walk([stmt])):
                return None
            out.append(stmt)
            continue
        row, *place = stmt.view.prefix
        if row is not one.index or not all(isinstance(v, Literal) for v in place):
            return None
        if isinstance(stmt, Store):
            known[tuple(place)] = stmt.value
        elif tuple(place) in known and known[tuple(place)] is not stmt.out:
            env[stmt.out] = known[tuple(place)]
        else:
            return None
    return replace(one, body=out)
