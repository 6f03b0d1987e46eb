"""Trees are taken apart and put together by code made for them: as by the library, and as the program's dicts are."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import iverson as iv
from iverson.lang import state
from iverson.run.trees import giver, taker

Pair = namedtuple("Pair", "a b")


@dataclass
class Box:
    content: dict[str, float]


TREES: list[Any] = [
    3.0,
    (),
    [],
    {},
    (1.0,),
    (1.0, [2.0, {"z": 3.0, "a": (4.0, ())}], {}),
    {2: 1.0, 1: {"x y": 2.0, "'": 3.0, (0, 1): [4.0, None]}},
    ({"b": [1.0], "a": ({"c": 2.0}, [[3.0]])}, {"k": 4.0}),
]
OTHERS: list[Any] = [Pair(1.0, 2.0), (1.0, OrderedDict(a=1.0)), [{"a": Pair(1.0, [2.0])}]]


@pytest.mark.parametrize("tree", TREES, ids=str)
def test_the_same_as_the_library(tree: Any) -> None:
    leaves, spec = state.flatten(tree)
    take, give = taker(spec), giver(spec, {})
    assert take is not None and give is not None
    assert take(tree) == leaves
    assert give(leaves) == tree and repr(give(leaves)) == repr(state.unflatten(spec, leaves))
    for other in [*TREES, *OTHERS, "ab", None]:
        if state.flatten(other)[1] != spec:
            found = take(other)  # a tree where a leaf should be is for the caller to see
            assert found is None or any(state.flatten(x)[1] != state.flatten(0)[1] for x in found)


@pytest.mark.parametrize("tree", OTHERS, ids=str)
def test_other_containers(tree: Any) -> None:
    leaves, spec = state.flatten(tree)
    assert taker(spec) is None and giver(spec, dict.fromkeys(range(len(leaves)), 0.0)) is None


def test_fixed_results() -> None:
    spec = state.flatten({"b": 1, "a": (2, 3)})[1]
    give = giver(spec, {1: "fixed"})
    assert give is not None and give(["first", "last"]) == {"a": ("first", "fixed"), "b": "last"}


def parts(p):
    leaves = p.values() if isinstance(p, dict) else p
    return {"sum": sum(x.sum() for x in leaves), "name": "f", "parts": [x + 1.0 for x in leaves]}


def test_calls_with_other_trees() -> None:
    """Of one function, one after the other: each is what Python makes of it, the order of keys included."""
    x, y = np.arange(3.0), np.ones(2)
    trees = [{"a": x, "b": y}, {"b": y, "a": x}, (x, y), [x, y], {"a": x}, {"a": x, "c": y}, OrderedDict(a=x), [x]]
    compiled = iv.jit(parts)
    for tree in trees * 2:
        for _ in range(3):
            got, wanted = compiled(tree), parts(tree)
            assert list(got) == list(wanted) and got["name"] == "f" and got["sum"] == wanted["sum"]
            for a, b in zip(got["parts"], wanted["parts"], strict=True):
                np.testing.assert_array_equal(a, b)
    with pytest.raises((TypeError, AttributeError)):
        compiled({"a": {"b": "text"}})


def test_order_of_keys() -> None:
    """A program depends on the order of its dicts' keys and of its named arguments; a cotangent's may be another."""
    values = iv.jit(lambda *a, **k: [v * 1.0 for d in (*a, k) for v in d.values()])
    pair = {"a": 1.0, "b": 2.0}, {"b": 2.0, "a": 1.0}
    for _ in range(3):
        assert [values(p) for p in pair] == [[1.0, 2.0], [2.0, 1.0]]
        assert values(a=1.0, b=2.0) == [1.0, 2.0] and values(b=2.0, a=1.0) == [2.0, 1.0]
    point = Box(pair[1])
    unpacked = iv.jit(lambda box: [*box.content.values()])
    assert unpacked(Box(pair[0])) == [1.0, 2.0] and unpacked(point) == [2.0, 1.0] == unpacked(point)
    gradient = iv.grad(lambda p, q: p["a"] * q["b"] + p["b"] * q["a"])
    assert gradient(*pair) == {"a": 2.0, "b": 1.0}


def test_order_of_keys_ahead_of_time() -> None:
    """What was compiled for one order says so where it gets another; named arguments may come in any."""
    number = iv.spec(float)
    values = iv.jit(lambda p, x, y: [*(v * 1.0 for v in p.values()), x - y])
    compiled = values.compile({"b": number, "a": number}, x=number, y=number)
    for _ in range(3):
        assert compiled({"b": 1.0, "a": 2.0}, x=3.0, y=1.0) == [1.0, 2.0, 2.0]
        assert compiled({"b": 1.0, "a": 2.0}, y=1.0, x=3.0) == [1.0, 2.0, 2.0]
        with pytest.raises(TypeError, match="another order"):
            compiled({"a": 2.0, "b": 1.0}, x=3.0, y=1.0)
    named = iv.jit(lambda **k: [*k.values()]).compile(b=number, a=number)
    assert named(b=1.0, a=2.0) == [1.0, 2.0]
    with pytest.raises(TypeError, match="another order"):
        named(a=2.0, b=1.0)
