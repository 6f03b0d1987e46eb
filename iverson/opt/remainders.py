"""remainders: an integer that is near its range wraps around by a comparison, not by a division.

    x mod n   ->   x                             if 0 <= x < n
                   select (x < 0) (x + n) x      if -n <= x < n
                   select (x < n) x (x - n)      if 0 <= x < 2 n

as opt/bounds.py proves it, whose marks are made on the way: the index of a wrapped neighbour, (i + 1) % n, is known to
be in bounds then.

Invariant: values stay.  The count rises by two for each; a machine divides in the time of twenty, and not in vectors.
"""

from __future__ import annotations

from collections.abc import Sequence

from iverson.core.build import Builder
from iverson.core.dce import dce
from iverson.core.rewrite import statements, with_body
from iverson.core.syntax import I64, Atom, Function, Let, Op, Prim, Scalar, Var
from iverson.opt.bounds import Prover


def run(f: Function) -> Function:
    """Every such remainder."""
    if not any(_is_remainder(let.op) for let in statements(f.body)):
        return f
    return dce(with_body(f, _Remainders(f).block(f.body)))


class _Remainders(Prover):
    def let(self, let: Let) -> Sequence[Let]:
        if not _is_remainder(let.op):
            return super().let(let)
        assert isinstance(let.op, Prim)
        x, n = self.atoms(let.op.args)
        b = Builder()
        b.site = let.site
        with b.scope() as lets:
            near = self.near(b, x, n)
        if near is None:
            return super().let(let)
        self.env[let.vars[0]] = near
        for new in lets:
            if self.bits.bind(new):
                self.sizes.bind(new)
        self.within(near, n)
        return lets

    def near(self, b: Builder, x: Atom, n: Atom) -> Atom | None:
        """x mod n by other means; None if x isn't known to be near."""
        size, extent = self.sizes.of(x), self.sizes.of(n)
        if self.holds(size):
            if self.holds(extent - size - 1):
                return x
            if self.holds(2 * extent - size - 1):
                return b.o.select(b.o.lt(x, n), x, b.o.sub(x, n))
        elif self.holds(size + extent) and self.holds(extent - size - 1):
            return b.o.select(b.o.lt(x, 0), b.o.add(x, n), x)
        return None

    def within(self, near: Atom, n: Atom) -> None:
        """0 <= near < n."""
        if isinstance(near, Var):
            here = self.sizes.of(near)
            self.sizes.fact(here)
            self.sizes.fact(self.sizes.of(n) - here - 1)


def _is_remainder(op: Op) -> bool:
    return isinstance(op, Prim) and op.name == "mod" and op.args[0].type == Scalar(I64)
