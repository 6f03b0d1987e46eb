"""fuse: producers into their one consumer.

    let a = For [i < n] {e(i)} yields [Map]
    ... let c = ... Read a[k] ...                ->   ... let c = ... e(k) ...

where the elements of `a` are used nowhere else, and each at most once (or `e` costs no more than the read did), nothing
between the two consumes an array that `e` reads, and the read was in bounds.

Invariant: the count of the cost model never rises; it falls by the array that is no longer made.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from iverson.core.dce import dce
from iverson.core.rewrite import atoms, blocks, lookup, map_op, rename, statements, type_atoms
from iverson.core.syntax import (
    Accumulate,
    Array,
    Atom,
    Block,
    Check,
    Contribute,
    For,
    Function,
    If,
    Let,
    Literal,
    Loop,
    Map,
    Op,
    Prim,
    Read,
    Var,
    While,
)


def run(f: Function) -> Function:
    """Every producer that qualifies, innermost blocks first, inlined where it is read."""
    return dce(Function(f.params, _Fuser(f).block(f.body), f.name, f.donated))


@dataclass
class _Site:
    """One read of an array, and what lies between the array's block and it."""

    read: Read
    loops: tuple[tuple[Var, Atom], ...]  # the For indices crossed, with their extents
    repeated: bool  # inside a Loop, While or operator: read once a turn
    conditional: bool


@dataclass
class _Uses:
    """How the statements after a binding use the arrays bound there."""

    reads: dict[Var, list[tuple[int, _Site]]] = field(default_factory=dict)
    otherwise: set[Var] = field(default_factory=set)
    consumed: dict[int, set[Var]] = field(default_factory=dict)  # by statement: arrays it consumes


class _Fuser:
    def __init__(self, f: Function) -> None:
        self.templates: dict[Var, For] = {}
        self.rows = {
            let.vars[0]: let.op.array
            for let in statements(f.body)
            if isinstance(let.op, Read) and isinstance(let.vars[0].type, Array)
        }

    def root(self, array: Var) -> Var:
        while array in self.rows:
            array = self.rows[array]
        return array

    # --- rewriting ----------------------------------------------------------------------------------------------------

    def block(self, block: Block) -> Block:
        """Inner blocks first, then this one's producers in order, so that chains of them inline as one."""
        inner = Block(tuple(Let(let.vars, self.op(let.op), let.site) for let in block), block.outs)
        uses = self.uses(inner)
        kept = []
        for at, let in enumerate(inner):
            if isinstance(let.op, For) and self.qualifies(at, let.vars[0], let.op, uses):
                self.templates[let.vars[0]] = let.op
            else:
                kept.append(let)
        return self.inline(Block(tuple(kept), block.outs), {})

    def op(self, op: Op) -> Op:
        return map_op(op, lambda a: a, self.block)

    def inline(self, block: Block, env: dict[Var, Atom]) -> Block:
        """Reads of fused producers become the producer's body at that index."""
        if not self.templates:
            return block
        lets: list[Let] = []
        for let in block:
            op = map_op(let.op, lambda a: lookup(a, env), lambda b: self.inline(b, env))
            if isinstance(op, Read) and op.array in self.templates:
                producer = self.templates[op.array]
                copy = rename(producer.body, dict(zip(producer.index, op.index, strict=True)))
                lets += self.inline(copy, env).lets
                env[let.vars[0]] = lookup(copy.outs[0], env)
            else:
                lets.append(Let(let.vars, op, let.site))
        return Block(tuple(lets), tuple(lookup(a, env) for a in block.outs))

    # --- what may be inlined ------------------------------------------------------------------------------------------

    def qualifies(self, at: int, array: Var, op: For, uses: _Uses) -> bool:
        if op.yields != (Map(),) or isinstance(op.body.outs[0].type, Array):
            return False
        sites = uses.reads.get(array, [])
        if not sites or array in uses.otherwise:
            return False
        if any(len(s.read.index) != len(op.index) or not _in_bounds(s, op) for _, s in sites):
            return False
        if self.cost(op.body) > 1 and (len(sites) > 1 or not _once(sites[0][1])):
            return False
        if _can_fail(op) and not (len(sites) == 1 and _covers(sites[0][1], op)):
            return False
        needed, last = self.needed(op.body), max(k for k, _ in sites)
        return not any(
            needed & {self.root(v) for v in consumed} for k, consumed in uses.consumed.items() if at < k <= last
        )

    def needed(self, body: Block) -> set[Var]:
        """The arrays a body reads once the producers it reads are inlined."""
        found: set[Var] = set()
        for let in statements(body):
            if isinstance(let.op, Read):
                producer = self.templates.get(let.op.array)
                found |= self.needed(producer.body) if producer else {self.root(let.op.array)}
        return found

    def cost(self, body: Block) -> int:
        """Primitives and reads of one element, the producers it reads inlined; anything nested is dear."""
        total = 0
        for let in body:
            if isinstance(let.op, Read) and let.op.array in self.templates:
                total += self.cost(self.templates[let.op.array].body)
            else:
                total += 1 if isinstance(let.op, Prim | Read) else 10
        return total

    def uses(self, block: Block) -> _Uses:
        found = _Uses()
        for at, let in enumerate(block):
            _collect(let.op, at, (), False, False, found)
            _note(found, let.vars)
        found.otherwise |= {a for a in block.outs if isinstance(a, Var)}
        return found


def _note(found: _Uses, bound: tuple[Var, ...]) -> None:
    for v in bound:
        found.otherwise |= {a for a in type_atoms(v.type) if isinstance(a, Var)}


def _collect(
    op: Op, at: int, loops: tuple[tuple[Var, Atom], ...], repeated: bool, conditional: bool, found: _Uses
) -> None:
    consumed = found.consumed.setdefault(at, set())
    if isinstance(op, Read):
        found.reads.setdefault(op.array, []).append((at, _Site(op, loops, repeated, conditional)))
        found.otherwise |= {a for a in op.index if isinstance(a, Var)}
        return
    found.otherwise |= {a for a in atoms(op) if isinstance(a, Var)}
    if isinstance(op, Loop | While):
        consumed |= {a for a in op.inits if isinstance(a, Var)}
    elif isinstance(op, Accumulate):
        consumed |= {a for init in op.inits for a in init if isinstance(a, Var)}
    elif isinstance(op, For):
        loops = (*loops, *zip(op.index, op.extent, strict=True))
    for binders, inner in blocks(op):
        again = repeated or isinstance(op, Loop | While) or (isinstance(op, For) and inner is not op.body)
        _note(found, binders)
        for let in inner:
            _collect(let.op, at, loops, again, conditional or isinstance(op, If), found)
            _note(found, let.vars)
        outs = {a for a in inner.outs if isinstance(a, Var)}
        found.otherwise |= outs
        consumed |= {a for a in outs if isinstance(a.type, Array)}


def _once(site: _Site) -> bool:
    """Each element is read at most once: the index is made of all the loop indices crossed, each by itself."""
    crossed = {i for i, _ in site.loops}
    return not site.repeated and crossed <= set(site.read.index)


def _in_bounds(site: _Site, producer: For) -> bool:
    """The index surely lies within the producer's extents, or the producer's own read will check it as well."""
    if site.read.safe:
        return True
    return _spans(site.read.index, producer.extent, dict(site.loops)) or _is_copy(producer)


def _is_copy(producer: For) -> bool:
    """The producer only copies an array of the same extents."""
    if len(producer.body.lets) != 1:
        return False
    (let,) = producer.body.lets
    return (
        isinstance(let.op, Read)
        and producer.body.outs == let.vars
        and let.op.index == producer.index
        and isinstance(let.op.array.type, Array)
        and let.op.array.type.extents == producer.extent
    )


def _covers(site: _Site, producer: For) -> bool:
    """All of the producer's elements are read, whenever the consumer runs."""
    return not site.conditional and _spans(site.read.index, producer.extent, dict(site.loops))


def _spans(index: tuple[Atom, ...], extents: tuple[Atom, ...], loops: dict[Var, Atom]) -> bool:
    """Each index is a loop index that runs over that very extent."""
    return all(isinstance(i, Var) and loops.get(i) == n for i, n in zip(index, extents, strict=False))


def _can_fail(producer: For) -> bool:
    """Whether computing an element may raise."""
    extent = dict(zip(producer.index, producer.extent, strict=True))
    for let in statements(producer.body):
        match let.op:
            case For(index, bounds):
                extent |= dict(zip(index, bounds, strict=True))
            case Loop(index, bound):
                extent[index] = bound
            case Read(array, index, safe):
                assert isinstance(array.type, Array)
                if not safe and not _spans(index, array.type.extents, extent):
                    return True
            case Check() | Contribute() | While():
                return True
            case Prim(name, args) if name in ("floordiv", "mod") and not isinstance(args[-1], Literal):
                return True
            case _:
                pass
    return False
