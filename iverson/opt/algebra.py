"""The equations of scalar algebra that hold bit for bit, one row of one table each.

A rule gets the arguments of a primitive and a way to look up what defines a variable, and gives an equal atom, an equal
primitive, or None.  Floating-point rules hold for NaN, infinities and signed zeros; a rule that rounds differently from
NumPy isn't here.  No rule raises the count: right sides have at most as many primitives as left sides.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

from iverson.core.build import dtype_of, literal
from iverson.core.syntax import BOOL, F32, I32, Atom, Literal, Op, Prim

Lookup: TypeAlias = Callable[[Atom], Op | None]
Rule: TypeAlias = Callable[[tuple[Atom, ...], Lookup], "Atom | Prim | None"]

RULES: dict[str, list[Rule]] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    def add(f: Rule) -> Rule:
        for name in names:
            RULES.setdefault(name, []).append(f)
        return f

    return add


def rewrite_prim(op: Prim, lookup: Lookup) -> Atom | Prim:
    """Apply the first rule that matches until none does."""
    for _ in range(8):
        for r in RULES.get(op.name, ()):
            new = r(op.args, lookup)
            if new is not None:
                break
        else:
            return op
        if not isinstance(new, Prim):
            return new
        op = new
    return op


def _prim(a: Atom, lookup: Lookup, name: str) -> tuple[Atom, ...] | None:
    """The arguments of a, if it is the primitive `name`."""
    op = lookup(a)
    return op.args if isinstance(op, Prim) and op.name == name else None


def _is(a: Atom, value: float) -> bool:
    """a is the literal with this value (and this sign of zero)."""
    if not isinstance(a, Literal) or a.dtype is BOOL or a.value != value:
        return False
    return not a.dtype.is_float or math.copysign(1.0, a.value) == math.copysign(1.0, value)


# --- arithmetic -------------------------------------------------------------------------------------------------------


@rule("add")
def _(args: tuple[Atom, ...], lookup: Lookup) -> Atom | Prim | None:
    """x + -0.0 = x;  x + (-y) = x - y;  (-x) + y = y - x;  for integers x + 0 = x and (x - y) + y = x"""
    x, y = args
    zero = -0.0 if dtype_of(x).is_float else 0
    if _is(y, zero):
        return x
    if _is(x, zero):
        return y
    if minus := _prim(y, lookup, "neg"):
        return Prim("sub", (x, minus[0]))
    if minus := _prim(x, lookup, "neg"):
        return Prim("sub", (y, minus[0]))
    if dtype_of(x).is_int and (minus := _prim(x, lookup, "sub")) and minus[1] == y:
        return minus[0]
    return None


@rule("sub")
def _(args: tuple[Atom, ...], lookup: Lookup) -> Atom | Prim | None:
    """x - 0 = x;  x - (-y) = x + y;  x - x = 0 and (x + y) - y = x for integers"""
    x, y = args
    if _is(y, 0):
        return x
    if minus := _prim(y, lookup, "neg"):
        return Prim("add", (x, minus[0]))
    if dtype_of(x).is_int:
        if x is y:
            return literal(0, dtype_of(x))
        if plus := _prim(x, lookup, "add"):
            if plus[1] == y:
                return plus[0]
            if plus[0] == y:
                return plus[1]
    return None


@rule("mul")
def _(args: tuple[Atom, ...], lookup: Lookup) -> Atom | Prim | None:
    """1 x = x;  -1 x = -x;  0 x = 0 for integers;  (-x)(-y) = x y"""
    x, y = args
    for a, b in ((x, y), (y, x)):
        if _is(b, 1):
            return a
        if _is(b, -1):
            return Prim("neg", (a,))
        if dtype_of(a).is_int and _is(b, 0):
            return b
    if (p := _prim(x, lookup, "neg")) and (q := _prim(y, lookup, "neg")):
        return Prim("mul", (p[0], q[0]))
    return None


@rule("div")
def _(args: tuple[Atom, ...], lookup: Lookup) -> Atom | Prim | None:
    """x / 1 = x;  x / -1 = -x;  x / 2^k = x 2^-k"""
    x, y = args
    if _is(y, 1):
        return x
    if _is(y, -1):
        return Prim("neg", (x,))
    if isinstance(y, Literal) and dtype_of(y).is_float and y.value and math.isfinite(y.value):
        mantissa, exponent = math.frexp(y.value)
        if abs(mantissa) == 0.5 and abs(exponent) < 100:
            return Prim("mul", (x, literal(1 / y.value, y.dtype)))
    return None


@rule("floordiv")
def _(args: tuple[Atom, ...], lookup: Lookup) -> Atom | None:
    """n // 1 = n for integers"""
    return args[0] if dtype_of(args[0]).is_int and _is(args[1], 1) else None


@rule("neg")
def _(args: tuple[Atom, ...], lookup: Lookup) -> Atom | Prim | None:
    """-(-x) = x.  (-(x - y) = y - x fails at x = y, where the zeros differ in sign.)"""
    inner = _prim(args[0], lookup, "neg")
    return inner[0] if inner else None


@rule("pow")
def _(args: tuple[Atom, ...], lookup: Lookup) -> Atom | Prim | None:
    """x^1 = x;  x^2 = x x;  x^-1 = 1 / x;  x^0 = 1"""
    x, y = args
    if _is(y, 1):
        return x
    if _is(y, 2):
        return Prim("mul", (x, x))
    if _is(y, 0) or _is(y, -0.0):
        return literal(1, dtype_of(x))
    if _is(y, -1) and dtype_of(x).is_float:
        return Prim("div", (literal(1.0, dtype_of(x)), x))
    return None


@rule("min", "max")
def _(args: tuple[Atom, ...], lookup: Lookup) -> Atom | None:
    """min(x, x) = max(x, x) = x"""
    return args[0] if args[0] == args[1] else None


# --- comparison, logic, choice ----------------------------------------------------------------------------------------


@rule("eq", "le", "ge")
def _(args: tuple[Atom, ...], lookup: Lookup) -> Atom | None:
    """n = n, n <= n, n >= n for integers"""
    return literal(True) if not dtype_of(args[0]).is_float and args[0] == args[1] else None


@rule("ne", "lt", "gt")
def _(args: tuple[Atom, ...], lookup: Lookup) -> Atom | None:
    """n != n, n < n, n > n are false for integers"""
    return literal(False) if not dtype_of(args[0]).is_float and args[0] == args[1] else None


@rule("and")
def _(args: tuple[Atom, ...], lookup: Lookup) -> Atom | None:
    """p and true = p;  p and false = false;  p and p = p"""
    p, q = args
    for a, b in ((p, q), (q, p)):
        if isinstance(b, Literal):
            return a if b.value else b
    return p if p is q else None


@rule("or")
def _(args: tuple[Atom, ...], lookup: Lookup) -> Atom | None:
    """p or false = p;  p or true = true;  p or p = p"""
    p, q = args
    for a, b in ((p, q), (q, p)):
        if isinstance(b, Literal):
            return b if b.value else a
    return p if p is q else None


NEGATED = {"eq": "ne", "ne": "eq", "lt": "ge", "ge": "lt", "gt": "le", "le": "gt"}


@rule("not")
def _(args: tuple[Atom, ...], lookup: Lookup) -> Atom | Prim | None:
    """not not p = p;  not (m < n) = m >= n for integers, and so on (NaN forbids it for floats, except = and !=)"""
    op = lookup(args[0])
    if not isinstance(op, Prim):
        return None
    if op.name == "not":
        return op.args[0]
    exact = op.name in ("eq", "ne") or not dtype_of(op.args[0]).is_float
    return Prim(NEGATED[op.name], op.args) if op.name in NEGATED and exact else None


@rule("select")
def _(args: tuple[Atom, ...], lookup: Lookup) -> Atom | Prim | None:
    """select(true, x, y) = x;  select(p, x, x) = x;  select(not p, x, y) = select(p, y, x);
    select(p, true, false) = p"""
    p, x, y = args
    if isinstance(p, Literal):
        return x if p.value else y
    if x == y:
        return x
    if negated := _prim(p, lookup, "not"):
        return Prim("select", (negated[0], y, x))
    if isinstance(x, Literal) and isinstance(y, Literal) and x.dtype is BOOL:
        return p if x.value else Prim("not", (p,))
    return None


# --- casts ------------------------------------------------------------------------------------------------------------


@rule("float32", "int32")
def _(args: tuple[Atom, ...], lookup: Lookup) -> Atom | None:
    """float32(float64(x)) = x and int32(int64(n)) = n, where x and n are narrow"""
    op = lookup(args[0])
    wide = {"float64": F32, "int64": I32}
    if isinstance(op, Prim) and op.name in wide and dtype_of(op.args[0]) is wide[op.name]:
        return op.args[0]
    return None
