"""Derivatives of library operations: how either mode applies a rule of the table (diff/library_rules.py).

    y = row(a, b)     ẏ = jvp(ȧ, ḃ)          (ā, b̄) += vjp(ȳ)

A rule is a core program made of library rows that have rules themselves, so it may be differentiated again.  It gets
the values of arguments and results, never runs the operation once more, and skips what has no tangent or adjoint.
"""

from __future__ import annotations

from collections.abc import Sequence

from iverson.core import library as rows
from iverson.core.build import Builder
from iverson.core.syntax import Atom, Let, Library
from iverson.diff.adjoints import Frame
from iverson.diff.library_rules import rule
from iverson.diff.matrices import Matrices
from iverson.diff.residuals import Step
from iverson.diff.rules import Call
from iverson.diff.sweep import Sweep


def forward(b: Builder, let: Let, tangents: Sequence[Atom | None]) -> list[Atom | None]:
    """The tangents of an operation's results."""
    op = _op(let.op)
    call = _call(b, op, op.args, let.vars)
    found = rule(op).jvp(call, tangents)
    return [None if t is None else call.m.conform(t, v) for t, v in zip(found, let.vars, strict=False)]


def library(s: Sweep, frame: Frame, step: Step) -> None:
    """The return sweep of an operation."""
    op = _op(step.let.op)
    grads = [s.take(frame, v) for v in step.let.vars]
    if all(g is None for g in grads):
        return
    args, results = [frame.at(a) for a in op.args], [frame.at(v) for v in step.let.vars]
    wanted = [k in rule(op).arguments and s.is_active(a) for k, a in enumerate(op.args)]
    call = _call(s.b, op, args, results)
    for a, g in zip(op.args, rule(op).vjp(call, grads, wanted), strict=False):
        if g is not None and s.is_active(a):
            s.add(frame, a, call.m.conform(g, frame.at(a)))


def _op(op: object) -> Library:
    assert isinstance(op, Library)
    return op


def _call(b: Builder, op: Library, args: Sequence[Atom], results: Sequence[Atom]) -> Call:
    return Call(Matrices(b), tuple(args), tuple(results), rows.with_defaults(op.name, op.params))
