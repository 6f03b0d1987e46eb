"""Staging of sequential loops.

A turn is traced once, on placeholders for what it may change: names that the analysis says are needed (head), slots of
containers and storage cells that turn out to be written.  Where a value at the end of the turn does not fit its
placeholder (an integer becomes a float, a name is bound to another array), what was learnt is remembered and the turn
traced again; the memory is kept per program, so that a nest of loops does not multiply these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from iverson.core.build import literal, make_type
from iverson.core.syntax import BOOL, Atom, Block, Let, Loop, Scalar, Var, While
from iverson.lang import signals
from iverson.lang.branch import and_, follow, if_, not_
from iverson.lang.dtypes import Kind, core_dtype, is_complex, promote
from iverson.lang.errors import error
from iverson.lang.iterate import Steps, steps
from iverson.lang.num import Num, as_bool, as_kind, cast, constant, integer, is_scalar, kind_of, known, truth
from iverson.lang.ranges import low_of
from iverson.lang.shapes import Extent, Shape, atoms, canonical, certainly_differ, extent_atom, require_same, same
from iverson.lang.signals import ABSENT, BREAK, CONTINUE, NEVER, Leave, Return, parts
from iverson.lang.staging import Cell, Turn, builder, current, here, tie
from iverson.lang.state import UNBOUND, Maybe, Poison, Snapshot, fill, flatten, put, same_value, unflatten, variables
from iverson.lang.values import Arr, Storage, full, generate, materialise, owned


class Again(Exception):
    """Something was learnt: trace the turn once more."""


@dataclass
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
    final: Any = None


class State:
    """What one loop carries."""

    def __init__(self, body: Callable[..., Any], test: Any, head: Sequence[str], after: Sequence[str]) -> None:
        self.before = Snapshot(variables(body, test))
        self.head, self.after = frozenset(head), frozenset(after)
        self.turn = Turn()
        self.leaves: list[Leaf] = []
        self.trees: dict[Any, tuple[Any, list[Leaf | None], list[Any]]] = {}
        state = current()
        kinds = tuple((n, _sketch(self.before.names.get(n))) for n in sorted(self.head | self.after))
        self.memory = state.memory.setdefault((body.__code__, tuple(state.calls), kinds), {})

    # --- the start of a turn ------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Placeholders for the state, made before the loop and put in place for the trace of a turn."""
        names = [n for n in sorted(self.head | self.after) if n in self.before.cells]
        for name in names:
            self._place(name, self.before.names[name], name, name in self.head)
        slots = {(k, s): v for k, (_, c) in self.before.containers.items() for s, v in c.items()}
        for key, value in slots.items():
            if self.memory.get(("slot", self._path(key))):
                self._place(key, value, str(key[1]), True)
        for name in names:
            put(self.before.cells[name], self._holders(name))
        for k, (x, c) in self.before.containers.items():
            if any((k, s) in self.trees for s in c):
                fill(x, {s: self._holders((k, s)) if (k, s) in self.trees else v for s, v in c.items()})

    def _path(self, key: Any) -> Any:
        """A container's slot by its place among the containers, which is the same in each trace."""
        return list(self.before.containers).index(key[0]), key[1]

    def _place(self, key: Any, value: Any, name: str, read: bool) -> None:
        if isinstance(value, Maybe):
            value = UNBOUND if not read else value.value
        if is_scalar(value) or isinstance(value, Arr) or value is UNBOUND:
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
            leaf.vars = [Var(_array_type(leaf.kind, init_array), name)]
            cell = Cell(leaf.vars[0], leaf.kind.dtype, current().depth + 1, name)
            leaf.holder = Arr(Storage(cell), init_array.shape).like(value).shadow()
            if value.cell is not None:
                tie(cell, value.cell)
        else:
            return None
        self.leaves.append(leaf)
        return leaf

    def _holders(self, key: Any) -> Any:
        spec, made, values = self.trees[key]
        held = [
            leaf.holder if leaf else v.revive() if isinstance(v, Arr) else v
            for leaf, v in zip(made, values, strict=True)
        ]
        return held[0] if spec is None else unflatten(spec, held)

    # --- the end of a turn --------------------------------------------------------------------------------------------

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

    def _close_container(self, k: int, x: Any, slots: dict[Any, Any], now: dict[Any, Any]) -> bool:
        if isinstance(x, list) and len(slots) != len(now):
            raise error(
                TypeError,
                "a list changes its length in a loop of the program, whose turns are only traced once; write a "
                "comprehension, assign to the elements of an array, or loop over iv.unroll(range(...))",
            )
        again = False
        for s, v in now.items():
            if (k, s) not in self.trees and not same_value(slots.get(s, UNBOUND), v):
                self.memory["slot", self._path((k, s))] = again = True
        return again

    def _close_tree(self, key: Any, value: Any) -> bool:
        spec, made, values = self.trees[key]
        name = key if isinstance(key, str) else str(key[1])
        if values == [UNBOUND] or (spec is None and values[0] is UNBOUND):
            self.finals[key] = self._late(name, value)
            return False
        if spec is None:
            nexts = [value]
            fits = True
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
            if isinstance(old, Arr) and isinstance(new, Arr):
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
        low, assumed = low_of(constant(new)), leaf.holder.low
        if assumed is not None and (low is None or low < assumed):
            self.memory["low", path] = True
            return True
        leaf.nexts = [x.atom] if x.im is None else [x.atom, x.im]
        return False

    def _fit_shape(self, leaf: Leaf, new: Arr, name: str) -> bool:
        """Take a new array as the next one, if its shape is that of the placeholder or can be checked to be."""
        assert leaf.kind is not None
        shape = leaf.holder.shape
        if new.ndim != len(shape) or any(map(certainly_differ, new.shape, shape)):
            raise error(ValueError, f"{name} changes its shape in a loop: its state must keep its shape")
        differ = [(m, n) for m, n in zip(new.shape, shape, strict=True) if not same(m, n)]
        if differ:  # lengths that are checked, and taken as one, before the loop
            if not all(map(current().is_top, atoms(n for pair in differ for n in pair))):
                raise error(ValueError, f"{name} changes its shape in a loop: its state must keep its shape")
            self.memory.setdefault(("equal", leaf.key), []).extend(differ)
            return True
        leaf.nexts = [materialise(_as_type(new, leaf.kind.dtype, shape))]
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
            leaf.vars = [Var(_array_type(leaf.kind, value), name)]
            leaf.nexts = [materialise(value)]
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
        return out

    def undo(self) -> None:
        """Forget a trace."""
        for cell, (outside, _) in self.turn.entered.items():
            cell.var = outside
        self.before.restore()

    def finish(self) -> None:
        """Let names and containers hold the final state."""
        self.before.restore()
        results = {key: final() for key, final in self.finals.items()}
        for key, value in results.items():
            if isinstance(key, str):
                put(self.before.cells[key], value)
        for k, (x, slots) in self.before.containers.items():
            if any((k, s) in results for s in slots):
                fill(x, {s: results.get((k, s), v) for s, v in slots.items()})

    def _final(self, key: Any) -> Any:
        spec, made, values = self.trees[key]
        out = [
            self._result(leaf) if leaf else v.revive() if isinstance(v, Arr) else v
            for leaf, v in zip(made, values, strict=True)
        ]
        return out[0] if spec is None else unflatten(spec, out)

    def _result(self, leaf: Leaf) -> Any:
        assert leaf.kind is not None
        if not isinstance(leaf.init, Arr):
            im = leaf.finals[1] if len(leaf.finals) > 1 else None
            low = leaf.holder.low if leaf.holder is not None else None
            return Num(leaf.finals[0], leaf.kind.weak, im, low)
        made = owned(leaf.finals[0], leaf.kind.dtype, leaf.name).like(leaf.init)
        if leaf.holder is not None and leaf.init.cell is not None:
            tie(made.cell, leaf.init.cell)  # type: ignore[arg-type]
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


def _array_type(kind: Kind, like: Arr) -> Any:
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


# --- for --------------------------------------------------------------------------------------------------------------


def for_(
    iterable: Any,
    body: Callable[..., Any],
    after: Sequence[str],
    head: Sequence[str],
    breaks: bool,
    hints: Sequence[Callable[[], Any]] = (),
) -> Any:
    """for item in iterable: body(item)"""
    found = steps(iterable)
    if found is None:
        return _unrolled(iter(iterable), body, (*after, *head))
    if isinstance(found.length, int) and (found.length == 0 or must_unroll(hints)):
        return _unrolled(iter([found.at(k) for k in range(found.length)]), body, (*after, *head))
    if breaks:
        return repeatedly(lambda: _while(None, found, body, after, head))
    return repeatedly(lambda: _loop(found, body, after, head))


def must_unroll(hints: Sequence[Callable[[], Any]]) -> bool:
    """Whether the body indexes by the loop's variable, or lengthens, what only Python can."""
    for thunk in hints:
        try:
            value = thunk()
        except Exception:
            continue
        if isinstance(value, dict | set) or (isinstance(value, list | tuple) and not _uniform(value)):
            return True
    return False


def _uniform(value: Any) -> bool:
    """A list of numbers can be indexed as an array; an empty one is there to be lengthened."""
    return len(value) > 0 and isinstance(value, tuple) and all(map(is_scalar, value))


def _unrolled(items: Any, body: Callable[..., Any], names: Sequence[str]) -> Any:
    return _loop_signal(_turns(items, body, names))


def _turns(items: Any, body: Callable[..., Any], names: Sequence[str]) -> Any:
    """The turns of an unrolled loop, from here on."""
    for item in items:
        signal = body(item)
        if signal is None or signal is CONTINUE:
            continue
        if not isinstance(signal, Leave):
            return signal
        goes_on = known((signal.kind == signals.NONE) | (signal.kind == signals.CONTINUE_KIND))
        rest = list(items)
        left = signals.settled(signal)
        return if_(goes_on, lambda rest=rest: _turns(iter(rest), body, names), lambda left=left: left, names, shared=body)
    return None


def _loop_signal(signal: Any) -> Any:
    """What the statement around a loop sees of the signal of its turns: only a return."""
    if signal is None or signal in (BREAK, CONTINUE):
        return None
    if isinstance(signal, Leave):
        if signal.value is ABSENT:
            return None
        if signal.kinds == {signals.RETURN_KIND}:
            return Return(signal.value)
        kind = constant(signal.kind == signals.RETURN_KIND) * signals.RETURN_KIND
        return Leave(kind, signal.value, False, frozenset((signals.NONE, signals.RETURN_KIND)))
    return signal


def _loop(found: Steps, body: Callable[..., Any], after: Sequence[str], head: Sequence[str]) -> Any:
    """A loop without break: Loop."""
    state, n = current(), found.length
    held = State(body, None, head, after)
    held.open()
    index = Var(Scalar(core_dtype(kind_of(0).dtype)), "i")
    base, offset = state.affine_of(extent_atom(n))
    try:
        with state.scope(held.turn):
            signal = body(found.at(integer(index, 0, (base, offset - 1))))
        held.close(held.before.now(), lambda: _some(n))
    except Again:
        held.undo()
        raise
    carries = held.carries()
    block = Block(tuple(held.turn.lets), tuple(c[2] for c in carries))
    op = Loop(index, extent_atom(n), tuple(c[0] for c in carries), tuple(c[1] for c in carries), block)
    _emit(op, carries)
    held.finish()
    return NEVER if signal is NEVER and isinstance(n, int) and n > 0 else None


def _some(n: Extent) -> Any:
    """Whether a loop has a turn."""
    if low_of(constant(n)) is not None and low_of(constant(n)) >= 1:  # type: ignore[operator]
        return True
    return known(constant(n > 0))


def _emit(op: Any, carries: Any) -> None:
    results = tuple(Var(c[0].type, c[0].hint) for c in carries)
    if not op.carry and not (op.body.lets):
        return
    builder().let(Let(results, op, here()))
    for (_, _, _, store), var in zip(carries, results, strict=True):
        store(var)


# --- while ------------------------------------------------------------------------------------------------------------


def while_(
    test: Callable[[], Any], body: Callable[..., Any], after: Sequence[str], head: Sequence[str], breaks: bool
) -> Any:
    """while test(): body()"""
    return repeatedly(lambda: _while(test, None, body, after, head))


class _Exit:
    """The hidden state of a loop that may end early: position, whether it goes on, how it ended and with what."""

    def __init__(self, memory: dict[Any, Any]) -> None:
        self.memory = memory
        self.position = Var(Scalar(core_dtype(kind_of(0).dtype)), "k")
        self.goes_on = Var(Scalar(BOOL), "go")
        self.carries: list[tuple[Var, Atom, Atom, Callable[[Atom], None]]] = []
        self.finals: dict[str, Any] = {}
        self.endless = False  # but for its breaks and returns

    def add(self, name: str, var: Var, init: Atom, after: Atom) -> None:
        self.finals[name] = init
        self.carries.append((var, init, after, lambda v: self.finals.__setitem__(name, v)))


def _while(test: Any, found: Steps | None, body: Callable[..., Any], after: Sequence[str], head: Sequence[str]) -> Any:
    """A loop whose number of turns is found out: While."""
    state = current()
    held = State(body, test, head, after)
    held.open()
    exit_ = _Exit(held.memory)
    breaks = held.memory.get("breaks", False)
    turn = held.turn
    cond: list[Let] = []
    try:
        body_lets, turn.lets = turn.lets, cond
        with state.scope(turn):
            goes = _goes_on(test, found, exit_, breaks)
        untouched = {c: c.var for c in turn.entered}
        if any(untouched[c] is not p for c, (_, p) in turn.entered.items()):
            raise error(TypeError, "the condition of a while loop writes an array: do that in its body")
        if goes is False:
            held.undo()
            return None
        turn.lets = body_lets
        with state.scope(turn):
            position = integer(exit_.position, 0, _position_high(found))
            signal = body(found.at(position)) if found is not None else body()
            leave = _left(signal)
            if leave is not False and not breaks:
                held.memory["breaks"] = True
                raise Again
            going = constant(not_(leave))
        held.close(held.before.now(), lambda: exit_.ran)
        if goes is True and leave is False:
            raise error(RuntimeError, "this while loop never ends: its condition is constant")
        _add_exit(held, exit_, found, breaks, going, signal)
    except Again:
        held.undo()
        raise
    carries = [*exit_.carries, *held.carries()]
    carry, inits = tuple(c[0] for c in carries), tuple(c[1] for c in carries)
    test_block = Block(tuple(cond), (constant(goes).atom,))
    op = While(carry, inits, test_block, Block(tuple(turn.lets), tuple(c[2] for c in carries)))
    _emit(op, carries)
    exit_.ran = as_bool(exit_.finals["ran"]) if "ran" in exit_.finals else True
    held.finish()
    return _exit_signal(exit_, signals.kinds(signal), endless=found is None and exit_.endless)


def _position_high(found: Steps | None) -> Any:
    if found is None:
        return None
    base, offset = current().affine_of(extent_atom(found.length))
    return base, offset - 1


def _goes_on(test: Any, found: Steps | None, exit_: _Exit, breaks: bool) -> Any:
    """The condition of the While: not left, and the loop's own condition."""
    if found is not None:
        own: Any = Num(builder().o.lt(exit_.position, extent_atom(found.length)), True)
        return and_(lambda: own, lambda: as_bool(exit_.goes_on)) if breaks else own
    if not breaks:
        return truth(test())
    first = as_bool(exit_.goes_on)
    own = and_(lambda: first, lambda: truth(test()))
    exit_.endless = own is first or own is True
    return truth(own)


def _left(signal: Any) -> Any:
    """Whether a turn ends the loop: known, or a bool of the program."""
    if signal is None or signal is CONTINUE:
        return False
    if isinstance(signal, Leave):
        return constant((signal.kind == signals.BREAK_KIND) | (signal.kind == signals.RETURN_KIND))
    return True


def _add_exit(held: State, exit_: _Exit, found: Steps | None, breaks: bool, going: Num, signal: Any) -> None:
    b = builder()
    if found is not None:
        with current().scope(held.turn):
            after = b.prim("add", exit_.position, 1)
        exit_.add("position", exit_.position, literal(0), after)
    if breaks:
        exit_.add("goes_on", exit_.goes_on, literal(True), going.atom)
    if any(leaf.key[0] == "late" for leaf in held.leaves):
        exit_.add("ran", Var(Scalar(BOOL), "ran"), literal(False), literal(True))
    if signal is None or signal is NEVER:
        return
    kind, value = parts(signal)
    if value is ABSENT:
        return
    kind_var = Var(Scalar(core_dtype(kind_of(0).dtype)), "kind")
    exit_.add("kind", kind_var, literal(0), constant(kind).atom)
    leaves, spec = flatten(value)
    exit_.finals["spec"], exit_.finals["leaves"] = spec, leaves
    for k, leaf in enumerate(leaves):
        _add_result(held, exit_, k, leaf)


def _add_result(held: State, exit_: _Exit, k: int, leaf: Any) -> None:
    """Carry a value that the function returns from inside the loop."""
    if is_scalar(leaf):
        x = constant(leaf)
        for part, atom in (("re", x.atom), ("im", x.im)):
            if atom is not None:
                var = Var(atom.type, "result")
                exit_.add(f"{part}{k}", var, literal(0, atom.type.dtype), atom)  # type: ignore[union-attr]
    elif isinstance(leaf, Arr):
        if not all(map(current().is_top, atoms(leaf.shape))):
            raise error(TypeError, "an array is returned from inside a loop whose length is only known there")
        init = materialise(full(leaf.shape, 0, leaf.dtype))
        with current().scope(held.turn):
            after = materialise(leaf)
        exit_.add(f"re{k}", Var(_array_type(Kind(leaf.dtype), leaf), "result"), init, after)


def _exit_signal(exit_: _Exit, kinds: frozenset[int], endless: bool) -> Any:
    """How the loop's block goes on: with a return, if the loop may return."""
    if "kind" not in exit_.finals:
        return None
    values = []
    for k, leaf in enumerate(exit_.finals["leaves"]):
        if is_scalar(leaf):
            values.append(Num(exit_.finals[f"re{k}"], constant(leaf).weak, exit_.finals.get(f"im{k}")))
        elif isinstance(leaf, Arr):
            values.append(owned(exit_.finals[f"re{k}"], leaf.dtype))
        else:
            values.append(leaf)
    kind = Num(exit_.finals["kind"], True)
    ends = kinds - {signals.CONTINUE_KIND, signals.NONE} if endless else kinds | {signals.NONE}
    return _loop_signal(Leave(kind, unflatten(exit_.finals["spec"], values), endless, ends))


def then(signal: Any, rest: Callable[..., Any], names: Sequence[str]) -> Any:
    """The statements after one that may have left the block."""
    return follow(signal, rest, names)
