"""Python's builtins on staged values."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from iverson.lang import iterate
from iverson.lang.branch import conditional
from iverson.lang.comprehend import Each, Fold, Generator, addend, as_each, number
from iverson.lang.dtypes import COMPLEX128, FLOAT64, INT64, Kind
from iverson.lang.errors import error
from iverson.lang.lists import ListArr, of_levels
from iverson.lang.num import Num, cast, constant, known, truth, ufunc
from iverson.lang.shapes import extent
from iverson.lang.staging import builder
from iverson.lang.table import implements, lookup
from iverson.lang.values import Arr, fold

_MISSING: Any = object()


def _staged(*values: Any) -> bool:
    return any(isinstance(v, Num | Arr | Generator | iterate.Steps) or hasattr(v, "staged_steps") for v in values)


# --- reductions -------------------------------------------------------------------------------------------------------


@implements(builtins.sum)
def sum_(values: Any, /, start: Any = 0) -> Any:
    value, _ = Fold("add", addend, lambda a, b: a + b).run(as_each(values))
    return start if value is None else start + value


@implements(math.prod)
def prod(values: Any, /, *, start: Any = 1) -> Any:
    value, _ = Fold("mul", number, lambda a, b: a * b).run(as_each(values))
    return start if value is None else start * value


def _extremum(name: str, function: np.ufunc) -> Any:
    arg = f"arg{name}"

    def extremum(*values: Any, key: Any = None, default: Any = _MISSING) -> Any:
        if len(values) > 1:
            if key is not None:
                return (min if name == "min" else max)(*values, key=key)
            out = number(values[0])
            for v in values[1:]:
                out = ufunc(function, out, number(v)) if _staged(out, v) else (min if name == "min" else max)(out, v)
            return out
        if key is not None:
            return _by_key(arg, values[0], key, default)
        each = as_each(values[0])
        if not isinstance(values[0], Generator) and each.steps is None and not _staged(*each.iterable):
            each.iterable = list(each.iterable)
        value, some = Fold(name, number, lambda a, b: ufunc(function, a, b)).run(each)
        return _or_default(f"{name}()", value, some, default)

    return extremum


def _or_default(name: str, value: Any, some: Any, default: Any) -> Any:
    """A value that only exists if there was an element."""
    if some is True:
        return known(value)
    if default is not _MISSING:
        return default if some is False else conditional(constant(some), lambda: value, lambda: default)
    if some is False:
        raise error(ValueError, f"{name} iterable argument is empty")
    builder().check(constant(some).atom, f"{name} iterable argument is empty")
    return value


def _by_key(monoid: Any, values: Any, key: Any, default: Any) -> Any:
    from iverson.lang.calls import call

    if isinstance(values, Generator):
        values = lookup(builtins.list)(values)  # type: ignore[misc]
    found = iterate.steps(values)
    if found is None:
        values = list(values)
        keys = [call(key, v) for v in values]
        if not _staged(*keys):
            order = (
                min(range(len(keys)), key=keys.__getitem__)
                if monoid == "argmin"
                else max(range(len(keys)), key=keys.__getitem__)
            )
            return values[order]
        raise error(TypeError, "min or max of a Python list by a key that is only known when the program runs")
    n = found.length
    some = known(constant(n > 0))
    if some is not True and default is _MISSING:
        builder().check(constant(some).atom, f"{monoid[3:]}() iterable argument is empty")
    _, at = fold(monoid, (n,), lambda k: (number(call(key, found.at(k))), k))
    best = Num(at.atom, True, None, 0, None)
    return found.at(best)


implements(builtins.min)(_extremum("min", np.minimum))
implements(builtins.max)(_extremum("max", np.maximum))


@implements(builtins.any)
def any_(values: Any, /) -> Any:
    value, _ = Fold("or", _truth, _either).run(as_each(values))
    return False if value is None else value


@implements(builtins.all)
def all_(values: Any, /) -> Any:
    value, _ = Fold("and", _truth, _both).run(as_each(values))
    return True if value is None else value


def _truth(x: Any) -> Any:
    return truth(x)


def _either(a: Any, b: Any) -> Any:
    return known(Num(builder().prim("or", constant(a).atom, constant(b).atom), True))


def _both(a: Any, b: Any) -> Any:
    return known(Num(builder().prim("and", constant(a).atom, constant(b).atom), True))


# --- numbers ----------------------------------------------------------------------------------------------------------


@implements(builtins.abs)
def abs_(x: Any, /) -> Any:
    return abs(x)


@implements(builtins.round)
def round_(x: Any, ndigits: Any = None) -> Any:
    return round(x, known(ndigits)) if isinstance(x, Num) else round(x, ndigits)


@implements(builtins.pow)
def pow_(base: Any, exp: Any, mod: Any = None) -> Any:
    return base**exp if mod is None else base**exp % mod


@implements(builtins.divmod)
def divmod_(x: Any, y: Any, /) -> Any:
    return (x // y, x % y) if _staged(x, y) else divmod(x, y)


def _conversion(python: Any, kind: Kind) -> Any:
    def convert(x: Any = _MISSING, /, *rest: Any) -> Any:
        if x is _MISSING or not _staged(x):
            return python(*(() if x is _MISSING else (x,)), *rest)
        if isinstance(x, Arr) and x.ndim:
            raise error(TypeError, "only 0-dimensional arrays can be converted to Python scalars")
        if isinstance(x, Arr):
            x = x.item()
        if x.im is not None and python is not complex:
            raise error(TypeError, f"{python.__name__}() argument must be a real number, not complex")
        return cast(x, kind.dtype, weak=True)

    return convert


implements(builtins.int)(_conversion(int, Kind(INT64, True)))
implements(builtins.float)(_conversion(float, Kind(FLOAT64, True)))


@implements(builtins.complex)
def complex_(re: Any = 0, im: Any = 0) -> Any:
    if not _staged(re, im):
        return complex(re, im)
    x, y = cast(re, COMPLEX128, weak=True), cast(im, COMPLEX128, weak=True)
    return Num(ufunc(np.subtract, x.real, y.imag).atom, True, ufunc(np.add, x.imag, y.real).atom)


@implements(builtins.bool)
def bool_(x: Any = False, /) -> Any:
    return truth(x)


@implements(builtins.isinstance)
def isinstance_(x: Any, classes: Any) -> Any:
    """Staged values are instances of what they stand for."""
    if isinstance(x, Num | Arr):
        return any(issubclass(_class(x), c) for c in _flat(classes))
    return isinstance(x, classes)


def _flat(classes: Any) -> Any:
    return (
        [c for k in classes for c in _flat(k)]
        if isinstance(classes, tuple)
        else getattr(classes, "__args__", (classes,))
    )


def _class(x: Num | Arr) -> type:
    if isinstance(x, ListArr):
        return list
    if isinstance(x, Arr):
        return np.ndarray
    if x.weak:
        return {"b": bool, "i": int, "f": float, "c": complex}[x.dtype.kind]
    return x.dtype.type


@implements(builtins.type)
def type_(x: Any, *rest: Any) -> Any:
    return _class(x) if isinstance(x, Num | Arr) and not rest else type(x, *rest)


# --- iterables --------------------------------------------------------------------------------------------------------


@implements(builtins.len)
def len_(x: Any, /) -> Any:
    found = x if isinstance(x, Arr) else iterate.steps(x) if _staged(x) else None
    return extent(found.length) if found is not None else len(x)


implements(builtins.range)(iterate.range_)
implements(builtins.enumerate)(iterate.enumerate_)
implements(builtins.zip)(iterate.zip_)
implements(builtins.reversed)(iterate.reversed_)


@implements(builtins.list)
def list_(values: Any = (), /) -> Any:
    """A list: of the program's own if the values are."""
    from iverson.lang.comprehend import listcomp

    if isinstance(values, Generator):
        return listcomp(values.each)
    if isinstance(values, Arr):
        return of_levels(values.copy(), 1)
    found = iterate.steps(values)
    if found is not None and not isinstance(found.length, int):
        return listcomp(Each(found, lambda x: x))
    return list(values)


@implements(builtins.tuple)
def tuple_(values: Any = (), /) -> Any:
    if isinstance(values, Generator):
        values = list_(values)
    return tuple(values)


@implements(builtins.map)
def map_(function: Any, *iterables: Any) -> Any:
    from iverson.lang.calls import call

    items = iterables[0] if len(iterables) == 1 else iterate.zip_(*iterables)
    return Generator(
        Each(items, (lambda x: call(function, x)) if len(iterables) == 1 else lambda x: call(function, *x))
    )


def _refuse(name: str, why: str) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise error(TypeError, f"{name} can't be staged: {why}")

    implements(getattr(builtins, name))(refuse)


_refuse("eval", "its text is not part of the function's source")
_refuse("exec", "its text is not part of the function's source")
_refuse("locals", "the variables of a staged function are not in a dict")
_refuse("input", "there is nobody to ask while the program runs")


@implements(builtins.print)
def print_(*_: Any, **__: Any) -> None:
    raise error(
        TypeError, "print is not available in staged programs: the values are not known while the program is staged"
    )
