"""Each lane has its own list of the turns that count, where lanes agree on few.

    for v:                                            each lane k: list_k of the b where p_k(b), n_k of them
        for b in list; s:                     ->      for v:
            s' = select p(b) f(v, b, s) s                 for a in 0..max n_k; s:  b_k = list_k[a]
                                                              s' = select (a < n_k) f(v, b_k, s) s

where p doesn't depend on v.  In each lane the same terms are added in the same order.  Of arrays in which lanes differ,
what the lists say is laid out in their order before; of others, each lane loads its own element.  It pays, and the run
decides on it, where the longest list is not half as long as that of the turns that count in some lane.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from iverson.backend import loopir as ir
from iverson.backend.loopir import (
    Alloc,
    Buffer,
    Carry,
    Compute,
    For,
    If,
    Load,
    Owner,
    Reg,
    Stmt,
    Store,
    Value,
    Vector,
    View,
    integer,
)
from iverson.backend.rewrite import compute
from iverson.core.syntax import BOOL, I64, DType

SUMS = 4  # of a turn, at least


@dataclass(eq=False)
class LaneLists:
    """The loop that follows the lanes' lists, what makes these, and the arrays that it takes."""

    loop: For
    index: Reg  # of the loop as it was
    mask: Reg
    slice_: Sequence[Stmt]  # what computes the mask
    lanes: int
    env: dict[Reg, Value] = field(default_factory=dict)
    each: dict[Reg, Reg] = field(default_factory=dict)  # a lane's own number -> those of all lanes
    packed: list[Load] = field(default_factory=list)
    arrays: list[Buffer] = field(default_factory=list)

    def array(self, dtype: DType, extents: Sequence[Value], hint: str) -> Buffer:
        pointer = Reg(ir.POINTER, hint)
        self.arrays.append(Buffer(dtype, tuple(extents), pointer, hint=hint, stored=True, slot=Owner()))
        return self.arrays[-1]


def lane_lists(loop: For, chosen: If, slice_: Sequence[Stmt], inside: set[Reg], stored: set[Reg]) -> LaneLists | None:
    """The loop, of which `slice_` decides on the branch, with a list for each lane; None if it isn't of that kind.

    `inside`: what varies around it; `stored`: the pointers to what is written there.
    """
    some = next((s for s in slice_ if isinstance(s, Compute) and s.out is chosen.pred and s.name == "some"), None)
    mask = some.args[0] if some is not None else None
    if not isinstance(mask, Reg) or not isinstance(mask.type, Vector) or loop.body[-1] is not chosen:
        return None
    code = _needed([*loop.body[:-1], *chosen.then], [j.then for j in chosen.joins], mask)
    if sum(isinstance(s, ir.Combine) and isinstance(s.out.type, Vector) for s in code) < SUMS:
        return None
    lists = LaneLists(loop, loop.index, mask, slice_, mask.type.lanes)
    own = {r for s in code for r in ir.defined(s)}
    for s in code:
        if isinstance(s, Load) and loop.index in s.view.prefix:
            others = [v for v in s.view.prefix if v is not loop.index]
            if len(others) + 1 != len(s.view.prefix) or not own.isdisjoint(v for v in others if isinstance(v, Reg)):
                return None
            if isinstance(s.out.type, Vector):
                fixed = not any(v in inside for v in others) and s.view.buffer.pointer not in stored
                if not fixed or not s.view.buffer.scoped:
                    return None
                lists.packed.append(s)
            else:
                assert isinstance(s.out.type, DType)
                lists.each[s.out] = Reg(Vector(s.out.type, lists.lanes), s.out.hint)
        elif isinstance(s, Compute) and s.name == "splat" and s.args[0] in lists.each:
            pass
        elif any(v is loop.index or v in lists.each for v in ir.used(s)):
            return None
    return lists if lists.packed and len({s.view.buffer.dtype for s in lists.packed}) == 1 else None


def _needed(code: Sequence[Stmt], results: Sequence[Value], mask: Reg) -> list[Stmt]:
    """The statements that give some results, but for those that give the mask."""
    live: set[Value] = {*results}
    kept: list[Stmt] = []
    for s in reversed(code):
        if any(r in live and r is not mask for r in ir.defined(s)):
            live.update(ir.used(s))
            kept.append(s)
    return kept[::-1]


def written(lists: LaneLists, chosen: If, union: Value, before: list[Stmt]) -> tuple[Reg, For]:
    """Does it pay, and the loop that follows the lists; what makes them goes to `before`."""
    places = lists.array(I64, (lists.loop.high, integer(lists.lanes)), "lists")
    counts = _fill(lists, places, before)
    longest = counts[0]
    for n in counts[1:]:
        longest = compute(before, "max", longest, n)
    numbers = Reg(Vector(I64, lists.lanes), "counts")
    before.append(Compute(numbers, "vector", tuple(counts)))
    packed = _pack(lists, places, longest, before)
    twice = compute(before, "mul", longest, integer(2))
    pays = Reg(BOOL, "apart")
    before.append(Compute(pays, "le", (twice, union)))
    return pays, _follow(lists, chosen, places, packed, numbers, longest)


def _fill(lists: LaneLists, places: Buffer, before: list[Stmt]) -> list[Reg]:
    """Write the lists down; how long they are."""
    n, k = lists.loop.high, range(lists.lanes)
    i, b, zeros = Reg(I64, "i"), Reg(I64, lists.index.hint), Reg(Vector(I64, lists.lanes), "zeros")
    before += [
        Alloc(places),
        Compute(zeros, "splat", (integer(0),)),
        For(i, integer(0), n, [Store(View(places, (i, integer(0))), zeros)], [], "any"),
    ]
    env: dict[Reg, Value] = {lists.index: b}
    code = _copied([s for s in lists.slice_ if not (isinstance(s, Compute) and s.name == "some")], env)
    mask = env[lists.mask]
    at = [Reg(I64, "n") for _ in k]
    carries: list[Carry] = []
    for lane in k:
        holds = Reg(BOOL, "holds")
        code += [Store(View(places, (at[lane], integer(lane))), b), Compute(holds, "lane", (mask, integer(lane)))]
        one = compute(code, "int64", holds)
        carries.append(Carry(at[lane], integer(0), compute(code, "add", at[lane], one), Reg(I64, "n")))
    before.append(For(b, integer(0), n, code, carries, "seq"))
    return [c.out for c in carries]


def _pack(lists: LaneLists, places: Buffer, longest: Value, before: list[Stmt]) -> Buffer:
    """What the loop loads of arrays in which lanes differ, in the order of the lists."""
    (dtype,) = {s.view.buffer.dtype for s in lists.packed}
    extents = (lists.loop.high, integer(len(lists.packed)), integer(lists.lanes))
    packed, a = lists.array(dtype, extents, "packed"), Reg(I64, "a")
    body: list[Stmt] = []
    for lane in map(integer, range(lists.lanes)):
        b = Reg(I64, lists.index.hint)
        body.append(Load(b, View(places, (a, lane))))
        for m, s in enumerate(lists.packed):
            *prefix, _ = (b if v is lists.index else v for v in s.view.prefix)
            element = Reg(dtype, s.out.hint)
            body.append(Load(element, View(s.view.buffer, (*prefix, lane))))
            body.append(Store(View(packed, (a, integer(m), lane)), element))
    before += [Alloc(packed), For(a, integer(0), longest, body, [], "any")]
    return packed


def _follow(lists: LaneLists, chosen: If, places: Buffer, packed: Buffer, counts: Reg, longest: Value) -> For:
    """The loop over the places of the lists."""
    loop, a = lists.loop, Reg(I64, "a")
    wide, mask = Reg(Vector(I64, lists.lanes), "a"), Reg(Vector(BOOL, lists.lanes), "counts")
    body: list[Stmt] = [Compute(wide, "splat", (a,)), Compute(mask, "lt", (wide, counts))]
    own = [Reg(I64, lists.index.hint) for _ in range(lists.lanes)]
    body += [Load(b, View(places, (a, integer(k)))) for k, b in enumerate(own)]
    env: dict[Reg, Value] = {lists.mask: mask, **{c.reg: Reg(c.reg.type, c.reg.hint) for c in loop.carries}}
    for s in _needed([*loop.body[:-1], *chosen.then], [j.then for j in chosen.joins], lists.mask):
        if isinstance(s, Load) and s in lists.packed:
            env[s.out] = Reg(s.out.type, s.out.hint)
            at = View(packed, (a, integer(lists.packed.index(s)), integer(0)))
            body.append(replace(s, out=_reg(env[s.out]), view=at))
        elif isinstance(s, Load) and s.out in lists.each:
            parts = [Reg(s.out.type, s.out.hint) for _ in own]
            views = (ir.renamed([replace(s, out=p)], {**env, lists.index: b}) for p, b in zip(parts, own, strict=True))
            body += [x for (x,) in views]
            body.append(Compute(lists.each[s.out], "vector", tuple(parts)))
        elif isinstance(s, Compute) and s.name == "splat" and s.args[0] in lists.each:
            (one,) = s.args
            env[s.out] = lists.each[_reg(one)]
        else:
            body += _copied([s], env)
    thens = {j.out: env.get(_reg(j.then), j.then) for j in chosen.joins}
    carries = [Carry(_reg(env[c.reg]), c.init, thens[_reg(c.next)], Reg(c.out.type, c.out.hint)) for c in loop.carries]
    return For(a, integer(0), longest, body, carries, loop.tag)


def _copied(body: Sequence[Stmt], env: dict[Reg, Value]) -> list[Stmt]:
    """Statements with registers of their own, which `env` learns."""
    out: list[Stmt] = []
    for stmt in body:
        (new,) = ir.renamed([stmt], env)
        assert isinstance(new, Compute | ir.Combine | Load)
        env[new.out] = Reg(new.out.type, new.out.hint)
        out.append(replace(new, out=_reg(env[new.out])))
    return out


def _reg(value: Value) -> Reg:
    assert isinstance(value, Reg)
    return value
