"""The checker refuses each kind of mistake, naming it and its statement."""

from dataclasses import replace

import pytest

from iverson.core.build import Builder
from iverson.core.check import CoreError, check
from iverson.core.syntax import (
    BOOL,
    F32,
    F64,
    I32,
    I64,
    Accumulate,
    Accumulator,
    Array,
    Block,
    Check,
    Contribute,
    For,
    Function,
    If,
    Let,
    Library,
    Literal,
    Loop,
    Map,
    Operator,
    Prim,
    Read,
    Reduce,
    Scalar,
    Scan,
    Var,
    While,
)

N = Var(Scalar(I64), "n")
M = Var(Scalar(I64), "m")
X = Var(Array(F64, (N,)), "x")
Y = Var(Array(F64, (M,)), "y")
C = Var(Scalar(F64), "c")
PARAMS = (N, M, X, Y, C)
ONE, ZERO, TRUE = Literal(1.0, F64), Literal(0, I64), Literal(True, BOOL)
EMPTY = Block((), ())


def f64(hint="t"):
    return Var(Scalar(F64), hint)


def i64(hint="i"):
    return Var(Scalar(I64), hint)


def vector(*extents):
    return Var(Array(F64, extents), "v")


def acc(monoid, dtypes=(F64,), extents=()):
    return Var(Accumulator(monoid, dtypes, extents), "acc")


def one(op, *bound):
    """The function of one statement."""
    return Function(PARAMS, Block((Let(bound, op),), ()))


def twice_bound():
    v = f64()
    return Function(PARAMS, Block((Let((v,), Prim("neg", (C,))), Let((v,), Prim("neg", (C,)))), ()))


def out_of_scope():
    v = f64()
    inner = Block((Let((v,), Prim("neg", (C,))),), ())
    return Function(PARAMS, Block((Let((), If(TRUE, inner, EMPTY)),), (v,)))


def ragged():
    i = i64()
    row = vector(i)
    inner = For((i64(),), (i,), Block((), (C,)), (Map(),))
    return one(For((i,), (N,), Block((Let((row,), inner),), (row,)), (Map(),)), vector(N, i))


def ragged_emit():
    i = i64()
    row = vector(i)
    inner = For((i64(),), (i,), Block((), (C,)), (Map(),))
    return one(Loop(i, N, (), (), Block((Let((row,), inner),), (row,))), vector(N, M))


def scan_of_two():
    return one(For((i64(), i64()), (N, M), Block((), (C,)), (Scan("add"),)), vector(N, M))


def accumulator_read():
    a, v = acc("add", (F64,), (N,)), f64()
    body = Block((Let((v,), Read(a, (ZERO,))),), ())
    return one(Accumulate((a,), ((X,),), body), vector(N))


def accumulator_yielded():
    a = acc("add")
    return one(Accumulate((a,), ((C,),), Block((), (a,))), f64(), Var(a.type))


def accumulator_carried():
    a = acc("add")
    c = Var(a.type)
    body = Block((Let((Var(a.type),), Loop(i64(), N, (c,), (a,), Block((), (c,)))),), ())
    return one(Accumulate((a,), ((C,),), body), f64())


def contribution_in_operator():
    a, l, r = acc("add"), f64("l"), f64("r")
    op = Operator((ONE,), (l,), (r,), Block((Let((), Contribute(a, (), (l,))),), (r,)))
    body = Block((Let((f64(),), For((i64(),), (N,), Block((), (C,)), (Reduce(op),))),), ())
    return one(Accumulate((a,), ((C,),), body), f64())


def contribution_of_another_type():
    a = acc("add")
    return one(Accumulate((a,), ((C,),), Block((Let((), Contribute(a, (), (ZERO,))),), ())), f64())


def contribution_rank():
    a = acc("add", (F64,), (N,))
    return one(Accumulate((a,), ((X,),), Block((Let((), Contribute(a, (), (C,))),), ())), vector(N))


def operator_of_other_type():
    l, r = Var(Scalar(I64), "l"), Var(Scalar(I64), "r")
    return one(For((i64(),), (N,), Block((), (C,)), (Reduce(Operator((ONE,), (l,), (r,), Block((), (l,)))),)), f64())


def while_with_number():
    c = f64()
    return one(While((c,), (C,), Block((), (c,)), Block((), (c,))), f64())


def shared_block():
    block = Block((), (X,))
    return one(If(TRUE, block, block), vector(N))


def late_extent():
    k = i64("k")
    return Function((Var(Array(F64, (k,)), "x"), k), EMPTY)


MISTAKES = {
    "bound twice": twice_bound,
    "not in scope": out_of_scope,
    "takes scalars": lambda: one(Prim("neg", (X,)), f64()),
    "must have one dtype": lambda: one(Prim("add", (C, Literal(1.0, F32))), f64()),
    "no primitive": lambda: one(Prim("frobnicate", (C,)), f64()),
    "takes 2 arguments": lambda: one(Prim("add", (C,)), f64()),
    "the result t has type": lambda: one(Prim("neg", (C,)), Var(Scalar(F32))),
    "gives 1 results": lambda: one(Prim("neg", (C,)), f64(), f64()),
    "index has type": lambda: one(Read(X, (C,)), f64()),
    "an index per axis": lambda: one(Read(X, (ZERO, ZERO)), f64()),
    "only arrays are read": lambda: one(Read(C, (ZERO,)), f64()),
    "extent has type": lambda: one(For((i64(),), (C,), EMPTY, ())),
    "yields don't match": lambda: one(For((i64(),), (N,), Block((), (C,)), ())),
    "is not in scope": ragged,
    "the result v has type": ragged_emit,
    "one index": scan_of_two,
    "only accumulates": lambda: one(For((i64(),), (N,), Block((), (C,)), (Reduce("set"),)), f64()),
    "does not combine": lambda: one(For((i64(),), (N,), Block((), (C,)), (Reduce("and"),)), f64()),
    "used as a value": accumulator_read,
    "leaves its block": accumulator_yielded,
    "an accumulator is": accumulator_carried,
    "acc, is not in scope": contribution_in_operator,
    "value 0 has type": contribution_of_another_type,
    "has an index per axis": contribution_rank,
    "left operand 0 has type": operator_of_other_type,
    "init 0 has type": lambda: one(Loop(i64(), N, (vector(N),), (Y,), Block((), (X,))), vector(N)),
    "carry 0 has type": lambda: one(Loop(i64(), N, (vector(N),), (X,), Block((), (Y,))), vector(N)),
    "fewer outs": lambda: one(Loop(i64(), N, (f64(),), (C,), EMPTY), f64()),
    "condition 0 has type": while_with_number,
    "predicate has type": lambda: one(If(C, EMPTY, EMPTY)),
    "out of the other branch: 0": lambda: one(If(TRUE, Block((), (X,)), Block((), (Y,))), vector(N)),
    "shared between": shared_block,
    "no exception": lambda: one(Check(TRUE, "", (), "Oops")),
    "no library operation": lambda: one(Library("fourier", (X,)), vector(N)),
    "an extent of x": late_extent,
    "is no int64": lambda: one(Prim("neg", (Literal(2**63, I64),)), i64()),
    "is no int32": lambda: one(Prim("neg", (Literal(1.0, I32),)), Var(Scalar(I32))),
    "append starts empty": lambda: one(Accumulate((acc("append"),), ((C,),), EMPTY), i64(), vector(N)),
    "other columns": lambda: one(Accumulate((acc("add", (F64, F64)),), ((C, C),), EMPTY), f64(), f64()),
    "is donated": lambda: Function(PARAMS, EMPTY, donated=frozenset([C])),
}


@pytest.mark.parametrize("problem", MISTAKES)
def test_mistakes_are_refused(problem):
    with pytest.raises(CoreError, match=problem):
        check(MISTAKES[problem]())


def test_the_statement_is_shown():
    with pytest.raises(CoreError) as caught:
        check(one(Prim("neg", (C,)), Var(Scalar(F32), "wrong")))
    assert "wrong: float32 = neg c" in str(caught.value)


def test_extents_agree_as_sizes():
    b = Builder()
    x = Var(Array(F64, (N,)), "x")
    same = b.o.sub(b.o.add(N, 1), 1)
    assert isinstance(same, Var)
    y = b.map(same, lambda i: 1.0)
    (z,) = b.if_(b.o.lt(N, 3), lambda: x, lambda: y)
    f = b.function([N, x], [z])
    check(f)
    check(replace(f, donated=frozenset([x])))
