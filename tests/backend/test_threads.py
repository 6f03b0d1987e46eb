"""Loops in chunks on the pool: the same bits for any number of threads, and what else may happen while they run."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import iverson as iv
from iverson.backend import columns, cpu, pool, runtime, threads
from iverson.core.evaluate import evaluate
from iverson.lang import state
from tests.corpus import Case
from tests.corpus_costs import largest
from tests.programs import PROGRAMS, Program, assert_same
from tests.test_corpus import assert_compiled

NUMBERS = (1, 2, 3, 7)
needs_futex = pytest.mark.skipif(not pool.has_futex(), reason="no futex: all loops run on the thread that calls")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    number = iv.get_threads()
    yield
    iv.set_threads(number)


@pytest.fixture
def _always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every loop that may be cut into chunks is, however short."""
    monkeypatch.setattr(threads, "GRAIN", 1e-9)
    monkeypatch.setattr(threads, "PART", 1e30)
    monkeypatch.setattr(columns, "NARROW", 2)
    monkeypatch.setattr(columns, "LINE", 1)
    monkeypatch.setenv("IVERSON_CACHE_DIR", "off")
    monkeypatch.setenv("IVERSON_LEVEL", "0")


def on_each(run: Callable[[], Any]) -> list[list[np.ndarray]]:
    """The leaves of what it gives on 1, 2, 3 and 7 threads."""
    found = []
    for n in NUMBERS:
        iv.set_threads(n)
        found.append([np.array(x) for x in state.flatten(run())[0]])
    return found


def assert_equal_bits(run: Callable[[], Any]) -> None:
    first, *others = on_each(run)
    for other in others:
        assert [x.tobytes() for x in first] == [x.tobytes() for x in other]


def loops(f: Callable[..., Any], *args: Any) -> str:
    return str(iv.show(f, stage="loops")(*args))


def in_threads(text: str) -> list[str]:
    """The lines of loops on the pool."""
    found, depth = [], None
    for line in text.splitlines():
        here = len(line) - len(line.lstrip())
        depth = None if depth is not None and here <= depth else depth
        if depth is not None:
            found.append(line)
        elif " thread" in line:
            depth = here
    return found


# --- the corpus -------------------------------------------------------------------------------------------------------

# reductions, accumulations to computed places, stencils, searches, errors, loops in order with loops in them
FEW = PROGRAMS[::12]
SMOOTH = [p for p in PROGRAMS if p.differentiable]


def some(programs: list[Program], few: list[Program]) -> list[Any]:
    return [pytest.param(p, id=p.name, marks=[] if p in few else pytest.mark.slow) for p in programs]


@pytest.mark.usefixtures("_always")
@pytest.mark.parametrize("program", some(PROGRAMS, FEW))
def test_values(program: Program) -> None:
    function = iv.jit(program.function)
    iv.set_threads(3)
    n = largest(program)
    assert_compiled(program, function, n)

    def run() -> Any:
        args = program.arguments(n)
        return function(*args), tuple(args[k] for k in program.mutates)

    assert_equal_bits(run)


@pytest.mark.usefixtures("_always")
@pytest.mark.parametrize("program", some(SMOOTH, SMOOTH[::12]))
def test_gradients(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    n = largest(program)
    case = Case(program, n)
    args = (*program.arguments(n), case.weights_like(evaluate(case.function, case.values).values))
    function, plain = (iv.value_and_grad(case.weighed(), argnums=program.wrt) for _ in range(2))
    iv.set_threads(3)
    got = function(*args)
    monkeypatch.setattr(threads, "GRAIN", 1e30)
    assert_same(got, plain(*args), max(program.tolerance, 1e-9))
    assert_equal_bits(lambda: function(*args))


@pytest.mark.usefixtures("_always")
@pytest.mark.parametrize("program", some([p for p in PROGRAMS if p.raises], FEW), ids=lambda p: p.name)
def test_errors(program: Program) -> None:
    iv.set_threads(3)
    for n in program.raises:
        assert_compiled(program, iv.jit(program.function), n)


# --- which loops ------------------------------------------------------------------------------------------------------


def total(x):
    s = 0.0
    for i in range(len(x)):
        s += np.sin(x[i])
    return s


def histogram(x, bins):
    counts = np.zeros(bins)
    for i in range(len(x)):
        counts[int(x[i])] += x[i]
    return counts


def sweeps(u, steps):
    for _ in range(steps):
        v = u.copy()
        for i in range(1, u.shape[0] - 1):
            for j in range(1, u.shape[1] - 1):
                v[i, j] = 0.25 * (u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1])
        u = v
    return u


def nearest(points, centres):
    cost = 0.0
    for i in range(len(points)):
        best = np.inf
        for j in range(len(centres)):
            s = 0.0
            for q in range(points.shape[1]):
                s += (points[i, q] - centres[j, q]) ** 2
            best = min(best, s)
        cost += best
    return cost


def slow(n, reps):
    out = np.zeros(n)
    for i in range(n):
        s = float(i)
        for k in range(reps):
            s = 0.5 * s + np.sin(s + k)
        out[i] = s
    return out


def roots(a):
    out = np.zeros(len(a))
    for i in range(len(a)):
        x = 1.0
        while abs(x * x - a[i]) > 1e-10 * a[i]:
            x = 0.5 * (x + a[i] / x)
        out[i] = x
    return out


def solved(a, b):
    out = np.zeros(b.shape)
    for i in range(len(a)):
        out[i] = np.linalg.solve(a[i], b[i])
    return out


def factors(a):
    total = 0.0
    for i in range(len(a)):
        total += np.sum(np.linalg.cholesky(a[i] @ a[i].T + np.eye(a.shape[1])))
    return total


def orbit(x, steps):
    n = len(x)
    for _ in range(steps):
        y = np.zeros(n)
        for j in range(n):
            y[j] = np.sin(x[j]) + 0.1 * x[(j + 1) % n] * x[j]
        x = y
    return x


def joined(x, y):
    """Blocks of places a turn, joined of parts."""
    out = np.zeros(15 * len(x))
    for i in range(len(x)):
        block = np.concatenate([x[i] * np.arange(11.0), y[i] + np.sin(x[i]) * np.arange(3.0), np.array([x[i] ** 2])])
        out[15 * i : 15 * i + 15] = block
    return out


def moved(x, where):
    x = x.copy()
    for i in range(len(where)):
        x[where[i]] += 1.0
    return x


RANDOM = np.random.default_rng(7)
MATRICES = RANDOM.normal(size=(700, 12, 12))
POINTS, CENTRES = RANDOM.normal(size=(3000, 8)), RANDOM.normal(size=(40, 8))
LONG = {
    "total": (total, (RANDOM.normal(size=300_001),)),
    "histogram": (histogram, (RANDOM.uniform(0, 20, size=300_001), 20)),
    "sweeps": (sweeps, (RANDOM.normal(size=(300, 301)), 3)),
    "nearest": (nearest, (POINTS, CENTRES)),
    "its gradient": (iv.value_and_grad(nearest, argnums=(0, 1)), (POINTS, CENTRES)),
    "roots": (roots, (RANDOM.uniform(1, 9, size=20_000),)),
    "their gradient": (iv.grad(lambda a: np.sum(roots(a))), (RANDOM.uniform(1, 9, size=20_000),)),
    "solved": (solved, (MATRICES, MATRICES[:, 0])),
    "its": (iv.grad(lambda a, b: np.sum(solved(a, b)), argnums=(0, 1)), (MATRICES, MATRICES[:, 0])),
    "factors": (iv.value_and_grad(factors), (MATRICES,)),
    "transforms": (lambda x: np.abs(np.fft.fft(x)), (RANDOM.normal(size=(300, 128)),)),
    "joined": (joined, (RANDOM.normal(size=20_000), RANDOM.normal(size=20_000))),
    "moved": (moved, (RANDOM.normal(size=(700, 700)), np.array([3, 3, 1]))),
}


@pytest.mark.parametrize("name", LONG)
def test_long_loops_are_cut(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IVERSON_LEVEL", "0")
    f, args = LONG[name]
    text = loops(f, *args)
    assert " thread" in text and not any(" thread" in line for line in in_threads(text))  # none in another
    function = iv.jit(f)
    expected = iv.jit(f, threads=False)(*args)
    assert_same(function(*args), expected, 1e-9)
    assert_equal_bits(lambda: function(*args))


def carried(x):
    for i in range(1, len(x)):
        x[i] += 0.5 * x[i - 1]
    return x


def scattered(x, where):
    out = np.zeros(len(x))
    for i in range(len(x)):
        out[where[i]] = x[i]
        out[where[len(x) - 1 - i]] = 0.5 * x[i]
    return out


def test_blocks_of_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last block of turns in vector registers may run some of the one before again, but not at the same time."""
    monkeypatch.setenv("IVERSON_LEVEL", "0")
    f, plain = (iv.jit(iv.jacfwd(orbit), threads=t) for t in (True, False))
    assert any(" wide" in line for line in in_threads(loops(f, RANDOM.normal(size=9), 300)))
    for n in (8, 9, 16, 17, 26, 40, 61):
        x = RANDOM.normal(size=n)
        assert_equal_bits(lambda x=x: [f(x, 300) for _ in range(3)])  # type: ignore[misc]
        np.testing.assert_array_equal(f(x, 300), plain(x, 300))


def test_the_rest_of_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left over of tiles of 64 runs in the same chunks, also where it is all."""
    monkeypatch.setenv("IVERSON_LEVEL", "0")
    monkeypatch.setattr(threads, "GRAIN", 1.0)
    monkeypatch.setattr(threads, "PART", 1e30)
    f, plain = (iv.jit(iv.value_and_grad(nearest, argnums=(0, 1)), threads=t) for t in (True, False))
    for n in (0, 1, 7, 8, 60, 63, 64, 65, 200, 1000):
        args = RANDOM.normal(size=(n, 8)), RANDOM.normal(size=(40, 8))
        assert_same(f(*args), plain(*args), 1e-9)
        assert_equal_bits(lambda args=args: f(*args))  # type: ignore[misc]


def test_the_rest_is_with_the_tiles() -> None:
    text = loops(iv.jit(nearest, level=0), POINTS, CENTRES)
    assert sum(" tile" in line for line in in_threads(text)) == 3
    assert sum(" thread" in line for line in text.splitlines()) == 1


def around(x, turns):
    """Each turn gives to both neighbours, on a ring."""
    n = len(x)
    out = np.zeros(x.shape)
    for i in range(turns):
        for j in range(x.shape[1]):
            out[(i + 1) % n, j] += np.sin(x[i % n, j])
            out[(i - 2) % n, j] += np.cos(x[i % n, j])
    return out


def passed_on(x):
    """To one neighbour: no two turns meet."""
    n = len(x)
    out = np.zeros(x.shape)
    for i in range(n):
        for j in range(x.shape[1]):
            out[(i - 1) % n, j] += np.sin(x[i, j])
    return out


@pytest.mark.usefixtures("_always")
def test_rings() -> None:
    given, kept, x = iv.jit(lambda x: around(x, len(x))), iv.jit(passed_on), RANDOM.normal(size=(30, 5))
    assert "copies" not in loops(given, x) and "odd" in loops(given, x)
    assert "copies" not in loops(kept, x) and "odd" not in loops(kept, x)
    for n in (0, 1, 2, 3, 5, 8, 13, 16, 17, 100):
        x = RANDOM.normal(size=(n, 5))
        for f, plain in ((given, lambda x: around(x, len(x))), (kept, passed_on)):
            np.testing.assert_allclose(f(x), plain(x), rtol=1e-12, atol=1e-14)
            assert_equal_bits(lambda f=f, x=x: f(x))  # type: ignore[misc]
    twice = iv.jit(lambda x: around(x, 2 * len(x)))
    assert "odd" not in loops(twice, x)  # turns n apart meet
    np.testing.assert_allclose(twice(x), around(x, 2 * len(x)), rtol=1e-12, atol=1e-14)
    assert_equal_bits(lambda: twice(x))


def test_large_matrices_are_the_library_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """Routines that use threads of their own run one after the other."""
    monkeypatch.setenv("IVERSON_LEVEL", "0")
    a = RANDOM.normal(size=(40, 33, 33))
    f, plain = iv.jit(solved), iv.jit(solved, threads=False)
    np.testing.assert_array_equal(f(a, a[:, 0]), plain(a, a[:, 0]))


def test_an_error_of_a_routine() -> None:
    a = MATRICES.copy()
    a[333] = 0.0
    f = iv.jit(solved, level=0)
    iv.set_threads(3)
    for _ in range(3):
        with pytest.raises(np.linalg.LinAlgError) as error:
            f(a, a[:, 0])
        assert any("in solved" in note for note in error.value.__notes__)
        np.testing.assert_allclose(f(MATRICES, MATRICES[:, 0]), solved(MATRICES, MATRICES[:, 0]), rtol=1e-6)


def test_within_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where memory is counted, chunks take none."""
    monkeypatch.setenv("IVERSON_LEVEL", "0")

    def heated(u, steps):
        for _ in range(steps):
            v = u.copy()
            for i in range(1, len(u) - 1):
                v[i] = u[i] + 0.1 * np.sin(u[i - 1] - 2 * u[i] + u[i + 1])
            u = v
        return np.sum(u**2)

    x = RANDOM.normal(size=100_000)
    f = iv.grad(heated, tape=iv.tape.budget("20MB"))
    assert any("sin" in line or "cos" in line for line in in_threads(loops(f, x, 20)))
    assert_equal_bits(lambda: f(x, 20))
    np.testing.assert_allclose(f(x, 20), iv.grad(heated)(x, 20), rtol=1e-12)
    g = iv.grad(lambda x: np.sum(histogram(x, 20) ** 2), tape=iv.tape.budget("20MB"))
    assert "copies" not in loops(g, LONG["histogram"][1][0])


def test_loops_that_are_not() -> None:
    """In order, to places that may be the same, and with too few turns."""
    x = RANDOM.normal(size=9)
    assert " thread" not in loops(carried, x)
    assert not any("where" in line for line in in_threads(loops(scattered, x, np.arange(9))))
    assert " thread" not in loops(lambda x: x[0] * np.sum(np.ones(30)), x)
    assert " thread" not in loops(iv.jit(total, threads=False), x)
    assert " thread" not in loops(iv.jit(total, reassociate=False), x)  # a sum in order
    assert " thread" in loops(iv.jit(lambda x: np.exp(x), reassociate=False), x)


# --- errors -----------------------------------------------------------------------------------------------------------


def checked(x, where):
    out = np.zeros(len(x))
    for i in range(len(x)):
        if x[i] < 0:
            raise ValueError(f"negative at {i}")
        out[i] = x[where[i]]
    return out


def test_the_first_error_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IVERSON_LEVEL", "0")
    x, where = RANDOM.uniform(1, 2, size=200_000), np.arange(200_000)
    f = iv.jit(checked)
    assert " thread" in loops(checked, x, where)
    iv.set_threads(3)
    np.testing.assert_array_equal(f(x, where), x)
    x[150_000], where[180_000] = -1.0, 300_000
    with pytest.raises(ValueError, match="negative at 150000"):
        f(x, where)
    where[100] = 300_000
    with pytest.raises(IndexError, match="300000"):
        f(x, where)


# --- the number of threads --------------------------------------------------------------------------------------------


def test_set_threads() -> None:
    iv.set_threads(np.int64(5))
    assert iv.get_threads() == 5
    for bad in (0, -1, 5000):
        with pytest.raises(ValueError, match="from 1 to 1024"):
            iv.set_threads(bad)
    for bad in (2.0, "2", True, None):
        with pytest.raises(TypeError, match="an integer"):
            iv.set_threads(bad)
    assert iv.get_threads() == 5


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Another Python that runs it."""
    prelude = """
        import os, signal, sys, threading, time
        import numpy as np
        import iverson as iv
        from tests.backend.test_threads import LONG, slow, total
        f, (x,) = iv.jit(total), LONG["total"][1]
    """
    text = textwrap.dedent(prelude) + textwrap.dedent(code)
    env = {**os.environ, "IVERSON_LEVEL": "0", "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, env=env, timeout=300)


def test_environment() -> None:
    assert python("print(iv.get_threads())", IVERSON_NUM_THREADS="3").stdout.split() == ["3"]
    assert "IVERSON_NUM_THREADS is 'many'" in python("", IVERSON_NUM_THREADS="many").stderr


def test_usable_cores() -> None:
    assert 1 <= pool.usable_cores() <= (os.cpu_count() or 1)


# --- what may happen meanwhile ----------------------------------------------------------------------------------------


def test_calls_from_python_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them has the pool, the others run alone; and the number of threads changes under way."""
    monkeypatch.setenv("IVERSON_LEVEL", "0")
    f, (g, args) = iv.jit(total), LONG["its gradient"]
    (x,) = LONG["total"][1]
    want, (value, gradient) = f(x), g(*args)
    wrong: list[Any] = []

    def run() -> None:
        for n in (2, 1, 3):
            iv.set_threads(n)
            v, d = g(*args)
            right = f(x) == want and v == value and all(map(np.array_equal, d, gradient))
            wrong.extend([] if right else [n])

    workers = [threading.Thread(target=run) for _ in range(4)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert wrong == []


@needs_futex
def test_python_runs_meanwhile() -> None:
    """A kernel with a parallel loop gives Python's lock back."""
    done = python("""
        g = iv.jit(slow)
        g(10, 10)
        counted, running = [0], [True]
        def count():
            while running[0]:
                counted[0] += 1
                time.sleep(0.001)
        other = threading.Thread(target=count)
        other.start()
        time.sleep(0.05)
        before = counted[0]
        g(64, 1_000_000)
        during = counted[0] - before
        running[0] = False
        other.join()
        print(during > 5)
    """)
    assert done.stdout.split() == ["True"], done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_fork() -> None:
    """The child of a fork has no workers, whoever was in the pool; it starts its own."""
    done = python("""
        iv.set_threads(3)
        want = f(x)
        wrong = []
        def work():
            for _ in range(20):
                wrong.extend([] if f(x) == want else ["parent"])
        other = threading.Thread(target=work)
        other.start()
        for _ in range(5):
            child = os.fork()
            if child == 0:
                os._exit(0 if f(x) == want and f(x) == want else 1)
            wrong.extend([] if os.waitpid(child, 0)[1] == 0 else ["child"])
        other.join()
        print(wrong)
    """)
    assert done.stdout.split() == ["[]"], done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_interrupt() -> None:
    """Ctrl-C ends a parallel loop, on all threads, and the pool is as good as before."""
    done = python("""
        iv.set_threads(3)
        want, g = f(x), iv.jit(slow)
        g(10, 10)
        threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        start = time.time()
        try:
            g(100_000, 100_000)
        except KeyboardInterrupt:
            print("interrupted", time.time() - start < 60, f(x) == want)
    """)
    assert done.stdout.split() == ["interrupted", "True", "True"], done.stderr


def test_without_futex(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where threads can't wait for each other, chunks run in order, until one fails."""
    monkeypatch.setattr(pool, "has_futex", lambda: False)
    library = cpu.load(cpu.compile(pool.module()[0], level=0), pool.SYMBOLS, {})
    kind = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    seen: list[int] = []
    body = kind(lambda context, word, chunk: seen.append(chunk) or (-3 if chunk == 5 else 0))
    run = ctypes.CFUNCTYPE(ctypes.c_int64, kind, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)
    held = ctypes.c_int64()
    threads_run = run(library.address(pool.RUN))
    assert threads_run(body, None, 5, ctypes.addressof(held)) == 0 and seen == list(range(5))
    assert threads_run(body, None, 9, ctypes.addressof(held)) == -3 and seen[5:] == list(range(6))


def test_exit() -> None:
    """At once after a parallel loop, while workers still look for more, and in the midst of one."""
    assert python("iv.set_threads(3); print(f(x) == f(x))").returncode == 0
    done = python("""
        def forever():
            while True:
                f(x)
        iv.set_threads(3)
        f(x)
        threading.Thread(target=forever, daemon=True).start()
        time.sleep(0.05)
    """)
    assert done.returncode == 0, done.stderr


@needs_futex
def test_a_thread_that_is_alone_with_all_chunks_has_one_copy() -> None:
    def f(table, where):
        return sum(sum(np.sin(k * table[j]) for k in range(40)) for j in where)

    rng = np.random.default_rng(8)
    table, where = rng.normal(size=2**13), rng.integers(0, 2**13, 2**15)
    gradient = iv.grad(f)
    given = {}
    for n in (4, 1):
        iv.set_threads(n)
        runtime.trim()
        given[n] = gradient(table, where).tobytes()
    assert given[4] == given[1]
    kept = [size for size in runtime._pool[3::2] if size]
    assert len(kept) == 2 and max(kept) < 1.1 * table.nbytes  # the result and the copy
    assert "copies" in loops(gradient, table, where)
