"""Shapes: tuples of Python ints and integers of the program."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NoReturn, TypeAlias

import numpy as np

from iverson.core.build import literal
from iverson.core.syntax import I64, Atom, Literal, Scalar, Var
from iverson.lang.assumptions import is_one, may_stretch
from iverson.lang.errors import error
from iverson.lang.num import INT64, Num, atom_of, constant, known, ufunc
from iverson.lang.raising import never
from iverson.lang.ranges import at_most, inside, not_negative
from iverson.lang.staging import builder, current

Extent: TypeAlias = int | Num
Shape: TypeAlias = tuple[Extent, ...]


def extent(value: Any) -> Extent:
    """A length, as a Python int where it is known."""
    value = known(value)
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, Num) and value.dtype.kind == "i":
        if is_one(value):
            return 1
        return value if value.weak and value.dtype.itemsize == 8 else Num(extent_atom(value), True)
    raise error(TypeError, f"a length is an integer, not {type(value).__name__}")


def shape_of(value: Any) -> Shape:
    """The shape argument of NumPy's functions: one length or several."""
    values = value if isinstance(value, tuple | list) else (value,)
    return tuple(extent(v) for v in values)


def extent_atom(value: Extent) -> Atom:
    """The int64 atom of a length."""
    if type(value) is int:
        return literal(value, I64)
    if isinstance(value, Num) and value.weak and value.im is None and value.atom.type == _INT64:
        return value.atom
    return atom_of(value, INT64)


_INT64 = Scalar(I64)


def atoms(shape: Iterable[Extent]) -> tuple[Atom, ...]:
    return tuple(map(extent_atom, shape))


def from_atom(atom: Atom) -> Extent:
    if isinstance(atom, Literal):
        return int(atom.value)
    n = Num(atom, True, None, current().lows.get(atom, 0))
    return 1 if is_one(n) else n


def product(shape: Iterable[Extent]) -> Extent:
    """How many elements a shape has."""
    total: Any = 1
    for n in shape:
        total = total * n
    return extent(total)


def minimum(x: Extent, y: Extent) -> Extent:
    """The smaller of two integers; one of them where that is known."""
    if isinstance(x, int) and isinstance(y, int):
        return min(x, y)
    a, b = constant(x), constant(y)
    if at_most(a, b):
        return x
    return y if at_most(b, a) else extent(ufunc(np.minimum, x, y))


def maximum(x: Extent, y: Extent) -> Extent:
    if isinstance(x, int) and isinstance(y, int):
        return max(x, y)
    a, b = constant(x), constant(y)
    if at_most(a, b):
        return y
    return x if at_most(b, a) else extent(ufunc(np.maximum, x, y))


def is_inside(index: Any, length: Extent) -> bool:
    """Whether 0 <= index < length is certain."""
    return inside(constant(index), constant(length))


def require_inside(index: Any, length: Extent, axis: int, given: Any = None) -> None:
    """Check an index, with the length added to a negative one, unless it is certainly inside."""
    if is_inside(index, length):
        return
    b, i, n = builder(), extent_atom(index), extent_atom(length)
    not_below = b.o.ge(i, 0)
    inside = getattr(b.o, "and")(not_below, b.o.lt(i, n))
    shown = b.o.select(not_below, i, b.o.sub(i, n)) if given is None else extent_atom(given)
    message = f"index {{}} is out of bounds for axis {axis} with size {{}}"
    b.check(inside, message, shown, n, error="IndexError")


def never_negative(value: Any) -> bool:
    return not_negative(constant(value))


def same(x: Extent, y: Extent) -> bool:
    """Whether two lengths are certainly equal."""
    if isinstance(x, int) or isinstance(y, int):
        return isinstance(x, int) and isinstance(y, int) and x == y
    if x.atom is y.atom:
        return True
    p, q = current().resolve(x.atom), current().resolve(y.atom)
    return p is q or frozenset((p, q)) in current().equal


def canonical(n: Extent) -> Extent:
    """The first of the lengths that are known to equal n: one name for all of them."""
    if isinstance(n, int):
        return n
    state = current()
    atom = state.resolve(n.atom)
    known_equal = {atom}
    for _ in state.equal:
        known_equal |= {a for pair in state.equal if pair & known_equal for a in pair}
    literals = [a for a in known_equal if isinstance(a, Literal)]
    if literals:
        return int(literals[0].value)
    order = list(state.top)
    names = (a for a in known_equal if isinstance(a, Var))
    return from_atom(min(names, key=lambda a: (order.index(a) if a in state.top else len(order), a.serial)))


def certainly_differ(x: Extent, y: Extent) -> bool:
    if isinstance(x, int) and isinstance(y, int):
        return x != y
    a, b = constant(x), constant(y)
    return at_most(a, b, -1) or at_most(b, a, -1)


def require_same(
    x: Extent, y: Extent, what: str, kind: type[Exception] = ValueError, shapes: Sequence[Shape] = ()
) -> Extent:
    """The common value of two lengths; checked when the program runs, unless it is known now.

    The message shows the two lengths, or the shapes that they are from.
    """
    if same(x, y):
        return canonical(x)
    p, q = extent_atom(x), extent_atom(y)
    shown, args = template(what + " {}" * len(shapes), shapes) if shapes else (what + " ({} and {})", [p, q])
    if certainly_differ(x, y):
        if all(isinstance(a, Literal) for a in args):
            raise error(kind, shown.format(*(a.value for a in args)))  # type: ignore[union-attr]
        never(shown, *args, error=kind.__name__)
    builder().check(builder().o.eq(p, q), shown, *args, error=kind.__name__)
    current().equal.append(frozenset((p, q)))
    return canonical(x)


def refuse(message: str, *shapes: Shape, kind: type[Exception] = ValueError) -> NoReturn:
    """An error about shapes, of which `message` has a {} for each; when the program runs, if lengths are known then."""
    if all(isinstance(n, int) for s in shapes for n in s):
        raise error(kind, message.format(*shapes))
    shown, args = template(message, shapes)
    never(shown, *args, error=kind.__name__)


def template(message: str, shapes: Sequence[Shape]) -> tuple[str, list[Atom]]:
    """A message with shapes in it as one with lengths in it."""
    shown = ["({}{})".format(",".join("{}" for _ in s), "," if len(s) == 1 else "") for s in shapes]
    return message.format(*shown), [extent_atom(n) for s in shapes for n in s]


_DIFFER = "operands could not be broadcast together with shapes"


def broadcast(shapes: Sequence[Shape], what: str = _DIFFER, kind: type[Exception] = ValueError) -> Shape:
    """NumPy's broadcasting.  A length that isn't known to be 1 is taken not to be (see lang/assumptions.py)."""
    rank = max((len(s) for s in shapes), default=0)
    out: list[Extent] = []
    for k in range(rank):
        lengths = [s[k - rank + len(s)] for s in shapes if k - rank + len(s) >= 0]
        wide = [n for n in lengths if not is_one(n)]
        result: Extent = wide[0] if wide else 1
        for n in wide[1:]:
            result = stretched(result, n, what, kind, shapes)
        out.append(result)
    return tuple(out)


def stretched(
    x: Extent, y: Extent, what: str, kind: type[Exception] = ValueError, shapes: Sequence[Shape] = ()
) -> Extent:
    """The common value of two lengths, either of which would stretch if it were 1."""
    if not same(x, y) and not all([may_stretch(x), may_stretch(y)]):
        what = f"an axis whose length depends on the elements of arrays does not stretch, even if it is 1: {what}"
    return require_same(x, y, what, kind, shapes)


def require_more(n: Extent, what: str) -> None:
    """Check that a length isn't 1, unless that is known."""
    if isinstance(n, Num) and not at_most(constant(1), n, -1):
        may_stretch(n)
        builder().check(builder().o.ne(extent_atom(n), 1), what)


def stretch(index: Sequence[Any], shape: Shape) -> tuple[Any, ...]:
    """The index into an operand of `shape` that belongs to an index of the broadcast result."""
    own = index[len(index) - len(shape) :]
    return tuple(0 if is_one(n) else i for i, n in zip(own, shape, strict=True))


def axis_of(axis: Any, rank: int) -> int:
    """A possibly negative axis number."""
    axis = int(axis)
    if not -rank <= axis < rank:
        raise error(np.exceptions.AxisError, f"axis {axis} is out of bounds for array of dimension {rank}")
    return axis % rank
