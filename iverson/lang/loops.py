"""Staging of for and while: Loop and While of the core, or unrolled where Python itself iterates.

What a loop carries is the business of `lang/carry.py`.  A loop with break or return is a While whose hidden state says
whether it goes on, how it ended and with what.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from iverson.core.build import literal
from iverson.core.rewrite import statements
from iverson.core.syntax import BOOL, Atom, Block, Check, Let, Loop, Scalar, Var, While
from iverson.lang import signals
from iverson.lang.branch import and_, follow, if_, not_
from iverson.lang.carry import Again, State, array_type, repeatedly
from iverson.lang.dtypes import Kind, core_dtype
from iverson.lang.errors import StagingError, error
from iverson.lang.iterate import Steps, steps
from iverson.lang.num import Num, as_bool, constant, integer, is_scalar, kind_of, known, truth
from iverson.lang.raising import attempt, unreachable
from iverson.lang.ranges import low_of
from iverson.lang.shapes import Extent, atoms, extent_atom
from iverson.lang.signals import ABSENT, BREAK, CONTINUE, NEVER, Leave, Return, parts
from iverson.lang.staging import builder, current, here
from iverson.lang.state import flatten, unflatten
from iverson.lang.values import Arr, full, materialise, owned

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
        return if_(
            goes_on, lambda rest=rest: _turns(iter(rest), body, names), lambda left=left: left, names, shared=body
        )
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
            signal = attempt(lambda: body(found.at(integer(index, 0, (base, offset - 1)))))
        held.close(held.now(signal is NEVER), lambda: _some(n))
    except (Again, StagingError) as problem:
        held.forget(problem)
    except Exception:
        held.undo()
        raise
    carries = held.carries()
    block = Block(tuple(held.turn.lets), tuple(c[2] for c in carries))
    op = Loop(index, extent_atom(n), tuple(c[0] for c in carries), tuple(c[1] for c in carries), block, found.tape)
    let = _emit(op, carries)
    held.finish()
    if signal is NEVER and _some(n) is True:
        unreachable(let)
    return None


def _some(n: Extent) -> Any:
    """Whether a loop has a turn."""
    if low_of(constant(n)) is not None and low_of(constant(n)) >= 1:  # type: ignore[operator]
        return True
    return known(constant(n > 0))


def _emit(op: Any, carries: Any) -> Let:
    results = tuple(Var(c[0].type, c[0].hint) for c in carries)
    let = Let(results, op, here())
    if op.carry or op.body.lets:
        builder().let(let)
    for (_, _, _, store), var in zip(carries, results, strict=True):
        store(var)
    return let


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
            signal = attempt(lambda: body(found.at(position)) if found is not None else body())
            leave = _left(signal)
            if leave is not False and not breaks:
                held.memory["breaks"] = True
                raise Again
            going = constant(not_(leave))
        held.close(held.now(signal is NEVER), lambda: exit_.ran)
        endless = goes is True and leave is False
        if endless and not any(isinstance(s.op, Check) for s in statements(Block(tuple(turn.lets), ()))):
            raise error(RuntimeError, "this while loop never ends: its condition is constant")
        _add_exit(held, exit_, found, breaks, going, signal)
    except (Again, StagingError) as problem:
        held.forget(problem)
    except Exception:
        held.undo()
        raise
    carries = [*exit_.carries, *held.carries()]
    carry, inits = tuple(c[0] for c in carries), tuple(c[1] for c in carries)
    test_block = Block(tuple(cond), (constant(goes).atom,))
    note = None if found is None else found.tape
    op = While(carry, inits, test_block, Block(tuple(turn.lets), tuple(c[2] for c in carries)), note)
    let = _emit(op, carries)
    exit_.ran = as_bool(exit_.finals["ran"]) if "ran" in exit_.finals else True
    held.finish()
    if endless:
        unreachable(let)  # it ends by an exception
    return (
        None if signal is NEVER else _exit_signal(exit_, signals.kinds(signal), endless=found is None and exit_.endless)
    )


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
    with builder().into([]):
        always = truth(test()) is True
    exit_.endless = always
    return first if always else truth(and_(lambda: first, lambda: truth(test())))


def _left(signal: Any) -> Any:
    """Whether a turn ends the loop: known, or a bool of the program."""
    if signal is None or signal is CONTINUE or signal is NEVER:
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
        exit_.add(f"re{k}", Var(array_type(Kind(leaf.dtype), leaf), "result"), init, after)


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
