"""Elements that are picked from an array by data, which are fetched while the array lives.

    let q = For [s < k] { Read a[e(s)] } yields [Map]       e isn't integer arithmetic with the loop's indices
    ...                                                     arrays are made here; nothing after here mentions a
    let c = ... q[s] ...

If q were made where it is read, all of a would be kept for k of its elements: a sample of an activation would need the
memory of the activation.  So passes that bring producers to their consumers leave q where it is.
"""

from __future__ import annotations

from iverson.core.syntax import Atom, For, Prim, Read, Var

INTEGERS = {"add", "sub", "mul", "neg", "floordiv", "mod", "min", "max", "select", "lt", "le", "gt", "ge", "eq", "ne"}


def picked(op: For) -> set[Var]:
    """The arrays that a loop's turns read at indices which data decide."""
    data: set[Atom] = set()
    found: set[Var] = set()
    for let in op.body:
        if isinstance(let.op, Read):
            if not data.isdisjoint(let.op.index):
                found.add(let.op.array)
            data.update(let.vars)
        elif not isinstance(let.op, Prim) or let.op.name not in INTEGERS or not data.isdisjoint(let.op.args):
            data.update(let.vars)
    return found
