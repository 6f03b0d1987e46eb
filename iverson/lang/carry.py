"""What a sequential loop carries, and how that is found out.

A turn is traced once, on placeholders for what it may change: names that the analysis says are needed (head), slots of
containers and storage cells that turn out to be written.  Where a value at the end of the turn does not fit its
placeholder (an integer becomes a float, a name is bound to another array), what was learnt is remembered and the turn
traced again; the memory is kept per program, so that a nest of loops does not multiply these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from iverson.core.build import literal, make_type
from iverson.core.syntax import Atom, Scalar, Var
from iverson.lang.branch import share
from iverson.lang.dtypes import Kind, core_dtype, is_complex, promote
from iverson.lang.errors import error, refusal
from iverson.lang.num import Num, as_kind, cast, constant, is_scalar, kind_of
from iverson.lang.ranges import low_of
from iverson.lang.shapes import Shape, atoms, canonical, certainly_differ, require_same, same
from iverson.lang.staging import Cell, Turn, current, tie
from iverson.lang.state import (
    UNBOUND,
    Maybe,
    Poison,
    Snapshot,
    fill,
    flatten,
    get,
    put,
    same_value,
    unflatten,
    variables,
)
from iverson.lang.swaps import Trade, numbers, permutation, settle
from iverson.lang.values import Arr, Storage, full, generate, materialise, owned


class Again(Exception):
    """Something was learnt: trace the turn once more."""


@dataclass(eq=False)
class Leaf:
    """A part of the state of a loop: a number or an array."""

    key: Any
    name: str
    init: Any
    kind: Kind | None = None  # of a number, or of an array's elements
    holder: Any = None  # the Num or Arr that stands for it at the start of a turn
    vars: list[Var] = field(default_factory=list)  # the placeholders
    inits: list[Atom] = field(default_factory=list)
    nexts: list[Atom] = field(default_factory=list)
    finals: list[Atom] = field(default_factory=list)
    next: Arr | None = None
    made: Arr | None = None


class State:
    """What one loop carries."""

    def __init__(self, body: Callable[..., Any], test: Any, head: Sequence[str], after: Sequence[str]) -> None:
        self.before = Snapshot(variables(body, test))
        self.head, self.after = frozenset(head), frozenset(after)
        self.turn = Turn()
        self.leaves: list[Leaf] = []
        self.problems: dict[Cell, list[BaseException]] = {}  # writes of arrays that may be others'
        self.shared: list[tuple[Leaf, Any]] = []  # arrays that are one after a turn: a leaf, and a leaf or a cell
        self.trades: list[Trade] = []  # names that trade their arrays
        self.ids: dict[str, Atom] = {}
        self.numbers: list[Any] = []
        self.trees: dict[Any, tuple[Any, list[Leaf | None], list[Any]]] = {}
        state = current()
        kinds = tuple((n, _sketch(self.before.names.get(n))) for n in sorted(self.head | self.after))
        self.memory = state.memory.setdefault((body.__code__, tuple(state.calls), kinds), {})

    # --- the start of a turn ------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Placeholders for the state, made before the loop and put in place for the trace of a turn."""
        names = [n for n in sorted(self.head | self.after) if n in self.before.cells]
        for name in names:
            self._place(name, self.before.names[name], name)
        slots = {(k, s): v for k, (_, c) in self.before.containers.items() for s, v in c.items()}
        for key, value in slots.items():
            if self.memory.get(("slot", self._path(key))):
                self._place(key, value, str(key[1]))
        for name in names:
            put(self.before.cells[name], self._holders(name))
        for k, (x, c) in self.before.containers.items():
            if any((k, s) in self.trees for s in c):
                fill(x, {s: self._holders((k, s)) if (k, s) in self.trees else v for s, v in c.items()})
        self.start = self.before.now()

    def _path(self, key: Any) -> Any:
        """A container's slot by its place among the containers, which is the same in each trace."""
        return list(self.before.containers).index(key[0]), key[1]

    def _place(self, key: Any, value: Any, name: str) -> None:
        if value is UNBOUND and (late := self.memory.get(("maybe", key))):
            value = Maybe(cast(0, late.dtype, late.weak), constant(False), name)
        if isinstance(value, Maybe):
            values, spec = [value.value, value.bound], Maybe
        elif is_scalar(value) or isinstance(value, Arr) or value is UNBOUND:
            values, spec = [value], None
        else:
            values, spec = flatten(value)
        made: list[Leaf | None] = []
        for k, v in enumerate(values):
            made.append(self._leaf((key if isinstance(key, str) else self._path(key), k), v, name))
        self.trees[key] = spec, made, values

    def _leaf(self, key: Any, value: Any, name: str) -> Leaf | None:
        """A leaf with its placeholders; None for what is not carried (it must stay what it is)."""
        leaf = Leaf(key, name, value)
        if is_scalar(value):
            leaf.kind = self.memory.get(("kind", key)) or kind_of(value)
            init = as_kind(value, leaf.kind)
            leaf.inits = [init.atom] if init.im is None else [init.atom, init.im]
            leaf.vars = [Var(Scalar(core_dtype(leaf.kind.dtype)), name) for _ in leaf.inits]
            low = low_of(init) if leaf.kind.dtype.kind == "i" and not self.memory.get(("low", key)) else None
            im = leaf.vars[1] if len(leaf.vars) > 1 else None
            leaf.holder = Num(leaf.vars[0], leaf.kind.weak, im, low)
        elif isinstance(value, Arr) and self.memory.get(("rebound", key)):
            leaf.kind = self.memory.get(("kind", key)) or Kind(value.dtype)
            for m, n in self.memory.get(("equal", key), ()):
                require_same(m, n, f"{name} changes its shape in a loop")
            init_array = _as_type(value, leaf.kind.dtype, tuple(map(canonical, value.shape)))
            leaf.inits = [materialise(init_array)]
            leaf.vars = [Var(array_type(leaf.kind, init_array), name)]
            cell = Cell(leaf.vars[0], leaf.kind.dtype, current().depth + 1, name)
            leaf.holder = Arr(Storage(cell), init_array.shape).like(value).shadow()
            cell.deferred = self.problems.setdefault(cell, [])
            for other in value.source.cells():
                tie(cell, other)
            for earlier in self.leaves:
                if isinstance(earlier.holder, Arr) and share(earlier.init, value):
                    tie(cell, earlier.holder.cell)  # type: ignore[arg-type]
        else:
            return None
        self.leaves.append(leaf)
        return leaf

    def _holders(self, key: Any) -> Any:
        _, made, values = self.trees[key]
        held = [leaf.holder if leaf else v for leaf, v in zip(made, values, strict=True)]
        return self._tree(key, [v.revive() if isinstance(v, Arr) else v for v in held])

    def _tree(self, key: Any, leaves: list[Any]) -> Any:
        """A value from its leaves."""
        spec = self.trees[key][0]
        if spec is Maybe:
            return Maybe(*leaves, self.name_of(key))
        return leaves[0] if spec is None else unflatten(spec, leaves)

    @staticmethod
    def name_of(key: Any) -> str:
        return key if isinstance(key, str) else str(key[1])

    # --- the end of a turn --------------------------------------------------------------------------------------------

    def now(self, never: bool) -> Snapshot:
        """What everything holds at the end of a turn; if it never ends, what it held at the start."""
        if never:
            self.start.restore()
            for cell, (_, placeholder) in self.turn.entered.items():
                cell.var = placeholder
        return self.before.now()

    def close(self, now: Snapshot, ran: Any) -> None:
        """Compare what everything holds at the end of a turn with the placeholders."""
        self.ran = ran
        self.finals: dict[Any, Callable[[], Any]] = {}
        with current().scope(self.turn):
            self._close(now)

    def _close(self, now: Snapshot) -> None:
        again = False
        for key in list(self.trees):
            value = now.names[key] if isinstance(key, str) else now.containers[key[0]][1].get(key[1], UNBOUND)
            again |= self._close_tree(key, value)
        for k, (x, slots) in self.before.containers.items():
            again |= self._close_container(k, x, slots, now.containers[k][1])
        if again:
            raise Again
        self._trade()
        self._alias()

    def _trade(self) -> None:
        """Names that are bound to each other's arrays; other writes of arrays that may be in use elsewhere raise."""
        arrays = [f for f in self.leaves if f.next is not None and f.holder is not None and f.init.cell is not None]
        trades = [Trade(f.name, f.init.cell, f.holder.cell, f.next) for f in arrays]
        circle = [t for t in permutation(trades) if arrays[trades.index(t)].init.whole]
        inits = [t.init for t in circle]
        proper = len(circle) == len(permutation(trades)) and len(set(map(id, inits))) == len(inits)
        seen = any(c in self.turn.entered for c in inits)
        if proper and not seen and any(c.in_use() for c in inits):
            self.trades = circle
            self.numbers = numbers(circle, self.ids)
        settled = [t.holder for t in self.trades]
        for cell, problems in self.problems.items():
            if problems and cell not in settled:
                raise problems[0]
            cell.deferred = None

    def _alias(self) -> None:
        """Names that come to share an array by a turn: not to be written, in the next turns or after the loop."""
        depth, holders = current().depth, [f.holder.cell for f in self.leaves if isinstance(f.holder, Arr)]
        arrays = [f for f in self.leaves if f.next is not None]
        for k, leaf in enumerate(arrays):
            old = [c for c in leaf.next.source.cells() if c.depth < depth and c not in holders]  # type: ignore[union-attr]
            same = [f for f in arrays[:k] if share(f.next, leaf.next)]
            self.shared += [(leaf, c) for c in old] + [(leaf, f) for f in same]
            needed = [f for f in (leaf, *same) if f.holder is not None and f.key[0] not in self.after - self.head]
            written = any(
                self._written(c) for c in (*old, *(f.holder.cell for f in (leaf, *same) if f.holder is not None))
            )
            if (old or same) and needed and written:
                raise refusal(
                    ValueError,
                    f"{leaf.name} becomes the same array as another name in a turn of a loop, and one of them is "
                    "written: bind it to a .copy()",
                )

    def _written(self, cell: Cell) -> bool:
        """Whether a turn writes a cell of outside, or the array that a name holds at its start."""
        entered = self.turn.entered.get(cell)
        if entered is not None:
            return cell.var is not entered[1]
        return any(
            isinstance(f.holder, Arr) and f.holder.cell is cell and cell.var is not f.vars[0] for f in self.leaves
        )

    def _close_container(self, k: int, x: Any, slots: dict[Any, Any], now: dict[Any, Any]) -> bool:
        if isinstance(x, list) and len(slots) != len(now):
            raise error(
                TypeError,
                "a list changes its length in a loop of the program, whose turns are only traced once; write a "
                "comprehension, assign to the elements of an array, or loop over iv.unroll(range(...))",
                current().lists.get(k),
            )
        again = False
        for s, v in now.items():
            if (k, s) not in self.trees and not same_value(slots.get(s, UNBOUND), v):
                self.memory["slot", self._path((k, s))] = again = True
        return again

    def _close_tree(self, key: Any, value: Any) -> bool:
        spec, made, values = self.trees[key]
        name = self.name_of(key)
        if spec is None and values[0] is UNBOUND:
            return self._close_unbound(key, name, value)
        if spec is Maybe:
            nexts = [value.value, value.bound] if isinstance(value, Maybe) else [value, constant(True)]
            fits = value is not UNBOUND
        elif spec is None:
            nexts, fits = [value], True
        else:
            nexts, other = flatten(value)
            fits = other == spec
        if not fits or value is UNBOUND:
            return self._misfit(key, name, "its structure changes in a loop")
        again = False
        for k, (leaf, old, new) in enumerate(zip(made, values, nexts, strict=True)):
            again |= self._close_leaf(key, k, leaf, old, new, name)
        self.finals[key] = lambda: self._final(key)
        return again

    def _misfit(self, key: Any, name: str, why: str) -> bool:
        if isinstance(key, str) and key not in self.head:
            poison = Poison(f"{name}: {why}, so that it has no value after the loop")
            self.finals[key] = lambda: poison
            return False
        raise error(TypeError, f"{name}: {why}; the state of a loop must keep its type and shape")

    def _close_leaf(self, key: Any, k: int, leaf: Leaf | None, old: Any, new: Any, name: str) -> bool:
        """Fit one leaf's next value to its placeholder; True if another trace is needed."""
        path = (key if isinstance(key, str) else self._path(key), k)
        if leaf is None:
            if same_value(old, new) or (type(old) is type(new) and not isinstance(old, Arr) and old == new):
                return False
            if isinstance(old, Arr) and isinstance(new, Arr | Poison) and ("rebound", path) not in self.memory:
                self.memory["rebound", path] = True
                return True
            return self._misfit(key, name, f"it is {_word(old)} before the loop and {_word(new)} after a turn")
        assert leaf.kind is not None
        if isinstance(leaf.init, Arr) != isinstance(new, Arr) or not (is_scalar(new) or isinstance(new, Arr)):
            return self._misfit(key, name, f"it is {_word(leaf.init)} before the loop and {_word(new)} after a turn")
        kind = promote((leaf.kind, kind_of(new) if is_scalar(new) else Kind(new.dtype)))
        if kind != leaf.kind:
            self.memory["kind", path] = kind
            return True
        if isinstance(new, Arr):
            return self._fit_shape(leaf, new, name)
        x = as_kind(new, leaf.kind)
        assumed = leaf.holder.low  # of an integer
        if assumed is not None and ((low := low_of(constant(new))) is None or low < assumed):
            self.memory["low", path] = True
            return True
        leaf.nexts = [x.atom] if x.im is None else [x.atom, x.im]
        return False

    def _fit_shape(self, leaf: Leaf, new: Arr, name: str) -> bool:
        """Take a new array as the next one, if its shape is that of the placeholder or can be checked to be."""
        assert leaf.kind is not None
        shape = leaf.holder.shape
        changes = (
            f"{name} changes its shape in a loop, whose turns are compiled once: keep an array of the "
            f"largest shape, and read and write a part of it, as in {name}[:k] = ..."
        )
        if new.ndim != len(shape) or any(map(certainly_differ, new.shape, shape)):
            raise refusal(ValueError, changes)
        differ = [(m, n) for m, n in zip(new.shape, shape, strict=True) if not same(m, n)]
        if differ:  # lengths that are checked, and taken as one, before the loop
            if not all(map(current().is_top, atoms(n for pair in differ for n in pair))):
                raise refusal(ValueError, changes)
            self.memory.setdefault(("equal", leaf.key), []).extend(differ)
            return True
        leaf.next = new
        leaf.nexts = [materialise(_as_type(new, leaf.kind.dtype, shape))]
        return False

    def _close_unbound(self, key: Any, name: str, value: Any) -> bool:
        """A name that was unbound before the loop: bound in every turn, in some, or in none."""
        given = value.value if isinstance(value, Maybe) else value
        if is_scalar(given) and (isinstance(value, Maybe) or key in self.head):
            self.memory["maybe", key] = kind_of(given)
            return True
        self.finals[key] = self._late(name, value)
        return False

    def _late(self, name: str, value: Any) -> Callable[[], Any]:
        """A name that only the turns bind: there after the loop if there was a turn."""
        if value is UNBOUND or not (is_scalar(value) or isinstance(value, Arr)):
            poison = Poison(f"{name} may be unbound here: only the turns of a loop bind it")
            return lambda: UNBOUND if value is UNBOUND else poison
        leaf = Leaf(("late", name), name, value)
        if isinstance(value, Arr):
            leaf.kind = Kind(value.dtype)
            if not all(map(current().is_top, atoms(value.shape))):
                poison = Poison(f"{name} may be unbound here, and its length is only known inside the loop")
                return lambda: poison
            leaf.vars = [Var(array_type(leaf.kind, value), name)]
            leaf.nexts = [materialise(value)]
            leaf.next = value
        else:
            leaf.kind = kind_of(value)
            x, zero = constant(value), cast(0, leaf.kind.dtype)
            leaf.inits = [zero.atom] if zero.im is None else [zero.atom, zero.im]
            leaf.nexts = [x.atom] if x.im is None else [x.atom, x.im]
            leaf.vars = [Var(Scalar(core_dtype(leaf.kind.dtype)), name) for _ in leaf.inits]
        self.leaves.append(leaf)

        def final() -> Any:
            made = self._result(leaf)
            bound = self.ran()
            return made if bound is True else Maybe(made, constant(bound), name)

        return final

    # --- after the loop -----------------------------------------------------------------------------------------------

    def carries(self) -> list[tuple[Var, Atom, Atom, Callable[[Atom], None]]]:
        """Placeholder, initial and next value of everything that changes, and what to do with the final one."""
        out: list[tuple[Var, Atom, Atom, Callable[[Atom], None]]] = []
        same = current().same
        for leaf in self.leaves:
            if not leaf.inits:  # an array that only the turns bind
                leaf.inits = [materialise(full(leaf.init.shape, 0, leaf.init.dtype))]
            leaf.finals = list(leaf.inits)
            for k, (var, init, after) in enumerate(zip(leaf.vars, leaf.inits, leaf.nexts, strict=True)):
                if after is var:
                    same[var] = init
                else:
                    out.append((var, init, after, lambda v, leaf=leaf, k=k: leaf.finals.__setitem__(k, v)))
        for cell, (outside, placeholder) in self.turn.entered.items():
            inside, cell.var = cell.var, outside
            if inside is placeholder:
                same[placeholder] = outside  # type: ignore[index]
            else:
                out.append((placeholder, outside, inside, lambda v, cell=cell: current().write(cell, v)))  # type: ignore[arg-type]
        return out + self.numbers

    def learn(self) -> bool:
        """After an error in a turn: whether names were bound to other arrays, which wasn't known."""
        new = False
        for key, (_, made, values) in self.trees.items():
            if isinstance(key, str) and made == [None] and isinstance(values[0], Arr):
                value = get(self.before.cells[key])
                if isinstance(value, Arr | Poison) and not same_value(values[0], value):
                    new |= not self.memory.get(("rebound", (key, 0)))
                    self.memory["rebound", (key, 0)] = True
        return new

    def forget(self, problem: Exception) -> NoReturn:
        """Give a trace up: to try again, if something was learnt."""
        again = isinstance(problem, Again) or self.learn()
        self.undo()
        if again:
            raise Again from None
        raise problem

    def undo(self) -> None:
        """Forget a trace."""
        for cell, (outside, _) in self.turn.entered.items():
            cell.var = outside
        self.before.restore()

    def finish(self) -> None:
        """Let names and containers hold the final state."""
        self.before.restore()
        self.made: dict[Cell, Arr] = {}
        results = {key: final() for key, final in self.finals.items()}
        if self.trades:
            settle(self.trades, self.ids, [self.made[t.holder] for t in self.trades])
        for leaf, other in self.shared:
            cell = other.made.cell if isinstance(other, Leaf) else other
            tie(leaf.made.cell, cell)  # type: ignore[union-attr]
        for key, value in results.items():
            if isinstance(key, str):
                put(self.before.cells[key], value)
        for k, (x, slots) in self.before.containers.items():
            if any((k, s) in results for s in slots):
                fill(x, {s: results.get((k, s), v) for s, v in slots.items()})

    def _final(self, key: Any) -> Any:
        _, made, values = self.trees[key]
        out = [self._result(leaf) if leaf else v for leaf, v in zip(made, values, strict=True)]
        return self._tree(key, [v.revive() if isinstance(v, Arr) else v for v in out])

    def _result(self, leaf: Leaf) -> Any:
        assert leaf.kind is not None
        if not isinstance(leaf.init, Arr):
            im = leaf.finals[1] if len(leaf.finals) > 1 else None
            low = leaf.holder.low if leaf.holder is not None else None
            return Num(leaf.finals[0], leaf.kind.weak, im, low)
        made = leaf.made = owned(leaf.finals[0], leaf.kind.dtype, leaf.name).like(leaf.init)
        if any(leaf.holder is not None and t.holder is leaf.holder.cell for t in self.trades):
            self.made[leaf.holder.cell] = made
            return made
        if leaf.holder is not None:
            for cell in leaf.init.source.cells():
                tie(made.cell, cell)  # type: ignore[arg-type]
        return made


def _sketch(value: Any) -> Any:
    """What of a value decides how it is carried."""
    if isinstance(value, Arr):
        return "array", value.dtype, value.ndim
    return kind_of(value) if is_scalar(value) else type(value)


def _as_type(x: Arr, dtype: Any, shape: Shape) -> Arr:
    """An array with this dtype and these very lengths; itself if it has them."""
    if x.dtype == dtype and atoms(x.shape) == atoms(shape):
        return x
    return generate(shape, lambda *index: cast(x.read(index), dtype), dtype)


def array_type(kind: Kind, like: Arr) -> Any:
    pair = (literal(2),) if is_complex(kind.dtype) else ()
    return make_type(core_dtype(kind.dtype), (*atoms(like.shape), *pair))


def _word(x: Any) -> str:
    if x is UNBOUND:
        return "unbound"
    if isinstance(x, Arr):
        return f"an array of {x.ndim} axes"
    return "a number" if is_scalar(x) else "None" if x is None else f"a {type(x).__name__}"


def repeatedly(attempt: Callable[[], Any]) -> Any:
    """Trace until nothing new is learnt."""
    for _ in range(64):
        try:
            return attempt()
        except Again:
            continue
    raise error(TypeError, "the types of this loop's state don't settle")
