"""Library operations."""

from __future__ import annotations

from iverson.backend.context import Context, Unsupported
from iverson.core.syntax import Let, Library


def lower_library(ctx: Context, let: Let) -> None:
    op = let.op
    assert isinstance(op, Library)
    raise Unsupported(f"the back end has no {op.name} yet")
