"""Comprehensions and generators: parallel maps and reductions.

The rewriter gives them as `Each(iterable, item -> inner)`, where inner is an element, another `Each` (a further `for`)
or `Where(test, thunk of inner)` (an `if` clause).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from iverson.core.build import literal
from iverson.core.monoids import identity
from iverson.core.syntax import Accumulate, Accumulator, Atom, Block, Let, Reduce, Var
from iverson.lang.branch import Branch, conditional, either, merged
from iverson.lang.dtypes import BOOL_, INT64, Kind, core_dtype, promote
from iverson.lang.errors import error
from iverson.lang.indexing import contribute
from iverson.lang.iterate import Steps, range_, steps
from iverson.lang.lists import ListArr, TreeList, is_structure, of_levels
from iverson.lang.loops import must_unroll
from iverson.lang.num import Num, as_bool, as_kind, cast, constant, integer, is_scalar, kind_of, known, truth
from iverson.lang.raising import attempt
from iverson.lang.ranges import low_of
from iverson.lang.shapes import Extent, atoms, extent_atom
from iverson.lang.signals import NEVER, Return
from iverson.lang.staging import Each as EachScope
from iverson.lang.staging import builder, current
from iverson.lang.state import Snapshot, flatten
from iverson.lang.values import Arr, full, generate, in_parallel, lift, materialise, owned, stack


class NotNumeric(TypeError):
    """An element that can't be in an array."""


class Each:
    """for item in iterable: inner(item)"""

    def __init__(self, iterable: Any, inner: Callable[[Any], Any], needs: Sequence[Callable[[], Any]] = ()) -> None:
        found = steps(iterable)
        if found is not None and isinstance(found.length, int) and must_unroll(needs):
            found = None
        self.steps = found
        self.iterable = iterable
        self.inner = inner

    def at(self, k: Any) -> Any:
        """The inner part of turn k, where it is a loop of the program."""
        assert self.steps is not None
        return self.inner(self.steps.at(k))

    def turns(self) -> Any:
        """The inner parts, where Python iterates itself."""
        items = steps(self.iterable) or self.iterable
        return (self.inner(item) for item in items)


class Where:
    """if test: inner"""

    def __init__(self, test: Any, inner: Callable[[], Any]) -> None:
        self.test = truth(test)
        self.inner = inner


class Generator:
    """A generator expression that has not run yet."""

    def __init__(self, each: Each) -> None:
        self.each = each

    def staged_steps(self) -> Steps | None:
        return steps(listcomp(self.each))

    def staged_array(self) -> Any:
        return lift(listcomp(self.each))

    def __iter__(self) -> Any:
        return iter(listcomp(self.each))


# --- lists ------------------------------------------------------------------------------------------------------------


def listcomp(each: Each) -> Any:
    """[...]: a Python list where Python iterates, else an array."""
    if each.steps is None:
        return _static(each)
    n = each.steps.length
    probe = _Probe(each)
    if probe.filtered:
        return _filtered(each)
    try:
        return _mapped(n, lambda k: _element(each.at(k)))
    except NotNumeric:
        if not isinstance(n, int):
            raise
    each.steps = None  # functions, say: a Python list of them
    return _static(each)


def repeated(items: list[Any], n: Num) -> Any:
    """items * n, n known when the program runs: [e for _ in range(n)], where items is [e]."""
    if not items or not all(map(is_scalar, items)):
        raise error(
            TypeError,
            "a list is repeated as often as is only known when the program runs: its elements must be numbers; of "
            "lists and arrays write a comprehension, [... for _ in range(n)], which makes a new one each time",
        )
    if len(items) > 1:
        return of_levels(stack(items), 1) * n
    return listcomp(Each(range_(n), lambda _: items[0]))


def _static(each: Each) -> list[Any]:
    out: list[Any] = []
    for inner in each.turns():
        while isinstance(inner, Where) and inner.test is True:
            inner = inner.inner()
        if isinstance(inner, Where):
            if inner.test is False:
                continue
            raise error(
                TypeError,
                "an `if` clause that is only known when the program runs, in a comprehension over a Python list: its "
                "length would be unknown; iterate over an array",
            )
        out.extend(listcomp(inner) if isinstance(inner, Each) else [inner])
    return out


class _Probe:
    """Whether a comprehension has clauses, or inner loops whose length depends on the outer ones."""

    def __init__(self, each: Each) -> None:
        self.filtered = False
        self.depth = 1
        with current().scope(EachScope()), builder().into([]):
            attempt(lambda: self._look(each))

    def _look(self, inner: Any) -> None:
        while isinstance(inner, Each) and inner.steps is not None:
            if self.depth > 1 and not current().is_top(extent_atom(inner.steps.length)):
                self.filtered = True
                return
            self.depth += 1
            inner = inner.at(_index(inner.steps.length))
        self.filtered = isinstance(inner, Where)


def _index(n: Extent) -> Num:
    base, offset = current().affine_of(extent_atom(n))
    return integer(Var(literal(0).type, "i"), 0, (base, offset - 1))


def _element(inner: Any) -> Any:
    """An element of a map; an inner loop's elements as one more axis."""
    if isinstance(inner, Each):
        return _Row(listcomp(inner))
    return inner


class _Row:
    """The elements of an inner `for`, to be flattened into the list."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _mapped(n: Extent, element: Callable[[Any], Any]) -> Any:
    """The list of element(k) for k < n."""
    seen: list[Any] = []

    def body(k: Num) -> Any:
        value = attempt(lambda: element(k))
        if value is NEVER:
            value = 0.0  # of an array that is empty, or never made
        row = isinstance(value, _Row)
        value = value.value if row else value
        if is_structure(value):
            leaves, spec = flatten(value)
            seen[:] = [("tree", spec)]
            return tuple(_leaf(x) for x in leaves)
        if isinstance(value, list):
            levels = 1
            value = lift(value)
        elif hasattr(value, "staged_array"):
            value = value.staged_array()
            levels = 1
        else:
            levels = value.levels if isinstance(value, ListArr) else 0
        seen[:] = [("row" if row else "list", levels)]
        return _leaf(value)

    made = generate((n,), body)
    how, what = seen[0]
    if how == "tree":
        return TreeList(what, list(made) if isinstance(made, tuple) else [made])
    if how == "row":
        return of_levels(made.reshape((-1, *made.shape[2:])), what)
    return of_levels(made, what + 1)


def _leaf(x: Any) -> Any:
    if is_scalar(x) or isinstance(x, Arr):
        return x
    try:
        return lift(x)
    except TypeError:
        raise error(
            NotNumeric, f"the elements of a comprehension over a loop of the program are numbers and arrays, not {x!r}"
        ) from None


def _filtered(each: Each) -> Any:
    """With clauses or ragged inner loops: log the positions that count, then map over the log."""
    found: list[Var] = []
    scope = EachScope()
    with current().scope(scope):
        _log(each, (), found)
    if not found:
        builder().splice(Block(tuple(scope.lets), ()))
        return of_levels(full((0,), 0.0), 1)
    acc = found[0]
    out = builder().emit(Accumulate((acc,), ((),), Block(tuple(scope.lets), ())))
    n, columns = Num(out[0], True, None, 0), [owned(v) for v in out[1:]]
    return _mapped(n, lambda j: _at(each, [c.read((j,)) for c in columns]))


def _log(inner: Any, position: tuple[Any, ...], found: list[Var]) -> None:
    """Append the position of every element to an accumulator, made when its rank is known."""
    if isinstance(inner, Where):
        conditional_do(inner.test, lambda: _log(inner.inner(), position, found))
    elif isinstance(inner, Each):
        s = inner.steps
        if s is None:
            raise error(TypeError, "a Python list inside a filtered comprehension over a loop of the program")

        def turn(k: Num) -> tuple[()]:
            attempt(lambda: _log(inner.at(k), (*position, k), found))
            return ()

        in_parallel((s.length,), turn, ())
    else:
        if not found:
            int64 = core_dtype(INT64)
            found.append(Var(Accumulator("append", (int64,) * len(position), ()), "kept"))
        builder().contribute(found[0], (), *map(extent_atom, position))


def conditional_do(test: Any, body: Callable[[], None]) -> None:
    """if test: body(), for statements without results."""
    if isinstance(test, bool):
        if test:
            body()
        return
    conditional(test, body, lambda: None)


def _at(inner: Any, position: Sequence[Num]) -> Any:
    """The element at a logged position, whose clauses hold."""
    rest = list(position)
    while True:
        if isinstance(inner, Where):
            inner = inner.inner()
        elif isinstance(inner, Each):
            assert inner.steps is not None
            k = rest.pop(0)
            base, offset = current().affine_of(extent_atom(inner.steps.length))
            inner = inner.at(Num(k.atom, True, None, 0, (base, offset - 1)))
        else:
            return inner


def dictcomp(each: Each) -> dict[Any, Any]:
    return dict(_pairs(each))


def setcomp(each: Each) -> set[Any]:
    return set(_pairs(each))


def _pairs(each: Each) -> list[Any]:
    if each.steps is not None and not isinstance(each.steps.length, int):
        raise error(TypeError, "a dict or set comprehension needs a number of items that is known when it is staged")
    each.steps = None
    return _static(each)


# --- reductions -------------------------------------------------------------------------------------------------------


class Fold:
    """A reduction by a built-in monoid: what it does to an element, and combines with outside of a For."""

    def __init__(self, monoid: str, prepare: Callable[[Any], Any], combine: Callable[[Any, Any], Any]) -> None:
        self.monoid = monoid
        self.prepare = prepare
        self.combine = combine

    def run(self, inner: Any) -> tuple[Any, Any]:
        """The reduced value, and whether there was an element: a bool, known or of the program.

        The value is None where it is known that there was none.
        """
        if isinstance(inner, Where):
            return self._where(inner)
        if isinstance(inner, Each):
            return self._static(inner) if inner.steps is None else self._loop(inner)
        return self.prepare(inner), True

    def _static(self, each: Each) -> tuple[Any, Any]:
        total: Any = None
        some: Any = False
        for inner in each.turns():
            value, seen = self.run(inner)
            if seen is False:
                continue
            total = value if total is None else self.combine(total, value)
            some = True if seen is True or some is True else seen if some is False else some | seen
        return total, some

    def _where(self, inner: Where) -> tuple[Any, Any]:
        if isinstance(inner.test, bool):
            return self.run(inner.inner()) if inner.test else (None, False)
        side = Branch(Snapshot({}))
        found: list[Any] = []
        side.run(lambda: found.extend(self.run(inner.inner())))
        if side.signal is NEVER:
            either(inner.test, (side, Branch(side.before)))
            return None, False
        value, seen = found
        if value is None:
            return None, False
        if isinstance(value, Arr):
            out = conditional(inner.test, lambda: self.run(inner.inner())[0], lambda: full(value.shape, 0, value.dtype))
            return out, True
        zero = self.identity(kind_of(value))
        return _either(inner.test, side, (value, seen), (zero, False))

    def identity(self, kind: Kind) -> Num:
        return as_kind(kind.dtype.type(identity(self.monoid, core_dtype(kind.dtype))[0]), kind)

    def _loop(self, each: Each) -> tuple[Any, Any]:
        s = each.steps
        assert s is not None
        if isinstance(s.length, int) and s.length == 0:
            return None, False
        found: list[Any] = []
        yields: list[Reduce] = []
        acc: list[Any] = []

        def body(k: Num) -> tuple[Atom, ...]:
            ran = attempt(lambda: self.run(each.at(k)))
            value, seen = found[:] = (None, False) if ran is NEVER else ran
            if value is None:
                return ()
            if isinstance(value, Arr):
                self._accumulate(value, acc)
                return ()
            x = constant(value)
            outs = [x.atom] if x.im is None else [x.atom, x.im]
            yields.extend(Reduce(self.monoid) for _ in outs)  # type: ignore[arg-type]
            if seen is not True and self.monoid in ("min", "max"):
                yields.append(Reduce("or"))
                outs.append(constant(seen).atom)
            return tuple(outs)

        lets: list[Let] = []
        with builder().into(lets):
            outs = in_parallel((s.length,), body, yields)
        value = found[0]
        if acc:
            return self._accumulated(acc, lets), True
        builder().splice(Block(tuple(lets), ()))
        if value is None:
            return None, False
        x = constant(value)
        width = 1 if x.im is None else 2
        some = as_bool(outs[-1]) if len(outs) > width else _some(s.length)
        return Num(outs[0], x.weak, outs[1] if x.im is not None else None), some

    def _accumulate(self, value: Arr, acc: list[Any]) -> None:
        """A sum of arrays: every element is contributed."""
        if self.monoid != "add":
            raise error(ValueError, "The truth value of an array with more than one element is ambiguous")
        if not all(map(current().is_top, atoms(value.shape))):
            raise error(TypeError, "a sum of arrays whose length is only known inside the sum")
        if not acc:
            start = full(value.shape, 0, value.dtype)
            pairs = (literal(2),) if value.dtype.kind == "c" else ()
            t = Accumulator("add", (core_dtype(value.dtype),), (*atoms(value.shape), *pairs))
            acc += [Var(t, "acc"), value.shape, value.dtype, start]
        in_parallel(value.shape, lambda *i: contribute(acc[0], i, cast(value.read(i), acc[2]), True) or (), ())

    def _accumulated(self, acc: list[Any], lets: list[Let]) -> Arr:
        start = materialise(full(acc[1], 0, acc[2]))
        (out,) = builder().emit(Accumulate((acc[0],), ((start,),), Block(tuple(lets), ())))
        return owned(out, acc[2])


def _some(n: Extent) -> Any:
    """Whether a length is positive."""
    low = low_of(constant(n))
    return True if low is not None and low > 0 else known(constant(n > 0))


def _either(p: Num, side: Branch, values: tuple[Any, Any], otherwise: tuple[Any, Any]) -> tuple[Any, Any]:
    """If p, what `side` computed, else something that is at hand."""
    other = Branch(side.before)
    side.signal, other.signal = Return(values), Return(otherwise)
    out = merged(p, (side, other), ())
    return out.value


def number(x: Any) -> Any:
    if isinstance(x, Arr) and x.ndim == 0:
        return x.item()
    if isinstance(x, Arr):
        raise error(
            ValueError, "The truth value of an array with more than one element is ambiguous: use np.maximum, .max()"
        )
    if not is_scalar(x):
        raise error(TypeError, f"'<' is not supported between instances of {type(x).__name__}")
    return as_kind(x, promote((kind_of(x), Kind(INT64, True)))) if kind_of(x).dtype == BOOL_ else x


def addend(x: Any) -> Any:
    if isinstance(x, Arr):
        return x.item() if x.ndim == 0 else x
    if not is_scalar(x):
        x = lift(x)
        return x
    return number(x)


def as_each(values: Any) -> Each:
    """Anything that can be reduced over, as an Each of its items."""
    return values.each if isinstance(values, Generator) else Each(values, lambda x: x)
