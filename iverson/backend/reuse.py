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

from iverson.backend import loopir as ir
from iverson.backend.loopir import Alloc, Buffer, Free, Load, Program, Stmt, Store
from iverson.backend.places import Places, accesses, only
from iverson.backend.turns import mentions, nest, touching


def run(program: Program) -> None:
    """Rewrite a program in place."""
    places = Places(program.body)
    for body in [program.body, *(b for s in ir.walk(program.body) for b in ir.blocks(s))]:
        for alloc in [s for s in body if isinstance(s, Alloc)]:
            _reused(program, body, alloc, places)


def _reused(program: Program, body: list[Stmt], alloc: Alloc, places: Places) -> None:
    """Put an array into the memory of one that ends at its first use, if there is one."""
    b = alloc.buffer
    others = [s for s in body if isinstance(s, Alloc) and s is not alloc and _plain(s) and _alike(s.buffer, b)]
    if not others or not _plain(alloc):
        return
    use = next((s for s in body if s is not alloc and mentions(s, [b.pointer])), None)
    if use is None or not _only(program.body, b, Load | Store | Free | ir.Result):
        return
    for other in body[: body.index(use)]:
        if other in others:
            a = other.buffer
            users = [s for s in body if s is not other and mentions(s, [a.pointer])]
            ends = users[-2:-1] == [use] and isinstance(users[-1], Free)
            if ends and _only(program.body, a, Load | Store | Free) and _in_turn(use, a, b, places):
                body.remove(users[-1])
                body.remove(alloc)
                _replaced(program.body, b, a)
                return


def _plain(alloc: Alloc) -> bool:
    return not alloc.stack and alloc.when is None and alloc.buffer.strides is None and alloc.buffer.scoped


def _alike(a: Buffer, b: Buffer) -> bool:
    return a.dtype is b.dtype and len(a.extents) > 0 and a.extents == b.extents


def _only(body: list[Stmt], b: Buffer, kinds: UnionType) -> bool:
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


def _replaced(body: list[Stmt], old: Buffer, new: Buffer) -> None:
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
