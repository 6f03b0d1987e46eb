"""Derivatives with complex numbers against differences, by the conventions of docs/derivatives.md."""

import numpy as np
import pytest

import iverson as iv

Z = np.array([1.0 + 2.0j, 0.5 - 1.0j, -0.7 + 0.3j])
T = np.array([0.3 - 1.0j, 2.0 + 0.5j, -1.0 + 1.0j])
H = 1e-6


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setenv("IVERSON_LEVEL", "0")


def along(f, z, t):
    """The directional derivative by central differences."""
    return (f(z + H * t) - f(z - H * t)) / (2 * H)


def by_parts(f, z):
    """df/dx - i df/dy of a real function, element by element."""
    unit = np.eye(z.size).reshape(z.size, *z.shape)
    return np.array([along(f, z, e) - 1j * along(f, z, 1j * e) for e in unit]).reshape(z.shape)


REAL = {
    "modulus": lambda z: (abs(z) ** 2).sum(),
    "parts": lambda z: (z.real * z.imag[::-1]).sum() + np.sin(z.imag).sum(),
    "mixed": lambda z: (np.exp(z) * z.conj()).real.sum(),
    "angle": lambda z: np.sum(np.log(z).imag * abs(z)),
    "loop": lambda z: sum((z[i] ** 2 / z[i - 1]).imag for i in range(3)),
}

ANALYTIC = {
    "cube": (lambda z: z**3, lambda z: 3 * z**2),
    "exp": (lambda z: np.exp(1j * z) / z, lambda z: np.exp(1j * z) * (1j * z - 1) / z**2),
    "sqrt": (lambda z: np.sqrt(z) + np.log(z), lambda z: 0.5 / np.sqrt(z) + 1 / z),
    "tan": (lambda z: np.sin(z) * np.cosh(z), lambda z: np.cos(z) * np.cosh(z) + np.sin(z) * np.sinh(z)),
}


@pytest.mark.parametrize("f", REAL.values(), ids=REAL)
def test_gradients_of_real_functions(f):
    want = by_parts(f, Z)
    np.testing.assert_allclose(iv.grad(f)(Z), want, atol=1e-8)
    np.testing.assert_allclose(iv.jacrev(f)(Z), want, atol=1e-8)
    np.testing.assert_allclose(iv.vjp(f, Z)[1](1.0)[0], want, atol=1e-8)
    np.testing.assert_allclose(iv.jvp(f, (Z,), (T,))[1], along(f, Z, T), atol=1e-8)
    assert np.isclose((iv.grad(f)(Z) * T).sum().real, along(f, Z, T), atol=1e-8)  # how the two pair


@pytest.mark.parametrize(("f", "slope"), ANALYTIC.values(), ids=ANALYTIC)
def test_holomorphic_functions(f, slope):
    np.testing.assert_allclose(iv.grad(f, holomorphic=True)(Z[0]), slope(Z[0]))
    np.testing.assert_allclose(iv.grad(lambda z: f(z).sum(), holomorphic=True)(Z), slope(Z))
    for jacobian in (iv.jacfwd, iv.jacrev, iv.jacobian):
        np.testing.assert_allclose(jacobian(f, holomorphic=True)(Z), np.diag(slope(Z)), atol=1e-14)
    np.testing.assert_allclose(iv.vjp(f, Z)[1](T)[0], T * slope(Z))
    np.testing.assert_allclose(iv.jvp(f, (Z,), (T,))[1], T * slope(Z))


def test_neither_real_nor_holomorphic():
    def f(z):
        return z.conj() * z[0] ** 2 + abs(z)

    np.testing.assert_allclose(iv.jvp(f, (Z,), (T,))[1], along(f, Z, T), atol=1e-8)
    ct = T[::-1]
    pulled = iv.vjp(f, Z)[1](ct)[0]
    assert np.isclose((pulled * T).sum().real, (ct * along(f, Z, T)).sum().real, atol=1e-7)
    iv.check_grads(f, (Z,))


def test_other_shapes_of_complex_derivatives():
    rows = iv.jacrev(abs)(Z)
    np.testing.assert_allclose(rows, np.diag(Z.conj() / abs(Z)), atol=1e-14)
    columns = iv.jacfwd(lambda x: np.exp(1j * x))(Z.real)
    np.testing.assert_allclose(columns, np.diag(1j * np.exp(1j * Z.real)))
    assert columns.dtype == np.complex128
    value, slope = iv.value_and_grad(lambda z: (z**2, {"aux": z + 1}), holomorphic=True, has_aux=True)(Z[1])
    assert value == (Z[1] ** 2, {"aux": Z[1] + 1}) and slope == 2 * Z[1]
    matrix = iv.hessian(lambda z: z[0] ** 3 * z[1], holomorphic=True)(Z)
    np.testing.assert_allclose(matrix[:2, :2], [[6 * Z[0] * Z[1], 3 * Z[0] ** 2], [3 * Z[0] ** 2, 0]], atol=1e-14)
    assert iv.grad(lambda z: abs(z) ** 2)(np.complex64(1 + 2j)).dtype == np.complex64
    assert iv.linear_transpose(lambda z: (1 + 2j) * z, 1j)(2.0 + 1j) == (5j,)
    np.testing.assert_allclose(iv.vmap(iv.grad(lambda z: abs(z) ** 2))(Z), 2 * Z.conj())


def test_real_arguments_of_complex_functions():
    assert iv.grad(lambda x: abs(np.exp(1j * x) + x) ** 2)(0.3) == pytest.approx(
        along(lambda x: abs(np.exp(1j * x) + x) ** 2, 0.3, 1.0)
    )
    assert iv.vjp(lambda x: x * (1 + 2j), 1.5)[1](1 + 3j) == (-5.0,)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: iv.grad(lambda z: z * z)(1j), "needs a real scalar: take .real, or say holomorphic=True"),
        (lambda: iv.grad(lambda z: z * z, holomorphic=True)(1.0), "argument 0 must be complex"),
        (lambda: iv.grad(abs, holomorphic=True)(1j), "needs a complex scalar"),
        (lambda: iv.jacfwd(abs)(Z), "needs real arguments: say holomorphic=True"),
        (lambda: iv.jacrev(lambda z: z)(Z), "needs real results: say holomorphic=True"),
        (lambda: iv.jacfwd(abs, holomorphic=True)(Z), "must return complex numbers, not float64"),
        (lambda: iv.jvp(np.sin, (1.0,), (1j,)), "a tangent has dtype complex128 where float64 is needed"),
        (lambda: iv.vjp(np.sin, 1.0)[1](1j), "the cotangent has dtype complex128 where float64 is needed"),
    ],
)
def test_mistakes(call, says):
    with pytest.raises(TypeError, match=says):
        call()
