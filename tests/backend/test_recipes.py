"""Every recipe means what its row says, in a vectorised loop and alone."""

from __future__ import annotations

import re

import numpy as np
import pytest

import iverson as iv
from iverson.backend import cpu
from iverson.core.prims import DOMAINS, TABLE
from iverson.core.syntax import F32, F64, DType
from tests.backend.harness import Loop, loop, loop_text

FLOATS = [0.0, 1.0, 0.5, 2.0, 3.0, 2.5, 7.0, 1e-300, 1e300, 5e-324, 1e10, np.inf]
INTEGERS = [0, 1, 2, 3, 7, 31, 32, 63, 64, 65, 100, 2**31 - 1, 2**31, 2**40, 2**63 - 1]
# compared with other libraries' implementations, which err themselves, near zeros relatively
SPECIAL = {"lgamma", "digamma", "trigamma", "polygamma", "erfinv", "j0", "j1", "y0", "y1"}
CASES = [(name, d) for name, row in TABLE.items() for d in DType if d in DOMAINS[row.domain]]


def samples(dtype: DType) -> np.ndarray:
    if dtype is DType.BOOL:
        return np.array([True, False])
    if dtype.is_float:
        rng = np.random.default_rng(0)
        values = np.array([*FLOATS, *(-x for x in FLOATS), np.nan, *(3 * rng.normal(size=20))])
        with np.errstate(over="ignore"):
            return values.astype(dtype.value)
    bounds = np.iinfo(dtype.value)
    values = [*INTEGERS, *(-x for x in INTEGERS), bounds.min]
    return np.array([v for v in values if bounds.min <= v <= bounds.max], dtype.value)


def operands(name: str, dtypes: tuple[DType, ...]) -> list[np.ndarray]:
    grids = [samples(d) for d in dtypes]
    if name == "polygamma":
        grids[0] = np.arange(5)
    args = [g.ravel() for g in np.meshgrid(*grids)]
    if dtypes[-1].is_int and name in ("floordiv", "mod", "pow"):
        fit = args[1] >= 0 if name == "pow" else args[1] != 0
        args = [a[fit] for a in args]
    if dtypes[0].is_float and name in ("int32", "int64"):
        args = [a[np.abs(a) < 2e9] for a in args]
    if name in ("j0", "j1", "y0", "y1"):
        args = [a[np.abs(a) < 100] for a in args]
    return args


def differs(name: str, dtype: DType, got: np.ndarray, want: np.ndarray) -> np.ndarray:
    if want.dtype.kind != "f":
        return got != want
    tolerance = np.spacing(np.abs(want)) * {DType.F64: 5, DType.F32: 2}.get(dtype, 0)
    if name in SPECIAL:
        tolerance = np.maximum(tolerance, 1e-12 * np.maximum(np.abs(want), 1.0 if name == "polygamma" else 0.01))
    same = (got == want) | (np.isnan(got) & np.isnan(want)) | (np.abs(got - want) <= tolerance)
    if name not in ("min", "max"):  # a zero of either sign
        same &= (np.signbit(got) == np.signbit(want)) | np.isnan(want)
    return ~same


@pytest.mark.parametrize(("name", "dtype"), CASES, ids=[f"{n}-{d.value}" for n, d in CASES])
@pytest.mark.parametrize(("level", "scalar"), [(3, False), (0, True)], ids=["vector", "alone"])
def test_meaning(name: str, dtype: DType, level: int, scalar: bool) -> None:
    compiled = loop(name, dtype, level, scalar)
    args = operands(name, compiled.dtypes)
    got = compiled(*args)
    with np.errstate(all="ignore"):
        want = np.asarray(TABLE[name].meaning(*args))
        wrong = np.flatnonzero(differs(name, dtype, got, want))
    shown = [(*(a[i] for a in args), got[i], want[i]) for i in wrong[:5]]
    assert not shown, f"(arguments..., compiled, meant): {shown}"


@pytest.mark.parametrize(("dtype", "type"), [(F64, "double"), (F32, "float")])
@pytest.mark.parametrize(
    "name", ["exp", "log", "sin", "cos", "tanh", "pow", "sigmoid", "log1p", "atan2", "sqrt", "erf", "mod", "min"]
)
def test_vectorises(name: str, dtype: DType, type: str) -> None:
    optimised = cpu.optimised_ir(Loop(name, dtype).text)
    body = optimised.split("@loop(")[1].split("\n}")[0]
    assert re.search(rf"store <\d+ x {type}>", body)


def test_width_is_a_choice_of_the_function() -> None:
    if "+avx512f" not in cpu.features():
        pytest.skip("one width only")
    plain = "<4 x double>" if "+prefer-256-bit" in cpu.features() else "<8 x double>"
    for wide, vector in [(True, "<8 x double>"), (False, plain)]:
        assert f"store {vector}" in cpu.optimised_ir(Loop("exp", F64, wide=wide).text)


def test_divisors_that_would_trap() -> None:
    """Speculated under a select or in an idle lane, these must not kill the process."""
    least = np.iinfo(np.int64).min
    a, b = np.array([least, least, 5, 0]), np.array([-1, 0, 0, 0])
    assert loop("floordiv", DType.I64)(a, b)[0] == least
    assert loop("mod", DType.I64)(a, b)[0] == 0


@pytest.mark.parametrize("divisor", [1, 2, 8, 12, 1 << 30, 1 << 62, -1, -4])
def test_constant_divisors(divisor: int) -> None:
    a = samples(DType.I64)

    def both(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return x // divisor, x % divisor

    for got, want in zip(iv.jit(both)(a), both(a), strict=True):
        np.testing.assert_array_equal(got, want)


def test_fast_math_flags_stay_on_the_operation() -> None:
    from iverson.backend import recipes
    from iverson.backend.text import counter

    lines, _ = recipes.emit("add", F64, ["%a", "%b"], counter(), "reassoc contract")
    assert lines == ["%t0 = fadd reassoc contract double %a, %b"]
    lines, _ = recipes.emit("max", F64, ["%a", "%b"], counter(), "")
    assert lines == ["%t0 = call nsz double @llvm.maximum.f64(double %a, double %b)"]
    assert "fast" not in loop_text("exp", F64)
