"""What is known of integers while a program is staged: a constant lower bound, and an upper bound atom + constant.

Enough to see that loop indices, their neighbours and remainders are inside an array, without a prover:
low <= x, and x <= base + offset, where base is an integer of the program or None for 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from iverson.core.syntax import Atom, Literal, Var
from iverson.lang.staging import current

if TYPE_CHECKING:
    from iverson.lang.num import Num

High: TypeAlias = tuple[Var | None, int]


def affine(atom: Atom) -> High:
    """An integer as base + offset, exactly."""
    if isinstance(atom, Literal):
        return None, int(atom.value)
    return current().affine.get(atom, (atom, 0))


def low_of(x: Num) -> int | None:
    return int(x.atom.value) if isinstance(x.atom, Literal) else x.low


def high_of(x: Num) -> High:
    """An upper bound; an integer is one of itself."""
    if isinstance(x.atom, Literal):
        return None, int(x.atom.value)
    return x.high if x.high is not None else affine(x.atom)


def constant(x: Num) -> int | None:
    return int(x.atom.value) if isinstance(x.atom, Literal) else None


def _shift(high: High, by: int) -> High:
    return high[0], high[1] + by


def bounds(function: np.ufunc, nums: list[Num]) -> tuple[int | None, High | None]:
    """Bounds of the integer result of a ufunc."""
    rule = _RULES.get(function)
    return rule(*nums) if rule else (None, None)


def _add(x: Num, y: Num) -> tuple[int | None, High | None]:
    a, b = low_of(x), low_of(y)
    low = None if a is None or b is None else a + b
    (p, c), (q, d) = high_of(x), high_of(y)
    return low, (p or q, c + d) if p is None or q is None else None


def _sub(x: Num, y: Num) -> tuple[int | None, High | None]:
    low, below = None, low_of(y)
    (p, c), (q, d) = affine(x.atom), high_of(y)
    if p is q:
        low = c - d
    elif q is None and (a := low_of(x)) is not None:
        low = a - d
    return low, None if below is None else _shift(high_of(x), -below)


def _mul(x: Num, y: Num) -> tuple[int | None, High | None]:
    a, b = low_of(x), low_of(y)
    if a is None or b is None or a < 0 or b < 0:
        return None, None
    (p, c), (q, d) = high_of(x), high_of(y)
    return a * b, (None, c * d) if p is None and q is None else None


def _floordiv(x: Num, y: Num) -> tuple[int | None, High | None]:
    a, b = low_of(x), low_of(y)
    if a is None or b is None or a < 0 or b <= 0:
        return None, None
    p, c = high_of(x)
    divisor = constant(y)
    return a // divisor if divisor else 0, (None, c // b) if p is None else (p, c)


def _mod(x: Num, y: Num) -> tuple[int | None, High | None]:
    b = low_of(y)
    if b is None or b <= 0:
        return None, None
    return 0, _shift(high_of(y), -1)


def _min(x: Num, y: Num) -> tuple[int | None, High | None]:
    a, b = low_of(x), low_of(y)
    p, q = high_of(x), high_of(y)
    high = q if p[0] is None else p
    if p[0] is q[0]:
        high = min(p, q, key=lambda h: h[1])
    return None if a is None or b is None else min(a, b), high


def _max(x: Num, y: Num) -> tuple[int | None, High | None]:
    lows = [b for b in (low_of(x), low_of(y)) if b is not None]
    (p, c), (q, d) = high_of(x), high_of(y)
    if p is q:
        high: High | None = (p, max(c, d))
    else:
        high = None
    return max(lows, default=None), high


def _kept(x: Num, *rest: Num) -> tuple[int | None, High | None]:
    """Results between 0 and a first argument that is not negative."""
    lows = [low_of(n) for n in (x, *rest)]
    if any(b is None or b < 0 for b in lows):
        return None, None
    return 0, high_of(x)


_RULES: dict[np.ufunc, Any] = {
    np.add: _add,
    np.subtract: _sub,
    np.multiply: _mul,
    np.floor_divide: _floordiv,
    np.remainder: _mod,
    np.minimum: _min,
    np.maximum: _max,
    np.absolute: _kept,
    np.right_shift: _kept,
    np.bitwise_and: _kept,
    np.positive: _kept,
}


def not_negative(x: Num) -> bool:
    low = low_of(x)
    return low is not None and low >= 0


def at_most(x: Num, y: Num, slack: int = 0) -> bool:
    """Whether x <= y + slack is certain."""
    (p, c), (q, d) = high_of(x), affine(y.atom)
    highs = current().highs
    while p is not q and p in highs:
        p, c = highs[p][0], c + highs[p][1]
    if p is q:
        return c <= d + slack
    low = low_of(y)
    return p is None and low is not None and c <= low + slack


def inside(x: Num, extent: Num) -> bool:
    """Whether 0 <= x < extent is certain."""
    return not_negative(x) and at_most(x, extent, -1)
