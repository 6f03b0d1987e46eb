"""Gradients that choose how much of the tape they keep, for a variance that is asked for.

Two gradients of one point with independent keys, g and h, tell both what is estimated and how well:

    E[g . h] = |G|²        E[|g - h|²] / 2 = V(f) = S c(f)        c(f) = 1/f - 1; 1/f if replaced or projected

S doesn't depend on the fraction f, so running means of both tell the f for which V(f) is `variance` times |G|².  A
second gradient is drawn now and then, and isn't lost: what the call gives is the mean of the two.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from types import MethodType
from typing import Any

import numpy as np

from iverson.lang import random, state
from iverson.lang.errors import error
from iverson.lang.staging import active
from iverson.run.jit import Jit
from iverson.run.sampling import Sampling, key_of

LEAST, FIRST, MOST = 1e-3, 0.5, 0.95  # parts that are kept: of all nothing could be learned
EVERY = 10  # calls from one second gradient to the next; at first it is 1, 2, 4, ...
MEMORY = 0.9  # of the running means, at each
_SECOND = 0x5EC0  # what makes a second key of the first


class Targeted:
    """A derivative by a sampled tape that chooses the fraction itself.

    `fraction` is what the next call keeps; `variance` is the running estimate of E|g - G|² / |G|² there, g being what a
    call gives and G the exact gradient: nan until there is one.  `reset()` forgets what was seen.
    """

    def __init__(
        self, made: Jit, option: Sampling, of: Callable[..., Any], result: Callable[[Any], Any], what: str
    ) -> None:
        self._made, self._option, self._result, self.what = made, option, result, what
        update_wrapper(self, of, updated=())
        self.reset()

    def reset(self) -> None:
        """Begin anew, as if there had been no call."""
        self.fraction = FIRST
        self._calls, self._second, self._apart = 0, 0, 1
        self._noise, self._square, self._weight = 0.0, 0.0, 0.0

    @property
    def variance(self) -> float:
        return self._noise * self._factor(self.fraction) / self._square if self._square > 0 else float("nan")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if active():
            self.__iverson_stage__(args, kwargs)
        key = np.int64(random._key(key_of(self._option.key, self.__wrapped__, args, kwargs)))
        part = np.float64(self.fraction)
        value, gradient = self._made(*args, (part, key), **kwargs)
        if self._calls == self._second:
            again = self._made(*args, (part, np.int64(random.fold_in(key, _SECOND))), **kwargs)[1]
            gradient = self._learn(gradient, again)
            self._second += self._apart
            self._apart = min(2 * self._apart, EVERY)
        self._calls += 1
        return self._result((value, gradient))

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """As a method: bound, as functions are."""
        return self if instance is None else MethodType(self, instance)

    def __repr__(self) -> str:
        name = getattr(self, "__name__", "a function")
        return f"<{self.what} of {name}, of relative variance {self._option.variance:g}: keeps {self.fraction:.3g}>"

    def __iverson_stage__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        raise error(
            TypeError,
            "iv.tape.sample(variance=...) learns from call to call: take this derivative outside of compiled functions "
            "and other transforms, or give it a fraction, which may be a number of the program",
        )

    def _learn(self, gradient: Any, again: Any) -> Any:
        """Take two gradients into account, and give their mean."""
        leaves, spec = state.flatten(gradient)
        pairs = [(np.asarray(g), np.asarray(h)) for g, h in zip(leaves, state.flatten(again)[0], strict=True)]
        noise = sum(float(np.sum(np.abs(g - h) ** 2, dtype=np.float64)) for g, h in pairs) / 2
        square = sum(float(np.vdot(g, h).real) for g, h in pairs)
        if np.isfinite(noise) and np.isfinite(square):
            self._weight = MEMORY * self._weight + 1.0
            new = 1.0 / self._weight
            self._noise += new * (noise / self._factor(self.fraction) - self._noise)
            self._square += new * (square - self._square)
            self.fraction = min(max(self._wanted(), LEAST), MOST)
        return state.unflatten(spec, [((g + h) / 2)[()].astype(g.dtype) for g, h in pairs])

    def _factor(self, part: float) -> float:
        return 1.0 / part - self._without

    @property
    def _without(self) -> float:
        """1 where a sample of all is exact."""
        return float(self._option.of.scheme == "sample" and not self._option.of.replace)

    def _wanted(self) -> float:
        assert self._option.variance is not None
        room = self._option.variance * max(self._square, 0.0)
        whole = room + self._without * self._noise
        return self._noise / whole if whole > 0 else 1.0
