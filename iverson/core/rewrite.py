"""Generic traversals: what an op reads, binds and contains, and how to rebuild it with parts replaced.

A pass says only what it does to the constructs it is about; these carry the boring cases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

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


def operators(op: Op) -> list[Operator]:
    """The user operators an op carries."""
    monoids: list[Monoid] = []
    if isinstance(op, For):
        monoids = [y.monoid for y in op.yields if isinstance(y, Reduce | Scan)]
    elif isinstance(op, Accumulate):
        monoids = [a.type.monoid for a in op.accs if isinstance(a.type, Accumulator)]
    return [m for m in monoids if isinstance(m, Operator)]


def atoms(op: Op) -> Iterator[Atom]:
    """The atoms an op itself uses: not those inside its blocks, not the extents in types."""
    match op:
        case Prim(_, args) | Library(_, args, _) | Check(_, _, args, _):
            if isinstance(op, Check):
                yield op.pred
            yield from args
        case Read(array, index):
            yield array
            yield from index
        case For():
            yield from op.extent
        case Accumulate():
            for init in op.inits:
                yield from init
        case Contribute(acc, index, values):
            yield acc
            yield from index
            yield from values
        case Loop():
            yield op.extent
            yield from op.inits
        case While():
            yield from op.inits
        case If(pred):
            yield pred
    for o in operators(op):
        yield from o.identity


def blocks(op: Op) -> list[tuple[tuple[Var, ...], Block]]:
    """The blocks of an op, each with the variables it binds on entry."""
    inner: list[tuple[tuple[Var, ...], Block]] = []
    for o in operators(op):
        inner += [((*o.left, *o.right), b) for b in (o.body, o.inverse) if b is not None]
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
    seen: dict[Var, None] = {}
    _free(block, set(bound), seen)
    return seen


def _free(block: Block, bound: set[Var], seen: dict[Var, None]) -> None:
    def use(atom: Atom) -> None:
        if isinstance(atom, Var) and atom not in bound:
            seen.setdefault(atom)

    for let in block:
        for a in atoms(let.op):
            use(a)
        for binders, inner in blocks(let.op):
            bound.update(binders)
            for v in binders:
                for a in type_atoms(v.type):
                    use(a)
            _free(inner, bound, seen)
        bound.update(let.vars)
        for v in let.vars:
            for a in type_atoms(v.type):
                use(a)
    for a in block.outs:
        use(a)


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


def map_op(op: Op, atom: Callable[[Atom], Atom], block: Callable[[Block], Block]) -> Op:
    """Rebuild an op with its atoms and its blocks mapped; binders and types are left alone."""

    def var(v: Var) -> Var:
        w = atom(v)
        assert isinstance(w, Var), "an array or accumulator is always a variable"
        return w

    def monoid(m: Monoid) -> Monoid:
        if not isinstance(m, Operator):
            return m
        inverse = None if m.inverse is None else block(m.inverse)
        return Operator(tuple(map(atom, m.identity)), m.left, m.right, block(m.body), inverse)

    def of_yield(y: Yield) -> Yield:
        return replace(y, monoid=monoid(y.monoid)) if isinstance(y, Reduce | Scan) else y

    match op:
        case Prim(name, args):
            return Prim(name, tuple(map(atom, args)))
        case Library(name, args, params):
            return Library(name, tuple(map(atom, args)), params)
        case Check(pred, message, args, error):
            return Check(atom(pred), message, tuple(map(atom, args)), error)
        case Read(array, index, safe):
            return Read(var(array), tuple(map(atom, index)), safe)
        case For(index, extent, body, yields):
            return For(index, tuple(map(atom, extent)), block(body), tuple(map(of_yield, yields)))
        case Accumulate(accs, inits, body):
            return Accumulate(accs, tuple(tuple(map(atom, i)) for i in inits), block(body))
        case Contribute(acc, index, values, safe):
            return Contribute(var(acc), tuple(map(atom, index)), tuple(map(atom, values)), safe)
        case Loop(index, extent, carry, inits, body):
            return Loop(index, atom(extent), carry, tuple(map(atom, inits)), block(body))
        case While(carry, inits, cond, body):
            return While(carry, tuple(map(atom, inits)), block(cond), block(body))
        case If(pred, then, orelse):
            return If(atom(pred), block(then), block(orelse))


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
        case Loop(index, extent, carry, inits, body):
            (index,) = fresh_all((index,), inner)
            carry = fresh_all(carry, inner)
            new_inits = tuple(lookup(a, env) for a in inits)
            return Loop(index, lookup(extent, env), carry, new_inits, rename(body, inner))
        case While(carry, inits, cond, body):
            carry = fresh_all(carry, inner)
            new_inits = tuple(lookup(a, env) for a in inits)
            return While(carry, new_inits, rename(cond, inner), rename(body, inner))
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
            return Accumulate(tuple(map(var, accs)), inits, body)
        case Loop(index, extent, carry, inits, body):
            return Loop(index, extent, tuple(map(var, carry)), inits, body)
        case While(carry, inits, cond, body):
            return While(tuple(map(var, carry)), inits, cond, body)
        case _:
            return op


def single_update(op: Op) -> Contribute | None:
    """The contribution of an Accumulate that updates one element of one array, and does nothing else."""
    if isinstance(op, Accumulate) and len(op.accs) == 1 and len(op.body.lets) == 1 and not op.body.outs:
        c = op.body.lets[0].op
        if isinstance(c, Contribute) and c.acc is op.accs[0] and len(c.values) == 1 and c.index:
            return c
    return None
