"""Sums and maxima of sizes over an index, and logarithms: what the cost of a program is made of.

    total(i, n, p)     p(0) + ... + p(n - 1)       powers of i by Faulhaber's formula:  Σ i = n (n - 1) / 2
    largest(i, n, p)   max(0, p(0), ..., p(n - 1)) p(n - 1) or p(0) where p is seen to be monotone
    levels(n)          the depth of a binary tree with n leaves, the logarithm rounded up

n >= 0 throughout.  What has no closed form remains as an atom, which has a value all the same: these sizes are exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from iverson.core.sizes import (
    Count,
    Factor,
    Floor,
    Greatest,
    Least,
    Number,
    Size,
    maximum,
    minimum,
    parts,
    size,
    undominated,
)
from iverson.core.sizes import substitute as replaced
from iverson.core.syntax import Var

Shapes = tuple[tuple[Size, ...], ...]


@dataclass(frozen=True, slots=True)
class Levels(Count):
    of: Size

    def variables(self) -> dict[Var, None]:
        return self.of.variables()

    def value(self, env: Mapping[Var, int]) -> int:
        return depth(self.of.value(env))

    def substitute(self, env: Mapping[Var, Size]) -> Size:
        return levels(replaced(self.of, env))

    def show(self, text: Callable[[Size], str]) -> str:
        return f"log({text(self.of)})"


@dataclass(frozen=True, slots=True)
class Over(Count):
    """The sum or the maximum (at least 0) of a size, or of some of its terms, over 0 <= index < extent."""

    index: Var
    extent: Size
    body: Size
    summed: bool

    def variables(self) -> dict[Var, None]:
        inner = self.body.variables()
        inner.pop(self.index, None)
        return {**self.extent.variables(), **inner}

    def value(self, env: Mapping[Var, int]) -> Number:
        values = (self.body.exact({**env, self.index: i}) for i in range(self.extent.value(env)))
        return sum(values) if self.summed else max(values, default=0)

    def substitute(self, env: Mapping[Var, Size]) -> Size:
        inner = {v: s for v, s in env.items() if v is not self.index}
        over = total if self.summed else largest
        return over(self.index, replaced(self.extent, inner), replaced(self.body, inner))

    def show(self, text: Callable[[Size], str]) -> str:
        return f"{'sum' if self.summed else 'max'}({text(self.body)} for {self.index.hint} < {text(self.extent)})"


@dataclass(frozen=True, slots=True)
class Formula(Count):
    """A library row's own formula, of shapes that it can't be computed for symbolically."""

    name: str
    function: Callable[..., int]
    shapes: Shapes

    def variables(self) -> dict[Var, None]:
        return {v: None for shape in self.shapes for n in shape for v in n.variables()}

    def value(self, env: Mapping[Var, int]) -> int:
        return self.function([tuple(n.value(env) for n in shape) for shape in self.shapes])

    def substitute(self, env: Mapping[Var, Size]) -> Size:
        return formula(self.name, self.function, tuple(tuple(replaced(n, env) for n in s) for s in self.shapes))

    def show(self, text: Callable[[Size], str]) -> str:
        shapes = ", ".join("[" + ", ".join(map(text, shape)) + "]" for shape in self.shapes)
        return f"{self.name}({shapes})"


def depth(n: int) -> int:
    """The depth of a binary tree with n leaves."""
    return max(n - 1, 0).bit_length()


def levels(n: Size) -> Size:
    return size(depth(int(n.constant))) if n.constant is not None else size(Levels(n))


def formula(name: str, function: Callable[..., int], shapes: Shapes) -> Size:
    """A function of shapes, computed if they are numbers."""
    if all(n.constant is not None for shape in shapes for n in shape):
        return size(function([tuple(int(n.constant or 0) for n in shape) for shape in shapes]))
    return size(Formula(name, function, shapes))


# --- over an index ----------------------------------------------------------------------------------------------------


def total(i: Var, n: Size, body: Size) -> Size:
    """The sum of body over 0 <= i < n."""
    closed, rest = size(0), size(0)
    for power, c in body.powers(i).items():
        if i in c.variables():
            rest = rest + c * size(i) ** power
        else:
            closed = closed + c * _faulhaber(n, power)
    if not rest.terms:
        return closed
    if n.constant is not None and n.constant <= 8:
        return closed + sum((replaced(rest, {i: size(k)}) for k in range(int(n.constant))), size(0))
    return closed + size(Over(i, n, rest, summed=True))


def _faulhaber(n: Size, power: int) -> Size:
    """The sum of i ** power over 0 <= i < n."""
    weights = [_bernoulli(k) * Fraction(math.comb(power + 1, k), power + 1) for k in range(power + 1)]
    return sum((n ** (power + 1 - k) * w for k, w in enumerate(weights)), size(0))


@lru_cache
def _bernoulli(k: int) -> Fraction:
    """The Bernoulli numbers, the first being -1/2."""
    if k == 0:
        return Fraction(1)
    return -sum((math.comb(k + 1, j) * _bernoulli(j) for j in range(k)), Fraction(0)) / (k + 1)


def largest(i: Var, n: Size, body: Size, proven: Callable[[Size], bool] | None = None) -> Size:
    """The maximum of 0 and body over 0 <= i < n; body isn't negative there.  `proven` knows what is >= 0."""
    some, proven = positive(n), proven or _plus
    if i not in body.variables():
        return body * some
    slopes = [c for power, c in body.powers(i).items() if power]
    free = all(i not in c.variables() for c in (*slopes, body.powers(i).get(0, size(0))))
    if _rises(body, i, 1) or (free and all(map(proven, slopes))):
        return replaced(body, {i: n - 1}) * some
    if _rises(body, i, -1) or (free and all(proven(-c) for c in slopes)):
        return replaced(body, {i: size(0)}) * some
    return size(Over(i, n, body, summed=False))


def positive(n: Size) -> Size:
    """[n > 0]"""
    return minimum(n, size(1))


def _rises(body: Size, i: Var, sign: int) -> bool:
    """Is body seen to be monotone in i >= 0, all other variables being >= 0?"""
    for m, c in body.terms.items():
        mine = [f for f, _ in m if f is i or i in size(f).variables()]
        if mine and not (c * sign > 0 and all(_rising(f, i) for f in mine) and all(never_negative(f) for f, _ in m)):
            return False
    return True


def _rising(f: Factor, i: Var) -> bool:
    match f:
        case Floor(a, b):
            return i not in b.variables() and _rises(a, i, 1)
        case Least() | Greatest():
            return all(_rises(s, i, 1) for s in parts(f))
        case Levels(of):
            return _rises(of, i, 1)
        case _:
            return f is i


def never_negative(f: Factor) -> bool:
    """Is an atom >= 0 if all variables are?"""
    match f:
        case Floor(a, b):
            return _plus(a) and _plus(b)
        case Least():
            return all(map(_plus, parts(f)))
        case Greatest():
            return any(map(_plus, parts(f)))
        case _:
            return True


def _plus(s: Size) -> bool:
    return all(c > 0 and all(never_negative(f) for f, _ in m) for m, c in s.terms.items())


def covers(a: Size, b: Size) -> bool:
    """Is a >= b seen at once, all variables being >= 0?"""
    return _plus(a - b)


def upper(sizes: list[Size]) -> list[Size]:
    """Sizes of which one is the maximum, without those that another covers."""
    return undominated(dict.fromkeys(sizes), covers)


def most(*sizes: Size) -> Size:
    """The maximum, where all variables are >= 0."""
    return maximum(*upper(list(sizes)))


# --- growth -----------------------------------------------------------------------------------------------------------

_LOG = Fraction(1, 1000)  # the degree of a logarithm: less than any power that occurs


def leading(s: Size) -> Size:
    """The terms that dominate where all variables grow together."""
    degrees = {m: sum((_degree(f) * p for f, p in m), Fraction(0)) for m in s.terms}
    top = max(degrees.values(), default=Fraction(0))
    return Size({m: c for m, c in s.terms.items() if degrees[m] == top})


def _degree(f: Factor) -> Fraction:
    match f:
        case Floor(a, b):
            return degree(a) - degree(b)
        case Least():
            return min(map(degree, parts(f)))
        case Greatest():
            return max(map(degree, parts(f)))
        case Levels():
            return _LOG
        case Over(_, extent, body, summed):
            return degree(body) + (degree(extent) if summed else 0)
        case Formula(_, function, shapes):
            small, large = ([tuple(side for _ in shape) for shape in shapes] for side in (1 << 20, 1 << 21))
            return Fraction(round(math.log2(function(large) / function(small))))
        case _:
            return Fraction(1)


def degree(s: Size) -> Fraction:
    """The power with which a size grows."""
    return max((sum((_degree(f) * p for f, p in m), Fraction(0)) for m in s.terms), default=Fraction(0))
