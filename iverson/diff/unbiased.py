"""The proof that a gradient with estimates has the right expectation.

An estimate z = P x, E[P] = I, may be used as if it were x if what is made of it is linear in P, and in each of several
independent P: then  E[f(P1 x1, P2 x2)] = f(x1, x2).  So each name of the gradient is a polynomial in the samples that
it depends on, of degree 1 in each:

    sums, casts, reads, maps, branches     the samples of all operands
    products                               the samples of both, which must be independent
    all other primitives, predicates       refused
    loops                                  a carry depends on samples of turns before; those of this turn are
                                           independent of them if their key changes from turn to turn

Two samples are independent if their keys differ.  The same key, and the same sample twice on one path, are refused;
of two names for keys it is checked when the program runs that they aren't equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from iverson.core.build import Builder
from iverson.core.flow import finals_of
from iverson.core.rewrite import dependents, statements, with_body
from iverson.core.sketch import ESTIMATE, SKETCHED, sketch
from iverson.core.syntax import (
    Accumulate,
    Accumulator,
    Atom,
    Block,
    Check,
    Contribute,
    For,
    Function,
    If,
    Let,
    Library,
    Loop,
    Map,
    Operator,
    Prim,
    Read,
    Scalar,
    Site,
    Var,
    While,
    width,
)

LINEAR = {"add", "sub", "neg", "float32", "float64"}
LINEAR_IN = {"factored_solve": (3,), "triangular_solve": (1,), "fft": (0,)}  # of a library operation's arguments


class Biased(ValueError):
    """What would have another expectation; `places` are those of the sketches that are to blame."""

    places: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Sample:
    """One estimate; `before`: of a turn before this one."""

    let: Let
    before: bool = False

    def __hash__(self) -> int:
        return hash((id(self.let), self.before))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sample) and self.let is other.let and self.before == other.before

    @property
    def place(self) -> int:
        of = sketch(self.let.op)
        return 0 if of is None else of.place

    @property
    def key(self) -> Atom:
        assert isinstance(self.let.op, Library)
        return self.let.op.args[1]


Samples: TypeAlias = frozenset[Sample]
NONE: Samples = frozenset()


def prove(f: Function) -> Function:
    """The function, with checks that keys which must differ do; ValueError names a path that isn't unbiased."""
    proof = _Proof(f)
    proof.block(f.body)
    if not proof.differ:
        return f
    b = Builder()
    with b.scope() as lets:
        for x, y in proof.differ:
            b.check(b.o.ne(x, y), "two samples on one path have the same key ({}): iv.random.split gives new ones", x)
    made = {v for x, y in proof.differ for v in (x, y)}
    at = 1 + max((k for k, let in enumerate(f.body) if not made.isdisjoint(let.vars)), default=-1)
    return with_body(f, replace(f.body, lets=(*f.body.lets[:at], *lets, *f.body.lets[at:])))


class _Proof:
    def __init__(self, f: Function) -> None:
        self.outermost = {*f.params, *(v for let in f.body for v in let.vars)}
        self.of: dict[Var, Samples] = {}
        self.came: dict[Var, tuple[Var | None, Site | None]] = {}  # a name -> from which, by the statement of this line
        self.turning: list[tuple[set[Let], set[Var]]] = []  # of the loops around: their samples, what changes by turn
        self.fresh: set[int] = set()  # samples whose key changes from turn to turn
        self.differ: dict[tuple[Atom, Atom], None] = {}

    # --- names --------------------------------------------------------------------------------------------------------

    def samples(self, a: Atom) -> Samples:
        return self.of.get(a, NONE) if isinstance(a, Var) else NONE

    def all(self, atoms: Sequence[Atom]) -> Samples:
        return NONE.union(*map(self.samples, atoms))

    def mark(self, v: Var, samples: Samples, by: Sequence[Atom], let: Let) -> bool:
        """v depends on samples through some of `by`; True if that is news."""
        if samples <= self.of.get(v, NONE):
            return False
        self.of[v] = self.of.get(v, NONE) | samples
        if v not in self.came:
            source = next((a for a in by if isinstance(a, Var) and self.samples(a)), None)
            self.came[v] = (source, let.site)
        return True

    # --- statements ---------------------------------------------------------------------------------------------------

    def block(self, block: Block) -> bool:
        changed = False
        for let in block:
            changed |= self.let(let)
        return changed

    def let(self, let: Let) -> bool:
        op = let.op
        match op:
            case Prim():
                return self.prim(let, op)
            case Read(array):
                return self.mark(let.vars[0], self.samples(array), [array], let)
            case Library():
                return self.library(let, op)
            case Contribute(acc, _, values):
                some = self.all(values)
                assert isinstance(acc.type, Accumulator)
                if some and acc.type.monoid not in ("add", "set", "append"):
                    self.refuse(values, let, "a contribution that isn't added")
                return self.mark(acc, some, values, let)
            case Check(pred):
                if self.samples(pred):
                    self.refuse([pred], let, "a check")
                return False
            case For():
                return self.for_(let, op)
            case Accumulate():
                return self.accumulate(let, op)
            case Loop() | While():
                return self.loop(let, op)
            case If():
                if self.samples(op.pred):
                    self.refuse([op.pred], let, "the condition of a branch")
                changed = self.block(op.then) | self.block(op.orelse)
                for v, x, y in zip(let.vars, op.then.outs, op.orelse.outs, strict=True):
                    changed |= self.mark(v, self.all([x, y]), [x, y], let)
                return changed

    def prim(self, let: Let, op: Prim) -> bool:
        some = self.all(op.args)
        if not some:
            return False
        if op.name == "select" and not self.samples(op.args[0]):
            return self.mark(let.vars[0], some, op.args, let)
        if op.name == "mul":
            self.product(op.args[0], op.args[1], let)
        elif op.name not in LINEAR and not (op.name == "div" and not self.samples(op.args[1])):
            self.refuse([a for a in op.args if self.samples(a)], let, f"`{op.name}`, in which it isn't linear")
        return self.mark(let.vars[0], some, op.args, let)

    def library(self, let: Let, op: Library) -> bool:
        if sketch(op, ESTIMATE):
            of = sketch(op)
            assert of is not None
            if of.unproven:
                return False
            if of.scale is not None:
                raise ValueError(
                    f"a sketch scaled by {of.scale:g} is biased: an estimate P x has E[P] = I only if what is kept is "
                    f"scaled by d/k, which it is without scale=" + _at(let.site)
                )
            own = frozenset({Sample(let)})
            if self.turning and all(op.args[1] in changing for _, changing in self.turning):
                self.fresh.add(id(let))
            return self.mark(let.vars[0], own | self.samples(op.args[0]), op.args[:1], let)
        some = self.all(op.args)
        if not some:
            return False
        if op.name == "matmul":
            self.product(op.args[0], op.args[1], let)
        elif not sketch(op, SKETCHED):
            others = [a for k, a in enumerate(op.args) if k not in LINEAR_IN.get(op.name, ())]
            if self.all(others):
                self.refuse([a for a in others if self.samples(a)], let, f"`{op.name}`, in which it isn't linear")
        changed = False
        for v in let.vars:
            changed |= self.mark(v, some, op.args, let)
        return changed

    def for_(self, let: Let, op: For) -> bool:
        changed, at = self.block(op.body), 0
        for y in op.yields:
            outs, vs = op.body.outs[at : at + width(y)], let.vars[at : at + width(y)]
            at += width(y)
            if self.all(outs) and not isinstance(y, Map) and y.monoid != "add":
                what = "an operator" if isinstance(y.monoid, Operator) else y.monoid
                self.refuse(outs, let, f"a reduction by {what}, in which it isn't linear")
            for v, out in zip(vs, outs, strict=True):
                changed |= self.mark(v, self.samples(out), [out], let)
        return changed

    def accumulate(self, let: Let, op: Accumulate) -> bool:
        changed = False
        for acc, inits in zip(op.accs, op.inits, strict=True):
            changed |= self.mark(acc, self.all(inits), inits, let)
        changed |= self.block(op.body)
        groups = finals_of(let)
        for acc, vs in zip(op.accs, groups, strict=True):
            for v in vs:
                if not _discrete(v):
                    changed |= self.mark(v, self.samples(acc), [acc], let)
        for v, out in zip(let.vars[sum(map(len, groups)) :], op.body.outs, strict=True):
            changed |= self.mark(v, self.samples(out), [out], let)
        return changed

    def loop(self, let: Let, op: Loop | While) -> bool:
        count = len(op.carry)
        inside = {id(s) for s in _estimates(op.body)}
        index = (op.index,) if isinstance(op, Loop) else ()
        changed = False
        self.turning.append((set(), dependents(op.body, (*index, *op.carry))))
        for c, init in zip(op.carry, op.inits, strict=True):
            changed |= self.mark(c, self.samples(init), [init], let)
        while True:
            news = self.block(op.body)
            if isinstance(op, While):
                news |= self.block(op.cond)
                if self.samples(op.cond.outs[0]):
                    self.refuse(op.cond.outs, let, "the condition of a loop")
            for c, out in zip(op.carry, op.body.outs[:count], strict=True):
                older = frozenset(Sample(s.let, s.before or id(s.let) in inside) for s in self.samples(out))
                news |= self.mark(c, older, [out], let)
            if not news:
                break
            changed = True
        self.turning.pop()
        for v, out in zip(let.vars, (*op.carry, *op.body.outs[count:]), strict=True):
            changed |= self.mark(v, self.samples(out), [out], let)
        return changed

    # --- products and refusals ----------------------------------------------------------------------------------------

    def product(self, x: Atom, y: Atom, let: Let) -> None:
        for s in self.samples(x):
            for t in self.samples(y):
                if not self.independent(s, t):
                    what = "the same sample" if s.let is t.let else "a sample of the same key"
                    self.refuse([x, y], let, f"a product with {what}", min(s.place, t.place))

    def independent(self, s: Sample, t: Sample) -> bool:
        if s.place and t.place:
            return False  # one is enough; that nearer to the parameters came first
        if s.let is t.let or s.key is t.key or s.key == t.key:
            return s.before != t.before and {id(s.let), id(t.let)} <= self.fresh
        if {s.key, t.key} <= self.outermost:
            pair = (s.key, t.key)
            if pair[::-1] not in self.differ:
                self.differ.setdefault(pair)
        return True

    def refuse(self, atoms: Sequence[Atom], let: Let, what: str, place: int | None = None) -> None:
        start = next(a for a in atoms if self.samples(a))
        path: list[Site | None] = [let.site]
        at: Var | None = start if isinstance(start, Var) else None
        seen: set[Var] = set()
        while at is not None and at not in seen:
            seen.add(at)
            at, line = self.came.get(at, (None, None))
            path.append(line)
        lines = [_at(p) for k, p in enumerate(path[::-1]) if p is not None and p not in path[::-1][:k]]
        problem = Biased(
            f"a gradient with this sketch would be biased: what is sampled comes to {what}. Its path:"
            + "".join(lines)
            + "\nSketch the array only where it is multiplied by what is differentiated, each with a key of its own"
        )
        problem.places = frozenset({place} if place is not None else (s.place for a in atoms for s in self.samples(a)))
        raise problem


def _estimates(block: Block) -> list[Let]:
    return [let for let in statements(block) if sketch(let.op, ESTIMATE)]


def _discrete(v: Var) -> bool:
    return isinstance(v.type, Scalar) and not v.type.dtype.is_float


def _at(site: Site | None) -> str:
    return f"\n  at {site.file}:{site.line}, in {site.function}" if site else ""
