"""What an Accumulate overwrites of an array: the elements' old values, and how they are put back.

    x' = Accumulate [acc = x] { A; For i < n { B; For j < m { acc[e] v } } }
        ->  before it   A; old = For i < n { B; For j < m { x[e] } map } map
            undone      Accumulate [set = x'] { A; For i < n { B; For j < m { set[e] <- old[i, j] } } }

Only what the places need is left of A and B.  An index that they don't depend on counts once: For j < min(m, 1).  The
places are had again from the program's own names, so the values are all that is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

from iverson.core.build import Builder
from iverson.core.rewrite import Env, contributed, lookup, rename_let, uses
from iverson.core.syntax import Accumulate, Array, Atom, Block, Check, Contribute, For, Let, Prim, Var
from iverson.diff.contributions import strip

T = TypeVar("T")
Extents: TypeAlias = Sequence[Sequence[Atom]]  # of the Fors, by level
HARMLESS = frozenset({"add", "sub", "mul", "neg", "min", "max"})  # of integers: they can't raise


@dataclass(frozen=True)
class Level:
    """Statements, and the For that follows them (the innermost has none)."""

    lets: tuple[Let, ...]
    index: tuple[Var, ...] = ()
    extent: tuple[Atom, ...] = ()
    once: frozenset[Var] = frozenset()  # indices that the places don't depend on


@dataclass(frozen=True)
class Places:
    """The places that one Contribute writes, from the outside in."""

    levels: tuple[Level, ...]
    at: Contribute

    def old(self, b: Builder, array: Var) -> Var:
        """The values there now, stacked by the indices of the levels."""
        env = self._enter(b, 0, {})
        return self._values(b, array, 0, env, self._extents(b, env))

    def put(self, b: Builder, buffer: Atom, old: Var, env: Env) -> Var:
        """Write the values back; `env` has the program's names as they are now."""

        def body(acc: Var) -> tuple[Atom, ...]:
            inner = self._enter(b, 0, env)
            self._writes(b, acc, old, 0, inner, self._extents(b, inner), ())
            return ()

        return b.accumulate([("set", [buffer])], body)[0]

    def _values(self, b: Builder, array: Var, k: int, env: Env, extents: Extents) -> Var:
        """Behind the statements of level k."""

        def inside(_: Sequence[Var], inner: Env) -> Atom:
            return self._values(b, array, k + 1, self._enter(b, k + 1, inner), extents)

        if not extents[k]:
            return b.read(array, *(lookup(a, env) for a in self.at.index), safe=self.at.safe)
        return b.map(extents[k], self._bound(k, env, inside))

    def _writes(
        self, b: Builder, acc: Var, old: Var, k: int, env: Env, extents: Extents, above: tuple[Atom, ...]
    ) -> None:
        def inside(index: Sequence[Var], inner: Env) -> tuple[Atom, ...]:
            self._writes(b, acc, old, k + 1, self._enter(b, k + 1, inner), extents, (*above, *index))
            return ()

        if extents[k]:
            b.for_(extents[k], self._bound(k, env, inside), ())
        else:
            value = b.read(old, *above, safe=True) if above else old
            b.contribute(acc, [lookup(a, env) for a in self.at.index], value, safe=self.at.safe)

    def _extents(self, b: Builder, env: Env) -> Extents:
        """The extents of all levels: they are known behind the statements of the first."""
        pairs = [[(i, lookup(n, env)) for i, n in zip(v.index, v.extent, strict=True)] for v in self.levels]
        return [[b.o.min(n, 1) if i in v.once else n for i, n in p] for v, p in zip(self.levels, pairs, strict=True)]

    def _enter(self, b: Builder, k: int, env: Env) -> Env:
        """Emit the statements of a level; give the names from here on."""
        inner = dict(env)
        for let in self.levels[k].lets:
            b.let(rename_let(let, inner))
        return inner

    def _bound(self, k: int, env: Env, body: Callable[[Sequence[Var], Env], T]) -> Callable[..., T]:
        return lambda *index: body(index, {**env, **dict(zip(self.levels[k].index, index, strict=True))})


def places(op: Accumulate, acc: Var, refuse: Collection[Var]) -> list[Places] | None:
    """What a block writes through an accumulator; None where it isn't regular.

    Regular: contributions lie in Fors alone, whose extents are known before the first of them, and no place depends on
    the arrays to `refuse` (which are being overwritten).
    """
    found = list(_places(op.body, acc, ()))
    if any(p is None for p in found):
        return None
    regular = [_sliced(p) for p in found if p is not None]
    ok = all(_known_before(p) and _arrays(p).isdisjoint(refuse) for p in regular)
    return regular if ok else None


def _places(block: Block, acc: Var, above: tuple[Level, ...]) -> Iterator[Places | None]:
    for n, let in enumerate(block.lets):
        match let.op:
            case Contribute() as c if c.acc is acc:
                yield Places((*above, Level(block.lets[:n])), c)
            case For(index, extent, body) if acc in contributed(let.op):
                yield from _places(body, acc, (*above, Level(block.lets[:n], index, extent)))
            case op if acc in contributed(op):
                yield None
            case _:
                pass


def _sliced(p: Places) -> Places:
    """With only the statements that the places and the extents need."""
    needed = {a for a in p.at.index if isinstance(a, Var)}
    levels: list[Level] = []
    for level in reversed(p.levels):
        once = frozenset(i for i in level.index if i not in needed)
        needed |= {a for a in level.extent if isinstance(a, Var)}
        lets: list[Let] = []
        for let in reversed(level.lets):
            if needed.intersection(let.vars) and not isinstance(let.op, Contribute | Check):
                lets.insert(0, strip(let))
                needed.update(uses(let))
        levels.insert(0, Level(tuple(lets), level.index, level.extent, once))
    return Places(_floated(levels), p.at)


def _floated(levels: Sequence[Level]) -> tuple[Level, ...]:
    """With what inner levels compute of outer names alone, such as extents, at the outermost."""
    first, *rest = levels
    inner, lets, below = set(first.index), list(first.lets), []
    for level in rest:
        stay: list[Let] = []
        for let in level.lets:
            if isinstance(let.op, Prim) and let.op.name in HARMLESS and inner.isdisjoint(uses(let)):
                lets.append(let)
            else:
                stay.append(let)
                inner.update(let.vars)
        inner.update(level.index)
        below.append(replace(level, lets=tuple(stay)))
    return (replace(first, lets=tuple(lets)), *below)


def _known_before(p: Places) -> bool:
    inner: set[Atom] = set()
    for level in p.levels:
        if inner.intersection(level.extent):
            return False
        inner.update(level.index)
        if level is not p.levels[0]:
            inner.update(v for let in level.lets for v in let.vars)
            if inner.intersection(level.extent):
                return False
    return True


def _arrays(p: Places) -> set[Var]:
    return {v for level in p.levels for let in level.lets for v in uses(let) if isinstance(v.type, Array)}
