"""The primitive table: integers, bits, logic, casts; the rows' own shape and the dtype rules."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from iverson.core.prims import TABLE, argument_dtypes, result_dtype
from iverson.core.syntax import BOOL, F32, F64, I32, I64, DType
from tests.core.oracle import TINY, F, call

# --- integers, bits, bools, casts -------------------------------------------------------------------------------------

INTS = {
    np.int64: [0, 1, 2, 3, 5, 63, 64, 65, 2**31, 2**32 - 1, 2**62, 2**63 - 1, -1, -2, -7, -(2**31), -(2**63)],
    np.int32: [0, 1, 2, 3, 5, 31, 32, 33, 2**16, 2**31 - 1, -1, -2, -7, -(2**31)],
}


def wrap(v: int, bits: int) -> int:
    return (v + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)


INTEGER: dict[str, Callable[[int, int, int], int]] = {
    "add": lambda x, z, b: x + z,
    "sub": lambda x, z, b: x - z,
    "mul": lambda x, z, b: x * z,
    "min": lambda x, z, b: min(x, z),
    "max": lambda x, z, b: max(x, z),
    "bit_and": lambda x, z, b: x & z,
    "bit_or": lambda x, z, b: x | z,
    "bit_xor": lambda x, z, b: x ^ z,
    "shl": lambda x, z, b: x << z if 0 <= z < b else 0,
    "shr": lambda x, z, b: x >> (z if 0 <= z < b else b),
    "lshr": lambda x, z, b: (x % 2**b) >> z if 0 <= z < b else 0,
    "umulhi": lambda x, z, b: (x % 2**b) * (z % 2**b) >> b,
    "floordiv": lambda x, z, b: x // z,
    "mod": lambda x, z, b: x % z,
    "pow": lambda x, z, b: pow(x, z, 2**b),
}


@pytest.mark.parametrize("name", INTEGER)
@pytest.mark.parametrize("dtype", INTS)
def test_integers_are_pythons_and_wrap(name, dtype):
    bits = np.iinfo(dtype).bits
    for x, z in itertools.product(INTS[dtype], INTS[dtype]):
        if (name in ("floordiv", "mod") and z == 0) or (name == "pow" and z < 0):
            with pytest.raises(ZeroDivisionError if z == 0 else ValueError):
                call(name, dtype(x), dtype(z))
            continue
        got = call(name, dtype(x), dtype(z))
        assert got.dtype == dtype and int(got) == wrap(INTEGER[name](x, z, bits), bits), (x, z, got)


@pytest.mark.parametrize("dtype", INTS)
def test_integer_unary(dtype):
    bits = np.iinfo(dtype).bits
    for x in INTS[dtype]:
        v = dtype(x)
        assert int(call("neg", v)) == wrap(-x, bits) and int(call("abs", v)) == wrap(abs(x), bits)
        assert int(call("bit_not", v)) == ~x and int(call("sign", v)) == (x > 0) - (x < 0)


def test_logic_and_comparisons():
    for p, q in itertools.product((False, True), repeat=2):
        a, b = np.bool_(p), np.bool_(q)
        assert call("and", a, b) == (p and q) and call("or", a, b) == (p or q)
        assert call("xor", a, b) == (p != q) and call("not", a) == (not p)
        assert call("eq", a, b) == (p == q) and call("lt", a, b) == (p < q)
    values = [0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, TINY]
    for name, x, z in itertools.product(("eq", "ne", "lt", "le", "gt", "ge"), values, values):
        got = call(name, F(x), F(z))
        assert got.dtype == np.bool_ and got == getattr(operator, name)(x, z)
        assert TABLE[name].meaning(np.complex128(complex(x, 1)), np.complex128(complex(z, -1))) == got
    for x in values:
        for name in ("isnan", "isinf", "isfinite"):
            assert call(name, F(x)) == getattr(math, name)(x)


def test_rounding():
    for x in (0.5, 1.5, 2.5, -0.5, -1.5, 2.4, -2.6, 2**52 + 1.0, 1e300):
        assert call("round", F(x)) == round(x) and call("trunc", F(x)) == math.trunc(x)
        assert call("floor", F(x)) == math.floor(x) and call("ceil", F(x)) == math.ceil(x)


def test_casts():
    for x, want in ((2.7, 2), (-2.7, -2), (0.0, 0), (-1e9, -(10**9))):
        assert call("int64", F(x)) == want == call("int32", F(x))
    assert call("int32", np.int64(2**31 + 5)) == -(2**31) + 5
    assert call("bool", F(math.nan)) and call("bool", np.int32(-3)) and not call("bool", F(-0.0))
    assert call("float64", np.int64(2**53 + 1)) == 2.0**53 and call("float64", np.True_) == 1
    assert call("float32", F(1e300)) == math.inf and call("float32", F(0.1)) == np.float32(0.1)
    for d in DType:
        assert call(d.value, F(1.5)).dtype == np.dtype(d.value)
        assert [rule is not None for rule in TABLE[d.value].linear] == [d.is_float]
    z = TABLE["float32"].meaning(np.complex128(complex(0.1, 1e-200)))
    assert z.real == np.float32(0.1) and z.imag == 1e-200
    assert TABLE["int64"].meaning(np.complex128(2.7 + 1e-30j)) == 2


# --- the table itself -------------------------------------------------------------------------------------------------


def test_rows_are_complete():
    for row in TABLE.values():
        assert len(row.linear) == row.arity == len(row.interval), row.name
        assert row.recipe.split(":")[0] in ("op", "cmp", "llvm", "inline", "call", "cast"), row.name
        assert row.cost == (row.name not in ("keep", "recompute"))
        assert row.analytic == (row.domain not in ("int", "bool"))
        if row.domain in ("int", "bool") or row.result == "bool":
            assert row.linear == (None,) * row.arity, row.name


def test_meanings_take_arrays():
    """Elementwise on arrays what they are on scalars, real and complex."""
    for row in TABLE.values():
        kind = {"int": np.int64, "bool": np.bool_}.get(row.domain, np.float64)
        columns = [np.array([0.3, 0.6, 0.9]) * (k + 1) + (row.name == "acosh") for k in range(row.arity)]
        args: list[Any] = [(4 * c).astype(kind) if kind is np.int64 else (c > 1).astype(kind) if kind is np.bool_ else c
                           for c in columns]  # fmt: skip
        if row.first is not None:
            args[0] = np.array([1, 0, 1], row.first.value)
        variants = [args]
        if row.analytic:
            variants.append([*args[:-1], args[-1] + 1e-30j])
        for v in variants:
            whole = row.meaning(*v)
            single = [row.meaning(*(a[i] for a in v)) for i in range(3)]
            assert whole.shape == (3,) and np.allclose(whole, single, rtol=1e-15), row.name
            assert all(s.dtype == whole.dtype for s in single) or row.name == "select", row.name


def test_dtypes():
    assert result_dtype("add", [F32, F32]) is F32 and result_dtype("lt", [I64, I64]) is BOOL
    assert result_dtype("select", [BOOL, I32, I32]) is I32 and result_dtype("int32", [F64]) is I32
    assert result_dtype("polygamma", [I64, F32]) is F32
    assert argument_dtypes("select", [None, None, F32]) == (BOOL, F32, F32)
    assert argument_dtypes("polygamma", [None, F64]) == (I64, F64)


@pytest.mark.parametrize(
    ("name", "dtypes", "text"),
    [
        ("add", [F32, F64], "one dtype, not float32, float64"),
        ("add", [BOOL, BOOL], "add takes number arguments, not bool"),
        ("sin", [I64], "sin takes float arguments, not int64"),
        ("shl", [F64, F64], "shl takes int arguments"),
        ("select", [I64, F64, F64], "first argument of select is bool"),
        ("sin", [F64, F64], "sin takes 1 argument, not 2"),
        ("sine", [F64], "no primitive is called 'sine'"),
        ("add", [None, None], "has no dtype"),
    ],
)
def test_dtype_errors(name, dtypes, text):
    with pytest.raises(TypeError, match=text):
        argument_dtypes(name, dtypes)
