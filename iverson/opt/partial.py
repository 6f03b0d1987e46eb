"""Indices of products of matrices that run over a part of an axis, as over a triangle.

    For [i < n] { For [k < e(i)] { .. x[i, k + c(i)] .. } }        the position k + c(i) stands for k: it runs over an
                                                                    axis of x, if not over all of it in every turn

What depends on k does so by its position alone, which moves with k one by one, so no two turns have the same ones; that
all are in bounds is known, or tested before, and so is that two of them are one.  A product of matrices is of whole
axes.  Where a sum is over a part, one of its factors is made zero elsewhere (opt/contract.py): by running the loops,
since the program may never look at the rest, and only if the other factor is finite, since zero times infinity isn't
zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from iverson.core.bounds import Sizes
from iverson.core.build import Builder, literal
from iverson.core.rewrite import atoms
from iverson.core.syntax import I64, Accumulator, Array, Atom, Block, Contribute, For, Let, Literal, Prim, Read, Var

SHARE = (5, 2)  # a part counts as all of it if it is at least 2 fifths: a triangle without its diagonal is


@dataclass(eq=False)
class Ranges:
    """The three indices of a product, outermost first, and what stands for each."""

    loops: tuple[Var, ...]
    extent: Mapping[Var, Atom]
    made: Mapping[Var, Let]  # what the loops bind
    position: dict[Var, Var] = field(default_factory=dict)  # loop index -> what stands for it
    axis: dict[Var, Atom] = field(default_factory=dict)  # position -> the extent that it runs over
    unsure: set[Atom] = field(default_factory=set)  # positions that may be out of bounds
    same: dict[Var, Var] = field(default_factory=dict)  # other indices, and the position that they must be

    def loop(self, position: Var) -> Var:
        return next(i for i, p in self.position.items() if p is position)

    def partial(self, position: Var) -> bool:
        """Might it not run over all of its axis in every turn?"""
        i = self.loop(position)
        return position is not i or self.axis[position] != self.extent[i] or bool(self.needs(position))

    def parts(self) -> frozenset[Var]:
        """The loops of positions that might not, and those that decide on them."""
        found = [p for p in self.position.values() if self.partial(p)]
        return frozenset(self.loop(q) for p in found for q in (p, *self.needs(p)))

    def needs(self, position: Var) -> set[Var]:
        """The positions of the loops that decide where this one is."""
        i = self.loop(position)
        found = (self.depends(position) | self.depends(self.extent[i])) - {i}
        return {self.position[j] for j in found}

    def depends(self, a: Atom) -> set[Var]:
        """The loop indices that a value is computed from."""
        if a in self.loops:
            return {a}  # type: ignore[arg-type]
        if a not in self.made:
            return set()
        return set[Var]().union(*map(self.depends, atoms(self.made[a].op)))  # type: ignore[index]

    def find(self, body: Sequence[Let]) -> bool:
        """Find the positions in these statements; False if there isn't one for each."""
        shown: dict[Var, dict[Atom, list[Atom]]] = {i: {} for i in self.loops}
        for op in (s.op for s in body):
            if not isinstance(op, Read | Contribute):
                continue
            t = op.array.type if isinstance(op, Read) else op.acc.type
            assert isinstance(t, Array | Accumulator)
            for a, n in zip(op.index, t.extents, strict=False):
                moved = [i for i in self.loops if i in self.depends(a)]
                if moved:
                    shown[moved[-1]].setdefault(a, []).append(n)
                    self.unsure |= set() if op.safe else {a}
        return all(self.place(i, shown[i]) for i in self.loops) and all(map(self.simple, self.position.values()))

    def place(self, i: Var, shown: Mapping[Atom, Sequence[Atom]]) -> bool:
        """Find the position of a loop among the indices that move with it; several must be one."""
        seen = {a: axes for a, axes in shown.items() if isinstance(a, Var)}
        constant = not self.depends(self.extent[i])
        fitting = all(self.moves(a, i) and axes[0] not in self.made for a, axes in seen.items())
        whole = constant and (len(seen) != 1 or self.extent[i] in seen.get(i, ()))
        if seen and fitting and not whole:
            one, *others = seen
            self.same |= dict.fromkeys(others, one)
            self.position[i], self.axis[one] = one, seen[one][0]
        elif constant:
            self.position[i], self.axis[i] = i, self.extent[i]
        return constant or (bool(seen) and fitting)

    def moves(self, a: Atom, i: Var) -> bool:
        """Is a value i, or minus i, plus what doesn't depend on it?"""
        if a is i:
            return True
        op = self.made[a].op if a in self.made else None  # type: ignore[index]
        if not isinstance(op, Prim) or op.name not in ("add", "sub"):
            return False
        moving = [x for x in op.args if i in self.depends(x)]
        return len(moving) == 1 and self.moves(moving[0], i)

    def simple(self, position: Var) -> bool:
        """Does at most one other index decide, by primitives alone, and none decide on that?"""
        i = self.loop(position)
        others = [a for a, one in self.same.items() if one is position]
        needs = self.needs(position)
        chain = (position, self.extent[i], *others)
        if not all(self.depends(a) <= {i, *map(self.loop, needs)} for a in others):
            return False
        return len(needs) <= 1 and not any(map(self.needs, needs)) and all(map(self.computed, chain))

    def computed(self, a: Atom) -> bool:
        if a not in self.made:
            return True
        op = self.made[a].op  # type: ignore[index]
        return isinstance(op, Prim) and op.name not in ("floordiv", "mod") and all(map(self.computed, op.args))

    def triangle(self, row: Var, column: Var) -> str:
        """Of a matrix, the half that two positions stay in, the diagonal included; "" if none is known."""
        sizes, turn = Sizes(), Block((), ())
        outer, inner = sorted((row, column), key=lambda p: self.loops.index(self.loop(p)))
        first, second = (For((i,), (self.extent[i],), turn, ()) for i in map(self.loop, (outer, inner)))
        with sizes.inside(first, turn):
            for let in self.made.values():
                sizes.bind(let)
            with sizes.inside(second, turn):
                others = [a for a, p in self.same.items() if p is inner]
                ahead = [sizes.of(p) - sizes.of(outer) for p in (inner, *others)]
                if any(map(sizes.nonnegative, ahead)):
                    return "upper" if inner is column else "lower"
                if any(sizes.nonnegative(-n) for n in ahead):
                    return "lower" if inner is column else "upper"
        return ""

    def nest(self, b: Builder, positions: Sequence[Var], body: Callable[[dict[Var, Atom]], None]) -> None:
        """Loops over where some positions are in the program; `body` gets the names of loop indices and positions."""
        order = sorted(positions, key=lambda p: self.loops.index(self.loop(p)))

        def inside(at: int, env: dict[Var, Atom]) -> tuple[()]:
            if at == len(order):
                body(env)
                return ()
            i = self.loop(order[at])

            def turn(k: Var) -> tuple[()]:
                here = {**env, i: k}
                here[order[at]] = self.at(b, order[at], here)
                return inside(at + 1, here)

            b.for_(self.at(b, self.extent[i], env), turn, ())
            return ()

        inside(0, {})

    def at(self, b: Builder, a: Atom, env: Mapping[Var, Atom]) -> Atom:
        """An index, where `env` says what loop indices are."""
        if isinstance(a, Literal) or a in env or a not in self.made:
            return a if isinstance(a, Literal) else env.get(a, a)
        op = self.made[a].op
        assert isinstance(op, Prim)
        return b.prim(op.name, *(self.at(b, x, env) for x in op.args))

    def large(self, b: Builder) -> Atom:
        """Do parts of axes, or of two of them together, count as all of them?"""
        test: Atom = literal(True)
        for p in self.position.values():
            needs, i = self.needs(p), self.loop(p)
            if needs:
                (other,) = needs
                j = self.loop(other)
                total = b.reduce("add", self.extent[j], lambda k, i=i, j=j: self.at(b, self.extent[i], {j: k}))
                test = b.prim("and", test, self.share(b, total, b.o.mul(self.axis[p], self.axis[other])))
            elif self.partial(p) and not any(p in self.needs(q) for q in self.position.values()):
                test = b.prim("and", test, self.share(b, self.extent[i], self.axis[p]))
            if self.partial(p) and p in self.unsure:
                test = b.prim("and", test, self.inside(b, p))
        for a, p in self.same.items():
            test = b.prim("and", test, self.equal(b, a, p))
        return test

    def equal(self, b: Builder, a: Var, p: Var) -> Atom:
        """Is an index in all turns what a position is?  Both move one by one: they are if they are in the first and in
        the last one."""
        return self.at_ends(b, p, lambda env: b.o.eq(self.at(b, a, env), self.at(b, p, env)))

    def inside(self, b: Builder, p: Var) -> Atom:
        """Are all positions in bounds?  They are if the first and the last one of a loop are."""

        def within(env: dict[Var, Atom]) -> Atom:
            place = self.at(b, p, env)
            return b.prim("and", b.o.ge(place, 0), b.o.lt(place, self.axis[p]))

        return self.at_ends(b, p, within)

    def at_ends(self, b: Builder, p: Var, test: Callable[[dict[Var, Atom]], Atom]) -> Atom:
        """Does a test hold in the first and the last turn of a loop, whenever it runs?"""
        i = self.loop(p)

        def turns(env: dict[Var, Atom]) -> Atom:
            count = self.at(b, self.extent[i], env)
            ends = [test({**env, i: k}) for k in (literal(0), b.o.sub(count, 1))]
            return b.prim("or", b.o.le(count, 0), b.prim("and", *ends))

        found = turns
        for other in self.needs(p):
            found = partial(self.always, b, found, other)
        return found({})

    def always(self, b: Builder, test: Callable[[dict[Var, Atom]], Atom], other: Var, env: dict[Var, Atom]) -> Atom:
        """Does a test hold for all positions of a loop?"""
        j = self.loop(other)
        found = b.reduce("and", self.extent[j], lambda k: test({**env, j: k, other: self.at(b, other, {j: k})}))
        assert isinstance(found, Var)
        return found

    def share(self, b: Builder, part: Atom, whole: Atom) -> Atom:
        return b.o.ge(b.o.mul(part, literal(SHARE[0], I64)), b.o.mul(whole, literal(SHARE[1], I64)))
