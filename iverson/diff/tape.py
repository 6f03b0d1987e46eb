"""The decisions about the tape: how reverse mode has again what the return sweep needs from the forward sweep.

    store         a result of a nested statement is kept, one entry an index or turn of what surrounds it
    recompute     it is run again where the return sweep enters its scope
    restore       an array that is updated in place is undone, by the elements that were overwritten
    checkpoint    of a loop's states some are kept, and the turns between them run again (checkpoints.py)

A `Policy` is what the user asks of a derivative; a loop's own note (`Loop.tape`) is stronger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from typing import Literal as OneOf
from typing import TypeAlias

from iverson.core.rewrite import map_blocks, with_body, with_lets, with_op
from iverson.core.syntax import Block, Checkpoint, Function, Let, Loop, While

Mode: TypeAlias = OneOf["auto", "store", "recompute"]
MODES: tuple[Mode, ...] = ("auto", "store", "recompute")


@dataclass(frozen=True)
class Policy:
    """What a derivative is told about its tape.

    mode          auto: results of nested statements are stored, a turn's own scalars run again; store: those scalars
                  are stored too; recompute: results of nested statements run again as well
    checkpoint    for the outermost loops that say nothing themselves
    budget        the most bytes that the tape may take; None: as many as there are
    """

    mode: Mode = "auto"
    checkpoint: Checkpoint | None = None
    budget: int | None = None

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
        return f"tape({', '.join(f'{name}={value!r}' for name, value in said.items())})"


AUTO = Policy()


def annotated(function: Function, policy: Policy) -> Function:
    """The function with the policy's checkpoints as notes of its outermost loops."""
    if policy.checkpoint is None:
        return function
    note = policy.checkpoint

    def mark(let: Let) -> Let:
        if isinstance(let.op, Loop | While):
            return let if let.op.tape is not None else with_op(let, replace(let.op, tape=note))
        return map_blocks(let, lambda b: _each(b, mark))

    return with_body(function, _each(function.body, mark))


def _each(block: Block, change: Callable[[Let], Let]) -> Block:
    return with_lets(block, [change(let) for let in block])


def merged(policies: Iterable[Policy]) -> Policy:
    """All of them together."""
    whole = AUTO
    for policy in policies:
        whole = whole | policy
    return whole
