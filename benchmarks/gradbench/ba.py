"""ba: bundle adjustment, as in ADBench: what cameras see of points, and the sparse Jacobian of the errors.

A camera is [rotation 3, centre 3, focal length, principal point 2, distortion 2].  An observation is a pair: a camera
and the point that it sees; it has a weight, and a feature, where in the image the point was seen.
"""

import numpy as np

import iverson as iv
from benchmarks.gradbench.evaluation import Evaluation

CAMERA = 11


def rotate(r, v):
    """v turned by the angle |r| about r (Rodrigues)."""
    square = r @ r
    if square == 0.0:
        return v + np.cross(r, v)
    angle = np.sqrt(square)
    axis = r / angle
    cosine = np.cos(angle)
    return v * cosine + np.cross(axis, v) * np.sin(angle) + axis * (axis @ v) * (1 - cosine)


def project(camera, point):
    x, y, z = rotate(camera[0:3], point - camera[3:6])
    p = np.array([x / z, y / z])
    square = p @ p
    return p * (1 + camera[9] * square + camera[10] * square**2) * camera[6] + camera[7:9]


def reprojection(camera, point, weight, feature):
    return weight * (project(camera, point) - feature)


def excess(weight):
    return 1 - weight**2


def objective(cameras, points, weights, observations, features):
    p = len(observations)
    errors = [
        reprojection(cameras[observations[i, 0]], points[observations[i, 1]], weights[i], features[i]) for i in range(p)
    ]
    return errors, [excess(weights[i]) for i in range(p)]


def jacobian(cameras, points, weights, observations, features):
    """The Jacobian in compressed rows: where the rows start, columns, values."""
    p = len(observations)
    point_columns = CAMERA * len(cameras)
    weight_columns = point_columns + 3 * len(points)
    derivatives = iv.jacrev(reprojection, argnums=(0, 1, 2))
    rows, cols, vals = np.empty(3 * p + 1, dtype=int), np.empty(31 * p, dtype=int), np.empty(31 * p)
    for i in range(p):
        c, q = observations[i]
        camera = np.array([cameras[c, a] for a in range(CAMERA)])
        of_camera, of_point, of_weight = derivatives(camera, points[q], weights[i], features[i])
        values = np.concatenate([of_camera, of_point, of_weight[:, None]], axis=1)
        columns = np.concatenate(
            [CAMERA * c + np.arange(CAMERA), point_columns + 3 * q + np.arange(3), [weight_columns + i]]
        )
        for r in range(2):
            at = 30 * i + 15 * r
            rows[2 * i + r] = at
            cols[at : at + 15] = columns
            vals[at : at + 15] = values[r]
    for i in range(p):
        at = 30 * p + i
        rows[2 * p + i], cols[at], vals[at] = at, weight_columns + i, iv.grad(excess)(weights[i])
    rows[3 * p] = 31 * p
    return rows, cols, vals


def arguments(data):
    """One camera, point, weight and feature, repeated; of that no use is made."""
    n, m, p = data["n"], data["m"], data["p"]
    observations = np.stack([np.arange(p) % n, np.arange(p) % m], axis=1)
    return (
        np.tile(data["cam"], (n, 1)),
        np.tile(data["x"], (m, 1)),
        np.full(p, float(data["w"])),
        observations,
        np.tile(data["feat"], (p, 1)),
    )


def make(rng, n, m, p):
    camera = [*rng.uniform(-1, 1, 3), 30.0, 40.0, 50.0, 400.0, *rng.uniform(-9, 9, 2), *rng.uniform(0, 0.1, 2)]
    return {"n": n, "m": m, "p": p, "cam": camera, "x": rng.uniform(0, 5, 3).tolist(),
            "w": rng.uniform(), "feat": rng.uniform(0, 900, 2).tolist()}  # fmt: skip


EVALUATION = Evaluation(
    functions={"objective": iv.jit(objective), "jacobian": iv.jit(jacobian)},
    arguments=arguments,
    make=make,
    sample=[(5, 6, 7)],
    sizes=[(49, 7776, 31843), (257, 65132, 225911)],
    output={
        "objective": lambda result: {
            "reproj_error": {"elements": result[0][0].tolist(), "repeated": len(result[0])},
            "w_err": {"element": float(result[1][0]), "repeated": len(result[1])},
        },
        "jacobian": lambda result: {
            name: [*x[:30].tolist(), x[-1].item()] for name, x in zip(("rows", "cols", "vals"), result, strict=True)
        },
    },
)
