"""lstm: the loss of a network of LSTM layers whose matrices are diagonal, as in ADBench.

Layer i has weights main[2i] and biases main[2i + 1], each four vectors: forget, in, out, change.  Its state is
state[2i], what it says, and state[2i + 1], what it remembers.
"""

import numpy as np

import iverson as iv
from benchmarks.gradbench.evaluation import Evaluation


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def objective(main, extra, state, sequence):
    layers, b = len(main) // 2, extra.shape[1]
    main = main.reshape(layers, 2, 4, b)
    state = state.copy()
    total = 0.0
    for t in range(len(sequence) - 1):
        x = sequence[t] * extra[0]
        for i in range(layers):
            weight, bias = main[i, 0], main[i, 1]
            h, c = state[2 * i], state[2 * i + 1]
            forget = sigmoid(x * weight[0] + bias[0])
            into = sigmoid(h * weight[1] + bias[1])
            out = sigmoid(x * weight[2] + bias[2])
            change = np.tanh(h * weight[3] + bias[3])
            c = c * forget + into * change
            x = out * np.tanh(c)
            state[2 * i], state[2 * i + 1] = x, c
        y = x * extra[1] + extra[2]
        total += np.sum(sequence[t + 1] * (y - np.log(2 + np.sum(np.exp(y)))))
    return -total / (b * (len(sequence) - 1))


def jacobian(main, extra, state, sequence):
    gradient = iv.grad(objective, argnums=(0, 1))(main, extra, state, sequence)
    return np.concatenate([g.ravel() for g in gradient])


def make(rng, layers, characters):
    shapes = {"main_params": (2 * layers, 56), "extra_params": (3, 14), "state": (2 * layers, 14)}
    parameters = {name: rng.uniform(-1, 1, shape).tolist() for name, shape in shapes.items()}
    return {**parameters, "sequence": rng.integers(0, 2, (characters, 14)).tolist()}


EVALUATION = Evaluation(
    functions={"objective": iv.jit(objective), "jacobian": iv.jit(jacobian)},
    arguments=lambda data: tuple(
        np.array(data[name], dtype=float) for name in ("main_params", "extra_params", "state", "sequence")
    ),
    make=make,
    sample=[(3, 5), (2, 5), (1, 5)],
    sizes=[(2, 1024), (4, 4096)],
)
