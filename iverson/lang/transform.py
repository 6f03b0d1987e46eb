"""Rewriting a function's syntax tree into calls of the staging runtime (`lang/runtime.py`, here `_iv`).

    if p: A                     def _iv_then(): nonlocal ...; A
    else: B              ->     def _iv_else(): nonlocal ...; B
                                _iv.if_(p, _iv_then, _iv_else, names)
    for t in e: A        ->     def _iv_body(item): nonlocal ...; t = item; A
                                _iv.for_(e, _iv_body, names)
    while p: A           ->     _iv.while_(_iv_test, _iv_body, names)
    a if p else b        ->     _iv.ifexp(p, lambda: a, lambda: b);   and, or, not, x < y < z likewise
    [e for t in s if c]  ->     _iv.listcomp(_iv.Each(s, lambda t: _iv.Where(c, lambda: e)))
    sum(e for t in s)    ->     _iv.call(sum, _iv.generator(_iv.Each(...)))
    f(x)                 ->     _iv.call(f, x)
    x[i]; x[i] += e      ->     _iv.getitem(x, i); _iv.augitem("add", x, i, e)
    x[i] = e             ->     _iv.place(x)[i] = e

Blocks become functions over the same variables (`nonlocal`), called suites.  A suite that ends by `return`, `break` or
`continue` returns a signal (`_iv.Return(value)`, `_iv.BREAK`, `_iv.CONTINUE`), and a statement that may end its block
takes the statements after it as one more suite:

    if p: return a              return _iv.if_(p, _iv_then, _iv_else, names, _iv_rest)
    rest                 ->

The names given are those that the statement binds and that are needed later (`lang/analysis.py`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from typing import Any

from iverson.lang import analysis
from iverson.lang.analysis import bound, leaves, parameters, targets
from iverson.lang.desugar import Desugar
from iverson.lang.refuse import inspect_body

_AUGMENTED = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "truediv",
    ast.FloorDiv: "floordiv",
    ast.Mod: "mod",
    ast.Pow: "pow",
    ast.MatMult: "matmul",
    ast.BitAnd: "and",
    ast.BitOr: "or",
    ast.BitXor: "xor",
    ast.LShift: "lshift",
    ast.RShift: "rshift",
}
_GROWING = ("append", "extend", "insert", "pop", "remove", "add", "update", "setdefault", "clear", "reverse")


def function(node: ast.FunctionDef | ast.Lambda, owner: str = "") -> ast.FunctionDef:
    """The rewritten function; `owner` is the name of its class, if it is a method."""
    if isinstance(node, ast.Lambda):
        body: list[ast.stmt] = [ast.copy_location(ast.Return(node.body), node.body)]
        plain = ast.FunctionDef("_iv_lambda", node.args, body, [], None, type_params=[])
        node = ast.copy_location(plain, node)
    node.decorator_list = []
    if owner:
        _Mangle(owner.lstrip("_")).visit(node)
    return _Rewriter().function(node)


# --- little builders --------------------------------------------------------------------------------------------------


def _name(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())


def _iv(name: str, *args: ast.expr) -> ast.Call:
    """_iv.name(args)"""
    return ast.Call(ast.Attribute(_name("_iv"), name, ast.Load()), list(args), [])


def _names(names: Iterable[str]) -> ast.expr:
    return ast.Constant(tuple(sorted(names)))


def _thunk(body: ast.expr) -> ast.Lambda:
    return ast.Lambda(_arguments([]), body)


def _arguments(names: Sequence[str]) -> ast.arguments:
    return ast.arguments([], [ast.arg(n) for n in names], None, [], [], None, [])


def _binder(name: str) -> ast.stmt:
    """def _iv_bind_x(_iv_item): nonlocal x; x = _iv_item; return x"""
    store = ast.Assign([ast.Name(name, ast.Store())], _name("_iv_item"))
    body = [ast.Nonlocal([name]), store, ast.Return(_name("_iv_item"))]
    return ast.FunctionDef(f"_iv_bind_{name}", _arguments(["_iv_item"]), body, [], None, type_params=[])


class _Mangle(ast.NodeTransformer):
    """Private names of a class: __x is _Class__x."""

    def __init__(self, owner: str) -> None:
        self.owner = owner

    def _mangled(self, name: str) -> str:
        private = name.startswith("__") and not name.endswith("__")
        return f"_{self.owner}{name}" if private else name

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        node.attr = self._mangled(node.attr)
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self._mangled(node.id)
        return node


class _Rewriter(ast.NodeTransformer):
    """One function and the functions inside it."""

    def __init__(self) -> None:
        self.scopes: list[set[str]] = []  # names local to the functions, lambdas and comprehensions around us
        self.definite: set[str] = set()  # names certainly bound here
        self.globals: set[str] = set()
        self.depth = 0  # of suites around us, in this function
        self.count = 0
        self.walrus: set[str] = set()  # names bound by :=
        self.first = ""  # the name of the first parameter, for super()

    # --- functions ----------------------------------------------------------------------------------------------------

    def function(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """Rewrite the body of a function definition in place."""
        node.returns = None
        for arg in ast.walk(node.args):
            if isinstance(arg, ast.arg):
                arg.annotation = None
        args = parameters(node.args)
        inspect_body(node.body)
        Desugar().function(node)
        outer = analysis.declared(node.body, ast.Nonlocal)
        global_ = analysis.declared(node.body, ast.Global)
        local = (bound(node.body) | set(args)) - outer - global_
        analysis.annotate(node)
        saved = self.definite, self.globals, self.depth, self.first
        self.scopes.append(local)
        self.definite = (self.definite - local) | set(args)
        self.globals, self.depth, self.first = global_, 0, args[0] if args else ""
        walrus, self.walrus = self.walrus, set()
        body = [s for s in node.body if not isinstance(s, ast.Global | ast.Nonlocal)]
        body = self.block(body, set())
        head = [_binder(n) for n in sorted(self.walrus)]
        self.walrus = walrus
        unbound = local - set(args)
        if outer:
            head.insert(0, ast.Nonlocal(sorted(outer)))
        if unbound:  # bind every local name here, so that suites can declare it nonlocal
            stores: list[ast.expr] = [ast.Name(n, ast.Store()) for n in sorted(unbound)]
            head.append(ast.If(ast.Constant(False), [ast.Assign(stores, ast.Constant(None))], []))
        node.body = [_at(s, node) for s in head] + (body or [_at(ast.Pass(), node)])
        self.scopes.pop()
        self.definite, self.globals, self.depth, self.first = saved
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.decorator_list = [self.visit(d) for d in node.decorator_list]
        node.args.defaults = [self.visit(d) for d in node.args.defaults]
        node.args.kw_defaults = [d and self.visit(d) for d in node.args.kw_defaults]
        return self.function(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        node.args.defaults = [self.visit(d) for d in node.args.defaults]
        names = set(parameters(node.args))
        saved, self.definite = self.definite, self.definite | names
        self.scopes.append(names)
        node.body = self.visit(node.body)
        self.scopes.pop()
        self.definite = saved
        return node

    # --- blocks -------------------------------------------------------------------------------------------------------

    def block(self, body: Sequence[ast.stmt], final: set[str]) -> list[ast.stmt]:
        """Statements rewritten; `final` are the names needed after the block."""
        out: list[ast.stmt] = []
        for k, s in enumerate(body):
            rest = body[k + 1 :]
            if _splits(s):
                out += [_at(t, s) for t in self.splitting(s, rest, final)]
                return out
            new = self.visit(s)
            out += [_at(t, s) for t in (new if isinstance(new, list) else [new])]
            if isinstance(s, ast.Return | ast.Break | ast.Continue | ast.Raise):
                self.definite = self.definite | set().union(*self.scopes)
                break
        return out

    def suite(
        self, kind: str, body: Sequence[ast.stmt], final: set[str], args: Sequence[str] = (), first: Any = None
    ) -> ast.FunctionDef:
        """A block as a function over the same variables."""
        self.count += 1
        name = f"_iv_{kind}_{self.count}"
        self.depth += 1
        stored = bound(body) | (targets(first) if first is not None else set())
        inner: list[ast.stmt] = []
        if first is not None:
            inner.append(ast.Assign([self.visit(first)], _name(args[0])))
            self.definite = self.definite | targets(first)
        inner += self.block(body, final)
        self.depth -= 1
        head: list[ast.stmt] = []
        outside = [n for n in sorted(stored) if n in self.globals]
        inside = [n for n in sorted(stored) if n not in self.globals]
        head += [ast.Global(outside)] if outside else []
        head += [ast.Nonlocal(inside)] if inside else []
        return ast.FunctionDef(name, _arguments(args), [*head, *inner] or [ast.Pass()], [], None, type_params=[])

    def splitting(self, s: ast.stmt, rest: Sequence[ast.stmt], final: set[str]) -> list[ast.stmt]:
        """A statement that may leave its block: the statements after it become a suite that it is given."""
        made, call, stored = self.compound(s)
        before = self.definite
        tail = self.suite("rest", rest, final)
        made.append(tail)
        self.definite = before
        names = _names((stored | bound(rest)) & final)
        signal = _iv("then", call, _name(tail.name), names)
        if isinstance(s, ast.If):
            call.args += [_name(tail.name), names]
            signal = call
        return [*made, ast.Return(signal if self.depth else _iv("value", signal))]

    def compound(self, s: Any) -> tuple[list[ast.stmt], ast.Call, set[str]]:
        """An If, For, While, With or Try as suites and the call that runs them."""
        if isinstance(s, ast.If):
            return self.if_(s)
        if isinstance(s, ast.For):
            return self.for_(s)
        if isinstance(s, ast.While):
            return self.while_(s)
        return self.guarded(s)

    def if_(self, s: Any) -> tuple[list[ast.stmt], ast.Call, set[str]]:
        test = self.visit(s.test)
        before = self.definite
        then = self.suite("then", s.body, s.after)
        after_then, self.definite = self.definite, before
        orelse = self.suite("else", s.orelse, s.after)
        self.definite = self.definite & after_then
        stored = bound([*s.body, *s.orelse])
        call = _iv("if_", test, _name(then.name), _name(orelse.name), _names(stored & s.after))
        return [then, orelse], call, stored

    def for_(self, s: Any) -> tuple[list[ast.stmt], ast.Call, set[str]]:
        stored, breaks = bound(s.body) | targets(s.target), analysis.breaks(s.body)
        iterable, hints = self.visit(s.iter), self.hints(s)
        before = self.definite
        body = self.suite("body", s.body, s.head | s.after, ("_iv_item",), s.target)
        self.definite = before
        args = [iterable, _name(body.name), _names(stored & s.after), _names(s.head & stored)]
        flags = [ast.Constant(breaks), hints]
        return [body], _iv("for_", *args, *flags), stored

    def while_(self, s: Any) -> tuple[list[ast.stmt], ast.Call, set[str]]:
        before = self.definite
        test = ast.copy_location(_thunk(self.visit(s.test)), s)
        body = self.suite("body", s.body, s.head | s.after)
        self.definite = before
        stored = bound(s.body)
        args = [test, _name(body.name), _names(stored & s.after), _names(s.head & stored)]
        return [body], _iv("while_", *args, ast.Constant(analysis.breaks(s.body))), stored

    def guarded(self, s: Any) -> tuple[list[ast.stmt], ast.Call, set[str]]:
        """with and try around statements that leave: the body gives its signal to what follows."""
        stored = bound(s)
        self.count += 1
        name = f"_iv_guarded_{self.count}"
        self.depth += 1
        items = [self.visit(i) for i in s.items] if isinstance(s, ast.With) else []
        parts = {f: self.block(getattr(s, f), stored) for f in ("body", "orelse", "finalbody") if hasattr(s, f)}
        self.depth -= 1
        for f, statements in parts.items():
            setattr(s, f, statements)
        if items:
            s.items = items
        inner: list[ast.stmt] = [ast.Nonlocal(sorted(stored))] if stored else []
        inner += [ast.Expr(_iv("no_try"))] if getattr(s, "handlers", None) else []
        made = ast.FunctionDef(name, _arguments([]), [*inner, s], [], None, type_params=[])
        return [made], ast.Call(_name(name), [], []), stored

    def hints(self, s: ast.For) -> ast.expr:
        """Thunks of the lists that the loop indexes by its variable, or lengthens: these need it unrolled."""
        found = _static_needs(s.body, targets(s.target))
        return ast.Tuple([_thunk(self.visit(e)) for e in found], ast.Load())

    # --- statements ---------------------------------------------------------------------------------------------------

    def visit_If(self, s: ast.If) -> Any:
        made, call, _ = self.if_(s)
        return [*made, ast.Expr(call)]

    def visit_For(self, s: ast.For) -> Any:
        made, call, _ = self.for_(s)
        return [*made, ast.Expr(call)]

    def visit_While(self, s: ast.While) -> Any:
        made, call, _ = self.while_(s)
        return [*made, ast.Expr(call)]

    def visit_With(self, s: ast.With) -> Any:
        s.items = [self.visit(i) for i in s.items]
        s.body = self.block(s.body, bound(s))
        return s

    def visit_Try(self, s: ast.Try) -> Any:
        everything = bound(s)
        before = self.definite
        for field in ("body", "orelse", "finalbody"):
            setattr(s, field, self.block(getattr(s, field), everything))
        for handler in s.handlers:
            handler.body = self.block(handler.body, everything)
        self.definite = before
        return [ast.Expr(_iv("no_try")), s] if s.handlers else s

    def visit_Return(self, s: ast.Return) -> Any:
        value = self.visit(s.value) if s.value else ast.Constant(None)
        return ast.Return(_iv("Return", value) if self.depth else value)

    def visit_Break(self, s: ast.Break) -> Any:
        return ast.Return(ast.Attribute(_name("_iv"), "BREAK", ast.Load()))

    def visit_Continue(self, s: ast.Continue) -> Any:
        return ast.Return(ast.Attribute(_name("_iv"), "CONTINUE", ast.Load()))

    def visit_Raise(self, s: ast.Raise) -> Any:
        self.generic_visit(s)
        if s.exc is None:
            return s
        call = _iv("raise_", _thunk(s.exc))
        return ast.Return(call) if self.depth else ast.Expr(call)

    def visit_Assert(self, s: ast.Assert) -> Any:
        message = self.visit(s.msg) if s.msg else ast.Constant(None)
        return ast.Expr(_iv("assert_", self.visit(s.test), _thunk(message)))

    def visit_Assign(self, s: ast.Assign) -> Any:
        s.value = self.visit(s.value)
        s.targets = [self.visit(t) for t in s.targets]
        self.definite = self.definite | set().union(*(targets(t) for t in s.targets))
        return s

    def visit_AnnAssign(self, s: ast.AnnAssign) -> Any:
        if s.value is None:
            return ast.Pass()
        return self.visit_Assign(ast.Assign([s.target], s.value))

    def visit_AugAssign(self, s: ast.AugAssign) -> Any:
        if isinstance(s.target, ast.Subscript):
            operator = ast.Constant(_AUGMENTED[type(s.op)])
            obj, index = self.visit(s.target.value), self.index(s.target.slice)
            return ast.Expr(_iv("augitem", operator, obj, index, self.visit(s.value)))
        s.value = self.visit(s.value)
        if isinstance(s.target, ast.Name) and s.target.id not in self.definite and self.is_local(s.target.id):
            operator = ast.Constant(_AUGMENTED[type(s.op)])
            return ast.Assign([s.target], _iv("augmented", operator, _iv("use", _name(s.target.id)), s.value))
        return s

    def visit_Import(self, s: ast.Import) -> Any:
        self.definite = self.definite | bound(s)
        return s

    visit_ImportFrom = visit_Import

    # --- expressions --------------------------------------------------------------------------------------------------

    def is_local(self, name: str) -> bool:
        return any(name in scope for scope in self.scopes)

    def visit_Name(self, e: ast.Name) -> Any:
        if not isinstance(e.ctx, ast.Load):
            return e
        if not self.is_local(e.id):
            return e if e.id.startswith("_iv") else _at(_iv("load", e), e)
        return e if e.id in self.definite else _at(_iv("use", e), e)

    def visit_Attribute(self, e: ast.Attribute) -> Any:
        self.generic_visit(e)
        return _at(_iv("attribute", e.value, ast.Constant(e.attr)), e) if isinstance(e.ctx, ast.Load) else e

    def visit_Subscript(self, e: ast.Subscript) -> Any:
        e.value = self.visit(e.value)
        if not isinstance(e.ctx, ast.Load):
            e.slice = self.visit(e.slice)
            if isinstance(e.ctx, ast.Store):
                e.value = _at(_iv("place", e.value), e.value)
            return e
        return _at(_iv("getitem", e.value, self.index(e.slice)), e)

    def index(self, e: ast.expr) -> ast.expr:
        """An index expression, with slices as objects."""
        if isinstance(e, ast.Slice):
            parts = [self.visit(p) if p else ast.Constant(None) for p in (e.lower, e.upper, e.step)]
            return _at(_iv("slice", *parts), e)
        if isinstance(e, ast.Tuple):
            return ast.copy_location(ast.Tuple([self.index(p) for p in e.elts], ast.Load()), e)
        return self.visit(e)

    def visit_Call(self, e: ast.Call) -> Any:
        if isinstance(e.func, ast.Name) and e.func.id == "super" and not e.args:
            e.args = [_name("__class__"), _name(self.first)]
            return e
        generic = (
            isinstance(e.func, ast.Name | ast.Attribute) and len(e.args) == 1 and isinstance(e.args[0], ast.ListComp)
        )
        if generic and _tail(e.func) in ("sum", "min", "max", "any", "all", "prod") and not self.is_numpy(e.func):
            e.args = [ast.copy_location(ast.GeneratorExp(e.args[0].elt, e.args[0].generators), e.args[0])]  # type: ignore[attr-defined]
        callee = e.func
        if isinstance(callee, ast.Attribute):
            callee.value = self.visit(callee.value)
        else:
            callee = self.visit(callee)
        args = [self.visit(a) for a in e.args]
        keywords = [ast.keyword(k.arg, self.visit(k.value)) for k in e.keywords]
        whole = ast.Call(ast.Attribute(_name("_iv"), "call", ast.Load()), [callee, *args], keywords)
        if _tail(e.func) == "warn":  # Python's takes a message, which may have numbers of the program
            whole.args[0] = _name("_iv_callee")
            whole = _iv("warn", callee, ast.Lambda(_arguments(["_iv_callee"]), whole))
        return _at(whole, e)

    @staticmethod
    def is_numpy(callee: ast.expr) -> bool:
        """np.sum([...]) takes an array: keep the comprehension."""
        return isinstance(callee, ast.Attribute) and not (
            isinstance(callee.value, ast.Name) and callee.value.id == "math"
        )

    def visit_IfExp(self, e: ast.IfExp) -> Any:
        return _at(_iv("ifexp", self.visit(e.test), _thunk(self.visit(e.body)), _thunk(self.visit(e.orelse))), e)

    def visit_BoolOp(self, e: ast.BoolOp) -> Any:
        values = [_thunk(self.visit(v)) for v in e.values]
        return _at(_iv("and_" if isinstance(e.op, ast.And) else "or_", *values), e)

    def visit_UnaryOp(self, e: ast.UnaryOp) -> Any:
        e.operand = self.visit(e.operand)
        return _at(_iv("not_", e.operand), e) if isinstance(e.op, ast.Not) else e

    def visit_Compare(self, e: ast.Compare) -> Any:
        plain = len(e.ops) == 1 and not isinstance(e.ops[0], ast.In | ast.NotIn)
        self.generic_visit(e)
        if plain:
            return e
        names = [ast.Constant(type(o).__name__) for o in e.ops]
        rest = [_thunk(c) for c in e.comparators]
        return _at(_iv("compare", ast.Tuple(names, ast.Load()), e.left, *rest), e)

    def visit_NamedExpr(self, e: ast.NamedExpr) -> Any:
        """By a function that binds the name, since expressions become lambdas."""
        self.walrus.add(e.target.id)
        return _at(ast.Call(_name(f"_iv_bind_{e.target.id}"), [_iv("bind", self.visit(e.value))], []), e)

    # --- comprehensions -----------------------------------------------------------------------------------------------

    def visit_ListComp(self, e: ast.ListComp) -> Any:
        return _at(_iv("listcomp", self.generators(e.generators, e.elt)), e)

    def visit_GeneratorExp(self, e: ast.GeneratorExp) -> Any:
        return _at(_iv("generator", self.generators(e.generators, e.elt)), e)

    def visit_DictComp(self, e: ast.DictComp) -> Any:
        pair = ast.Tuple([e.key, e.value], ast.Load())
        return _at(_iv("dictcomp", self.generators(e.generators, pair)), e)

    def visit_SetComp(self, e: ast.SetComp) -> Any:
        return _at(_iv("setcomp", self.generators(e.generators, e.elt)), e)

    def generators(self, generators: Sequence[ast.comprehension], element: ast.expr) -> ast.expr:
        """_iv.Each(iterable, lambda target: ...) around the element, a `Where` for each clause."""
        if not generators:
            return self.visit(element)
        g = generators[0]
        iterable = self.visit(g.iter)
        names = targets(g.target)
        saved, self.definite = self.definite, self.definite | names
        self.scopes.append(names)
        needs = [_thunk(self.visit(n)) for n in _static_needs([ast.Expr(element), *map(ast.Expr, g.ifs)], names, names)]
        tests = [self.visit(t) for t in g.ifs]
        inner = self.generators(generators[1:], element)
        for test in reversed(tests):
            inner = _iv("Where", test, _thunk(inner))
        self.scopes.pop()
        self.definite = saved
        self.count += 1
        return _iv("Each", iterable, _pattern(g.target, inner, self.count), ast.Tuple(needs, ast.Load()))


def _pattern(target: ast.expr, body: ast.expr, count: int) -> ast.Lambda:
    """lambda target: body, where the target may be a pattern of names."""
    if isinstance(target, ast.Name):
        return ast.Lambda(_arguments([target.id]), body)
    parts = target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
    names = [p.id if isinstance(p, ast.Name) else f"_iv_{count}_{k}" for k, p in enumerate(parts)]
    for name, part in reversed(list(zip(names, parts, strict=True))):
        if not isinstance(part, ast.Name):
            body = ast.Call(_pattern(part, body, count * 100), [_name(name)], [])
    whole = f"_iv_{count}"
    items = _iv("unpack", _name(whole), ast.Constant(len(parts)))
    return ast.Lambda(
        _arguments([whole]), ast.Call(ast.Lambda(_arguments(names), body), [ast.Starred(items, ast.Load())], [])
    )


def _splits(s: ast.stmt) -> bool:
    """Whether a compound statement may leave the block it stands in."""
    if isinstance(s, ast.For | ast.While):
        return analysis.returns(s.body)
    return isinstance(s, ast.If | ast.With | ast.Try) and leaves(s)


def _at(node: Any, like: Any) -> Any:
    """Give new nodes the position of what they stand for."""
    if not hasattr(node, "lineno"):
        node.lineno = node.end_lineno = like.lineno  # one line: the compiler blames calls on the last one
        node.col_offset, node.end_col_offset = like.col_offset, like.col_offset + 1
    return ast.fix_missing_locations(node)


def _tail(callee: ast.expr) -> str:
    return callee.attr if isinstance(callee, ast.Attribute) else callee.id if isinstance(callee, ast.Name) else ""


def _static_needs(body: Sequence[ast.AST], variables: set[str], local: set[str] = frozenset()) -> list[ast.expr]:  # type: ignore[assignment]
    """Expressions for containers that a loop body indexes by the loop's variables (or what is made of them), or grows.

    They are evaluated before the loop is staged; a list among them means that the loop must be unrolled.
    """
    tainted = set(variables)
    found: dict[str, ast.expr] = {}
    inner = bound([s for s in body if isinstance(s, ast.stmt)]) | set(local)
    for node in analysis.walk(body):
        if isinstance(node, ast.Assign) and analysis.loads(node.value) & tainted:
            tainted |= set().union(*(targets(t) for t in node.targets))
    for top in body:
        for node in ast.walk(top):
            base: ast.expr | None = None
            if isinstance(node, ast.Subscript) and analysis.loads(node.slice) & tainted:
                base = node.value
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _GROWING:
                base = node.func.value
            if base is not None and _simple(base) and not analysis.loads(base) & inner:
                found.setdefault(ast.dump(base), _fresh(base))
    return list(found.values())


def _simple(e: ast.expr) -> bool:
    """A name, or attributes and parts of one, at names or constants."""
    if isinstance(e, ast.Subscript):
        return isinstance(e.slice, ast.Name | ast.Constant) and _simple(e.value)
    return isinstance(e, ast.Name) or (isinstance(e, ast.Attribute) and _simple(e.value))


def _fresh(e: Any) -> ast.expr:
    if isinstance(e, ast.Name):
        return ast.copy_location(ast.Name(e.id, ast.Load()), e)
    if isinstance(e, ast.Subscript):
        key = ast.Constant(e.slice.value) if isinstance(e.slice, ast.Constant) else _fresh(e.slice)
        return ast.copy_location(_iv("part", _fresh(e.value), ast.copy_location(key, e)), e)
    return ast.copy_location(ast.Attribute(_fresh(e.value), e.attr, ast.Load()), e)
