"""Which arrays a statement takes over, and which of its results may live in their buffers.

    x' = Accumulate [acc = x] ...        takes x, for x'
    x' = Loop / While [c = x] ...        takes x, for the result of every carry that c may come to by the turns
    x' = If p {... a} {... b}            takes what its sides take or hand on, for what may come of it
    x' an out of an Accumulate's block   the same, with one side

But a loop of whose states some are kept (Loop.tape) works on copies: it takes nothing.

A statement takes an array that is owned where it stands and not used again (see core/ownership.py).  By which way a
buffer goes may depend on run-time values: two arrays that are swapped under a condition, or by a Loop of some number of
turns, may each live in either's.  Nothing here asks which: the return sweep of a statement has the values of its
results, and gives those of the arrays that it took.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from iverson.core.flow import finals_of
from iverson.core.rewrite import blocks, free, uses
from iverson.core.syntax import (
    Accumulate,
    Accumulator,
    Array,
    Atom,
    Block,
    Checkpoint,
    For,
    If,
    Let,
    Literal,
    Loop,
    Map,
    Read,
    Var,
    While,
)

Names: TypeAlias = frozenset[Var]
NONE: Names = frozenset()


class Derivation:
    """What is taken, and for what, by every statement of a block, nested ones included."""

    def __init__(self, body: Block, owned: Iterable[Var] = ()) -> None:
        self._more = [body]  # keeps alive what is named by identity
        self._taken: dict[int, dict[Var, None]] = {}
        self._sources: dict[Var, Names] = {}
        self._passed: dict[int, dict[int, Names]] = {}
        self._view: dict[Var, Var] = {}
        self._fill: dict[Atom, Literal] = {}
        self._passing: set[Atom] = set()
        self._block(body, owned)

    def include(self, body: Block, owned: Iterable[Var]) -> None:
        """Look through one more block."""
        self._more.append(body)
        self._block(body, owned)

    def taken(self, let: Let) -> dict[Var, None]:
        """The arrays whose buffers a statement takes over."""
        return self._taken[id(let)]

    def sources(self, v: Var) -> Names:
        """The arrays, of those that v's statement takes, in whose buffers v may live."""
        return self._sources.get(v, NONE)

    def fill(self, a: Atom) -> Literal | None:
        """The constant that an array was made of."""
        return self._fill.get(a)

    def passes(self, a: Atom) -> bool:
        """Is an array made by a For, and used by one statement of its block alone?"""
        return a in self._passing

    def survivors(self, op: Loop | While) -> dict[int, frozenset[int]]:
        """For each array carry k: the carries whose buffers may be k's in the next turn, of those that can go on so
        for any number of turns."""
        place = {c: j for j, c in enumerate(op.carry)}
        passed = self._passed[id(op.body)]
        found = {k: frozenset(place[c] for c in cs) for k, cs in passed.items() if k < len(op.carry)}
        while True:
            reached = frozenset(j for js in found.values() for j in js)
            closed = {k: js & found.keys() for k, js in found.items() if k in reached and js & found.keys()}
            if closed == found:
                return found
            found = closed

    def _roots(self, vs: Iterable[Var]) -> dict[Var, None]:
        return {self._view.get(v, v): None for v in vs}

    def _uses(self, let: Let) -> dict[Var, None]:
        if isinstance(let.op, Read) and isinstance(let.vars[0].type, Array):
            self._view[let.vars[0]] = self._view.get(let.op.array, let.op.array)
        return {v: None for v in self._roots(uses(let)) if isinstance(v.type, Array)}

    def _block(self, block: Block, entry: Iterable[Var]) -> dict[Var, None]:
        """Look through a block that may take the arrays `entry`; give those it takes or hands on, in their order."""
        uses = [self._uses(let) for let in block]
        for let in block:
            if isinstance(let.op, For) and not let.op.body.lets and all(isinstance(y, Map) for y in let.op.yields):
                made = zip(let.vars, let.op.body.outs, strict=True)
                self._fill.update((v, x) for v, x in made if isinstance(x, Literal))
        outs = self._roots(a for a in block.outs if isinstance(a, Var))
        last = {v: k for k, used in enumerate([*uses, outs]) for v in used}
        first = {v: k for k, used in reversed([*enumerate([*uses, outs])]) for v in used}
        fresh = (v for let in block if isinstance(let.op, For) for v in let.vars)
        self._passing.update(v for v in fresh if v not in outs and first.get(v) == last.get(v))
        origin = {x: frozenset((x,)) for x in entry}
        entered, owned, gone = tuple(origin), set(origin), set[Var]()
        for k, let in enumerate(block):
            dying = {v: None for v in uses[k] if last[v] == k and v in owned}
            taken = self._taken[id(let)] = self._let(let, dying)
            for v in let.vars:
                if sources := self.sources(v):
                    origin[v] = NONE.union(*(origin.get(x, NONE) for x in sources))
            gone.update(x for v in taken for x in origin.get(v, NONE))
            owned -= dying.keys()
            if not isinstance(let.op, Read):
                owned.update(v for v in let.vars if isinstance(v.type, Array))
        passed = {k: origin.get(v, NONE) for k, v in moved(dict(enumerate(block.outs)), owned).items()}
        self._passed[id(block)] = {k: xs for k, xs in sorted(passed.items()) if xs}
        gone.update(x for xs in passed.values() for x in xs)
        return {x: None for x in entered if x in gone}

    def _let(self, let: Let, dying: dict[Var, None]) -> dict[Var, None]:
        match let.op:
            case Accumulate():
                return self._accumulate(let, let.op, dying)
            case If(_, then, orelse):
                taken = self._block(then, dying) | self._block(orelse, dying)
                self._hand_on(let.vars, then, orelse)
                return taken
            case Loop() | While():
                return self._loop(let, let.op, dying)
            case _:
                for _, inner in blocks(let.op):
                    self._block(inner, ())
                return {}

    def _hand_on(self, results: tuple[Var, ...], *sides: Block) -> None:
        """Results live in what any side hands on in their places."""
        for k, v in enumerate(results):
            self._sources[v] = NONE.union(*(self._passed[id(side)].get(k, NONE) for side in sides))

    def _accumulate(self, let: Let, op: Accumulate, dying: dict[Var, None]) -> dict[Var, None]:
        inside = self._roots(free(op.body, op.accs))
        taken: dict[Var, None] = {}
        groups = finals_of(let)
        for acc, vs, columns in reversed(list(zip(op.accs, groups, op.inits, strict=True))):
            assert isinstance(acc.type, Accumulator)
            if acc.type.monoid != "append":
                for v, x in reversed(list(zip(vs, columns, strict=True))):
                    if isinstance(x, Var) and x in dying and x not in inside and x not in taken:
                        taken[x] = None
                        self._sources[v] = frozenset((x,))
        for _, operator in blocks(op)[:-1]:
            self._block(operator, ())
        taken |= self._block(op.body, [x for x in dying if x not in taken])
        self._hand_on(let.vars[sum(map(len, groups)) :], op.body)
        return taken

    def _loop(self, let: Let, op: Loop | While, dying: dict[Var, None]) -> dict[Var, None]:
        inside: set[Var] = set()
        for binders, inner in blocks(op):
            inside |= self._roots(free(inner, binders)).keys()
            self._block(inner, [c for c in op.carry if isinstance(c.type, Array)] if inner is op.body else ())
        if isinstance(op.tape, Checkpoint):
            return {}
        place = {c: j for j, c in enumerate(op.carry)}
        taken: dict[Var, None] = {}
        held: dict[int, Names] = {}
        for k in reversed(range(len(op.carry))):
            x = op.inits[k]
            if isinstance(x, Var) and x in dying and x not in inside and x not in taken:
                taken[x] = None
                held[k] = frozenset((x,))
        step = {k: [place[c] for c in cs] for k, cs in self._passed[id(op.body)].items() if k < len(op.carry)}
        changed = True
        while changed:  # the arrays that each carry may hold after any number of turns
            changed = False
            for k, js in step.items():
                more = held.get(k, NONE).union(*(held.get(j, NONE) for j in js))
                if more != held.get(k, NONE):
                    held[k], changed = more, True
        self._sources.update((let.vars[k], xs) for k, xs in held.items())
        return taken


def moved(outs: Mapping[int, Atom], among: Iterable[Var]) -> dict[int, Var]:
    """By which outs arrays are moved: of several mentions of one the last."""
    left, found = set(among), dict[int, Var]()
    for k, a in sorted(outs.items(), reverse=True):
        if isinstance(a, Var) and a in left:
            left.remove(a)
            found[k] = a
    return found
