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

from iverson.core.bounds import Sizes
from iverson.core.build import Builder, results
from iverson.core.dce import dce
from iverson.core.rewrite import (
    blocks,
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
from iverson.opt.history import Done, History, Turns
from iverson.opt.substitute import Substitution
from iverson.opt.written import Layer, element, layer, yielding

COMMUTING = ("add", "mul", "min", "max")


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

    def trace(self, let: Let, op: Loop, k: int) -> _Trace | None:
        """The history of a carry, if all that is read of it is as it was before the loop."""
        init, carry = op.inits[k], op.carry[k]
        if not isinstance(carry.type, Array) or not isinstance(init, Var):
            return None
        t = _Trace(self.sizes, {carry: (Turns(op),)}, init=init, final=let.vars[k])
        with self.sizes.inside(op, op.body):
            return t if t.follows(op, k) and t.accs and t.holds(op.body) else None


@dataclass(kw_only=True)
class _Trace(History):
    """What becomes of an array in a loop, and what is read of it."""

    init: Var
    final: Var
    made: dict[Var, Prim] = field(default_factory=dict)  # what primitives of the loop bind
    layers: dict[Var, list[Layer]] = field(default_factory=dict)  # of the turn's own updates, those that a read sees
    below: bool = False  # is the initial value read?

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
            own = self.updates.get(past.let.vars) if isinstance(past, Done) else None
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
