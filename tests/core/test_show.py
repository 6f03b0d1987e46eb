"""The printer's text, construct by construct."""

import math
import textwrap

from iverson.core.build import Builder
from iverson.core.rewrite import rename_function
from iverson.core.show import show, show_let
from iverson.core.syntax import BOOL, F32, F64, I64, Array, Literal, Map, Reduce, Scalar, Site, Var


def params():
    n = Var(Scalar(I64), "n")
    return n, Var(Array(F64, (n,)), "x")


def text(s: str) -> str:
    return textwrap.dedent(s).lstrip()


def test_parallel_constructs():
    b, (n, x) = Builder(), params()
    y, s = b.for_(
        n, lambda i: (b.o.mul(b.read(x, i, safe=True), 2.0), b.read(x, b.o.sub(i, 1))), [Map(), Reduce("add")]
    )
    op = b.operator([0.0], lambda l, r: b.o.add(l, r))
    p = b.scan(op, n, lambda i: b.read(y, i))
    assert show(b.function([n, x], [y, s, p])) == text(
        """
        f(n: int64, x: float64[n]) {
            t, t1 = for i < n {
                t2 = x[i!]
                t3 = mul t2 2.0
                t4 = sub i 1
                t5 = x[t4]
            } map t3; reduce add t5
            t6 = for i1 < n {
                t7 = t[i1]
            } scan (identity 0.0, (l; r) {
                t8 = add l r
            } t8) t7
        } t, t1, t6
        """
    )


def test_control_accumulators_and_copies():
    b, (n, x) = Builder(), params()

    def turn(i, c):
        d = b.set(c, [i], 1.0)
        return b.if_(b.o.lt(i, 3), lambda: d, lambda: x)

    (y,) = b.loop(n, [x], turn, hints=["c"])
    (k,) = b.while_([n], lambda k: b.o.gt(k, 1), lambda k: b.o.floordiv(k, 2), hints=["k"])
    b.check(b.o.eq(k, 1), 'not "one": {}', k)
    _length, log = b.accumulate([("append", [])], lambda a: b.contribute(a, [], b.read(y, 0)) or (), dtypes=[(F64,)])
    z = b.library("sort", y)
    assert show(b.function([n, x], [y, *z, log])) == text(
        """
        f(n: int64, x: float64[n]) {
            t = loop i < n [c = copy x] {
                acc = accumulate [acc1 = set c] {
                    acc1[i] <- 1.0
                }
                t1 = lt i 3
                t2 = if t1 {} acc else {} copy x
            } t2
            t3 = while [k = n] {
                t4 = gt k 1
            } t4 do {
                t5 = floordiv k 2
            } t5
            t6 = eq t3 1
            check t6 ValueError "not \\"one\\": {}" t3
            len, acc2 = accumulate [acc3 = append float64] {
                t7 = t[0]
                acc3[] <- t7
            }
            t8 = sort t
        } t, t8, acc2
        """
    )


def test_literals_types_sites_and_renaming():
    b, (n, x) = Builder(), params()
    b.site = Site("prog.py", 12, "f")
    y = b.o.add(b.cast(b.read(x, 0), F32), Literal(math.inf, F32))
    f = b.function([n, x], [y, Literal(-0.0, F64), Literal(math.nan, F64), Literal(3, I64), Literal(True, BOOL)])
    expected = text(
        """
        f(n: int64, x: float64[n]) {
            t: float64 = x[0]    # prog.py:12
            t1: float32 = float32 t    # prog.py:12
            t2: float32 = add t1 inf:float32    # prog.py:12
        } t2, -0.0, nan, 3, True
        """
    )
    assert show(f, sites=True, types=True) == expected
    assert show(rename_function(f), sites=True, types=True) == expected
    assert show_let(f.body.lets[0]) == "t: float64 = x[0]    # prog.py:12"
