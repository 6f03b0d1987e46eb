"""unread: an element that nothing reads again is not written.

    x1 = Loop i < n [x = x0] { .. x[f] ..; y = Accumulate [acc = set x] { acc[e] <- v } } y
        ->   y is x,  where x1 is not used, and no read meets what was written before it

A read meets an update if it comes later in the turn, or in a later one, and f may be e there.  Updates lie in the Loop
or in Loops inside of it, in Fors and branches of their Accumulate; so do reads, anywhere.  What only updates that go
read doesn't count: all are taken to go, then those that a live read meets stay.

An update that may raise an IndexError stays.

A return sweep puts back what a turn overwrote, and often reads none of it, as where a factorisation reads what is
finished alone.  Then what was kept for it isn't needed either.

Invariant: the count falls.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from iverson.core.bounds import Sizes
from iverson.core.dce import dce, dce_block
from iverson.core.rewrite import (
    atoms,
    blocks,
    free,
    lookup,
    map_op,
    mentioned,
    rename_op,
    statements,
    uses,
    with_body,
    with_lets,
    with_op,
)
from iverson.core.syntax import (
    Accumulate,
    Accumulator,
    Array,
    Atom,
    Block,
    Checkpoint,
    Contribute,
    Function,
    Let,
    Loop,
    Op,
    Read,
    Var,
)

MOST = 400  # pairs of an update and a read, for one array
MISSES = 6  # of them for which no proof is found, before giving up
EFFORT = 16  # for a proof

Path = tuple[tuple[int, int], ...]  # from a Loop's body to a statement: positions, and which block of that statement


def run(f: Function) -> Function:
    """Every Loop without the updates that are never read."""
    if not any(isinstance(let.op, Loop) for let in statements(f.body)):
        return f
    return dce(with_body(f, _Unread(f).block(f.body)))


@dataclass(frozen=True)
class _Access:
    """An element that is read or written, or the elements behind a prefix of the indices."""

    path: Path
    index: tuple[Atom, ...]
    name: Var | None  # of what is read; of the version of the array that is written


@dataclass
class _Chain:
    """What a Loop does to one array that it carries."""

    before: dict[Var, Var]  # version -> the version that it updates
    reads: list[_Access]
    writes: list[_Access]
    combined: set[Var]  # versions that depend on what was there
    raising: set[Var]  # versions whose updates may raise
    regular: bool = True


class _Unread:
    def __init__(self, f: Function) -> None:
        self.sizes = Sizes(f)
        self.used = mentioned(f)
        self.others: dict[int, tuple[Loop, Loop]] = {}  # by identity: a loop, and the same of another turn

    def block(self, block: Block) -> Block:
        lets = []
        for let in block:
            if isinstance(let.op, Loop):
                for k, v in enumerate(let.vars[: len(let.op.carry)]):
                    if isinstance(v.type, Array) and v not in self.used:
                        let = self.without(let, k)

            def inner(b: Block, op: Op = let.op) -> Block:
                with self.sizes.inside(op, b):
                    return self.block(b)

            lets.append(with_op(let, map_op(let.op, lambda a: a, inner)))
            self.sizes.bind(let)
        return with_lets(block, lets)

    def without(self, let: Let, k: int) -> Let:
        """A Loop without the updates of its k-th carry, an array, that nothing reads."""
        op = let.op
        assert isinstance(op, Loop)
        chain = _followed(op, k)
        if chain is None or not chain.writes or len(chain.reads) * len(chain.writes) > MOST:
            return let
        gone = {v: None for v in chain.before if v not in chain.raising}
        known: dict[tuple[int, int], bool] = {}
        while gone and sum(known.values()) < MISSES:
            new = _dropped(let, {v: chain.before[v] for v in gone})
            live = {v for inner in statements(Block((new,), ())) for v in inner.vars}
            reads = [r for r in chain.reads if r.name is None or r.name in live]
            reads += [w for w in chain.writes if w.name in chain.combined and w.name not in gone]
            met = {w.name for w in chain.writes if w.name in gone and self.met(op, w, reads, known)}
            if not met:
                return new
            gone = {v: None for v in gone if v not in met}
        return let

    # --- may a read meet what was written? ----------------------------------------------------------------------------

    def met(self, op: Loop, write: _Access, reads: Sequence[_Access], known: dict[tuple[int, int], bool]) -> bool:
        """May one of some reads meet what was written?  `known`: of what is known of pairs."""
        if any(known.get((id(write), id(r))) for r in reads) or sum(known.values()) >= MISSES:
            return True
        for r in reads:
            pair = id(write), id(r)
            if pair not in known:
                known[pair] = self.meet(op, write, r)
            if known[pair]:
                return True
        return False

    def meet(self, op: Loop, write: _Access, read: _Access) -> bool:
        """May a read be of a place that was written before?"""
        loops: list[Loop] = [op]  # around both
        for at, step in enumerate(write.path[:-1]):
            inner = _at(op.body, write.path[: at + 1]).op
            if step != read.path[at] or len(read.path) == at + 1 or not isinstance(inner, Loop):
                break
            loops.append(inner)
        same = len(loops) - 1
        if any(not self.apart(loops, write, read, level) for level in range(len(loops))):
            return True
        return read.path[same][0] > write.path[same][0] and not self.apart(loops, write, read, None)

    def apart(self, loops: Sequence[Loop], write: _Access, read: _Access, level: int | None) -> bool:
        """Are they elsewhere, if the read is in a later turn of the loop at this level (None: in the same turns)?"""
        with ExitStack() as scopes:
            for depth, loop in enumerate(loops):
                if depth:
                    self.bind(loops[depth - 1].body, write.path[depth - 1][0])
                scopes.enter_context(self.sizes.inside(loop, loop.body))
                if depth == level:
                    break
            depth = len(loops) - 1 if level is None else level
            inner, other = loops[depth], loops[depth]
            at = self.enter(scopes, inner.body, write.path[depth:], write.index)
            if level is not None:
                other = self.other(inner)
                self.sizes.later(other.index, inner.index, inner.extent)
            there = self.enter(scopes, other.body, read.path[depth:], None if level is not None else read.index)
            return any(
                self.sizes.nonnegative(self.sizes.of(a) - self.sizes.of(b) - 1, EFFORT)
                or self.sizes.nonnegative(self.sizes.of(b) - self.sizes.of(a) - 1, EFFORT)
                for a, b in zip(at, there, strict=False)
            )

    def other(self, loop: Loop) -> Loop:
        if id(loop) not in self.others:
            made = rename_op(loop, {})
            assert isinstance(made, Loop)
            self.others[id(loop)] = loop, made
        return self.others[id(loop)][1]

    def enter(self, scopes: ExitStack, block: Block, path: Path, index: tuple[Atom, ...] | None) -> tuple[Atom, ...]:
        """Learn what holds at an access; its index (None: that of the statement at the end of the path)."""
        for position, number in path[:-1]:
            self.bind(block, position)
            op = block.lets[position].op
            block = blocks(op)[number][1]
            scopes.enter_context(self.sizes.inside(op, block))
        self.bind(block, path[-1][0])
        if index is not None:
            return index
        last = block.lets[path[-1][0]].op if path[-1][0] < len(block.lets) else None
        return last.index if isinstance(last, Read | Contribute) else ()

    def bind(self, block: Block, until: int) -> None:
        for let in block.lets[:until]:
            self.sizes.bind(let)


# --- what a loop does to an array -------------------------------------------------------------------------------------


def _followed(op: Loop, k: int) -> _Chain | None:
    """The reads and updates of a Loop's k-th carry; None where it isn't regular."""
    chain = _Chain({}, [], [], set(), set())
    end = _through(op, k, (), chain)
    return chain if end and chain.regular else None


def _through(op: Loop, k: int, path: Path, chain: _Chain) -> bool:
    """Follow an array through the turns of a loop; does it come back as itself?"""
    versions = {op.carry[k]}
    _block(op.body, versions, path, chain, True)
    outs = [j for j, a in enumerate(op.body.outs) if a in versions]
    return outs == [k] and op.tape is None


def _block(block: Block, versions: set[Var], path: Path, chain: _Chain, owned: bool) -> None:
    """Record what a block does; `owned`: what it makes of the array is the array from there on."""
    for position, let in enumerate(block):
        if versions.isdisjoint(uses(let)):
            continue
        here: Path = (*path, (position, 0))
        op = let.op
        if isinstance(op, Read):
            chain.reads.append(_Access(here, op.index, let.vars[0]))
            continue
        mine = [a for a in atoms(op) if a in versions]
        if mine and not (owned and len(mine) == 1 and _updated(let, mine[0], versions, path, position, chain)):
            chain.reads.append(_Access(here, (), None))
        if mine:
            continue
        for number, (_, inner) in enumerate(blocks(op)):
            step: Path = (*path, (position, number))
            _block(inner, versions, step, chain, False)
            if not versions.isdisjoint(a for a in inner.outs if isinstance(a, Var)):
                chain.reads.append(_Access((*step, (len(inner.lets), 0)), (), None))


def _updated(let: Let, array: Atom, versions: set[Var], path: Path, position: int, chain: _Chain) -> bool:
    """Follow an array into the statement that takes it; False if it is merely used."""
    op = let.op
    assert isinstance(array, Var)
    if isinstance(op, Loop) and array in op.inits and not isinstance(op.tape, Checkpoint):
        k = op.inits.index(array)
        if versions.isdisjoint(free(op.body, op.carry)) and _through(op, k, (*path, (position, 0)), chain):
            versions.add(let.vars[k])
            return True
        chain.regular = False
    if (
        isinstance(op, Accumulate)
        and versions.isdisjoint(free(op.body, op.accs))
        and all(len(i) == 1 for i in op.inits)
    ):
        k = [i[0] for i in op.inits].index(array)
        acc, made = op.accs[k], let.vars[k]
        assert isinstance(acc.type, Accumulator)
        if all(a.type.monoid != "append" for a in op.accs if isinstance(a.type, Accumulator)):
            number = len(blocks(op)) - 1
            places = list(_contributions(op.body, acc, (*path, (position, number))))
            chain.writes += [_Access(at, c.index, made) for at, c in places]
            chain.raising.update(made for _, c in places if not c.safe)
            if acc.type.monoid != "set":
                chain.combined.add(made)
            versions.add(made)
            chain.before[made] = array
            return True
    return False


def _contributions(block: Block, acc: Var, path: Path) -> Iterator[tuple[Path, Contribute]]:
    for position, let in enumerate(block):
        if isinstance(let.op, Contribute) and let.op.acc is acc:
            yield (*path, (position, 0)), let.op
        for number, (_, inner) in enumerate(blocks(let.op)):
            yield from _contributions(inner, acc, (*path, (position, number)))


def _at(block: Block, path: Path) -> Let:
    """The statement at the end of a path."""
    for position, number in path[:-1]:
        block = blocks(block.lets[position].op)[number][1]
    return block.lets[path[-1][0]]


def _dropped(let: Let, before: dict[Var, Var]) -> Let:
    """A statement in which versions of an array are the ones before, and what that leaves without a use is gone."""
    env: dict[Var, Atom] = {}
    for v in before:
        root = before[v]
        while root in before:
            root = before[root]
        env[v] = root

    def inner(block: Block) -> Block:
        lets = [with_op(x, map_op(x.op, lambda a: lookup(a, env), inner)) for x in block]
        return Block(tuple(lets), tuple(lookup(a, env) for a in block.outs))

    new = map_op(let.op, lambda a: lookup(a, env), inner)
    (lean,) = dce_block(Block((Let(let.vars, new, let.site),), let.vars)).lets
    return lean
