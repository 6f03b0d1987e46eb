"""Sinking: an element that is chosen by a condition is computed under the condition.

    t = log x;  if p { t } else { 0 }      ->   if p { log x } else { 0 }
    y = for i { log x[i] };  ... y[j] ...  ->   ... log x[j] ...

NumPy programs compute both sides of `np.where` first.  Their derivatives would multiply the zero that the side not
taken receives with the slope there, which may be infinite: so what a side needs is stated again inside it.  The first
statement is dead unless it has other uses.  Only chains with such a slope are worth it, and only scalar statements that
can't raise are moved; they may read arrays elementwise, unless these have been written since.
"""

from __future__ import annotations

from iverson.core.build import dtype_of
from iverson.core.prims import SINGULAR
from iverson.core.rewrite import rename
from iverson.core.syntax import Atom, For, Let, Map, Prim, Read, Var
from iverson.lang.staging import Recorder, Staging

_LONGEST = 64  # statements

_RAISING = ("floordiv", "mod", "pow")  # of integers


class _Chain:
    """The statements that make an atom, in order."""

    def __init__(self, state: Staging) -> None:
        self.state = state
        self.lets: dict[Var, Let] = {}
        self.singular = False

    def collect(self, atom: Atom) -> None:
        """Add what `atom` needs, as far as it can be stated again."""
        made = self.state.builder.made
        if not isinstance(atom, Var) or atom in self.lets or atom not in made or len(self.lets) > _LONGEST:
            return
        let = made[atom]
        match let.op:
            case Prim(name, args):
                if name in _RAISING and not dtype_of(args[0]).is_float:
                    return
                self.singular |= name in SINGULAR
                for a in args:
                    self.collect(a)
            case Read(array, index, safe):
                producer = self.producer(array)
                if not safe or (array in self.state.stale and producer is None):
                    return
                for a in index:
                    self.collect(a)
                if producer is not None:
                    self.collect_element(let, producer)
                    return
            case _:
                return
        self.lets[atom] = let

    def producer(self, array: Var) -> For | None:
        """The For that makes an array elementwise, of scalar statements alone."""
        let = self.state.builder.made.get(array)
        if let is None or not isinstance(let.op, For) or let.op.yields != (Map(),):
            return None
        return let.op if all(self.repeatable(inner) for inner in let.op.body) else None

    def repeatable(self, let: Let) -> bool:
        match let.op:
            case Prim(name, args):
                return name not in _RAISING or dtype_of(args[0]).is_float
            case Read(array, _, safe):
                return safe and array not in self.state.stale
        return False

    def collect_element(self, read: Let, producer: For) -> None:
        """The body of a producer at the index of a read."""
        assert isinstance(read.op, Read)
        if len(read.op.index) != len(producer.index):
            self.lets[read.vars[0]] = read
            return
        body = rename(producer.body, dict(zip(producer.index, read.op.index, strict=True)))
        for let in body:
            self.state.builder.made[let.vars[0]] = let
        self.collect(body.outs[0])
        self.lets[read.vars[0]] = Let(read.vars, Prim("same", (body.outs[0],)), read.site)


def sunk(state: Staging, atom: Atom) -> Atom:
    """The atom, computed again in the innermost scope if a derivative could be singular on the way to it."""
    chain = _Chain(state)
    chain.collect(atom)
    if not chain.singular or len(chain.lets) > _LONGEST:
        return atom
    return _emit(state.builder, chain, atom)


def _emit(builder: Recorder, chain: _Chain, atom: Atom) -> Atom:
    env: dict[Atom, Atom] = {}
    for var, let in chain.lets.items():
        match let.op:
            case Prim("same", (x,)):
                env[var] = env.get(x, x)
            case Prim(name, args):
                env[var] = builder.emit(Prim(name, tuple(env.get(a, a) for a in args)))[0]
            case Read(array, index, safe):
                env[var] = builder.emit(Read(array, tuple(env.get(a, a) for a in index), safe))[0]
    return env.get(atom, atom)
