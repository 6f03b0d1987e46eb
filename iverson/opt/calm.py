"""calm: a nest of loops in which nothing raises, and the tests, made before it, that nothing would have.

    For [i < n] { check p(i); x[i] }    ->    all (p(i) and 0 <= i < len x  for i < n),  For [i < n] { x[i!] }

of what primitives make of the indices of at most two loops: a test costs a part of what the loops do.  A test may be
stricter than the checks were, since it is for all turns: then the nest is taken as it was.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from iverson.core.build import Builder, literal
from iverson.core.rewrite import map_op
from iverson.core.syntax import Atom, Block, Check, Contribute, For, Let, Literal, Prim, Read, Var
from iverson.opt.effects import Effects, extents

MOST = 2  # loops that a test runs over

Test: TypeAlias = tuple[Atom, ...]  # a bool; or an index, and what it must be less than


@dataclass
class Calm:
    """What has been taken out of a nest."""

    effects: Effects
    extent: dict[Var, Atom] = field(default_factory=dict)  # of the loops, outermost first
    made: dict[Var, Let] = field(default_factory=dict)  # what they bind
    tests: dict[tuple[Var, ...], list[Test]] = field(default_factory=dict)  # by loops run over

    def nest(self, let: Let) -> Let:
        """The nest without what can be tested before it."""
        op = let.op
        assert isinstance(op, For)
        self.extent.update(zip(op.index, op.extent, strict=True))
        lets: list[Let] = []
        for s in op.body:
            self.made.update(dict.fromkeys(s.vars, s))
            if isinstance(s.op, For):
                lets.append(self.nest(s))
            elif isinstance(s.op, Check):
                lets += [] if not s.op.warns and self.holds([(s.op.pred,)]) else [s]
            elif isinstance(s.op, Read | Contribute) and self.effects.fails(s.op):
                lets.append(replace(s, op=replace(s.op, safe=self.inside(s.op))))
            else:
                lets.append(s)
        return replace(let, op=replace(op, body=Block(tuple(lets), op.body.outs)))

    def inside(self, op: Read | Contribute) -> bool:
        axes = extents(op.array.type if isinstance(op, Read) else op.acc.type)
        pairs = list(zip(op.index, axes, strict=False))
        return self.holds([pair for pair in pairs if not self.effects.evident((pair[0],), (pair[1],))])

    def holds(self, tests: Sequence[Test]) -> bool:
        """Note tests to be made; False if one can't be made before the nest."""
        found: list[tuple[Var, ...]] = []
        for test in tests:
            loops = self.loops(test)
            if loops is None or len(loops) > MOST:
                return False
            found.append(tuple(i for i in self.extent if i in loops))
        for over, test in zip(found, tests, strict=True):
            if test not in self.tests.setdefault(over, []):
                self.tests[over].append(test)
        return True

    def loops(self, values: Sequence[Atom]) -> dict[Var, None] | None:
        """The loops whose indices primitives make some values of; None if there is more in them."""
        found: dict[Var, None] = {}
        for a in values:
            here: dict[Var, None] | None = {}
            if isinstance(a, Var) and a in self.extent:
                here = self.loops((self.extent[a],))
                found[a] = None
            elif isinstance(a, Var) and a in self.made:
                op = self.made[a].op
                here = self.loops(op.args) if isinstance(op, Prim) and not self.effects.fails(op) else None
            if here is None:
                return None
            found |= here
        return found

    def after(self, b: Builder, pays: Atom, known: Collection[Atom]) -> Atom:
        """What holds if `pays` and the tests do; those that run over loops are made if that holds."""
        for test in self.tests.get((), ()):
            if test[0] not in known:
                pays = b.prim("and", pays, self.here(b, [test], {}))
        loops = [over for over in self.tests if over]

        def inside() -> Atom:
            found: Atom = literal(True)
            for over in loops:
                found = b.prim("and", found, self.test(b, over))
            return found

        return b.if_(pays, inside, lambda: literal(False))[0] if loops else pays

    def test(self, b: Builder, over: Sequence[Var]) -> Atom:
        """Do the tests that run over some loops hold?"""

        def turns(loops: Sequence[Var], env: Mapping[Var, Atom]) -> Atom:
            if not loops:
                return self.here(b, self.tests[tuple(over)], dict(env))
            i, *inner = loops
            found = b.reduce("and", self.at(b, self.extent[i], dict(env)), lambda k: turns(inner, {**env, i: k}))
            assert isinstance(found, Var)
            return found

        return turns(over, {})

    def here(self, b: Builder, tests: Sequence[Test], env: dict[Var, Atom]) -> Atom:
        found: Atom = literal(True)
        for test in tests:
            first, *axis = (self.at(b, a, env) for a in test)
            for n in axis:
                found = b.prim("and", found, b.o.ge(first, 0))
                first = b.o.lt(first, n)
            found = b.prim("and", found, first)
        return found

    def at(self, b: Builder, a: Atom, env: dict[Var, Atom]) -> Atom:
        """A value, where `env` says what indices are."""
        if isinstance(a, Literal) or a in env or a not in self.made:
            return a if isinstance(a, Literal) else env.get(a, a)
        env[a] = b.emit(map_op(self.made[a].op, lambda x: self.at(b, x, env), lambda block: block))[0]
        return env[a]
