"""Building core programs: fresh result variables, smart constructors, nested scopes.

A `Builder` holds a stack of open blocks; `emit` appends a statement to the innermost one.  Bodies are given as Python
functions from the bound variables to outs, so that a program under construction reads like the program:

    b = Builder()
    y = b.map(n, lambda i: b.o.mul(b.read(x, i), 2.0))

Python numbers are accepted wherever an atom is and take the dtype the context asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np

from iverson.core import library, prims
from iverson.core.rewrite import rename
from iverson.core.syntax import (
    BOOL,
    F64,
    I64,
    Accumulate,
    Accumulator,
    Array,
    Atom,
    Block,
    Builtin,
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
    Op,
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
    arity,
    width,
)

Number: TypeAlias = bool | int | float
Operand: TypeAlias = Atom | Number
Outs: TypeAlias = Operand | Sequence[Operand]


def literal(value: Number | np.generic, dtype: DType | None = None) -> Literal:
    """A scalar constant; without a dtype, Python's own (bool, int64, float64)."""
    if isinstance(value, np.generic):
        dtype = dtype or DType(value.dtype.name)
        value = value.item()
    if dtype is None:
        dtype = BOOL if isinstance(value, bool) else I64 if isinstance(value, int) else F64
    if dtype is BOOL:
        return Literal(bool(value), dtype)
    if dtype.is_int:
        return Literal(int(value), dtype)
    return Literal(float(np.dtype(dtype.value).type(value)), dtype)


def dtype_of(atom: Atom) -> DType:
    """The dtype of a scalar, or of an array's elements."""
    t = atom.type
    assert isinstance(t, Scalar | Array), f"{atom} is an accumulator"
    return t.dtype


def extents_of(atom: Atom) -> tuple[Atom, ...]:
    """The extents of an array; () for a scalar."""
    return atom.type.extents if isinstance(atom.type, Array) else ()


def make_type(dtype: DType, extents: Sequence[Atom]) -> Scalar | Array:
    """The type of a value with these extents; () gives a scalar."""
    return Array(dtype, tuple(extents)) if extents else Scalar(dtype)


def stacked(outer: Sequence[Atom], element: Type) -> Array:
    """The type of elements stacked over `outer` extents."""
    assert isinstance(element, Scalar | Array)
    return Array(element.dtype, (*outer, *(element.extents if isinstance(element, Array) else ())))


def results(op: Op) -> tuple[Var, ...]:
    """Fresh variables for what an op binds (the table at the top of core/syntax.py)."""
    types: list[Type] = []
    match op:
        case Prim(name, args):
            types = [Scalar(prims.result_dtype(name, [dtype_of(a) for a in args]))]
        case Read(array, index):
            types = [make_type(dtype_of(array), extents_of(array)[len(index) :])]
        case For(_, extent, body, yields):
            at = 0
            for y in yields:
                outs = [o.type for o in body.outs[at : at + width(y)]]
                at += width(y)
                types += outs if isinstance(y, Reduce) else [stacked(extent, t) for t in outs]
        case Accumulate(accs, _, body):
            finals: list[Var] = []
            for acc in accs:
                finals += _finals(acc)
            return (*finals, *(Var(o.type) for o in body.outs))
        case Loop(_, extent, carry, _, body):
            types = [c.type for c in carry] + [stacked((extent,), o.type) for o in body.outs[len(carry) :]]
        case While(carry):
            types = [c.type for c in carry]
        case If(_, then, _):
            types = [o.type for o in then.outs]
        case Library(name, args, params):
            types = library.result_types(name, args, params)
        case Contribute() | Check():
            pass
    return tuple(Var(t) for t in types)


def _finals(acc: Var) -> list[Var]:
    t = acc.type
    assert isinstance(t, Accumulator)
    if t.monoid == "append":
        length = Var(Scalar(I64), "len")
        return [length, *(Var(Array(d, (length,)), acc.hint) for d in t.dtypes)]
    return [Var(make_type(d, t.extents), acc.hint) for d in t.dtypes]


class Ops:
    """One method per primitive: `o.mul(x, y)` emits it.  The namespace that rows of the table are written against."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder

    def __getattr__(self, name: str) -> Callable[..., Atom]:
        if name not in prims.TABLE:
            raise AttributeError(f"no primitive is named {name!r}")
        return lambda *args: self._builder.prim(name, *args)


class Builder:
    """A program under construction."""

    def __init__(self) -> None:
        self._open: list[list[Let]] = [[]]
        self.site: Site | None = None
        self.o = Ops(self)

    # --- statements and scopes ----------------------------------------------------------------------------------------

    def emit(self, op: Op, hints: Sequence[str] = ()) -> tuple[Var, ...]:
        """Append a statement; give the variables it binds."""
        vs = results(op)
        if hints:
            vs = tuple(Var(v.type, h) for v, h in zip(vs, hints, strict=True))
        self.let(Let(vs, op, self.site))
        return vs

    def let(self, let: Let) -> None:
        """Append a statement that already has its variables."""
        self._open[-1].append(let)

    def splice(self, block: Block) -> tuple[Atom, ...]:
        """Append all statements of a block (fresh ones: see rewrite.rename); give its outs."""
        self._open[-1].extend(block.lets)
        return block.outs

    @contextmanager
    def scope(self) -> Iterator[list[Let]]:
        """Collect the statements emitted inside into a list of their own."""
        self._open.append([])
        try:
            yield self._open[-1]
        finally:
            self._open.pop()

    def block(self, body: Callable[[], Outs]) -> Block:
        """The block of what `body` emits, with what it returns as outs."""
        with self.scope() as lets:
            outs = as_outs(body())
        return Block(tuple(lets), outs)

    def function(self, params: Sequence[Var], outs: Outs, name: str = "f", donated: Sequence[Var] = ()) -> Function:
        """Close the outermost block into a function."""
        assert len(self._open) == 1, "a nested scope is still open"
        return Function(tuple(params), Block(tuple(self._open[0]), as_outs(outs)), name, frozenset(donated))

    # --- scalars ------------------------------------------------------------------------------------------------------

    def prim(self, name: str, *args: Operand) -> Atom:
        """A primitive on scalars.  Constants fold; Python numbers take the dtype of the other operands."""
        operands = _coerce(name, args)
        folded = _fold(name, operands)
        if folded is not None:
            return folded
        return self.emit(Prim(name, operands))[0]

    def cast(self, x: Atom, dtype: DType) -> Atom:
        """x as another dtype; nothing if it has it already."""
        return x if dtype_of(x) is dtype else self.prim(dtype.value, x)

    def read(self, array: Atom, *index: Operand, safe: bool = False) -> Var:
        """One element, or a row if fewer indices than the rank are given."""
        assert isinstance(array, Var) and isinstance(array.type, Array) and index, f"{array}{list(index)}"
        return self.emit(Read(array, tuple(map(as_index, index)), safe))[0]

    def check(self, pred: Atom, message: str, *args: Atom, error: str = "ValueError") -> None:
        """Raise `error` unless `pred` holds when the program runs."""
        if pred != Literal(True, BOOL):
            self.emit(Check(pred, message, args, error))

    def library(self, name: str, *args: Atom, **params: object) -> tuple[Var, ...]:
        return self.emit(Library(name, args, tuple(sorted(params.items()))))

    # --- parallel -----------------------------------------------------------------------------------------------------

    def for_(
        self,
        extent: Operand | Sequence[Operand],
        body: Callable[..., Outs],
        yields: Sequence[Yield] = (Map(),),
        hints: Sequence[str] = (),
    ) -> tuple[Var, ...]:
        """A For; `body` gets the index variables."""
        extents = tuple(map(as_index, _sequence(extent)))
        names = hints or "ijklmnpqrs"
        index = tuple(Var(Scalar(I64), names[k % len(names)]) for k in range(len(extents)))
        return self.emit(For(index, extents, self.block(lambda: body(*index)), tuple(yields)))

    def map(self, extent: Operand | Sequence[Operand], body: Callable[..., Operand]) -> Var:
        """The array of body(i...) for all indices."""
        return self.for_(extent, body)[0]

    def reduce(self, monoid: Monoid, extent: Operand | Sequence[Operand], body: Callable[..., Outs]) -> Any:
        """body(i...) combined over all indices: one variable, or a tuple for a monoid of pairs."""
        out = self.for_(extent, body, [Reduce(monoid)])
        return out[0] if arity(monoid) == 1 else out

    def scan(self, monoid: Monoid, extent: Operand, body: Callable[..., Outs]) -> Any:
        """The inclusive scan of body(i)."""
        out = self.for_(extent, body, [Scan(monoid)])
        return out[0] if arity(monoid) == 1 else out

    def full(self, extents: Sequence[Operand], value: Operand) -> Atom:
        """An array of one value; the scalar itself if there are no extents."""
        atom = as_atom(value)
        return self.map(extents, lambda *_: atom) if extents else atom

    def zeros(self, extents: Sequence[Operand], dtype: DType) -> Atom:
        return self.full(extents, literal(0, dtype))

    def copy(self, array: Atom) -> Atom:
        """A fresh, owned copy of an array (a scalar is itself)."""
        ext = extents_of(array)
        return self.map(ext, lambda *i: self.read(array, *i, safe=True)) if ext else array

    # --- accumulation -------------------------------------------------------------------------------------------------

    def accumulate(
        self,
        specs: Sequence[tuple[Monoid, Sequence[Operand]]],
        body: Callable[..., Outs],
        dtypes: Sequence[Sequence[DType]] | None = None,
    ) -> tuple[Var, ...]:
        """Accumulators with initial values `(monoid, columns)`; for append give the columns' dtypes instead."""
        accs, inits = [], []
        for k, (monoid, columns) in enumerate(specs):
            atoms = tuple(map(as_atom, columns))
            if monoid == "append":
                assert dtypes is not None and not atoms, "append starts empty and needs dtypes"
                t = Accumulator(monoid, tuple(dtypes[k]), ())
            else:
                t = Accumulator(monoid, tuple(map(dtype_of, atoms)), extents_of(atoms[0]))
            accs.append(Var(t, "acc"))
            inits.append(atoms)
        return self.emit(Accumulate(tuple(accs), tuple(inits), self.block(lambda: body(*accs))))

    def contribute(self, acc: Var, index: Sequence[Operand], *values: Operand, safe: bool = False) -> None:
        """acc[index] (+)= values."""
        t = acc.type
        assert isinstance(t, Accumulator)
        atoms = tuple(as_atom(v, d) for v, d in zip(values, t.dtypes, strict=True))
        self.emit(Contribute(acc, tuple(map(as_index, index)), atoms, safe))

    def set(self, array: Atom, index: Sequence[Operand], value: Operand, safe: bool = False) -> Var:
        """array with one element replaced: consumes `array`."""

        def body(acc: Var) -> Outs:
            self.contribute(acc, index, value, safe=safe)
            return ()

        return self.accumulate([("set", [array])], body)[0]

    # --- control ------------------------------------------------------------------------------------------------------

    def loop(
        self, extent: Operand, inits: Sequence[Operand], body: Callable[..., Outs], hints: Sequence[str] = ()
    ) -> tuple[Var, ...]:
        """Sequential; body(i, *carry) gives the next carries, then anything more is emitted, stacked by turn."""
        index = Var(Scalar(I64), "i")
        start = tuple(map(as_atom, inits))
        carry = self._carries(start, hints)
        return self.emit(Loop(index, as_index(extent), carry, start, self.block(lambda: body(index, *carry))))

    def while_(
        self,
        inits: Sequence[Operand],
        cond: Callable[..., Operand],
        body: Callable[..., Outs],
        hints: Sequence[str] = (),
    ) -> tuple[Var, ...]:
        start = tuple(map(as_atom, inits))
        carry = self._carries(start, hints)
        test = self.block(lambda: cond(*carry))
        return self.emit(While(carry, start, test, self.block(lambda: body(*carry))))

    def if_(self, pred: Atom, then: Callable[[], Outs], orelse: Callable[[], Outs]) -> tuple[Var, ...]:
        return self.emit(If(pred, self.block(then), self.block(orelse)))

    def operator(self, identity: Sequence[Operand], combine: Callable[..., Outs]) -> Operator:
        """A user monoid; combine(*left, *right) gives the combined tuple."""
        unit = tuple(map(as_atom, identity))
        left = tuple(Var(u.type, "l") for u in unit)
        right = tuple(Var(u.type, "r") for u in unit)
        return Operator(unit, left, right, self.block(lambda: combine(*left, *right)))

    def combine(self, m: Monoid, left: Sequence[Operand], right: Sequence[Operand]) -> tuple[Atom, ...]:
        """What a monoid makes of two elements, here; of a built-in one, scalars."""
        if isinstance(m, Operator):
            env = dict(zip((*m.left, *m.right), map(as_atom, (*left, *right)), strict=True))
            return self.splice(rename(m.body, env))
        if m in ("argmin", "argmax"):
            stays = self.wins(m, left, right)
            return tuple(self.o.select(stays, x, y) for x, y in zip(left, right, strict=True))
        return (self.prim(m, *left, *right),)

    def wins(self, m: Builtin, left: Sequence[Operand], right: Sequence[Operand]) -> Atom:
        """Does the left pair win: the better value, the smaller index between equals, NaN before all?"""
        o, both, either = self.o, self.o.__getattr__("and"), self.o.__getattr__("or")
        (v, i), (w, j) = left, right
        better = (o.lt if m == "argmin" else o.gt)(v, w)
        tie = o.eq(v, w)
        if dtype_of(as_atom(v)).is_float:
            v_nan, w_nan = o.isnan(v), o.isnan(w)
            better = both(o.__getattr__("not")(w_nan), either(v_nan, better))
            tie = either(tie, both(v_nan, w_nan))
        return either(better, both(tie, o.le(i, j)))

    @staticmethod
    def _carries(inits: Sequence[Atom], hints: Sequence[str]) -> tuple[Var, ...]:
        names = hints or [a.hint if isinstance(a, Var) else "c" for a in inits]
        return tuple(Var(a.type, h) for a, h in zip(inits, names, strict=True))


# --- operands ---------------------------------------------------------------------------------------------------------


def as_atom(x: Operand, dtype: DType | None = None) -> Atom:
    """An atom as it is; a Python number as a literal."""
    return x if isinstance(x, Var | Literal) else literal(x, dtype)


def as_index(x: Operand) -> Atom:
    return as_atom(x, I64)


def as_outs(outs: Outs) -> tuple[Atom, ...]:
    return tuple(map(as_atom, _sequence(outs)))


def _sequence(x: Operand | Sequence[Operand]) -> Sequence[Operand]:
    return (x,) if isinstance(x, Var | Literal | bool | int | float) else x


def _coerce(name: str, args: Sequence[Operand]) -> tuple[Atom, ...]:
    """Python numbers take the dtype of the atoms beside them (select: of the other branch)."""
    first = prims.TABLE[name].first
    lead = 0 if first is None else 1
    wanted = next((dtype_of(a) for a in args[lead:] if isinstance(a, Var | Literal)), None)
    return tuple(as_atom(a, first if k < lead else wanted) for k, a in enumerate(args))


def _fold(name: str, args: tuple[Atom, ...]) -> Atom | None:
    """Constants and the integer identities that size arithmetic is full of; everything else is opt/simplify's."""
    if name in {d.value for d in DType} and dtype_of(args[0]).value == name:
        return args[0]
    if all(isinstance(a, Literal) for a in args):
        return _evaluate(name, args)
    if len(args) == 2 and dtype_of(args[0]) is I64:
        x, y = args
        zero, one = Literal(0, I64), Literal(1, I64)
        if (name == "add" and y == zero) or (name == "sub" and y == zero) or (name == "mul" and y == one):
            return x
        if (name == "add" and x == zero) or (name == "mul" and x == one):
            return y
        if name == "mul" and zero in (x, y):
            return zero
        if (name == "floordiv" and y == one) or (name in ("min", "max") and x is y):
            return x
    return None


def _evaluate(name: str, args: tuple[Atom, ...]) -> Literal | None:
    values = [np.dtype(a.dtype.value).type(a.value) for a in args if isinstance(a, Literal)]
    dtype = prims.result_dtype(name, [a.dtype for a in args if isinstance(a, Literal)])
    try:
        with np.errstate(all="ignore"):
            return literal(np.asarray(prims.TABLE[name].meaning(*values)).item(), dtype)
    except (ZeroDivisionError, ValueError, OverflowError):
        return None  # raises, or wraps, when it runs
