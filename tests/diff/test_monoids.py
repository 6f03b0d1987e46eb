"""Reductions, scans and histograms over any monoid: right, parallel, and again so when differentiated again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from iverson.core.evaluate import evaluate
from iverson.core.rewrite import statements
from iverson.core.syntax import Function, Loop, While
from iverson.diff.forward import jvp
from iverson.diff.reverse import vjp
from tests.diff import monoid_programs as programs
from tests.diff.monoid_programs import EXAMPLES, Example, arguments, places
from tests.diff.oracle import check_jvp, check_vjp, cotangent_arguments, float_params, is_float

SIZES = (0, 1, 2, 3, 17)


def assert_parallel(f: Function) -> None:
    assert not [let for let in statements(f.body) if isinstance(let.op, Loop | While)]


def span(f: Function, values: list[Any]) -> int:
    """Of value and adjoints."""
    outs = evaluate(f, values).values
    cotangents = [np.ones(np.shape(v)) for v, o in zip(outs, f.body.outs, strict=True) if is_float(o)]
    return evaluate(vjp(f, float_params(f)), [*values, *cotangent_arguments(f, cotangents)]).cost.span


def assert_logarithmic(f: Function, make: Callable[[int], list[Any]]) -> None:
    """The span grows as log n: from 16 to 256 elements it at most doubles."""
    assert span(f, make(256)) <= 2.0 * span(f, make(16))


by_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.name)


@by_example
@pytest.mark.parametrize("kind", [programs.reduction, programs.scan], ids=["reduction", "scan"])
def test_reductions_and_scans(kind: Callable[[Example], Function], example: Example) -> None:
    f = kind(example)
    for n in SIZES:
        check_vjp(f, arguments(n))
        check_jvp(f, arguments(n))
    assert_parallel(vjp(f, float_params(f)))
    assert_logarithmic(f, arguments)


@by_example
@pytest.mark.parametrize("kind", [programs.reduction, programs.scan], ids=["reduction", "scan"])
def test_second_order(kind: Callable[[Example], Function], example: Example) -> None:
    """Reverse over reverse, forward over reverse, reverse over forward."""
    f = kind(example)
    wrt = float_params(f)
    values = arguments(3)
    floats = [v for v, o in zip(evaluate(f, values).values, f.body.outs, strict=True) if is_float(o)]
    g = vjp(f, wrt)
    more = [*values, *cotangent_arguments(f, [np.linspace(0.5, 1.0, np.size(v)).reshape(np.shape(v)) for v in floats])]
    check_vjp(g, more)
    check_jvp(g, more)
    assert_parallel(vjp(g, float_params(g)))
    check_vjp(jvp(f, wrt), [*values, *(0.3 * np.ones(np.shape(values[k])) for k in wrt)])


@by_example
def test_other_surroundings(example: Example) -> None:
    """Over pairs of indices, in a map, in a loop."""
    for n in (0, 1, 5):
        check_vjp(programs.two_dimensions(example), arguments(n))
        check_vjp(programs.in_a_loop(example), arguments(n))
    for n in (1, 4):
        check_vjp(programs.many_short(example), arguments(n))
    for f in (programs.two_dimensions(example), programs.many_short(example)):
        assert_parallel(vjp(f, float_params(f)))


def in_bins(n: int) -> list[Any]:
    return [*arguments(n), places(n)]


@by_example
@pytest.mark.parametrize("drops", [False, True], ids=["all", "some"])
@pytest.mark.parametrize("start", [False, True], ids=["identity", "initial"])
def test_histograms(example: Example, drops: bool, start: bool) -> None:
    f = programs.histogram(example, drops, start)
    for n in SIZES:
        check_vjp(f, in_bins(n))
    check_jvp(f, in_bins(3))
    assert_parallel(vjp(f, float_params(f)))
    assert_logarithmic(f, in_bins)


@by_example
def test_histograms_second_order(example: Example) -> None:
    f = programs.histogram(example, start=True)
    values, wrt = in_bins(5), float_params(f)
    g = vjp(f, wrt)
    count = sum(map(is_float, f.body.outs))
    more = [*values, *(np.linspace(0.5, 1.0 + k, 3) for k in range(count))]
    check_vjp(g, more)
    check_jvp(g, more)
    assert_parallel(vjp(g, float_params(g)))
    check_vjp(jvp(f, wrt), [*values, *(0.3 * np.ones(np.shape(values[k])) for k in wrt)])
