"""An array that is made of one that ends there, element by element, is made in its memory.

    b = alloc [n]                             for i < n: a[i] = f(a[i])
    for i < n: b[i] = f(a[i])          ->     .. a ..
    free a                                    free a
    .. b ..
    free b

where the nest touches the two arrays at one place a turn, in each turn at another one, and loads of a come before the
stores of b.  So a long loop goes over less memory, and finds it in the cache.
"""

from __future__ import annotations

from dataclasses import replace
from types import UnionType
from typing import TypeAlias

from iverson.backend import loopir as ir
from iverson.backend.loopir import Alloc, Buffer, Free, Load, Program, Stmt, Store
from iverson.backend.places import Places, accesses, only
from iverson.backend.turns import nest, touching


def run(program: Program) -> None:
    """Rewrite a program in place."""
    places = Places(program.body)
    for body in [program.body, *(b for s in ir.walk(program.body) for b in ir.blocks(s))]:
        allocs = [s for s in body if isinstance(s, Alloc) and _plain(s)]
        users = users_of(body, allocs) if len(allocs) > 1 else {}
        for alloc in allocs:
            if _reused(program, body, alloc, places, users):
                users = users_of(body, allocs)


Users: TypeAlias = dict[ir.Reg, list[Stmt]]


def users_of(body: list[Stmt], allocs: list[Alloc]) -> Users:
    """The statements of a block that name an array, at any depth."""
    users: Users = {s.buffer.pointer: [] for s in allocs}
    for stmt in body:
        for v in {v for s in ir.walk([stmt]) for v in ir.used(s) if isinstance(v, ir.Reg)}:
            if v in users:
                users[v].append(stmt)
    return users


def _reused(program: Program, body: list[Stmt], alloc: Alloc, places: Places, users: Users) -> bool:
    """Put an array into the memory of one that ends at its first use, if there is one."""
    b = alloc.buffer
    others = [s for s in body if isinstance(s, Alloc) and s is not alloc and _plain(s) and _alike(s.buffer, b)]
    if not others:
        return False
    use = next((s for s in users[b.pointer] if s is not alloc), None)
    if use is None:
        return False
    for other in others:
        a, mine = other.buffer, [s for s in users[other.buffer.pointer] if s is not other]
        if mine[-2:-1] != [use] or not isinstance(mine[-1], Free):
            continue
        if not only_by(users[b.pointer], b, Load | Store | Free | ir.Result):
            return False
        if only_by(users[a.pointer], a, Load | Store | Free) and _in_turn(use, a, b, places):
            body.remove(mine[-1])
            body.remove(alloc)
            replaced(program.body, b, a)
            return True
    return False


def _plain(alloc: Alloc) -> bool:
    return not alloc.stack and alloc.when is None and alloc.buffer.strides is None and alloc.buffer.scoped


def _alike(a: Buffer, b: Buffer) -> bool:
    return a.dtype is b.dtype and len(a.extents) > 0 and a.extents == b.extents


def only_by(body: list[Stmt], b: Buffer, kinds: UnionType) -> bool:
    """Is an array used by statements of some kinds alone, and under this name?"""
    views = (s.view for s in accesses(body))
    return all(v.buffer is b or v.buffer.pointer is not b.pointer for v in views) and only(body, b, kinds)


def _in_turn(use: Stmt, a: Buffer, b: Buffer, places: Places) -> bool:
    """Is a only loaded, and b at the same places, after that?"""
    found = nest(use, [a, b], len(a.extents))
    if found is None:
        return False
    loads, made = touching(found.body, a), touching(found.body, b)
    if not loads or any(isinstance(s, Store) for s in loads) or not found.once([*loads, *made], places):
        return False
    looped = any(isinstance(s, ir.For | ir.While) and touching([s], a) for s in ir.walk(found.body))
    order = [s for s in accesses(found.body) if s in (*loads, *made)]
    return not looped and order[: len(loads)] == loads


def replaced(body: list[Stmt], old: Buffer, new: Buffer) -> None:
    """Use another buffer."""
    for stmt in ir.walk(body):
        match stmt:
            case Load() | Store() if stmt.view.buffer is old:
                stmt.view = replace(stmt.view, buffer=new)
            case Free() if stmt.buffer is old:
                stmt.buffer = new
            case ir.Result() if stmt.value is old.pointer:
                stmt.value = new.pointer
            case _:
                pass
    new.stored = True
