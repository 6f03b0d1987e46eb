"""What programs mean, and what they cost.

`evaluate` runs any program on NumPy values and counts exactly the cost model:

    work     a primitive costs its row's `cost`; a read, a contribution and a check cost 1; combining two elements of a
             monoid costs one per scalar, or what the operator's body costs; a fresh or copied array costs its size
             (array elements of a Map or an emit are built in their destination: charged once, where they are made; what
             a Scan gives that nothing uses is not made); a library operation costs its row's formula besides; an If
             costs its taken side
    copied   the elements that ownership (core/ownership.py) could not move, also part of the work
    span     statements add up; For = levels of a binary tree over its indices, each as deep as its operators, plus the
             largest body; Loop and While = the sum of their turns
    peak     the most elements of owned arrays alive at once, run in sequence; borrowed parameters don't count

Updates happen in place where ownership says moved, so the evaluator has the complexity it counts.  Float parameters may
be complex (the complex step): primitives carry perturbations along, choices and indices see real parts.

A block is compiled once into Python closures over one flat frame of slots, one per variable: names are unique, and the
core has no recursion.
"""

from __future__ import annotations

import builtins
import itertools
import math
import operator
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from iverson.core import library, monoids, prims
from iverson.core.meter import (
    Combine,
    Cost,
    Element,
    Fold,
    Frame,
    Meter,
    Prefixes,
    Sink,
    Stack,
    Values,
    fail,
    levels,
    out_of_bounds,
)
from iverson.core.ownership import Owner, consumed, copies
from iverson.core.rewrite import mentioned
from iverson.core.syntax import (
    Accumulate,
    Accumulator,
    Array,
    Atom,
    Block,
    Check,
    Contribute,
    DType,
    For,
    Function,
    If,
    Let,
    Library,
    Literal,
    Loop,
    Map,
    Monoid,
    Operator,
    Prim,
    Read,
    Reduce,
    Scalar,
    Scan,
    Site,
    Type,
    Var,
    While,
    Yield,
    width,
)

Step: TypeAlias = Callable[[Frame], int]  # runs a statement, gives its span (what the block doesn't know beforehand)
Run: TypeAlias = Callable[[Frame], tuple[Values, int]]  # runs a block: its outs, consumed, and its span
Take: TypeAlias = Callable[[Frame], Values]


@dataclass(frozen=True)
class Result:
    values: Values
    cost: Cost


class WorkLimit(RuntimeError):
    """The program did more work than the caller allowed."""


def evaluate(function: Function, args: Sequence[Any], limit: float = math.inf) -> Result:
    """Run a program on a value per parameter, extents included; the arguments are not written.

    What a program raises (IndexError, ZeroDivisionError, a Check's error) carries the statement's `.site`.
    """
    if len(args) != len(function.params):
        raise TypeError(f"{function.name} takes {len(function.params)} arguments, not {len(args)}")
    machine = _machine(function, any(np.iscomplexobj(a) for a in args))
    with np.errstate(all="ignore"):
        return machine.run(args, limit)


_recent: OrderedDict[tuple[int, bool], _Machine] = OrderedDict()


def _machine(function: Function, complex_step: bool) -> _Machine:
    """The compiled program, kept for the next call with other arguments."""
    key = id(function), complex_step
    if key not in _recent:
        _recent[key] = _Machine(function, complex_step)
        if len(_recent) > 16:
            _recent.popitem(last=False)
    _recent.move_to_end(key)
    return _recent[key]


# NumPy scalars' own operators mean the same as the rows' functions on real values, and are much quicker.
_QUICK: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "neg": operator.neg,
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "and": operator.and_,
    "or": operator.or_,
    "not": operator.invert,
    "min": np.minimum,
    "max": np.maximum,
}

_CAN_RAISE = frozenset({"floordiv", "mod", "pow"})  # on integers


def _typed(value: Any, dtype: np.dtype[Any]) -> Any:
    """A NumPy scalar of a dtype; a complex one stays complex."""
    return value if isinstance(value, np.complexfloating) else dtype.type(value)


class _Machine:
    """A program compiled to closures."""

    def __init__(self, function: Function, complex_step: bool) -> None:
        self.function = function
        self.complex_step = complex_step
        self.meter = Meter(complex_step)
        self.copies = copies(function)
        self.used = mentioned(function)
        self.frame: Frame = []
        self.slots: dict[Atom, int] = {}
        self.params = [(p, self.slot(p), self.shape(p.type)) for p in function.params]
        self.entry = self.block(function.body)

    def run(self, args: Sequence[Any], limit: float) -> Result:
        meter, frame = self.meter, list(self.frame)
        meter.reset(limit)
        for (p, slot, shape), a in zip(self.params, args, strict=True):
            frame[slot] = self.argument(p, a, shape(frame))
        values, span = self.entry(frame)
        return Result(values, Cost(meter.work, meter.copied, span, meter.peak))

    def argument(self, p: Var, value: Any, shape: tuple[int, ...]) -> Any:
        """A parameter's value: an array of its dtype and extents; a copy, not counted, if the program may write it."""
        dtype = _dtype(p.type)
        if isinstance(p.type, Scalar):
            return _typed(np.asarray(value)[()], np.dtype(dtype.value))
        donated = p in self.function.donated
        array = np.array(value, self.meter.dtype(dtype), copy=True if donated else None)
        if array.shape != shape:
            raise ValueError(f"{p.hint} has shape {array.shape}, not {shape}")
        if donated:
            self.meter.hold(array.size)
        return array

    # --- slots, types ---------------------------------------------------------------------------------------------

    def slot(self, atom: Atom) -> int:
        if atom not in self.slots:
            self.slots[atom] = len(self.frame)
            value = np.dtype(atom.dtype.value).type(atom.value) if isinstance(atom, Literal) else None
            self.frame.append(value)
        return self.slots[atom]

    def shape(self, t: Type) -> Callable[[Frame], tuple[int, ...]]:
        """The extents of a type, () for a scalar."""
        extents = [] if isinstance(t, Scalar) else [self.slot(e) for e in t.extents]
        return lambda f: tuple([int(f[e]) for e in extents])

    def meaning(self, name: str) -> Callable[..., Any]:
        """The meaning of a primitive, by the quick way on real values."""
        row = prims.TABLE[name].meaning
        return row if self.complex_step else _QUICK.get(name, row)

    # --- blocks -----------------------------------------------------------------------------------------------------

    def block(self, block: Block) -> Run:
        meter = self.meter
        steps = [*self.release(self.copies.on_entry(block))]
        work = 0
        for let in block:
            match let.op:
                case Prim(name):
                    work += prims.TABLE[name].cost
                case Read() | Contribute() | Check():
                    work += 1
            steps += [self.statement(let), *self.release(self.copies.after(let))]
        take = self.take(block, block.outs)
        steps_at_end = self.release(self.copies.on_exit(block))

        def run(f: Frame) -> tuple[Values, int]:
            meter.work += work
            if meter.work > meter.limit:
                raise WorkLimit(f"more work than {meter.limit}")
            span = work
            for step in steps:
                span += step(f)
            outs = take(f)
            for step in steps_at_end:
                step(f)
            return outs, span

        return run

    def release(self, dead: Sequence[Var]) -> list[Step]:
        """Free owned arrays."""
        meter, slots = self.meter, [self.slot(v) for v in dead]

        def step(f: Frame) -> int:
            for s in slots:
                meter.live -= f[s].size
                f[s] = None
            return 0

        return [step] if slots else []

    def take(self, owner: Owner, atoms: Sequence[Atom]) -> Take:
        """Consume atoms: arrays are moved, or copied where ownership says so."""
        slots = [self.slot(a) for a in atoms]
        copied = frozenset(k for k in range(len(slots)) if self.copies.of(owner, k))
        copy = self.meter.copy
        if copied:
            return lambda f: tuple([copy(f[s]) if k in copied else f[s] for k, s in enumerate(slots)])
        if len(slots) == 1:
            (only,) = slots
            return lambda f: (f[only],)
        return operator.itemgetter(*slots) if slots else lambda f: ()

    # --- statements -------------------------------------------------------------------------------------------------

    def statement(self, let: Let) -> Step:
        match let.op:
            case Prim():
                return self.prim(let, let.op)
            case Read():
                return self.read(let, let.op)
            case For():
                return self.for_(let, let.op)
            case Accumulate():
                return self.accumulate(let, let.op)
            case Contribute():
                return self.contribute(let, let.op)
            case Loop():
                return self.loop(let, let.op)
            case While():
                return self.while_(let, let.op)
            case If():
                return self.if_(let, let.op)
            case Library():
                return self.library(let, let.op)
            case Check():
                return self.check(let, let.op)

    def binder(self, variables: Sequence[Var]) -> Callable[[Frame, Iterable[Any]], None]:
        slots = [self.slot(v) for v in variables]

        def bind(f: Frame, values: Iterable[Any]) -> None:
            for s, v in zip(slots, values, strict=True):
                f[s] = v

        return bind

    def prim(self, let: Let, op: Prim) -> Step:
        apply, d, site = self.meaning(op.name), self.slot(let.vars[0]), let.site
        slots = [self.slot(a) for a in op.args]
        integers = isinstance(op.args[-1].type, Scalar) and op.args[-1].type.dtype.is_int

        def guarded(f: Frame) -> int:
            try:
                f[d] = apply(*[f[s] for s in slots])
            except (ZeroDivisionError, ValueError) as error:
                fail(error, site)
            return 0

        def unary(f: Frame) -> int:
            f[d] = apply(f[slots[0]])
            return 0

        def binary(f: Frame, a: int = slots[0], b: int = slots[-1]) -> int:
            f[d] = apply(f[a], f[b])
            return 0

        if integers and op.name in _CAN_RAISE:
            return guarded
        return {1: unary, 2: binary}.get(len(slots), guarded)

    def read(self, let: Let, op: Read) -> Step:
        x, d, site = self.slot(op.array), self.slot(let.vars[0]), let.site
        slots = [self.slot(i) for i in op.index]

        def vector(f: Frame, s: int = slots[0]) -> int:
            array, i = f[x], f[s]
            if not 0 <= i < len(array):
                out_of_bounds((i,), array.shape, site)
            f[d] = array[i]
            return 0

        def general(f: Frame) -> int:
            array, index = f[x], tuple([f[s] for s in slots])
            for i, n in zip(index, array.shape, strict=False):
                if not 0 <= i < n:
                    out_of_bounds(index, array.shape, site)
            f[d] = array[index]
            return 0

        return vector if len(slots) == 1 else general

    def library(self, let: Let, op: Library) -> Step:
        row, params, site = library.TABLE[op.name], library.with_defaults(op.name, op.params), let.site
        slots, bind, meter = [self.slot(a) for a in op.args], self.binder(let.vars), self.meter

        def step(f: Frame) -> int:
            arrays = [f[s] for s in slots]
            shapes = [a.shape for a in arrays]
            try:
                values = row.meaning(*arrays, **params)
            except (ValueError, np.linalg.LinAlgError) as error:
                fail(error, site)
            meter.work += row.cost(shapes)
            for v in values:
                if isinstance(v, np.ndarray):
                    meter.fresh(v.size)
            bind(f, values)
            return row.span(shapes)

        return step

    def check(self, let: Let, op: Check) -> Step:
        pred, slots, site = self.slot(op.pred), [self.slot(a) for a in op.args], let.site
        kind: Any = getattr(builtins, op.error, None) or getattr(np.linalg, op.error, ValueError)

        def step(f: Frame) -> int:
            if not f[pred]:
                fail(kind(op.message.format(*[f[s] for s in slots])), site)
            return 0

        return step

    # --- control ----------------------------------------------------------------------------------------------------

    def if_(self, let: Let, op: If) -> Step:
        pred, then, orelse, bind = self.slot(op.pred), self.block(op.then), self.block(op.orelse), self.binder(let.vars)

        def step(f: Frame) -> int:
            outs, span = then(f) if f[pred] else orelse(f)
            bind(f, outs)
            return span

        return step

    def loop(self, let: Let, op: Loop) -> Step:
        extent, index, site = self.slot(op.extent), self.slot(op.index), let.site
        take, enter, bind = self.take(let, op.inits), self.binder(op.carry), self.binder(let.vars)
        body, stack = self.block(op.body), self.meter.stack
        k = len(op.carry)
        emits = [_element(let.vars[k + e], out) for e, out in enumerate(op.body.outs[k:])]
        shapes = [self.shape(t) for t in emits]

        def step(f: Frame) -> int:
            carries, n, span = take(f), max(int(f[extent]), 0), 0
            stacks = [stack((n,), t.dtype, shape(f), site) for t, shape in zip(emits, shapes, strict=True)]
            for i in np.arange(n):
                enter(f, carries)
                f[index] = i
                outs, turn = body(f)
                carries, span = outs[:k], span + turn
                for emitted, value in zip(stacks, outs[k:], strict=True):
                    emitted[i] = value
            bind(f, (*carries, *stacks))
            return span

        return step

    def while_(self, let: Let, op: While) -> Step:
        take, enter, bind = self.take(let, op.inits), self.binder(op.carry), self.binder(let.vars)
        cond, body = self.block(op.cond), self.block(op.body)

        def step(f: Frame) -> int:
            carries, span = take(f), 0
            while True:
                enter(f, carries)
                (more,), test = cond(f)
                span += test
                if not more:
                    break
                carries, turn = body(f)
                span += turn
            bind(f, carries)
            return span

        return step

    # --- parallel ---------------------------------------------------------------------------------------------------

    def for_(self, let: Let, op: For) -> Step:
        body, extents, bind = self.block(op.body), [self.slot(e) for e in op.extent], self.binder(let.vars)
        index, make_sinks = [self.slot(v) for v in op.index], self.sinks(let, op)

        def step(f: Frame) -> int:
            shape = tuple([int(f[e]) for e in extents])
            sinks = [(make(f, shape), at, to) for make, at, to in make_sinks]
            count = largest = 0
            for point in itertools.product(*[np.arange(n) for n in shape]):
                for s, i in zip(index, point, strict=True):
                    f[s] = i
                outs, span = body(f)
                for sink, at, to in sinks:
                    sink.put(f, count, outs[at:to])
                count, largest = count + 1, max(largest, span)
            results = [v for sink, _, _ in sinks for v in sink.finish()]
            deepest = max((sink.span for sink, _, _ in sinks), default=1)
            bind(f, results)
            return largest + levels(count) * deepest

        return step

    def sinks(self, let: Let, op: For) -> list[tuple[Callable[[Frame, tuple[int, ...]], Sink], int, int]]:
        """Per yield, how to make what collects its values, and which outs these are."""
        made, at = [], 0
        for y in op.yields:
            to = at + width(y)
            made.append((self.sink(y, op.body.outs[at:to], let.vars[at:to], let.site), at, to))
            at = to
        return made

    def sink(
        self, y: Yield, outs: Sequence[Atom], results: Sequence[Var], site: Site | None
    ) -> Callable[[Frame, tuple[int, ...]], Sink]:
        types = [r.type if isinstance(y, Reduce) else _element(r, out) for r, out in zip(results, outs, strict=True)]
        elements, meter = [Element(self.shape(t), _dtype(t)) for t in types], self.meter
        if isinstance(y, Map):
            return lambda f, shape: Stack(meter, elements, f, shape, site)
        combine, identity = self.monoid(y.monoid, elements, fresh=isinstance(y, Scan))
        if isinstance(y, Reduce):
            return lambda f, shape: Fold(meter, combine, identity(f))
        kept = [k for k, r in enumerate(results) if r in self.used]
        stacked = [elements[k] for k in kept]
        return lambda f, shape: Prefixes(Stack(meter, stacked, f, shape, site), kept, combine, identity(f))

    def monoid(self, m: Monoid, elements: Sequence[Element], fresh: bool) -> tuple[Combine, Take]:
        """How two elements combine, and the identity.  A built-in makes `fresh` arrays, or reuses the left operand."""
        if isinstance(m, Operator):
            units = [self.slot(a) for a in m.identity]
            return self.operator(m), lambda f: tuple([np.copy(f[u])[()] for u in units])
        combine, meter = self.builtin(m), self.meter

        def by_row(f: Frame, left: Values, right: Values) -> tuple[Values, int]:
            meter.work += int(np.size(right[0]))
            for v in right:
                if isinstance(v, np.ndarray):
                    meter.live -= v.size
                    if fresh:
                        meter.fresh(v.size)
            return combine(left, right), 1

        unit = monoids.identity(m, elements[0].dtype) if elements else ()

        def identity(f: Frame) -> Values:
            filled = zip(elements, unit, strict=True)
            return tuple([np.full(e.shape(f), u, meter.dtype(e.dtype))[()] for e, u in filled])

        return by_row, identity

    def operator(self, m: Operator) -> Combine:
        enter, body = self.binder((*m.left, *m.right)), self.block(m.body)

        def combine(f: Frame, left: Values, right: Values) -> tuple[Values, int]:
            enter(f, (*left, *right))
            return body(f)

        return combine

    def builtin(self, m: str) -> Callable[[Values, Values], Values]:
        if self.complex_step or m not in _QUICK:
            return monoids.MONOIDS[m].combine
        quick = _QUICK[m]
        return lambda left, right: (quick(left[0], right[0]),)

    # --- accumulation -----------------------------------------------------------------------------------------------

    def accumulate(self, let: Let, op: Accumulate) -> Step:
        take, body, bind = self.take(let, consumed(op)), self.block(op.body), self.binder(let.vars)
        accs = [(self.slot(acc), _accumulator(acc)) for acc in op.accs]

        def step(f: Frame) -> int:
            inits = iter(take(f))
            for s, t in accs:
                if t.monoid == "append":
                    f[s] = [[] for _ in t.dtypes]
                else:
                    f[s] = [np.asarray(next(inits), self.meter.dtype(d)) for d in t.dtypes]
            outs, span = body(f)
            bind(f, [*(v for s, t in accs for v in self.finals(f[s], t)), *outs])
            return span

        return step

    def finals(self, columns: list[Any], t: Accumulator) -> Iterable[Any]:
        if t.monoid == "append":
            arrays = [np.array(c, self.meter.dtype(d)) for c, d in zip(columns, t.dtypes, strict=True)]
            return (np.int64(len(columns[0])), *arrays)
        return columns if t.extents else [c[()] for c in columns]

    def contribute(self, let: Let, op: Contribute) -> Step:
        t, acc, site = _accumulator(op.acc), self.slot(op.acc), let.site
        index, values, meter = [self.slot(i) for i in op.index], [self.slot(v) for v in op.values], self.meter

        def push(f: Frame) -> int:
            meter.fresh(len(values))
            for column, v in zip(f[acc], values, strict=True):
                column.append(f[v])
            return 0

        def place(f: Frame) -> Values:
            at = tuple([f[i] for i in index])
            shape = f[acc][0].shape
            for i, n in zip(at, shape, strict=True):
                if not 0 <= i < n:
                    out_of_bounds(at, shape, site)
            return at

        def overwrite(f: Frame) -> int:
            at = place(f)
            for column, v in zip(f[acc], values, strict=True):
                column[at] = f[v]
            return 0

        if t.monoid == "append":
            return push
        if t.monoid == "set":
            return overwrite
        combine = self.contribution(t.monoid)

        def update(f: Frame) -> int:
            at, columns = place(f), f[acc]
            new, span = combine(f, tuple([c[at] for c in columns]), tuple([f[v] for v in values]))
            for column, v in zip(columns, new, strict=True):
                column[at] = v
            return span

        return update

    def contribution(self, m: Monoid) -> Combine:
        """Combine an element with a contribution; a built-in's work is the statement's own."""
        if isinstance(m, Operator):
            return self.operator(m)
        combine = self.builtin(m)
        return lambda f, left, right: (combine(left, right), 0)


def _element(result: Var, out: Atom) -> Scalar | Array:
    """The type of an element stacked into `result`, in terms of what is in scope where `result` is."""
    t = result.type
    assert isinstance(t, Array)
    inner = t.extents[len(t.extents) - len(out.type.extents) :] if isinstance(out.type, Array) else ()
    return Array(t.dtype, inner) if inner else Scalar(t.dtype)


def _dtype(t: Type) -> DType:
    assert isinstance(t, Scalar | Array)
    return t.dtype


def _accumulator(acc: Var) -> Accumulator:
    assert isinstance(acc.type, Accumulator)
    return acc.type
