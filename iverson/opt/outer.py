"""outer: outer products that are added to a matrix are added where it is made, in one pass over it.

    x = Accumulate [acc = add a] { For [i < n] { B; For [j < m] { C; acc[i, j] <- v } } }
        ->  s = For [i < n] { B; For [j < m] { C } } map s_i;  x = For [i < n, j < m] { a[i, j] + v }

where each element is added to once, and v is made by sums and products of the s_i that B computes and of elements of
vectors.  a is a matrix of zeros, or was made by this rule: then one loop (opt/fuse.py) adds all that is added, and the
matrix is written once, without having been filled or read.  This is what matrices that are multiplied with vectors have
for adjoints.  The loops may stand in the other order; if they don't, and nothing else is added, gather does as well.

Invariant: the count rises by at most three for each element, of which fuse takes two; a matrix that isn't in the cache
is what takes time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from iverson.core.build import Builder, extents_of
from iverson.core.dce import dce
from iverson.core.equalities import Equalities
from iverson.core.rewrite import map_blocks, map_op, statements, uses, with_body, with_lets
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
    Literal,
    Map,
    Prim,
    Read,
    Scalar,
    Var,
)

CHEAP = frozenset({"add", "sub", "mul", "neg"})


def run(f: Function) -> Function:
    return dce(with_body(f, _block(f.body, Equalities())))


def _block(block: Block, known: Equalities) -> Block:
    equal = Equalities(known)
    lets: list[Let] = []
    blank: dict[Var, bool] = {}  # matrices that may be added to as they are made -> whether they are zeros
    more = {a for let in block if isinstance(let.op, Accumulate) for init in let.op.inits for a in init}
    for let in block:
        equal.learn(let)
        new = map_blocks(let, lambda inner: _block(inner, equal))
        if isinstance(new.op, For) and new.op.yields == (Map(),) and isinstance(new.op.body.outs[0], Literal):
            blank[new.vars[0]] = new.op.body.outs[0].value == 0
        if isinstance(new.op, Accumulate) and any(init and init[0] in blank for init in new.op.inits):
            lets += _taken(new, new.op, blank, more, equal)
        else:
            lets.append(new)
    return with_lets(block, lets)


def _taken(let: Let, op: Accumulate, blank: dict[Var, bool], more: set[Atom], equal: Equalities) -> list[Let]:
    """An Accumulate without the outer products in it, then these."""
    after: list[Let] = []
    at = 0
    for acc, init in zip(op.accs, op.inits, strict=True):
        assert isinstance(acc.type, Accumulator)
        mine = let.vars[at : at + len(acc.type.dtypes) + (acc.type.monoid == "append")]
        at += len(mine)
        matrix = init[0] if init else None
        product = _found(op.body, acc, equal) if isinstance(matrix, Var) and blank.get(matrix) is not None else None
        if product is None or not isinstance(matrix, Var):
            continue
        if blank[matrix] and mine[0] not in more and product.in_order():
            continue
        let = product.left_out(let)
        after.append(product.map(mine[0], None if blank[matrix] else matrix, let))
        blank[mine[0]] = False
        at -= len(mine)
    return [let, *after]


@dataclass
class _Outer:
    """The one contribution to a matrix: at all of its places, an outer product."""

    acc: Var
    path: list[Let]  # the Fors around it
    contribution: Let
    made: dict[Var, Let]
    equal: Equalities
    outer: dict[Var, Var] = field(default_factory=dict)  # scalars of the first For, as vectors

    def is_one(self) -> bool:
        """Is it?"""
        c, t = self.contribution.op, self.acc.type
        assert isinstance(c, Contribute) and isinstance(t, Accumulator)
        span = self.span()
        plain = t.monoid == "add" and len(t.extents) == 2 and t.dtypes[0].is_float
        places = len(span) == 2 and set(c.index) == set(span)
        same = places and self.equal.same([span[i] for i in c.index], t.extents)  # type: ignore[index]
        return plain and same and self.knows(c.values[0])

    def in_order(self) -> bool:
        """Do the loops run over the matrix row by row?"""
        c = self.contribution.op
        return isinstance(c, Contribute) and c.index == tuple(self.span())

    def span(self) -> dict[Var, Atom]:
        loops = [s.op for s in self.path if isinstance(s.op, For)]
        return {i: n for loop in loops for i, n in zip(loop.index, loop.extent, strict=True)}

    def knows(self, a: Atom) -> bool:
        """Can a value be made anew, given vectors?"""
        if isinstance(a, Literal) or a not in self.made:
            return isinstance(a, Literal) or a not in self.span()
        op, first = self.made[a].op, self.path[0].op
        assert isinstance(first, For)
        if len(self.path) > 1 and any(a in s.vars for s in first.body):
            if len(first.index) != 1 or not isinstance(a.type, Scalar):
                return False
            self.outer.setdefault(a, Var(Array(a.type.dtype, first.extent), a.hint))
            return True
        if isinstance(op, Read):
            return len(extents_of(op.array)) == 1 and op.array not in self.made and op.index[0] in self.span()
        return isinstance(op, Prim) and op.name in CHEAP and all(map(self.knows, op.args))

    def left_out(self, let: Let) -> Let:
        """The Accumulate without it; the vectors are among its results."""
        op = let.op
        assert isinstance(op, Accumulate)
        kept = [k for k, acc in enumerate(op.accs) if acc is not self.acc]
        body = Block(self.without(op.body.lets), (*op.body.outs, *self.outer.values()))
        new = Accumulate(tuple(op.accs[k] for k in kept), tuple(op.inits[k] for k in kept), body)
        before = sum(_columns(acc) for acc in op.accs[: op.accs.index(self.acc)])
        results = [*let.vars[:before], *let.vars[before + 1 :]]
        results += [Var(v.type, v.hint) for v in self.outer.values()]
        return Let(tuple(results), new, let.site)

    def without(self, lets: Sequence[Let]) -> tuple[Let, ...]:
        return tuple(self.inner(let) for let in lets if let is not self.contribution)

    def inner(self, let: Let) -> Let:
        if not any(let is s for s in self.path):
            return let
        op = let.op
        assert isinstance(op, For)
        vectors = self.outer if let is self.path[0] else {}
        body = Block(self.without(op.body.lets), (*op.body.outs, *vectors))
        new = replace(op, body=body, yields=(*op.yields, *(Map() for _ in vectors)))
        return Let((*let.vars, *vectors.values()), new, let.site)

    def map(self, final: Var, matrix: Var | None, let: Let) -> Let:
        """The matrix with it added, given the Accumulate that leaves it out."""
        c, t, first = self.contribution.op, self.acc.type, self.path[0].op
        assert isinstance(c, Contribute) and isinstance(t, Accumulator) and isinstance(first, For)
        vectors = dict(zip(self.outer, let.vars[len(let.vars) - len(self.outer) :], strict=True))
        b = Builder()
        b.site = self.contribution.site

        def element(i: Var, j: Var) -> Atom:
            env: dict[Var, Atom] = dict(zip(c.index, (i, j), strict=True))  # type: ignore[arg-type]
            for scalar, vector in vectors.items():
                env[scalar] = b.read(vector, env[first.index[0]], safe=True)
            value = self.again(b, c.values[0], env)
            return b.o.add(b.read(matrix, i, j, safe=True), value) if matrix else value

        with b.scope() as made:
            b.map(t.extents, element)
        return Let((final,), made[-1].op, self.contribution.site)

    def again(self, b: Builder, a: Atom, env: dict[Var, Atom]) -> Atom:
        if isinstance(a, Literal) or a in env or a not in self.made:
            return a if isinstance(a, Literal) else env.get(a, a)
        env[a] = b.emit(map_op(self.made[a].op, lambda x: self.again(b, x, env), lambda block: block))[0]
        return env[a]


def _columns(acc: Var) -> int:
    assert isinstance(acc.type, Accumulator)
    return len(acc.type.dtypes) + (acc.type.monoid == "append")


def _found(body: Block, acc: Var, equal: Equalities) -> _Outer | None:
    """The outer product that is all that is contributed to a matrix."""
    path: list[Let] = []
    block = body
    while True:
        users = [let for let in block if acc in uses(let)]
        if len(users) != 1:
            return None
        (let,) = users
        if isinstance(let.op, Contribute):
            made = {v: s for p in path for s in statements(p.op.body) for v in s.vars}  # type: ignore[union-attr]
            found = _Outer(acc, path, let, made, equal)
            return found if path and found.is_one() else None
        if not isinstance(let.op, For):
            return None
        path.append(let)
        block = let.op.body
