"""Sizes as text, for people: `3·n²·d + 2·n − 1`.

Formulas are shown as they are for sizes that aren't tiny, where min(n, 1) is 1; their values are exact for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from iverson.core.bounds import Sizes
from iverson.core.sizes import (
    Count,
    Factor,
    Floor,
    Greatest,
    Least,
    Monomial,
    Number,
    Size,
    maximum,
    minimum,
    size,
    undominated,
)
from iverson.core.sums import Formula, Levels, Over, largest, levels, total
from iverson.core.syntax import Var

_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def written(s: Size, names: Mapping[Var, str], least: Mapping[Var, int] | None = None) -> str:
    """The text of a size; factors in the order of `names`."""
    return _Writer(names).size(settled(s, least))


def settled(s: Size, least: Mapping[Var, int] | None = None) -> Size:
    """The size where all variables are at least 1, or what `least` says."""
    known = Sizes()
    for v in s.variables():
        known.fact(size(v) - (least or {}).get(v, 1))
    return _decided(s, known)


def _decided(s: Size, known: Sizes) -> Size:
    """Minima and maxima without what is proven not to attain them."""
    result = size(0)
    for m, c in s.terms.items():
        term = size(c)
        for f, power in m:
            term = term * _factor(f, known) ** power
        result = result + term
    return result


def _factor(f: Factor, known: Sizes) -> Size:
    proven = known.nonnegative
    match f:
        case Floor(a, b):
            return _decided(a, known) // _decided(b, known)
        case Least(items):
            return minimum(*undominated([_decided(s, known) for s in items], lambda a, b: proven(b - a)))
        case Greatest(items):
            return maximum(*undominated([_decided(s, known) for s in items], lambda a, b: proven(a - b)))
        case Levels(of):
            return levels(_decided(of, known))
        case Over(index, extent, body, summed):
            known.fact(size(index))
            extent, body = _decided(extent, known), _decided(body, known)
            return total(index, extent, body) if summed else largest(index, extent, body, proven)
        case _:
            return size(f)


class _Writer:
    def __init__(self, names: Mapping[Var, str]) -> None:
        self.names = names
        self.order = {v: k for k, v in enumerate(names)}

    def size(self, s: Size) -> str:
        if not s.terms:
            return "0"
        terms = sorted(s.terms.items(), key=lambda t: (*self._rank(t[0]), self.monomial(t[0])))
        text = ""
        for m, c in terms:
            sign, amount = ("−", -c) if c < 0 else ("+", c)
            text += f" {sign} {self.term(m, amount)}" if text else self.term(m, amount, sign.strip("+"))
        return text

    def _rank(self, m: Monomial) -> tuple[int, list[int]]:
        """Higher degrees first, then in the order of names."""
        return -sum(p for _, p in m), sorted(self._place(f) for f, _ in m)

    def _place(self, f: Factor) -> int:
        return self.order.get(f, len(self.order)) if isinstance(f, Var) else len(self.order) + 1

    def term(self, m: Monomial, c: Number, sign: str = "") -> str:
        c = Fraction(c)
        whole = self.monomial(m)
        head = str(c.numerator) if c.numerator != 1 or not whole else ""
        text = "·".join(filter(None, [head, whole]))
        return sign + text + (f"/{c.denominator}" if c.denominator != 1 else "")

    def monomial(self, m: Monomial) -> str:
        ordered = sorted(m, key=lambda t: (self._place(t[0]), self.factor(t[0])))
        return "·".join(self.factor(f) + (str(p).translate(_RAISED) if p > 1 else "") for f, p in ordered)

    def factor(self, f: Factor) -> str:
        match f:
            case Floor(a, b):
                return f"⌊{self._grouped(a)}/{self._grouped(b)}⌋"
            case Least(items):
                return f"min({', '.join(sorted(map(self.size, items)))})"
            case Greatest(items):
                return f"max({', '.join(sorted(map(self.size, items)))})"
            case Levels(of):
                return f"⌈log₂ {self._grouped(of)}⌉"
            case Over(index, extent, body, summed):
                return f"{'Σ' if summed else 'max'}[{index.hint} < {self.size(extent)}]({self.size(body)})"
            case Formula(name, _, shapes):
                return f"{name}({', '.join('[' + ', '.join(map(self.size, shape)) + ']' for shape in shapes)})"
            case Count():
                return f.show(self.size)
            case _:
                return self.names.get(f, f.hint)

    def _grouped(self, s: Size) -> str:
        return self.size(s) if len(s.terms) == 1 else f"({self.size(s)})"
