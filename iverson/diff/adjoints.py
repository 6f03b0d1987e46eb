"""The adjoint map: where the derivative with respect to each primal name is kept while a block is swept backwards.

In the scope that binds x, its adjoint is absent (zero) or a value, an SSA atom that contributions replace.  A For,
Loop or While body sees the adjoints of the names outside it as accumulators, opened once around the whole return
sweep of that statement.  A row view y = x[i] has no adjoint of its own: what it receives goes to x[i, ...].
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from iverson.core.build import Builder, dtype_of, extents_of, literal
from iverson.core.rewrite import lookup
from iverson.core.syntax import I64, Accumulate, Accumulator, Atom, Block, Literal, Var


class View(NamedTuple):
    """A row: of which array, at which leading indices, and whether those are known to be in bounds."""

    base: Var
    prefix: tuple[Atom, ...]
    safe: bool


@dataclass
class Frame:
    """What the return sweep knows in one scope."""

    env: dict[Var, Atom]  # primal name -> its name here, where it has another
    values: dict[Var, Atom] = field(default_factory=dict)  # adjoints held as values
    accs: dict[Var, Var] = field(default_factory=dict)  # adjoints held as accumulators
    finals: dict[Var, tuple[Atom | None, ...]] = field(default_factory=dict)  # accumulator -> its columns' adjoints
    cursors: dict[Var, Atom] = field(default_factory=dict)  # append accumulator -> entries not yet swept
    views: dict[Var, View] = field(default_factory=dict)

    def at(self, atom: Atom) -> Atom:
        """A primal atom under its current name."""
        return lookup(atom, self.env)

    def var(self, v: Var) -> Var:
        w = self.at(v)
        assert isinstance(w, Var)
        return w

    def inside(self, opened: dict[Var, Var]) -> Frame:
        """The frame of a body that may run many times: adjoints from outside are accumulators."""
        return replace(
            self,
            env=dict(self.env),
            values={},
            accs={**self.accs, **opened},
            finals=dict(self.finals),
            cursors=dict(self.cursors),
            views=dict(self.views),
        )

    def branch(self) -> Frame:
        """The frame of a body that runs at most once: it inherits the values."""
        return replace(self.inside({}), values=dict(self.values))

    def view(self, v: Var) -> View:
        """The array a name shows, and at which leading indices."""
        return self.views.get(v, View(v, (), True))


class Adjoints:
    """Emits contributions to adjoints."""

    def __init__(self, builder: Builder, active: set[Var]) -> None:
        self.b = builder
        self.active = active
        self._touched: set[Var] = set()  # accumulators with contributions

    def is_active(self, atom: Atom) -> bool:
        return isinstance(atom, Var) and atom in self.active

    def zeros(self, frame: Frame, v: Var) -> Atom:
        like = frame.at(v)
        return self.b.zeros(extents_of(like), dtype_of(like))

    def value(self, frame: Frame, v: Var) -> Atom:
        """The adjoint of a name that holds it as a value; zeros if absent."""
        found = frame.values.get(v)
        return self.zeros(frame, v) if found is None else found

    def take(self, frame: Frame, v: Var) -> Atom | None:
        """The adjoint of a name whose defining statement is being swept: nothing can add to it any more."""
        return frame.values.pop(v, None)

    def add(self, frame: Frame, to: Atom, g: Atom | None) -> None:
        """The adjoint of `to` += g, a whole value."""
        if g is None or not isinstance(to, Var) or to not in self.active or _is_zero(g):
            return
        v = frame.view(to).base
        extents = extents_of(frame.at(to))
        if extents:
            self._add_array(frame, frame.view(to), extents, g)
        elif v in frame.accs:
            self.contribute(frame.accs[v], (), g)
        elif v in frame.values:
            frame.values[v] = self.b.o.add(frame.values[v], g)
        else:
            frame.values[v] = g

    def add_element(self, frame: Frame, array: Var, index: Sequence[Atom], g: Atom, safe: bool) -> None:
        """The adjoint of array[index] += g, a scalar."""
        v, prefix, row_safe = frame.view(array)
        at = (*prefix, *index)
        self._into(frame, v, lambda acc: self.contribute(acc, at, g, safe and row_safe))

    def _add_array(self, frame: Frame, view: View, extents: tuple[Atom, ...], g: Atom) -> None:
        v, prefix, safe = view
        if not prefix and v not in frame.accs and v not in frame.values:
            frame.values[v] = g
            return

        def add(acc: Var) -> None:
            def element(*i: Var) -> tuple[Atom, ...]:
                self.contribute(acc, (*prefix, *i), self.b.read(g, *i, safe=True), safe)
                return ()

            self.b.for_(extents, element, ())

        self._into(frame, v, add)

    def _into(self, frame: Frame, v: Var, add: Callable[[Var], None]) -> None:
        """Contribute to v's adjoint, by its accumulator or by one opened for the purpose."""
        if v in frame.accs:
            add(frame.accs[v])
            return

        def body(acc: Var) -> tuple[Atom, ...]:
            add(acc)
            return ()

        frame.values[v] = self.b.accumulate([("add", [self.value(frame, v)])], body)[0]

    def contribute(self, acc: Var, index: Sequence[Atom], g: Atom, safe: bool = True) -> None:
        """Not safer than the access it is the adjoint of: that may have been dropped as dead, its check with it."""
        self._touched.add(acc)
        self.b.contribute(acc, index, g, safe=safe)

    def within(self, frame: Frame, free: Iterable[Var], body: Callable[[Frame], Sequence[Atom]]) -> tuple[Atom, ...]:
        """Emit `body` where the adjoints of the free names are accumulators; give its outs."""
        names = dict.fromkeys(frame.view(v).base for v in free if v in self.active and not _is_accumulator(v))
        opened = {v: self._accumulator(frame.at(v)) for v in names if v not in frame.accs}
        with self.b.scope() as lets:
            outs = tuple(body(frame.inside(opened)))
        used = {v: acc for v, acc in opened.items() if acc in self._touched}
        block = Block(tuple(lets), outs)
        if not used:
            return self.b.splice(block)
        inits = tuple((self.value(frame, v),) for v in used)
        results = self.b.emit(Accumulate(tuple(used.values()), inits, block))
        frame.values.update(zip(used, results, strict=False))
        return results[len(used) :]

    def _accumulator(self, like: Atom) -> Var:
        return Var(Accumulator("add", (dtype_of(like),), extents_of(like)), "adj")


def _is_accumulator(v: Var) -> bool:
    return isinstance(v.type, Accumulator)


def _is_zero(g: Atom) -> bool:
    return isinstance(g, Literal) and g.value == 0


def product(b: Builder, extents: Sequence[Atom]) -> Atom:
    """The number of elements."""
    total: Atom = Literal(1, I64)
    for e in extents:
        total = b.o.mul(total, e)
    return total


def flatten(b: Builder, index: Sequence[Atom], extents: Sequence[Atom]) -> Atom:
    """The row-major position of an index."""
    at: Atom = index[0] if index else Literal(0, I64)
    for i, n in zip(index[1:], extents[1:], strict=True):
        at = b.o.add(b.o.mul(at, n), i)
    return at


def unflatten(b: Builder, at: Atom, extents: Sequence[Atom]) -> list[Atom]:
    """The index at a row-major position."""
    index: list[Atom] = []
    for n in reversed(extents[1:]):
        index.insert(0, b.o.mod(at, n))
        at = b.o.floordiv(at, n)
    return [at, *index] if extents else []


def keeps_digits(b: Builder, size: Atom) -> Atom:
    """May a product of this magnitude be divided by its factors?  Zero has lost them, a subnormal number digits."""
    dtype = dtype_of(size)
    return b.o.ge(size, literal(float(np.finfo(dtype.value).smallest_normal), dtype))


def with_extents(params: Sequence[Var], cotangents: Sequence[Atom]) -> list[Atom]:
    """The arguments for cotangent parameters of a vjp, and for the extents among them, from the cotangents."""
    own = [p for p in params if dtype_of(p).is_float]
    actual: dict[Atom, Atom] = dict(zip(own, cotangents, strict=True))
    for p, ct in zip(own, cotangents, strict=True):
        actual.update(zip(extents_of(p), extents_of(ct), strict=True))
    return [actual[p] for p in params]
