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
from iverson.lang.num import Num, atom_of, kind_of
from iverson.lang.staging import builder, current
from iverson.lang.table import implements
from iverson.lang.values import Arr, lift, materialise, owned

SCHEMES = ("sample", "projection")
_FRACTION = "the part of an array that is kept is more than 0 and at most 1, not {}"


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
    array = np.asarray(x)
    check(fraction, key, scheme, array.ndim, array.dtype, shared)
    random._key(key)
    return x


def check(fraction: Any, key: Any, scheme: str, ndim: int, dtype: np.dtype[Any], shared: bool | None) -> None:
    """Raise unless the arguments of a sketch fit."""
    if fraction is None or key is None:
        raise error(TypeError, "iv.sketch needs a fraction and a key: iv.sketch(x, 0.1, key)")
    require_fraction(fraction)
    if scheme not in SCHEMES:
        raise error(ValueError, f"the scheme of a sketch is 'sample' or 'projection', not {scheme!r}")
    if ndim == 0:
        raise error(TypeError, "iv.sketch takes an array, not a number")
    if dtype.kind not in "fc":
        raise error(TypeError, f"iv.sketch takes floats, not {dtype}")
    if shared is not None and ndim < 2:
        raise error(ValueError, "shared= needs an array whose first axis counts examples; this one has a single axis")


def require_fraction(fraction: Any) -> None:
    """Raise unless a fraction is right; one that is a number of the program is checked where it is used."""
    if isinstance(fraction, Arr | Num):
        return
    given = np.asarray(fraction)
    if given.ndim or given.dtype.kind not in "iuf":
        raise error(TypeError, f"the part of an array that is kept is a number, not {fraction!r}")
    if not 0 < given <= 1:
        raise error(ValueError, _FRACTION.format(fraction))


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
    check(fraction, key, scheme, array.ndim if isinstance(array, Arr) else 0, array.dtype, shared)
    word, part = random._key(key), part_of(fraction)
    if not any(isinstance(scope, Inside) for scope in current().scopes):
        return x
    examples: OneOf["one", "shared", "each"] = "one" if shared is None else "shared" if shared else "each"
    of = Sketch(scheme, bool(replace), examples, None if scale is None else float(scale), unproven=bool(unproven))  # type: ignore[arg-type]
    atom = materialise(array)
    assert isinstance(atom, Var)
    size = shapes.extent_atom(shapes.product(array.shape[of.lead :]))
    y = Var(atom.type, atom.hint)
    b = builder()
    count = portion(b, part, size)
    b.let(Let((y,), Library(SKETCH, (atom, word.atom, count), (("of", of),)), site()))
    return owned(y, array.dtype)


def part_of(fraction: Any) -> Atom:
    """A fraction as a number of the program, which checks it."""
    if isinstance(fraction, Arr) and not fraction.ndim:
        fraction = fraction.read(())
    if isinstance(fraction, Arr) or (isinstance(fraction, Num) and kind_of(fraction).dtype.kind not in "if"):
        raise error(TypeError, "the part of an array that is kept is a number")
    part = atom_of(fraction, np.dtype(np.float64))
    if isinstance(part, Var):
        b = builder()
        b.check(b.prim("and", b.o.gt(part, 0.0), b.o.le(part, 1.0)), _FRACTION, part)
    return part
