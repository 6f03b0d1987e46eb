"""The same bits on every run: of repeated calls, in fresh processes, with and without the cache on disk."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import iverson as iv


def sums(x):
    return x.sum(), sum(v * v for v in x), np.prod(1.0 + 1e-3 * x), x @ x[::-1], x.mean(), x.std()


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def scattered(x):
    out = np.zeros(7)
    np.add.at(out, np.arange(len(x)) % 7, np.sin(x))
    return out


def recurrence(x):
    state, total = np.zeros(3), 0.0
    for k in range(1, len(x)):
        x[k] = 0.9 * x[k - 1] + np.tanh(x[k])
        state[k % 3] += x[k] ** 2
        total += state[0] / (1.0 + state[1] ** 2)
    return total, state


def pairs(x):
    return sum(1.0 / (1.0 + (x[i] - x[j]) ** 2) for i in range(len(x)) for j in range(i))


def scalar(f):
    def value(x):
        total = 0.0
        result = f(x)
        for part in result if isinstance(result, tuple) else (result,):
            total += np.sum(np.cos(part))
        return total

    return value


PROGRAMS = (sums, softmax, scattered, recurrence, pairs)


def compiled():
    """Each program, its value and gradient, and a Hessian."""
    made = [iv.jit(f) for f in PROGRAMS] + [iv.value_and_grad(scalar(f)) for f in PROGRAMS]
    return [*made, iv.hessian(scalar(softmax)), iv.jacfwd(scattered)]


def flat(result):
    parts = result if isinstance(result, tuple | list) else (result,)
    return b"".join(flat(p) if isinstance(p, tuple | list) else np.asarray(p).tobytes() for p in parts)


def digest(functions):
    """What the bits of all results are."""
    total = hashlib.sha256()
    for f in functions:
        for n in (5, 64, 301):
            total.update(flat(f(np.sin(np.arange(float(n))) * 3.0)))
    return total.hexdigest()


def in_a_process(cache: str) -> str:
    environment = {**os.environ, "IVERSON_CACHE_DIR": cache, "IVERSON_LEVEL": "3"}
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "tests.run.test_determinism"],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_repeated_calls_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IVERSON_LEVEL", "1")
    functions = compiled()
    first = digest(functions)
    assert all(digest(functions) == first for _ in range(5))
    assert digest(compiled()) == first


def test_processes_give_the_same_bits(tmp_path: Path) -> None:
    """Compiled anew, compiled into the cache on disk, and taken from there; hashes are seeded differently in each."""
    cache = str(tmp_path / "cache")
    found = [in_a_process("off"), in_a_process(cache), in_a_process(cache)]
    assert len(found[0]) == 64 and len(set(found)) == 1
    assert any(Path(cache).iterdir())


if __name__ == "__main__":
    print(digest(compiled()))
