"""`iv.tape.sample`: residuals that are unbiased estimates, placed by the compiler.

A function that is differentiated with it is one whose result carries a mark with the key and the fraction
(core/sketch.py), so that both may be numbers of the program; reverse mode finds the mark and places sketches
(diff/sampler.py).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from iverson.core.sketch import SAMPLING, Sketch
from iverson.core.syntax import Let, Library, Var
from iverson.lang import random, state
from iverson.lang.calls import call
from iverson.lang.errors import error, site
from iverson.lang.inner import is_numeric, like, numeric
from iverson.lang.sketching import SCHEMES, part_of, require_fraction
from iverson.lang.staging import builder
from iverson.lang.values import materialise


@dataclass(frozen=True)
class Sampling:
    """What `iv.tape.sample` was told."""

    fraction: Any
    key: Any
    of: Sketch
    variance: float | None = None  # that is to be had by the choice of the fraction (variance.py)

    def at(self, fraction: Any, key: Any) -> Sampling:
        """With a fraction and a key that are known."""
        return Sampling(fraction, key, self.of)


def sample(
    fraction: Any = None,
    key: Any = "key",
    scheme: str = "sample",
    replace: bool = False,
    shared: bool | None = True,
    variance: float | None = None,
) -> Sampling:
    """Keep a random part of each residual that multiplies the adjoint of a parameter, and estimate the gradient by it.

    It does what `iv.sketch` says, wherever that is right: on the activations of layers (products of matrices, and loops
    that multiply an array by a parameter, as a convolution does), at each turn of a loop on the fields that a parameter
    multiplies.  What goes back from layer to layer or turn to turn, masks and parameters are exact, so the gradient is
    unbiased, and no path crosses two samples.  `shared`: the rows of a matrix have one sample (True), each its own
    (False), or all elements are one example (None); other arrays are taken by their first axis unless it is None.

    `key` is an integer as iv.random.key gives it, a number of the program around, or the name of the argument of the
    function that holds it: use another for each gradient.  A key of its own is made for each place and turn.
    `fraction` may be a number of the program, too.  In a `while` loop, whose turns aren't counted, nothing is sampled.

    With `variance` instead of a fraction the derivative chooses that itself, call by call, so that E|g - G|² is
    `variance` times |G|², g being the estimate of the gradient G: from two gradients of one point, which it takes at
    the first calls and then at every tenth.  It is for iv.grad and iv.value_and_grad, called from Python (TypeError in
    compiled functions); `.fraction` and `.variance` tell where it is, `.reset()` begins anew.

    Raises ValueError for another scheme, a fraction that isn't in (0, 1], a variance that isn't positive, or both;
    TypeError where the function has no argument of that name.

    >>> g = iv.grad(loss, tape=iv.tape.sample(0.1, key="key"))

    Method: randomised automatic differentiation (Oktay, McGreivy, Aduol, Beatson, Adams, ICLR 2021).
    """
    if (fraction is None) == (variance is None):
        raise ValueError("a sample has a fraction or a variance: iv.tape.sample(0.1) or iv.tape.sample(variance=0.5)")
    if variance is None:
        require_fraction(fraction)
    elif not np.isscalar(variance) or not 0 < variance < float("inf"):
        raise ValueError(f"the relative variance of a sampled gradient is a positive number, not {variance!r}")
    if scheme not in SCHEMES:
        raise ValueError(f"the scheme of a sample is 'sample' or 'projection', not {scheme!r}")
    if not isinstance(key, str):
        random._key(key)
    examples = "one" if shared is None else "shared" if shared else "each"
    return Sampling(fraction, key, Sketch(scheme, bool(replace), examples), variance)  # type: ignore[arg-type]


def option_of(tape: Any) -> Sampling | None:
    """What a tape is told about samples."""
    options = [t for t in (tape if isinstance(tape, tuple | list) else (tape,)) if isinstance(t, Sampling)]
    if len(options) > 1:
        raise ValueError("two options for how the tape is sampled")
    return options[0] if options else None


def sampling(tape: Any, f: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with a mark on its result where the tape is to be sampled."""
    option = option_of(tape)
    if option is None:
        return f
    if option.variance is not None:
        raise ValueError("a variance is for iv.grad and iv.value_and_grad; else say iv.tape.sample(fraction)")

    def marked(*args: Any, **kwargs: Any) -> Any:
        result = call(f, *args, **kwargs)
        leaves, spec = state.flatten(result)
        for k, leaf in enumerate(leaves):
            if is_numeric(leaf) and numeric(leaf).dtype.kind in "fc":
                leaves[k] = _mark(numeric(leaf), option, f, args, kwargs)
                return state.unflatten(spec, leaves)
        return result

    marked.__name__ = getattr(f, "__name__", "f")
    return marked


def _mark(x: Any, option: Sampling, f: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    atom = materialise(x)
    if not isinstance(atom, Var):
        return x
    key = random._key(key_of(option.key, f, args, kwargs))
    y = Var(atom.type, atom.hint)
    given = (atom, key.atom, part_of(option.fraction))
    builder().let(Let((y,), Library(SAMPLING, given, (("of", option.of),)), site()))
    return like(x, y)


def key_of(key: Any, f: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """The key of a call: itself, or the argument of this name."""
    if not isinstance(key, str):
        return key
    try:
        given = inspect.signature(f).bind(*args, **kwargs)
        given.apply_defaults()
        return given.arguments[key]
    except (ValueError, KeyError):
        name = getattr(f, "__name__", "the function")
        raise error(
            TypeError,
            f"iv.tape.sample takes the key from an argument {key!r}, and {name} has none: give it one, or say "
            "iv.tape.sample(fraction, key=...)",
        ) from None
