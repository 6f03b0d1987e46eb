"""Sketches: an array whose uses in a return sweep may be unbiased estimates.

    y = sketch x key k        of=Sketch     x itself.  Reverse mode may use P x instead of it, E[P] = I
    y, kept = sketched x key k              the same in a forward sweep: with what is kept for the return sweep
    z = estimate kept key k                 P x in a return sweep, P drawn again from its key; an array as x is
    y = sampling x key fraction             x itself, a result of a function.  Reverse mode may place sketches in the
                                            function as it finds right, so large and with keys from this one

P = R R', R being d rows and k columns, d the elements of an example:

    sample        columns sqrt(d/k) e_i, i drawn with or without replacement;  kept = d/k x[i]
    projection    R[i, j] = +-1/sqrt(k);                                       kept = x R

Like the statements of core/custom.py they are rows of no table: reverse mode makes programs of the second and third
form (diff/sampled.py), and `identity` replaces the first elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal as OneOf

from iverson.core.build import Builder
from iverson.core.custom import inlined
from iverson.core.rewrite import statements
from iverson.core.syntax import F64, Atom, Block, Function, Library, Literal, Op, Var

SKETCH, SKETCHED, ESTIMATE, SAMPLING = "sketch", "sketched", "estimate", "sampling"


@dataclass(frozen=True)
class Sketch:
    """How an array is sampled.

    `examples`: "one", all elements are one example; along the first axis examples that share a sample, or "each" with
    its own.  `scale` is what kept values are scaled by where that isn't d/k: then the estimate is biased, for tests.
    """

    scheme: OneOf["sample", "projection"] = "sample"
    replace: bool = False
    examples: OneOf["one", "shared", "each"] = "one"
    scale: float | None = None
    place: int = 0  # where it was put by reverse mode itself; 0: by the user
    unproven: bool = False  # taken as it is, whatever becomes of it in the return sweep: for tests

    @property
    def lead(self) -> int:
        """How many axes count examples."""
        return 0 if self.examples == "one" else 1


def sketch(op: Op, *names: str) -> Sketch | None:
    """What a statement of one of these forms is of."""
    if isinstance(op, Library) and op.name in (names or (SKETCH, SKETCHED, ESTIMATE, SAMPLING)):
        of = dict(op.params)["of"]
        assert isinstance(of, Sketch)
        return of
    return None


def portion(b: Builder, fraction: Atom, size: Atom) -> Atom:
    """How many of so many elements a fraction is: the nearest number, at least one."""
    o = b.o
    if isinstance(fraction, Literal):
        part = Fraction(fraction.value).limit_denominator(10**6)
        half = 1 if part.denominator % 2 else 2
        above = o.add(o.mul(size, 2 * part.numerator // half), part.denominator // half)
        near = o.floordiv(above, 2 * part.denominator // half)
    else:
        near = o.int64(o.floor(o.add(o.mul(fraction, b.cast(size, F64)), 0.5)))
    return o.min(o.max(near, 1), size)


def identity(f: Function) -> Function:
    """The function with what is only said to reverse mode left out: sketches are their argument."""
    if not any(sketch(let.op, SKETCH, SAMPLING) for let in statements(f.body)):
        return f

    def meaning(op: Library) -> Function | None:
        if op.name not in (SKETCH, SAMPLING):
            return None
        params = tuple(Var(a.type, "x") for a in op.args)
        return Function(params, Block((), (params[0],)))

    return inlined(f, meaning)
