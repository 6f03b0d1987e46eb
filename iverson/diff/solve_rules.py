"""Derivatives of linear systems and of the factorisations that solve them.

    a x = b          ẋ = a^-1 (ḃ - ȧ x);                    b̄ = a^-T x̄,  ā = -b̄ x'
    y = det a        ẏ = <adj(a)', ȧ>;                      ā = ȳ adj(a)'
    y = log|det a|   ẏ = <a^-T, ȧ>;                         ā = ȳ a^-T
    a p = l u        with f = l^-1 ȧ p u^-1:  l̇ = l tril(f),  u̇ = triu(f, 1) u;  the diagonal of u is 1
    a = l l'         l̇ = l φ(l^-1 ȧ l^-T);                  s = l^-T φ(l' l̄) l^-1,  ā = s + s' in the lower triangle

φ takes the lower triangle with half of the diagonal.  M. Giles, An extended collection of matrix derivative results
for forward and reverse mode algorithmic differentiation, 2008; I. Murray, Differentiation of the Cholesky
decomposition, 2016.  The adjugate of a singular matrix is found by its singular values: G. W. Stewart, On the adjugate
matrix, 1998.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from iverson.core.build import dtype_of, extents_of, literal
from iverson.core.syntax import Atom
from iverson.diff.rules import Call, Maybe, Rule

# --- solves by factors ------------------------------------------------------------------------------------------------


def _solved(call: Call, b: Atom, transpose: bool) -> Atom:
    """The same matrix's system with another right-hand side."""
    a, packed, pivots, _ = call.args
    return call.m.library("factored_solve", a, packed, pivots, b, transpose=transpose)


def _factored_jvp(call: Call, tangents: Sequence[Maybe]) -> Sequence[Maybe]:
    m, (x,), transpose = call.m, call.results, call.params["transpose"]
    da, _, _, db = tangents
    moved = None if da is None else m.neg(m.mul(da, x, left=transpose))
    right = call.sum([db, moved])
    assert right is not None
    return [_solved(call, right, transpose)]


def _factored_vjp(call: Call, adjoints: Sequence[Maybe], wanted: Sequence[bool]) -> Sequence[Maybe]:
    m, (x,), (g,), transpose = call.m, call.results, adjoints, call.params["transpose"]
    assert g is not None
    db = _solved(call, g, not transpose)
    da = m.neg(m.outer(x, db) if transpose else m.outer(db, x)) if wanted[0] else None
    return [da, None, None, db]


# --- determinants -----------------------------------------------------------------------------------------------------


def _inverse_transposed(call: Call) -> Atom:
    a, packed, pivots = call.args
    return call.m.library("factored_solve", a, packed, pivots, call.m.identity(a), transpose=True)


def _cofactors(call: Call) -> Atom:
    """The transpose of the adjugate: det(a) a^-T, and without a division where a is singular."""
    m, (det,), a = call.m, call.results, call.args[0]
    b, o = m.b, m.o
    n = extents_of(a)[0]

    def singular() -> Atom:
        u, s, vt = b.library("svd", a)

        def others(i: Atom) -> Atom:
            """The product of the other singular values."""
            one = literal(1.0, dtype_of(a))
            product: Atom = b.reduce("mul", n, lambda j: o.select(o.eq(i, j), one, b.read(s, j, safe=True)))
            return product

        sign = o.mul(_orthogonal_sign(call, u), _orthogonal_sign(call, vt))
        return m.conform(m.scale(sign, m.mul(m.columns_times(u, b.map(n, others)), vt)), a)

    regular = o.ne(det, literal(0.0, dtype_of(det)))
    return b.if_(regular, lambda: m.conform(m.scale(det, _inverse_transposed(call)), a), singular)[0]


def _orthogonal_sign(call: Call, q: Atom) -> Atom:
    """The determinant of an orthogonal matrix."""
    packed, pivots = call.m.b.library("lu", q)
    return call.m.library("det", q, packed, pivots)


def _det_jvp(call: Call, tangents: Sequence[Maybe]) -> Sequence[Maybe]:
    assert tangents[0] is not None
    return [call.m.inner(_cofactors(call), tangents[0])]


def _det_vjp(call: Call, adjoints: Sequence[Maybe], wanted: Sequence[bool]) -> Sequence[Maybe]:
    assert adjoints[0] is not None
    return [call.m.scale(adjoints[0], _cofactors(call))]


def _logabsdet_jvp(call: Call, tangents: Sequence[Maybe]) -> Sequence[Maybe]:
    assert tangents[0] is not None
    return [call.m.inner(_inverse_transposed(call), tangents[0])]


def _logabsdet_vjp(call: Call, adjoints: Sequence[Maybe], wanted: Sequence[bool]) -> Sequence[Maybe]:
    assert adjoints[0] is not None
    return [call.m.scale(adjoints[0], _inverse_transposed(call))]


# --- factorisations ---------------------------------------------------------------------------------------------------


def _lu_jvp(call: Call, tangents: Sequence[Maybe]) -> Sequence[Maybe]:
    m, (packed, pivots), (da,) = call.m, call.results, tangents
    assert da is not None
    f = m.left_solve(packed, m.permuted(m.order(pivots), da), lower=True, transpose=False)
    f = m.right_solve(f, packed, lower=False, transpose=False, unit=True)
    lower, upper = _parts(call)
    return [m.add(m.mul(lower, m.triangle(f, lower=True)), m.mul(m.triangle(f, lower=False, strict=True), upper)), None]


def _lu_vjp(call: Call, adjoints: Sequence[Maybe], wanted: Sequence[bool]) -> Sequence[Maybe]:
    m, (packed, pivots), g = call.m, call.results, adjoints[0]
    assert g is not None
    lower, upper = _parts(call)
    below = m.triangle(m.mul(lower, m.triangle(g, lower=True), left=True), lower=True)
    above = m.triangle(m.mul(m.triangle(g, False, strict=True), upper, right=True), lower=False, strict=True)
    f = m.left_solve(packed, m.add(below, above), lower=True, transpose=True)
    return [m.permuted(m.order(pivots), m.right_solve(f, packed, False, transpose=True, unit=True), inverse=True)]


def _parts(call: Call) -> tuple[Atom, Atom]:
    """l and u."""
    m, packed = call.m, call.results[0]
    ones = m.b.full(extents_of(packed)[:1], literal(1.0, dtype_of(packed)))
    return m.triangle(packed, lower=True), m.with_diagonal(m.triangle(packed, lower=False, strict=True), ones)


def _cholesky_jvp(call: Call, tangents: Sequence[Maybe]) -> Sequence[Maybe]:
    m, (factor,), (da,) = call.m, call.results, tangents
    assert da is not None
    f = m.left_solve(factor, m.mirrored(da), lower=True, transpose=False)
    f = m.right_solve(f, factor, lower=True, transpose=True)
    return [m.mul(factor, m.triangle(f, lower=True, halved=True))]


def _cholesky_vjp(call: Call, adjoints: Sequence[Maybe], wanted: Sequence[bool]) -> Sequence[Maybe]:
    m, (factor,), (g,) = call.m, call.results, adjoints
    assert g is not None
    f = m.triangle(m.mul(factor, m.triangle(g, lower=True), left=True), lower=True, halved=True)
    f = m.left_solve(factor, f, lower=True, transpose=True)
    return [m.folded(m.right_solve(f, factor, lower=True, transpose=False))]


def _triangular_jvp(call: Call, tangents: Sequence[Maybe]) -> Sequence[Maybe]:
    m, a, (x,), (da, db), p = call.m, call.args[0], call.results, tangents, call.params
    moved = None
    if da is not None:
        inside = m.triangle(da, p["lower"], strict=p["unit"])
        moved = m.neg(m.mul(inside, x, left=p["transpose"]))
    right = call.sum([db, moved])
    assert right is not None
    return [m.left_solve(a, right, p["lower"], p["transpose"], p["unit"])]


def _triangular_vjp(call: Call, adjoints: Sequence[Maybe], wanted: Sequence[bool]) -> Sequence[Maybe]:
    m, a, (x,), (g,), p = call.m, call.args[0], call.results, adjoints, call.params
    assert g is not None
    db = m.left_solve(a, g, p["lower"], not p["transpose"], p["unit"])
    if not wanted[0]:
        return [None, db]
    da = m.outer(x, db) if p["transpose"] else m.outer(db, x)
    return [m.neg(m.triangle(da, p["lower"], strict=p["unit"])), db]


RULES: Mapping[str, Rule] = {
    "factored_solve": Rule((0, 3), _factored_jvp, _factored_vjp),
    "det": Rule((0,), _det_jvp, _det_vjp),
    "logabsdet": Rule((0,), _logabsdet_jvp, _logabsdet_vjp),
    "lu": Rule((0,), _lu_jvp, _lu_vjp),
    "cholesky": Rule((0,), _cholesky_jvp, _cholesky_vjp),
    "triangular_solve": Rule((0, 1), _triangular_jvp, _triangular_vjp),
}
