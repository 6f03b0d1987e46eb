"""stencil: a For that adds to several places around each point gathers, place by place (scatter to gather).

    For [i < n] { acc[i + c1] <- u1(i); ...; acc[i + cm] <- um(i) }            c1 <= ... <= cm, literals
        ->   For [i < n - (cm - c1)] { x = i + cm; acc[x] <- u1(x - c1) + ... + um(x - cm) }
             and what is left at the two ends, where fewer of the u have a source                     if n >= cm - c1

In several dimensions the ends of one lie in the loops over those before it, so that each place is visited once.  An
index that is the same in all contributions, and may be fixed in the For, is no dimension.  Other Fors are split as by
opt/fission.py; the one that is left for extents that are too small isn't.

Invariant: the count rises by at most the reads and cheap scalars that the u share (a For in which they share anything
dear is left alone), and a comparison a dimension.  Sums are reassociated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from iverson.core.build import literal
from iverson.core.rewrite import atoms, lookup, map_blocks, needed, rename, rename_let, uses, with_body, with_lets
from iverson.core.syntax import (
    BOOL,
    I64,
    Accumulate,
    Accumulator,
    Atom,
    Block,
    Contribute,
    DType,
    For,
    Function,
    If,
    Let,
    Literal,
    Op,
    Prim,
    Read,
    Scalar,
    Var,
)
from iverson.opt import simplify
from iverson.opt.fission import is_cheap, is_row, split

POINTS = 9  # contributions to one array, at most
PIECES = 200  # places in the program that contribute afterwards, at most


def run(f: Function) -> Function:
    new = with_body(f, _block(f.body))
    return f if new is f else simplify.run(new)


def _block(block: Block) -> Block:
    lets: list[Let] = []
    old = {id(let) for let in block}
    for let in _onto_zeros(list(block.lets)):
        if id(let) in old:
            new = map_blocks(let, _block)
            lets += _split(new, new.op) if isinstance(new.op, For) else [new]
        else:
            lets.append(let)
    return with_lets(block, lets)


@dataclass(frozen=True)
class _Point:
    """A contribution, and how far from a turn's indices its place is."""

    let: Let
    offset: tuple[int, ...]  # one for each index of the For


@dataclass(frozen=True)
class _Stencil:
    """Contributions of a For to one accumulator."""

    acc: Var
    points: list[_Point]
    dims: list[int]  # of the For's indices, the axis that each moves along
    fixed: tuple[Atom, ...]  # the place, but for those axes


def _split(let: Let, op: For) -> list[Let]:
    """The statements that a For becomes; those of fission, if it is no stencil."""
    body = op.body.lets
    if op.yields or not all(isinstance(i.op, Prim | Read | Contribute) and not is_row(i) for i in body):
        return split(let, op)
    found = stencils(op)
    moved = [p.let for s in found for p in s.points]
    rest = [i for i in body if isinstance(i.op, Contribute) and not any(i is m for m in moved)]
    if not found or not _shares_little(body, [[m] for m in moved] + ([rest] if rest else [])):
        return split(let, op)
    lets: list[Let] = []
    if rest:
        lets.append(Let((), For(op.index, op.extent, Block(tuple(_part(body, rest)), ()), ()), let.site))
    for s in found:
        gathering = _Gathering(op, s, let)
        made = gathering.statements()
        if gathering.pieces > PIECES:
            return split(let, op)
        lets += made
    return lets


# --- a box of zeros, and a stencil that adds to it --------------------------------------------------------------------


def _onto_zeros(lets: list[Let]) -> list[Let]:
    """Places of a stencil in a box that was filled with zeros  are set."""
    for k, let in enumerate(lets):
        found = _filled(lets, k)
        if found is None:
            continue
        fill, stencil_let, s, zeros = found
        op, before = let.op, fill.op
        assert isinstance(op, Accumulate) and isinstance(before, Accumulate) and isinstance(stencil_let.op, For)
        zero_loop = before.body.lets[0].op
        assert isinstance(zero_loop, For)
        g = _Gathering(stencil_let.op, s, stencil_let, zeros)
        inside, outside = g.statements(before.accs[0], True, zero_loop), g.statements(None, False)
        if g.pieces > PIECES:
            continue
        set_ = Let(fill.vars, Accumulate(before.accs, before.inits, Block(tuple(inside), ())), fill.site)
        add = Let(let.vars, Accumulate(op.accs, op.inits, Block(tuple(outside), ())), let.site)
        rest = [i for i in lets[:k] if i is not fill]
        return _onto_zeros([*rest, set_, add, *lets[k + 1 :]])
    return lets


def _filled(lets: list[Let], k: int) -> tuple[Let, Let, _Stencil, tuple[int, ...]] | None:
    """What fills a box with zeros, the For that adds to it in lets[k], as a stencil, and the place of the box."""
    op = lets[k].op
    if not isinstance(op, Accumulate) or len(op.accs) > 1 or len(op.body.lets) != 1 or op.body.outs or not op.inits[0]:
        return None
    (inner,) = op.body.lets
    fill = next((i for i in lets[:k] if op.inits[0][0] in i.vars), None)
    if fill is None or not isinstance(inner.op, For) or sum(fill.vars[0] in uses(i) for i in lets) != 1:
        return None
    zeros = box_of_zeros(fill.op)
    sites = [i for i in inner.op.body if isinstance(i.op, Contribute)]
    plain = all(isinstance(i.op, Prim | Read | Contribute) and not is_row(i) for i in inner.op.body)
    if zeros is None or inner.op.yields or not plain or not _shares_little(inner.op.body.lets, [[i] for i in sites]):
        return None
    extents, forms = zeros
    s = _stencil(inner.op, op.accs[0], sites)
    if s is None or s.fixed or extents != tuple(e for _, e in sorted(zip(s.dims, inner.op.extent, strict=True))):
        return None
    box = tuple(forms[d] for d in s.dims)
    fits = all(z in column for z, column in zip(box, zip(*(p.offset for p in s.points), strict=True), strict=True))
    return (fill, inner, s, box) if fits else None


def box_of_zeros(op: Op) -> tuple[tuple[Atom, ...], tuple[int, ...]] | None:
    """The extents and the place of a box that an Accumulate fills with zeros, and with nothing else."""
    if not isinstance(op, Accumulate) or len(op.accs) > 1 or len(op.body.lets) != 1 or op.body.outs or not op.inits[0]:
        return None
    loop, acc = op.body.lets[0].op, op.accs[0].type
    assert isinstance(acc, Accumulator)
    if acc.monoid != "set" or len(acc.dtypes) > 1 or not isinstance(loop, For) or loop.yields:
        return None
    made = {v: i.op for i in loop.body for v in i.vars}
    c = loop.body.lets[-1].op
    if not all(isinstance(i, Prim) for i in made.values()) or len(made) + 1 != len(loop.body.lets):
        return None
    if not isinstance(c, Contribute) or c.values != (literal(0.0, acc.dtypes[0]),) or not c.safe:
        return None
    forms = [form(a, loop.index, made) for a in c.index]
    if tuple(v for v, _ in forms) != loop.index:
        return None
    return loop.extent, tuple(by for _, by in forms)


def stencils(op: For) -> list[_Stencil]:
    """The contributions of a For to several places of one array."""
    sites: dict[Var, list[Let]] = {}
    for inner in op.body:
        if isinstance(inner.op, Contribute):
            sites.setdefault(inner.op.acc, []).append(inner)
    found = (_stencil(op, acc, group) for acc, group in sites.items() if len(group) > 1)
    return [s for s in found if s is not None]


def _shares_little(body: Sequence[Let], groups: list[list[Let]]) -> bool:
    """Is all that more than one group needs cheap?"""
    made = {v: i for i in body for v in i.vars}
    seen: set[Var] = set()
    for group in groups:
        mine = {v for i in _part(body, group) for v in i.vars}
        if not all(is_cheap(made[v]) for v in seen & mine):
            return False
        seen |= mine
    return True


def _part(body: Sequence[Let], sites: Iterable[Let]) -> list[Let]:
    """What contributions need of a body, and they themselves, in order."""
    sites = list(sites)
    before = needed(body, [a for s in sites for a in atoms(s.op)])
    return [i for i in body if any(i is s for s in (*before, *sites))]


def _stencil(op: For, acc: Var, group: list[Let]) -> _Stencil | None:
    """The stencil that contributions are; None if they aren't."""
    made = {v: i.op for i in op.body for v in i.vars}
    assert isinstance(acc.type, Accumulator)
    if acc.type.monoid != "add" or not 2 <= len(group) <= POINTS:
        return None
    points, shapes = [], set()
    for site in group:
        c = site.op
        assert isinstance(c, Contribute)
        if not c.safe:
            return None
        forms = [form(a, op.index, made) for a in c.index]
        axes = [[d for d, (v, _) in enumerate(forms) if v is i] for i in op.index]
        if any(len(a) != 1 for a in axes) or any(
            v is None and a in made for a, (v, _) in zip(c.index, forms, strict=True)
        ):
            return None
        dims = tuple(a[0] for a in axes)
        shapes.add((dims, tuple(a for a, (v, _) in zip(c.index, forms, strict=True) if v is None)))
        points.append(_Point(site, tuple(forms[d][1] for d in dims)))
    if len(shapes) != 1 or len({p.offset for p in points}) == 1:
        return None
    ((dims, fixed),) = shapes
    return _Stencil(acc, points, list(dims), fixed)


def form(atom: Atom, index: tuple[Var, ...], made: Mapping[Var, Op]) -> tuple[Var | None, int]:
    """An atom as one of these indices plus a number; None and 0 if it isn't."""
    if isinstance(atom, Var) and atom in index:
        return atom, 0
    op = made.get(atom) if isinstance(atom, Var) else None
    if isinstance(op, Prim) and op.name in ("add", "sub"):
        a, b = op.args
        if op.name == "add" and isinstance(a, Literal):
            a, b = b, a
        if isinstance(a, Var) and a in index and isinstance(b, Literal):
            return a, int(b.value) if op.name == "add" else -int(b.value)
    return None, 0


@dataclass(frozen=True)
class _Place:
    """Where a contribution of the gathering program goes, as far as dimensions have been walked."""

    points: list[_Point]  # those with a source here
    sources: dict[_Point, tuple[Atom, ...]]  # their turns' indices
    at: tuple[Atom, ...]
    within: bool  # the box that was filled with zeros before


class _Gathering:
    """The loops that gather what a stencil scattered.

    zeros: the place of a box that was filled with zeros before, which is of the For's extents; then there are two
    programs, of what goes there and of what doesn't.
    """

    def __init__(self, op: For, stencil: _Stencil, let: Let, zeros: tuple[int, ...] | None = None) -> None:
        self.op = op
        self.stencil = stencil
        self.site = let.site
        self.zeros = zeros
        self.within: bool | None = None  # what is written now: all, or what is (not) within the box
        self.acc = stencil.acc
        self.pieces = 0
        self.parts = {p: _part(op.body.lets, [p.let]) for p in stencil.points}

    def statements(self, acc: Var | None = None, within: bool | None = None, otherwise: For | None = None) -> list[Let]:
        """The gathering loops, if all extents are wide enough; else another For, which is the one that scatters."""
        points = self.stencil.points
        self.within, self.acc = within, acc or self.stencil.acc
        if otherwise is None:
            body = tuple(_part(self.op.body.lets, [p.let for p in points]))
            otherwise = For(self.op.index, self.op.extent, Block(body, ()), ())
        spans = [max(column) - min(column) for column in zip(*(p.offset for p in points), strict=True)]
        lets: list[Let] = []
        wide: Atom = literal(True, BOOL)
        for n, span in zip(self.op.extent, spans, strict=True):
            enough = self.prim(lets, "ge", n, literal(span, I64), BOOL)
            wide = self.prim(lets, "and", wide, enough, BOOL)
        gathered = Block(tuple(self.nest(_Place(points, dict.fromkeys(points, ()), (), True))), ())
        scattered = rename(Block((Let((), otherwise, self.site),), ()), {})  # one For may be several stencils
        return [*lets, Let((), If(wide, gathered, scattered), self.site)]

    def prim(self, lets: list[Let], name: str, a: Atom, b: Atom, dtype: DType = I64) -> Var:
        out = Var(Scalar(dtype))
        lets.append(Let((out,), Prim(name, (a, b)), self.site))
        return out

    def nest(self, place: _Place) -> list[Let]:
        """Loops over the dimensions that haven't been walked."""
        d = len(place.at)
        if d == len(self.op.index):
            return self.sum(place) if self.within in (None, place.within) else []
        n, offsets = self.op.extent[d], sorted({p.offset[d] for p in place.points})
        box = self.zeros[d] if self.zeros is not None else 0
        first, last = offsets[0], offsets[-1]
        lets: list[Let] = []
        for low, high in pairwise(offsets):  # the low end: what is before the next one's first
            some = [p for p in place.points if p.offset[d] <= low]
            lets += self.few(replace(place, points=some, within=place.within and low >= box), None, low, high - low)
        width: Atom = n
        if first < last:
            width = self.prim(lets, "sub", n, literal(last - first, I64))
        within = place.within and first <= box <= last
        lets += self.loop(replace(place, within=within), None, last, width)
        for low, high in pairwise(offsets):  # the high end: what is beyond the one's last
            some = [p for p in place.points if p.offset[d] >= high]
            lets += self.few(replace(place, points=some, within=place.within and high <= box), n, low, high - low)
        return lets

    def few(self, place: _Place, base: Atom | None, start: int, width: int) -> list[Let]:
        """Places of an end: from base + start on."""
        return self.here(place, base, start) if width == 1 else self.loop(place, base, start, literal(width, I64))

    def loop(self, place: _Place, base: Atom | None, start: int, width: Atom) -> list[Let]:
        index = Var(Scalar(I64), self.op.index[len(place.at)].hint)
        lets: list[Let] = []
        x: Atom = index if base is None else self.prim(lets, "add", base, index)
        inner = self.here(place, x, start)
        body = Block((*lets, *inner), ())
        return [Let((), For((index,), (width,), body, ()), self.site)] if inner else []

    def here(self, place: _Place, base: Atom | None, start: int) -> list[Let]:
        """The rest of the dimensions, at base + start of this one."""
        lets: list[Let] = []
        shifted: dict[int, Atom] = {}

        def shift(by: int) -> Atom:
            if by not in shifted:
                far = literal(by, I64)
                shifted[by] = far if base is None else self.prim(lets, "add", base, far) if by else base
            return shifted[by]

        d = len(place.at)
        sources = {p: (*place.sources[p], shift(start - p.offset[d])) for p in place.points}
        inner = self.nest(_Place(place.points, sources, (*place.at, shift(start)), place.within))
        return [*lets, *inner] if inner else []

    def sum(self, place: _Place) -> list[Let]:
        """One contribution of all that there is for a place."""
        self.pieces += len(place.points)
        lets: list[Let] = []
        total: Atom | None = None
        for p in place.points:
            env: dict[Var, Atom] = dict(zip(self.op.index, place.sources[p], strict=True))
            lets += [rename_let(i, env) for i in self.parts[p] if i is not p.let]
            assert isinstance(p.let.op, Contribute)
            value = lookup(p.let.op.values[0], env)
            if total is not None:
                out = Var(value.type)
                lets.append(Let((out,), Prim("add", (total, value)), p.let.site))
                value = out
            total = value
        assert total is not None
        index = list(self.stencil.fixed)
        for axis, x in sorted(zip(self.stencil.dims, place.at, strict=True), key=lambda pair: pair[0]):
            index.insert(axis, x)
        return [*lets, Let((), Contribute(self.acc, tuple(index), (total,), safe=True), self.site)]
