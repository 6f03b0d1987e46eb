"""Static ownership: which consumed arrays are moved, which are copied, and where arrays die.

Every array has one owner.  Loop and While inits, Accumulate inits and block outs *consume* an array: it is moved if it
is owned here and dies here, else copied.

    owned       what a block's statements bind (but a row given by Read is a view: its uses are uses of its array), the
                carries inside a Loop or While body, both operands inside a Reduce's operator, donated parameters
    inherited   If branches and the Accumulate body run at most once, so they own what dies at their statement
    borrowed    everything else: other parameters, and whatever a For, Loop, While or operator body sees outside itself

Copies are made before moves, so of several mentions in one list of consumed atoms the last is the move, and a view may
be copied beside its array's move.  A body's use of an init is a later use.  The evaluator counts by this analysis, the
printer shows it and the back end obeys it; none decides anything itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from iverson.core.rewrite import atoms, blocks
from iverson.core.syntax import (
    Accumulate,
    Array,
    Atom,
    Block,
    For,
    Function,
    If,
    Let,
    Literal,
    Loop,
    Op,
    Operator,
    Read,
    Reduce,
    Scan,
    Var,
    While,
)

Owner: TypeAlias = Let | Block
Ordered: TypeAlias = dict[Var, None]  # a set whose order is the program's, so that results are the same on every run


class Copies:
    """The result of the analysis, by statement and block (objects, not their values)."""

    def __init__(self, function: Function) -> None:
        self._function = function  # keeps alive what is named by identity
        self._copied: dict[int, set[int]] = {}
        self._after: dict[int, tuple[Var, ...]] = {}
        self._entry: dict[int, tuple[Var, ...]] = {}
        self._exit: dict[int, tuple[Var, ...]] = {}

    def of(self, owner: Owner, k: int) -> bool:
        """Is the k-th atom that a statement (or a block's outs) consumes copied?  Scalars never are."""
        return k in self._copied.get(id(owner), ())

    def after(self, let: Let) -> tuple[Var, ...]:
        """The owned arrays that die at this statement without being moved: free them after it."""
        return self._after.get(id(let), ())

    def on_entry(self, block: Block) -> tuple[Var, ...]:
        """The arrays a block owns from the start and never uses."""
        return self._entry.get(id(block), ())

    def on_exit(self, block: Block) -> tuple[Var, ...]:
        """The owned arrays that are only copied from in the block's outs."""
        return self._exit.get(id(block), ())


def copies(function: Function) -> Copies:
    """The ownership of a whole program."""
    result = Copies(function)
    _Analysis(result).block(function.body, [p for p in function.params if p in function.donated])
    return result


def consumed(op: Op) -> tuple[Atom, ...]:
    """What a statement itself consumes, in order: the inits of Loop, While and Accumulate."""
    match op:
        case Loop() | While():
            return op.inits
        case Accumulate():
            return tuple(a for columns in op.inits for a in columns)
        case _:
            return ()


def is_array(atom: Atom) -> bool:
    return isinstance(atom.type, Array)


class _Analysis:
    def __init__(self, result: Copies) -> None:
        self.result = result
        self.base: dict[Var, Var] = {}  # view -> the array it shows
        self.inside: dict[int, Ordered] = {}  # block -> the arrays it mentions

    def root(self, v: Var) -> Var:
        return self.base.get(v, v)

    def roots(self, mentioned: Iterable[Atom]) -> Ordered:
        return {self.root(a): None for a in mentioned if isinstance(a, Var) and is_array(a)}

    def mentions(self, block: Block) -> Ordered:
        """The arrays (views resolved) that a block uses at any depth, its own among them."""
        if id(block) not in self.inside:
            found: Ordered = {}
            for let in block:
                found |= self.uses(let)
            self.inside[id(block)] = found | self.roots(block.outs)
        return self.inside[id(block)]

    def uses(self, let: Let) -> Ordered:
        """The arrays a statement uses, itself or in its blocks."""
        self.view(let)
        used = self.roots(atoms(let.op))
        for _, inner in blocks(let.op):
            used |= self.mentions(inner)
        return used

    def view(self, let: Let) -> None:
        if isinstance(let.op, Read) and is_array(let.vars[0]):
            self.base[let.vars[0]] = self.root(let.op.array)

    def block(self, block: Block, entry: Iterable[Var]) -> None:
        """Analyse a block that owns the arrays `entry` to begin with."""
        held = [v for v in entry if is_array(v)]
        owned = set(held)
        uses = [self.uses(let) for let in block]
        outs = self.roots(block.outs)
        last = {v: k for k, used in enumerate([*uses, outs]) for v in used}
        self.result._entry[id(block)] = tuple(v for v in held if v not in last)
        owned &= last.keys()
        for k, let in enumerate(block):
            dying = [v for v in uses[k] if v in owned and last[v] == k]
            left = self.statement(let, dying)
            owned.difference_update(dying)
            fresh = () if isinstance(let.op, Read) else tuple(v for v in let.vars if is_array(v))
            owned.update(fresh)
            self.result._after[id(let)] = (*left, *(v for v in fresh if v not in last))
        moved = self.consume(block, block.outs, owned)
        kept = tuple(v for v in outs if v in owned and v not in moved)
        self.result._exit[id(block)] = kept

    def consume(self, owner: Owner, taken: Sequence[Atom], movable: Iterable[Var]) -> set[Var]:
        """Mark the copies among the consumed atoms; give the arrays that are moved."""
        allowed = set(movable)
        marks = self.result._copied.setdefault(id(owner), set())
        moved: set[Var] = set()
        for k in reversed(range(len(taken))):
            atom = taken[k]
            if isinstance(atom, Literal) or not is_array(atom):
                continue
            if atom in allowed and atom not in moved:
                moved.add(atom)
            else:
                marks.add(k)
        return moved

    def statement(self, let: Let, dying: Sequence[Var]) -> list[Var]:
        """Analyse one statement at which owned arrays die; give those that are left for it to free."""
        op = let.op
        within = [self.mentions(inner) for _, inner in blocks(op)]
        moved = self.consume(let, consumed(op), [v for v in dying if not any(v in w for w in within)])
        left = [v for v in dying if v not in moved]
        self.operators(op)
        match op:
            case If():
                self.block(op.then, left)
                self.block(op.orelse, left)
                return []
            case Accumulate():
                self.block(op.body, left)
                return []
            case For():
                self.block(op.body, ())
            case Loop():
                self.block(op.body, op.carry)
            case While():
                self.block(op.cond, ())
                self.block(op.body, op.carry)
            case _:
                pass
        return left

    def operators(self, op: Op) -> None:
        """A Reduce's operator owns both operands; a Scan's left operand is also an element of the result."""
        if isinstance(op, For):
            for y in op.yields:
                if isinstance(y, Reduce | Scan) and isinstance(y.monoid, Operator):
                    m = y.monoid
                    self.block(m.body, (*m.left, *m.right) if isinstance(y, Reduce) else m.right)
                    if m.inverse is not None:
                        self.block(m.inverse, ())
        elif isinstance(op, Accumulate):
            for inner in blocks(op)[:-1]:
                self.block(inner[1], ())
