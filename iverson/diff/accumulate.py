"""Return sweeps of Accumulate and Contribute.

    y = Accumulate [acc = (add, x)] { Contribute acc[e] v }     v̄ += ȳ[e];   x̄ += ȳ
    y = Accumulate [acc = (set, x)] { Contribute acc[e] v }     v̄ += ȳ[e];   x̄ += ȳ with [e] := 0     (e distinct)
    l = Accumulate [acc = append]   { Contribute acc v }        k := k - 1;  v̄ += l̄[k]                (k from the end)

The block runs once, so it is swept in the scope of its statement.  Other monoids have become other statements before,
but for products in bins (histograms.py), and `set` where an element may be written twice a loop (ordered.py).
"""

from __future__ import annotations

from iverson.core.build import dtype_of, extents_of, literal
from iverson.core.flow import finals_of
from iverson.core.rewrite import rename
from iverson.core.syntax import Accumulate, Accumulator, Atom, Contribute, Let, Var
from iverson.diff.adjoints import Frame
from iverson.diff.contributions import change
from iverson.diff.histograms import is_product, products
from iverson.diff.residuals import BranchRecord, Step
from iverson.diff.sweep import Sweep


def accumulate(s: Sweep, frame: Frame, step: Step) -> None:
    op, record = step.let.op, step.record
    assert isinstance(op, Accumulate)
    if is_product(op, s.active):
        products(s, frame, step)
    if not isinstance(record, BranchRecord):
        return
    for x, (last, log) in record.undo.items():
        s.restore(frame, x, s.undone(frame, log, frame.at(last)))
    if not record.plans:
        return
    groups = finals_of(step.let)
    results = step.let.vars[sum(map(len, groups)) :]
    for acc, finals in zip(op.accs, groups, strict=True):
        columns = finals[1:] if _is_append(acc) else finals
        frame.finals[acc] = tuple(s.take(frame, v) for v in columns)
        if _is_append(acc):
            frame.cursors[acc] = frame.at(finals[0])
    grads = [s.take(frame, v) for v in results]
    reached = s.reached(frame, op) or any(_reached(frame, a) for a in op.accs)
    if record.within or reached or any(g is not None for g in grads):
        frame.env.update((end, frame.at(results[k])) for k, end in record.plans[0].ends.items())
        s.enter(frame, record.plans[0], record.slots[0])
        for a, g in zip(op.body.outs, grads, strict=True):
            s.add(frame, a, g)
        s.block(frame, record.plans[0])
    for acc, inits in zip(op.accs, op.inits, strict=True):
        for init, final in zip(inits, frame.finals.pop(acc), strict=False):
            if final is not None and s.is_active(init):
                s.add(frame, init, final if _monoid(acc) == "add" else _cleared(s, frame, op, acc, final))
        frame.cursors.pop(acc, None)


def contribute(s: Sweep, frame: Frame, step: Step) -> None:
    op = step.let.op
    assert isinstance(op, Contribute)
    columns = frame.finals.get(op.acc, ())
    index = tuple(map(frame.at, op.index))
    if _is_append(op.acc):
        frame.cursors[op.acc] = s.b.o.sub(frame.cursors[op.acc], 1)
        index = (frame.cursors[op.acc],)
    for v, g in zip(op.values, columns, strict=False):
        if g is not None and s.is_active(v):
            s.add(frame, v, s.b.read(g, *index, safe=op.safe or _is_append(op.acc)) if index else g)


def _cleared(s: Sweep, frame: Frame, op: Accumulate, acc: Var, g: Atom) -> Atom:
    """The adjoint with the elements that the block sets made zero."""
    zero = literal(0.0, dtype_of(g))
    if not extents_of(g):
        return zero
    mark = Var(Accumulator("set", (dtype_of(g),), extents_of(g)), "acc")

    def clear(let: Let, c: Contribute) -> tuple[Let, ...]:
        return (Let((), Contribute(mark, c.index, (zero,), c.safe), let.site),) if c.acc is mark else ()

    block = change(rename(op.body, {**frame.env, acc: mark}), clear)
    return s.b.emit(Accumulate((mark,), ((g,),), type(block)(block.lets, ())))[0]


def _monoid(acc: Var) -> object:
    assert isinstance(acc.type, Accumulator)
    return acc.type.monoid


def _is_append(acc: Var) -> bool:
    return _monoid(acc) == "append"


def _reached(frame: Frame, acc: Var) -> bool:
    return any(g is not None for g in frame.finals[acc])
