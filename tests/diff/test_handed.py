"""The places that a loop updates are computed again where they can be: of branches, and from arrays of indices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import iverson as iv


def either(x, y):
    """Each turn updates one of two elements."""
    a = x.copy()
    for i in range(1, len(a)):
        if y[i] > 0.0:
            a[i] = a[i - 1] * y[i]
        else:
            a[i - 1] = a[i] + y[i]
    return np.sum(a * a)


def listed(x, y):
    a = x.copy()
    places = np.argsort(y)
    for i in range(len(a)):
        a[places[i]] = np.sin(a[places[i]]) * y[i]
    return np.sum(a * a)


def moving(x, y):
    """The list of places is itself updated: it says something else when the turns are undone."""
    a, places = x.copy(), np.arange(len(x))
    for i in range(len(a)):
        a[places[i]] = a[i] * y[i] + np.sin(a[places[i]])
        places[(i * 2) % len(a)] = len(a) - 1 - i
        places[i] = 0
    return np.sum(a * a)


def nested(x, y):
    """Places of places, which an outer loop changes."""
    a, places = x.copy(), np.arange(len(x))
    for k in range(3):
        for i in range(len(a)):
            j = places[places[i]]
            if a[j] * y[i] > 0.1:
                j = places[i]
            a[j] = a[i] * y[j] + np.sin(a[j])
        places[k % len(a)] = (2 * k) % len(a)
    return np.sum(a * a)


PROGRAMS = [either, listed, moving, nested]
X, Y = np.random.default_rng(4).uniform(-1.0, 1.0, (2, 7))


@pytest.mark.parametrize("f", PROGRAMS)
def test_gradients(f: Any) -> None:
    for n in (1, 2, 7):
        assert np.isclose(iv.jit(f)(X[:n], Y[:n]), f(X[:n].copy(), Y[:n].copy()))
        iv.check_grads(f, (X[:n], Y[:n]))


@pytest.mark.parametrize("f", [either, listed])
def test_places_are_not_kept(f: Any) -> None:
    """A number a turn is, and what the function itself has."""
    found = iv.cost(iv.grad(f, argnums=(0, 1)))(X, Y).residuals
    of_turns = [r for r in found if r.how in ("stored", "logged", "overwritten") and "function itself" not in r.why]
    assert len(of_turns) == 1 and of_turns[0].bytes.value <= X.nbytes
