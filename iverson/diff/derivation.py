"""Which array a consumed array is an updated version of.

    x' = Accumulate [acc = x] ...        x' derives from x
    x' = Loop / While [c = x] ...        if the carry's next value derives from the carry itself
    x' = If p {... a} {... b}            if a or b derives from x
    x' an out of an Accumulate's block   if that out derives from x

and x is not used again, so that x' lives in x's buffer.  Such an update can be undone element by element.
"""

from __future__ import annotations

from collections.abc import Iterable

from iverson.core.rewrite import atoms, blocks, free
from iverson.core.syntax import Accumulate, Accumulator, Array, Atom, Block, If, Let, Loop, Read, Var, While
from iverson.diff.activity import finals_of


class Derivation:
    """The derivation of every array of a block, nested ones included."""

    def __init__(self, body: Block) -> None:
        self._source: dict[Var, Var] = {}
        self._view: dict[Var, Var] = {}
        self._home: dict[Var, int] = {}  # result -> the block that binds it
        self._bind(body)
        self._block(body, set())

    def source(self, v: Var) -> Var | None:
        """The array whose buffer v's statement took over."""
        return self._source.get(v)

    def origin(self, block: Block, out: Atom) -> Var | None:
        """The name from outside `block` that an out derives from (itself, if it is from outside)."""
        if not isinstance(out, Var) or not isinstance(out.type, Array):
            return None
        v: Var | None = out
        while v is not None and self._home.get(v) == id(block):
            v = self._source.get(v)
        return v

    def permutation(self, op: Loop | While) -> dict[int, int]:
        """For each array carry k whose next value derives from a carry j: k -> j, a permutation."""
        place = {c: j for j, c in enumerate(op.carry)}
        found: dict[int, int] = {}
        for k in range(len(op.carry)):
            v = self.origin(op.body, op.body.outs[k])
            if v in place:
                found[k] = place[v]
        taken = list(found.values())
        found = {k: j for k, j in found.items() if taken.count(j) == 1}
        while found.keys() != set(found.values()):
            found = {k: j for k, j in found.items() if j in found and k in found.values()}
        return found

    def _roots(self, vs: Iterable[Var]) -> set[Var]:
        return {self._view.get(v, v) for v in vs}

    def _uses(self, let: Let) -> set[Var]:
        used = {a for a in atoms(let.op) if isinstance(a, Var)}
        for binders, inner in blocks(let.op):
            used |= free(inner, binders).keys()
        return self._roots(used)

    def _bind(self, block: Block) -> None:
        for let in block:
            for v in let.vars:
                self._home[v] = id(block)
            if isinstance(let.op, Read) and isinstance(let.vars[0].type, Array):
                self._view[let.vars[0]] = self._view.get(let.op.array, let.op.array)
            for _, inner in blocks(let.op):
                self._bind(inner)

    def _block(self, block: Block, after: set[Var]) -> None:
        """Derive what a block binds, given what is used after it."""
        later = after | self._roots(a for a in block.outs if isinstance(a, Var))
        for let in reversed(block.lets):
            once = isinstance(let.op, If | Accumulate)
            for _, inner in blocks(let.op):
                self._block(inner, later if once else set())
            taken: set[Var] = set()
            for v, options in self._candidates(let):
                fit = [x for x in options if x not in later and x not in self._view and x not in taken]
                if len(set(fit)) == 1:
                    self._source[v] = fit[0]
                    taken.add(fit[0])
            later |= self._uses(let)

    def _candidates(self, let: Let) -> list[tuple[Var, list[Var]]]:
        """For each array result what it may derive from.  Two fitting answers (a conditional swap) are none."""
        pairs: list[tuple[Var, list[Atom | None]]] = []
        match let.op:
            case Accumulate(accs, inits, body):
                groups = finals_of(let)
                inside = self._roots(free(body, accs))
                for acc, vs, columns in zip(accs, groups, inits, strict=True):
                    assert isinstance(acc.type, Accumulator)
                    if acc.type.monoid != "append":
                        pairs += [(v, [a]) for v, a in zip(vs, columns, strict=True) if a not in inside]
                outs = let.vars[sum(map(len, groups)) :]
                pairs += [(v, [self.origin(body, a)]) for v, a in zip(outs, body.outs, strict=True)]
            case Loop(_, _, carry, inits, body) | While(carry, inits, _, body):
                inside = self._roots(free(body, carry))
                same = [k for k, j in self.permutation(let.op).items() if k == j]
                pairs += [(let.vars[k], [inits[k]]) for k in same if inits[k] not in inside]
            case If(_, then, orelse):
                for v, a, b in zip(let.vars, then.outs, orelse.outs, strict=True):
                    pairs.append((v, [self.origin(then, a), self.origin(orelse, b)]))
            case _:
                pass
        return [(v, [x for x in options if isinstance(x, Var) and isinstance(x.type, Array)]) for v, options in pairs]
