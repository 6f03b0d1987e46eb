"""`iv.sketch`: an array whose uses in return sweeps are unbiased estimates, of which only a part is kept."""

from __future__ import annotations

from typing import Any
from typing import Literal as OneOf

import numpy as np

from iverson.core.sketch import SKETCH, Sketch, portion
from iverson.core.syntax import Atom, Let, Library, Var
from iverson.lang import random, shapes
from iverson.lang.errors import error, site
from iverson.lang.inner import Inside
from iverson.lang.num import atom_of
from iverson.lang.staging import builder, current
from iverson.lang.table import implements
from iverson.lang.values import Arr, lift, materialise, owned

SCHEMES = ("sample", "projection")


def sketch(
    x: Any,
    fraction: Any = None,
    key: Any = None,
    scheme: str = "sample",
    replace: bool = False,
    shared: bool | None = None,
    scale: float | None = None,
) -> Any:
    """x itself; but what a gradient needs x for again is estimated from a random part of x, and only that is kept.

    The estimate is P x with E[P] = I: of the d elements of x the part `fraction` is kept, scaled by d/k (`"sample"`),
    or k random sums of all of them with signs +-1/sqrt(k) (`"projection"`).  P is drawn again from `key` where it is
    needed, an integer that `iv.random.key` or `iv.random.split` gives.  The result of the program and all that isn't
    multiplied by x are exact; forward mode and what calls the function without a derivative are exact.

    With `shared` the first axis counts examples: True, all have one sample; False, each its own; None, x is one example
    as a whole.  `replace` draws elements with replacement.  `fraction` may be a number of the program.

    Raises TypeError and ValueError for arguments that don't fit.  A gradient that isn't linear in x (its square, a
    comparison with it), or a path that crosses two samples that depend on each other, is a ValueError that names the
    path: nothing is silently biased.  So is a `scale` other than None: only d/k makes E[P] = I.

    >>> def loss(w, x, key):
    ...     return ((iv.sketch(x, 0.1, key, shared=True) @ w) ** 2).sum()

    Method: randomised automatic differentiation (Oktay, McGreivy, Aduol, Beatson, Adams, ICLR 2021).
    """
    check(fraction, key, scheme, np.ndim(x), shared)
    random._key(key)
    return x


def check(fraction: Any, key: Any, scheme: str, ndim: int, shared: bool | None) -> None:
    """Raise unless the arguments of a sketch fit."""
    if fraction is None or key is None:
        raise error(TypeError, "iv.sketch needs a fraction and a key: iv.sketch(x, 0.1, key)")
    require_fraction(fraction)
    if scheme not in SCHEMES:
        raise error(ValueError, f"the scheme of a sketch is 'sample' or 'projection', not {scheme!r}")
    if ndim == 0:
        raise error(TypeError, "iv.sketch takes an array, not a number")
    if shared is not None and ndim < 2:
        raise error(ValueError, "shared= needs an array whose first axis counts examples; this one has a single axis")


def require_fraction(fraction: Any) -> None:
    """Raise unless what is known of a fraction is right."""
    if isinstance(fraction, int | float | np.floating) and not 0 < fraction <= 1:
        raise error(ValueError, f"the part of an array that is kept is more than 0 and at most 1, not {fraction}")


@implements(sketch)
def _staged(
    x: Any,
    fraction: Any = None,
    key: Any = None,
    scheme: str = "sample",
    replace: bool = False,
    shared: bool | None = None,
    scale: float | None = None,
    unproven: bool = False,
) -> Any:
    array = lift(x)
    check(fraction, key, scheme, array.ndim if isinstance(array, Arr) else 0, shared)
    word = random._key(key)
    if array.dtype.kind not in "fc":
        raise error(TypeError, f"iv.sketch takes floats, not {array.dtype}")
    if not any(isinstance(scope, Inside) for scope in current().scopes):
        return x
    examples: OneOf["one", "shared", "each"] = "one" if shared is None else "shared" if shared else "each"
    of = Sketch(scheme, bool(replace), examples, None if scale is None else float(scale), unproven=bool(unproven))  # type: ignore[arg-type]
    atom = materialise(array)
    assert isinstance(atom, Var)
    size = shapes.extent_atom(shapes.product(array.shape[of.lead :]))
    y = Var(atom.type, atom.hint)
    b = builder()
    part = _part(fraction)
    count = portion(b, part, size)
    b.let(Let((y,), Library(SKETCH, (atom, word.atom, count), (("of", of),)), site()))
    return owned(y, array.dtype)


def _part(fraction: Any) -> Atom:
    if isinstance(fraction, Arr):
        fraction = fraction.read(())
    return atom_of(fraction, np.dtype(np.float64))
