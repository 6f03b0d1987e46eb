"""sink: one update of an array after an If, for one in each of its sides.

    If p {.. Accumulate [a = set x] {a[i] <- u}} {.. Accumulate [a = set x] {a[j] <- v}}
        ->   let k, w = If p {.. (i, u)} {.. (j, v)} in Accumulate [a = set x] {a[k] <- w}

likewise for the other monoids, both sides having the same.  An index that is the same outside of the If isn't passed.
What can be seen to update one element a turn is undone from a record of one element a turn: the derivative of such a
loop needs no log.

Invariant: the count of the cost model is the same, and an array owned before is owned after.
"""

from __future__ import annotations

from dataclasses import dataclass

from iverson.core.build import Builder
from iverson.core.dce import dce
from iverson.core.rewrite import free, map_op
from iverson.core.syntax import (
    Accumulate,
    Accumulator,
    Array,
    Atom,
    Block,
    Contribute,
    Function,
    If,
    Let,
    Literal,
    Op,
    Var,
)


def run(f: Function) -> Function:
    """The function with every such pair of updates made one, innermost Ifs first."""
    return dce(Function(f.params, _block(f.body), f.name, f.donated))


def _block(block: Block) -> Block:
    b = Builder()
    with b.scope() as lets:
        for let in block:
            op = map_op(let.op, lambda a: a, _block)
            b.site = let.site
            _emit(b, let, op)
    return Block(tuple(lets), block.outs)


@dataclass(frozen=True)
class _Update:
    """The last thing that a side does to an array: one contribution."""

    let: Let
    accumulator: Accumulator
    array: Var
    contribute: Contribute


def _emit(b: Builder, let: Let, op: Op) -> None:
    """The statement, or the If without its updates and then the updates."""
    if not isinstance(op, If):
        b.let(Let(let.vars, op, let.site))
        return
    found = {
        k: (left, right)
        for k, v in enumerate(let.vars)
        if isinstance(v.type, Array)
        and (left := _update(op.then, k)) is not None
        and (right := _update(op.orelse, k)) is not None
        and left.array is right.array
        and left.accumulator == right.accumulator
    }
    if not found:
        b.let(Let(let.vars, op, let.site))
        return
    then, orelse = (
        _without(op.then, [u for u, _ in found.values()]),
        _without(op.orelse, [u for _, u in found.values()]),
    )
    kept = [k for k in range(len(let.vars)) if k not in found]
    passed: list[tuple[Atom, Atom]] = []
    plans = []
    for k, (left, right) in found.items():
        pairs = zip(
            (*left.contribute.index, *left.contribute.values),
            (*right.contribute.index, *right.contribute.values),
            strict=True,
        )
        plans.append((k, left, right, [_pass(p, q, passed, then, orelse) for p, q in pairs]))
    sides = (
        Block(then, (*(op.then.outs[k] for k in kept), *(p for p, _ in passed))),
        Block(orelse, (*(op.orelse.outs[k] for k in kept), *(q for _, q in passed))),
    )
    types = [p.type for p, _ in passed]
    bound = (*(let.vars[k] for k in kept), *(Var(t) for t in types))
    b.let(Let(bound, If(op.pred, *sides), let.site))
    results = bound[len(kept) :]
    for k, left, right, values in plans:
        atoms = [results[v] if isinstance(v, int) else v for v in values]
        _apply(b, let.vars[k], left, right, atoms)


def _apply(b: Builder, result: Var, left: _Update, right: _Update, atoms: list[Atom]) -> None:
    """The one update that takes the place of two."""
    acc = Var(left.accumulator, "acc")
    rank = len(left.contribute.index)
    safe = left.contribute.safe and right.contribute.safe
    body = Block((Let((), Contribute(acc, tuple(atoms[:rank]), tuple(atoms[rank:]), safe), b.site),), ())
    b.let(Let((result,), Accumulate((acc,), ((left.array,),), body), b.site))


def _pass(
    p: Atom, q: Atom, passed: list[tuple[Atom, Atom]], then: tuple[Let, ...], orelse: tuple[Let, ...]
) -> Atom | int:
    """The number of the result that carries p or q out of the If; p itself if it is q, known outside."""
    if p == q and not any(p in let.vars for let in (*then, *orelse)):
        return p
    if (p, q) not in passed:
        passed.append((p, q))
    return passed.index((p, q))


def _without(block: Block, updates: list[_Update]) -> tuple[Let, ...]:
    gone = {id(u.let) for u in updates}
    return tuple(let for let in block if id(let) not in gone)


def _update(block: Block, out: int) -> _Update | None:
    """The side's single contribution to an outer array, if that gives the out and nothing follows that sees either."""
    final = block.outs[out]
    at = next((k for k, let in enumerate(block) if final in let.vars), None)
    if at is None:
        return None
    let = block.lets[at]
    op = let.op
    if not isinstance(op, Accumulate) or len(op.accs) != 1 or len(let.vars) != 1 or len(op.body.lets) != 1:
        return None
    (acc,), ((array, *more),), contribute = op.accs, op.inits, op.body.lets[0].op
    if (
        more
        or isinstance(array, Literal)
        or not isinstance(contribute, Contribute)
        or not isinstance(acc.type, Accumulator)
    ):
        return None
    later = Block(block.lets[at + 1 :], tuple(a for k, a in enumerate(block.outs) if k != out))
    inner = any(array in earlier.vars for earlier in block)
    if inner or contribute.acc is not acc or any(v in free(later) for v in (array, let.vars[0])):
        return None
    return _Update(let, acc.type, array, contribute)
