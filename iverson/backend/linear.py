"""Foreign linear algebra: SciPy's BLAS and LAPACK, which a kernel calls by pointer.

All matrices of a kernel are row-major; LAPACK reads them as their transposes (backend/lower_library.py).
"""

from __future__ import annotations

import ctypes
from functools import cache

from iverson.core.syntax import F64, DType

PREFIX = "lapack_"
BLAS = ("gemm", "syrk", "trmm", "trsm")
READ = {"gemm": 2, "syrk": 1, "trmm": 1, "trsm": 1}  # of the arrays of a routine so many are only read, the first ones


def symbol(routine: str, dtype: DType) -> str:
    """The name under which a kernel imports a routine."""
    return f"{PREFIX}{'d' if dtype is F64 else 's'}{routine}"


def only_read(name: str) -> int:
    """How many of the arrays that an imported routine is given it surely doesn't write, from the first on."""
    return READ.get(name.removeprefix(PREFIX)[1:], 0)


@cache
def address(name: str) -> int:
    """Where an imported routine is in this process."""
    from scipy.linalg import cython_blas, cython_lapack

    routine = name.removeprefix(PREFIX)
    module = cython_blas if routine[1:] in BLAS else cython_lapack
    capsule = module.__pyx_capi__[routine]
    get_name, get = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    get_name.restype, get_name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    signature = get_name(capsule)
    if b"int *" not in signature:
        raise ImportError(f"SciPy's {routine} takes integers of another size: {signature.decode()}")
    return int(get(capsule, signature))
