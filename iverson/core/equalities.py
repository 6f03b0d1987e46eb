"""Extents that checks have found to be equal: two names for one length."""

from __future__ import annotations

from collections.abc import Sequence

from iverson.core.syntax import Atom, Check, Let, Prim, Var


class Equalities:
    """What is equal after the statements that have been learned; a warning proves nothing."""

    def __init__(self, earlier: Equalities | None = None) -> None:
        self._tests: dict[Atom, Sequence[Atom]] = {} if earlier is None else dict(earlier._tests)
        self._names: dict[Atom, Atom] = {} if earlier is None else dict(earlier._names)

    def learn(self, let: Let) -> tuple[Atom, Atom] | None:
        """Learn from a statement; give what it has shown to be equal, if anything."""
        match let.op:
            case Prim("eq", args):
                self._tests[let.vars[0]] = args
            case Check(pred) as op if pred in self._tests and not op.warns:
                one, two = self._tests[pred]
                a, b = self.name(one), self.name(two)
                a, b = (a, b) if isinstance(a, Var) else (b, a)
                if isinstance(a, Var) and a is not b:
                    self._names[a] = b
                return one, two
            case _:
                pass
        return None

    def tests(self, one: Atom, two: Atom) -> list[Var]:
        """The bools that say whether two extents are equal, once what is equal has one name."""
        wanted = {self.name(one), self.name(two)}
        return [p for p, args in self._tests.items() if isinstance(p, Var) and set(map(self.name, args)) == wanted][:1]

    def name(self, extent: Atom) -> Atom:
        """One name for all that are equal."""
        while extent in self._names:
            extent = self._names[extent]
        return extent

    def same(self, one: Sequence[Atom], two: Sequence[Atom]) -> bool:
        return list(map(self.name, one)) == list(map(self.name, two))
