"""Return sweeps of reductions and scans over any monoid: again scans and maps.

    p_i = p_{i-1} ∘ a_i,  p_{-1} = 1         what a Scan gives; a Reduce gives the last, and its forward sweep keeps all

    λ_i = ȳ_i + ∂₁(p_i ∘ a_{i+1})ᵀ λ_{i+1}   the adjoint of p_i, from the last;  for a Reduce ȳ_i = 0 but at the last
    ā_i += ∂₂(p_{i-1} ∘ a_i)ᵀ λ_i            and what is free in the operator gets its part of the same adjoint: one For
    1̄  += ∂₁(1 ∘ a_0)ᵀ λ_0                  where the identity has a derivative

The λ are a scan, too.  Where the element is one scalar, of the functions λ -> b + c λ, composed:

    (c, b) then (c', b')   =   (c' c,  b' + c' b)             on  (∂₁(p_i ∘ a_{i+1}), ȳ_i)

Else of triples, which needs no Jacobian, where the left operand is the part of the sequence that comes later:

    (x, a, ŷ) then (x', a', ŷ')   =   (x',  a' ∘ a,  ŷ' + ∂₁(x' ∘ a')ᵀ ŷ)        on  (p_i, a_{i+1}, ȳ_i)

It is associative where x' ∘ a' = x, which holds for neighbours.  (Paszke et al., Parallelism-preserving AD, 2021;
Schenck et al., AD for an Array Language, 2022; Bruun et al., Reverse-Mode AD of Multi-Reduce and Scan, 2023.)

A Reduce whose operator has an inverse, y ⊖ a = b where b ∘ a = y, and nothing free that has a derivative needs no p:

    ā_i += ∂₂((y ⊖ a_i) ∘ a_i)ᵀ ȳ
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from iverson.core.build import dtype_of, extents_of, literal
from iverson.core.rewrite import free, rename
from iverson.core.syntax import Atom, For, Map, Prim, Reduce, Scalar, Var
from iverson.diff.adjoints import Frame
from iverson.diff.residuals import MonoidRecord, Plan, Step
from iverson.diff.sweep import Sweep

Atoms: TypeAlias = Sequence[Atom]

CHOICES = ("min", "max")


def fold(s: Sweep, frame: Frame, step: Step, record: MonoidRecord) -> None:
    grads = [s.take(frame, v) for v in step.let.vars]
    if any(g is not None for g in grads):
        run = _Fold(s, frame, step, record, grads)
        if record.prefixes:
            run.sweep()
        else:
            run.from_the_total()


class _Fold:
    def __init__(self, s: Sweep, frame: Frame, step: Step, record: MonoidRecord, grads: Sequence[Atom | None]) -> None:
        op = step.let.op
        assert isinstance(op, For)
        self.s, self.b, self.o = s, s.b, s.b.o
        self.frame, self.record, self.m = frame, record, record.monoid
        self.is_reduce = isinstance(op.yields[0], Reduce)
        self.n = frame.at(op.extent[0])
        self.last = self.o.sub(self.n, 1)
        self.names = step.let.vars
        self.elements = [frame.var(v) for v in record.elements]
        self.prefixes = [frame.var(v) for v in record.prefixes]
        self.unit = [frame.at(a) for a in self.m.identity]
        self.grads = {k: g for k, g in enumerate(grads) if g is not None}
        self.floats = self.components()
        like = [frame.at(a) for a in self.m.identity]
        self.zeros = {k: self.b.zeros(extents_of(like[k]), dtype_of(like[k])) for k in self.floats}

    def components(self) -> list[int]:
        """The components of the prefixes that have an adjoint: given, or by those that depend on them."""
        found, more = set[int](), set(self.grads)
        while more:
            found |= more
            more = set[int]().union(*(self.record.by_left[k] for k in more)) - found
        return sorted(found)

    def active(self) -> list[int]:
        """The components of the elements that have an adjoint by these."""
        reached = set[int]().union(*(self.record.by_right[k] for k in self.floats))
        return sorted(k for k in reached if self.record.elements[k] in self.s.active)

    # --- the operator -------------------------------------------------------------------------------------------------

    def operands(self) -> Sweep:
        """A sweep in which only the operands have derivatives: it can run in an operator."""
        return Sweep(self.b, self.record.names, self.s.derivation, self.s.rules)

    def pulled(
        self, s: Sweep, frame: Frame, plan: Plan, operands: tuple[Atoms, Atoms], seeds: Atoms, of: Sequence[Var]
    ) -> list[Atom]:
        """The adjoints of operands of left ∘ right, whose result has the adjoint `seeds`."""
        child = frame.branch()
        child.values = {}
        for names, atoms in zip((self.m.left, self.m.right), operands, strict=True):
            child.env.update(zip(names, atoms, strict=True))
        s.enter(child, plan, {})
        for k, g in zip(self.floats, seeds, strict=True):
            s.add(child, self.m.body.outs[k], g)
        s.block(child, plan)
        return [s.value(child, v) for v in of]

    def lefts(self) -> list[Var]:
        return [self.m.left[k] for k in self.floats]

    def by_left(self, frame: Frame, left: Atoms, right: Atoms, seeds: Atoms) -> list[Atom]:
        """∂₁(left ∘ right)ᵀ seeds, of the operands alone."""
        return self.pulled(self.operands(), frame, self.record.operands, (left, right), seeds, self.lefts())

    # --- elements -----------------------------------------------------------------------------------------------------

    def element(self, i: Atom) -> list[Atom]:
        return [self.b.read(a, i, safe=True) for a in self.elements]

    def prefix(self, i: Atom) -> list[Atom]:
        return [self.b.read(p, i, safe=True) for p in self.prefixes]

    def following(self, i: Atom) -> list[Atom]:
        """a_{i+1}; for the last, whose λ has no other part, any."""
        return self.element(self.o.min(self.o.add(i, 1), self.last))

    def either(self, p: Atom, then: Callable[[], Atoms], orelse: Atoms) -> list[Atom]:
        return list(self.b.if_(p, lambda: tuple(then()), lambda: tuple(orelse)))

    def seeds(self, i: Atom, j: Atom) -> list[Atom]:
        """ȳ_i, i being the j-th from the end."""
        if not self.is_reduce:
            return [self.b.read(g, i, safe=True) if g else self.zeros[k] for k, g in self.seeded()]
        ends = self.o.eq(j, 0)
        if all(not extents_of(self.zeros[k]) for k in self.floats):
            return [self.o.select(ends, g, self.zeros[k]) if g else self.zeros[k] for k, g in self.seeded()]
        given = [g or self.zeros[k] for k, g in self.seeded()]
        return self.either(ends, lambda: given, [self.zeros[k] for k in self.floats])

    def seeded(self) -> list[tuple[int, Atom | None]]:
        return [(k, self.grads.get(k)) for k in self.floats]

    # --- the sweep ----------------------------------------------------------------------------------------------------

    def sweep(self) -> None:
        along = self.along_functions if self._is_function() else self.along_triples
        adjoints = along()  # λ, from the last

        def after(i: Atom) -> list[Atom]:
            return [self.b.read(a, self.o.sub(self.last, i), safe=True) for a in adjoints]

        m = self.m
        active = self.active()
        wanted = [m.right[k] for k in active]

        def sweep(child: Frame) -> tuple[Var, ...]:
            def body(i: Var) -> list[Atom]:
                left = self.either(self.o.gt(i, 0), lambda: self.prefix(self.o.sub(i, 1)), self.unit)
                return self.pulled(
                    self.s, child.inside({}), self.record.whole, (left, self.element(i)), after(i), wanted
                )

            return self.b.for_(self.n, body, [Map()] * len(wanted))

        found = self.s.within(self.frame, free(m.body, (*m.left, *m.right)), sweep)
        for k, g in zip(active, found, strict=True):
            self.s.add(self.frame, self.record.elements[k], g)
        self.identity(after)

    def _is_function(self) -> bool:
        """One scalar, and a derivative that is no choice, or nothing but one: c = 0 must not meet an infinite λ."""
        smooth = all(isinstance(let.op, Prim) and let.op.name not in (*CHOICES, "select") for let in self.m.body)
        one = len(self.m.left) == 1 and isinstance(self.m.left[0].type, Scalar)
        return one and (smooth or self._is_choice())

    def _is_choice(self) -> bool:
        lets = self.m.body.lets
        return len(lets) == 1 and isinstance(lets[0].op, Prim) and lets[0].op.name in CHOICES

    def along_functions(self) -> tuple[Var, ...]:
        """λ as a scan of the functions λ -> b + c λ."""
        o = self.o
        one, zero = literal(1.0, dtype_of(self.unit[0])), self.zeros[0]

        def element(j: Var) -> list[Atom]:
            i = o.sub(self.last, j)

            return [*self.by_left(self.frame, self.prefix(i), self.following(i), [one]), *self.seeds(i, j)]

        def then(c: Atom, b: Atom, c2: Atom, b2: Atom) -> list[Atom]:
            if self._is_choice():
                passes = o.ne(c2, 0.0)
                return [o.select(passes, c, zero), o.add(b2, o.select(passes, b, zero))]
            return [o.mul(c2, c), o.add(b2, o.mul(c2, b))]

        return (self.b.scan(self.b.operator([one, zero], then), self.n, element)[1],)

    def along_triples(self) -> tuple[Var, ...]:
        """λ as a scan of (prefix, element, adjoint)."""
        b, o, m = self.b, self.o, self.m
        width, zeros = len(m.left), [self.zeros[k] for k in self.floats]

        def element(j: Var) -> list[Atom]:
            i = o.sub(self.last, j)
            return [*self.prefix(i), *self.following(i), *self.seeds(i, j)]

        def then(*both: Atom) -> list[Atom]:
            later, earlier = both[: len(both) // 2], both[len(both) // 2 :]
            x, a, y = earlier[:width], earlier[width : 2 * width], earlier[2 * width :]
            env = dict(zip((*m.left, *m.right), (*a, *later[width : 2 * width]), strict=True))
            composed = b.splice(rename(m.body, {**self.frame.env, **env}))
            back = self.by_left(self.frame, x, a, later[2 * width :])
            return [*x, *composed, *map(self.sum, y, back)]

        operator = b.operator([*self.unit, *self.unit, *zeros], then)
        return tuple(b.scan(operator, self.n, element)[2 * width :])

    def sum(self, x: Atom, y: Atom) -> Atom:
        """x + y, also of rows."""
        b = self.b
        if extents := extents_of(x):
            return b.map(extents, lambda *i: b.o.add(b.read(x, *i, safe=True), b.read(y, *i, safe=True)))
        return b.o.add(x, y)

    def identity(self, after: Callable[[Atom], Atoms]) -> None:
        """The adjoint of the identity, which begins the sequence."""
        s, first = self.s, literal(0)
        active = [k for k in self.floats if s.is_active(self.m.identity[k])]
        if not active:
            return
        wanted = [self.m.left[k] for k in active]

        def some() -> list[Atom]:
            operands = self.unit, self.element(first)
            return self.pulled(self.operands(), self.frame, self.record.operands, operands, after(first), wanted)

        none = [self.grads.get(k, self.zeros[k]) if self.is_reduce else self.zeros[k] for k in active]
        for k, g in zip(active, self.either(self.o.gt(self.n, 0), some, none), strict=True):
            s.add(self.frame, self.m.identity[k], g)

    def from_the_total(self) -> None:
        """The sweep of a Reduce whose operator has an inverse."""
        m, b, inverse = self.m, self.b, self.m.inverse
        assert inverse is not None
        total = [self.frame.at(v) for v in self.names]
        seeds = [self.grads.get(k, self.zeros[k]) for k in self.floats]
        active = self.active()

        def body(i: Var) -> list[Atom]:
            element = self.element(i)
            env = dict(zip((*m.left, *m.right), (*total, *element), strict=True))
            others = b.splice(rename(inverse, {**self.frame.env, **env}))
            wanted = [m.right[k] for k in active]
            return self.pulled(self.operands(), self.frame, self.record.operands, (others, element), seeds, wanted)

        found = b.for_(self.n, body, [Map()] * len(active))
        for k, g in zip(active, found, strict=True):
            self.s.add(self.frame, self.record.elements[k], g)
