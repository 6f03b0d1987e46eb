"""The decisions about the tape: how reverse mode has again what the return sweep needs from the forward sweep.

    store         a result of a nested statement is kept, one entry an index or turn of what surrounds it
    recompute     it is run again where the return sweep enters its scope
    restore       an array that is updated in place is undone, by the elements that were overwritten
    checkpoint    of a loop's states some are kept, and the turns between them run again (checkpoints.py)

A `Policy` is what the user asks of a derivative; a loop's own note (`Loop.tape`) is stronger.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import repeat
from typing import Literal as OneOf
from typing import TypeAlias

from iverson.core.rewrite import blocks, lookup, map_blocks, map_op, statements, with_body, with_lets, with_op
from iverson.core.syntax import (
    Atom,
    Block,
    Checkpoint,
    Disk,
    For,
    Function,
    Let,
    Loop,
    Prim,
    Read,
    Tape,
    Var,
    While,
)

Mode: TypeAlias = OneOf["auto", "store", "recompute"]
MODES: tuple[Mode, ...] = ("auto", "store", "recompute")
Named: TypeAlias = tuple[str, int]  # a statement, by the name of its first result and its line


@dataclass(frozen=True)
class Policy:
    """What a derivative is told about its tape.

    mode          auto: results of nested statements are stored, a turn's own scalars run again; store: those scalars
                  are stored too; recompute: results of nested statements run again as well
    checkpoint    for the outermost loops that say nothing themselves
    budget        the most bytes that a call may allocate; None: as many as there are
    disk          room for states beside that, in a file, shared out among the loops
    planned       which of these loops are checkpointed, the others stored: slots and turns a block of each are the last
                  parameters of the function
    again         nested statements whose results run again
    """

    mode: Mode = "auto"
    checkpoint: Checkpoint | None = None
    budget: int | None = None
    disk: Disk | None = None
    planned: tuple[bool, ...] = ()
    again: frozenset[Named] = frozenset()

    def __or__(self, other: Policy) -> Policy:
        """Both; raises ValueError where they say different things about one matter."""
        changes = {}
        for field in fields(self):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            if theirs != field.default:
                if mine != field.default and mine != theirs:
                    raise ValueError(f"two options for the tape's {field.name}: {mine} and {theirs}")
                changes[field.name] = theirs
        return replace(self, **changes)

    def __repr__(self) -> str:
        said = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        if self.again:
            said["again"] = sorted(self.again)
        return f"tape({', '.join(f'{name}={value!r}' for name, value in said.items())})"


AUTO = Policy()


def annotated(function: Function, policy: Policy) -> Function:
    """The function with the policy's checkpoints as notes of its outermost loops."""
    notes: Iterator[Tape]
    if policy.planned:
        notes = _planned(function, policy.planned, policy.disk)
    elif policy.checkpoint is not None:
        notes = repeat(policy.checkpoint)
    else:
        return function

    def each(block: Block) -> Block:
        return with_lets(block, [mark(let) for let in block])

    def mark(let: Let) -> Let:
        if not isinstance(let.op, Loop | While):
            return map_blocks(let, each)
        return with_op(let, replace(let.op, tape=next(notes, "store"))) if let.op.tape is None else let

    return with_body(function, each(function.body))


def _planned(function: Function, planned: Sequence[bool], disk: Disk | None) -> Iterator[Tape]:
    numbers = iter(function.params[len(function.params) - 2 * sum(planned) :])
    each = None if disk is None else replace(disk, bytes=disk.bytes // len(planned))
    for chosen in planned:
        yield Checkpoint(next(numbers), next(numbers), each) if chosen else "store"


def outermost(block: Block) -> Iterator[Let]:
    """The outermost loops that say nothing themselves, in order."""
    for let in block:
        if isinstance(let.op, Loop | While):
            if let.op.tape is None:
                yield let
        else:
            for _, inner in blocks(let.op):
                yield from outermost(inner)


def named(let: Let) -> Named:
    """The name by which a decision about a statement is told."""
    return let.vars[0].hint, let.site.line if let.site else 0


# --- what a program says about its values -----------------------------------------------------------------------------

TOLD = ("keep", "recompute")  # primitives: their argument itself, with a note


def told(block: Block) -> dict[Var, str]:
    """The values of a block that are to be kept, or computed again: scalars, and arrays of such elements."""
    found: dict[Var, str] = {}
    for let in block:
        op = let.op
        if isinstance(op, Prim) and op.name in TOLD:
            found.update((a, op.name) for a in op.args if isinstance(a, Var))
        elif isinstance(op, For):
            read = {inner.vars[0]: inner.op.array for inner in op.body if isinstance(inner.op, Read)}
            for inner in op.body:
                if isinstance(inner.op, Prim) and inner.op.name in TOLD:
                    (a,) = inner.op.args
                    of = [read[a]] if isinstance(a, Var) and a in read else []
                    mapped = [v for v, out in zip(let.vars, op.body.outs, strict=True) if out is inner.vars[0]]
                    found.update((v, inner.op.name) for v in (*of, *mapped))
    return found


def plain(function: Function) -> Function:
    """The function without notes on its values."""
    if not any(isinstance(let.op, Prim) and let.op.name in TOLD for let in statements(function.body)):
        return function
    env: dict[Var, Atom] = {}

    def block(b: Block) -> Block:
        lets: list[Let] = []
        for let in b:
            op = map_op(let.op, lambda a: lookup(a, env), block)
            if isinstance(op, Prim) and op.name in TOLD:
                env[let.vars[0]] = op.args[0]
            else:
                lets.append(with_op(let, op))
        return Block(tuple(lets), tuple(lookup(a, env) for a in b.outs))

    return with_body(function, block(function.body))


def merged(policies: Iterable[Policy]) -> Policy:
    """All of them together."""
    whole = AUTO
    for policy in policies:
        whole = whole | policy
    return whole
