"""bounds: what index ranges, branches and checks prove, is said once and for all.

    Read x[i], Contribute acc[i]      ->  marked safe                where 0 <= i < n
    i < n, i = n, ..                  ->  true, or false             of integers
    select(i < 0, i + n, i)           ->  i, or i + n                the wrap of an index whose sign is known
    min(i, n), max(i, n)              ->  i, or n                    where i <= n
    Check p                           ->  nothing                    where p

What is known: core/bounds.py; of a carry that every turn adds a constant to, that it is at least (or at most) its
initial value; of other carries, what an induction shows (opt/carries.py); and which results of a For are >= 0.  A mark
rests on ranges, branches and checks alone, never on another access having been in bounds: that one may be dead code.

Integers of the program wrap, sizes don't: arithmetic that might overflow (opt/overflow.py) defines nothing.

Invariant: values and errors stay; the count falls by what is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from iverson.core.bounds import Sizes
from iverson.core.dce import dce
from iverson.core.rewrite import alike, map_op, remade, retype, with_body
from iverson.core.sizes import Size, size
from iverson.core.syntax import (
    BOOL,
    I64,
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
from iverson.opt.carries import Fact, Induction
from iverson.opt.effects import extents
from iverson.opt.overflow import ADDRESS, STEP, TURNS, Bits
from iverson.opt.substitute import Substitution


def run(f: Function) -> Function:
    """The function with everything proven that can be, once through."""
    prover = Prover(f)
    return dce(with_body(f, prover.block(f.body)))


class Prover(Substitution):
    def __init__(self, f: Function) -> None:
        super().__init__({})
        self.sizes = Sizes(f)
        self.bits = Bits(self.sizes)
        self.induction = Induction(self.sizes, self.bits, self.atom)
        self.carried: list[Fact] = []  # of the loop walked last
        self.natural: set[Var] = set()  # arrays whose elements are all >= 0
        self.natural_outs: list[bool] = []  # of the For walked last
        for p in f.params:
            self.bits.argument(p)

    # --- walking ----------------------------------------------------------------------------------------------------

    def let(self, let: Let) -> Sequence[Let]:
        """The statement, marked and with its inner blocks walked; nothing if its result is known."""
        op = let.op
        if isinstance(op, Prim):
            args = self.atoms(op.args)
            op = op if alike(args, op.args) else Prim(op.name, args)
            known = self.known(op)
            if known is not None:
                self.env[let.vars[0]] = known
                return ()
        else:
            op = self.marked(self.nested(map_op(retype(op, self.env), self.atom, lambda b: b)))
        if isinstance(op, Check) and op.pred == Literal(True, BOOL):
            return ()
        new = remade(let, self.binders(let.vars), op)
        if self.bits.bind(new):
            self.sizes.bind(new)
        if isinstance(op, Read) and op.array in self.natural:
            self.sizes.fact(size(new.vars[0]))
        elif isinstance(op, For):
            self.natural_results(new, op)
        elif isinstance(op, Loop | While):
            self.induction.behind(self.carried, new.vars)
        return (new,)

    def nested(self, op: Op) -> Op:
        """The op with its blocks walked, what holds in each being known there."""
        conditions: list[Atom] = []
        natural: list[bool] = []

        def walk(block: Block) -> Block:
            with self.sizes.inside(op, block):
                if isinstance(op, Loop | While):
                    self.counters(op)
                    self.induction.assume(facts, op.carry)
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
        facts = self.induction.facts(op) if isinstance(op, Loop | While) else []
        done = map_op(op, lambda a: a, walk)
        self.natural_outs, self.carried = natural, facts
        return done

    def counters(self, op: Loop | While) -> None:
        """A carry that every turn adds a constant to stays on one side of its initial value."""
        defined = {let.vars[0]: let.op for let in op.body if isinstance(let.op, Prim)}
        for carry, init, out in zip(op.carry, op.inits, op.body.outs, strict=False):
            by = _step(defined.get(out), carry) if isinstance(out, Var) and carry.type == Scalar(I64) else None
            if by is not None and abs(by) < STEP and self.bits.of(init) <= ADDRESS + 8:
                low, high = self.bits.sides(init)
                self.bits.known[carry] = (low, TURNS) if by >= 0 else (TURNS, high)
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
        if isinstance(op, Read) and not op.safe and self.inside(op.index, op.array):
            return replace(op, safe=True)
        if isinstance(op, Contribute) and not op.safe and self.inside(op.index, op.acc):
            return replace(op, safe=True)
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
