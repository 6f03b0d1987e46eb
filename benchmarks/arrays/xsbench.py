"""XSBench-like: macroscopic cross sections of neutrons in materials, by look-ups in tables of nuclides.

A neutron with an energy in a material meets its nuclides, each with a concentration.  A nuclide has a sorted grid of
energies, and five cross sections at each of its points; between points they are interpolated.  What is differentiated
is a weighted sum over many look-ups, in the tables and in the concentrations.
"""

from __future__ import annotations

import numpy as np

from benchmarks.kernels.registry import hand

CHANNELS = 5


def grid_point(energies, energy):
    """The point of a sorted grid below an energy, by bisection; the last but one at most."""
    low, high = 0, len(energies) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if energies[middle] > energy:
            high = middle
        else:
            low = middle
    return low


def program(sections, concentrations, grids, starts, nuclides, energies, materials, weights):
    total = 0.0
    for q in range(len(energies)):
        macroscopic = np.zeros(CHANNELS)
        for j in range(starts[materials[q]], starts[materials[q] + 1]):
            nuclide = nuclides[j]
            grid = grids[nuclide]
            at = grid_point(grid, energies[q])
            share = (energies[q] - grid[at]) / (grid[at + 1] - grid[at])
            for c in range(CHANNELS):
                below, above = sections[nuclide, at, c], sections[nuclide, at + 1, c]
                macroscopic[c] += concentrations[j] * (below + share * (above - below))
        for c in range(CHANNELS):
            total += weights[c] * macroscopic[c]
    return total


def vectorised(sections, concentrations, grids, starts, nuclides, energies, materials, weights):
    """In whole arrays: a row for each pair of look-up and nuclide."""
    counts = starts[materials + 1] - starts[materials]
    query = np.repeat(np.arange(len(energies)), counts)
    j = np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts, counts) + starts[materials][query]
    nuclide, energy = nuclides[j], energies[query]
    at = np.empty(len(query), dtype=np.int64)
    for n in range(len(grids)):
        here = nuclide == n
        at[here] = np.clip(np.searchsorted(grids[n], energy[here], side="right") - 1, 0, grids.shape[1] - 2)
    left, right = grids[nuclide, at], grids[nuclide, at + 1]
    share = ((energy - left) / (right - left))[:, None]
    below, above = sections[nuclide, at], sections[nuclide, at + 1]
    return np.sum(concentrations[j] * ((below + share * (above - below)) @ weights))


@hand
def grid_point_loops(energies, energy):
    low, high = 0, len(energies) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if energies[middle] > energy:
            high = middle
        else:
            low = middle
    return low


@hand
def loops(sections, concentrations, grids, starts, nuclides, energies, materials, weights):
    total = 0.0
    for q in range(len(energies)):
        for j in range(starts[materials[q]], starts[materials[q] + 1]):
            nuclide = nuclides[j]
            grid = grids[nuclide]
            at = grid_point_loops(grid, energies[q])
            share = (energies[q] - grid[at]) / (grid[at + 1] - grid[at])
            met = 0.0
            for c in range(5):
                below, above = sections[nuclide, at, c], sections[nuclide, at + 1, c]
                met += weights[c] * (below + share * (above - below))
            total += concentrations[j] * met
    return total


@hand
def adjoint(sections, concentrations, grids, starts, nuclides, energies, materials, weights):
    total = 0.0
    of_sections, of_concentrations = np.zeros_like(sections), np.zeros_like(concentrations)
    for q in range(len(energies)):
        for j in range(starts[materials[q]], starts[materials[q] + 1]):
            nuclide = nuclides[j]
            grid = grids[nuclide]
            at = grid_point_loops(grid, energies[q])
            share = (energies[q] - grid[at]) / (grid[at + 1] - grid[at])
            met = 0.0
            for c in range(5):
                below, above = sections[nuclide, at, c], sections[nuclide, at + 1, c]
                met += weights[c] * (below + share * (above - below))
                slope = weights[c] * concentrations[j]
                of_sections[nuclide, at, c] += slope * (1.0 - share)
                of_sections[nuclide, at + 1, c] += slope * share
            total += concentrations[j] * met
            of_concentrations[j] += met
    return total, (of_sections, of_concentrations)


def jax_program():
    import jax
    import jax.numpy as jnp

    def lookup(sections, concentrations, grids, starts, nuclides, most, energy, material, weights):
        """The nuclides of all materials are padded to as many as the largest has."""
        j = starts[material] + jnp.arange(most)
        present = j < starts[material + 1]
        j = jnp.minimum(j, len(nuclides) - 1)
        nuclide = nuclides[j]
        at = jax.vmap(lambda n: jnp.clip(jnp.searchsorted(grids[n], energy, side="right") - 1, 0, grids.shape[1] - 2))(
            nuclide
        )
        left, right = grids[nuclide, at], grids[nuclide, at + 1]
        share = ((energy - left) / (right - left))[:, None]
        below, above = sections[nuclide, at], sections[nuclide, at + 1]
        met = (below + share * (above - below)) @ weights
        return jnp.sum(jnp.where(present, concentrations[j] * met, 0.0))

    def program(sections, concentrations, grids, starts, nuclides, energies, materials, weights, most):
        one = jax.vmap(lambda e, m: lookup(sections, concentrations, grids, starts, nuclides, most, e, m, weights))
        return jnp.sum(one(energies, materials))

    return program


def in_materials(rng, nuclides: int, materials: int = 12):
    """Where each material's nuclides start, and which they are: the first, fuel, has half of all."""
    counts = [nuclides // 2, *rng.integers(4, max(5, nuclides // 3), materials - 1)]
    starts = np.concatenate([[0], np.cumsum(counts)])
    return starts, np.concatenate([rng.permutation(nuclides)[:c] for c in counts])


def arguments(lookups: int):
    rng = np.random.default_rng(21)
    nuclides, points = (60, 1000) if lookups > 100 else (12, 20)
    starts, which = in_materials(rng, nuclides)
    grids = np.sort(rng.uniform(size=(nuclides, points)), axis=1)
    grids[:, 0], grids[:, -1] = 0.0, 1.0
    sections = rng.uniform(size=(nuclides, points, CHANNELS))
    materials = rng.integers(0, 12, lookups) * (rng.uniform(size=lookups) > 0.15)
    return (
        sections,
        rng.uniform(size=len(which)),
        grids,
        starts,
        which,
        rng.uniform(size=lookups),
        materials.astype(np.int64),
        rng.uniform(size=CHANNELS),
    )
