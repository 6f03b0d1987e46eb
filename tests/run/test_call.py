"""The calling convention: what fits runs on the caller's data, everything else takes the slow path, nothing leaks."""

from __future__ import annotations

import ctypes
import gc
import itertools
import resource
import sys
import threading
import timeit
import weakref
from typing import Any

import numpy as np
import pytest

import iverson as iv
from iverson.backend import cpu, recipes, special
from iverson.backend.abi import (
    GUARD,
    INTERRUPTED,
    OUT_OF_MEMORY,
    RERUN,
    ArrayArgument,
    ArrayResult,
    Between,
    Data,
    Extent,
    Layout,
    ReturnedArgument,
    Same,
    ScalarArgument,
    ScalarResult,
    Signature,
    StaticArgument,
    Stride,
    Value,
)
from iverson.core.syntax import BOOL, F32, F64, I32, I64
from iverson.run import call

# copies its `count` args slots to a fresh array of words, so that a test sees what the kernel was given
ECHO = """
define i64 @kernel(ptr noalias %args, ptr noalias %results, ptr noalias %error) {
  %p = call ptr @iv_alloc(i64 BYTES)
  call void @llvm.memcpy.p0.p0.i64(ptr %p, ptr %args, i64 BYTES, i1 false)
  store ptr %p, ptr %results
  %extent = getelementptr i64, ptr %results, i64 1
  store i64 COUNT, ptr %extent
  ret i64 0
}
"""
# the status and the details are the arguments; the second argument, an array, is counted up
STATUS = """
define i64 @kernel(ptr noalias %args, ptr noalias %results, ptr noalias %error) {
  %status = load i64, ptr %args
  %array.at = getelementptr i64, ptr %args, i64 1
  %array = load ptr, ptr %array.at
  %old = load i64, ptr %array
  %new = add i64 %old, 1
  store i64 %new, ptr %array
  store i64 41, ptr %error
  %second = getelementptr i64, ptr %error, i64 1
  store double 2.5, ptr %second
  store i64 77, ptr %results
  ret i64 %status
}
"""


def kernel(text: str) -> cpu.Library:
    module, symbols = recipes.complete(text)
    return cpu.load(cpu.compile(module, level=0), ["kernel"], special.addresses(symbols))


def echo(count: int) -> cpu.Library:
    return kernel(ECHO.replace("BYTES", str(8 * count)).replace("COUNT", str(count)))


def slow(*args: Any, **kwargs: Any) -> Any:
    return "slow", args, kwargs


def failed(status: int, error: int) -> Any:
    details = (ctypes.c_int64 * 2).from_address(error)
    raise RuntimeError(status, details[0], ctypes.c_double.from_address(error + 8).value)


@pytest.fixture(params=["native", "python"])
def bind(request):
    if request.param == "python":
        return call.PythonCall
    assert call.native_layouts()
    return call.bind


def bound(bind, signature: Signature, library: cpu.Library):
    return bind(signature, library.address("kernel"), slow, failed, library)


def went_slow(result: Any) -> bool:
    return isinstance(result, tuple) and len(result) == 3 and result[0] == "slow"


def test_slots_of_an_array(bind) -> None:
    array = ArrayArgument(F64, 2, Layout.ANY)
    slots = (Data(0), Extent(0, 0), Extent(0, 1), Stride(0, 0), Stride(0, 1))
    f = bound(bind, Signature((array,), slots, results=(ArrayResult(I64, 1),), single=True), echo(5))
    base = np.zeros((6, 8))
    for a in (base, base.T, base[::2, ::-1], base[:0], base[3:4, 1:3], np.asfortranarray(base)):
        assert f(a).tolist() == [a.ctypes.data, *a.shape, *a.strides]


@pytest.mark.parametrize(
    ("argument", "value", "dtype"),
    [
        (ScalarArgument(F64, weak=True), -0.1, np.float64),
        (ScalarArgument(F32, weak=True), -0.1, np.float32),
        (ScalarArgument(I64, weak=True), -(2**63), np.int64),
        (ScalarArgument(I32, weak=True), -(2**31), np.int32),
        (ScalarArgument(F64), np.float64(np.pi), np.float64),
        (ScalarArgument(F32), np.float32(np.pi), np.float32),
        (ScalarArgument(I64), np.int64(-5), np.int64),
        (ScalarArgument(I32), np.int32(-5), np.int32),
        (ScalarArgument(BOOL), np.True_, np.bool_),
        (ScalarArgument(BOOL), np.False_, np.bool_),
    ],
    ids=repr,
)
def test_scalars_round_trip(bind, argument: ScalarArgument, value: Any, dtype: type) -> None:
    text = """
define i64 @kernel(ptr noalias %args, ptr noalias %results, ptr noalias %error) {
  %x = load i64, ptr %args
  store i64 %x, ptr %results
  ret i64 0
}"""
    signature = Signature((argument,), (Value(0),), results=(ScalarResult(argument.dtype),), single=True)
    f = bound(bind, signature, kernel(text))
    result = f(value)
    assert type(result) is dtype
    assert result == dtype(value)


class Subclass(np.ndarray):
    pass


ARRAY = np.zeros((3, 4))
MISFITS = {
    "too few": ((ARRAY,), {}),
    "too many": ((ARRAY, 1.0, 2.0), {}),
    "keyword": ((ARRAY,), {"x": 1.0}),
    "list": (([[1.0]], 1.0), {}),
    "None": ((None, 1.0), {}),
    "dtype": ((ARRAY.astype(np.float32), 1.0), {}),
    "byte order": ((ARRAY.astype(">f8"), 1.0), {}),
    "rank": ((ARRAY[0], 1.0), {}),
    "subclass": ((ARRAY.view(Subclass), 1.0), {}),
    "layout": ((ARRAY.T, 1.0), {}),
    "step": ((np.zeros((3, 8))[:, ::2], 1.0), {}),
    "misaligned": ((np.frombuffer(bytes(97), np.uint8)[1:].view(np.float64).reshape(3, 4), 1.0), {}),
    "int for float": ((ARRAY, 1), {}),
    "NumPy scalar for float": ((ARRAY, np.float64(1.0)), {}),
    "bool for float": ((ARRAY, True), {}),
    "string": ((ARRAY, "x"), {}),
}


@pytest.mark.parametrize("case", MISFITS)
def test_misfits_take_the_slow_path(bind, case: str) -> None:
    signature = Signature(
        (ArrayArgument(F64, 2), ScalarArgument(F64, weak=True)),
        (Data(0), Value(1)),
        results=(ArrayResult(I64, 1),),
        single=True,
    )
    f = bound(bind, signature, echo(2))
    assert f(ARRAY, 1.0).shape == (2,)
    args, kwargs = MISFITS[case]
    result = f(*args, **kwargs)
    assert went_slow(result)
    assert len(result[1]) == len(args)
    assert all(a is b for a, b in zip(result[1], args, strict=True))
    assert result[2] == kwargs


@pytest.mark.parametrize(
    ("dtype", "value", "fits"),
    [
        (I64, 2**63 - 1, True),
        (I64, 2**63, False),
        (I64, -(2**63) - 1, False),
        (I64, 10**40, False),
        (I64, True, False),
        (I64, 1.0, False),
        (I64, np.int64(3), False),
        (I32, 2**31 - 1, True),
        (I32, 2**31, False),
        (I32, -(2**31) - 1, False),
    ],
)
def test_integers_in_range(bind, dtype, value: Any, fits: bool) -> None:
    signature = Signature((ScalarArgument(dtype, weak=True),), (Value(0),), results=(ArrayResult(I64, 1),), single=True)
    assert went_slow(bound(bind, signature, echo(1))(value)) is not fits


def test_statics_by_identity(bind) -> None:
    marker = object()
    signature = Signature(
        (StaticArgument(marker), StaticArgument(None), ScalarArgument(F64, weak=True)),
        (Value(2),),
        results=(ArrayResult(F64, 1),),
        single=True,
    )
    f = bound(bind, signature, echo(1))
    assert f(marker, None, 0.5) == [0.5]
    assert went_slow(f(object(), None, 0.5))
    assert went_slow(f(marker, False, 0.5))


def test_guards(bind) -> None:
    arrays = (ArrayArgument(F64, 1), ArrayArgument(F64, 2))
    guards = (Same(Extent(0, 0), Extent(1, 1)), Between(Extent(1, 0), 2, 4), Between(Extent(1, 0), 1, 3))
    signature = Signature(arrays, (Extent(0, 0), Extent(1, 0)), guards, (ArrayResult(I64, 1),), single=True)
    f = bound(bind, signature, echo(2))
    for n, m, k in itertools.product((0, 1, 5), range(6), (0, 1, 5)):
        result = f(np.zeros(n), np.zeros((m, k)))
        assert went_slow(result) is not (n == k and 2 <= m <= 3)
        if not went_slow(result):
            assert result.tolist() == [n, m]


def test_written_arrays_share_memory_with_none(bind) -> None:
    written = ArrayArgument(F64, 1, Layout.ANY, written=True)
    read = ArrayArgument(F64, 1, Layout.ANY)
    f = bound(bind, Signature((written, read, read), (), results=(ReturnedArgument(0),), single=True), echo(0))
    x = np.zeros(20)
    other = np.zeros(5)
    assert f(x[:5], x[5:10], x[5:10]).ctypes.data == x.ctypes.data
    assert went_slow(f(x[:5], x[4:9], other))
    assert went_slow(f(x[4:9], other, x[:5]))
    assert went_slow(f(x[:5], x[4::-1], other))
    assert not went_slow(f(x[:5], x[9:4:-1], other))
    assert not went_slow(f(x[3:3], x, other))
    x.flags.writeable = False
    assert went_slow(f(x[:5], other, other))


def test_failures_are_raised_with_their_details(bind) -> None:
    arguments = (ScalarArgument(I64, weak=True), ArrayArgument(I64, 1, written=True))
    signature = Signature(arguments, (Value(0), Data(1)), results=(ScalarResult(I64), ReturnedArgument(1)))
    f = bound(bind, signature, kernel(STATUS))
    counter = np.zeros(1, np.int64)
    value, same = f(0, counter)
    assert value == 77
    assert same is counter
    assert counter[0] == 1
    for status in (1, 12, OUT_OF_MEMORY, INTERRUPTED):
        with pytest.raises(RuntimeError) as raised:
            f(status, counter)
        assert raised.value.args == (status, 41, 2.5)
    assert went_slow(f(GUARD, counter))
    assert went_slow(f(RERUN, counter))


@pytest.mark.parametrize("release", [False, True])
def test_results_of_every_kind(bind, release: bool) -> None:
    text = """
define i64 @kernel(ptr noalias %args, ptr noalias %results, ptr noalias %error) {
  %p = call ptr @iv_zeroed(i64 24)
  store float 1.5, ptr %p
  store ptr %p, ptr %results
  %rows = getelementptr i64, ptr %results, i64 1
  store i64 2, ptr %rows
  %columns = getelementptr i64, ptr %results, i64 2
  store i64 3, ptr %columns
  %flag = getelementptr i64, ptr %results, i64 3
  store i64 1, ptr %flag
  %empty = call ptr @iv_alloc(i64 0)
  %empty.at = getelementptr i64, ptr %results, i64 4
  store ptr %empty, ptr %empty.at
  %length = getelementptr i64, ptr %results, i64 5
  store i64 0, ptr %length
  ret i64 0
}"""
    results = (ArrayResult(F32, 2), ReturnedArgument(0), ScalarResult(BOOL), ArrayResult(I64, 1))
    signature = Signature((ArrayArgument(F64, 1),), (), results=results, release_gil=release)
    array, given, flag, empty = bound(bind, signature, kernel(text))(given_in := np.ones(3))
    assert array.dtype == np.float32
    assert array.tolist() == [[1.5, 0, 0], [0, 0, 0]]
    assert given is given_in
    assert flag is np.True_ or (type(flag) is np.bool_ and flag)
    assert empty.shape == (0,)
    assert empty.dtype == np.int64
    array += 1
    assert array.flags.writeable


def test_no_results_is_none(bind) -> None:
    assert bound(bind, Signature((), ()), echo(0))() is None


def test_nothing_leaks(bind) -> None:
    size = 1 << 17
    text = ECHO.replace("i64 BYTES, i1", "i64 8, i1").replace("BYTES", str(size)).replace("COUNT", str(size // 8))
    signature = Signature((ArrayArgument(F64, 1),), (Data(0),), results=(ArrayResult(I64, 1),))
    f = bound(bind, signature, kernel(text))
    x = np.ones(4)
    f(x)
    references, peak = sys.getrefcount(x), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(1000):
        f(x)
        f(0)
    assert sys.getrefcount(x) == references
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) << 10 < 200 * size


def test_reference_counts_of_shared_objects() -> None:
    f = bound(call.bind, Signature((ArrayArgument(F64, 1),), (Data(0),), results=(ArrayResult(I64, 1),)), echo(1))
    x, watched = np.ones(4), [np.dtype("int64"), np.ndarray, np.int64]
    before = [sys.getrefcount(o) for o in watched]
    for _ in range(1000):
        f(x)
    assert all(abs(sys.getrefcount(o) - b) < 100 for o, b in zip(watched, before, strict=True))


class Owner:
    pass


def test_what_is_kept_lives_as_long_as_the_callable(bind) -> None:
    owner, library = Owner(), echo(0)
    alive = weakref.ref(owner)
    f = bind(Signature((), ()), library.address("kernel"), slow, failed, (owner, library))
    del owner, library
    gc.collect()
    assert alive() is not None
    assert f() is None
    del f
    gc.collect()
    assert alive() is None


def test_threads(bind) -> None:
    signature = Signature(
        (ScalarArgument(I64, weak=True),), (Value(0),), results=(ArrayResult(I64, 1),), single=True, release_gil=True
    )
    f, wrong = bound(bind, signature, echo(1)), []

    def work(k: int) -> None:
        wrong.extend(n for n in range(k, k + 2000) if f(n)[0] != n)

    threads = [threading.Thread(target=work, args=(k * 10000,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_more_than_the_wrapper_holds_still_works() -> None:
    count = 600
    signature = Signature(
        (ScalarArgument(I64, weak=True),) * count,
        tuple(Value(k) for k in range(count)),
        results=(ArrayResult(I64, 1),),
        single=True,
    )
    f = bound(call.bind, signature, echo(count))
    assert isinstance(f, call.PythonCall)
    assert f(*range(count)).tolist() == list(range(count))


def test_bar_two_microseconds() -> None:
    """Three arguments, small arrays, a new array as the result."""
    arguments = (ArrayArgument(F64, 1), ArrayArgument(F64, 1), ScalarArgument(F64, weak=True))
    slots = (Extent(0, 0), Data(0), Data(1), Value(2))
    guards = (Same(Extent(0, 0), Extent(1, 0)),)
    f = bound(call.bind, Signature(arguments, slots, guards, (ArrayResult(I64, 1),), single=True), echo(4))
    x = np.zeros(8)
    assert min(timeit.repeat(lambda: f(x, x, 1.0), number=2000, repeat=20)) / 2000 < 2e-6


def arbitrary(rng: np.random.Generator) -> Any:
    """Something that a caller may pass."""
    base = np.zeros((6, 7), rng.choice(["f8", "f4", "i8", "i4", "?", ">f8", "c16", "O"]))
    rows = base[:: rng.choice([1, 2, -1]), rng.integers(3) :]
    frozen = rows.copy()
    frozen.flags.writeable = False
    numbers = [
        1,
        2**70,
        -5,
        0.5,
        True,
        None,
        "s",
        1j,
        np.float64(0.5),
        np.float32(0.5),
        np.int64(1),
        np.True_,
        object(),
    ]
    arrays = [
        base,
        rows,
        rows[0],
        rows[:, 0],
        base.T,
        frozen,
        rows.view(Subclass),
        rows[..., None],
        base[:0],
        rows[1, 1],
    ]
    pool = numbers if rng.random() < 0.3 else arrays
    return pool[rng.integers(len(pool))]


def test_native_and_python_agree_on_what_fits() -> None:
    rng = np.random.default_rng(0)
    library, taken = echo(3), 0
    for _ in range(300):
        layout, written = rng.choice(list(Layout)), bool(rng.random() < 0.5)
        matrix = ArrayArgument(F64, 2, layout, written)
        other = rng.choice([ArrayArgument(F64, 2, Layout.ANY), ScalarArgument(F64, bool(rng.random() < 0.5))])
        arguments = (matrix, ScalarArgument(I64, weak=True), other)
        guards = [Between(Extent(0, 0), 1, 6)] if rng.random() < 0.5 else []
        if isinstance(other, ArrayArgument) and rng.random() < 0.5:
            guards.append(Same(Extent(0, 1), Extent(2, 1)))
        signature = Signature(arguments, (Data(0), Value(1), Extent(0, 1)), tuple(guards), (ArrayResult(I64, 1),), True)
        native, python = (bound(b, signature, library) for b in (call.bind, call.PythonCall))
        for _ in range(40):
            a, b = np.zeros((6, 7)), np.ones((6, 7))[:, :: rng.choice([1, 2])]
            fitting = [a, 3, b if isinstance(other, ArrayArgument) else (0.5 if other.weak else np.float64(0.5))]
            args = [arbitrary(rng) if rng.random() < 0.3 else x for x in fitting]
            left, right = native(*args), python(*args)
            assert went_slow(left) == went_slow(right), (signature, args)
            if not went_slow(left):
                taken += 1
                np.testing.assert_array_equal(left, right)
    assert taken > 1000


def test_large_results_outlive_the_pool_and_each_other() -> None:
    """Blocks go back to the kernels' pool with the last array that uses them, be it a view, and not before."""
    double = iv.jit(lambda x: x * 2.0)
    n = 50_000
    kept = [double(np.full(n, float(k))) for k in range(40)]
    views = [a[::2] for a in kept]
    expected = [2.0 * k for k in range(40)]
    del kept
    for k in range(40):
        double(np.full(n, -1.0))
        assert all(np.all(v == x) for v, x in zip(views, expected, strict=True)), k


def test_the_memory_of_a_dropped_result_is_had_again() -> None:
    double = iv.jit(lambda x: x * 2.0)
    x = np.ones(100_000)
    places = {double(x).ctypes.data for _ in range(20)}
    assert len(places) <= 2 or sys.platform != "linux"
