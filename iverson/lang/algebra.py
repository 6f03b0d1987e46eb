"""Linear algebra as plain programs: written on NumPy arrays, staged and differentiated like a user's own.

exp(a) = r(a / 2^s)^(2^s)     r the [13/13] Padé approximant: N. Higham, The scaling and squaring method for the matrix
                              exponential revisited, 2005
order                         what LAPACK's swaps make of 0, 1, 2, ...
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

_RADIUS = 5.371920351148152  # of the 1-norm, up to which the approximant is exact to double precision
_PADE = (
    64764752532480000.0,
    32382376266240000.0,
    7771770303897600.0,
    1187353796428800.0,
    129060195264000.0,
    10559470521600.0,
    670442572800.0,
    33522128640.0,
    1323241920.0,
    40840800.0,
    960960.0,
    16380.0,
    182.0,
    1.0,
)


def expm(a: Any) -> Any:
    n = a.shape[0]
    norm = np.abs(a).sum(axis=0).max(initial=0.0)
    squarings = 0
    if _RADIUS < norm < math.inf:
        squarings = int(np.ceil(np.log2(norm / _RADIUS)))
    x = a * 0.5**squarings
    x2 = x @ x
    x4 = x2 @ x2
    x6 = x4 @ x2
    unit = np.eye(n, dtype=a.dtype)
    c = _PADE
    odd = x @ (x6 @ (c[13] * x6 + c[11] * x4 + c[9] * x2) + (c[7] * x6 + c[5] * x4 + c[3] * x2 + c[1] * unit))
    even = x6 @ (c[12] * x6 + c[10] * x4 + c[8] * x2) + (c[6] * x6 + c[4] * x4 + c[2] * x2 + c[0] * unit)
    y = np.linalg.solve(even - odd, even + odd)
    for _ in range(squarings):
        y = y @ y
    return y


def order(pivots: Any) -> Any:
    n = len(pivots)
    rows = np.arange(n)
    for k in range(n):
        p = pivots[k]
        rows[k], rows[p] = rows[p], rows[k]
    return rows
