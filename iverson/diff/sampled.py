"""Sketches in reverse mode: what becomes of them in the forward sweep, and in the return sweep.

    forward     y = sketch x key k         ->   y, kept = sketched x key k      y is x; kept is a residual, y needn't be
    return      uses of y                  ->   uses of  z = estimate kept key k        ȳ is x̄ (sweep.py)

A gradient that is linear in z has the right expectation (unbiased.py proves that it is), and a sum over the elements of
z is one over what was kept (kept.py):  Σ_j z[j] f(j) = Σ_s kept[s] f(place(s)).  What is left of the statements is
replaced at last by what draws, gathers and scatters.
"""

from __future__ import annotations

from dataclasses import replace

from iverson.core.build import Builder, dtype_of, extents_of
from iverson.core.dce import dce
from iverson.core.rewrite import lookup, map_blocks, map_op, retype, statements, with_body, with_lets
from iverson.core.sketch import ESTIMATE, SKETCH, SKETCHED, sketch
from iverson.core.syntax import Array, Atom, Block, Function, Let, Library, Var
from iverson.diff.kept import restricted
from iverson.diff.sampling import Draws
from iverson.diff.unbiased import prove


def sampled(function: Function) -> Function:
    """The function with its sketches made statements that also give what is kept."""
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

    def block(b: Block) -> Block:
        return with_lets(b, [change(let) for let in b])

    return with_body(function, block(function.body))


def _has(function: Function, *names: str) -> bool:
    return any(sketch(let.op, *names) for let in statements(function.body))


def expanded(function: Function) -> Function:
    """A gradient with its samples proven, its sums over samples made short, and both forms written out."""
    if not _has(function, SKETCHED, ESTIMATE):
        return function
    function = dce(restricted(prove(function)))
    return dce(replace(function, body=_written(function.body, {})))


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
