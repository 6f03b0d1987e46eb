"""ht: hand tracking, as in ADBench: a hand of bones, its skin, and how far the skin is from what a camera saw.

theta is [rotation 3, translation 3, five fingers of 4 angles].
"""

import numpy as np

import iverson as iv
from benchmarks.gradbench.evaluation import Evaluation


def about_axes(x, z, y):
    """The matrix of a rotation about x, then y, then z, in homogeneous coordinates."""
    cx, cy, cz = np.cos(x), np.cos(y), np.cos(z)
    sx, sy, sz = np.sin(x), np.sin(y), np.sin(z)
    return np.array([
        [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx, 0.0],
        [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx, 0.0],
        [-sy, cy * sx, cy * cx, 0.0],
        [0.0, 0.0, 0.0, 1.0],
    ])  # fmt: skip


def about(r):
    """The matrix of a rotation by the angle |r| about r."""
    norm = np.sqrt(r @ r)
    if norm < 1e-4:
        return np.eye(3)
    x, y, z = r / norm
    s, c = np.sin(norm), np.cos(norm)
    return np.array([
        [x * x + (1 - x * x) * c, x * y * (1 - c) - z * s, x * z * (1 - c) + y * s],
        [x * y * (1 - c) + z * s, y * y + (1 - y * y) * c, y * z * (1 - c) - x * s],
        [x * z * (1 - c) - y * s, z * y * (1 - c) + x * s, z * z + (1 - z * z) * c],
    ])  # fmt: skip


def bone_angles(theta, bones):
    """Three angles a bone: two for the first joint of a finger, one for each of the next two, none for others."""
    angles = np.zeros((bones, 3))
    for finger in range(5):
        joint, at = 2 + 4 * finger, 6 + 4 * finger
        angles[joint, 0], angles[joint, 1] = theta[at], theta[at + 1]
        angles[joint + 1, 0] = theta[at + 2]
        angles[joint + 2, 0] = theta[at + 3]
    return angles


def skin(theta, model):
    """Where the vertices are: the bones' transforms, blended by their weights, then the hand's."""
    bones = len(model["parents"])
    angles = bone_angles(theta, bones)
    absolute = np.zeros((bones, 4, 4))
    for b in range(bones):
        relative = model["base_relatives"][b] @ about_axes(angles[b, 0], angles[b, 1], angles[b, 2])
        parent = model["parents"][b]
        absolute[b] = relative if parent < 0 else absolute[parent] @ relative
    transforms = absolute @ model["inverse_base_absolutes"]
    base, weights = model["base_positions"], model["weights"]

    def position(v):
        blended = [[sum(weights[v, b] * transforms[b, i, j] for b in range(bones)) for j in range(4)] for i in range(3)]
        return [sum(blended[i][j] * base[v, j] for j in range(4)) for i in range(3)]

    positions = np.array([position(v) for v in range(len(base))])
    if model["is_mirrored"]:
        positions[:, 0] *= -1.0
    return positions @ about(theta[0:3]).T + theta[3:6]


def simple(theta, data):
    positions = skin(theta, data["model"])
    return data["points"] - positions[data["correspondences"]]


def complicated(theta, us, data):
    positions = skin(theta, data["model"])
    a, b, c = data["model"]["triangles"][data["correspondences"]].T
    u, v = us[:, 0:1], us[:, 1:2]
    return data["points"] - (u * positions[a] + v * positions[b] + (1 - u - v) * positions[c])


def objective(theta, us, data):
    errors = simple(theta, data) if us is None else complicated(theta, us, data)
    return errors.ravel()


def jacobian(theta, us, data):
    if us is None:
        return iv.jacfwd(objective)(theta, us, data)

    def shifted(z):
        """An error depends on its own pair of us alone: one shift of all pairs gives every error its two columns."""
        return objective(z[2:], us + z[:2], data)

    return iv.jacfwd(shifted)(np.concatenate([np.zeros(2), theta]))


FLOATS = ("base_relatives", "inverse_base_absolutes", "base_positions", "weights")


def arguments(data):
    model, us = data["data"]["model"], data["us"]
    read = {
        **{name: np.array(model[name], dtype=float) for name in FLOATS},
        "parents": np.array(model["parents"]),
        "triangles": np.array(model["triangles"]),
        "is_mirrored": bool(model["is_mirrored"]),
    }
    seen = {
        "model": read,
        "correspondences": np.array(data["data"]["correspondences"]),
        "points": np.array(data["data"]["points"]),
    }
    return np.array(data["theta"]), np.array(us) if us else None, seen


def make(rng, vertices, n, complicated, mirrored=False):
    bones = 22
    model = {
        "bone_count": bones,
        "parents": [-1, *(int(rng.integers(0, b)) for b in range(1, bones))],
        "base_relatives": (np.eye(4) + 0.1 * rng.normal(size=(bones, 4, 4))).tolist(),
        "inverse_base_absolutes": (np.eye(4) + 0.1 * rng.normal(size=(bones, 4, 4))).tolist(),
        "base_positions": np.hstack([rng.normal(size=(vertices, 3)), np.ones((vertices, 1))]).tolist(),
        "weights": rng.dirichlet(np.ones(bones), size=vertices).tolist(),
        "triangles": rng.integers(0, vertices, size=(2 * vertices, 3)).tolist(),
        "is_mirrored": mirrored,
    }
    correspondences = rng.integers(0, 2 * vertices if complicated else vertices, size=n)
    data = {"model": model, "correspondences": correspondences.tolist(), "points": rng.normal(size=(n, 3)).tolist()}
    us = rng.uniform(size=(n, 2)).tolist() if complicated else []
    return {"theta": rng.normal(size=26).tolist(), "data": data, "us": us}


EVALUATION = Evaluation(
    functions={"objective": iv.jit(objective), "jacobian": iv.jit(jacobian)},
    arguments=arguments,
    make=make,
    sample=[(6, 5, c, mirrored) for c in (False, True) for mirrored in (False, True)],
    sizes=[(544, 192, False), (544, 192, True), (10_000, 10_000, True)],
)
