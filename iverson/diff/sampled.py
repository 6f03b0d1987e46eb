"""Sketches in reverse mode: what becomes of them in the forward sweep, and in the return sweep.

    forward     y = sketch x key k         ->   y, kept = sketched x key k      y is x; kept is a residual, y needn't be
    return      uses of y                  ->   uses of  z = estimate kept key k        ȳ is x̄ (sweep.py)

A gradient that is linear in z has the right expectation (unbiased.py proves that it is), and a sum over the elements of
z is one over what was kept (kept.py):  Σ_j z[j] f(j) = Σ_s kept[s] f(place(s)).  What is left of the statements is
replaced at last by what draws, gathers and scatters.

Comparisons of floats are kept as they were, a bit each (recording.py, bits.py): else an array would be kept for its
signs, and a choice would be by estimates.
"""

from __future__ import annotations

from dataclasses import replace

from iverson.core.build import Builder, dtype_of, extents_of, literal
from iverson.core.dce import dce
from iverson.core.rewrite import lookup, map_blocks, map_op, retype, statements, with_body, with_lets
from iverson.core.sketch import ESTIMATE, SKETCH, SKETCHED, sketch
from iverson.core.syntax import Array, Atom, Block, Function, Let, Library, Literal, Op, Prim, Var
from iverson.diff.activity import is_float
from iverson.diff.kept import restricted
from iverson.diff.sampling import Draws
from iverson.diff.unbiased import prove

COMPARISONS = frozenset({"lt", "le", "gt", "ge", "eq", "ne"})


def sampled(function: Function) -> Function:
    """The function with its sketches made statements that also give what is kept, and its masks comparisons."""
    if not _has(function, SKETCH):
        return function

    def change(let: Let) -> Let:
        of = sketch(let.op, SKETCH)
        if of is None:
            return map_blocks(let, block)
        assert isinstance(let.op, Library)
        x, _, k = let.op.args
        kept = Var(Array(dtype_of(x), (*extents_of(x)[: of.lead], k)), "kept")
        return Let((*let.vars, kept), Library(SKETCHED, let.op.args, let.op.params), let.site)

    def block(inner: Block) -> Block:
        b = Builder()
        with b.scope() as lets:
            for let in inner:
                b.site = let.site
                _masked(b, change(let))
        return with_lets(inner, lets)

    return with_body(function, block(function.body))


def is_mask(op: Op) -> bool:
    """Is it a comparison of floats?"""
    return isinstance(op, Prim) and op.name in COMPARISONS and any(map(is_float, op.args))


def samples(function: Function) -> bool:
    """Are there sketches in the forward sweep?"""
    return _has(function, SKETCHED)


CLIPS = ("max", "min", "abs")  # what only a mask is needed of


def is_clip(op: Op) -> bool:
    """Is it one of these, of floats?"""
    return isinstance(op, Prim) and op.name in CLIPS and is_float(op.args[0])


def _masked(b: Builder, let: Let) -> None:
    """A maximum, minimum or magnitude as comparisons and a choice: then its derivative needs only the masks.

    The values are the same: the first argument wins ties, NaN always, and |0| has no slope.
    """
    op, o = let.op, b.o
    if not (isinstance(op, Prim) and is_clip(op)):
        b.let(let)
        return
    with b.scope() as lets:
        if op.name == "abs":
            (x,) = op.args
            zero = literal(0.0, dtype_of(x))
            o.select(b.prim("lt", x, zero), o.neg(x), o.select(b.prim("eq", x, zero), zero, x))
        else:
            x, y = op.args
            constant = next((a for a in op.args if isinstance(a, Literal) and a.value == a.value), None)
            past = "lt" if op.name == "max" else "gt"
            if constant is x:
                o.select(b.prim("le" if op.name == "max" else "ge", y, x), x, y)
            elif constant is y:
                o.select(b.prim(past, x, y), y, x)
            else:
                o.select(b.prim("or", b.prim(past, x, y), b.prim("ne", y, y)), y, x)
    for new in lets[:-1]:
        b.let(new)
    b.let(Let(let.vars, lets[-1].op, let.site))


def _has(function: Function, *names: str) -> bool:
    return any(sketch(let.op, *names) for let in statements(function.body))


def expanded(function: Function) -> Function:
    """A gradient with its samples proven, its sums over samples made short, and both forms written out."""
    if not _has(function, SKETCHED, ESTIMATE):
        return function
    function = dce(restricted(prove(function)))
    return dce(replace(function, body=written_out(function.body)))


def written_out(block: Block) -> Block:
    """A block with what draws, gathers and scatters in the place of its statements about samples."""
    return _written(block, {})


def _written(block: Block, env: dict[Var, Atom]) -> Block:
    lets: list[Let] = []
    for let in block:
        op = map_op(retype(let.op, env), lambda a: lookup(a, env), lambda b: _written(b, env))
        of = sketch(op, SKETCHED, ESTIMATE)
        if of is None:
            lets.append(Let(let.vars, op, let.site))
            continue
        assert isinstance(op, Library)
        what, key, k = op.args
        b = Builder()
        b.site = let.site
        with b.scope() as made:
            draws = Draws(b, of, key, k, extents_of(let.vars[0]))
            assert isinstance(what, Var)
            draws.keep(what) if op.name == SKETCHED else draws.estimate(what)
        result = let.vars[-1]  # what is drawn keeps its name
        lets += [*made[:-1], Let((result,), made[-1].op, let.site)]
        if op.name == SKETCHED:
            env[let.vars[0]] = what
    return Block(tuple(lets), tuple(lookup(a, env) for a in block.outs))
