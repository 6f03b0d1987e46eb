"""What a read sees of elements that a statement before it has updated, one for each turn of a For.

    x = Accumulate [acc = set a] { For [k < n] { B; acc[.., k + c, ..] <- v } };  .. x[e] ..

        ->  x, w = Accumulate [acc = set a] { w = For [k < n] { B; acc[.., k + c, ..] <- v } yields v } w;  .. y ..

where y is w[e - c] if 0 <= e - c < n and e is that place in its other indices, and a[e] if it isn't.  What is known
isn't tested.  Where acc adds, w[e - c] is added to a[e].  If v is a constant, or an element w[k] of an array, there is
nothing to be yielded.

Used by opt/initial.py.  The count rises by at most nine for a read, by one test and one choice if an index decides, and
by one for an element of w.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from iverson.core.bounds import Sizes
from iverson.core.build import Builder, dtype_of, literal
from iverson.core.rewrite import statements
from iverson.core.syntax import (
    Accumulate,
    Accumulator,
    Array,
    Atom,
    Block,
    Contribute,
    For,
    Let,
    Map,
    Prim,
    Read,
    Var,
)


@dataclass(frozen=True)
class Update:
    """The updates that a statement makes, at places that follow each other along one axis."""

    acc: Var
    index: tuple[Atom, ...]  # of the first one
    axis: int
    count: Atom
    value: Atom  # all of them, or an array of them
    made: bool  # is the array still to be yielded?

    @property
    def adds(self) -> bool:
        assert isinstance(self.acc.type, Accumulator)
        return self.acc.type.monoid == "add"


def update(let: Let, acc: Var) -> Update | None:
    """What an Accumulate does to the array that it begins with, if it is such a statement."""
    op = let.op
    loops = [s.op for s in op.body if isinstance(s.op, For)] if isinstance(op, Accumulate) else []
    t = acc.type
    assert isinstance(t, Accumulator)
    if len(loops) != 1 or len(loops[0].index) != 1 or t.monoid not in ("set", "add") or len(t.dtypes) != 1:
        return None
    (loop,) = loops
    made = {v: s.op for s in loop.body for v in s.vars}
    mine = [s.op for s in statements(op.body) if isinstance(s.op, Contribute) and s.op.acc is acc]  # type: ignore[union-attr]
    if len(mine) != 1 or not any(s.op is mine[0] for s in loop.body):
        return None
    (c,) = mine
    (k,) = loop.index
    begins = [_begin(a, k, made) for a in c.index]
    moving = [axis for axis, a in enumerate(c.index) if a is k or a in made]
    inner = {k, *(v for s in statements(op.body) for v in s.vars)}  # type: ignore[union-attr]
    index = tuple(b if axis in moving else a for axis, (a, b) in enumerate(zip(c.index, begins, strict=True)))
    if len(moving) != 1 or any(a is None or a in inner for a in (*index, *loop.extent)):
        return None
    value, yields = _values(c.values[0], loop, inner, made)
    return Update(acc, index, moving[0], loop.extent[0], value, yields)  # type: ignore[arg-type]


def _begin(a: Atom, k: Var, made: Mapping[Var, object]) -> Atom | None:
    """c where a is k + c."""
    op = made.get(a) if isinstance(a, Var) else None
    if a is k:
        return literal(0)
    if isinstance(op, Prim) and op.name == "add" and k in op.args:
        (other,) = [x for x in op.args if x is not k] or [k]
        return None if other is k or other in made else other
    return None


def _values(value: Atom, loop: For, inner: set[Var], made: Mapping[Var, object]) -> tuple[Atom, bool]:
    op = made.get(value) if isinstance(value, Var) else None
    if value not in inner:
        return value, False
    if isinstance(op, Read) and op.index == loop.index and op.array not in inner:
        return op.array, False
    return Var(Array(dtype_of(value), loop.extent), "new"), True


def yielding(let: Let, update: Update) -> Let:
    """The statement, giving the array of its updates as well."""
    op = let.op
    assert isinstance(op, Accumulate)
    lets: list[Let] = []
    new = Var(update.value.type, "new")
    for s in op.body:
        inner = s.op.body.lets if isinstance(s.op, For) else ()
        mine = [t.op for t in inner if isinstance(t.op, Contribute) and t.op.acc is update.acc]
        if isinstance(s.op, For) and mine:
            body = Block(inner, (*s.op.body.outs, *mine[0].values))
            s = Let((*s.vars, new), replace(s.op, body=body, yields=(*s.op.yields, Map())), s.site)
        lets.append(s)
    assert isinstance(update.value, Var)
    return Let((*let.vars, update.value), replace(op, body=Block(tuple(lets), (*op.body.outs, new))), let.site)


@dataclass(frozen=True)
class Layer:
    """An update, as a read sees it: what is still to be tested, and the turn that made the element."""

    update: Update
    tests: tuple[tuple[str, Atom, Atom], ...]
    turn: Atom | None  # if it is at hand

    def seen(self, b: Builder, read: Read, below: Sequence[Layer], init: Var) -> Atom:
        """The element that a read gives, the layers below this one not yet being looked at."""
        u = self.update
        array = isinstance(u.value, Var) and isinstance(u.value.type, Array)
        e, begin = read.index[u.axis], u.index[u.axis]
        turn = self.turn or b.o.sub(e, begin)
        holds: Atom = literal(True)
        for name, x, y in self.tests:
            holds = b.prim("and", holds, b.prim(name, turn if x is e and name != "eq" else x, y))

        def new() -> Atom:
            return b.read(u.value, turn, safe=True) if array else u.value

        def old() -> Atom:
            return element(b, read, below, init)

        zero = literal(0.0 if dtype_of(u.value).is_float else 0, dtype_of(u.value))
        if not self.tests:
            return b.o.add(old(), new()) if u.adds else new()
        if u.adds:
            return b.o.add(old(), b.o.select(holds, new(), zero) if not array else b.if_(holds, new, lambda: zero)[0])
        if array or not read.safe or below:
            return b.if_(holds, new, old)[0]
        return b.o.select(holds, new(), old())


def element(b: Builder, read: Read, layers: Sequence[Layer], init: Var) -> Atom:
    """The element that a read gives, through layers of updates of an array, the latest first."""
    if not layers:
        return b.emit(Read(init, read.index, read.safe))[0]
    return layers[0].seen(b, read, layers[1:], init)


def layer(u: Update, read: Read, sizes: Sizes, made: Mapping[Var, Prim]) -> Layer:
    """How a read sees an update; what `sizes` proves isn't tested."""
    e, begin = read.index[u.axis], u.index[u.axis]
    first = sizes.of(e) - sizes.of(begin)
    tests: list[tuple[str, Atom, Atom]] = []
    if not sizes.nonnegative(first):
        tests.append(("ge", e, literal(0)))
    if not sizes.nonnegative(sizes.of(u.count) - first - 1):
        tests.append(("lt", e, u.count))
    for axis, (x, y) in enumerate(zip(read.index, u.index, strict=True)):
        if axis != u.axis and not sizes.same(x, y):
            tests.append(("eq", x, y))
    op = made.get(e) if isinstance(e, Var) else None
    others = [x for x in op.args if x is not begin] if op is not None and op.name == "add" else []
    turn = e if begin == literal(0) else others[0] if len(others) == 1 else literal(0) if e == begin else None
    return Layer(u, tuple(tests), turn)
