"""Primitives and monoids inside a kernel: which flags they carry, through the recipes of backend/recipes.py.

`contract` lets LLVM fuse a product into an addition.  On a chain of carried values that helps if the product is on the
chain, and hurts if it isn't: then c + a b would wait for the chain with the whole FMA instead of the addition alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from iverson.backend import elementary, loopir, recipes
from iverson.backend.loopir import Reg
from iverson.core import prims
from iverson.core.syntax import I64, DType, Literal

_CONTRACTED = frozenset({"add", "sub", "mul"})


def is_elementary(name: str) -> bool:
    """Is this a function of many instructions, for which wide vectors pay?"""
    row = prims.TABLE.get(name)
    return row is not None and row.recipe.startswith("call:")


def vectorises(stmt: loopir.Stmt) -> bool:
    """Has a statement surely a form for vectors?"""
    if not isinstance(stmt, loopir.Compute):
        return isinstance(stmt, loopir.Combine | loopir.Load | loopir.Store)
    row = prims.TABLE.get(stmt.name)
    if row is None:  # of vectors already
        return False
    recipe = row.recipe
    return stmt.name in elementary.UNARY or not (recipe.startswith("call:") or stmt.name in ("floordiv", "mod"))


def side_by_side(loop: loopir.For) -> bool:
    """Do the turns of a flat loop touch neighbouring elements, or all the same ones, and is the rest for vectors?

    LLVM must see without tests at run time that turns don't meet, else it says on stderr that it couldn't obey.
    """
    views = [s.view for s in loop.body if isinstance(s, loopir.Load | loopir.Store)]
    stored = {s.view.buffer: s.view.prefix for s in loop.body if isinstance(s, loopir.Store)}
    if not all(b.scoped for b in stored) or any(stored.get(v.buffer, v.prefix) != v.prefix for v in views):
        return False
    moving, unit = {loop.index}, {loop.index}  # what depends on the turn, and what grows by one
    for s in loop.body:
        if isinstance(s, loopir.Load | loopir.Store):
            *outer, last = s.view.prefix or (Literal(0, I64),)
            if s.view.buffer.strides is not None or any(v in moving for v in outer) or (last in moving - unit):
                return False
        if not vectorises(s):
            return False
        if any(v in moving for v in loopir.used(s)):
            moving.update(loopir.defined(s))
            steps = isinstance(s, loopir.Compute) and s.name == "add" and sum(v in unit for v in s.args) == 1
            if steps and not any(v in moving - unit for v in loopir.used(s)):
                unit.update(loopir.defined(s))
    return True


class Arithmetic:
    """What the primitives of one module need."""

    def __init__(self, fresh: Callable[[], str], reassociate: bool) -> None:
        self.fresh = fresh
        self.reassociate = reassociate
        self.carried: set[Reg] = set()  # values that depend on what a loop carries
        self._products: set[Reg] = set()
        self._symbols: dict[str, str] = {}

    def prim(self, stmt: loopir.Compute, args: Sequence[str], dtype: DType, vectorises: bool) -> tuple[list[str], str]:
        """The instructions of a primitive and its result; functions come from libm where no loop vectorises."""
        flags = self.flags(stmt)
        scalar = not vectorises or stmt.out in self.carried
        return recipes.emit(stmt.name, dtype, args, self.fresh, flags, scalar=scalar)

    def flags(self, stmt: loopir.Compute) -> str:
        """The flags of a primitive, of whose result is remembered whether it depends on what is carried."""
        carried = [a for a in stmt.args if isinstance(a, Reg) and a in self.carried]
        waits = stmt.name in ("add", "sub") and carried and not any(a in self._products for a in carried)
        self._note(stmt, bool(carried))
        return "contract" if stmt.name in _CONTRACTED and not waits else ""

    def combine(self, monoid: str, dtype: DType, left: str, right: str, free: bool) -> tuple[list[str], str]:
        """One step of a built-in monoid."""
        return recipes.emit(monoid, dtype, [left, right], self.fresh, self.free(free))

    def free(self, free: bool) -> str:
        """The flags of a step that may be reassociated, or may not."""
        return "reassoc contract" if free and self.reassociate else ""

    def _note(self, stmt: loopir.Compute, carried: bool) -> None:
        """Remember whether a result depends on what is carried."""
        if carried:
            self.carried.add(stmt.out)
            if stmt.name == "mul":
                self._products.add(stmt.out)

    def join(self, join: loopir.Join) -> None:
        if any(isinstance(v, Reg) and v in self.carried for v in (join.then, join.orelse)):
            self.carried.add(join.out)

    def external(self, symbol: str, result: str, args: Sequence[str]) -> None:
        self._symbols[symbol] = f"declare {result} @{symbol}({', '.join(args)})"

    @property
    def externals(self) -> tuple[str, ...]:
        return tuple(self._symbols)

    def definitions(self) -> str:
        return "\n".join(self._symbols.values())
