"""Nests are entered with one test, loops of one turn are their bodies, loops that are alike one function."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import iverson as iv
from iverson.backend.shared import plain


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("IVERSON_LEVEL", "0")
    yield


def through(x, y):
    """The sum is carried through the inner loop."""
    total = 1.0
    for i in range(len(x)):
        for j in range(len(y)):
            total = total * 0.5 + x[i] * y[j]
    return total


def around(x, y):
    """A turn of the outer loop does something even where the inner one has none."""
    total = 1.0
    for i in range(len(x)):
        s = 0.0
        for j in range(len(y)):
            s = s * 0.5 + x[i] * y[j]
        total = total * 2.0 + s
    return total


def stored(x, y):
    out = np.full((len(x), 3), 2.0)
    for i in range(len(x)):
        for j in range(len(y)):
            for k in range(3):
                out[i, k] = out[i, k] * x[i] + y[j]
    return out


def triangle(x, y):
    """The inner loop's range changes from turn to turn."""
    total = 0.0
    for i in range(len(x)):
        for j in range(i):
            total = total * 0.5 + x[i] * x[j] + len(y)
    return total


def found(x, y):
    """What the outer loop finds out bounds the inner one."""
    total, n = 0.0, len(y)
    for i in range(len(x)):
        for j in range(n):
            total = total * 0.5 + x[i] * y[j]
        n = n // 2
    return total + n


@pytest.mark.parametrize("f", [through, around, stored, triangle, found])
def test_empty_ranges(f: Callable[..., Any]) -> None:
    compiled = iv.jit(f)
    for n, m in itertools.product((0, 1, 2, 9, 12), repeat=2):
        x, y = np.linspace(0.5, 1.5, n), np.linspace(-1.0, 2.0, m)
        np.testing.assert_allclose(compiled(x, y), f(x, y), rtol=1e-13)


def test_a_nest_is_tested_once() -> None:
    text = iv.show(iv.jit(through, threads=False), stage="llvm")(np.ones(10), np.ones(11))
    tests = re.findall(r"%some[.\d]* = icmp slt", text)
    assert len(tests) == 2
    assert len(re.findall(r"br i1 %(some|all)[.\d]*, label %for", text)) == 1


def ones(x, w):
    """Two of the loops have one turn: by the shape of w, which is known since it is short."""
    out = np.zeros(len(x))
    for i in range(len(x)):
        s = 1.0
        for a in range(w.shape[0]):
            for b in range(w.shape[1]):
                for k in range(x.shape[1]):
                    s = s * 0.5 + x[i, k] * w[a, b]
        out[i] = s
    return out


def test_one_turn() -> None:
    x, w = np.linspace(0.0, 1.0, 60).reshape(20, 3), np.array([[3.0]])
    loops = iv.show(iv.jit(ones, threads=False), stage="loops")(x, w)
    assert "in 0..1 " not in loops
    np.testing.assert_allclose(iv.jit(ones)(x, w), ones(x, w), rtol=1e-13)
    np.testing.assert_allclose(iv.jit(ones)(x, np.ones((1, 2))), ones(x, np.ones((1, 2))), rtol=1e-13)


def layers(x, a, b, c):
    """Loops that are the same but for the arrays, and some that aren't."""
    for w in (a, b, c):
        x = np.maximum(x * w, 0.1) + np.sqrt(np.abs(w))
        s = np.sum(x)
        x = x / s
    return np.minimum(x, 0.5)


def test_twins_are_one_function() -> None:
    n = 200_000
    args = [np.linspace(0.5, k, n) for k in (1.0, 2.0, 3.0, 4.0)]
    text = iv.show(iv.jit(layers), stage="llvm")(*args)
    made = re.findall(r"define internal i64 @(iv_turn[.\d]*)", text)
    called = re.findall(r"call i64 @threads_run\(ptr @(iv_turn[.\d]*)", text)
    assert set(made) == set(called)
    assert len(made) < len(called)
    np.testing.assert_allclose(iv.jit(layers)(*args), layers(*args), rtol=1e-12)


def test_names_make_no_difference() -> None:
    metadata = ["!0 = distinct !{!0}", "!1 = distinct !{!1, !0}", "!2 = distinct !{!2}", "!3 = distinct !{!3, !2}"]
    one = "(ptr %a) {\nentry:\n  br label %l.1\nl.1:\n  %x.2 = load i64, ptr %a, !noalias !1\n  ret i64 %x.2\n}"
    two = "(ptr %b) {\nentry:\n  br label %m.7\nm.7:\n  %y.9 = load i64, ptr %b, !noalias !3\n  ret i64 %y.9\n}"
    assert plain(one, metadata) == plain(two, metadata)
    assert plain(one, metadata) != plain(two.replace("!3", "!2"), metadata)
    assert plain(one, metadata) != plain(two.replace("ret i64 %y.9", "ret i64 7"), metadata)
    assert plain("%a %b %a", []) != plain("%a %b %b", [])


def small(a, rows):
    """A nest of constant lengths in a long loop."""
    total = 0.0
    for n in range(rows):
        for i in range(3):
            for j in range(4):
                total = total * 0.5 + a[n, i] * a[n, j]
    return total


def test_short_nests_are_written_out_and_others_are_not() -> None:
    a = np.linspace(0.5, 1.5, 80).reshape(20, 4)
    text = iv.show(iv.jit(small, threads=False), stage="llvm")(a, 20)
    assert text.count('!{!"llvm.loop.unroll.full"}') == 1
    assert text.count('!{!"llvm.loop.unroll.disable"}') == 1
    np.testing.assert_allclose(iv.jit(small)(a, 20), small(a, 20), rtol=1e-13)
