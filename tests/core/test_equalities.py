"""Which extents are one length: what checks say, and what a warning doesn't."""

from __future__ import annotations

from iverson.core.build import Builder, literal
from iverson.core.equalities import Equalities
from iverson.core.syntax import I64, Atom, Scalar, Var

A, B, C = (Var(Scalar(I64), name) for name in "abc")


def learned(*equations: tuple[Atom, Atom], error: str = "ValueError") -> Equalities:
    b, known = Builder(), Equalities()
    with b.scope() as lets:
        for one, two in equations:
            b.check(b.prim("eq", one, two), "", error=error)
    for let in lets:
        known.learn(let)
    return known


def test_equality_is_transitive_and_symmetric() -> None:
    known = learned((A, B), (C, A), (B, C))
    assert known.same([A, B, C], [C, A, B])
    assert not learned((A, B)).same([A], [C])


def test_a_length_may_be_a_number() -> None:
    known = learned((literal(3), A), (A, B))
    assert known.same([B], [literal(3)])
    assert not known.same([B], [literal(4)])


def test_a_warning_proves_nothing() -> None:
    assert not learned((A, B), error="RuntimeWarning").same([A], [B])


def test_what_is_learned_in_a_scope_is_forgotten_behind_it() -> None:
    outer = learned((A, B))
    inner = Equalities(outer)
    b = Builder()
    with b.scope() as lets:
        b.check(b.prim("eq", B, C), "")
    for let in lets:
        inner.learn(let)
    assert inner.same([A], [C])
    assert not outer.same([A], [C])
