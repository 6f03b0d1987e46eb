"""Dead code: each construct's results by themselves, and the meaning kept."""

import numpy as np

from iverson.core.build import Builder
from iverson.core.dce import dce, dce_block
from iverson.core.evaluate import evaluate
from iverson.core.rewrite import statements
from iverson.core.syntax import (
    F64,
    I64,
    Accumulate,
    Accumulator,
    Array,
    Check,
    Contribute,
    For,
    Function,
    If,
    Loop,
    Map,
    Prim,
    Read,
    Reduce,
    Scalar,
    Var,
    While,
)


def params():
    n = Var(Scalar(I64), "n")
    return n, Var(Array(F64, (n,)), "x")


def ops(function: Function, kind: type) -> list:
    return [let.op for let in statements(function.body) if isinstance(let.op, kind)]


def run(function: Function):
    return evaluate(function, [4, np.array([3.0, 1.0, 4.0, 1.5])])


def test_each_yield_of_a_for_by_itself():
    b, (n, x) = Builder(), params()
    squares, _total, _best, at = b.for_(
        n,
        lambda i: (b.o.mul(b.read(x, i), 2.0), b.o.exp(b.read(x, i)), b.read(x, i), i),
        [Map(), Reduce("add"), Reduce("argmax")],
    )
    before = b.function([n, x], [at])
    after = dce(before)
    (loop,) = ops(after, For)
    assert loop.yields == (Reduce("argmax"),) and not ops(after, Prim)
    assert run(after).values == run(before).values == (2,)
    (loop,) = ops(dce(b.function([n, x], [squares])), For)
    assert loop.yields == (Map(),)


def test_operator_components_by_fixpoint():
    b, (n, x) = Builder(), params()
    op = b.operator([0.0, 1.0, 0.0], lambda a, p, s, c, q, t: (b.o.add(b.o.mul(a, q), c), b.o.mul(p, q), b.o.add(s, t)))
    a, p, s = b.reduce(op, n, lambda i: (b.read(x, i), 0.5, b.read(x, i)))
    for out, width in ((a, 2), (p, 1), (s, 1)):
        before = b.function([n, x], [out])
        after = dce(before)
        (loop,) = ops(after, For)
        assert len(loop.yields[0].monoid.identity) == width
        assert run(after).values == run(before).values


def test_carries_that_only_feed_themselves():
    b, (n, x) = Builder(), params()
    total, idle, helper, emitted = b.loop(
        n,
        [0.0, 1.0, 2.0],
        lambda i, t, u, h: (b.o.add(t, b.o.mul(b.read(x, i), h)), b.o.mul(u, u), b.o.add(h, 1.0), t),
    )
    before = b.function([n, x], [total])
    after = dce(before)
    (loop,) = ops(after, Loop)
    assert len(loop.carry) == 2 and len(loop.body.outs) == 2
    assert run(after).values == run(before).values
    (loop,) = ops(dce(b.function([n, x], [idle])), Loop)
    assert len(loop.carry) == 1
    (loop,) = ops(dce(b.function([n, x], [emitted, helper])), Loop)
    assert len(loop.carry) == 2 and len(loop.body.outs) == 3


def test_while_keeps_what_its_condition_needs():
    b, (n, x) = Builder(), params()
    _i, t, _u = b.while_(
        [0, 0.0, 1.0],
        lambda i, t, u: b.o.lt(i, n),
        lambda i, t, u: (b.o.add(i, 1), b.o.add(t, b.read(x, i)), b.o.add(u, t)),
    )
    before = b.function([n, x], [t])
    after = dce(before)
    (loop,) = ops(after, While)
    assert len(loop.carry) == 2
    assert run(after).values == run(before).values


def test_if_results_and_predicate():
    b, (n, x) = Builder(), params()
    p = b.o.gt(n, 2)
    u, _v = b.if_(p, lambda: (1.0, b.o.exp(b.read(x, 0))), lambda: (2.0, 3.0))
    after = dce(b.function([n, x], [u]))
    (choice,) = ops(after, If)
    assert choice.then.outs == (choice.then.outs[0],) and not choice.then.lets
    assert not dce(b.function([n, x], [n])).body.lets


def test_accumulators_with_their_contributes():
    b, (n, x) = Builder(), params()

    def body(a, c, log):
        def turn(i):
            b.contribute(a, [], b.read(x, i))
            b.contribute(c, [i], 1.0)
            b.contribute(log, [], i, b.o.sin(b.read(x, i)))
            return ()

        b.for_(n, turn, [])
        return b.o.mul(b.o.cos(b.read(x, 0)), 2.0)

    a, c, length, at, sines, out = b.accumulate(
        [("add", [0.0]), ("add", [x]), ("append", [])], body, dtypes=[(F64,), (F64,), (I64, F64)]
    )
    for kept, contributes in ((a, 1), (c, 1), (length, 1), (at, 1), (sines, 1), (out, 0)):
        before = b.function([n, x], [kept])
        after = dce(before)
        assert len(ops(after, Contribute)) == contributes
        np.testing.assert_array_equal(run(after).values[0], run(before).values[0])
    log = dce(b.function([n, x], [at]))
    assert ops(log, Accumulate)[0].accs[0].type == Accumulator("append", (I64,), ())
    assert not [p for p in ops(log, Prim) if p.name == "sin"]
    assert not ops(dce(b.function([n, x], [out])), Accumulate)


def test_checks_stay_with_what_they_need():
    b, (n, x) = Builder(), params()

    def turn(i):
        v = b.read(x, i)
        b.check(b.o.gt(v, 0.0), "negative at {}", i)
        return b.o.exp(v)

    b.for_(n, turn, [Map()])
    after = dce(b.function([n, x], [n]))
    (loop,) = ops(after, For)
    assert not loop.yields and len(ops(after, Check)) == 1 and len(ops(after, Read)) == 1


def test_extents_of_live_results_are_live():
    b, (n, x) = Builder(), params()
    m = b.o.mul(n, 2)
    y = b.map(m, lambda i: 1.0)
    z = b.set(y, [0], 5.0)
    after = dce(b.function([n, x], [z]))
    assert len(ops(after, Prim)) == 1
    np.testing.assert_array_equal(run(after).values[0], [5.0] + [1.0] * 7)


def test_an_update_undone():
    b, (n, x) = Builder(), params()
    e = b.o.sub(n, 1)
    y = b.copy(x)
    old, older = b.read(y, e), b.read(y, 0)
    z = b.set(y, [0], 7.0)
    old = b.read(z, e)
    z = b.set(b.set(z, [e], 8.0), [e], old)
    old = b.read(z, e)
    z = b.set(b.accumulate([("add", [z])], lambda acc: b.contribute(acc, [e], 3.0) or ())[0], [e], old)
    z = b.set(z, [0], older)
    after = dce(b.function([n, x], [z]))
    assert not ops(after, Accumulate)
    np.testing.assert_array_equal(run(after).values[0], [3.0, 1.0, 4.0, 1.5])
    # seen in between: stays
    b = Builder()
    old = b.read(x, 0)
    y = b.set(x, [0], 7.0)
    seen = b.read(y, 1)
    after = dce(b.function([n, x], [b.set(y, [0], old), seen]))
    assert len(ops(after, Accumulate)) == 2


def test_block_keeps_chosen_outs_and_outer_contributes():
    b, (n, x) = Builder(), params()
    acc = Var(Accumulator("add", (F64,), (n,)), "acc")

    def body():
        b.contribute(acc, [0], b.o.exp(b.read(x, 0)))
        return b.o.sin(b.read(x, 1)), b.o.cos(b.read(x, 1))

    block = dce_block(b.block(body), [1])
    assert len(block.outs) == 1
    names = [let.op.name for let in block if isinstance(let.op, Prim)]
    assert sorted(names) == ["cos", "exp"]
