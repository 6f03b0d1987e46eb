"""Exact symbolic sizes.

A `Size` is a polynomial over atoms: variables, floor(a / b), min and max.  Coefficients are integers, or rationals
where a division is exact, as in n (n + 1) / 2; so a size always has integer values.  Construction normalises, and two
sizes are equal if their normal forms are:

    floor((d q + r) / d) = q + floor(r / d)            floor((floor(a / b) + p) / d) = floor((a + b p) / (b d))
    floor(a b / b) = a                                 a mod b = a - b floor(a / b)
    min(a + c, b + c) = c + min(a, b)                  min(a, a + 1) = a

What has no order in mathematics, the factors of a product, the alternatives of a minimum, is kept in an order of its
own (`order`): so a program is compiled to the same code wherever in memory its variables lie.
Sizes are mathematical integers: they don't wrap.  What holds about them where, is core/bounds.py; further atoms that
the costs of programs have, sums and logarithms, are core/sums.py.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

from iverson.core.syntax import Var

Number: TypeAlias = int | Fraction
Factor: TypeAlias = "Var | Floor | Least | Greatest | Count"
Monomial: TypeAlias = "tuple[tuple[Factor, int], ...]"  # factors with their powers, in order

ONE: Monomial = ()


class Size:
    """A polynomial: monomials with coefficients, none of them zero."""

    __slots__ = ("_hash", "terms")

    def __init__(self, terms: Mapping[Monomial, Number]) -> None:
        self.terms: dict[Monomial, Number] = {m: c if type(c) is int else _integral(c) for m, c in terms.items() if c}
        self._hash: int | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Size) and self.terms == other.terms

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self.terms.items()))
        return self._hash

    # --- arithmetic -------------------------------------------------------------------------------------------------

    def __add__(self, other: Size | Number) -> Size:
        terms = dict(self.terms)
        for m, c in size(other).terms.items():
            terms[m] = terms.get(m, 0) + c
        return Size(terms)

    def __radd__(self, other: Number) -> Size:
        return self + other

    def __sub__(self, other: Size | Number) -> Size:
        return self.plus(size(other), ONE, -1)

    def plus(self, other: Size, m: Monomial, c: Number) -> Size:
        """self + c m other."""
        terms = dict(self.terms)
        for k, d in other.terms.items():
            product = _times(m, k)
            terms[product] = terms.get(product, 0) + c * d
        return Size(terms)

    def __rsub__(self, other: Number) -> Size:
        return -self + other

    def __mul__(self, other: Size | Number) -> Size:
        if not isinstance(other, Size):
            return Size({m: c * other for m, c in self.terms.items()})
        terms: dict[Monomial, Number] = {}
        for (m, c), (k, d) in itertools.product(self.terms.items(), other.terms.items()):
            product = _times(m, k)
            terms[product] = terms.get(product, 0) + c * d
        return Size(terms)

    def __rmul__(self, other: Number) -> Size:
        return self * other

    def __pow__(self, power: int) -> Size:
        return math.prod([self] * power, start=Size({ONE: 1}))

    def __neg__(self) -> Size:
        return self * -1

    def __floordiv__(self, other: Size | int) -> Size:
        return _floor_divide(self, size(other))

    def __mod__(self, other: Size | int) -> Size:
        return self - size(other) * (self // other)

    # --- parts ------------------------------------------------------------------------------------------------------

    @property
    def constant(self) -> Number | None:
        """The value, if it is the same whatever the variables are."""
        return self.terms.get(ONE, 0) if self.terms.keys() <= {ONE} else None

    @property
    def offset(self) -> Number:
        """The constant term."""
        return self.terms.get(ONE, 0)

    def factors(self) -> dict[Factor, None]:
        """The atoms it is made of, not those inside atoms."""
        return {f: None for m in self.terms for f, _ in m}

    def variables(self) -> dict[Var, None]:
        """All variables, those inside atoms too."""
        found: dict[Var, None] = {}
        for f in self.factors():
            if isinstance(f, Var):
                found[f] = None
            elif isinstance(f, Count):
                found.update(f.variables())
            else:
                found.update({v: None for s in parts(f) for v in s.variables()})
        return found

    def powers(self, factor: Factor) -> dict[int, Size]:
        """The coefficients of self as a polynomial in the factor alone."""
        grouped: dict[int, dict[Monomial, Number]] = {}
        for m, c in self.terms.items():
            power = next((p for f, p in m if f == factor), 0)
            grouped.setdefault(power, {})[_without(m, factor) if power else m] = c
        return {power: Size(terms) for power, terms in grouped.items()}

    def split(self, factor: Factor) -> tuple[Size, Size] | None:
        """(c, r) with self = c * factor + r and neither mentioning the factor; None if a higher power occurs."""
        powers = self.powers(factor)
        zero = Size({})
        return (powers.get(1, zero), powers.get(0, zero)) if powers.keys() <= {0, 1} else None

    def replace(self, factor: Factor, value: Size) -> Size:
        """A factor replaced by a size, not inside other atoms."""
        powers = self.powers(factor)
        total = powers.pop(0, Size({}))
        for power, term in powers.items():
            for _ in range(power):
                term = term * value
            total = total + term
        return total

    def shifted(self, factor: Factor, by: Number) -> Size:
        """A factor replaced by itself plus a number."""
        terms = dict(self.terms)
        for m, c in self.terms.items():
            power = next((p for f, p in m if f == factor), 0)
            if power > 1:
                return self.replace(factor, size(factor) + by)
            if power:
                rest = _without(m, factor)
                terms[rest] = terms.get(rest, 0) + c * by
        return Size(terms)

    def value(self, env: Mapping[Var, int]) -> int:
        """The number it is for given variables."""
        total = self.exact(env)
        assert total == int(total), f"{self} is not integral"
        return int(total)

    def exact(self, env: Mapping[Var, int]) -> Number:
        """The same of a part of a size, some of its terms, which need not be integral."""
        return sum(c * math.prod(_value(f, env) ** p for f, p in m) for m, c in self.terms.items())

    def __repr__(self) -> str:
        ordered = sorted(self.terms.items(), key=lambda t: (-sum(p for _, p in t[0]), _show(t[0])))
        text = " + ".join(_show_term(m, c) for m, c in ordered).replace("+ -", "- ")
        return text or "0"


@dataclass(frozen=True, slots=True)
class Floor:
    """floor(numerator / denominator)."""

    numerator: Size
    denominator: Size


@dataclass(frozen=True, slots=True)
class Least:
    items: tuple[Size, ...]  # in order


@dataclass(frozen=True, slots=True)
class Greatest:
    items: tuple[Size, ...]  # in order


class Count(ABC):
    """An atom of another kind; never negative."""

    @abstractmethod
    def variables(self) -> dict[Var, None]: ...

    @abstractmethod
    def value(self, env: Mapping[Var, int]) -> Number: ...

    @abstractmethod
    def substitute(self, env: Mapping[Var, Size]) -> Size: ...

    @abstractmethod
    def show(self, text: Callable[[Size], str]) -> str: ...


def size(x: Size | Number | Factor) -> Size:
    """A number or an atom as a size."""
    if isinstance(x, Size):
        return x
    if isinstance(x, int | Fraction):
        return Size({ONE: x})
    return Size({((x, 1),): 1})


def parts(atom: Floor | Least | Greatest) -> tuple[Size, ...]:
    """The sizes inside an atom."""
    return (atom.numerator, atom.denominator) if isinstance(atom, Floor) else atom.items


def substitute(s: Size, env: Mapping[Var, Size]) -> Size:
    """Variables replaced by sizes, inside atoms too."""
    if env.keys().isdisjoint(s.variables()):
        return s
    total = Size({})
    for m, c in s.terms.items():
        total = total + math.prod((_substituted(f, env) ** p for f, p in m), start=Size({ONE: c}))
    return total


def _substituted(f: Factor, env: Mapping[Var, Size]) -> Size:
    match f:
        case Floor(a, b):
            return substitute(a, env) // substitute(b, env)
        case Least(items):
            return minimum(*(substitute(s, env) for s in items))
        case Greatest(items):
            return maximum(*(substitute(s, env) for s in items))
        case Var():
            return env.get(f, size(f))
        case _:
            return f.substitute(env)


def quotient(c: Number, d: Number) -> Number:
    """c / d."""
    return c // d if type(c) is int and type(d) is int and c % d == 0 else Fraction(c) / d


def _integral(c: Number) -> Number:
    return int(c) if c.denominator == 1 else c


def _times(m: Monomial, k: Monomial) -> Monomial:
    if not m or not k:
        return m or k
    powers = dict(m)
    for f, p in k:
        powers[f] = powers.get(f, 0) + p
    return _monomial(powers)


def _monomial(powers: Mapping[Factor, int]) -> Monomial:
    found = ((f, p) for f, p in powers.items() if p)
    return tuple(sorted(found, key=lambda power: order(power[0])) if len(powers) > 1 else found)


def _without(m: Monomial, factor: Factor) -> Monomial:
    return tuple(power for power in m if power[0] != factor)


def divide(m: Monomial, by: Monomial) -> Monomial | None:
    """The quotient of monomials, if it is one."""
    if not by:
        return m
    powers = dict(m)
    for f, p in by:
        powers[f] = powers.get(f, 0) - p
        if powers[f] < 0:
            return None
    return _monomial(powers)


def order(x: Factor | Size) -> tuple[Any, ...]:
    """What atoms, and sizes, are ordered by: kinds, then the ages of variables."""
    match x:
        case Size():
            return tuple(sorted((tuple((order(f), p) for f, p in m), c) for m, c in x.terms.items()))
        case Var():
            return 0, x.serial
        case Floor():
            return 1, order(x.numerator), order(x.denominator)
        case Least() | Greatest():
            return 2 if isinstance(x, Least) else 3, tuple(map(order, x.items))
        case _:
            return 4, type(x).__name__, x.show(lambda s: repr(order(s)))


# --- floor ------------------------------------------------------------------------------------------------------------


def _floor_divide(a: Size, b: Size) -> Size:
    if b.constant == 0:
        return size(Floor(a, b))  # raises when it runs
    if isinstance(b.constant, int):
        return _floor_constant(a, b.constant) if b.constant > 0 else _floor_constant(-a, -b.constant)
    multiple = _multiple(a, b)
    if multiple is not None:
        return multiple
    quotient, rest = _whole(a, b)
    return quotient + size(Floor(rest, b)) if rest.terms else quotient


def _floor_constant(a: Size, d: int) -> Size:
    exact = a * Fraction(1, d)
    if _integer_valued(exact):
        return exact
    quotient = Size({m: c // d for m, c in a.terms.items()})
    rest = a - quotient * d
    if rest.constant is not None:
        return quotient + rest.constant // d
    for f in rest.factors():
        inner = rest.split(f) if isinstance(f, Floor) else None
        if isinstance(f, Floor) and inner and inner[0].constant == 1 and _positive_constant(f.denominator):
            return quotient + (f.numerator + inner[1] * f.denominator) // (f.denominator * d)
    return quotient + size(Floor(rest, size(d)))


def _positive_constant(s: Size) -> bool:
    return s.constant is not None and s.constant > 0


def _whole(a: Size, b: Size) -> tuple[Size, Size]:
    """Divide by a single term: the terms that it divides, and the rest."""
    if len(b.terms) != 1:
        return Size({}), a
    ((by, d),) = b.terms.items()
    quotient: dict[Monomial, Number] = {}
    for m, c in a.terms.items():
        q = divide(m, by)
        if q is not None and isinstance(c, int) and c % d == 0:
            quotient[q] = Fraction(c) / d
    whole = Size(quotient)
    return whole, a - whole * b


def _multiple(a: Size, b: Size) -> Size | None:
    """q with a = q b, where q is one term."""
    by, d = next(iter(b.terms.items()))
    for m, c in a.terms.items():
        q = divide(m, by)
        if q is not None:
            candidate = Size({q: Fraction(c) / d})
            if candidate * b == a and _integer_valued(candidate):
                return candidate
    return None if a.terms else a


def _integer_valued(p: Size) -> bool:
    """Is a rational polynomial integral at all integers?  It is if it is at 0 ... degree in each atom."""
    if all(isinstance(c, int) for c in p.terms.values()):
        return True
    degrees: dict[Factor, int] = {}
    for m in p.terms:
        for f, power in m:
            degrees[f] = max(degrees.get(f, 0), power)
    if math.prod(d + 1 for d in degrees.values()) > 1000:
        return False
    for point in itertools.product(*(range(d + 1) for d in degrees.values())):
        at = dict(zip(degrees, point, strict=True))
        total = sum(Fraction(c) * math.prod(at[f] ** power for f, power in m) for m, c in p.terms.items())
        if Fraction(total).denominator != 1:
            return False
    return True


# --- min and max ------------------------------------------------------------------------------------------------------


def minimum(*sizes: Size) -> Size:
    return _extreme(sizes, Least, lambda a, b: a <= b)


def maximum(*sizes: Size) -> Size:
    return _extreme(sizes, Greatest, lambda a, b: a >= b)


def _extreme(sizes: Iterable[Size], kind: type[Least] | type[Greatest], wins: Callable[[Number, Number], bool]) -> Size:
    kept = undominated(_flat(sizes, kind), lambda winner, loser: _decided(winner, loser, wins))
    if len(kept) == 1:
        return kept[0]
    shift = math.floor(min(s.offset for s in kept))
    return size(kind(tuple(sorted((s - shift for s in kept), key=order)))) + shift


def undominated(sizes: Iterable[Size], wins: Callable[[Size, Size], bool]) -> list[Size]:
    """Sizes of which one is the extreme, without those over which another is known to win."""
    kept: list[Size] = []
    for s in sizes:
        if not any(wins(k, s) for k in kept):
            kept = [*(k for k in kept if not wins(s, k)), s]
    return kept


def _decided(winner: Size, loser: Size, wins: Callable[[Number, Number], bool]) -> bool:
    difference = (winner - loser).constant
    return difference is not None and wins(difference, 0)


def _flat(sizes: Iterable[Size], kind: type[Least] | type[Greatest]) -> Iterator[Size]:
    """min(min(a, b) + c, d) = min(a + c, b + c, d)."""
    for s in sizes:
        for f in s.factors():
            inner = s.split(f)
            if isinstance(f, kind) and inner and inner[0].constant == 1 and inner[1].constant is not None:
                yield from (i + inner[1] for i in f.items)
                break
        else:
            yield s


# --- values and text --------------------------------------------------------------------------------------------------


def _value(f: Factor, env: Mapping[Var, int]) -> Number:
    match f:
        case Floor(a, b):
            return a.value(env) // b.value(env)
        case Least(items):
            return min(s.value(env) for s in items)
        case Greatest(items):
            return max(s.value(env) for s in items)
        case Var():
            return env[f]
        case _:
            return f.value(env)


def _show_factor(f: Factor) -> str:
    match f:
        case Floor(a, b):
            return f"floor(({a!r}) / ({b!r}))"
        case Least(items):
            return f"min({', '.join(sorted(map(repr, items)))})"
        case Greatest(items):
            return f"max({', '.join(sorted(map(repr, items)))})"
        case Var():
            return f.hint
        case _:
            return f.show(repr)


def _show(m: Monomial) -> str:
    powers = sorted((_show_factor(f), p) for f, p in m)
    return " ".join(name if p == 1 else f"{name}^{p}" for name, p in powers)


def _show_term(m: Monomial, c: Number) -> str:
    if m == ONE:
        return str(c)
    return _show(m) if c == 1 else f"-{_show(m)}" if c == -1 else f"{c} {_show(m)}"
