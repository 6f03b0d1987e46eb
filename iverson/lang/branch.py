"""Staging of conditionals: both sides are traced, and what differs afterwards becomes the results of an If.

A `Branch` is one side.  `merge` decides, for every name, container slot and storage cell, what stands for it after the
If: itself where both sides agree, a result of the If for numbers and arrays, `Choice` (read under the If, not copied)
for two arrays from before, and a poison that explains itself where no value can stand for both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

from iverson.core.build import dtype_of, literal, make_type
from iverson.core.syntax import BOOL, Atom, Block, If, Let, Prim, Var
from iverson.lang import signals, trades
from iverson.lang.dtypes import Kind, core_dtype, is_complex, promote
from iverson.lang.errors import error
from iverson.lang.num import Num, as_kind, cast, constant, is_scalar, kind_of, known, truth
from iverson.lang.ranges import low_of
from iverson.lang.shapes import Shape, atoms, certainly_differ, require_same, same
from iverson.lang.signals import ABSENT, NEVER, Leave, Return, parts, surely_leaves
from iverson.lang.staging import Cell, Suite, builder, current, here, tie
from iverson.lang.state import (
    UNBOUND,
    Maybe,
    Poison,
    Snapshot,
    fill,
    flatten,
    get,
    put,
    same_value,
    unflatten,
    variables,
)
from iverson.lang.values import Arr, Source, full, generate, materialise, owned

Thunk = Callable[[], Any]


class Branch:
    """One side of an If: its statements, how it ended, and what everything held then."""

    def __init__(self, before: Snapshot) -> None:
        self.before = before
        self.scope = Suite()
        self.signal: Any = None
        self.after = before
        self.ends: dict[Cell, Atom] = {}

    def run(self, suite: Callable[..., Any]) -> None:
        """Trace a suite at the end of this side; then put everything back."""
        self._enter()
        with current().scope(self.scope):
            self.signal = suite()
        self.after = self.before.now()
        self._leave()

    def emit(self, body: Callable[[], Any]) -> Any:
        """Emit at the end of this side, with the cells as they are there."""
        for cell, var in self.ends.items():
            cell.var = var
        with current().scope(self.scope):
            out = body()
        self._leave()
        return out

    def _enter(self) -> None:
        self.after.restore()
        for cell, var in self.ends.items():
            cell.var = var

    def _leave(self) -> None:
        assert isinstance(self.scope, Suite)
        self.ends = {cell: cell.var for cell in self.scope.before}
        for cell, var in self.scope.before.items():
            cell.var = var
        self.before.restore()

    def inline(self) -> None:
        """Let the statements of this side follow unconditionally, the other one having raised."""
        builder().splice(Block(tuple(self.scope.lets), ()))
        self.after.restore()
        for cell, var in self.ends.items():
            current().write(cell, var)


class Choice(Source):
    """Two arrays of which one is read, depending on a condition."""

    def __init__(self, p: Num, then: Arr, orelse: Arr) -> None:
        self.p, self.then, self.orelse = p, then, orelse
        self.dtype = then.dtype
        self.depth = current().depth
        for a in (then, orelse):
            if a.cell is not None:
                a.cell.choices.add(self)

    def read(self, index: Sequence[Any], safe: bool) -> Num:
        out = conditional(self.p, lambda: self.then.read(index, safe), lambda: self.orelse.read(index, safe))
        return constant(out)

    def cells(self) -> list[Cell]:
        return [*self.then.source.cells(), *self.orelse.source.cells()]


class Merge:
    """The results of an If, as they are found out."""

    def __init__(self, p: Num, then: Branch, orelse: Branch) -> None:
        self.p, self.then, self.orelse = p, then, orelse
        self.depth = current().depth
        self.outs: list[tuple[Callable[[], Atom], Callable[[], Atom], Any]] = []
        self.vars: tuple[Var, ...] = ()

    # --- plans: each gives a thunk for the value after the If ---------------------------------------------------------

    def tree(self, x: Any, y: Any, name: str) -> Thunk:
        """Merge two values, leaf by leaf if they are pytrees of one structure."""
        if same_value(x, y):
            return lambda: x
        if not _is_tree(x) or not _is_tree(y):
            return self.leaf(x, y, name)
        (xs, spec), (ys, other) = flatten(x), flatten(y)
        if spec != other:
            return self.poison(f"{name} has a different structure, depending on a condition")
        thunks = [self.leaf(a, b, name) for a, b in zip(xs, ys, strict=True)]
        return lambda: unflatten(spec, [t() for t in thunks])

    def leaf(self, x: Any, y: Any, name: str) -> Thunk:
        if same_value(x, y):
            return lambda: x
        if x is UNBOUND or y is UNBOUND or isinstance(x, Maybe) or isinstance(y, Maybe):
            return self.maybe(x, y, name)
        if isinstance(x, Poison) or isinstance(y, Poison):
            return (lambda: x) if isinstance(x, Poison) else (lambda: y)
        if is_scalar(x) and is_scalar(y):
            return self.scalar(x, y)
        if isinstance(x, Arr) and isinstance(y, Arr):
            return self.array(x, y, name)
        if type(x) is type(y) and _equal(x, y):
            return lambda: x
        kinds = " and ".join(sorted({_kind(x), _kind(y)}))
        return self.poison(f"{name} is {kinds}, depending on a condition that is only known when the program runs")

    def poison(self, why: str) -> Thunk:
        value = Poison(why)
        return lambda: value

    def scalar(self, x: Any, y: Any) -> Thunk:
        kind = promote((kind_of(x), kind_of(y)))
        k = self.add(lambda: as_kind(x, kind).atom, lambda: as_kind(y, kind).atom, core_dtype(kind.dtype))
        if not is_complex(kind.dtype):
            lows = [low_of(constant(v)) for v in (x, y)] if kind.dtype.kind == "i" else [None]
            low = None if None in lows else min(lows)  # type: ignore[type-var]
            return lambda: Num(self.vars[k], kind.weak, None, low)
        im = self.add(lambda: _imaginary(x, kind), lambda: _imaginary(y, kind), core_dtype(kind.dtype))
        return lambda: Num(self.vars[k], kind.weak, self.vars[im])

    def array(self, x: Arr, y: Arr, name: str) -> Thunk:
        if x.ndim == y.ndim and self.is_old(x) and self.is_old(y) and x.dtype == y.dtype:
            p, lengths = self.p, [self.tree(m, n, name) for m, n in zip(x.shape, y.shape, strict=True)]
            return lambda: Arr(Choice(p, x, y), tuple(n() for n in lengths), None, None)
        if x.ndim != y.ndim or any(map(certainly_differ, x.shape, y.shape)) or not self.comparable(x, y):
            return self.poison(f"{name} is an array of one shape or of another, depending on a condition")
        for m, n in zip(x.shape, y.shape, strict=True):
            require_same(m, n, f"{name} is an array of one length or of another, depending on a condition")
        made = self.contents(x, y, name)

        def result() -> Arr:
            out = made()
            for cell in (*x.source.cells(), *y.source.cells()):
                if cell.depth <= self.depth:
                    tie(out.cell, cell)
            return out

        return result

    def contents(self, x: Arr, y: Arr, name: str) -> Thunk:
        """A new array with the contents of one of two arrays of one shape."""
        dtype = promote((Kind(x.dtype), Kind(y.dtype))).dtype
        k = self.add(lambda: _contents(x, dtype, x.shape), lambda: _contents(y, dtype, x.shape), (dtype, x.shape))

        def result() -> Arr:
            made = owned(self.vars[k], dtype, _hint(name))
            return made.like(x) if type(x) is type(y) else made

        return result

    @staticmethod
    def comparable(x: Arr, y: Arr) -> bool:
        """Whether lengths that aren't known to be equal can be compared before the If."""
        differ = [(m, n) for m, n in zip(x.shape, y.shape, strict=True) if not same(m, n)]
        return all(map(current().is_top, atoms(n for pair in differ for n in pair)))

    def is_old(self, x: Arr) -> bool:
        """Whether an array was there before the If."""
        if isinstance(x.source, Choice):
            return x.source.depth <= self.depth
        return x.cell is not None and x.cell.depth <= self.depth

    def maybe(self, x: Any, y: Any, name: str) -> Thunk:
        """A name that one side, or both, may leave unbound."""
        values = [v.value if isinstance(v, Maybe) else v for v in (x, y)]
        bound = [v.bound if isinstance(v, Maybe) else v is not UNBOUND for v in (x, y)]
        if any(not is_scalar(v) for v in values if v is not UNBOUND):
            return self.poison(f"{name} may be unbound here: it is only bound on one side of a condition")
        given = next(v for v in values if v is not UNBOUND)
        zero = cast(0, kind_of(given).dtype, kind_of(given).weak)
        filled = [zero if v is UNBOUND else v for v in values]
        value, is_bound = self.scalar(*filled), self.scalar(*bound)
        return lambda: Maybe(value(), is_bound(), name)

    def add(self, x: Callable[[], Atom], y: Callable[[], Atom], spec: Any) -> int:
        self.outs.append((x, y, spec))
        return len(self.outs) - 1

    def cell(self, cell: Cell) -> Thunk:
        before = cell.var
        x, y = self.then.ends.get(cell, before), self.orelse.ends.get(cell, before)
        k = self.add(lambda: x, lambda: y, x.type)
        return lambda: current().write(cell, self.vars[k])

    # --- emission -----------------------------------------------------------------------------------------------------

    def emit(self) -> None:
        xs = self.then.emit(lambda: tuple(x() for x, _, _ in self.outs))
        ys = self.orelse.emit(lambda: tuple(y() for _, y, _ in self.outs))
        then, orelse = Block(tuple(self.then.scope.lets), xs), Block(tuple(self.orelse.scope.lets), ys)
        if not then.lets and not orelse.lets and not self.outs:
            return
        self.vars = tuple(Var(_type(spec)) for _, _, spec in self.outs)
        builder().let(Let(self.vars, If(self.p.atom, then, orelse), here()))


def _type(spec: Any) -> Any:
    if isinstance(spec, tuple):
        dtype, shape = spec
        return make_type(core_dtype(dtype), (*atoms(shape), *((literal(2),) if is_complex(dtype) else ())))
    return make_type(spec, ()) if not hasattr(spec, "dtype") else spec


def _contents(x: Arr, dtype: Any, shape: Shape) -> Atom:
    """The contents of an array, of this type."""
    if x.dtype == dtype and atoms(x.shape) == atoms(shape):
        return materialise(x)
    return materialise(generate(shape, lambda *index: x.read(index), dtype))


def _imaginary(x: Any, kind: Kind) -> Atom:
    im = as_kind(x, kind).im
    assert im is not None
    return im


def _is_tree(x: Any) -> bool:
    return not is_scalar(x) and not isinstance(x, Arr | Maybe | Poison | str) and x is not UNBOUND


def _equal(x: Any, y: Any) -> bool:
    try:
        return bool(x == y)
    except Exception:
        return False


def _kind(x: Any) -> str:
    if isinstance(x, Arr):
        return "an array"
    if is_scalar(x):
        return "a number"
    return "None" if x is None else f"a {type(x).__name__}"


def _hint(name: str) -> str:
    return name if name.isidentifier() else ""


# --- statements -------------------------------------------------------------------------------------------------------


def if_(
    test: Any,
    then: Callable[..., Any],
    orelse: Callable[..., Any],
    names: Sequence[str],
    rest: Callable[..., Any] | None = None,
    final: Sequence[str] = (),
    shared: Callable[..., Any] | None = None,
) -> Any:
    """if test: then; else: orelse.  `rest` are the statements after it, when a side may leave the block.

    `shared` is a suite whose variables the sides use, where they are not suites themselves.
    """
    p = truth(test)
    if isinstance(p, bool):
        return follow((then if p else orelse)(), rest, final)
    before = Snapshot(variables(*(f for f in (then, orelse, rest, shared) if isinstance(f, FunctionType))))
    sides = Branch(before), Branch(before)
    sides[0].run(then)
    sides[1].run(orelse)
    raised = [side.signal is NEVER for side in sides]
    if any(raised):
        return _raised(p, sides, raised, rest, final)
    sure = [surely_leaves(side.signal) for side in sides]
    if rest is not None and (any(sure) or not any(side.signal for side in sides)):
        if not any(sure):
            merged(p, sides, names)
            return rest()
        for side, leaves in zip(sides, sure, strict=True):
            if not leaves:
                side.run(lambda side=side: follow(side.signal, rest, final))
        return merged(p, sides, final)
    return follow(merged(p, sides, names), rest, final)


def follow(signal: Any, rest: Callable[..., Any] | None, names: Sequence[str]) -> Any:
    """What comes after a statement that ended with `signal`: the rest, unless it left."""
    if rest is None or surely_leaves(signal):
        return signal
    if signal is None:
        return rest()
    stays = known(signal.kind == signals.NONE)
    return if_(stays, rest, lambda: signals.settled(signal), names)


def _raised(p: Num, sides: Any, raised: list[bool], rest: Any, final: Sequence[str]) -> Any:
    """One side certainly raises an exception: the other follows unconditionally."""
    blocks = [Block(tuple(s.scope.lets) if r else (), ()) for s, r in zip(sides, raised, strict=True)]
    builder().let(Let((), If(p.atom, *blocks), here()))
    if all(raised):
        return NEVER
    other = sides[raised.index(False)]
    other.inline()
    return follow(other.signal, rest, final)


def merged(p: Num, sides: tuple[Branch, Branch], names: Sequence[str]) -> Any:
    """Emit the If, and let names, containers and cells hold its results; the merged signal."""
    then, orelse = sides
    merge = Merge(p, then, orelse)
    before = then.before
    todo: list[tuple[Callable[[Any], None], Thunk]] = []
    traded = trades.traded(merge, names)
    for name in names:
        cell = before.cells.get(name)
        if cell is not None:
            x, y = then.after.names[name], orelse.after.names[name]
            thunk = traded[name] if name in traded else merge.tree(x, y, name)
            todo.append((lambda v, cell=cell: put(cell, v), thunk))
    for key, (x, old) in before.containers.items():
        a, b = then.after.containers[key][1], orelse.after.containers[key][1]
        if _unchanged(old, a) and _unchanged(old, b):
            continue
        todo.append((lambda v, x=x: fill(x, v), _slots(merge, x, a, b)))
    written = {**then.ends, **orelse.ends}
    cells = [merge.cell(c) for c in written if c.depth <= merge.depth]
    kind, value = _signals(merge, then.signal, orelse.signal)
    merge.emit()
    try:
        for write in cells:
            write()
    finally:  # a loop around this learns of its names even if a write fails
        for store, thunk in todo:
            store(thunk())
    _tie_aliases(merge, names)
    return signals.signal(known(kind()), value(), signals.kinds(then.signal) | signals.kinds(orelse.signal))


def _tie_aliases(merge: Merge, names: Sequence[str]) -> None:
    """Names that are one array on one side, and two now."""
    now = {n: get(merge.then.before.cells[n]) for n in names if n in merge.then.before.cells}
    made = [(n, x) for n, x in now.items() if isinstance(x, Arr) and x.cell is not None and x.cell.depth == merge.depth]
    for k, (n, x) in enumerate(made):
        for m, y in made[:k]:
            sides = (merge.then.after.names, merge.orelse.after.names)
            if x.cell is not y.cell and any(share(side[n], side[m]) for side in sides):
                tie(x.cell, y.cell)


def share(x: Any, y: Any) -> bool:
    """Whether two arrays may be, or see parts of, one."""
    if not isinstance(x, Arr) or not isinstance(y, Arr):
        return False
    return any(c is d for c in x.source.cells() for d in y.source.cells())


def _unchanged(x: dict[Any, Any], y: dict[Any, Any]) -> bool:
    return x.keys() == y.keys() and all(same_value(v, y[k]) for k, v in x.items())


def _slots(merge: Merge, x: Any, a: dict[Any, Any], b: dict[Any, Any]) -> Thunk:
    """The contents of a container after both sides."""
    if isinstance(x, list) and len(a) != len(b):
        raise error(
            TypeError,
            "a list is longer on one side of a condition than on the other: its length must be known",
            current().lists.get(id(x)),
        )
    keys = [*a, *(k for k in b if k not in a)]
    thunks = {k: merge.tree(a.get(k, UNBOUND), b.get(k, UNBOUND), str(k)) for k in keys}
    return lambda: {k: v for k, t in thunks.items() if (v := t()) is not UNBOUND}


def _signals(merge: Merge, x: Any, y: Any) -> tuple[Thunk, Thunk]:
    """The kind and the value of the merged signal."""
    (k, v), (m, w) = parts(x), parts(y)
    kind = merge.tree(k, m, "signal")
    if v is ABSENT and w is ABSENT:
        return kind, lambda: ABSENT
    if v is ABSENT:
        return kind, merge.tree(_dummy(w), w, "the function's result")
    return kind, merge.tree(v, _dummy(v) if w is ABSENT else w, "the function's result")


def _dummy(tree: Any) -> Any:
    """A value of the same structure for the path on which there is none."""
    leaves, spec = flatten(tree)
    return unflatten(spec, [_dummy_leaf(x) for x in leaves])


def _dummy_leaf(x: Any) -> Any:
    if is_scalar(x):
        return cast(0, kind_of(x).dtype, kind_of(x).weak)
    if isinstance(x, Arr):
        if not all(map(current().is_top, atoms(x.shape))):
            raise error(TypeError, "an array is returned early whose length is not known where the function starts")
        return full(x.shape, 0, x.dtype)
    return x


# --- expressions ------------------------------------------------------------------------------------------------------


def conditional(p: Num, then: Thunk, orelse: Thunk) -> Any:
    """The value of one of two thunks."""
    before = Snapshot({})
    sides = Branch(before), Branch(before)
    sides[0].run(lambda: _operand(then))
    sides[1].run(lambda: _operand(orelse))
    return value(merged(p, sides, ()))


def _operand(thunk: Thunk) -> Any:
    """The value of an operand that may not be evaluated, as the signal of its branch."""
    current().lazy += 1
    try:
        return Return(thunk())
    finally:
        current().lazy -= 1


def ifexp(test: Any, then: Thunk, orelse: Thunk) -> Any:
    """then() if test else orelse()"""
    p = truth(test)
    if isinstance(p, bool):
        return then() if p else orelse()
    return conditional(p, then, orelse)


def and_(first: Thunk, *rest: Thunk) -> Any:
    return _lazy(first, rest, "and")


def or_(first: Thunk, *rest: Thunk) -> Any:
    return _lazy(first, rest, "or")


def _lazy(first: Thunk, rest: Sequence[Thunk], name: str) -> Any:
    """and, or: Python's values; the later operands run only if they are needed."""
    x = first()
    if not rest:
        return x
    p = truth(x)
    if isinstance(p, bool):
        return _lazy(rest[0], rest[1:], name) if p == (name == "and") else x
    side = Branch(Snapshot({}))
    side.run(lambda: _operand(lambda: _lazy(rest[0], rest[1:], name)))
    y = side.signal.value
    if _is_bool(x) and _is_bool(y) and _is_pure(side):
        side.inline()
        return Num(builder().prim(name, p.atom, constant(y).atom), constant(x).weak and constant(y).weak)
    other = Branch(side.before)
    other.run(lambda: Return(x))
    sides = (side, other) if name == "and" else (other, side)
    return value(merged(p, sides, ()))


def _is_bool(x: Any) -> bool:
    return is_scalar(x) and dtype_of(constant(x).atom) is BOOL


def _is_pure(side: Branch) -> bool:
    """Few statements that can't fail: not worth a branch."""
    lets = side.scope.lets
    risky = ("floordiv", "mod", "pow")
    return len(lets) <= 8 and all(isinstance(s.op, Prim) and s.op.name not in risky for s in lets)


def not_(x: Any) -> Any:
    p = truth(x)
    return not p if isinstance(p, bool) else Num(builder().prim("not", p.atom), True)


_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "Lt": lambda a, b: a < b,
    "LtE": lambda a, b: a <= b,
    "Gt": lambda a, b: a > b,
    "GtE": lambda a, b: a >= b,
    "Eq": lambda a, b: a == b,
    "NotEq": lambda a, b: a != b,
    "Is": lambda a, b: a is b,
    "IsNot": lambda a, b: a is not b,
    "In": lambda a, b: contains(b, a),
    "NotIn": lambda a, b: not_(contains(b, a)),
}


def compare(names: Sequence[str], left: Any, *rest: Thunk) -> Any:
    """A chain of comparisons: each operand once, the later ones only if needed."""

    def link(k: int, x: Any) -> Any:
        y = rest[k]()
        first = _COMPARE[names[k]](x, y)
        return first if k + 1 == len(names) else and_(lambda: first, lambda: link(k + 1, y))

    return link(0, left)


def contains(container: Any, item: Any) -> Any:
    """item in container"""
    if isinstance(container, Arr):
        return (container == item).any()
    if isinstance(item, Num) and isinstance(container, list | tuple | set | frozenset | range):
        return or_(*[lambda x=x: item == x for x in container]) if len(container) else False
    if any(isinstance(x, Num) for x in container) if isinstance(container, list | tuple) else False:
        return or_(*[lambda x=x: item == x for x in container])
    return item in container


# --- the ends of functions --------------------------------------------------------------------------------------------


def value(signal: Any) -> Any:
    """What a function returns that ended with this signal."""
    if signal is None:
        return None
    if isinstance(signal, Return):
        return signal.value
    if signal is NEVER:
        return Poison("this function always raises an exception")
    if isinstance(signal, Leave) and signal.sure:
        return signal.value
    return Poison("the function returns a value on one path and None on another")
