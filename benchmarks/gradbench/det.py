"""det: the determinant of a matrix by Laplace's expansion along the first row, of its minors likewise.

The recursion ends when the function is staged, since lengths are part of the type (`static_shapes`): what is compiled
is one loop in another, one for each row.
"""

import numpy as np

import iverson as iv
from benchmarks.gradbench.evaluation import Evaluation


def minor(a, columns):
    """The determinant of the last rows of a, and of these columns."""
    if len(columns) == 1:
        return a[-1, columns[0]]
    row = a[-len(columns)]
    return sum((-1.0) ** j * row[columns[j]] * minor(a, without(columns, j)) for j in range(len(columns)))


def without(columns, j):
    return [columns[i + (i >= j)] for i in range(len(columns) - 1)]


def primal(a):
    return minor(a, np.arange(len(a)))


EVALUATION = Evaluation(
    functions={
        "primal": iv.jit(primal, static_shapes=True),
        "gradient": iv.jit(iv.grad(primal), static_shapes=True),
    },
    arguments=lambda data: (np.array(data["A"]).reshape(data["ell"], data["ell"]),),
    make=lambda rng, ell: {"A": rng.normal(size=ell * ell).tolist(), "ell": ell},
    sample=[(ell,) for ell in range(1, 12)],
    sizes=[(6,), (10,)],
    output={"gradient": lambda g: g.ravel().tolist()},
)
