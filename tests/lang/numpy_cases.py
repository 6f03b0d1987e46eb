"""How the programs that test the NumPy table are listed: each is compared with NumPy itself.

case(function, inputs, *programs): `inputs` names argument lists, separated by blanks; an argument list is a
comma-separated choice of INPUTS.  Every program runs on every argument list.
"""

import numpy as np

RNG = np.random.default_rng(11)


def _with_nan(shape):
    x = RNG.normal(size=shape)
    x[RNG.uniform(size=shape) < 0.3] = np.nan
    return x


INPUTS = {
    "v": RNG.normal(size=7),
    "w": RNG.normal(size=7),
    "p": RNG.uniform(0.5, 2.0, size=7),
    "u": np.sort(RNG.normal(size=6)),
    "k": RNG.normal(size=3),
    "l": RNG.normal(size=3),
    "m": RNG.normal(size=(6, 7)),
    "q": RNG.normal(size=(6, 6)),
    "r": RNG.normal(size=(7, 5)),
    "s": RNG.normal(size=(2, 3)),
    "t": RNG.normal(size=(5, 2, 6)),
    "h": RNG.normal(size=(2, 6, 5)),
    "e": np.zeros(0),
    "em": np.zeros((0, 3)),
    "me": np.zeros((6, 0)),
    "o": np.array([1.5]),
    "oo": np.array([[2.5]]),
    "i": RNG.integers(-4, 5, 7),
    "j": RNG.integers(-3, 4, (5, 6)).astype(np.int32),
    "a": RNG.integers(0, 6, 8),
    "b": RNG.integers(0, 2, 7).astype(bool),
    "bm": RNG.integers(0, 2, (6, 7)).astype(bool),
    "f": RNG.normal(size=(6, 5)).astype(np.float32),
    "n": _with_nan((6, 7)),
    "x": 1.25,
    "c": np.float64(-0.75),
    "N": 7,
}

CASES = []


def case(function, inputs, *programs):
    for spec in inputs.split():
        args = tuple(INPUTS[name] for name in spec.split(",")) if spec != "-" else ()
        for k, program in enumerate(programs):
            CASES.append((function, f"{function.__name__}-{spec}-{k}", program, args))
