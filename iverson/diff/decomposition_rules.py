"""Derivatives of orthogonal decompositions, g being 1 / (w[j] - w[i]) off the diagonal.

    a = q r        with x = ȧ r^-1, k = skew of the lower triangle of q'x:  q̇ = x - q (q'x - k),  ṙ = (q'x - k) r
                   with c = the symmetric matrix of the lower triangle of r r̄' - q̄'q:  ā = (q̄ + q c) r^-T
    a = v w v'     with p = v' ȧ v:  ẇ = diag p,  v̇ = v (g ∘ p);         ā = v (diag w̄ + g ∘ v'v̄) v'
    a = u s v'     with p = u' ȧ v, f = 1 / (s[j]^2 - s[i]^2):
                   ṡ = diag p,  u̇ = u (f ∘ (p s + s p')) + (1 - u u') ȧ v s^-1,  v̇ = v (f ∘ (s p + p's))
    p = pinv a     ṗ = -p ȧ p + p p' ȧ' (1 - a p) + (1 - p a) ȧ' p' p

M. Seeger et al., Auto-differentiating linear algebra, 2017; S. Walter and L. Lehmann, Algorithmic differentiation of
linear algebra functions, 2010; J. Townsend, Differentiating the singular value decomposition, 2016; G. Golub and V.
Pereyra, The differentiation of pseudo-inverses, 1973.

Equal values have no derivative of their vectors: gaps raises.  Where only the values are used, it is not computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from iverson.core.build import dtype_of, extents_of, literal
from iverson.core.syntax import Atom
from iverson.diff.rules import Call, Maybe, Rule

_EQUAL_EIGENVALUES = "the derivative of eigenvectors needs distinct eigenvalues: use the eigenvalues only"
_EQUAL_SINGULAR = "the derivative of singular vectors needs distinct singular values, not zero unless a is square"


# --- QR ---------------------------------------------------------------------------------------------------------------


def _qr_jvp(call: Call, tangents: Sequence[Maybe]) -> Sequence[Maybe]:
    m, (q, r), (da,) = call.m, call.results, tangents
    assert da is not None
    x = m.right_solve(da, r, lower=False, transpose=False)
    inside = m.mul(q, x, left=True)
    rest = m.sub(inside, m.mirrored(inside, -1.0))
    return [m.sub(x, m.mul(q, rest)), m.mul(rest, r)]


def _qr_vjp(call: Call, adjoints: Sequence[Maybe], wanted: Sequence[bool]) -> Sequence[Maybe]:
    m, (q, r), (gq, gr) = call.m, call.results, adjoints
    terms = [
        None if gr is None else m.mul(r, m.triangle(gr, lower=False), right=True),
        None if gq is None else m.neg(m.mul(gq, q, left=True)),
    ]
    inside = call.sum(terms)
    assert inside is not None
    total = call.sum([gq, m.mul(q, m.mirrored(inside))])
    assert total is not None
    return [m.right_solve(total, r, lower=False, transpose=True)]


# --- eigenvalues ------------------------------------------------------------------------------------------------------


def _eigh_jvp(call: Call, tangents: Sequence[Maybe]) -> Sequence[Maybe]:
    m, (w, vt), (da,) = call.m, call.results, tangents
    assert da is not None
    p = m.mul(m.mul(vt, m.mirrored(da)), vt, right=True)
    gaps = m.library("gaps", w, message=_EQUAL_EIGENVALUES)
    return [m.diagonal(p), m.mul(m.times(gaps, p), vt, left=True)]


def _eigh_vjp(call: Call, adjoints: Sequence[Maybe], wanted: Sequence[bool]) -> Sequence[Maybe]:
    m, (w, vt), (gw, gv) = call.m, call.results, adjoints
    if gv is None:
        assert gw is not None
        return [m.folded(m.mul(vt, m.rows_times(gw, vt), left=True))]
    gaps = m.library("gaps", w, message=_EQUAL_EIGENVALUES)
    inside = m.times(gaps, m.mul(vt, gv, right=True))
    if gw is not None:
        inside = m.with_diagonal(inside, gw)
    return [m.folded(m.mul(m.mul(vt, inside, left=True), vt))]


# --- singular values --------------------------------------------------------------------------------------------------


def _apart(call: Call) -> tuple[Atom, Atom]:
    """1 / (s[j]^2 - s[i]^2), and 1 / s if there are more rows than columns, else 0 (what it multiplies is)."""
    m, (u, s, _) = call.m, call.results
    b, o = m.b, m.o
    rows, n = extents_of(u)
    zero = literal(0.0, dtype_of(s))
    more = o.gt(rows, n)
    # with more rows, u could be completed by vectors whose singular value is zero
    count = o.add(n, o.select(more, 1, 0))

    def value(i: Atom) -> Atom:
        return b.if_(o.lt(i, n), lambda: b.read(s, i), lambda: zero)[0]

    gaps = m.library("gaps", b.map(count, value), message=_EQUAL_SINGULAR)

    def squared(i: Atom, j: Atom) -> Atom:
        total = o.add(b.read(s, i, safe=True), b.read(s, j, safe=True))
        return o.select(o.eq(i, j), zero, o.div(b.read(gaps, i, j), total))

    inverse = b.map(n, lambda i: b.if_(more, lambda: b.read(gaps, n, i), lambda: zero)[0])
    return b.map((n, n), squared), inverse


def _svd_jvp(call: Call, tangents: Sequence[Maybe]) -> Sequence[Maybe]:
    m, (u, s, vt), (da,) = call.m, call.results, tangents
    assert da is not None
    dav = m.mul(da, vt, right=True)
    p = m.mul(u, dav, left=True)
    f, inverse = _apart(call)
    ps, sp = m.columns_times(p, s), m.rows_times(s, p)
    du = m.mul(u, m.times(f, m.add(ps, m.transposed(ps))))
    du = m.add(du, m.columns_times(m.sub(dav, m.mul(u, p)), inverse))
    turn = m.times(f, m.add(sp, m.transposed(sp)))
    return [du, m.diagonal(p), m.mul(turn, vt, left=True)]


def _svd_vjp(call: Call, adjoints: Sequence[Maybe], wanted: Sequence[bool]) -> Sequence[Maybe]:
    m, (u, s, vt), (gu, gs, gvt) = call.m, call.results, adjoints
    terms: list[Maybe] = []
    outside: Maybe = None
    if gu is not None or gvt is not None:
        f, inverse = _apart(call)
        if gu is not None:
            inside = m.mul(u, gu, left=True)
            terms.append(m.columns_times(m.times(f, m.sub(inside, m.transposed(inside))), s))
            rest = m.columns_times(m.sub(gu, m.mul(u, inside)), inverse)
            outside = m.mul(rest, vt)
        if gvt is not None:
            inside = m.mul(vt, gvt, right=True)
            terms.append(m.rows_times(s, m.times(f, m.sub(inside, m.transposed(inside)))))
    core = call.sum(terms)
    if core is None:
        assert gs is not None
        return [m.mul(m.columns_times(u, gs), vt)]
    if gs is not None:
        core = m.with_diagonal(core, gs)
    return [call.sum([m.mul(m.mul(u, core), vt), outside])]


# --- pseudoinverse ----------------------------------------------------------------------------------------------------


def _pinv_jvp(call: Call, tangents: Sequence[Maybe]) -> Sequence[Maybe]:
    m, a, (p,), da = call.m, call.args[0], call.results, tangents[0]
    assert da is not None
    column = m.sub(m.transposed(da), m.mul(m.mul(da, a, left=True), p))  # ȧ' (1 - a p)
    row = m.sub(m.transposed(da), m.mul(p, m.mul(a, da, right=True)))  # (1 - p a) ȧ'
    change = m.add(m.mul(p, m.mul(p, column, left=True)), m.mul(m.mul(row, p, right=True), p))
    return [m.sub(change, m.mul(m.mul(p, da), p))]


def _pinv_vjp(call: Call, adjoints: Sequence[Maybe], wanted: Sequence[bool]) -> Sequence[Maybe]:
    m, a, (p,), (g,) = call.m, call.args[0], call.results, adjoints
    assert g is not None
    first = m.neg(m.mul(p, m.mul(g, p, right=True), left=True))  # -p' ḡ p'
    second = m.mul(g, m.mul(p, p, right=True), left=True)  # ḡ' p p'
    second = m.sub(second, m.mul(a, m.mul(p, second)))
    third = m.mul(p, m.mul(p, g, right=True), left=True)  # p' p ḡ'
    third = m.sub(third, m.mul(third, m.mul(p, a)))
    return [m.add(first, m.add(second, third))]


def _gaps_jvp(call: Call, tangents: Sequence[Maybe]) -> Sequence[Maybe]:
    m, (gaps,), (dw,) = call.m, call.results, tangents
    assert dw is not None
    o, read = m.o, m.b.read

    def element(i: Atom, j: Atom, at: object) -> Atom:
        e = read(gaps, i, j, safe=True)
        return o.mul(o.mul(e, e), o.sub(read(dw, i, safe=True), read(dw, j, safe=True)))

    return [m.by_index(gaps, element)]


def _gaps_vjp(call: Call, adjoints: Sequence[Maybe], wanted: Sequence[bool]) -> Sequence[Maybe]:
    m, (gaps,), (g,) = call.m, call.results, adjoints
    assert g is not None
    o, b = m.o, m.b
    n = extents_of(gaps)[0]

    def element(i: Atom, j: Atom) -> Atom:
        e = b.read(gaps, i, j, safe=True)
        return o.mul(o.mul(e, e), o.sub(b.read(g, i, j, safe=True), b.read(g, j, i, safe=True)))

    return [b.map(n, lambda i: b.reduce("add", n, lambda j: element(i, j)))]


RULES: Mapping[str, Rule] = {
    "qr": Rule((0,), _qr_jvp, _qr_vjp),
    "eigh": Rule((0,), _eigh_jvp, _eigh_vjp),
    "svd": Rule((0,), _svd_jvp, _svd_vjp),
    "pinv": Rule((0,), _pinv_jvp, _pinv_vjp),
    "gaps": Rule((0,), _gaps_jvp, _gaps_vjp),
}
