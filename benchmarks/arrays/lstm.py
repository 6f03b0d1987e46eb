"""LSTM: the loss of a layer with full matrices over a batch of sequences.

The gates' weights stand side by side: forget, in, out, change.  GradBench's network has diagonal matrices instead.
"""

from __future__ import annotations

import numpy as np


def program(weights, recurrent, bias, readout, inputs, targets):
    """`inputs[t, b]` and `targets[t, b]` are vectors; the loss is the mean of squares."""

    def sigmoid(x):
        return 1.0 / (1.0 + np.exp(-x))

    turns, batch, _ = inputs.shape
    hidden = recurrent.shape[0]
    h, c = np.zeros((batch, hidden)), np.zeros((batch, hidden))
    loss = 0.0
    for t in range(turns):
        gates = inputs[t] @ weights + h @ recurrent + bias
        forget, into = sigmoid(gates[:, :hidden]), sigmoid(gates[:, hidden : 2 * hidden])
        out, change = sigmoid(gates[:, 2 * hidden : 3 * hidden]), np.tanh(gates[:, 3 * hidden :])
        c = forget * c + into * change
        h = out * np.tanh(c)
        error = h @ readout - targets[t]
        loss = loss + np.sum(error * error)
    return loss / (turns * batch)


def jax_program():
    import jax
    import jax.numpy as jnp
    from jax import lax

    def program(weights, recurrent, bias, readout, inputs, targets):
        turns, batch, _ = inputs.shape
        hidden = recurrent.shape[0]

        def turn(state, given):
            h, c = state
            x, target = given
            forget, into, out, change = jnp.split(x @ weights + h @ recurrent + bias, 4, axis=1)
            c = jax.nn.sigmoid(forget) * c + jax.nn.sigmoid(into) * jnp.tanh(change)
            h = jax.nn.sigmoid(out) * jnp.tanh(c)
            return (h, c), jnp.sum((h @ readout - target) ** 2)

        start = jnp.zeros((batch, hidden)), jnp.zeros((batch, hidden))
        return jnp.sum(lax.scan(turn, start, (inputs, targets))[1]) / (turns * batch)

    return program


def torch_program():
    import torch

    def program(weights, recurrent, bias, readout, inputs, targets):
        turns, batch, _ = inputs.shape
        hidden = recurrent.shape[0]
        h, c, loss = torch.zeros(batch, hidden).double(), torch.zeros(batch, hidden).double(), 0.0
        for t in range(turns):
            forget, into, out, change = torch.split(inputs[t] @ weights + h @ recurrent + bias, hidden, dim=1)
            c = torch.sigmoid(forget) * c + torch.sigmoid(into) * torch.tanh(change)
            h = torch.sigmoid(out) * torch.tanh(c)
            loss = loss + ((h @ readout - targets[t]) ** 2).sum()
        return loss / (turns * batch)

    return program


def arguments(hidden: int):
    rng = np.random.default_rng(26)
    turns, batch, inputs, outputs = (20, 64, 80, 32) if hidden > 10 else (3, 2, 6, 5)

    def scaled(*shape: int) -> np.ndarray:
        return rng.normal(size=shape) / np.sqrt(shape[0])

    return (
        scaled(inputs, 4 * hidden),
        scaled(hidden, 4 * hidden),
        0.1 * rng.normal(size=4 * hidden),
        scaled(hidden, outputs),
        rng.normal(size=(turns, batch, inputs)),
        rng.normal(size=(turns, batch, outputs)),
    )
