"""Dtypes: integers, bools, float32, promotion, casts, complex numbers."""

import math

import numpy as np

from .registry import program


@program(args=lambda n, rng: (rng.integers(-9, 10, size=n), rng.integers(1, 5, size=n)), tags="dtype prim numpy")
def integer_division_and_remainder(a, b):
    return a // b, a % b, a // -b, a % -b, a / b, -a // b, np.mod(a, b), np.floor_divide(a, b), abs(a), a**2


@program(args=lambda n, rng: (n - 2, 3), tags="dtype size")
def scalar_integer_arithmetic(a, b):
    return a // b, a % b, -a // b, -a % b, a * b - 7, a / b, a**2, abs(a), min(a, b), max(a, b), int(a / b), float(a)


@program(args=lambda n, rng: (rng.integers(0, 256, size=n),), tags="dtype prim loop")
def bit_operations(a):
    parity = np.zeros(len(a), dtype=np.int64)
    for i in range(len(a)):
        v = a[i]
        while v:
            parity[i] ^= v & 1
            v >>= 1
    return parity, a & 15, a | 64, a ^ 255, ~a, a << 3, a >> 2


@program(args=lambda n, rng: (rng.normal(size=n), rng.integers(-3, 4, size=n)), wrt=(0,), tags="dtype numpy map")
def mixed_integer_and_float(x, k):
    return (
        x * k + k / 2,
        x**2 + k**2,
        (x > 0) * x + k,
        x + True,
        k.astype(float) * x,
        k.sum() * x.sum(),
        (k.mean() if len(k) else 0.0) + x,
    )


@program(
    args=lambda n, rng: (rng.normal(size=n).astype(np.float32), rng.normal(size=n)),
    wrt=(0, 1),
    tolerance=1e-5,
    tags="dtype map",
)
def float32_promotion(single, double):
    return (
        single * 2.0,
        single + 1,
        single * double,
        np.sin(single) ** 2,
        single.astype(np.float64) * double,
        np.sqrt(single * single + np.float32(1.0)),
    )


@program(
    args=lambda n, rng: (rng.uniform(0.1, 1.0, size=n).astype(np.float32), rng.normal(size=(n, 3)).astype(np.float32)),
    wrt=(0, 1),
    tolerance=1e-4,
    tags="dtype sum contraction loop recurrence",
)
def float32_throughout(x, a):
    total = np.float32(0.0)
    for v in x:
        total = total * np.float32(0.5) + np.log(v)
    return total, x @ a, np.exp(-x).sum(), a.max(axis=1) if len(x) > 0 else a[:, 0], np.mean(a, axis=1)


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), smooth=False, tolerance=1e-5, tags="dtype map")
def casts_and_back(x):
    return (
        x.astype(np.float32).astype(np.float64),
        (x * 3.0).astype(np.int64) * x,
        np.float32(2.5) * x,
        np.asarray(x > 0, dtype=np.float64),
    )


@program(args=lambda n, rng: (rng.uniform(-4.0, 4.0, size=n),), tags="dtype math prim")
def conversions_to_integers(x):
    return (
        [int(v) for v in x],
        [math.floor(v) for v in x],
        [math.ceil(v) for v in x],
        [round(v) for v in x],
        [bool(v > 0) for v in x],
        np.rint(x),
    )


@program(args=lambda n, rng: (rng.integers(-(2**62), 2**62, size=n),), tags="dtype numpy")
def integers_wrap(a):
    return a * 3, a + a, np.sum(a * 5), (a * 31) ^ (a >> 7)


@program(args=lambda n, rng: (rng.normal(size=n) > 0.0, rng.normal(size=n) > 0.0), tags="dtype mask reduction numpy")
def boolean_arrays(p, q):
    return (
        p & q,
        p | q,
        p ^ q,
        ~p,
        np.logical_and(p, ~q),
        p.sum(),
        p.any(),
        (p | q).all(),
        p.astype(np.int64) + 2,
        np.where(p, 1, 0),
        p == q,
        p.mean() if len(p) else 0.0,
    )


@program(
    args=lambda n, rng: (rng.integers(-9, 10, size=n), rng.integers(-9, 10, size=n).astype(np.int32)),
    tags="dtype numpy reduction",
)
def small_integers(a, b):
    return (
        a * b,
        b * 2,
        b / 2,
        b.sum(),
        a.max(initial=-99),
        np.maximum(a, b),
        b // 4,
        sum(v for v in b if v % 2 == 0),
        np.cumsum(b),
    )


@program(
    args=lambda n, rng: (rng.normal(size=n), rng.normal(size=n)), wrt=(0, 1), analytic=False, tags="complex numpy map"
)
def complex_arithmetic(re, im):
    z = re + 1j * im
    w = z * z.conj() + z / (2.0 + 1j) - z**2
    return w.real, w.imag, np.abs(z) ** 2, np.exp(1j * re).real, np.angle(z + 10.0)


@program(args=lambda n, rng: (rng.normal(size=n),), wrt=(0,), large=60, tags="complex comprehension sum")
def discrete_fourier_transform(x):
    n = len(x)
    angles = -2.0 * math.pi / max(n, 1) * np.outer(np.arange(n), np.arange(n))
    spectrum = np.exp(1j * angles) @ x
    return spectrum.real, spectrum.imag, np.sum(spectrum.real**2 + spectrum.imag**2)


@program(
    args=lambda n, rng: (0.3 + 0.5j, n, rng.normal(size=n)),
    wrt=(2,),
    analytic=False,
    tags="complex loop while recurrence",
)
def complex_iteration(c, n, x):
    z, k = 0j, 0
    while abs(z) < 2.0 and k < 30:
        z = z * z + c
        k += 1
    total = 0j
    for i in range(n):
        total = total * (0.5 + 0.25j) + x[i]
    return k, z.real, total.real, total.imag, abs(total + 3.0)
