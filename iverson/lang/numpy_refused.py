"""Names that staged programs refuse, with what to do instead: hidden state, and what isn't there yet."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np

from iverson.lang.errors import error
from iverson.lang.table import implements

_STATEFUL = (
    "{} draws from hidden state, which a staged program doesn't have: use iv.random, whose functions take a key "
    "(key = iv.random.key(0); iv.random.normal(key, shape)), or pass the numbers as an argument"
)


def refuse(function: Any, kind: type[Exception], message: str) -> None:
    """Enter a name that raises."""

    def refused(*args: Any, **kwargs: Any) -> Any:
        raise error(kind, message)

    implements(function)(refused)


def stateful(function: Callable[..., Any]) -> Callable[..., Any] | None:
    """What stands for a method of a random generator: a refusal; None for other functions."""
    owner = getattr(function, "__self__", None)
    if not isinstance(owner, np.random.Generator | np.random.RandomState | random.Random):
        return None
    name = getattr(function, "__name__", "this method")

    def refused(*args: Any, **kwargs: Any) -> Any:
        raise error(NotImplementedError, _STATEFUL.format(f"{type(owner).__name__}.{name}"))

    return refused


_STATELESS = (
    "Generator",
    "RandomState",
    "SeedSequence",
    "BitGenerator",
    "MT19937",
    "PCG64",
    "PCG64DXSM",
    "Philox",
    "SFC64",
)

for _name in np.random.__all__:
    if _name not in _STATELESS:
        refuse(getattr(np.random, _name), NotImplementedError, _STATEFUL.format(f"np.random.{_name}"))

for _name in random.__all__:
    if not isinstance(getattr(random, _name), type):
        refuse(getattr(random, _name), NotImplementedError, _STATEFUL.format(f"random.{_name}"))

for _name in ("hfft", "ihfft"):
    refuse(
        getattr(np.fft, _name),
        NotImplementedError,
        f"np.fft.{_name} is not available in staged programs: use irfft or rfft of the conjugate",
    )

for _function, _why in {
    math.frexp: "the parts of a float",
    math.nextafter: "the neighbours of a float",
    math.ulp: "the neighbours of a float",
}.items():
    refuse(_function, NotImplementedError, f"math.{_function.__name__} is not available in staged programs: {_why}")
