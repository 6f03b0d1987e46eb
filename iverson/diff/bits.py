"""What the forward sweep decided, as bits.

    m: bool [n..., k]  made in the forward sweep, read element by element in the return sweep
        ->  w = for i < ⌈N / 64⌉ map Σ_b m[64 i + b] << b        N the elements, in row-major order
            m[e] in the return sweep  ->  bit e mod 64 of w[e div 64]

An array of bools takes a byte an element, so m is an eighth as large while the return sweep waits.  Of what a loop
emits in each turn the turn packs its own, so all of it never exists as bytes.  Arrays that are read otherwise, or that
are results of the program, stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from iverson.core.build import Builder, dtype_of, extents_of
from iverson.core.rewrite import atoms, blocks, map_blocks, statements, uses, with_lets
from iverson.core.syntax import BOOL, I64, Array, Atom, Block, For, Function, Let, Literal, Loop, Read, Scalar, Var
from iverson.diff.adjoints import flatten, product

WORD, SHIFT = 64, 6


@dataclass(frozen=True)
class Packed:
    """Where the bools of an array are found, of which some indices are known."""

    words: Var
    extents: tuple[Atom, ...]  # of the whole array
    lead: int  # of its first axes each index has words of its own
    index: tuple[Atom, ...] = ()

    def read(self, b: Builder, index: Sequence[Atom]) -> Atom:
        o, whole = b.o, (*self.index, *index)
        at = flatten(b, whole[self.lead :], self.extents[self.lead :])
        word = b.read(self.words, *whole[: self.lead], o.lshr(at, SHIFT), safe=True)
        return o.ne(o.bit_and(o.lshr(word, o.bit_and(at, WORD - 1)), 1), 0)


def packed(function: Function, forward: Collection[Var]) -> tuple[Function, dict[Var, Var]]:
    """The function with bits for the bools that its return sweep reads, and the array that each of them is of.

    `forward` are the names that the forward sweep binds; it and the return sweep share the outermost block.
    """
    body = function.body
    first = [any(v in forward for v in let.vars) for let in body]
    back = [let for let, early in zip(body, first, strict=True) if not early]
    needed = {v for let, early in zip(body, first, strict=True) if early for v in uses(let)}
    chosen = {v for let, early in zip(body, first, strict=True) if early for v in let.vars if _is_mask(v, let)}
    chosen = {v for v in chosen if v not in body.outs and _is_read(v, back)}
    if not chosen:
        return function, {}
    found: dict[Var, Packed] = {}
    b = Builder()
    with b.scope() as lets:
        for let, early in zip(body, first, strict=True):
            b.site = let.site
            if not early:
                _reading(b, let, found)
                continue
            some = [v for v in let.vars if v in chosen]
            emitted = [v for v in some if v in _emits(let) and len(extents_of(v)) > 1 and v not in needed]
            b.let(_emitting(b, let, emitted, found) if emitted else let)
            for v in some:
                if v not in emitted:
                    found[v] = Packed(_words(b, v), extents_of(v), 0)
    words = {p.words: v for v, p in found.items() if v in chosen}
    return replace(function, body=Block(tuple(lets), body.outs)), words


def _is_mask(v: Var, let: Let) -> bool:
    if not isinstance(v.type, Array) or dtype_of(v) is not BOOL or not isinstance(let.op, For | Loop):
        return False
    packed_at_once = extents_of(v)[v in _emits(let) and len(extents_of(v)) > 1 :]
    sizes = [e.value for e in packed_at_once if isinstance(e, Literal)]
    return len(sizes) < len(packed_at_once) or math.prod(sizes) > WORD // 8  # else a word is no less than bytes


def _emits(let: Let) -> tuple[Var, ...]:
    """What a loop stacks, a value a turn."""
    return let.vars[len(let.op.carry) :] if isinstance(let.op, Loop) else ()


def _is_read(v: Var, lets: Sequence[Let]) -> bool:
    """Is the array used, and only to read elements?"""
    block = Block(tuple(lets), ())
    return any(v in uses(let) for let in lets) and _only_read(v, block)


def _only_read(v: Var, block: Block) -> bool:
    for let in statements(block):
        if any(v in inner.outs for _, inner in blocks(let.op)):
            return False
        if v in atoms(let.op):
            if not isinstance(let.op, Read) or v in let.op.index:
                return False
            (row,) = let.vars
            if not isinstance(row.type, Scalar) and not _only_read(row, block):
                return False
    return True


def _reading(b: Builder, let: Let, found: dict[Var, Packed]) -> None:
    """Emit the statement, with what it reads of bools as bits."""
    op = let.op
    if not isinstance(op, Read):
        b.let(map_blocks(let, lambda inner: _block(inner, found)) if any(v in found for v in uses(let)) else let)
    elif op.array not in found:
        b.let(let)
    elif isinstance(let.vars[0].type, Scalar):
        with b.scope() as lets:
            found[op.array].read(b, op.index)
        for new in lets[:-1]:
            b.let(new)
        b.let(Let(let.vars, lets[-1].op, let.site))
    else:
        of = found[op.array]
        found[let.vars[0]] = replace(of, index=(*of.index, *op.index))


def _block(block: Block, found: dict[Var, Packed]) -> Block:
    b = Builder()
    with b.scope() as lets:
        for let in block:
            b.site = let.site
            _reading(b, let, found)
    return with_lets(block, lets)


def _emitting(b: Builder, let: Let, emitted: Sequence[Var], found: dict[Var, Packed]) -> Let:
    """A loop whose turns emit words instead of these arrays."""
    op = let.op
    assert isinstance(op, Loop)
    vs, outs = list(let.vars), list(op.body.outs)
    turn = Builder()
    turn.site = let.site
    with turn.scope() as lets:
        for inner in op.body:
            turn.let(inner)
        for v in emitted:
            k = let.vars.index(v)
            count = _count(b, extents_of(v)[1:])
            out = outs[k]
            assert isinstance(out, Var)
            outs[k] = _words(turn, out, count)
            vs[k] = Var(Array(I64, (extents_of(v)[0], count)), v.hint)
            found[v] = Packed(vs[k], extents_of(v), 1)
    return Let(tuple(vs), replace(op, body=Block(tuple(lets), tuple(outs))), let.site)


def _count(b: Builder, extents: Sequence[Atom]) -> Atom:
    return b.o.floordiv(b.o.add(product(b, extents), WORD - 1), WORD)


def _words(b: Builder, m: Var, count: Atom | None = None) -> Var:
    """The bits of an array of bools."""
    o, extents = b.o, extents_of(m)
    total = product(b, extents)
    whole = o.floordiv(total, WORD)

    def word(k: Atom) -> Atom:
        start = o.mul(k, WORD)

        def bit(i: Atom) -> Atom:
            at, index = o.add(start, i), list[Atom]()
            for n in reversed(extents[1:]):  # with differences for remainders the row-major position is `at` again
                above = o.floordiv(at, n)
                index.insert(0, o.sub(at, o.mul(above, n)))
                at = above
            return o.shl(o.int64(b.read(m, at, *index, safe=True)), i)

        def bits(n: Atom) -> Atom:
            made: Atom = b.reduce("add", n, bit)
            return made

        return b.if_(o.lt(k, whole), lambda: bits(Literal(WORD, I64)), lambda: bits(o.sub(total, start)))[0]

    return b.map(_count(b, extents) if count is None else count, word)
