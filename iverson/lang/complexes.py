"""Complex scalars: pairs of reals, with the formulas of each ufunc on them."""

from __future__ import annotations

from typing import Any

from iverson.lang.errors import error


def ufunc(function: Any, args: list[Any], weak: bool) -> Any:
    """A ufunc of complex numbers."""
    raise error(NotImplementedError, f"np.{function.__name__} of complex numbers is not available in staged programs")
