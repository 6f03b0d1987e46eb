"""erf and erfc, written to vectorise; see `elementary.py` for the conventions."""

from __future__ import annotations

from collections.abc import Callable

from iverson.backend.elementary import exp
from iverson.backend.text import Code, Value

# erf(x) / x - 1 in x^2, for |x| <= 1, to 2^-57
_NEAR = (
    0.12837916709551256, -0.3761263890318354, 0.1128379167094491, -0.026866170643221454, 0.005223977606976882,
    -0.0008548325968458515, 0.00012055294691019695, -1.4924732685547572e-05, 1.6447371314258486e-06,
    -1.6208065704722215e-07, 1.3718218762051456e-08, -7.792387776980085e-10,
)  # fmt: skip
# (1 + 2 a) e^(a^2) erfc(a) in t = (a - 4) / (a + 4), for .47 <= a <= 29, to 2^-57
_FAR = (
    1.2329951186255526, -0.13962111684056255, 0.015379652102618742, 0.06809705425469596, -0.1010390660362361,
    0.09373283499825162, -0.06633036581402968, 0.03716751553866784, -0.01619773403315146, 0.005031969972436399,
    -0.0007577734840954666, -0.00019925670331062768, 0.00015062264395131805, -2.439899087350681e-05,
    -1.1225118174732983e-05, 5.708591471067413e-06, 3.001611347137786e-07, -8.223935409106932e-07,
    6.65036746635536e-08, 1.0547669610649086e-07, -1.2033289736721198e-08, -1.0383816758786826e-08,
)  # fmt: skip


def _near(code: Code, x: Value) -> Value:
    """erf(x) for |x| <= 1."""
    z = x * x
    return code.fma(x, code.polynomial(z, z * z, _NEAR), x)


def _far(code: Code, a: Value) -> Value:
    """erfc(a) for a >= 1/2."""
    a = code.select(a > 29.0, 29.0, a)
    t = (a - 4.0) / (a + 4.0)
    square = a * a
    gaussian = exp(code, -square, -code.fma(a, a, -square))
    return gaussian * code.polynomial(t, t * t, _FAR) / code.fma(a, 2.0, 1.0)


def erf(code: Code, x: Value) -> Value:
    """1"""
    a = x.call("fabs")
    return code.select(a < 1.0, _near(code, x), (1.0 - _far(code, a)).call("copysign", x))


def erfc(code: Code, x: Value) -> Value:
    """4"""
    a = x.call("fabs")
    far = _far(code, a)
    outside = code.select(x < 0.0, 2.0 - far, far)
    return code.select(a < 0.5, 1.0 - _near(code, x), outside)


UNARY: dict[str, Callable[[Code, Value], Value]] = {"erf": erf, "erfc": erfc}
