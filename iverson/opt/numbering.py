"""numbering: what is computed alike has one number, in whatever scopes it stands.

    for i < n { a = x[k[i]] }  ..  for j < n { b = x[k[j]] }           a and b have one number, and so have i and j

An index of a For is numbered by the Fors and branches around it and by its extents; what a sequential loop carries by
where the loop starts from.  So equal numbers mean equal values at equal indices of For loops: within a sequential loop
they mean that only if the two loops have one number themselves.  What an Accumulate ends with is only equal to itself.

A scalar result of a sequential loop, or of an Accumulate around one, is numbered by the part of it that this result
needs: a loop that also counts its turns, or writes a log, gives the same results as one that doesn't.

Numbers are exact: they stand for the whole expression, not for a hash of it.
"""

from __future__ import annotations

from collections.abc import Iterable

from iverson.core.dce import dce_block
from iverson.core.syntax import (
    Accumulate,
    Atom,
    Block,
    Check,
    Contribute,
    For,
    If,
    Let,
    Library,
    Loop,
    Map,
    Operator,
    Prim,
    Read,
    Scalar,
    Var,
    While,
    width,
)

TOP = 0  # the path of what no For and no branch is around
MOST = 8  # results that are looked at one by one


class Numbering:
    """The numbers of the statements that were shown to it, in order; other names are equal to themselves."""

    def __init__(self) -> None:
        self._table: dict[tuple[object, ...], int] = {("top",): TOP}
        self._names: dict[Atom, int] = {}
        self._maps: dict[Var, tuple[tuple[int, ...], int]] = {}  # what a For maps: the indices, the element's number
        self._whole = False  # results are numbered by all of their loop

    def of(self, *content: object) -> int:
        """The number of an expression made of numbers and constants."""
        return self._table.setdefault(content, len(self._table))

    def atom(self, a: Atom) -> int:
        found = self._names.get(a)
        if found is None:
            found = self._names[a] = self.of("name", a)
        return found

    def atoms(self, several: Iterable[Atom]) -> tuple[int, ...]:
        return tuple(map(self.atom, several))

    def turn(self, loop: For, path: int) -> int:
        """The path of a For's body."""
        return self.of("for", path, *self.atoms(loop.extent))

    def side(self, branch: If, taken: bool, path: int) -> int:
        """The path of a branch's side."""
        return self.of("if", path, self.atom(branch.pred), taken)

    def statement(self, let: Let, path: int = TOP) -> int:
        """The number of all that a statement does; its results are numbered by the way."""
        match let.op:
            case Prim(name, args):
                number = self.of("prim", name, *self.atoms(args))
                self._names[let.vars[0]] = number
            case Read():
                number = self._read(let.vars[0], let.op)
            case For():
                number = self._for(let, let.op, path)
            case If(pred, then, orelse):
                sides = [self._block(b, self.side(let.op, b is then, path)) for b in (then, orelse)]
                number = self.of("if", self.atom(pred), *sides)
                for v, a, b in zip(let.vars, then.outs, orelse.outs, strict=True):
                    self._names[v] = self.of("either", self.atom(pred), self.atom(a), self.atom(b))
            case Loop(index, extent, carry, inits, body):
                here = self.of("loop", path, self.atom(extent), *self.atoms(inits))
                number = self.of("loop", here, self._turns(body, (index, *carry), here))
                self._results(let, number, path)
            case While(carry, inits, cond, body):
                here = self.of("while", path, *self.atoms(inits))
                number = self.of("while", here, self._turns(cond, carry, here), self._turns(body, carry, here))
                self._results(let, number, path)
            case Accumulate(accs, inits, body):
                number = self.of("accumulate", *map(self.atoms, (accs, *inits)), self._block(body, path))
                if sequential(let):
                    self._parts(let, path)
            case Contribute(acc, index, values, safe):
                number = self.of("contribute", self.atom(acc), self.atoms(index), self.atoms(values), safe)
            case Check(pred, message, args, error):
                number = self.of("check", self.atom(pred), message, error, *self.atoms(args))
            case Library(name, args, params):
                number = self.of("library", name, params, *self.atoms(args))
                self._names.update((v, self.of("result", number, k)) for k, v in enumerate(let.vars))
        return number

    def _read(self, v: Var, op: Read) -> int:
        index = self.atoms(op.index)
        mapped = self._maps.get(op.array)
        if mapped is not None and mapped[0] == index:
            number = mapped[1]
        else:
            number = self.of("read", self.atom(op.array), *index)
        self._names[v] = number
        return self.of("access", number, op.safe)

    def _for(self, let: Let, op: For, path: int) -> int:
        here = self.turn(op, path)
        index = tuple(self.of("index", here, k) for k in range(len(op.index)))
        self._names.update(zip(op.index, index, strict=True))
        content = self._block(op.body, here)
        kinds: list[object] = []
        at = 0
        for y in op.yields:
            kind = "map" if isinstance(y, Map) else y.monoid
            kinds.append(let.vars[at] if isinstance(kind, Operator) else (type(y), kind))
            for k, v in enumerate(let.vars[at : at + width(y)]):
                outs = self.atoms(op.body.outs[at : at + width(y)])
                if isinstance(y, Map):
                    self._maps[v] = index, outs[0]
                if not isinstance(kind, Operator):
                    self._names[v] = self.of("result", here, type(y), kind, k, *outs)
            at += width(y)
        return self.of("for", here, content, *kinds)

    def _turns(self, body: Block, binders: tuple[Var, ...], here: int) -> int:
        self._names.update((v, self.of("carry", here, k, v.type)) for k, v in enumerate(binders))
        before, self._whole = self._whole, True
        number = self._block(body, here)
        self._whole = before
        return number

    def _block(self, block: Block, path: int) -> int:
        inner = [self.statement(let, path) for let in block]
        return self.of("block", *inner, "outs", *self.atoms(block.outs))

    def _results(self, let: Let, number: int, path: int) -> None:
        self._names.update((v, self.of("result", number, k)) for k, v in enumerate(let.vars))
        self._parts(let, path)

    def _parts(self, let: Let, path: int) -> None:
        if not self._whole:
            self._names.update([(v, self.part(let, v, path)[1]) for v in parts(let)])

    def part(self, let: Let, v: Var, path: int) -> tuple[Block, int, int]:
        """What a statement does for one of its results, that result's number, and the number of all of the part."""
        lean = dce_block(Block((let,), (v,)))
        before, self._whole = self._whole, True
        content = self._block(lean, path)
        self._whole = before
        return lean, self.atom(lean.outs[0]), content


def sequential(let: Let) -> bool:
    """Is it a sequential loop, or an Accumulate around one?"""
    return isinstance(let.op, Loop | While) or (isinstance(let.op, Accumulate) and any(map(sequential, let.op.body)))


def parts(let: Let) -> list[Var]:
    """The results of a sequential statement that are looked at one by one."""
    scalars = [v for v in let.vars if isinstance(v.type, Scalar)]
    return scalars if len(scalars) <= MOST else []
