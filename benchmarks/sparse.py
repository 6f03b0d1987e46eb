"""`python -m benchmarks.sparse`: sparse Hessians and Jacobians beside what their parts cost.

Hessian: an energy on a 1000 x 1000 grid (5-point stencil), against colours x the time of its gradient.  Jacobian: a
bundle adjustment (15 inputs a residual, found through indices), against the same products written by hand: the unit
vectors of each colour known beforehand, one `iv.jvp` for each, entries picked by NumPy.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse

import iverson as iv
from benchmarks.__main__ import medians


def energy(u):
    """Of the Bratu problem -div((1 + u²) grad u) = 2 exp(u), discretised with forward differences."""
    n, m = u.shape
    h2 = 1.0 / (n * m)
    inside = sum(u[i, j] ** 2 * 0.5e-6 - 2.0 * h2 * np.exp(u[i, j]) for i in range(n) for j in range(m))
    down = sum((u[i + 1, j] - u[i, j]) ** 2 * (1.0 + u[i, j] ** 2) for i in range(n - 1) for j in range(m))
    right = sum((u[i, j + 1] - u[i, j]) ** 2 * (1.0 + u[i, j] ** 2) for i in range(n) for j in range(m - 1))
    return inside + 0.5 * down + 0.5 * right


def project(camera, point):
    """A point in a camera of 11 parameters: Rodrigues rotation 0-2, centre 3-5, focal length 6, principal point 7-8,
    radial distortion 9-10."""
    x, y, z = point[0] - camera[3], point[1] - camera[4], point[2] - camera[5]
    a, b, c = camera[0], camera[1], camera[2]
    square = a * a + b * b + c * c + 1e-12
    theta = np.sqrt(square)
    cosine, sine = np.cos(theta), np.sin(theta) / theta
    dot = (a * x + b * y + c * z) * (1.0 - cosine) / square
    p = x * cosine + sine * (b * z - c * y) + a * dot
    q = y * cosine + sine * (c * x - a * z) + b * dot
    r = z * cosine + sine * (a * y - b * x) + c * dot
    u, v = p / r, q / r
    radius = u * u + v * v
    factor = camera[6] * (1.0 + radius * (camera[9] + radius * camera[10]))
    return factor * u + camera[7], factor * v + camera[8]


def bundle(cameras, points, weights, camera_of, point_of, seen):
    """Reprojection errors [observations, 2]."""
    p = len(weights)
    errors = np.empty((p, 2))
    for k in range(p):
        u, v = project(cameras[camera_of[k]], points[point_of[k]])
        errors[k, 0] = weights[k] * (u - seen[k, 0])
        errors[k, 1] = weights[k] * (v - seen[k, 1])
    return errors


def scene(cameras: int, points: int, observations: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    return (
        rng.normal(size=(cameras, 11)) * 0.1 + np.array([0, 0, 0, 0, 0, -5, 1, 0, 0, 0, 0]),
        rng.normal(size=(points, 3)),
        rng.uniform(0.5, 1.0, observations),
        rng.integers(0, cameras, observations),
        rng.integers(0, points, observations),
        rng.normal(size=(observations, 2)),
    )


def by_hand(args: tuple[Any, ...]) -> Callable[[], Any]:
    """The Jacobian from 15 products with seeds that are known: camera parameter k, point coordinate k, the weight."""
    cameras, points, weights, camera_of, point_of, _ = args
    seeds = []
    for k in range(15):
        seed = [np.zeros_like(x) for x in (cameras, points, weights)]
        if k < 11:
            seed[0][:, k] = 1.0
        elif k < 14:
            seed[1][:, k - 11] = 1.0
        else:
            seed[2][:] = 1.0
        seeds.append(seed)

    @iv.jit
    def product(cameras, points, weights, camera_of, point_of, seen, dc, dp, dw):
        def residual(c, p, w):
            return bundle(c, p, w, camera_of, point_of, seen)

        return iv.jvp(residual, (cameras, points, weights), (dc, dp, dw))[1]

    p = len(weights)
    first = cameras.size + 3 * point_of
    columns = np.concatenate(
        [11 * camera_of[:, None] + np.arange(11), first[:, None] + np.arange(3),
         (cameras.size + points.size + np.arange(p))[:, None]], axis=1
    )  # fmt: skip
    indices = np.repeat(columns, 2, axis=0).ravel()
    starts = np.arange(0, 30 * p + 1, 15)
    shape = 2 * p, cameras.size + points.size + p

    def jacobian() -> Any:
        data = np.empty((2 * p, 15))
        for k, seed in enumerate(seeds):
            data[:, k] = product(*args, *seed).ravel()
        return scipy.sparse.csr_array((data.ravel(), indices, starts), shape=shape)

    return jacobian


def timed(what: str, call: Callable[[], Any]) -> Any:
    begin = time.perf_counter()
    result = call()
    print(f"  {what:42s} {time.perf_counter() - begin:8.2f} s", flush=True)
    return result


def hessian(n: int) -> None:
    u = np.random.default_rng(0).normal(size=(n, n)) * 0.1
    gradient, H = iv.grad(energy), iv.hessian(energy, sparsity="auto")
    print(f"energy on a grid, {n * n} variables")
    timed("gradient, first call", lambda: gradient(u))
    timed("Hessian, first call: pattern, colours", lambda: H(u))
    colours = H.colours(u)
    slope, sparse = medians([lambda: gradient(u), lambda: H(u)], 2.0)
    print(f"  gradient {1e3 * slope:.1f} ms, Hessian {1e3 * sparse:.1f} ms with {colours} colours")
    print(f"  Hessian / (colours x gradient)  {sparse / (colours * slope):.2f}   (bar: 3)")


def bundle_adjustment(cameras: int, points: int, observations: int) -> None:
    args = scene(cameras, points, observations)
    J, hand = iv.jacobian(bundle, argnums=(0, 1, 2), sparsity="auto"), by_hand(args)
    print(f"bundle adjustment, {cameras} cameras, {points} points, {observations} observations")
    found = timed("Jacobian, first call: pattern, colours", lambda: J(*args))
    difference = abs(found - timed("by hand, first call", hand)).max()
    assert difference < 1e-9, difference
    sparse, written = medians([lambda: J(*args), hand], 2.0)
    print(f"  Jacobian {1e3 * sparse:.1f} ms with {J.colours(*args)} colours, by hand {1e3 * written:.1f} ms")
    print(f"  Jacobian / by hand  {sparse / written:.2f}   (bar: 2)")


if __name__ == "__main__":
    small = "small" in sys.argv
    hessian(100 if small else 1000)
    bundle_adjustment(*((5, 100, 500) if small else (50, 10_000, 100_000)))
