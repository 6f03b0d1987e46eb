"""RSBench-like: macroscopic cross sections of neutrons by the multipole method: poles instead of tables.

A nuclide's energies are divided into windows; a window has a fitted background and some poles, complex numbers with
residues.  A look-up sums over the nuclides of its material and the poles of their windows.  What is differentiated is a
weighted sum over many look-ups, in the poles (place, residues of total, absorption and fission) and in the backgrounds.
"""

from __future__ import annotations

import math

import numpy as np

from benchmarks.arrays.xsbench import in_materials
from benchmarks.kernels.registry import hand

MOMENTA = 4  # of the neutron: what a pole's residues are turned by


def phases(radius, root):
    """exp(-2 i φ_l), l = 0 to 3: φ_l is the phase of a hard sphere at that momentum; `root` is the energy's root."""
    x = radius * root
    turn = [
        x,
        x - math.atan(x),
        x - math.atan(3.0 * x / (3.0 - x * x)),
        x - math.atan(x * (15.0 - x * x) / (15.0 - 6.0 * x * x)),
    ]
    return np.array([complex(math.cos(2.0 * a), -math.sin(2.0 * a)) for a in turn])


def program(poles, background, radii, momenta, windows, starts, nuclides, concentrations, energies, materials, weights):
    """`poles[n, p]` are real and imaginary parts of a place and three residues."""
    count = background.shape[1]
    total = 0.0
    for q in range(len(energies)):
        energy = energies[q]
        root = math.sqrt(energy)
        window = min(int(energy * count), count - 1)
        for j in range(starts[materials[q]], starts[materials[q] + 1]):
            n = nuclides[j]
            turned = phases(radii[n], root)
            section = energy * background[n, window]
            for p in range(windows[n, window], windows[n, window + 1]):
                place = complex(poles[n, p, 0], poles[n, p, 1])
                share = 1j / (place - root) / energy
                spin = share * turned[momenta[n, p]]
                section[0] += (complex(poles[n, p, 2], poles[n, p, 3]) * spin).real
                section[1] += (complex(poles[n, p, 4], poles[n, p, 5]) * share).real
                section[2] += (complex(poles[n, p, 6], poles[n, p, 7]) * share).real
            total += concentrations[j] * (weights[0] * section[0] + weights[1] * section[1] + weights[2] * section[2])
    return total


@hand
def turned_by(momentum, x):
    turn = x
    if momentum == 1:
        turn = x - math.atan(x)
    elif momentum == 2:
        turn = x - math.atan(3.0 * x / (3.0 - x * x))
    elif momentum == 3:
        turn = x - math.atan(x * (15.0 - x * x) / (15.0 - 6.0 * x * x))
    return complex(math.cos(2.0 * turn), -math.sin(2.0 * turn))


@hand
def loops(poles, background, radii, momenta, windows, starts, nuclides, concentrations, energies, materials, weights):
    count = background.shape[1]
    turned = np.empty(4, dtype=np.complex128)
    total = 0.0
    for q in range(len(energies)):
        energy = energies[q]
        root = math.sqrt(energy)
        window = min(int(energy * count), count - 1)
        for j in range(starts[materials[q]], starts[materials[q] + 1]):
            n = nuclides[j]
            for l in range(4):
                turned[l] = turned_by(l, radii[n] * root)
            sum0, sum1, sum2 = 0.0, 0.0, 0.0
            for p in range(windows[n, window], windows[n, window + 1]):
                share = 1j / (complex(poles[n, p, 0], poles[n, p, 1]) - root) / energy
                sum0 += (complex(poles[n, p, 2], poles[n, p, 3]) * (share * turned[momenta[n, p]])).real
                sum1 += (complex(poles[n, p, 4], poles[n, p, 5]) * share).real
                sum2 += (complex(poles[n, p, 6], poles[n, p, 7]) * share).real
            sum0 += energy * background[n, window, 0]
            sum1 += energy * background[n, window, 1]
            sum2 += energy * background[n, window, 2]
            total += concentrations[j] * (weights[0] * sum0 + weights[1] * sum1 + weights[2] * sum2)
    return total


@hand
def adjoint(poles, background, radii, momenta, windows, starts, nuclides, concentrations, energies, materials, weights):
    count = background.shape[1]
    turned = np.empty(4, dtype=np.complex128)
    of_poles, of_background = np.zeros_like(poles), np.zeros_like(background)
    total = 0.0
    for q in range(len(energies)):
        energy = energies[q]
        root = math.sqrt(energy)
        window = min(int(energy * count), count - 1)
        for j in range(starts[materials[q]], starts[materials[q] + 1]):
            n = nuclides[j]
            for l in range(4):
                turned[l] = turned_by(l, radii[n] * root)
            w0, w1, w2 = concentrations[j] * weights[0], concentrations[j] * weights[1], concentrations[j] * weights[2]
            met = 0.0
            for p in range(windows[n, window], windows[n, window + 1]):
                share = 1j / (complex(poles[n, p, 0], poles[n, p, 1]) - root) / energy
                spin = share * turned[momenta[n, p]]
                mixed = w0 * complex(poles[n, p, 2], poles[n, p, 3]) * turned[momenta[n, p]]
                mixed += w1 * complex(poles[n, p, 4], poles[n, p, 5]) + w2 * complex(poles[n, p, 6], poles[n, p, 7])
                met += (mixed * share).real
                of_poles[n, p, 2] += w0 * spin.real
                of_poles[n, p, 3] -= w0 * spin.imag
                of_poles[n, p, 4] += w1 * share.real
                of_poles[n, p, 5] -= w1 * share.imag
                of_poles[n, p, 6] += w2 * share.real
                of_poles[n, p, 7] -= w2 * share.imag
                place = mixed * share * share * energy * 1j  # d share / d place = i share² energy
                of_poles[n, p, 0] += place.real
                of_poles[n, p, 1] -= place.imag
            met += energy * (
                w0 * background[n, window, 0] + w1 * background[n, window, 1] + w2 * background[n, window, 2]
            )
            of_background[n, window, 0] += energy * w0
            of_background[n, window, 1] += energy * w1
            of_background[n, window, 2] += energy * w2
            total += met
    return total, (of_poles, of_background)


def jax_program():
    import jax
    import jax.numpy as jnp

    def program(
        poles, background, radii, momenta, windows, starts, nuclides, concentrations, energies, materials, weights, most
    ):
        """Materials are padded to as many nuclides as the largest has, windows to as many poles."""
        count = background.shape[1]
        widest, largest = most

        def nuclide(j, energy, window):
            root = jnp.sqrt(energy)
            n = nuclides[jnp.minimum(j, len(nuclides) - 1)]
            x = radii[n] * root
            turn = jnp.stack([
                x,
                x - jnp.arctan(x),
                x - jnp.arctan(3.0 * x / (3.0 - x * x)),
                x - jnp.arctan(x * (15.0 - x * x) / (15.0 - 6.0 * x * x)),
            ])  # fmt: skip
            turned = jax.lax.complex(jnp.cos(2.0 * turn), -jnp.sin(2.0 * turn))
            p = windows[n, window] + jnp.arange(widest)
            present = p < windows[n, window + 1]
            at = poles[n, jnp.minimum(p, poles.shape[1] - 1)]
            share = 1j / (jax.lax.complex(at[:, 0], at[:, 1]) - root) / energy
            spin = share * turned[momenta[n, jnp.minimum(p, poles.shape[1] - 1)]]
            parts = jnp.stack([
                (jax.lax.complex(at[:, 2 * c], at[:, 2 * c + 1]) * factor).real
                for c, factor in ((1, spin), (2, share), (3, share))
            ])  # fmt: skip
            section = energy * background[n, window] + jnp.sum(jnp.where(present, parts, 0.0), axis=1)
            return section @ weights

        def lookup(energy, material):
            window = jnp.minimum((energy * count).astype(int), count - 1)
            j = starts[material] + jnp.arange(largest)
            met = jax.vmap(lambda j: nuclide(j, energy, window))(j)
            shares = concentrations[jnp.minimum(j, len(nuclides) - 1)]
            return jnp.sum(jnp.where(j < starts[material + 1], shares * met, 0.0))

        return jnp.sum(jax.vmap(lookup)(energies, materials))

    return program


def arguments(lookups: int):
    rng = np.random.default_rng(22)
    nuclides, count, poles = (60, 100, 400) if lookups > 100 else (12, 4, 12)
    starts, which = in_materials(rng, nuclides)
    cuts = np.sort(rng.integers(0, poles + 1, size=(nuclides, count - 1)), axis=1)
    windows = np.concatenate([np.zeros((nuclides, 1), int), cuts, np.full((nuclides, 1), poles)], axis=1)
    table = rng.uniform(0.1, 1.0, size=(nuclides, poles, 8))
    table[..., 1] = -0.1 - table[..., 1]  # poles lie below the real axis
    return (
        table,
        rng.uniform(size=(nuclides, count, 3)),
        rng.uniform(0.1, 1.0, nuclides),
        rng.integers(0, MOMENTA, (nuclides, poles)),
        windows,
        starts,
        which,
        rng.uniform(size=len(which)),
        rng.uniform(0.01, 1.0, lookups),
        (rng.integers(0, 12, lookups) * (rng.uniform(size=lookups) > 0.15)).astype(np.int64),
        rng.uniform(size=3),
    )
