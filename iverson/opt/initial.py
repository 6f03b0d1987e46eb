"""initial: an array that a loop updates, but never reads where it did, is read as it was before the loop.

    Loop (i < n) [a = a0] { .. a'[e] .. }    ->    Loop (i < n) [a = a0] { .. a0[e] .. }

where a' is a or what the turn makes of it, and nothing that ran since the loop began has written place e: no earlier
turn, and nothing in this turn.  That is done where the loop needn't own a0 any more:

    a's final value isn't used      then the loop has one carry less (as in return sweeps of such loops)
    every place is updated once     then the loop is a For that makes a new array, in which an update by m is a0[e] m v
    nothing is read of a0           then the loop is a For that updates it

What a turn itself has updated is read from there, if that can be told (opt/written.py).

Invariant: the first lowers the count.  The second raises it by at most two for each element, and a copy of a0 that the
loop needed goes.  Reads of what the turn has updated raise it as opt/written.py says.  Turns don't depend on each other
afterwards, and a return sweep restores nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from iverson.core.bounds import Sizes
from iverson.core.build import Builder, results
from iverson.core.dce import dce
from iverson.core.rewrite import (
    atoms,
    blocks,
    fresh_all,
    lookup,
    map_blocks,
    map_op,
    mentioned,
    with_body,
    with_lets,
    with_op,
)
from iverson.core.syntax import (
    Accumulate,
    Accumulator,
    Array,
    Atom,
    Block,
    Contribute,
    For,
    Function,
    If,
    Let,
    Loop,
    Op,
    Prim,
    Read,
    Var,
)
from iverson.opt import parallel
from iverson.opt.effects import extents
from iverson.opt.gather import Gather
from iverson.opt.substitute import Substitution
from iverson.opt.written import Layer, Update, element, layer, update, yielding

COMMUTING = ("add", "mul", "min", "max")
EFFORT = 16  # for a proof


def run(f: Function, updating: bool = True) -> Function:
    """Outermost loops first."""
    body = _Initial(f, updating).block(f.body)
    return f if body is f.body else dce(with_body(f, body))


def primal(f: Function) -> Function:
    """Before a derivative is taken: a For that updates a place more than once would be made a Loop again."""
    return run(f, updating=False)


class _Initial:
    def __init__(self, f: Function, updating: bool) -> None:
        self.updating = updating
        self.sizes = Sizes(f)
        self.used = mentioned(f)
        self.gather = Gather(f)

    def block(self, block: Block) -> Block:
        lets: list[Let] = []
        for let in block:
            for new in self.loop(let, let.op) if isinstance(let.op, Loop) else (let,):
                lets.append(map_blocks(new, self.within(new.op)))
                self.sizes.bind(lets[-1])
        return with_lets(block, lets)

    def within(self, op: Op) -> Callable[[Block], Block]:
        def walk(inner: Block) -> Block:
            with self.sizes.inside(op, inner):
                return self.block(inner)

        return walk

    def loop(self, let: Let, op: Loop) -> Sequence[Let]:
        """The loop, reading initial values where it may."""
        found = [t for k in range(len(op.carry)) if (t := self.trace(let, op, k)) is not None]
        covered, updated = [], []
        for t in found:
            if t.final not in self.used:
                let = with_op(let, t.reading(let.op))
            elif not t.layers and t.covers(op):
                covered.append(t)
            elif t.layers and not t.below and self.updating:
                updated.append(t)
        whole = let
        for t in covered:
            whole = with_op(whole, t.setting(t.reading(whole.op)))
        for t in updated:
            whole = with_op(whole, t.reading(whole.op))
        if not covered and not updated:
            return (let,)
        (instead,) = parallel.accumulated(Block((whole,), ())).lets
        return (let,) if isinstance(instead.op, Loop) else self.gather.gathered(instead)

    def trace(self, let: Let, op: Loop, k: int) -> Trace | None:
        """The history of a carry, if all that is read of it is as it was before the loop."""
        init, carry = op.inits[k], op.carry[k]
        if not isinstance(carry.type, Array) or not isinstance(init, Var):
            return None
        t = Trace(self.sizes, init, let.vars[k], {carry: (Turns(op),)})
        with self.sizes.inside(op, op.body):
            return t if t.follows(op, k) and t.accs and t.holds(op.body) else None


@dataclass(frozen=True, eq=False)  # the same only as itself: the hash of a statement is that of all it contains
class Turns:
    """The turns of a loop before the one at hand."""

    loop: Loop


@dataclass(frozen=True, eq=False)
class _Done:
    """A statement that has run."""

    let: Let


Past: TypeAlias = tuple[Turns | _Done, ...]


class _Refused(Exception):
    """The array is used in another way."""


@dataclass
class Trace:
    """What becomes of an array in a loop."""

    sizes: Sizes
    init: Var
    final: Var
    past: dict[Var, Past]  # each version of the array, and what may have written into it
    accs: set[Var] = field(default_factory=set)  # of its updates
    made: dict[Var, Prim] = field(default_factory=dict)  # what primitives of the loop bind
    updates: dict[tuple[Var, ...], Update | None] = field(default_factory=dict)  # by what their statements bind
    layers: dict[Var, list[Layer]] = field(default_factory=dict)  # of the turn's own updates, those that a read sees
    below: bool = False  # is the initial value read?

    # --- its versions -------------------------------------------------------------------------------------------------

    def follows(self, op: Loop, k: int) -> bool:
        """Find all versions; False if the array is used in another way."""
        try:
            self.enter(op.body, {k})
        except _Refused:
            return False
        return op.body.outs[k] in self.past

    def enter(self, block: Block, at: set[int]) -> None:
        """A block that gives versions for its outs at these positions and no others."""
        for let in block:
            self.statement(let, let.op)
        if any(out in self.past for k, out in enumerate(block.outs) if k not in at):
            raise _Refused

    def statement(self, let: Let, op: Op) -> None:
        taken = [a for a in atoms(op) if a in self.past]
        match op:
            case Read(array) if taken == [array]:
                return
            case Accumulate(accs, inits, body):
                self.accumulate(let, accs, inits)
                self.enter(body, set())
            case Loop(_, _, carry, inits, body) if len(taken) <= 1:
                at = {k for k, a in enumerate(inits) if a in self.past}
                turns, done = Turns(op), _Done(let)
                for k in at:
                    before = self.past[inits[k]]  # type: ignore[index]
                    self.past[carry[k]] = (*before, turns)
                    self.past[let.vars[k]] = (*before, done)
                self.enter(body, at)
                if any(body.outs[k] not in self.past for k in at):
                    raise _Refused
            case If(_, then, orelse) if not taken:
                before, done = tuple(dict.fromkeys(p for past in self.past.values() for p in past)), _Done(let)
                for inner in (then, orelse):
                    self.enter(inner, set(range(len(inner.outs))))
                for v, one, two in zip(let.vars, then.outs, orelse.outs, strict=True):
                    if (one in self.past) != (two in self.past):
                        raise _Refused
                    if one in self.past:
                        self.past[v] = (*before, done)
            case _ if taken:
                raise _Refused
            case _:
                for _, inner in blocks(op):
                    self.enter(inner, set())

    def accumulate(self, let: Let, accs: Sequence[Var], inits: Sequence[Sequence[Atom]]) -> None:
        at, done = 0, _Done(let)
        for acc, init in zip(accs, inits, strict=True):
            assert isinstance(acc.type, Accumulator)
            if any(a in self.past for a in init):
                if len(init) != 1 or not isinstance(acc.type.monoid, str):
                    raise _Refused
                self.accs.add(acc)
                self.updates[let.vars] = update(let, acc)
                self.past[let.vars[at]] = (*self.past[init[0]], done)  # type: ignore[index]
            at += len(acc.type.dtypes) + (acc.type.monoid == "append")

    # --- its reads ----------------------------------------------------------------------------------------------------

    def holds(self, block: Block) -> bool:
        """Is every read of a version one of the initial value?"""
        for let in block:
            op = let.op
            if isinstance(op, Read) and op.array in self.past and not self.sees(let.vars[0], op):
                return False
            if isinstance(op, Prim):
                self.made[let.vars[0]] = op
            for _, inner in blocks(op):
                with self.sizes.inside(op, inner):
                    if not self.holds(inner):
                        return False
            self.sizes.bind(let)
        return True

    def sees(self, v: Var, read: Read) -> bool:
        """Is it known what a read sees: the initial value, or what the turn's own updates have made of it?"""
        layers: list[Layer] = []
        for past in reversed(self.past[read.array]):
            if self.spares(past, read.index):
                continue
            own = self.updates.get(past.let.vars) if isinstance(past, _Done) else None
            if own is None or len(read.index) != len(own.index):
                return False
            layers.append(layer(own, read, self.sizes, self.made))
            if not layers[-1].tests and not own.adds:
                break
        else:
            self.below = True
        if layers:
            self.layers[v] = layers
        return True

    def spares(self, past: Turns | _Done, place: Sequence[Atom]) -> bool:
        """Has something that ran surely not written to a place?"""
        if isinstance(past, _Done):
            block, env, turns = Block((past.let,), ()), dict[Var, Atom](), None
        else:
            block, env = past.loop.body, dict[Var, Atom]()
            (j, *_) = fresh_all((past.loop.index, *past.loop.carry), env)
            turns = For((j,), (past.loop.index,), block, ())
        with self.sizes.inside(turns or Accumulate((), (), block), block):
            return self.apart(block, env, place)

    def apart(self, block: Block, env: dict[Var, Atom], place: Sequence[Atom]) -> bool:
        """Does a block, as it ran with other names, write to other places only?"""
        for let in block:
            op = let.op
            mine = isinstance(op, Contribute) and op.acc in self.accs
            written = [lookup(w, env) for w in op.index] if mine else []  # type: ignore[union-attr]
            if mine and not any(self.differ(e, w) for e, w in zip(place, written, strict=False)):
                return False
            for binders, inner in blocks(op):
                fresh_all(binders, env)
                here = self.renamed(op, env, inner)
                with self.sizes.inside(here, inner):
                    if not self.apart(inner, env, place):
                        return False
            new = fresh_all(let.vars, env)
            if isinstance(op, Prim):
                self.sizes.bind(Let(new, map_op(op, lambda a: lookup(a, env), lambda b: b)))
        return True

    def renamed(self, op: Op, env: dict[Var, Atom], block: Block) -> Op:
        """What bounds the indices in a block of an op."""
        match op:
            case For(index, extent, body) if block is body:
                names = tuple(env[i] for i in index)
                return For(names, tuple(lookup(n, env) for n in extent), block, ())  # type: ignore[arg-type]
            case Loop(index, extent):
                return For((env[index],), (lookup(extent, env),), block, ())  # type: ignore[arg-type]
            case If(pred, then):
                empty = Block((), ())
                return If(lookup(pred, env), block if block is then else empty, empty)
            case _:
                return Accumulate((), (), block)

    def differ(self, e: Atom, w: Atom) -> bool:
        apart = self.sizes.of(e) - self.sizes.of(w)
        return self.sizes.nonnegative(apart - 1, EFFORT) or self.sizes.nonnegative(-apart - 1, EFFORT)

    # --- what is made of it -------------------------------------------------------------------------------------------

    def reading(self, op: Op) -> Op:
        """The op, with reads of the initial array, and of what the turn has made of it."""
        yielded = {x.update.acc: x.update for layers in self.layers.values() for x in layers if x.update.made}
        env: dict[Var, Atom] = {}

        def block(inner: Block) -> Block:
            return with_lets(inner, [s for let in inner for s in statement(let)])

        def statement(let: Let) -> Sequence[Let]:
            if isinstance(let.op, Read) and let.op.array in self.past:
                if let.vars[0] not in self.layers:
                    return (with_op(let, replace(let.op, array=self.init)),)
                b = Builder()
                b.site = let.site
                with b.scope() as lets:
                    env[let.vars[0]] = element(b, let.op, self.layers[let.vars[0]], self.init)
                return lets
            new = map_blocks(let, block)
            made = [yielded[a] for a in new.op.accs if a in yielded] if isinstance(new.op, Accumulate) else []
            return (yielding(new, made[0]) if made else new,)

        op = map_op(op, lambda a: a, block)
        sub = Substitution(env)
        return map_op(op, sub.atom, sub.block) if env else op

    def covers(self, op: Loop) -> bool:
        """Is every place updated, and once?"""
        (acc, *others) = self.accs
        t = acc.type
        assert isinstance(t, Accumulator)
        if others or not (t.monoid == "set" or t.monoid in COMMUTING):
            return False
        return t.extents == extents(self.init.type) and _spans(op, acc, (), ()) == (True, 1)

    def setting(self, op: Op) -> Op:
        """The op, with the update of each place setting it."""
        (acc,) = self.accs
        t = acc.type
        assert isinstance(t, Accumulator)
        if t.monoid == "set":
            return op
        new = Var(replace(t, monoid="set"), acc.hint)

        def block(inner: Block) -> Block:
            return with_lets(inner, [s for let in inner for s in statement(let)])

        def statement(let: Let) -> Sequence[Let]:
            c = let.op
            if not isinstance(c, Contribute) or c.acc is not acc:
                return (within(let),)
            read = Read(self.init, c.index, safe=True)
            (old,) = results(read)
            both = Prim(str(t.monoid), (old, *c.values))
            (value,) = results(both)
            ops = ((old,), read), ((value,), both), ((), replace(c, acc=new, values=(value,)))
            return tuple(Let(vs, op, let.site) for vs, op in ops)

        def within(let: Let) -> Let:
            if isinstance(let.op, Accumulate) and acc in let.op.accs:
                accs = tuple(new if a is acc else a for a in let.op.accs)
                return with_op(let, replace(let.op, accs=accs, body=block(let.op.body)))
            return map_blocks(let, block)

        return map_op(op, lambda a: a, block)


def _spans(op: Op, acc: Var, index: tuple[Atom, ...], span: tuple[Atom, ...]) -> tuple[bool, int]:
    """Does what an op contributes go to the very indices around it, each over its extent; and how often is it?"""
    if isinstance(op, Contribute) and op.acc is acc:
        t = acc.type
        assert isinstance(t, Accumulator)
        return op.index == index and t.extents == span, 1
    if isinstance(op, For):
        index, span = (*index, *op.index), (*span, *op.extent)
    elif isinstance(op, Loop):
        index, span = (*index, op.index), (*span, op.extent)
    elif not isinstance(op, Accumulate):
        index = (acc,)  # no place: it may not run
    inner = [_spans(let.op, acc, index, span) for _, block in blocks(op) for let in block]
    return all(whole for whole, _ in inner), sum(count for _, count in inner)
