"""Which names a function's statements bind, read, and need later.

`annotate(function)` leaves on every If, For and While node what staging must know:

    node.after   the names read after it
    node.head    (loops) the names that a turn may read before it binds them, or that are read after the loop
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from typing import Any

SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def walk(nodes: ast.AST | Iterable[ast.AST]) -> Iterable[ast.AST]:
    """All nodes of one function: not those of functions and classes inside it, but they themselves."""
    stack = [nodes] if isinstance(nodes, ast.AST) else list(nodes)
    while stack:
        node = stack.pop()
        yield node
        if not isinstance(node, SCOPES):
            stack.extend(ast.iter_child_nodes(node))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            stack.extend([*node.decorator_list, *node.args.defaults, *[d for d in node.args.kw_defaults if d]])


def bound(nodes: ast.AST | Iterable[ast.AST]) -> set[str]:
    """The names that statements bind in their function."""
    names: set[str] = set()
    local: set[str] = set()
    for node in walk(nodes):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update((a.asname or a.name).split(".")[0] for a in node.names)
        elif (isinstance(node, ast.ExceptHandler) and node.name) or (
            isinstance(node, ast.MatchAs | ast.MatchStar) and node.name
        ):
            names.add(node.name)
        elif isinstance(node, COMPREHENSIONS):
            for generator in node.generators:
                local |= targets(generator.target)
    return names - (local - _stored_outside_comprehensions(nodes))


def _stored_outside_comprehensions(nodes: ast.AST | Iterable[ast.AST]) -> set[str]:
    """Names stored by statements proper or by := (comprehension targets are local to the comprehension)."""
    names: set[str] = set()
    stack = [nodes] if isinstance(nodes, ast.AST) else list(nodes)
    while stack:
        node = stack.pop()
        if isinstance(node, SCOPES):
            if not isinstance(node, ast.Lambda):
                names.add(node.name)
            continue
        if isinstance(node, ast.comprehension):
            stack += [node.iter, *node.ifs]
            continue
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        stack.extend(ast.iter_child_nodes(node))
    return names


def targets(target: ast.AST) -> set[str]:
    """The names that an assignment target binds."""
    return {n.id for n in ast.walk(target) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def loads(node: ast.AST | None) -> set[str]:
    """The names that an expression reads, in functions inside it too."""
    if node is None:
        return set()
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load | ast.Del)}


def parameters(args: ast.arguments) -> list[str]:
    names = [a.arg for a in (*args.posonlyargs, *args.args, *args.kwonlyargs)]
    return names + [a.arg for a in (args.vararg, args.kwarg) if a]


def declared(body: Sequence[ast.stmt], kind: type[ast.Global] | type[ast.Nonlocal]) -> set[str]:
    """The names of global or nonlocal statements."""
    return {name for node in walk(body) if isinstance(node, kind) for name in node.names}


def leaves(node: ast.AST, loop: bool = False) -> bool:
    """Whether a statement may leave its block: by return, or by the break or continue of an enclosing loop."""
    if isinstance(node, ast.Return):
        return True
    if isinstance(node, ast.Break | ast.Continue):
        return not loop
    if isinstance(node, SCOPES) or not isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case):
        return False
    if isinstance(node, ast.For | ast.While):
        return any(leaves(s, True) for s in node.body) or any(leaves(s, loop) for s in node.orelse)
    return any(leaves(child, loop) for child in ast.iter_child_nodes(node))


def returns(nodes: Iterable[ast.AST]) -> bool:
    return any(isinstance(n, ast.Return) for n in walk(nodes))


def breaks(body: Sequence[ast.stmt]) -> bool:
    """Whether a loop with this body may end early: by break or return."""
    return returns(body) or any(_has_break(s) for s in body)


def _has_break(node: ast.AST) -> bool:
    if isinstance(node, ast.Break):
        return True
    if isinstance(node, ast.For | ast.While):
        return any(_has_break(s) for s in node.orelse)
    if isinstance(node, SCOPES) or not isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case):
        return False
    return any(_has_break(child) for child in ast.iter_child_nodes(node))


# --- liveness ---------------------------------------------------------------------------------------------------------


class _Liveness:
    """Backwards over structured statements; loops are iterated to their fixed point."""

    def __init__(self, always: set[str]) -> None:
        self.always = always  # names that functions inside capture: never dead
        self.loops: list[tuple[set[str], set[str]]] = []  # what is live at continue, at break

    def block(self, body: Sequence[ast.stmt], after: set[str]) -> set[str]:
        live = after
        for s in reversed(body):
            live = self.statement(s, live) | self.always
        return live

    def statement(self, s: ast.stmt, live: set[str]) -> set[str]:
        method = getattr(self, type(s).__name__.lower(), None)
        return method(s, live) if method else self.simple(s, live)

    def simple(self, s: ast.stmt, live: set[str]) -> set[str]:
        return (live - bound(s)) | loads(s)

    def assign(self, s: ast.Assign, live: set[str]) -> set[str]:
        stored = set().union(*(targets(t) for t in s.targets))
        return (live - stored) | loads(s)

    def augassign(self, s: ast.AugAssign, live: set[str]) -> set[str]:
        return live | loads(s) | targets(s.target)

    def annassign(self, s: ast.AnnAssign, live: set[str]) -> set[str]:
        return (live - targets(s.target)) | loads(s.value) | loads(s.target) if s.value else live

    def functiondef(self, s: ast.FunctionDef, live: set[str]) -> set[str]:
        return (live - {s.name}) | loads(s)

    def return_(self, s: ast.Return, live: set[str]) -> set[str]:
        return loads(s.value)

    def raise_(self, s: ast.Raise, live: set[str]) -> set[str]:
        return loads(s)

    def break_(self, s: ast.Break, live: set[str]) -> set[str]:
        return self.loops[-1][1]

    def continue_(self, s: ast.Continue, live: set[str]) -> set[str]:
        return self.loops[-1][0]

    def if_(self, s: Any, live: set[str]) -> set[str]:
        s.after = live
        return self.block(s.body, live) | self.block(s.orelse, live) | loads(s.test)

    def while_(self, s: Any, live: set[str]) -> set[str]:
        return self.loop(s, live, loads(s.test), set())

    def for_(self, s: Any, live: set[str]) -> set[str]:
        return self.loop(s, live, loads(s.target), targets(s.target)) | loads(s.iter)

    def loop(self, s: Any, live: set[str], test: set[str], bound_first: set[str]) -> set[str]:
        end = self.block(s.orelse, live)
        head = end | test
        while True:
            self.loops.append((head, live))
            body = (self.block(s.body, head) - bound_first) | test
            self.loops.pop()
            if body <= head:
                break
            head = head | body
        s.after, s.head = live, body | test
        return head

    def with_(self, s: ast.With, live: set[str]) -> set[str]:
        inner = self.block(s.body, live)
        for item in reversed(s.items):
            inner = (inner - (targets(item.optional_vars) if item.optional_vars else set())) | loads(item.context_expr)
        return inner

    def try_(self, s: ast.Try, live: set[str]) -> set[str]:
        live = self.block(s.finalbody, live)
        everything = live | loads(s)
        for part in (s.body, s.orelse, *(h.body for h in s.handlers)):
            everything = everything | self.block(part, everything)
        return everything

    def match_(self, s: ast.Match, live: set[str]) -> set[str]:
        out = live | loads(s.subject)
        for case in s.cases:
            out = out | self.block(case.body, live) | loads(case.guard) | loads(case.pattern)
        return out


for _name in ("return", "raise", "break", "continue", "if", "while", "for", "with", "try", "match"):
    setattr(_Liveness, _name, getattr(_Liveness, f"{_name}_"))


def annotate(function: ast.FunctionDef) -> None:
    """Leave liveness on the nodes of a function (not of functions inside it)."""
    captured: set[str] = set()
    for node in walk(function.body):
        if isinstance(node, SCOPES):
            captured |= loads(node)
    outer = declared(function.body, ast.Nonlocal) | declared(function.body, ast.Global)
    always = captured | outer
    _Liveness(always).block(function.body, always)
