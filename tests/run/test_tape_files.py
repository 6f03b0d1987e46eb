"""Checkpoints in files: the same bits as in memory, as little memory, nothing left behind, clear errors."""

from __future__ import annotations

import errno
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import iverson as iv
from iverson.backend import mapped
from iverson.core.syntax import Disk
from iverson.diff.tape import Policy
from iverson.run.planner import Footprint
from tests.allocations import counted
from tests.run.tape_programs import (
    decay,
    heat,
    in_place,
    leapfrog,
    momentum,
    oscillator,
    pairs,
    reaction,
    two_loops,
    until,
)


@pytest.fixture(autouse=True)
def _lowest_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IVERSON_LEVEL", "0")


X = np.linspace(0.1, 1.0, 60)
CASES = [
    (decay, (X, 31)),
    (oscillator, (0.3, 40)),
    (in_place, (X, 30)),
    (leapfrog, (X, 23)),
    (momentum, (X, X, 29)),
    (reaction, (np.linspace(0.0, 1.0, 64).reshape(8, 8), 21)),
    (until, (3.0, 0.2)),
]


def bits(f: object, tape: object, args: tuple[object, ...]) -> list[bytes]:
    return [np.asarray(r).tobytes() for r in iv.value_and_grad(f, tape=tape)(*args)]


@pytest.mark.parametrize(("f", "args"), CASES, ids=lambda x: getattr(x, "__name__", ""))
def test_the_same_bits(f: object, args: tuple[object, ...], tmp_path: Path) -> None:
    want = bits(f, iv.tape.checkpoint(slots=2, block=2), args)
    for room in (3000, "1MB"):
        disk = iv.tape.checkpoint(slots=2, block=2, disk=room, directory=tmp_path)
        assert bits(f, disk, args) == want, room
    assert not any(tmp_path.iterdir()) and not mapped._alive


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_few_turns_and_empty_states(turns: int, tmp_path: Path) -> None:
    g = iv.value_and_grad(decay, tape=iv.tape.checkpoint(slots=1, block=1, disk="1kB", directory=tmp_path))
    for x in (X, X[:0], X[:1], np.linspace(0.0, 1.0, 200)):
        for a, b in zip(g(x, turns), iv.value_and_grad(decay)(x, turns), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-13)


def test_states_that_are_many_times_what_is_in_memory(tmp_path: Path) -> None:
    """120 states of 40 kB in files, two in memory; each turn runs once before it is recorded, as with 122 slots."""
    x, n = np.linspace(0.1, 1.0, 5000), 122
    with counted() as allocations:

        def most(tape: object) -> tuple[int, list[bytes]]:
            g = iv.value_and_grad(decay, tape=tape)
            g(x, n)
            allocations.start()
            found = [np.asarray(r).tobytes() for r in g(x, n)]
            measured = allocations.most
            assert measured <= Footprint(g, (x, n), {}).at().bytes + 4096
            return measured, found

        few, want = most(iv.tape.checkpoint(slots=2, block=1))
        all_, same = most(iv.tape.checkpoint(slots=n, block=1))
        filed, got = most(iv.tape.checkpoint(slots=2, block=1, disk="5MB", directory=tmp_path))
    assert got == want == same
    assert filed < few + 8192 and filed < all_ / 8


def test_files_that_hold_all_states_run_no_turn_twice(tmp_path: Path) -> None:
    from iverson.core.evaluate import evaluate

    def work(tape: object) -> int:
        g = iv.grad(decay, tape=tape)
        return evaluate(iv.jit(g).staged((X, 30), {}).function, [60, X, 30]).cost.work

    room = 30 * X.nbytes
    filed = work(iv.tape.checkpoint(slots=2, block=1, disk=room, directory=tmp_path))
    assert filed < work(iv.tape.checkpoint(slots=2, block=1))
    assert filed == pytest.approx(work(iv.tape.checkpoint(slots=30, block=1)), rel=0.1)


def test_nested_with_those_in_memory(tmp_path: Path) -> None:
    def nest(x, n, m, outer, inner):
        for _ in iv.range(n, tape=outer):
            for _ in iv.range(m, tape=inner):
                x = np.sin(x) + 0.1 * x
        return x.sum()

    memory = iv.tape.checkpoint(slots=2, block=1)
    files = iv.tape.checkpoint(slots=1, block=1, disk="2kB", directory=tmp_path)
    want = iv.grad(lambda x: nest(x, 5, 4, "store", "store"))(X)
    for outer, inner in ((memory, files), (files, memory), (files, files)):
        np.testing.assert_allclose(iv.grad(lambda x, o=outer, i=inner: nest(x, 5, 4, o, i))(X), want, rtol=1e-12)
    assert not mapped._alive


def test_derivatives_of_derivatives_and_other_transforms(tmp_path: Path) -> None:
    tape = iv.tape.checkpoint(slots=2, block=1, disk="10kB", directory=tmp_path)
    x, v = X[:7], np.linspace(1.0, -1.0, 7)
    want = iv.hessian(lambda x: decay(x, 9))(x)
    np.testing.assert_allclose(iv.hessian(lambda x: decay(x, 9), tape=tape)(x), want, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(iv.hvp(decay, tape=tape)(x, 9, v), want @ v, rtol=1e-12, atol=1e-14)
    slope = iv.grad(decay, tape=tape)
    twice = iv.grad(lambda x: (slope(x, 9) * v).sum(), tape=tape)
    np.testing.assert_allclose(twice(x), want @ v, rtol=1e-12, atol=1e-14)
    many = np.stack([x, 2.0 * x, -x])
    each = [iv.grad(decay)(y, 9) for y in many]
    np.testing.assert_allclose(iv.vmap(slope, in_axes=(0, None))(many, 9), each, rtol=1e-12)
    assert not mapped._alive


def test_an_error_within_leaves_nothing(tmp_path: Path) -> None:
    def beyond(x, places):
        for t in range(len(places)):
            x = np.sin(x) * x[places[t]]
        return x.sum()

    g = iv.grad(beyond, tape=iv.tape.checkpoint(slots=1, block=1, disk="1MB", directory=tmp_path))
    places = np.arange(20)
    g(X, places)
    places[17] = 99
    with pytest.raises(IndexError, match="index 99 is out of bounds"):
        g(X, places)
    assert not mapped._alive and not any(tmp_path.iterdir())


# --- no room ----------------------------------------------------------------------------------------------------------


def test_a_full_disk_is_an_error_before_anything_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    g = iv.grad(decay, tape=iv.tape.checkpoint(slots=1, block=1, disk="1MB", directory=tmp_path))
    want = g(X, 30)

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as changed:
        changed.setattr(mapped, "_reserve", full)
        with pytest.raises(OSError, match="no file for the checkpoints of this loop") as raised:
            g(X, 30)
    line = decay.__code__.co_firstlineno + 1
    assert f"13,920 bytes: {os.strerror(errno.ENOSPC)}" in str(raised.value) and str(tmp_path) in str(raised.value)
    assert f"tape_programs.py:{line}, in decay" in raised.value.__notes__[0]
    assert not mapped._alive and np.array_equal(g(X, 30), want)


def test_a_limit_of_the_system_is_an_error(tmp_path: Path) -> None:
    g = iv.grad(decay, tape=iv.tape.checkpoint(slots=1, block=1, disk="1MB", directory=tmp_path))
    g(X, 3)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
            g(X, 30)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_directory_that_is_gone_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a{b}").mkdir()
    g = iv.grad(decay, tape=iv.tape.checkpoint(slots=1, block=1, disk="1MB", directory=tmp_path / "a{b}"))
    g(X, 30)
    (tmp_path / "a{b}").rmdir()
    with pytest.raises(OSError, match="in .*a{b}: .*" + os.strerror(errno.ENOENT)):
        g(X, 30)


def test_what_is_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotADirectoryError, match="nowhere is not a directory"):
        iv.tape.checkpoint(slots=2, disk="1MB", directory=tmp_path / "nowhere")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PermissionError, match="can't be written to"):
        iv.tape.checkpoint(slots=2, disk="1MB", directory=tmp_path)
    with pytest.raises(TypeError, match="say how much the directory may take"):
        iv.tape.checkpoint(slots=2, directory=tmp_path)
    with pytest.raises(ValueError, match=r"iv.tape.checkpoint: 'a lot' is no size"):
        iv.tape.checkpoint(slots=2, disk="a lot")


_KILLED = """
import os, signal, sys
import numpy as np
import iverson as iv
from iverson.backend import mapped
from iverson.core.syntax import Disk
from iverson.diff.tape import Policy
from tests.run.tape_programs import decay
reserve = mapped._reserve
def last(file, size):
    reserve(file, size)
    os.kill(os.getpid(), signal.SIGKILL)
mapped._reserve = last
iv.grad(decay, tape=iv.tape.checkpoint(slots=1, block=1, disk="1MB", directory=sys.argv[1]))(np.ones(50), 100)
"""


def test_a_process_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path)], cwd=Path(__file__).parents[2])
    assert done.returncode == -9 and not any(tmp_path.iterdir())


def test_what_it_says(tmp_path: Path) -> None:
    def noted(x, n):
        for _ in iv.range(n, tape=iv.tape.checkpoint(slots=3, disk=5000, directory=tmp_path)):
            x = np.sin(x)
        return x.sum()

    assert f"Checkpoint(slots=3, block=None, disk=5000 bytes in {str(tmp_path)!r})" in iv.show(noted)(X, 30)
    loops = iv.show(iv.grad(noted), stage="loops")(X, 30)
    assert " = mapped float64[" in loops and f"in {os.fsencode(tmp_path)!r}" in loops
    kept = [r for r in iv.cost(iv.grad(noted))(X, 30).residuals if r.how == "checkpoint"]
    assert [r.name for r in kept].count("x") >= 2
    np.testing.assert_allclose(iv.grad(heat, tape=iv.tape.checkpoint(2, disk=9999))(X, 9), iv.grad(heat)(X, 9), 1e-12)


# --- budgets ----------------------------------------------------------------------------------------------------------


def test_a_budget_with_files(tmp_path: Path) -> None:
    """Within the bytes in memory and in the file, in less time than without it, the same gradient."""
    args, bound, room = (np.linspace(0.1, 1.0, 60), 400), 210_000, 300_000
    want = iv.value_and_grad(pairs)(*args)
    plain = iv.value_and_grad(pairs, tape=iv.tape.budget(bound)).plan(*args)
    g = iv.value_and_grad(pairs, tape=iv.tape.budget(bound, disk=room, directory=tmp_path))
    plan = g.plan(*args)
    assert plan.extra < plain.extra and plain.filed == (0,)
    assert 0 < plan.filed[0] * 2 * 60 * 8 <= room and f"{plan.filed[0]} states on disk" in plan.decisions()[0]
    with counted() as allocations:
        g(*args)
        allocations.start()
        got = g(*args)
        assert allocations.most <= plan.bytes <= bound
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)
    assert not any(tmp_path.iterdir()) and not mapped._alive


def test_several_loops_share_the_room(tmp_path: Path) -> None:
    args = np.linspace(0.1, 1.0, 50), 30, 20
    tape = Policy(planned=(True, True), disk=Disk(6000, str(tmp_path)))
    g = iv.value_and_grad(two_loops, tape=iv.tape.budget(1 << 20, disk=6000, directory=tmp_path)).derivative(tape)
    for a, b in zip(g(*args, (1, 1, 2, 1)), iv.value_and_grad(two_loops)(*args), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    notes = re.findall(r"bytes=(\d+)", iv.show(g)(*args, (1, 1, 2, 1)))
    assert {*notes} <= {"3000"} and not any(tmp_path.iterdir())


def test_scalars_are_not_in_files(tmp_path: Path) -> None:
    """So there are no more of them than slots."""
    sizes = [
        Footprint(iv.grad(oscillator, tape=iv.tape.checkpoint(slots=3, block=1, disk=disk)), (0.3, 4000), {}).at().bytes
        for disk in (None, "1MB")
    ]
    assert sizes[0] == sizes[1] < 1000


def test_bad_files_of_budgets(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"iv\.tape\.budget: say how much the directory may take"):
        iv.tape.budget("1MB", directory=tmp_path)
    with pytest.raises(NotADirectoryError, match=r"iv\.tape\.budget: .*nowhere is not a directory"):
        iv.tape.budget("1MB", disk="1MB", directory=tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"iv\.tape\.budget: 'much' is no size"):
        iv.tape.budget("1MB", disk="much")
