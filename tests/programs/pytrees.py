"""Structured arguments and results: tuples, lists, dicts, named tuples, dataclasses with methods."""

import dataclasses
import math
import typing

import numpy as np

from .registry import program


class State(typing.NamedTuple):
    position: np.ndarray
    velocity: np.ndarray
    time: float


@dataclasses.dataclass
class Layer:
    weight: np.ndarray
    bias: np.ndarray

    def __call__(self, x):
        return np.tanh(x @ self.weight + self.bias)


@dataclasses.dataclass
class Oscillator:
    mass: float
    stiffness: float

    def force(self, x):
        return -self.stiffness * x

    @property
    def frequency(self):
        return math.sqrt(self.stiffness / self.mass)

    def step(self, x, v, dt):
        v = v + dt * self.force(x) / self.mass
        return x + dt * v, v


@program(
    args=lambda n, rng: ({"w": rng.normal(size=(n, 3)), "b": 0.5}, rng.normal(size=n)),
    wrt=(0, 1),
    tags="pytree contraction",
)
def dict_of_parameters(p, x):
    hidden = x @ p["w"] + p["b"]
    return {"hidden": hidden, "loss": np.sum(hidden**2), "nested": {"b": p["b"] * 2.0}}


@program(
    args=lambda n, rng: (
        [(rng.normal(size=(3, 4)), rng.normal(size=4)), (rng.normal(size=(4, 2)), rng.normal(size=2))],
        rng.normal(size=(n, 3)),
    ),
    wrt=(0, 1),
    tags="pytree unroll contraction numpy",
)
def multilayer_perceptron(layers, x):
    for weight, bias in layers[:-1]:
        x = np.maximum(x @ weight + bias, 0.0)
    weight, bias = layers[-1]
    return x @ weight + bias


@program(
    args=lambda n, rng: (
        [Layer(rng.normal(size=(3, 3)), rng.normal(size=3)) for _ in range(2)],
        rng.normal(size=(n, 3)),
    ),
    wrt=(0, 1),
    tags="pytree call unroll contraction",
)
def layers_as_objects(layers, x):
    for layer in layers:
        x = x + layer(x)
    return x, [layer.bias.sum() for layer in layers]


@program(
    args=lambda n, rng: (State(rng.normal(size=n), rng.normal(size=n), 0.0), 4), wrt=(0,), tags="pytree loop recurrence"
)
def named_tuple_state(state, steps):
    for _ in range(steps):
        velocity = state.velocity - 0.1 * np.sin(state.position)
        state = State(state.position + 0.1 * velocity, velocity, state.time + 0.1)
    return state._replace(time=state.time * 2.0)


@program(args=lambda n, rng: (Oscillator(1.5, 2.5), 1.0, 0.2, n), wrt=(0, 1, 2), tags="pytree call loop recurrence")
def object_with_methods(oscillator, x, v, steps):
    for _ in range(steps):
        x, v = oscillator.step(x, v, 0.05)
    return x, v, oscillator.frequency


@program(
    args=lambda n, rng: (rng.normal(size=n), (rng.normal(size=n), [0.3, rng.normal(size=2)])), wrt=(0, 1), tags="pytree"
)
def nested_tuples(x, rest):
    y, (a, pair) = rest
    first, *others = pair
    return (x * a, [y + first, (others[0], a)]), y @ x


@program(args=lambda n, rng: (rng.normal(size=(n, 2)),), wrt=(0,), tags="pytree comprehension minmax loop")
def tuples_in_loops(points):
    low, high = (1e3, 1e3), (-1e3, -1e3)
    for x, y in points:
        low = (min(low[0], x), min(low[1], y))
        high = (max(high[0], x), max(high[1], y))
    return {"low": low, "high": high}


@program(
    args=lambda n, rng: ({"m": rng.normal(size=n), "v": rng.uniform(0.5, 1.5, size=n)}, rng.normal(size=n), 3),
    wrt=(0, 1),
    tags="pytree loop update recurrence",
)
def adam_state(state, gradient, steps):
    x = np.zeros(len(gradient))
    for t in range(1, steps + 1):
        state = {"m": 0.9 * state["m"] + 0.1 * gradient, "v": 0.99 * state["v"] + 0.01 * gradient**2}
        x -= 0.1 * state["m"] / (1.0 - 0.9**t) / (np.sqrt(state["v"] / (1.0 - 0.99**t)) + 1e-3)
    return x, state


@program(
    args=lambda n, rng: ([rng.normal(size=n), rng.normal(size=n + 1)],),
    wrt=(0,),
    mutates=(0,),
    tags="pytree mutation update unroll",
)
def mutate_arrays_in_a_list(arrays):
    for k, a in enumerate(arrays):
        a *= k + 2.0
        a[-1:] += 1.0
    return len(arrays)


@program(
    args=lambda n, rng: ({"x": rng.normal(size=n), "log": np.zeros(n)},),
    wrt=(0,),
    mutates=(0,),
    tags="pytree mutation loop inplace",
)
def mutate_arrays_in_a_dict(state):
    for i in range(len(state["x"])):
        state["log"][i] = state["x"][i] ** 2
        state["x"][i] *= 0.5


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), tags="pytree comprehension unroll")
def list_operations(x):
    parts = [x * 2.0, x + 1.0]
    parts.append(np.sin(x))
    parts += [x[::-1]]
    table = {name: part.sum() for name, part in zip(("a", "b", "c", "d"), parts)}
    first, second = parts[0], parts[-1]
    return first + second, table, [part for k, part in enumerate(parts) if k % 2 == 1]


@program(
    args=lambda n, rng: ({"W": [rng.normal(size=n), rng.normal(size=n)], "learning rate": 0.1}, 3),
    wrt=(0,),
    tags="pytree update unroll loop",
)
def parts_by_constant_keys(p, steps):
    velocity = {"W": [np.zeros_like(w) for w in p["W"]]}
    for _ in range(steps):
        for key in ("W",):
            for k in range(2):
                velocity[key][k] = 0.9 * velocity[key][k] + p["learning rate"] * np.sin(p["W"][k])
    return velocity["W"][0] * velocity["W"][1]


@program(args=lambda n, rng: (rng.normal(size=n), 0.7), wrt=(0, 1), tags="loop")
def names_of_other_alphabets(α, λ):
    Σ = 0.0
    for i in range(len(α)):
        Σ += λ * α[i] ** 2
    return Σ * λ
