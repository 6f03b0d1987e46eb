"""copies: a copy that is a result of the function is the array itself, if that ends there.

    y = for i < n map x[i]    ->    y is x        x is of n elements, was made here, and isn't used but for y

A gradient has its parameter's extents; products give them other names, which a check has found to be equal.

Invariant: the count falls by the elements of x.
"""

from __future__ import annotations

from collections import Counter

from iverson.core.build import extents_of
from iverson.core.equalities import Equalities
from iverson.core.rewrite import uses
from iverson.core.syntax import Accumulate, Array, Atom, Block, For, Function, Let, Library, Loop, Map, Read, Var, While


def run(f: Function) -> Function:
    if f.donated or not any(_source(let) for let in f.body):
        return f
    outs, used = Counter(f.body.outs), Counter(v for let in f.body for v in uses(let))
    known, made = Equalities(), set[Var]()
    env: dict[Atom, Atom] = {}
    lets: list[Let] = []
    for let in f.body:
        known.learn(let)
        x = _source(let)
        y = let.vars[0] if let.vars else None
        ends = x in made and used[x] == 1 and not outs[x]
        if x and y and ends and outs[y] == 1 and not used[y] and known.same(extents_of(x), extents_of(y)):
            env[y] = x
            continue
        lets.append(let)
        if isinstance(let.op, For | Accumulate | Library | Loop | While):
            made.update(v for v in let.vars if isinstance(v.type, Array))
    if not env:
        return f
    return Function(f.params, Block(tuple(lets), tuple(env.get(a, a) for a in f.body.outs)), f.name, f.donated)


def _source(let: Let) -> Var | None:
    """What a statement is a copy of, all elements or the first ones."""
    op = let.op
    if not isinstance(op, For) or op.yields != (Map(),) or len(op.body.lets) != 1:
        return None
    (read,) = op.body.lets
    whole = isinstance(read.op, Read) and read.op.index == op.index and op.body.outs == read.vars
    return read.op.array if whole and isinstance(read.op, Read) else None
