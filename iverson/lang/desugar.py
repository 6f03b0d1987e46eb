"""Python's rarer statements in terms of its common ones, before analysis and rewriting.

for ...: A                flag = False
else: B              ->   for ...: A   with  break -> flag = True; break
                          if not flag: B

while (x := f()): A  ->   while True:
                              if not (x := f()): break
                              A

match e:                  subject = e
    case 1 | 2: A    ->   if subject == 1 or subject == 2: A
    case k: B             else: k = subject; B
"""

from __future__ import annotations

import ast
from typing import Any

from iverson.lang.analysis import SCOPES


class Desugar(ast.NodeTransformer):
    """Functions inside are left alone: they are desugared when they are rewritten."""

    def __init__(self) -> None:
        self.count = 0

    def function(self, node: ast.FunctionDef) -> None:
        node.body = self._all(node.body)

    def _all(self, body: list[ast.stmt]) -> list[ast.stmt]:
        out: list[ast.stmt] = []
        for s in body:
            new = self.visit(s)
            out += new if isinstance(new, list) else [new]
        return out

    def generic_visit(self, node: ast.AST) -> Any:
        return node if isinstance(node, SCOPES) else super().generic_visit(node)

    def visit_For(self, node: ast.For) -> Any:
        self.generic_visit(node)
        return self._without_else(node)

    def visit_While(self, node: ast.While) -> Any:
        self.generic_visit(node)
        if any(isinstance(n, ast.NamedExpr) for n in ast.walk(node.test)):
            stop = ast.If(ast.UnaryOp(ast.Not(), node.test), [ast.Break()], [])
            node.body.insert(0, _at(stop, node.test))
            node.test = ast.copy_location(ast.Constant(True), node.test)
        return self._without_else(node)

    def visit_Match(self, node: ast.Match) -> Any:
        """Patterns of values, names and their alternatives; others are left to Python."""
        self.generic_visit(node)
        if not all(_is_plain(case.pattern) for case in node.cases):
            return node
        self.count += 1
        subject = f"_iv_subject_{self.count}"
        rest: list[ast.stmt] = []
        for case in reversed(node.cases):
            rest = [_at(s, case.body[0]) for s in _case(subject, case, rest)]
        store = ast.Assign([ast.Name(subject, ast.Store())], node.subject)
        return [_at(store, node), *rest]

    def _without_else(self, node: Any) -> Any:
        if not node.orelse:
            return node
        self.count += 1
        flag = f"_iv_broke_{self.count}"
        orelse, node.orelse = node.orelse, []
        _Breaks(flag).loop(node)
        otherwise = ast.If(ast.UnaryOp(ast.Not(), ast.Name(flag, ast.Load())), orelse, [])
        return [_at(_set(flag, False), node), node, _at(otherwise, orelse[0])]


def _is_plain(pattern: ast.pattern) -> bool:
    if isinstance(pattern, ast.MatchOr):
        return all(isinstance(p, ast.MatchValue | ast.MatchSingleton) for p in pattern.patterns)
    return isinstance(pattern, ast.MatchValue | ast.MatchSingleton) or (
        isinstance(pattern, ast.MatchAs) and pattern.pattern is None
    )


def _case(subject: str, case: ast.match_case, rest: list[ast.stmt]) -> list[ast.stmt]:
    """One case as an if, with the later ones as its else."""
    pattern = case.pattern
    if isinstance(pattern, ast.MatchAs):
        bind = (
            [ast.Assign([ast.Name(pattern.name, ast.Store())], ast.Name(subject, ast.Load()))] if pattern.name else []
        )
        return [*bind, ast.If(case.guard, case.body, rest)] if case.guard else [*bind, *case.body]
    options = pattern.patterns if isinstance(pattern, ast.MatchOr) else [pattern]
    tests: list[ast.expr] = [_is_case(subject, p) for p in options]
    test = tests[0] if len(tests) == 1 else ast.BoolOp(ast.Or(), tests)
    test = ast.BoolOp(ast.And(), [test, case.guard]) if case.guard else test
    return [ast.If(test, case.body, rest)]


def _is_case(subject: str, pattern: Any) -> ast.expr:
    name = ast.Name(subject, ast.Load())
    if isinstance(pattern, ast.MatchSingleton):
        return ast.Compare(name, [ast.Is()], [ast.Constant(pattern.value)])
    return ast.Compare(name, [ast.Eq()], [pattern.value])


class _Breaks(ast.NodeTransformer):
    """Let the breaks of one loop set a flag."""

    def __init__(self, flag: str) -> None:
        self.flag = flag

    def loop(self, node: Any) -> None:
        node.body = [t for s in node.body for t in _listed(self.visit(s))]

    def visit_Break(self, node: ast.Break) -> Any:
        return [_at(_set(self.flag, True), node), node]

    def generic_visit(self, node: ast.AST) -> Any:
        return node if isinstance(node, (*SCOPES, ast.For, ast.While)) else super().generic_visit(node)


def _listed(x: Any) -> list[Any]:
    return x if isinstance(x, list) else [x]


def _set(name: str, value: bool) -> ast.stmt:
    return ast.Assign([ast.Name(name, ast.Store())], ast.Constant(value))


def _at(node: Any, like: ast.AST) -> Any:
    return ast.fix_missing_locations(ast.copy_location(node, like))
