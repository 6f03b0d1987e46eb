"""Where `iv.tape.sample` puts sketches: on what multiplies the adjoint of a parameter, and on nothing else.

    z = a b            b̄ += a' z̄ needs a,  ā += z̄ b' needs b.    Of a b where b is a parameter, and a isn't:
                       y = sketch a;  z = y b                     the parameter's adjoint is estimated, ā is exact

So no path crosses two samples, and the relative variance of a layer's gradient doesn't grow with the depth below it.
Statements are looked at one by one: products of matrices, and nests of loops.  An array is sketched if all that is
multiplied by it is nearer to the parameters: their level is 0; that of what depends on other float arguments, data, is
1; that of products of two names that depend on parameters, the states of layers and turns, is 2 and more.  Masks,
indices and what an operation isn't linear in are never sketched.  Where two samples meet on a path all the same, the
one nearer to the parameters is given up (reverse.py).  Each place has a key of its own, made from the key that is
given, its number, and the turns of the loops around.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from iverson.core.build import Builder, extents_of
from iverson.core.custom import custom
from iverson.core.flow import Flow
from iverson.core.rewrite import free, lookup, map_blocks, rename_let, statements, type_atoms, uses, with_body
from iverson.core.sketch import SAMPLING, SKETCH, Sketch, portion, sketch
from iverson.core.syntax import (
    Accumulate,
    Array,
    Atom,
    Block,
    Check,
    Contribute,
    For,
    Function,
    Let,
    Library,
    Loop,
    Map,
    Prim,
    Read,
    Scan,
    Var,
    While,
    width,
)
from iverson.diff.activity import active, is_float
from iverson.diff.sampled import is_clip, is_mask
from iverson.diff.sampling import PARTS, seed, word

_LINEAR = {"add", "sub", "neg", "float32", "float64"}


def placed(function: Function, wrt: Sequence[Var], but: Collection[int] = ()) -> Function:
    """The function with the sketches that it asks for, and without asking; without those at the places `but`."""
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
    return _Placing(made, wrt, of, op.args[1], op.args[2], but).function()


class _Placing:
    def __init__(
        self, f: Function, wrt: Sequence[Var], of: Sketch, key: Atom, fraction: Atom, but: Collection[int]
    ) -> None:
        self.f, self.of, self.key, self.fraction, self.but = f, of, key, fraction, but
        self.active = active(f.body, wrt)
        given = [p for p in f.params if is_float(p) and p not in wrt]
        self.data = Flow(given).run(f.body)
        self.products = _Products(self.active).run(f.body)
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

    def level(self, a: Atom) -> int:
        """How far a name is from the parameters."""
        return 2 * (a in self.products) + (a in self.data)

    def let(self, let: Let, turns: tuple[Var, ...]) -> list[Let]:
        """The statement, after the sketches of what it takes."""
        op = let.op
        if isinstance(op, Loop | Accumulate):
            around = (*turns, op.index) if isinstance(op, Loop) else turns

            def block(b: Block) -> Block:
                return Block(tuple(new for inner in b for new in self.let(inner, around)), b.outs)

            return [map_blocks(let, block)]
        if isinstance(op, For):
            found: Sequence[Atom] = _Multiplied(self, let).found()
        elif isinstance(op, Library) and op.name == "matmul":
            x, y = op.args
            found = [a for a, b in ((x, y), (y, x)) if b in self.active and self.level(b) < self.level(a)]
        else:
            return [let]
        b, env = Builder(), dict[Var, Atom]()
        b.site = let.site
        with b.scope() as lets:
            for a in found:
                if isinstance(a, Var) and self.within.isdisjoint(type_atoms(a.type)):
                    self.places += 1
                    if self.places not in self.but:
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
            of = replace(of, examples="one")
        of = replace(of, place=self.places)
        before, o = self.before, self.before.o
        size: Atom = before.o.int64(1)
        for n in extents_of(a)[of.lead :]:
            size = o.mul(size, n)
        count = portion(before, self.fraction, size)
        key = word(before, seed(before, self.key, PARTS), before.o.int64(self.places))
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
    """Which arrays, in a nest of loops, are multiplied by parameters alone.

    What the scalars of a turn are computed from is needed where the return sweep runs them again; results of inner
    loops are kept as they were.  So a name has two sets of names from outside: `values`, what it is computed from
    again, and `live`, what its adjoint goes to.
    """

    def __init__(self, placing: _Placing, let: Let) -> None:
        self.placing, self.nest = placing, let
        self.values: dict[Var, frozenset[Var]] = {}
        self.live: dict[Var, frozenset[Var]] = {}
        self.partners: dict[Var, set[Var]] = {}  # an outer name -> whose adjoints need its value
        self.spoilt: set[Var] = set()  # names whose values decide something, or are needed for their own adjoints

    def found(self) -> list[Var]:
        op = self.nest.op
        assert isinstance(op, For)
        if not self.block(op.body):
            return []
        level = self.placing.level
        arrays = [v for v in free(Block((self.nest,), ())) if isinstance(v.type, Array) and is_float(v)]
        partners = {a: self.partners.get(a) for a in arrays if a not in self.spoilt}
        return [a for a, those in partners.items() if those and all(level(b) < level(a) for b in those)]

    def of(self, a: Atom, sets: dict[Var, frozenset[Var]]) -> frozenset[Var]:
        if not isinstance(a, Var) or not is_float(a):
            return frozenset()
        return sets.get(a, frozenset({a}))

    def block(self, block: Block) -> bool:
        """Look at the statements; False if there are some of a kind that isn't known here."""
        for let in block:
            op = let.op
            match op:
                case Read(array):
                    self.bind(let.vars[0], [array], again=True)
                case Prim():
                    self.prim(let.vars[0], op)
                case For():
                    if not self.block(op.body):
                        return False
                    self.yields(let, op)
                case Contribute() | Check():
                    pass
                case _:
                    if any(is_float(v) for v in uses(let)):
                        return False
        return True

    def bind(self, v: Var, atoms: Sequence[Atom], again: bool) -> None:
        active = self.placing.active
        self.live[v] = frozenset().union(*(self.of(a, self.live) for a in atoms)) & active
        self.values[v] = frozenset().union(*(self.of(a, self.values) for a in atoms)) if again else frozenset()

    def prim(self, y: Var, op: Prim) -> None:
        self.bind(y, op.args, again=True)
        values = [self.of(a, self.values) for a in op.args]
        live = [self.of(a, self.live) & self.placing.active for a in op.args]
        if op.name == "mul":
            for k in (0, 1):
                for a in values[k]:
                    self.partners.setdefault(a, set()).update(live[1 - k])
        elif op.name == "select":
            self.spoilt |= values[0]
        elif op.name not in _LINEAR and not is_mask(op) and not is_clip(op):
            self.spoilt |= self.values[y]

    def yields(self, let: Let, op: For) -> None:
        at = 0
        for y in op.yields:
            group = slice(at, at + width(y))
            outs = op.body.outs[group]
            if not isinstance(y, Map) and (y.monoid != "add" or isinstance(y, Scan)):
                self.spoilt |= frozenset().union(*(self.of(a, self.values) for a in outs))
            for v in let.vars[group]:
                self.bind(v, outs, again=False)
            at += width(y)
