"""kmeans: the cost of a clustering, and one step of Newton's method: the Hessian of the cost is diagonal."""

import numpy as np

import iverson as iv
from benchmarks.gradbench.evaluation import Evaluation


def cost(points, centroids):
    n, d = points.shape
    k = len(centroids)
    return sum(min(sum((centroids[j, a] - points[i, a]) ** 2 for a in range(d)) for j in range(k)) for i in range(n))


def direction(points, centroids):
    gradient = iv.grad(lambda c: cost(points, c))
    slope, curvature = iv.jvp(gradient, (centroids,), (np.ones_like(centroids),))
    return slope / curvature


def make(rng, k, n, d):
    points = rng.normal(size=(n, d)).tolist()
    return {"points": points, "centroids": points[-k:]}


EVALUATION = Evaluation(
    functions={"cost": iv.jit(cost), "dir": iv.jit(direction)},
    arguments=lambda data: (np.array(data["points"]), np.array(data["centroids"])),
    make=make,
    sample=[(5, 6, 5)],
    sizes=[(100, 10_000, 16), (1000, 10_000, 16)],
)
