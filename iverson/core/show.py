"""The printer: a program as text, the same text for the same program.

    f(n: int64, x: float64[n]) {
        s = for i < n {
            t = x[i]
            u = mul t t
        } reduce add u
    } s

Names come from hints, numbered where they repeat, so the text depends on the program alone: golden tests compare it and
the disk cache can be keyed by it (with `types`, nothing is left to infer).  A consumed array that ownership copies is
marked `copy x`; a moved one is bare.  What a block gives follows its brace.  With `sites`, a statement ends with the
line it comes from; with `types`, every binder has its type.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from iverson.core.ownership import Copies, Owner, consumed, copies
from iverson.core.syntax import (
    BOOL,
    F64,
    I64,
    Accumulate,
    Accumulator,
    Array,
    Atom,
    Block,
    Check,
    Contribute,
    For,
    Function,
    If,
    Let,
    Library,
    Loop,
    Map,
    Monoid,
    Op,
    Operator,
    Prim,
    Read,
    Reduce,
    Scalar,
    Type,
    Var,
    While,
    Yield,
    width,
)

INDENT = "    "


def show(function: Function, *, sites: bool = False, types: bool = False) -> str:
    """A whole program."""
    printer = _Printer(copies(function), sites, types)
    donated = function.donated
    params = ", ".join(("donated " if p in donated else "") + printer.typed(p, always=True) for p in function.params)
    return f"{function.name}({params}) " + printer.block(function.body, "") + "\n"


def show_let(let: Let) -> str:
    """One statement by itself, without marks of copies."""
    return _Printer(None, sites=True, types=True).let(let, "")


class _Printer:
    def __init__(self, marks: Copies | None, sites: bool, types: bool) -> None:
        self.marks = marks
        self.sites = sites
        self.types = types
        self.names: dict[Var, str] = {}
        self.counts: dict[str, int] = {}
        self.taken = {"inf", "nan", "True", "False"}  # literals

    # --- names, atoms, types ----------------------------------------------------------------------------------------

    def name(self, v: Var) -> str:
        if v not in self.names:
            hint = v.hint if v.hint.isidentifier() else "t"  # a key of a dict, say
            count = self.counts.get(hint, 0)
            name = hint if count == 0 else f"{hint}{count}"
            while name in self.taken:
                count += 1
                name = f"{hint}{count}"
            self.counts[hint] = count + 1
            self.taken.add(name)
            self.names[v] = name
        return self.names[v]

    def atom(self, a: Atom) -> str:
        if isinstance(a, Var):
            return self.name(a)
        text = repr(a.value)
        return text if a.dtype in (BOOL, I64, F64) else f"{text}:{a.dtype.value}"

    def atoms(self, several: Iterable[Atom], separator: str = ", ") -> str:
        return separator.join(map(self.atom, several))

    def consumed(self, owner: Owner, several: Sequence[Atom], first: int = 0) -> list[str]:
        marks = self.marks
        return [("copy " if marks and marks.of(owner, first + k) else "") + self.atom(a) for k, a in enumerate(several)]

    def type(self, t: Type) -> str:
        match t:
            case Scalar(dtype):
                return dtype.value
            case Array(dtype, extents):
                return f"{dtype.value}[{self.atoms(extents)}]"
            case Accumulator(monoid, dtypes, extents):
                named = monoid if isinstance(monoid, str) else "operator"
                columns = ", ".join(d.value for d in dtypes)
                return f"{named} ({columns})[{self.atoms(extents)}]"

    def typed(self, v: Var, *, always: bool = False) -> str:
        return f"{self.name(v)}: {self.type(v.type)}" if always or self.types else self.name(v)

    def binders(self, variables: Iterable[Var]) -> str:
        return ", ".join(map(self.typed, variables))

    # --- blocks and statements --------------------------------------------------------------------------------------

    def block(self, block: Block, indent: str) -> str:
        """`{ statements } outs`."""
        return self.braces(block, indent) + "".join(f" {o}" for o in [self.outs(block)] if o)

    def outs(self, block: Block) -> str:
        return ", ".join(self.consumed(block, block.outs))

    def braces(self, block: Block, indent: str) -> str:
        lines = [self.let(let, indent + INDENT) for let in block]
        return "{\n" + "\n".join(lines) + f"\n{indent}}}" if lines else "{}"

    def let(self, let: Let, indent: str) -> str:
        bound = self.binders(let.vars)
        op = self.op(let, let.op, indent)
        site = f"    # {let.site.file}:{let.site.line}" if self.sites and let.site else ""
        return indent + (f"{bound} = {op}" if bound else op) + site

    def op(self, let: Let, op: Op, indent: str) -> str:
        match op:
            case Prim(name, args):
                return f"{name} {self.atoms(args, ' ')}"
            case Read(array, index, safe):
                return f"{self.name(array)}{self.index(index, safe)}"
            case Contribute(acc, index, values, safe):
                return f"{self.name(acc)}{self.index(index, safe)} <- {self.atoms(values)}"
            case Library(name, args, params):
                static = "".join(f" {k}={v!r}" for k, v in params)
                return f"{name} {self.atoms(args, ' ')}{static}"
            case Check(pred, message, args, error):
                return " ".join(["check", self.atom(pred), error, json.dumps(message), *map(self.atom, args)])
            case For():
                return self.for_(op, indent)
            case Accumulate():
                return self.accumulate(let, op, indent)
            case Loop(index, extent, carry, inits, body):
                head = f"loop {self.name(index)} < {self.atom(extent)}{self.tape(op)}"
                return f"{head} {self.carries(let, carry, inits)}{self.block(body, indent)}"
            case While(carry, inits, cond, body):
                head = f"while{self.tape(op)} {self.carries(let, carry, inits)}{self.block(cond, indent)}"
                return f"{head} do {self.block(body, indent)}"
            case If(pred, then, orelse):
                return f"if {self.atom(pred)} {self.block(then, indent)} else {self.block(orelse, indent)}"

    def index(self, index: Sequence[Atom], safe: bool) -> str:
        """x[i] is checked; x[i!] is proven in bounds."""
        return f"[{self.atoms(index)}{'!' if safe and index else ''}]"

    @staticmethod
    def tape(op: Loop | While) -> str:
        return "" if op.tape is None else f" tape={op.tape!r}"

    def carries(self, let: Let, carry: Sequence[Var], inits: Sequence[Atom]) -> str:
        given = self.consumed(let, inits)
        pairs = ", ".join(f"{self.typed(c)} = {i}" for c, i in zip(carry, given, strict=True))
        return f"[{pairs}] " if pairs else ""

    def for_(self, op: For, indent: str) -> str:
        pairs = ", ".join(f"{self.name(i)} < {self.atom(n)}" for i, n in zip(op.index, op.extent, strict=True))
        body = self.braces(op.body, indent)
        outs = self.consumed(op.body, op.body.outs)
        at, given = 0, []
        for y in op.yields:
            given.append(f" {self.kind(y, indent)} {', '.join(outs[at : at + width(y)])}")
            at += width(y)
        return f"for {pairs} {body}{';'.join(given)}"

    def kind(self, y: Yield, indent: str) -> str:
        if isinstance(y, Map):
            return "map"
        return ("reduce " if isinstance(y, Reduce) else "scan ") + self.monoid(y.monoid, indent)

    def monoid(self, m: Monoid, indent: str) -> str:
        if not isinstance(m, Operator):
            return m
        operands = f"({self.binders(m.left)}; {self.binders(m.right)})"
        inverse = "" if m.inverse is None else f", inverse {self.block(m.inverse, indent)}"
        return f"(identity {self.atoms(m.identity)}, {operands} {self.block(m.body, indent)}{inverse})"

    def accumulate(self, let: Let, op: Accumulate, indent: str) -> str:
        given = self.consumed(let, consumed(op))
        return f"accumulate [{', '.join(self.accumulators(op, given, indent))}] {self.block(op.body, indent)}"

    def accumulators(self, op: Accumulate, given: list[str], indent: str) -> Iterator[str]:
        for acc, inits in zip(op.accs, op.inits, strict=True):
            assert isinstance(acc.type, Accumulator)
            columns, given = given[: len(inits)], given[len(inits) :]
            start = ", ".join(columns) or ", ".join(d.value for d in acc.type.dtypes)
            yield f"{self.name(acc)} = {self.monoid(acc.type.monoid, indent)} {start}"
