"""Iterations towards a solution, as plain Python on vectors: staged like a user's functions, or run as they are.

    cg, gmres       matvec(x) = b
    newton          f(x) = 0
    iterate         x = f(x)
    bfgs            a minimum of f

Each gives the solution, and stops after `maxiter` turns; if it has not converged then, `unconverged` says what to do.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

Vector = Any
Map = Callable[[Vector], Vector]


def size(x: Vector) -> Any:
    return math.sqrt(x @ x)


def ended(what: str, turns: Any, found: Any, limit: Any, unconverged: str) -> None:
    """Say so if an iteration has not converged."""
    if unconverged == "raise" and not found <= limit:
        raise RuntimeError(f"{what} in {turns} turns: {found}, where {limit} is wanted")
    if unconverged == "warn" and not found <= limit:
        warnings.warn(f"{what} in {turns} turns: {found}, where {limit} is wanted", RuntimeWarning, stacklevel=3)


def cg(matvec: Map, b: Vector, x: Vector, precondition: Map, tol: Any, maxiter: Any, unconverged: str) -> Vector:
    """Conjugate gradients, for a symmetric positive definite matrix."""
    limit = tol * size(b)
    r = b - matvec(x)
    p = precondition(r)
    rz = r @ p
    turns = 0
    while size(r) > limit and turns < maxiter:
        q = matvec(p)
        step = rz / (p @ q)
        x = x + step * p
        r = r - step * q
        z = precondition(r)
        before = rz
        rz = r @ z
        p = z + (rz / before) * p
        turns += 1
    ended("conjugate gradients have not converged", turns, size(r), limit, unconverged)
    return x


def gmres(
    matvec: Map, b: Vector, x: Vector, precondition: Map, tol: Any, maxiter: Any, restart: Any, unconverged: str
) -> Vector:
    """Generalised minimal residuals, preconditioned from the right, restarted (Saad and Schultz, 1986)."""
    n = len(b)
    m = min(restart, n)
    limit = tol * size(b)
    r = b - matvec(x)
    turns = 0
    while size(r) > limit and turns < maxiter:
        basis, h = np.zeros((m + 1, n), b.dtype), np.zeros((m + 1, m), b.dtype)
        c, s, g = np.zeros(m, b.dtype), np.zeros(m, b.dtype), np.zeros(m + 1, b.dtype)
        g[0] = size(r)
        basis[0] = r / g[0]
        j = 0
        while j < m and turns < maxiter and abs(g[j]) > limit:
            w = matvec(precondition(basis[j]))
            for i in range(j + 1):
                h[i, j] = w @ basis[i]
                w = w - h[i, j] * basis[i]
            length = size(w)
            if length > 0.0:
                basis[j + 1] = w / length
            for i in range(j):
                above, below = h[i, j], h[i + 1, j]
                h[i, j] = c[i] * above + s[i] * below
                h[i + 1, j] = c[i] * below - s[i] * above
            pivot = math.hypot(h[j, j], length)
            if pivot > 0.0:
                c[j], s[j] = h[j, j] / pivot, length / pivot
            h[j, j] = pivot
            g[j + 1] = -s[j] * g[j]
            g[j] = c[j] * g[j]
            j += 1
            turns += 1
        y = np.zeros(m, b.dtype)
        for k in range(j):
            i = j - 1 - k
            rest = sum(h[i, l] * y[l] for l in range(i + 1, j))
            y[i] = (g[i] - rest) / h[i, i] if h[i, i] > 0.0 else 0.0
        x = x + precondition(y @ basis[:m])
        r = b - matvec(x)
    ended("GMRES has not converged", turns, size(r), limit, unconverged)
    return x


def newton(
    f: Map, step: Callable[[Vector, Vector], Vector], x: Vector, tol: Any, maxiter: Any, unconverged: str
) -> Vector:
    """Newton's method with step halving; step(x, r) solves f'(x) s = r."""
    r = f(x)
    limit = tol * max(1.0, size(r))
    turns = 0
    while size(r) > limit and turns < maxiter:
        s = step(x, r)
        scale = 1.0
        after = f(x - s)
        while not size(after) < size(r) and scale > 1e-6:
            scale = 0.5 * scale
            after = f(x - scale * s)
        x = x - scale * s
        r = after
        turns += 1
    ended("Newton's method has not converged", turns, size(r), limit, unconverged)
    return x


def iterate(f: Map, x: Vector, tol: Any, maxiter: Any, unconverged: str) -> Vector:
    """x = f(x), again and again."""
    after = f(x)
    turns = 1
    while size(after - x) > tol * (1.0 + size(after)) and turns < maxiter:
        x = after
        after = f(x)
        turns += 1
    limit = tol * (1.0 + size(after))
    ended("the iteration has not converged", turns, size(after - x), limit, unconverged)
    return after


def bfgs(f: Map, gradient: Map, x: Vector, tol: Any, maxiter: Any, unconverged: str) -> Vector:
    """BFGS with a line search for Wolfe's conditions by bisection (Lewis and Overton, 2013)."""
    n = len(x)
    inverse = np.eye(n, dtype=x.dtype)
    value, g = f(x), gradient(x)
    limit = tol * max(1.0, size(g))
    turns = 0
    stuck = False
    while size(g) > limit and turns < maxiter and not stuck:
        p = -(inverse @ g)
        slope = p @ g
        low, high, t = 0.0, math.inf, 1.0
        new, after, ahead = value, x, g
        tries = 0
        searching = True
        while searching and tries < 60:
            after = x + t * p
            new = f(after)
            ahead = gradient(after)
            tries += 1
            if not new <= value + 1e-4 * t * slope:
                high = t
                t = 0.5 * (low + high)
            elif ahead @ p < 0.9 * slope:
                low = t
                t = 2.0 * low if high == math.inf else 0.5 * (low + high)
            else:
                searching = False
        s, y = after - x, ahead - g
        sy = s @ y
        if sy > 0.0:
            if turns == 0:
                inverse = inverse * (sy / (y @ y))
            hy = inverse @ y
            inverse = inverse + np.outer(s, s) * ((1.0 + (y @ hy) / sy) / sy) - (np.outer(hy, s) + np.outer(s, hy)) / sy
        stuck = searching and not size(ahead) < size(g)
        if not stuck:
            x, value, g = after, new, ahead
        turns += 1
    ended("BFGS has not converged", turns, size(g), limit, unconverged)
    return x
