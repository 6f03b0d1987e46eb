"""Where `iv.tape.sample` puts sketches: on what multiplies the adjoint of a parameter, and on nothing else.

    z = a b            b̄ += a' z̄ needs a,  ā += z̄ b' needs b.    Of a b where b is a parameter, and a isn't:
                       y = sketch a;  z = y b                     the parameter's adjoint is estimated, ā is exact

So no path crosses two samples, and the relative variance of a layer's gradient doesn't grow with the depth below it.
Statements are looked at one by one: products of matrices, and nests of loops, in which an array is sketched if all that
is multiplied by it are parameters.  A name is a parameter's if it depends on what is differentiated, on no other float
argument, and on no product of two such names; masks, indices and what an operation isn't linear in are never sketched.
Each place has a key of its own, made from the key that is given, its number, and the turns of the loops around.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from iverson.core import prims
from iverson.core.build import Builder, dtype_of, extents_of
from iverson.core.custom import custom
from iverson.core.flow import Flow
from iverson.core.rewrite import free, lookup, map_blocks, rename_let, statements, type_atoms, uses, with_body
from iverson.core.sketch import SAMPLING, SKETCH, Sketch, sketch
from iverson.core.syntax import (
    F64,
    Accumulate,
    Array,
    Atom,
    Block,
    Contribute,
    For,
    Function,
    Let,
    Library,
    Loop,
    Prim,
    Read,
    Scan,
    Var,
    While,
    width,
)
from iverson.diff.activity import active, is_float
from iverson.diff.sampling import PARTS, seed, word

_LINEAR = {"add", "sub", "neg", "float32", "float64"}


def placed(function: Function, wrt: Sequence[Var]) -> Function:
    """The function with the sketches that it asks for, and without asking."""
    marks = [let for let in function.body if sketch(let.op, SAMPLING)]
    if not marks:
        return function
    env: dict[Var, Atom] = {}
    lets: list[Let] = []
    for let in function.body:
        if sketch(let.op, SAMPLING):
            assert isinstance(let.op, Library)
            env[let.vars[0]] = lookup(let.op.args[0], env)
        else:
            lets.append(rename_let(let, env) if env else let)
    made = with_body(function, Block(tuple(lets), tuple(lookup(a, env) for a in function.body.outs)))
    of, op = sketch(marks[0].op), marks[0].op
    assert of is not None and isinstance(op, Library)
    return _Placing(made, wrt, of, op.args[1], op.args[2]).function()


class _Placing:
    def __init__(self, f: Function, wrt: Sequence[Var], of: Sketch, key: Atom, fraction: Atom) -> None:
        self.f, self.of, self.key, self.fraction = f, of, key, fraction
        self.active = active(f.body, wrt)
        given = [p for p in f.params if is_float(p) and p not in wrt]
        deep = Flow(given).run(f.body) | _Products(self.active).run(f.body)
        self.parameters = self.active - deep
        self.places = 0
        self.before = Builder()  # what is computed before the outermost statement that is being looked at
        self.within: set[Var] = set()  # the names of that statement

    def function(self) -> Function:
        lets: list[Let] = []
        for let in self.f.body:
            self.before = Builder()
            self.within = {v for inner in statements(Block((let,), ())) for v in _bound(inner)}
            with self.before.scope() as before:
                made = self.let(let, ())
            lets += [*before, *made]
        return with_body(self.f, Block(tuple(lets), self.f.body.outs))

    def let(self, let: Let, turns: tuple[Var, ...]) -> list[Let]:
        """The statement, after the sketches of what it takes."""
        op = let.op
        if isinstance(op, Loop | Accumulate):
            around = (*turns, op.index) if isinstance(op, Loop) else turns

            def block(b: Block) -> Block:
                return Block(tuple(new for inner in b for new in self.let(inner, around)), b.outs)

            return [map_blocks(let, block)]
        if isinstance(op, For):
            found = _Multiplied(self, let).found()
        elif isinstance(op, Library) and op.name == "matmul":
            a, b = op.args
            found = [x for x, y in ((a, b), (b, a)) if y in self.parameters and x is not y]  # type: ignore[misc]
        else:
            return [let]
        chosen = [a for a in found if a not in self.parameters and not self.within & set(type_atoms(a.type))]
        b, env = Builder(), dict[Var, Atom]()
        b.site = let.site
        with b.scope() as lets:
            for a in chosen:
                env[a] = self.sketch(b, a, op, turns)
        if not env:
            return [let]
        renamed = rename_let(let, dict(env))
        return [*lets, Let(let.vars, renamed.op, let.site)]

    def sketch(self, b: Builder, a: Var, op: For | Library, turns: tuple[Var, ...]) -> Var:
        of = self.of
        if isinstance(op, For):
            last = len(extents_of(a)) > 1
        else:
            flags = dict(op.params)
            side = op.args.index(a)
            transposed = bool(flags.get("transpose_b" if side else "transpose_a"))
            last = len(extents_of(a)) == 2 and (side == 1) == transposed  # features are summed over
        if not last and of.examples != "one":
            of = Sketch(of.scheme, of.replace, "one", of.scale, of.unproven)
        before, o = self.before, self.before.o
        size: Atom = before.o.int64(1)
        for n in extents_of(a)[of.lead :]:
            size = o.mul(size, n)
        near = o.int64(o.floor(o.add(o.mul(self.fraction, before.cast(size, F64)), 0.5)))
        count = o.min(o.max(near, 1), size)
        key = word(before, seed(before, self.key, PARTS), before.o.int64(self.places))
        self.places += 1
        for i in turns:
            key = word(b, key, i)
        y = Var(a.type, a.hint)
        b.let(Let((y,), Library(SKETCH, (a, key, count), (("of", of),)), b.site))
        return y


def _bound(let: Let) -> Iterable[Var]:
    yield from let.vars
    op = let.op
    if isinstance(op, For):
        yield from op.index
    elif isinstance(op, Loop):
        yield from (op.index, *op.carry)
    elif isinstance(op, While):
        yield from op.carry
    elif isinstance(op, Accumulate):
        yield from op.accs


class _Products(Flow):
    """What depends on a product of two active names."""

    def __init__(self, names: set[Var]) -> None:
        super().__init__(())
        self.names = names

    def prim(self, y: Var, op: Prim) -> None:
        product = op.name not in _LINEAR and sum(a in self.names for a in op.args) > 1
        self.mark(y, product or any(map(self.has, op.args)))

    def library(self, let: Let, op: Library) -> None:
        product = sum(a in self.names for a in op.args) > 1 or custom(op) is not None
        for v in let.vars:
            self.mark(v, product or any(map(self.has, op.args)))


class _Multiplied:
    """Which arrays, in a nest of loops, are multiplied by parameters alone."""

    def __init__(self, placing: _Placing, let: Let) -> None:
        self.placing, self.nest = placing, let
        self.of: dict[Var, frozenset[Var]] = {}  # a name of the nest -> what it is made of outside
        self.partners: dict[Var, set[Var]] = {}  # an outer array -> whose adjoints need its value
        self.spoilt: set[Var] = set()  # arrays whose values decide something

    def found(self) -> list[Var]:
        op = self.nest.op
        assert isinstance(op, For)
        outside = free(Block((self.nest,), ()))
        if not self.block(op.body, op):
            return []
        parameters = self.placing.parameters
        arrays = [v for v in outside if isinstance(v.type, Array) and is_float(v) and v not in self.spoilt]
        return [a for a in arrays if self.partners.get(a) and self.partners[a] <= parameters]

    def made_of(self, atoms: Sequence[Atom]) -> frozenset[Var]:
        found: frozenset[Var] = frozenset()
        for a in atoms:
            if isinstance(a, Var):
                found |= self.of.get(a, frozenset({a}) if is_float(a) else frozenset())
        return found

    def block(self, block: Block, op: For) -> bool:
        """Look at the statements; False if there are some of a kind that isn't known here."""
        for let in block:
            inner = let.op
            match inner:
                case Read(array):
                    self.of[let.vars[0]] = self.made_of([array])
                case Prim():
                    self.prim(let.vars[0], inner)
                case For():
                    if not self.block(inner.body, inner):
                        return False
                    self.yields(let, inner)
                case Contribute():
                    pass
                case _:
                    if any(is_float(v) for v in uses(let)):
                        return False
        return True

    def prim(self, y: Var, op: Prim) -> None:
        sources = [self.made_of([a]) for a in op.args]
        self.of[y] = frozenset().union(*sources)
        if op.name in _LINEAR or op.name == "select":
            self.spoilt |= sources[0] if op.name == "select" else frozenset()
            return
        names = self.placing.active
        live = [s & names for s in sources]
        if op.name == "mul":
            for k in (0, 1):
                for a in sources[k]:
                    self.partners.setdefault(a, set()).update(live[1 - k])
        elif prims.TABLE[op.name].linear and any(prims.TABLE[op.name].linear):
            for a in self.of[y]:
                self.partners.setdefault(a, set()).update(*live)
                if any(live):
                    self.spoilt.add(a)
        else:
            self.spoilt |= self.of[y]

    def yields(self, let: Let, op: For) -> None:
        at = 0
        for y in op.yields:
            outs = op.body.outs[at : at + width(y)]
            made = self.made_of(outs)
            if hasattr(y, "monoid") and (y.monoid != "add" or isinstance(y, Scan)):
                self.spoilt |= made
            for v in let.vars[at : at + width(y)]:
                self.of[v] = made
            at += width(y)
