"""Write docs/names.md, the names that staged programs know: `python docs/names.py`."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import scipy.fft
import scipy.linalg
import scipy.signal
import scipy.special

from iverson.lang import table
from iverson.lang.specials import ROWS
from iverson.lang.values import Arr

MODULES: list[tuple[str, ModuleType]] = [
    ("np", np),
    ("np.linalg", np.linalg),
    ("np.fft", np.fft),
    ("np.lib.stride_tricks", np.lib.stride_tricks),
    ("scipy.linalg", scipy.linalg),
    ("scipy.fft", scipy.fft),
    ("scipy.signal", scipy.signal),
    ("math", math),
    ("scipy.special", scipy.special),
]
GROUPS = {
    "ufuncs": "Universal functions (`np.add.reduce`, `accumulate`, `outer` and `at` where NumPy has them)",
    "numpy_reductions": "Reductions",
    "numpy_creation": "Creation and dtypes",
    "numpy_shapes": "Shapes and views",
    "numpy_joins": "Joining, repeating, rearranging",
    "numpy_searching": "Choosing and searching",
    "numpy_sorting": "Sorting",
    "numpy_sequences": "Running sums, differences, counts",
    "numpy_linalg": "Products",
    "numpy_solvers": "Linear systems",
    "numpy_decompositions": "Decompositions, least squares",
    "scipy_linalg": "SciPy's linear algebra",
    "numpy_fft": "Fourier transforms",
    "scipy_signal": "Convolutions",
    "scipy_special": "SciPy",
    "mathtable": "math",
}
INTRODUCTION = """# Names

The functions of NumPy, SciPy and `math` that may be called in a staged program. They take the arguments that
the originals take; one that isn't supported is an error. Written by `python docs/names.py` from the tables in `lang/`.
"""


def name(function: Any) -> str | None:
    """The public name of a function, as users write it."""
    short = getattr(function, "__name__", None)
    found = [f"{prefix}.{short}" for prefix, module in MODULES if short and vars(module).get(short) is function]
    return found[0] if found else None


def groups() -> dict[str, list[str]]:
    """The names by the module that implements them, without those that only raise."""
    table.load()
    found: defaultdict[str, set[str]] = defaultdict(set)
    for function, group in entries():
        title = name(function)
        if title is not None:
            found[group].add(title)
    return {group: sorted(found[group], key=lambda n: (n.count("."), n)) for group in GROUPS}


def entries() -> Iterator[tuple[Any, str]]:
    for function in ROWS:
        yield function, "ufuncs"
    for function, implementation in table.FUNCTIONS.items():
        if not getattr(implementation, "__name__", "").endswith(("refuse", "refused")):
            yield function, implementation.__module__.rsplit(".", 1)[-1]


def methods() -> list[str]:
    """What arrays of a staged program have, of what NumPy's have."""
    public = [m for m in dir(np.ndarray) if not m.startswith("_")]
    return [m for m in public if m != "view" and (m in table.METHODS or hasattr(Arr, m))]


def markdown() -> str:
    parts = [INTRODUCTION]
    parts += [f"## {GROUPS[group]}\n\n{', '.join(f'`{n}`' for n in names)}\n" for group, names in groups().items()]
    parts.append(f"## Methods and attributes of arrays\n\n{', '.join(f'`{m}`' for m in methods())}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    Path(__file__).with_name("names.md").write_text(markdown())
