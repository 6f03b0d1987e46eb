"""The order of an array's axes, where nobody else sees it.

turn_last       the axis of a parallel loop's turns is the last one: neighbouring turns touch neighbours
drop_copies     for i, j: y[i, j] = x[i, j], and x is used no more        ->        x is y
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from iverson.backend import loopir as ir
from iverson.backend.loopir import Buffer, For, Load, Program, Reg, Stmt, Store, Value, Vector, View, integer


def turn_last(whole: Sequence[Stmt], turned: Mapping[Buffer, int]) -> None:
    """Give arrays, of which every access in `whole` is of a single element, one of their axes last, in place."""
    for b, axis in turned.items():
        order = [*(a for a in range(len(b.extents)) if a != axis), axis]
        for s in whole:
            if isinstance(s, Load | Store) and s.view.buffer is b:
                s.view = View(b, tuple(s.view.prefix[a] for a in order))
        b.extents = tuple(b.extents[a] for a in order)


def only_elements(whole: Sequence[Stmt], buffer: Buffer) -> bool:
    """Is all that is done to an array to load and store single elements?"""
    if buffer.strides is not None:
        return False
    for s in whole:
        if isinstance(s, Load | Store) and s.view.buffer.pointer is buffer.pointer:
            value = s.out if isinstance(s, Load) else s.value
            neighbours = isinstance(value, Reg) and isinstance(value.type, Vector)
            if s.view.buffer is not buffer or len(s.view.prefix) != len(buffer.extents) or neighbours:
                return False
        elif isinstance(s, ir.Alloc | ir.Free):
            if s.buffer.pointer is buffer.pointer and s.buffer is not buffer:
                return False
        elif buffer.pointer in ir.used(s):
            return False
    return True


def drop_copies(program: Program, sources: Sequence[Buffer]) -> None:
    """Let arrays that are only copied as they are be the copies, in place."""
    env: dict[Reg, Value] = {}
    for source in sources:
        users = [s for s in ir.walk(program.body) if isinstance(s, Load) and s.view.buffer is source]
        nest = next((s for s in program.body if len(users) == 1 and users[0] in list(ir.walk([s]))), None)
        target = _copied(nest, users[0]) if isinstance(nest, For) else None
        if nest is None or target is None or not _only_copied(program, target, source):
            continue
        gone = [nest]
        gone += [s for s in program.body if isinstance(s, ir.Alloc) and s.buffer is target]
        gone += [s for s in program.body if isinstance(s, ir.Free) and s.buffer is source]
        program.body[:] = [s for s in program.body if s not in gone]
        env[target.pointer] = source.pointer
    if env:
        program.body[:] = ir.renamed(program.body, env)


def _copied(nest: For, load: Load) -> Buffer | None:
    """The array to which a nest copies all of another, and does no more."""
    indices: list[Value] = []
    body: list[Stmt] = [nest]
    while len(body) == 1 and isinstance(body[0], For):
        loop = body[0]
        if loop.carries or loop.low != integer(0) or loop.high != load.view.buffer.extents[len(indices)]:
            return None
        indices.append(loop.index)
        body = loop.body
        if len(indices) == len(load.view.buffer.extents):
            break
    match body:
        case [Load() as one, Store(view, value)] if one is load and value is one.out:
            same = list(view.prefix) == indices == list(one.view.prefix)
            return view.buffer if same and view.buffer.extents == one.view.buffer.extents else None
    return None


def _only_copied(program: Program, target: Buffer, source: Buffer) -> bool:
    """Are both of one kind, and is the copy made, and the original dropped, where all can see it?"""
    top = program.body
    made = [s for s in top if isinstance(s, ir.Alloc) and s.buffer is target]
    stores = [s for s in ir.walk(top) if isinstance(s, Store) and s.view.buffer.pointer is target.pointer]
    others = [s for s in ir.walk(top) if isinstance(s, ir.Free | ir.Own) and s.buffer.pointer is target.pointer]
    freed = [s for s in ir.walk(top) if isinstance(s, ir.Free) and s.buffer.pointer is source.pointer]
    alike = target.dtype is source.dtype and target.strides is None and source.strides is None
    here = len(made) == 1 and len(stores) == 1 and not others
    return alike and here and len(freed) == 1 and freed[0] in top
