"""Generic traversals: what an op reads, binds and contains, and how to rebuild it with parts replaced.

A pass says only what it does to the constructs it is about; these carry the boring cases.  What doesn't change is given
back itself, not rebuilt: a pass that finds nothing to do returns the function it was given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from operator import is_
from typing import TypeVar

from iverson.core.syntax import (
    Accumulate,
    Accumulator,
    Array,
    Atom,
    Block,
    Check,
    Contribute,
    For,
    Function,
    If,
    Let,
    Library,
    Literal,
    Loop,
    Map,
    Monoid,
    Op,
    Operator,
    Prim,
    Read,
    Reduce,
    Scalar,
    Scan,
    Type,
    Var,
    While,
    Yield,
)

Env = Mapping[Var, Atom]
T = TypeVar("T")

FLAT = frozenset({Prim, Read, Library, Check, Contribute})  # ops without blocks


def operators(op: Op) -> list[Operator]:
    """The user operators an op carries."""
    if isinstance(op, For):
        return [y.monoid for y in op.yields if not isinstance(y, Map) and isinstance(y.monoid, Operator)]
    if isinstance(op, Accumulate):
        return [
            a.type.monoid for a in op.accs if isinstance(a.type, Accumulator) and isinstance(a.type.monoid, Operator)
        ]
    return []


def atoms(op: Op) -> Sequence[Atom]:
    """The atoms an op itself uses: not those inside its blocks, not the extents in types."""
    match op:
        case Prim() | Library():
            return op.args
        case Read():
            return (op.array, *op.index)
        case Contribute():
            return (op.acc, *op.index, *op.values)
        case Check():
            return (op.pred, *op.args)
        case If():
            return (op.pred,)
        case For():
            return (*op.extent, *(a for o in operators(op) for a in o.identity))
        case Accumulate():
            return (*(a for init in op.inits for a in init), *(a for o in operators(op) for a in o.identity))
        case Loop():
            return (op.extent, *op.inits)
        case While():
            return op.inits


def blocks(op: Op) -> list[tuple[tuple[Var, ...], Block]]:
    """The blocks of an op, each with the variables it binds on entry."""
    if type(op) in FLAT:
        return []
    inner = [((*o.left, *o.right), b) for o in operators(op) for b in (o.body, o.inverse) if b is not None]
    match op:
        case For(index, _, body):
            inner.append((index, body))
        case Accumulate(accs, _, body):
            inner.append((accs, body))
        case Loop(index, _, carry, _, body):
            inner.append(((index, *carry), body))
        case While(carry, _, cond, body):
            inner += [(carry, cond), (carry, body)]
        case If(_, then, orelse):
            inner += [((), then), ((), orelse)]
        case _:
            pass
    return inner


def type_atoms(t: Type) -> tuple[Atom, ...]:
    """The extents a type mentions."""
    return () if isinstance(t, Scalar) else t.extents


def free(block: Block, bound: Iterable[Var] = ()) -> dict[Var, None]:
    """The free variables of a block in first-use order, extents in types included."""
    found = _free(block)
    without = set(bound)
    return {v: None for v in found if v not in without} if without else found.copy()


def _free(block: Block) -> dict[Var, None]:
    """The same, for no one to change: a block remembers them, since passes ask again and again."""
    if block.free is None:
        object.__setattr__(block, "free", _collected(block.lets, block.outs))
    assert block.free is not None
    return block.free


def _collected(lets: Iterable[Let], outs: Iterable[Atom]) -> dict[Var, None]:
    seen: dict[Var, None] = {}
    bound: set[Var] = set()
    for let in lets:
        _use(atoms(let.op), bound, seen)
        for binders, inner in blocks(let.op):
            bound.update(binders)
            for v in binders:
                _use(type_atoms(v.type), bound, seen)
            _use(_free(inner), bound, seen)
        bound.update(let.vars)
        for v in let.vars:
            _use(type_atoms(v.type), bound, seen)
    _use(outs, bound, seen)
    return seen


def _use(used: Iterable[Atom], bound: set[Var], seen: dict[Var, None]) -> None:
    for a in used:
        if type(a) is Var and a not in bound:
            seen[a] = None


def uses(let: Let) -> dict[Var, None]:
    """The variables that a statement uses, in its blocks and in the types of what it binds too."""
    return _collected((let,), ())


def contributed(op: Op) -> dict[Var, None]:
    """The accumulators from outside that an op contributes to, at any depth."""
    found: dict[Var, None] = {}
    bound: set[Var] = set()
    for let in statements(Block((Let((), op),), ())):
        if isinstance(let.op, Accumulate):
            bound.update(let.op.accs)
        elif isinstance(let.op, Contribute) and let.op.acc not in bound:
            found.setdefault(let.op.acc)
    return found


def dependents(lets: Iterable[Let], on: Iterable[Var]) -> set[Var]:
    """The forward slice: these names, and what statements that use one of them bind."""
    found = set(on)
    for let in lets:
        if not found.isdisjoint(uses(let)):
            found.update(let.vars)
    return found


def needed(lets: Sequence[Let], wanted: Iterable[Atom]) -> list[Let]:
    """The backward slice: the statements that these atoms are made by, in order."""
    names = set(wanted)
    found: list[Let] = []
    for let in reversed(lets):
        if not names.isdisjoint(let.vars):
            names.update(uses(let))
            found.append(let)
    return found[::-1]


def statements(block: Block) -> Iterator[Let]:
    """Every statement, nested ones after the statement that holds them."""
    for let in block:
        yield let
        for _, inner in blocks(let.op):
            yield from statements(inner)


def mentioned(function: Function) -> set[Atom]:
    """What a program uses anywhere."""
    found: set[Atom] = set(function.body.outs)
    for let in statements(function.body):
        found.update(atoms(let.op))
        found.update(a for v in let.vars for a in type_atoms(v.type))
        found.update(out for _, inner in blocks(let.op) for out in inner.outs)
    return found


def with_op(let: Let, op: Op) -> Let:
    """The statement with another op."""
    return let if op is let.op else Let(let.vars, op, let.site)


def remade(let: Let, vs: tuple[Var, ...], op: Op) -> Let:
    """The statement with other binders and another op."""
    return with_op(let, op) if vs is let.vars else Let(vs, op, let.site)


def with_lets(block: Block, lets: Sequence[Let]) -> Block:
    """The block with other statements."""
    return block if alike(lets, block.lets) else Block(tuple(lets), block.outs)


def with_body(f: Function, body: Block) -> Function:
    """The function with another body."""
    return f if body is f.body else replace(f, body=body)


def alike(xs: Sequence[object], ys: Sequence[object]) -> bool:
    """Whether two sequences hold the very same objects."""
    return len(xs) == len(ys) and all(map(is_, xs, ys))


def kept(old: T, new: T) -> T:
    """`old`, if `new` has the very same parts."""
    parts = ((getattr(old, name), getattr(new, name)) for name in old.__slots__)  # type: ignore[attr-defined]
    return old if all(a is b or (isinstance(a, tuple) and alike(a, b)) for a, b in parts) else new


def map_blocks(let: Let, block: Callable[[Block], Block]) -> Let:
    """The statement with the blocks of its op mapped."""
    return let if type(let.op) in FLAT else with_op(let, map_op(let.op, lambda a: a, block))


def map_op(op: Op, atom: Callable[[Atom], Atom], block: Callable[[Block], Block]) -> Op:
    """Rebuild an op with its atoms and its blocks mapped; binders and types are left alone."""
    match op:
        case Prim(name, args):
            new = tuple(map(atom, args))
            return op if alike(new, args) else Prim(name, new)
        case Library(name, args, params):
            new = tuple(map(atom, args))
            return op if alike(new, args) else Library(name, new, params)
        case Read(array, index, safe):
            source, new = _var(atom(array)), tuple(map(atom, index))
            return op if source is array and alike(new, index) else Read(source, new, safe)
        case Contribute(acc, index, values, safe):
            target, new, given = _var(atom(acc)), tuple(map(atom, index)), tuple(map(atom, values))
            same = target is acc and alike(new, index) and alike(given, values)
            return op if same else Contribute(target, new, given, safe)
        case Check(pred, message, args, error):
            holds, new = atom(pred), tuple(map(atom, args))
            return op if holds is pred and alike(new, args) else Check(holds, message, new, error)
        case _:
            return _with_blocks(op, atom, block)


def _with_blocks(
    op: For | Accumulate | Loop | While | If, atom: Callable[[Atom], Atom], block: Callable[[Block], Block]
) -> Op:
    match op:
        case For(index, extent, body, yields):
            new, inner = tuple(map(atom, extent)), block(body)
            each = tuple(_map_yield(y, atom, block) for y in yields)
            same = inner is body and alike(new, extent) and alike(each, yields)
            return op if same else For(index, new, inner, each)
        case Accumulate(accs, inits, body):
            columns = tuple(tuple(map(atom, init)) for init in inits)
            inner = block(body)
            same = inner is body and all(map(alike, columns, inits))
            return op if same else Accumulate(accs, columns, inner)
        case Loop(index, turns, carry, inits, body, tape):
            n, new, inner = atom(turns), tuple(map(atom, inits)), block(body)
            same = inner is body and n is turns and alike(new, inits)
            return op if same else Loop(index, n, carry, new, inner, tape)
        case While(carry, inits, cond, body, tape):
            new, goes, inner = tuple(map(atom, inits)), block(cond), block(body)
            same = inner is body and goes is cond and alike(new, inits)
            return op if same else While(carry, new, goes, inner, tape)
        case If(pred, then, orelse):
            holds, one, other = atom(pred), block(then), block(orelse)
            return op if holds is pred and one is then and other is orelse else If(holds, one, other)


def _map_yield(y: Yield, atom: Callable[[Atom], Atom], block: Callable[[Block], Block]) -> Yield:
    if isinstance(y, Map) or not isinstance(y.monoid, Operator):
        return y
    m = y.monoid
    identity, body = tuple(map(atom, m.identity)), block(m.body)
    inverse = None if m.inverse is None else block(m.inverse)
    if body is m.body and inverse is m.inverse and alike(identity, m.identity):
        return y
    return replace(y, monoid=Operator(identity, m.left, m.right, body, inverse))


def _var(a: Atom) -> Var:
    assert isinstance(a, Var), "an array or accumulator is always a variable"
    return a


def rename_type(t: Type, env: Env) -> Type:
    """A type with the variables in its extents (and in an accumulator's operator) replaced."""
    match t:
        case Scalar():
            return t
        case Array(dtype, extents):
            return Array(dtype, tuple(lookup(e, env) for e in extents))
        case Accumulator(monoid, dtypes, extents):
            return Accumulator(rename_monoid(monoid, env), dtypes, tuple(lookup(e, env) for e in extents))


def lookup(atom: Atom, env: Env) -> Atom:
    return atom if isinstance(atom, Literal) else env.get(atom, atom)


def rename(block: Block, env: Env) -> Block:
    """A fresh copy of a block: every binder new, free variables replaced by `env`.  Capture cannot happen."""
    inner = dict(env)
    lets = tuple(rename_let(let, inner) for let in block)
    return Block(lets, tuple(lookup(a, inner) for a in block.outs))


def rename_let(let: Let, env: dict[Var, Atom]) -> Let:
    """A fresh copy of a statement; `env` learns its new binders."""
    op = rename_op(let.op, env)
    return Let(fresh_all(let.vars, env), op, let.site)


def fresh_all(vs: tuple[Var, ...], env: dict[Var, Atom]) -> tuple[Var, ...]:
    """New variables for binders, one after the other, since a type may mention an earlier one."""
    new = []
    for v in vs:
        w = Var(rename_type(v.type, env), v.hint)
        env[v] = w
        new.append(w)
    return tuple(new)


def rename_monoid(m: Monoid, env: Env) -> Monoid:
    """A fresh copy of a monoid."""
    if not isinstance(m, Operator):
        return m
    inner = dict(env)
    left, right = fresh_all(m.left, inner), fresh_all(m.right, inner)
    inverse = None if m.inverse is None else rename(m.inverse, inner)
    return Operator(tuple(lookup(a, env) for a in m.identity), left, right, rename(m.body, inner), inverse)


def rename_op(op: Op, env: Env) -> Op:
    """A fresh copy of an op: its binders new, its free variables replaced."""
    inner = dict(env)
    match op:
        case For(index, extent, body, yields):
            index = fresh_all(index, inner)
            new = [
                replace(y, monoid=rename_monoid(y.monoid, env)) if isinstance(y, Reduce | Scan) else y for y in yields
            ]
            return For(index, tuple(lookup(e, env) for e in extent), rename(body, inner), tuple(new))
        case Accumulate(accs, inits, body):
            accs = fresh_all(accs, inner)
            return Accumulate(accs, tuple(tuple(lookup(a, env) for a in i) for i in inits), rename(body, inner))
        case Loop(index, extent, carry, inits, body, tape):
            (index,) = fresh_all((index,), inner)
            carry = fresh_all(carry, inner)
            new_inits = tuple(lookup(a, env) for a in inits)
            return Loop(index, lookup(extent, env), carry, new_inits, rename(body, inner), tape)
        case While(carry, inits, cond, body, tape):
            carry = fresh_all(carry, inner)
            new_inits = tuple(lookup(a, env) for a in inits)
            return While(carry, new_inits, rename(cond, inner), rename(body, inner), tape)
        case _:
            return map_op(op, lambda a: lookup(a, env), lambda b: rename(b, env))


def rename_function(f: Function) -> Function:
    """A fresh copy of a whole function."""
    env: dict[Var, Atom] = {}
    params = fresh_all(f.params, env)
    donated = frozenset(p for p, old in zip(params, f.params, strict=True) if old in f.donated)
    return Function(params, rename(f.body, env), f.name, donated)


def retype(op: Op, env: dict[Var, Atom]) -> Op:
    """The op with new binders where `env` touches their types; `env` learns those.  Uses are left to the caller."""

    def var(v: Var) -> Var:
        if isinstance(v.type, Scalar) or (t := rename_type(v.type, env)) == v.type:
            return v
        env[v] = w = Var(t, v.hint)
        return w

    match op:
        case Accumulate(accs, inits, body):
            new = tuple(map(var, accs))
            return op if alike(new, accs) else Accumulate(new, inits, body)
        case Loop(carry=carry) | While(carry=carry):
            new = tuple(map(var, carry))
            return op if alike(new, carry) else replace(op, carry=new)
        case _:
            return op


def single_update(op: Op) -> Contribute | None:
    """The contribution of an Accumulate that updates one element of one array, and does nothing else."""
    if isinstance(op, Accumulate) and len(op.accs) == 1 and len(op.body.lets) == 1 and not op.body.outs:
        c = op.body.lets[0].op
        if isinstance(c, Contribute) and c.acc is op.accs[0] and len(c.values) == 1 and c.index:
            return c
    return None
