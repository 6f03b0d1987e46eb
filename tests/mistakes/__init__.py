"""What users get wrong, and what they must be told: the exception, the line and the words."""

from . import (  # noqa: F401
    accepted,
    calls,
    control,
    dtypes,
    indices,
    language,
    shapes,
    sizes,
)
from .accepted import ACCEPTED
from .registry import MISTAKES

__all__ = ["ACCEPTED", "MISTAKES"]
