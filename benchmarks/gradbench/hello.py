"""hello: the square of a number, and its derivative."""

import iverson as iv
from benchmarks.gradbench.evaluation import Evaluation


def square(x):
    return x * x


EVALUATION = Evaluation(
    functions={"square": iv.jit(square), "double": iv.grad(square)},
    arguments=lambda x: (float(x),),
    make=lambda rng: rng.normal(),
    sample=[()],
    sizes=[()],
)
