"""In a straight line of statements an element is loaded once, and stored for good once.

    v = a[e]; b[f] = u; w = a[e]       ->    v = a[e]; b[f] = u; v for w          where a[e] and b[f] are apart
    a[e] = u; v = a[e]; a[e] = w       ->    u for v; a[e] = w

A return sweep puts back what was overwritten, runs the statement again and puts it back once more: most of that goes.
LLVM does the same where it can tell the places apart; it can't for rows of one array, and for the blocks of logs.
"""

from __future__ import annotations

from iverson.backend import loopir as ir
from iverson.backend.loopir import Load, Program, Reg, Stmt, Store, Value, View
from iverson.backend.places import Places, accesses

KNOWN = 32  # elements that are remembered


def run(program: Program) -> None:
    """Rewrite a program in place."""
    elements = _Elements(program)
    elements.block(program.body)
    program.body[:] = ir.renamed(program.body, elements.env)


class _Elements:
    def __init__(self, program: Program) -> None:
        self.places = Places(program.body)
        self.arguments = {s.out for s in program.body if isinstance(s, ir.Argument)}
        self.env: dict[Reg, Value] = {}

    def block(self, body: list[Stmt]) -> None:
        known: list[tuple[View, Value]] = []  # what an element is
        latest: list[Store] = []  # stores that nothing has seen
        gone: set[Stmt] = set()
        for stmt in body:
            match stmt:
                case Load(out, view):
                    value = next((v for at, v in known if self.places.same(at, view)), None)
                    if value is None or out in self.places.extents:
                        known.append((view, out))
                        latest = [s for s in latest if self.places.apart(s.view, view)]
                    else:
                        self.env[out] = value
                        gone.add(stmt)
                case Store(view, value):
                    gone |= {s for s in latest if self.places.same(s.view, view)}
                    latest = [s for s in latest if not self.places.same(s.view, view)]
                    known = [(at, v) for at, v in known if self.places.apart(at, view)]
                    known.append((view, self.env.get(value, value) if isinstance(value, Reg) else value))
                    latest.append(stmt)
                case ir.Compute() | ir.Combine() | ir.Get() | ir.Put():
                    pass
                case ir.For() | ir.While() | ir.If():
                    for inner in ir.blocks(stmt):
                        self.block(inner)
                    seen = accesses([stmt])
                    other = any(isinstance(s, ir.Copy | ir.Call | ir.Free | ir.Own | ir.Grow) for s in ir.walk([stmt]))
                    stores = [a.view for a in seen if isinstance(a, Store)]
                    known = [] if other else [k for k in known if all(self.places.apart(k[0], v) for v in stores)]
                    latest = []
                case ir.Require() | ir.Bound():
                    latest = [s for s in latest if s.view.buffer.pointer not in self.arguments]
                case _:
                    known, latest = [], []
            known = known[-KNOWN:]
        body[:] = [s for s in body if s not in gone]
