"""Reverse mode: `vjp` and `gradient`, core to core.

A direct transformation, statement by statement, with no tape of operations: the forward sweep is the program with its
residuals recorded (recording.py), the return sweep walks each block backwards and re-runs the scalars of the scope it
enters (sweep.py).  The rules of the constructs, ȳ being the adjoint of y:

    y = Prim(a, b)       ā += ȳ ∂y/∂a,  b̄ += ȳ ∂y/∂b: the primitive's row          here
    y = Read x[e]        x̄[e] += ȳ                                                 here
    If                   the same predicate, each side swept                       here
    custom               the user's rule                                           custom.py
    sketch               ȳ is x̄; y is estimated where it is needed                 sampled.py
    For                  sums, products, winners; other reductions and scans       parallel.py, monoids.py
    Loop, While          reversed, carries recorded or undone                      loops.py
    Accumulate           add, set, append, mul; what others become before          accumulate.py, ordered.py
    Library              the row's rule                                            library.py, library_rules.py

The work of value and gradient is at most a constant times the primal's, plus inputs and outputs: adjoints are
contributed to where they are, arrays updated in place are undone element by element, nothing is re-run from the start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from iverson.core import prims
from iverson.core.build import Builder, dtype_of, extents_of, literal
from iverson.core.custom import custom
from iverson.core.dce import dce
from iverson.core.rewrite import free, rename_function
from iverson.core.sketch import SKETCHED, sketch
from iverson.core.syntax import (
    I64,
    Accumulate,
    Array,
    Atom,
    Contribute,
    For,
    Function,
    If,
    Library,
    Loop,
    Op,
    Prim,
    Read,
    Scalar,
    Var,
    While,
)
from iverson.diff import handed
from iverson.diff.accumulate import accumulate, contribute
from iverson.diff.activity import active, is_float
from iverson.diff.adjoints import Frame
from iverson.diff.bits import packed
from iverson.diff.choices import Choices, chosen
from iverson.diff.custom import recorded, ruled, unrecorded
from iverson.diff.derivation import Derivation
from iverson.diff.library import library
from iverson.diff.loops import loop
from iverson.diff.ordered import ordered
from iverson.diff.parallel import for_
from iverson.diff.recording import Planner
from iverson.diff.rerun import choice, price
from iverson.diff.residuals import BranchRecord, Plan, Step
from iverson.diff.sampled import expanded, sampled, samples
from iverson.diff.sampler import placed
from iverson.diff.sweep import Rule, Sweep
from iverson.diff.tape import AUTO, Policy, annotated
from iverson.diff.unbiased import Biased


def vjp(function: Function, wrt: Sequence[int], policy: Policy = AUTO) -> Function:
    """The function that also pulls cotangents back.

    Parameters: the primal's, then a cotangent per float out (preceded, where an extent of the out is neither a
    parameter nor a literal, by that extent).  Outs: the primal's, then the adjoint of each parameter in `wrt`.
    """
    return reverse(function, wrt, seeded=False, policy=policy)[0]


def gradient(function: Function, wrt: Sequence[int], policy: Policy = AUTO) -> Function:
    """Value and gradient of a function whose first out is a float scalar: the outs, then the adjoints of `wrt`."""
    first = function.body.outs[0].type if function.body.outs else None
    if not isinstance(first, Scalar) or not first.dtype.is_float:
        raise TypeError(f"the gradient of {function.name} needs a float scalar as the first result")
    return reverse(function, wrt, seeded=True, policy=policy)[0]


def transpose(function: Function, wrt: Sequence[int]) -> Function:
    """The transpose of a function that is linear in the parameters `wrt`: as vjp, with the adjoints alone as outs.

    Raises TypeError if they depend on the values of those parameters.
    """
    made = vjp(function, wrt)
    outs = made.body.outs[len(function.body.outs) :]
    made = dce(replace(made, body=replace(made.body, outs=outs)))
    used = free(made.body)
    for k in wrt:
        if made.params[k] in used:
            raise TypeError(f"{function.name} is not linear: its transpose depends on the value of an argument")
    return made


def reverse(function: Function, wrt: Sequence[int], seeded: bool, policy: Policy = AUTO) -> tuple[Function, Plan]:
    """The transformed function, and the plan of what its forward sweep records."""
    exact: set[int] = set()  # where an estimate would bias the gradient
    while True:
        try:
            stored = _reverse(function, wrt, seeded, policy, exact)
            if policy.mode != "auto" or not choice(stored[1]):
                return stored
            again = _reverse(function, wrt, seeded, policy, exact, cheaply=True)
            prices = price(*stored), price(*again)
            made, plan = again if prices[1] < prices[0] else stored
            plan.prices = prices
            return made, plan
        except Biased as problem:
            if not problem.places or 0 in problem.places:
                raise
            exact |= problem.places


def _reverse(
    function: Function, wrt: Sequence[int], seeded: bool, policy: Policy, exact: set[int], cheaply: bool = False
) -> tuple[Function, Plan]:
    primal = annotated(sequential(function, wrt), policy)
    inputs = [primal.params[k] for k in wrt]
    primal = placed(primal, inputs, exact)
    primal = sampled(recorded(primal, active(primal.body, inputs), transpose))
    primal, choices = chosen(primal) if policy.mode == "auto" and not samples(primal) else (primal, Choices())
    derivation = Derivation(primal.body)
    names = active(primal.body, inputs)
    planner = Planner(names, derivation, policy.mode, samples(primal), policy.again, cheaply, choices.kept)
    plan = planner.top(primal.body)
    b = Builder()
    for let in plan.forward():
        b.let(let)
    sweep = Sweep(b, names, derivation, RULES)
    sweep.choices = choices.by
    frame = Frame({})
    for step in plan.steps:
        sweep.estimate(frame, step)
        if isinstance(step.let.op, Read) and isinstance(step.let.vars[0].type, Array):
            sweep.view(frame, step.let.vars[0], step.let.op)
            if frame.views[step.let.vars[0]].base in frame.env:
                sweep.show(frame, step.let.vars[0])
    outs = primal.body.outs
    if seeded:
        more: list[Var] = []
        sweep.add(frame, outs[0], literal(1.0, dtype_of(outs[0])))
    else:
        more = _cotangents(primal, sweep, frame)
    sweep.block(frame, plan)
    adjoints = [sweep.value(frame, p) for p in inputs]
    made = b.function((*primal.params, *more), (*outs, *adjoints), f"{primal.name}_vjp")
    made = expanded(dce(replace(unrecorded(made), donated=primal.donated)))
    if samples(primal):
        made, plan.words = packed(made, {v for let in plan.forward() for v in let.vars})
    return made, plan


def sequential(function: Function, wrt: Sequence[int]) -> Function:
    """A fresh copy of the function, with what depends on an order as loops, and choices behind their branches."""
    primal = dce(rename_function(function))
    inputs = [primal.params[k] for k in wrt]
    for p in inputs:
        if not is_float(p):
            raise TypeError(f"parameter {p.hint} of {function.name} has no derivative: it is {dtype_of(p)!r}")
    primal = dce(ordered(primal, active(primal.body, inputs)))
    return handed.run(primal, active(primal.body, inputs))


def _cotangents(primal: Function, sweep: Sweep, frame: Frame) -> list[Var]:
    """Parameters for the cotangents of the float outs, added to the outs' adjoints."""
    params: list[Var] = []
    for out in primal.body.outs:
        if not is_float(out):
            continue
        extents: list[Atom] = []
        for e in extents_of(out):
            if isinstance(e, Var) and e not in primal.params:
                e = Var(Scalar(I64), e.hint)
                params.append(e)
            extents.append(e)
        ct = Var(Array(dtype_of(out), tuple(extents)) if extents else Scalar(dtype_of(out)), "ct")
        params.append(ct)
        seed: Atom = ct
        if tuple(extents) != extents_of(out):  # under the program's own names for its extents
            seed = sweep.b.map(extents_of(out), lambda *i, ct=ct: sweep.b.read(ct, *i))
        sweep.add(frame, out, seed)
    return params


def prim(s: Sweep, frame: Frame, step: Step) -> None:
    op, (y,) = step.let.op, step.let.vars
    assert isinstance(op, Prim)
    g = s.take(frame, y)
    if g is None:
        return
    if y in s.choices:
        second = frame.at(s.choices[y])
        parts = s.b.o.select(second, 0.0, g), s.b.o.select(second, g, 0.0)
        for a, part in zip(op.args, parts, strict=True):
            if s.is_active(a):
                s.add(frame, a, s.b.cast(part, dtype_of(a)))
        return
    args = [frame.at(a) for a in op.args]
    for a, rule in zip(op.args, prims.TABLE[op.name].linear, strict=True):
        if rule is not None and s.is_active(a):
            s.add(frame, a, s.b.cast(rule(s.b.o, g, *args, frame.at(y)), dtype_of(a)))


def read(s: Sweep, frame: Frame, step: Step) -> None:
    op, (y,) = step.let.op, step.let.vars
    assert isinstance(op, Read)
    if y in frame.views:
        return
    g = s.take(frame, y)
    if g is not None and s.is_active(op.array):
        s.add_element(frame, op.array, [frame.at(i) for i in op.index], g, op.safe)


def if_(s: Sweep, frame: Frame, step: Step) -> None:
    op, record = step.let.op, step.record
    assert isinstance(op, If)
    if not isinstance(record, BranchRecord):
        return
    grads = [s.take(frame, v) for v in step.let.vars]
    if not (record.within or any(g is not None for g in grads) or s.reached(frame, op)):
        return

    def side(k: int) -> Callable[[Frame], None]:
        block = (op.then, op.orelse)[k]

        def sweep(child: Frame) -> None:
            child.env.update((end, frame.at(step.let.vars[j])) for j, end in record.plans[k].ends.items())
            s.enter(child, record.plans[k], record.slots[k])
            for out, g in zip(block.outs, grads, strict=True):
                s.add(child, out, g)
            s.block(child, record.plans[k])

        return sweep

    s.branches(frame, frame.at(op.pred), (side(0), side(1)), record.within)


def library_(s: Sweep, frame: Frame, step: Step) -> None:
    if not sketch(step.let.op, SKETCHED):
        (ruled if custom(step.let.op) else library)(s, frame, step)


RULES: Mapping[type[Op], Rule] = {
    Prim: prim,
    Read: read,
    If: if_,
    For: for_,
    Loop: loop,
    While: loop,
    Accumulate: accumulate,
    Contribute: contribute,
    Library: library_,
}
