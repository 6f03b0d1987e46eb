"""lstm: the loss of a network of LSTM layers whose matrices are diagonal, as in ADBench.

Layer i has weights main[i, 0] and biases main[i, 1], each four vectors: forget, in, out, change.  Its state is
state[i, 0], what it says, and state[i, 1], what it remembers.
"""

import numpy as np

import iverson as iv
from benchmarks.gradbench.evaluation import Evaluation


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def objective(main, extra, state, sequence):
    characters, b = sequence.shape
    state = state.copy()
    total = 0.0
    for t in range(characters - 1):
        x = sequence[t] * extra[0]
        for i in range(len(main)):
            weight, bias = main[i, 0], main[i, 1]
            h, c = state[i, 0], state[i, 1]
            forget = sigmoid(x * weight[0] + bias[0])
            into = sigmoid(h * weight[1] + bias[1])
            out = sigmoid(x * weight[2] + bias[2])
            change = np.tanh(h * weight[3] + bias[3])
            c = c * forget + into * change
            x = out * np.tanh(c)
            state[i, 0], state[i, 1] = x, c
        y = x * extra[1] + extra[2]
        total += np.sum(sequence[t + 1] * (y - np.log(2 + np.sum(np.exp(y)))))
    return -total / (b * (characters - 1))


def jacobian(main, extra, state, sequence):
    gradient = iv.grad(objective, argnums=(0, 1))(main, extra, state, sequence)
    return np.concatenate([g.ravel() for g in gradient])


def make(rng, layers, characters):
    shapes = {"main_params": (2 * layers, 56), "extra_params": (3, 14), "state": (2 * layers, 14)}
    parameters = {name: rng.uniform(-1, 1, shape).tolist() for name, shape in shapes.items()}
    return {**parameters, "sequence": rng.integers(0, 2, (characters, 14)).tolist()}


def arguments(data):
    main, extra, state, sequence = (
        np.array(data[name], dtype=float) for name in ("main_params", "extra_params", "state", "sequence")
    )
    b = extra.shape[1]
    return main.reshape(-1, 2, 4, b), extra, state.reshape(-1, 2, b), sequence


EVALUATION = Evaluation(
    functions={"objective": iv.jit(objective), "jacobian": iv.jit(jacobian)},
    arguments=arguments,
    make=make,
    sample=[(5, 5), (4, 5), (3, 5), (2, 5), (1, 5)],
    sizes=[(2, 1024), (4, 4096)],
)
