"""Library functions as users call them: <Jᵀ ȳ, ẋ> = <ȳ, J ẋ> to 1e-10, of first and second order, compiled."""

import numpy as np
import pytest
import scipy.linalg
import scipy.signal

import iverson as iv

DRAW = np.random.default_rng(11)
A = DRAW.normal(size=(4, 4)) + 4 * np.eye(4)
TALL = DRAW.normal(size=(6, 3))
B = DRAW.normal(size=(4, 2))
X = DRAW.normal(size=9)
KNOTS = np.sort(DRAW.normal(size=7))


def spd(a):
    return a @ a.T + np.eye(len(a))


def symmetric(a):
    return a + a.T


FUNCTIONS = {
    "expm": (scipy.linalg.expm, [0.3 * A]),
    "expm, scaled and squared": (lambda a: scipy.linalg.expm(3.0 * a), [A]),
    "inv": (np.linalg.inv, [A]),
    "pinv": (np.linalg.pinv, [TALL]),
    "lstsq": (lambda a, b: np.linalg.lstsq(a, b, rcond=None)[0], [TALL, DRAW.normal(size=6)]),
    "solve": (np.linalg.solve, [A, B]),
    "solve, assumed positive": (lambda a, b: scipy.linalg.solve(spd(a), b, assume_a="pos"), [A, B]),
    "solve_triangular": (lambda a, b: scipy.linalg.solve_triangular(a, b, lower=True), [A, B]),
    "cho_solve": (lambda a, b: scipy.linalg.cho_solve(scipy.linalg.cho_factor(spd(a)), b), [A, B]),
    "lu_solve": (lambda a, b: scipy.linalg.lu_solve(scipy.linalg.lu_factor(a), b), [A, B]),
    "det": (np.linalg.det, [A]),
    "slogdet": (lambda a: np.linalg.slogdet(a)[1], [A]),
    "slogdet of eight": (lambda a: np.linalg.slogdet(a)[1], [DRAW.normal(size=(8, 8)) + 4 * np.eye(8)]),
    "cholesky": (lambda a: np.linalg.cholesky(spd(a)), [A]),
    "qr": (lambda a: np.linalg.qr(a)[0] + 0.0 * a, [TALL]),
    "qr, r": (lambda a: np.linalg.qr(a)[1], [TALL]),
    "eigvalsh": (lambda a: np.linalg.eigvalsh(symmetric(a)), [A]),
    "eigh": (lambda a: np.linalg.eigh(symmetric(a))[1], [A]),
    "singular values": (lambda a: np.linalg.svd(a, compute_uv=False), [TALL]),
    "svd": (lambda a: np.linalg.svd(a, full_matrices=False)[0], [TALL]),
    "matrix_power": (lambda a: np.linalg.matrix_power(a, 3), [0.3 * A]),
    "norm": (np.linalg.norm, [TALL]),
    "nuclear norm": (lambda a: np.linalg.norm(a, "nuc"), [TALL]),
    "spectral norm": (lambda a: np.linalg.norm(a, 2), [TALL]),
    "sort": (np.sort, [X]),
    "sort along rows": (lambda a: np.sort(a, axis=0), [TALL]),
    "interp": (lambda x, y: np.interp(x, KNOTS, y), [0.5 * X, DRAW.normal(size=7)]),
    "convolve": (lambda x, k: np.convolve(x, k, mode="same"), [X, DRAW.normal(size=4)]),
    "correlate": (lambda x, k: np.correlate(x, k, mode="full"), [X, DRAW.normal(size=4)]),
    "fftconvolve": (lambda x, k: scipy.signal.fftconvolve(x, k), [X, DRAW.normal(size=4)]),
    "rfft": (lambda x: np.abs(np.fft.rfft(x)), [X]),
    "irfft": (lambda x: np.fft.irfft(np.fft.rfft(x) * 1j, n=9), [X]),
    "einsum": (lambda a, b: np.einsum("ij,kj,kl->il", a, a, b), [A, B]),
    "tensordot": (lambda a, b: np.tensordot(a, b, axes=([0], [0])), [A, B]),
    "cumprod": (np.cumprod, [X]),
    "kron": (np.kron, [TALL, B]),
}


COMPOSED = ("expm", "lstsq", "interp", "convolve")  # the others' rows are in tests/diff/test_library.py


@pytest.mark.parametrize("name", [n if n in COMPOSED else pytest.param(n, marks=pytest.mark.slow) for n in FUNCTIONS])
def test_transpose_identity(name: str) -> None:
    f, args = FUNCTIONS[name]
    count = len(args)

    def tangent(*both):
        return iv.jvp(f, both[:count], both[count:])[1]

    rng = np.random.default_rng(5)
    steps = [rng.normal(size=a.shape) for a in args]
    for g, given in ((f, args), (tangent, [*args, *steps])):
        along = [rng.normal(size=a.shape) for a in given]
        out, forward = iv.jvp(g, tuple(given), tuple(along))
        ct = rng.normal(size=np.shape(out))
        _, pull = iv.vjp(g, *given)
        left = float(np.sum(ct * forward))
        right = sum(float(np.sum(b * a)) for b, a in zip(pull(ct), along, strict=True))
        scale = float(np.sum(np.abs(ct * forward)))
        assert abs(left - right) <= 1e-10 * max(scale, 1e-30), (left, right)
