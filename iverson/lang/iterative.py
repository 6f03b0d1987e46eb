"""Iterations towards a solution, as plain Python on vectors: staged like a user's functions, or run as they are.

    cg, gmres       matvec(x) = b
    newton          f(x) = 0
    iterate         x = f(x)
    anderson        x = f(x), extrapolated from the last steps
    bfgs, lbfgs     a minimum of f

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
Both = Callable[[Vector], Any]  # x -> (value, gradient)

MEMORY = 10  # steps that Anderson extrapolates from, pairs that L-BFGS keeps
SUFFICIENT, CURVATURE = 1e-4, 0.9  # the constants of Wolfe's conditions


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


def anderson(f: Map, x: Vector, tol: Any, maxiter: Any, unconverged: str) -> Vector:
    """The combination of the last f(x) whose residuals combine to the least (Walker and Ni, 2011).

    The least squares problem by its normal equations, slightly regularised.
    """
    n = len(x)
    points, residuals = np.zeros((MEMORY, n), x.dtype), np.zeros((MEMORY, n), x.dtype)
    small = 1e3 * np.finfo(x.dtype).eps
    after = f(x)
    turns = 1
    while size(after - x) > tol * (1.0 + size(after)) and turns < maxiter:
        last = (turns - 1) % MEMORY
        points[last] = after
        residuals[last] = after - x
        known = min(turns, MEMORY)
        gram, ones = np.eye(MEMORY, dtype=x.dtype), np.zeros(MEMORY, x.dtype)
        trace = sum(residuals[i] @ residuals[i] for i in range(known))
        for i in range(known):
            ones[i] = 1.0
            for j in range(known):
                gram[i, j] = residuals[i] @ residuals[j] / trace
            gram[i, i] += small
        weights = np.linalg.solve(gram, ones)
        x = weights @ points / np.sum(weights)
        after = f(x)
        turns += 1
    limit = tol * (1.0 + size(after))
    ended("Anderson's iteration has not converged", turns, size(after - x), limit, unconverged)
    return after


# --- minima -----------------------------------------------------------------------------------------------------------


def bfgs(both: Both, x: Vector, tol: Any, maxiter: Any, unconverged: str) -> Vector:
    """BFGS (Nocedal and Wright 2006, algorithm 6.1)."""
    one = np.eye(len(x), dtype=x.dtype)
    value, g = both(x)
    limit = tol * max(1.0, size(g))
    inverse = one / max(size(g), np.finfo(x.dtype).tiny)
    turns = 0
    moved = True
    while size(g) > limit and turns < maxiter and moved:
        d = -(inverse @ g)
        if not g @ d < 0.0:
            inverse, d = one, -g
        step, value, ahead = wolfe(both, x, d, value, g)
        s, y = step * d, ahead - g
        sy = s @ y
        if bends(s, y, sy):
            if turns == 0:
                inverse = one * (sy / (y @ y))
            hy = inverse @ y
            inverse = inverse + np.outer(s, s) * ((1.0 + (y @ hy) / sy) / sy) - (np.outer(hy, s) + np.outer(s, hy)) / sy
        moved = step > 0.0
        x, g = x + s, ahead
        turns += 1
    ended("BFGS has not converged", turns, size(g), limit, unconverged)
    return x


def lbfgs(both: Both, x: Vector, tol: Any, maxiter: Any, unconverged: str) -> Vector:
    """BFGS with limited memory (Nocedal and Wright, algorithms 7.4 and 7.5)."""
    n = len(x)
    steps, changes = np.zeros((MEMORY, n), x.dtype), np.zeros((MEMORY, n), x.dtype)
    weights, scales = np.zeros(MEMORY, x.dtype), np.ones(MEMORY, x.dtype)
    value, g = both(x)
    limit = tol * max(1.0, size(g))
    pairs = turns = 0
    moved = True
    while size(g) > limit and turns < maxiter and moved:
        d = -g
        oldest = max(pairs - MEMORY, 0)
        for m in range(pairs - 1, oldest - 1, -1):
            i = m % MEMORY
            weights[i] = steps[i] @ d / scales[i]
            d = d - weights[i] * changes[i]
        if pairs > 0:
            last = (pairs - 1) % MEMORY
            d = d * (scales[last] / (changes[last] @ changes[last]))
        else:
            d = d / size(d)
        for m in range(oldest, pairs):
            i = m % MEMORY
            d = d + (weights[i] - changes[i] @ d / scales[i]) * steps[i]
        if not g @ d < 0.0:
            d, pairs = -g, 0
        step, value, ahead = wolfe(both, x, d, value, g)
        s, y = step * d, ahead - g
        sy = s @ y
        if bends(s, y, sy):
            steps[pairs % MEMORY], changes[pairs % MEMORY] = s, y
            scales[pairs % MEMORY] = sy
            pairs += 1
        moved = step > 0.0
        x, g = x + s, ahead
        turns += 1
    ended("L-BFGS has not converged", turns, size(g), limit, unconverged)
    return x


def bends(s: Vector, y: Vector, sy: Any) -> Any:
    """Whether the function is convex along a step, beyond rounding."""
    return sy > 0.1 * np.finfo(s.dtype).eps * size(s) * size(y)


def wolfe(both: Both, x: Vector, d: Vector, value: Any, g: Vector) -> Any:
    """(step, value, gradient) where the strong Wolfe conditions hold along d; given are value and gradient at x.

    Bracketing, then cubic interpolation (Nocedal and Wright, algorithms 3.5 and 3.6).  Values are compared up to their
    rounding, so that slopes decide where the function is flat to the last bit.
    """
    slope = g @ d
    rounding = 4.0 * np.finfo(x.dtype).eps * abs(value)
    low, low_value, low_slope, low_g = 0.0, value, slope, g
    high, high_value, high_slope = 0.0, value, slope
    step = 1.0
    bracketed = found = False
    tries = 0
    while not found and tries < 40:
        here, ahead = both(x + step * d)
        steep = ahead @ d
        if not here <= value + SUFFICIENT * step * slope + rounding or (tries > 0 and here > low_value + rounding):
            high, high_value, high_slope = step, here, steep
            bracketed = True
        else:
            found = abs(steep) <= -CURVATURE * slope
            if (steep * (high - low) >= 0.0) if bracketed else (steep >= 0.0):
                high, high_value, high_slope = low, low_value, low_slope
                bracketed = True
            low, low_value, low_slope, low_g = step, here, steep, ahead
        if not found:
            step = between(low, low_value, low_slope, high, high_value, high_slope) if bracketed else 2.0 * step
        tries += 1
    return low, low_value, low_g


def between(a: Any, fa: Any, da: Any, b: Any, fb: Any, db: Any) -> Any:
    """Where the cubic through two points and slopes is least, kept off the ends; the middle, if it isn't in between."""
    first = da + db - 3.0 * (fa - fb) / (a - b)
    square = first * first - da * db
    root = math.sqrt(max(square, 0.0))
    if b < a:
        root = -root
    bottom = db - da + 2.0 * root
    at = b - (b - a) * (db + root - first) / (bottom if bottom != 0.0 else 1.0)
    margin = 0.1 * abs(b - a)
    inside = min(a, b) + margin <= at and at <= max(a, b) - margin
    return at if inside and square >= 0.0 and bottom != 0.0 else 0.5 * (a + b)
