"""once: an element that a block updates several times is updated once, after the last.

    x1 = x with [e] := v; .. x1[e] .. x1[f] ..; x2 = if p { x1 with [e] op= u } else { x1 }; ..
        ->   s1 = v;      .. s1   .. x[f] ..;   s2 = if p { s1 op u } else { s1 }; ..;  x2 = x with [e] := s2

where f is proven to be another index than e, and the versions of x between are used for nothing else.

In reverse mode each update that goes takes a log with it.  Invariant: reads, updates and what combines them don't
become more; an index that may be out of bounds is met where it was.
"""

from __future__ import annotations

from dataclasses import dataclass

from iverson.core.bounds import Sizes
from iverson.core.build import dtype_of, extents_of
from iverson.core.rewrite import free, lookup, map_op, single_update, statements, with_body, with_lets, with_op
from iverson.core.syntax import (
    Accumulate,
    Accumulator,
    Array,
    Atom,
    Block,
    Contribute,
    Function,
    If,
    Let,
    Op,
    Prim,
    Read,
    Var,
)
from iverson.opt.promote import Cell, Index, Refused, updated

_COUNTED = Prim | Read | Contribute


def run(f: Function) -> Function:
    """Outer blocks first: what a branch does to an element goes with what its block does."""
    return with_body(f, _Once(Sizes(f)).block(f.body))


@dataclass
class _Run:
    """Updates of one element in a row: the first, the last, and whether they are several."""

    first: Let
    array: Var
    index: Index
    last: Let
    several: bool = False


class _Once:
    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes

    def block(self, block: Block) -> Block:
        for run in _runs(block):
            block = self.merged(block, run)
        lets = []
        for let in block:
            lets.append(with_op(let, self.inside(let.op)))
            self.sizes.bind(let)
        return with_lets(block, lets)

    def inside(self, op: Op) -> Op:
        def scoped(block: Block) -> Block:
            with self.sizes.inside(op, block):
                return self.block(block)

        return map_op(op, lambda a: a, scoped)

    def merged(self, block: Block, run: _Run) -> Block:
        """A block with one update in the place of a run of them, if that may be."""
        at = [k for k, let in enumerate(block) if let.vars in (run.first.vars, run.last.vars)]
        if len(at) != 2:
            return block  # another run took one of them
        before, lets = block.lets[: at[0]], block.lets[at[0] : at[1] + 1]
        rest = Block(block.lets[at[1] + 1 :], block.outs)
        cell = Cell(self.sizes, run.array, run.index, run.array)
        with self.sizes.inside(run.first.op, block):
            for let in before:
                self.sizes.bind(let)
            try:
                new = cell.block(Block(lets, ()))
            except Refused:
                return block
        ends = [v for v in cell.scalars if v in run.last.vars]
        if len(ends) != 1 or any(v in cell.scalars and v is not ends[0] for v in free(rest)):
            return block
        made = (*self.start(run, cell, new), *new, self.end(run, ends[0], cell.scalars[ends[0]]))
        if _count(made) > _count(lets):
            return block
        rest = _substituted(rest, cell.env)
        return Block((*before, *made, *rest.lets), rest.outs)

    def start(self, run: _Run, cell: Cell, new: Block) -> list[Let]:
        """The read of what the element is at first, if that is used."""
        if cell.start not in free(new) and cell.start not in cell.scalars.values():
            return []
        c = single_update(run.first.op)
        assert c is not None
        return [Let((cell.start,), Read(run.array, run.index, c.safe), run.first.site)]

    def end(self, run: _Run, result: Var, value: Atom) -> Let:
        acc = Var(Accumulator("set", (dtype_of(run.array),), extents_of(run.array)), "acc")
        one = Contribute(acc, run.index, (value,), safe=True)  # it has been read or written before
        return Let((result,), Accumulate((acc,), ((run.array,),), Block((Let((), one),), ())), run.first.site)


def _runs(block: Block) -> list[_Run]:
    """The runs of several updates of one element, each beginning with one that has no condition."""
    runs: dict[Var, _Run] = {}  # by the version of the array that they left
    found: list[_Run] = []
    for let in block:
        c = single_update(let.op)
        if c is not None and isinstance(let.op, Accumulate):
            array = let.op.inits[0][0]
            run = runs.pop(array, None) if isinstance(array, Var) else None
            if run is not None and run.index == c.index:
                run.last, run.several = let, True
            elif isinstance(array, Var) and _starts(array, c):
                run = _Run(let, array, c.index, let)
                found.append(run)
            else:
                continue
            runs[let.vars[0]] = run
        elif isinstance(let.op, If) and runs:
            for version in [v for v in {**free(let.op.then), **free(let.op.orelse)} if v in runs]:
                _through(let, version, runs)
    return [run for run in found if run.several]


def _starts(array: Var, c: Contribute) -> bool:
    """Is this an update of a number, which meets an index out of bounds here, or there is none?"""
    monoid = c.acc.type.monoid if isinstance(c.acc.type, Accumulator) else None
    plain = isinstance(array.type, Array) and array.type.dtype.is_float
    return plain and (monoid in ("add", "mul", "min", "max") or (monoid == "set" and c.safe))


def _through(let: Let, version: Var, runs: dict[Var, _Run]) -> None:
    """Go on with a run where a branch hands on the array, and updates no other element."""
    run, versions = runs[version], {version}
    indices = list(updated(Block((let,), ()), versions))
    left = [v for v in let.vars if v in versions]
    if len(left) == 1 and all(index == run.index for index in indices):
        runs[left[0]] = runs.pop(version)
        if indices:
            run.last, run.several = let, True


def _count(lets: tuple[Let, ...]) -> int:
    return sum(isinstance(let.op, _COUNTED) for let in statements(Block(lets, ())))


def _substituted(block: Block, env: dict[Var, Atom]) -> Block:
    """What was read from the element is the scalar."""
    if not env:
        return block

    def inner(b: Block) -> Block:
        lets = tuple(with_op(let, map_op(let.op, lambda a: lookup(a, env), inner)) for let in b)
        return Block(lets, tuple(lookup(a, env) for a in b.outs))

    return inner(block)
