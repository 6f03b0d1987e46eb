"""bounds: what index ranges, branches and checks prove, is said once and for all.

    Read x[i], Contribute acc[i]      ->  marked safe                where 0 <= i < n
    i < n, i = n, ..                  ->  true, or false             of integers
    select(i < 0, i + n, i)           ->  i, or i + n                the wrap of an index whose sign is known
    min(i, n), max(i, n)              ->  i, or n                    where i <= n
    Check p                           ->  nothing                    where p

What is known: core/bounds.py; of a carry that every turn adds a constant to, that it is at least (or at most) its
initial value; and which results of a For are >= 0.  A mark rests on ranges, branches and checks alone, never on another
access having been in bounds: that one may be dead code.

Integers of the program wrap, sizes don't: arithmetic that might overflow defines nothing.  The extent of an argument is
below 2^48, since memory is; an index is below 2^60, since turns take time; the extent of another array, which may be
gone before it is made, can only be shifted by little.

Invariant: values and errors stay; the count falls by what is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from iverson.core.bounds import Sizes
from iverson.core.dce import dce
from iverson.core.rewrite import map_op, retype
from iverson.core.sizes import Monomial, Size, divide, size
from iverson.core.syntax import (
    BOOL,
    I32,
    I64,
    Array,
    Atom,
    Block,
    Check,
    Contribute,
    For,
    Function,
    Let,
    Literal,
    Loop,
    Map,
    Op,
    Prim,
    Read,
    Reduce,
    Scalar,
    Var,
    While,
    width,
)
from iverson.opt.effects import extents
from iverson.opt.substitute import Substitution

ADDRESS = 48  # bits of an extent
WORD = 62  # bits of an integer that surely didn't wrap
TURNS = 60  # bits of an index, or a counter: it takes that many turns to get there
STEP = 1 << 12  # a counter that moves by less can't wrap in any time there is

Shape: TypeAlias = tuple[Size, ...]


def run(f: Function) -> Function:
    """The function with everything proven that can be, once through."""
    prover = _Prover(f)
    return dce(replace(f, body=prover.block(f.body)))


class _Prover(Substitution):
    def __init__(self, f: Function) -> None:
        super().__init__({})
        self.sizes = Sizes(f)
        self.bits = _Bits(self.sizes)
        self.natural: set[Var] = set()  # arrays whose elements are all >= 0
        self.natural_outs: list[bool] = []  # of the For walked last
        for p in f.params:
            self.bits.argument(p)

    # --- walking ----------------------------------------------------------------------------------------------------

    def let(self, let: Let) -> Sequence[Let]:
        """The statement, marked and with its inner blocks walked; nothing if its result is known."""
        op = let.op
        if isinstance(op, Prim):
            op = Prim(op.name, self.atoms(op.args))
            known = self.known(op)
            if known is not None:
                self.env[let.vars[0]] = known
                return ()
        else:
            op = self.marked(self.nested(map_op(retype(op, self.env), self.atom, lambda b: b)))
        if isinstance(op, Check) and op.pred == Literal(True, BOOL):
            return ()
        new = Let(self.binders(let.vars), op, let.site)
        if self.bits.bind(new):
            self.sizes.bind(new)
        if isinstance(op, Read) and op.array in self.natural:
            self.sizes.fact(size(new.vars[0]))
        elif isinstance(op, For):
            self.natural_results(new, op)
        return (new,)

    def nested(self, op: Op) -> Op:
        """The op with its blocks walked, what holds in each being known there."""
        conditions: list[Atom] = []
        natural: list[bool] = []

        def walk(block: Block) -> Block:
            with self.sizes.inside(op, block):
                if isinstance(op, Loop | While):
                    self.counters(op)
                if isinstance(op, While) and block is op.body:
                    self.sizes.assume(conditions[0])
                walked = self.block(block)
                if isinstance(op, For) and block is op.body:
                    natural[:] = [self.is_natural(a) for a in walked.outs]
            conditions[:] = walked.outs[:1]
            return walked

        if isinstance(op, For):
            self.bits.indices(op.index, op.extent)
        elif isinstance(op, Loop):
            self.bits.indices((op.index,), (op.extent,))
        done = map_op(op, lambda a: a, walk)
        self.natural_outs = natural
        return done

    def counters(self, op: Loop | While) -> None:
        """A carry that every turn adds a constant to stays on one side of its initial value."""
        defined = {let.vars[0]: let.op for let in op.body if isinstance(let.op, Prim)}
        for carry, init, out in zip(op.carry, op.inits, op.body.outs, strict=False):
            by = _step(defined.get(out), carry) if isinstance(out, Var) and carry.type == Scalar(I64) else None
            if by is not None and abs(by) < STEP and self.bits.of(init) <= ADDRESS + 8:
                self.bits.known[carry] = TURNS
                moved = size(carry) - self.sizes.of(init)
                self.sizes.fact(moved if by >= 0 else -moved)

    def is_natural(self, a: Atom) -> bool:
        return a.type == Scalar(I64) and self.holds(self.sizes.of(a))

    def natural_results(self, let: Let, op: For) -> None:
        """Integers that are >= 0 in every turn stay so as elements, as the least, and as the place of the best."""
        at = 0
        for y in op.yields:
            k = at + width(y) - 1
            at = k + 1
            if not self.natural_outs[k]:
                continue
            if isinstance(y, Map):
                self.natural.add(let.vars[k])
            elif isinstance(y, Reduce) and y.monoid in ("min", "argmin", "argmax"):
                self.sizes.fact(size(let.vars[k]))

    # --- deciding ---------------------------------------------------------------------------------------------------

    def known(self, op: Prim) -> Atom | None:
        """What an integer primitive is, if that is one of its arguments or a truth value."""
        args = op.args
        if op.name == "select" and isinstance(args[0], Literal):
            return args[1] if args[0].value else args[2]
        if op.name not in _DECIDED or any(a.type != Scalar(I64) for a in args):
            return None
        more = self.sizes.of(args[1]) - self.sizes.of(args[0])
        if op.name in ("min", "max"):
            first, second = args if op.name == "min" else (args[1], args[0])
            return first if self.holds(more) else second if self.holds(-more) else None
        if op.name in ("eq", "ne"):
            if more.constant != 0 and not self.holds(more - 1) and not self.holds(-more - 1):
                return None
            return Literal((more.constant == 0) == (op.name == "eq"), BOOL)
        yes, no = {"lt": (more - 1, -more), "le": (more, -more - 1), "gt": (-more - 1, more), "ge": (-more, more - 1)}[
            op.name
        ]
        return Literal(True, BOOL) if self.holds(yes) else Literal(False, BOOL) if self.holds(no) else None

    def holds(self, p: Size) -> bool:
        return self.sizes.nonnegative(p)

    def marked(self, op: Op) -> Op:
        if isinstance(op, Read) and not op.safe:
            return replace(op, safe=self.inside(op.index, op.array))
        if isinstance(op, Contribute) and not op.safe:
            return replace(op, safe=self.inside(op.index, op.acc))
        return op

    def inside(self, index: Sequence[Atom], array: Var) -> bool:
        return all(self.sizes.within(i, n) for i, n in zip(index, extents(array.type), strict=False))


_DECIDED = frozenset({"lt", "le", "gt", "ge", "eq", "ne", "min", "max"})


def _step(op: Op | None, carry: Var) -> int | None:
    """What an addition adds to the carry, if that is a constant."""
    if not isinstance(op, Prim) or op.name not in ("add", "sub"):
        return None
    x, y = op.args
    if x is carry and isinstance(y, Literal):
        return int(y.value) if op.name == "add" else -int(y.value)
    return int(x.value) if op.name == "add" and y is carry and isinstance(x, Literal) else None


# --- overflow ---------------------------------------------------------------------------------------------------------


class _Bits:
    """How large integers may be, in bits: 63 if nothing is known."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self.known: dict[Atom, int] = {}
        self.ceiling: dict[Var, Size] = {}  # of an index: its extent
        self.shapes: set[Shape] = set()  # of the arguments
        self.local: set[Atom] = set()  # the extents of other arrays

    def of(self, a: Atom) -> int:
        return abs(int(a.value)).bit_length() if isinstance(a, Literal) else self.known.get(a, 63)

    def argument(self, v: Var) -> None:
        """The extents of an argument fit memory, and so does their product."""
        if isinstance(v.type, Array):
            self.known.update((e, ADDRESS) for e in v.type.extents if isinstance(e, Var))
            self.shapes.add(tuple(map(self.sizes.of, v.type.extents)))

    def indices(self, index: Sequence[Var], extent: Sequence[Atom]) -> None:
        for i, n in zip(index, extent, strict=True):
            self.known[i] = min(self.of(n), TURNS)
            self.ceiling[i] = self.sizes.of(n)

    def bind(self, let: Let) -> bool:
        """Learn what a statement binds; does its arithmetic surely not overflow?"""
        if not isinstance(let.op, Prim):
            self.local.update(e for v in let.vars for e in extents(v.type) if isinstance(e, Var))
            return True
        (v,), op = let.vars, let.op
        if v.type == Scalar(BOOL):
            return True
        bits = self.result(op) if v.type in (Scalar(I64), Scalar(I32)) else 63
        self.known[v] = min(bits, 63)
        return bits <= WORD

    def result(self, op: Prim) -> int:
        each = [self.of(a) for a in op.args]
        match op.name:
            case "add" | "sub":
                shift = isinstance(op.args[1], Literal) and abs(int(op.args[1].value)) < STEP
                return WORD if shift and op.args[0] in self.local else max(each) + 1
            case "mul":
                return sum(each) if sum(each) <= WORD else self.volume(op.args)
            case "neg" | "min" | "max" | "mod" | "abs":
                return max(each)
            case "select":
                return max(each[1:])
            case "floordiv":
                return each[0]
            case "int64":
                t = op.args[0].type
                return {BOOL: 1, I32: 31}.get(t.dtype, 63) if isinstance(t, Scalar) else 63
            case _:
                return 63

    def volume(self, args: Sequence[Atom]) -> int:
        """A product of extents of one array, or of indices below them, is below the array's size."""
        total: Size = size(1)
        for a in args:
            total = total * self.sizes.of(a)
        for i in total.factors():
            if i in self.ceiling:
                total = total.replace(i, self.ceiling[i])
        small = sum(abs(float(c)) for c in total.terms.values()) < 256
        fits = all(any(_divides(m, shape) for shape in self.shapes) for m in total.terms)
        return WORD if small and fits else 63


def _divides(m: Monomial, shape: Shape) -> bool:
    """Is the product m part of the product of a shape?"""
    volume: Size = size(1)
    for n in shape:
        volume = volume * n
    return any(divide(k, m) is not None for k in volume.terms) and len(volume.terms) == 1
