"""What is measured: a workload, its program as each peer has it, and the table of all of them.

A group is a module in `benchmarks/suite/groups` with a function `workloads()`.  What a peer needs is imported when its
program is built, in the process that measures it, so that the table itself needs nothing but NumPy and Iverson.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Args = tuple[Any, ...]
GROUPS = ("gradbench", "arrays", "loops", "kernels", "contractions", "calls", "parallel")
MEASURES = ("time", "memory", "growth", "threads", "calls")

# Peers in the order of the tables: what each is, and the module or the command that it needs.
OURS = "Iverson"
PEERS: dict[str, tuple[str, str]] = {
    OURS: ("the program as it stands, compiled", "iverson"),
    "C++": ("g++ -O3 -march=native, the same algorithm; values only", "g++"),
    "NumPy": ("the program as it stands, or whole-array operations; values only", "numpy"),
    "Numba": ("njit(fastmath=True), with a hand-written adjoint where there is one", "numba"),
    "JAX": ("jit, value_and_grad", "jax"),
    "Enzyme": ("the JAX program, differentiated by Enzyme (enzyme-ad)", "enzyme_ad"),
    "PyTorch": ("eager, autograd", "torch"),
    "autograd": ("the NumPy program under HIPS autograd", "autograd"),
    "CasADi": ("a graph of scalars or matrices, its reverse derivative", "casadi"),
    "DaCe": ("the NumPy program under DaCe AD (dace 2)", "dace"),
}


def installed(peer: str) -> bool:
    need = PEERS[peer][1]
    return shutil.which(need) is not None if need == "g++" else importlib.util.find_spec(need) is not None


@dataclass(frozen=True)
class Program:
    """A workload as one peer has it: functions of the workload's arguments.

    value        the objective; None if the peer has no program for it alone
    gradient     (objective, gradient), or what derivative the workload is about; None if the peer has none
    prepare      the workload's arguments -> those of the functions: arrays of the peer's own; not timed
    wait         a result -> the same, when it has been computed
    memory       prepared arguments -> bytes of the gradient's temporaries, where the peer itself says
    """

    value: Callable[..., Any] | None = None
    gradient: Callable[..., Any] | None = None
    prepare: Callable[[Args], Args] = lambda args: args
    wait: Callable[[Any], Any] = lambda result: result
    memory: Callable[[Args], float] | None = None


@dataclass(frozen=True)
class Workload:
    """What is measured: a program by each peer, and its arguments at a size.

    name, group   what tables call it, and the table that it is in
    arguments     a size -> arguments
    size          the size that times are of
    peers         peer -> what builds its program
    small         a size at which programs can be tried; None: there is none, and memory isn't measured
    large         the size that memory is of, where `size` is too small: the system counts pages, some .2 MB late
    growth        sizes for the growth of gradient / value; () for none
    measures      what else is measured: "threads" and "calls" measure in their own way, see `benchmark`
    benchmark     for these: -> numbers by name
    tolerance     how far results of peers may differ, relative to the norm
    quick         whether `--quick` has it
    known         a time that others are known to take, as a multiple of C++'s value, and whose it is
    """

    name: str
    group: str
    arguments: Callable[[Any], Args] = lambda size: ()
    size: Any = None
    peers: Mapping[str, Callable[[], Program]] = field(default_factory=dict)
    small: Any = None
    large: Any = None
    growth: tuple[int, ...] = ()
    benchmark: Mapping[str, Callable[[], dict[str, Any]]] = field(default_factory=dict)
    tolerance: float = 1e-6
    quick: bool = False
    known: tuple[float, str] | None = None

    def cells(self) -> list[tuple[str, str]]:
        """What there is to measure: (peer, measure)."""
        found = [(peer, measure) for measure in self.benchmark for peer in (OURS,)]
        for peer in sorted(self.peers, key=list(PEERS).index):
            found.append((peer, "time"))
            if self.small is not None and peer not in ("C++", "NumPy"):
                found.append((peer, "memory"))
            if self.growth and peer in (OURS, "Numba", "JAX"):
                found.append((peer, "growth"))
        return found


@functools.cache
def of_group(group: str) -> list[Workload]:
    return importlib.import_module(f"benchmarks.suite.groups.{group}").workloads()  # type: ignore[no-any-return]


def workloads(groups: tuple[str, ...] = GROUPS) -> list[Workload]:
    return [w for group in groups for w in of_group(group)]


def named(name: str) -> Workload:
    for group in GROUPS:
        for w in of_group(group):
            if w.name == name:
                return w
    raise LookupError(f"there is no workload {name!r}")
