"""The LLVM engine for the host CPU: IR text -> optimised IR -> object bytes -> loaded code.

    compile(text, level=3)      object bytes, position independent of this process, fit for a disk cache
    load(object, symbols)       a `Library` whose exported functions have addresses
    optimised_ir(text), assembly(text)      for `iv.show`

Level 0 runs no optimisation (correctness tests), 1 and 2 the standard pipeline of that speed; 3 is the pipeline of 2,
and the most thorough code generator. What the pipeline of 3 adds, loops copied for each outcome of a test that they
don't change, takes up to half of the time and makes nothing faster: nests are tested once (backend/nests.py).

Code is for the host's own features. Vectors of AVX-512 are 512 bits wide where the units are (`FULL_WIDTH`), elsewhere
256 unless a function says `"prefer-vector-width"="512"` (`WIDE`), which pays where elementary functions dominate.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import llvmlite.binding as llvm

FULL_WIDTH = ("znver5",)  # whose units are 512 bits wide, at no loss of frequency
WIDE = '"prefer-vector-width"="512"'

_lock = threading.RLock()  # LLVM's global context is not thread-safe
_serial = itertools.count()


@dataclass(frozen=True, slots=True)
class Options:
    """How to compile; part of the key of a cached object."""

    level: int = 3
    interleave: bool = True  # off: compiles a quarter faster, 10-15 % better on short inner loops, worse on long ones
    unroll: bool = True
    vectorise: bool = True

    @property
    def text(self) -> str:
        return f"O{self.level} i{self.interleave:d} u{self.unroll:d} v{self.vectorise:d}"


class CompileError(RuntimeError):
    """LLVM rejects the text: an error of ours, never of the user's."""


@cache
def features() -> str:
    """The host's instruction sets, as LLVM writes them."""
    found = llvm.get_host_cpu_features()
    half = found.get("avx512f") and not llvm.get_host_cpu_name().startswith(FULL_WIDTH)
    return ",".join([found.flatten(), "+prefer-256-bit"]) if half else str(found.flatten())


@cache
def _initialise() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


@cache
def _machine(level: int) -> llvm.TargetMachine:
    _initialise()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=features(),
        opt=level,
        reloc="pic",
        codemodel="default",
        jit=False,
    )


@cache
def _jit() -> llvm.LLJIT:
    _initialise()
    return llvm.create_lljit_compiler(_machine(2), use_jit_link=False, suppress_errors=True)


@cache
def target_key() -> str:
    """What makes an object fit this machine: a digest of triple, CPU, features and LLVM's version."""
    parts = (llvm.get_process_triple(), llvm.get_host_cpu_name(), features(), str(llvm.llvm_version_info))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _optimised(text: str, options: Options) -> llvm.ModuleRef:
    machine = _machine(options.level)
    try:
        module = llvm.parse_assembly(text)
        module.triple = machine.triple
        module.data_layout = str(machine.target_data)
        module.verify()
    except RuntimeError as error:
        raise CompileError(str(error)) from None
    tuning = llvm.create_pipeline_tuning_options(speed_level=min(options.level, 2))
    tuning.loop_interleaving = options.interleave
    tuning.loop_vectorization = options.vectorise and options.level >= 2
    tuning.loop_unrolling = options.unroll
    tuning.slp_vectorization = False
    builder = llvm.create_pass_builder(machine, tuning)
    builder.getModulePassManager().run(module, builder)
    return module


def _options(level: int, options: Options | None) -> Options:
    return options if options is not None else Options(level)


def optimised_ir(text: str, *, level: int = 3, options: Options | None = None) -> str:
    with _lock:
        return str(_optimised(text, _options(level, options)))


def assembly(text: str, *, level: int = 3, options: Options | None = None) -> str:
    chosen = _options(level, options)
    with _lock:
        return str(_machine(chosen.level).emit_assembly(_optimised(text, chosen)))


def compile(text: str, *, level: int = 3, options: Options | None = None) -> bytes:
    """The object file of a module given as LLVM IR text."""
    chosen = _options(level, options)
    with _lock:
        return bytes(_machine(chosen.level).emit_object(_optimised(text, chosen)))


class Library:
    """Loaded code.  Its addresses are valid as long as it lives: keep it wherever one is kept."""

    def __init__(self, tracker: llvm.orcjit.ResourceTracker, names: Iterable[str]) -> None:
        self._tracker = tracker
        self._addresses = {name: int(tracker[name]) for name in names}

    def address(self, name: str) -> int:
        return self._addresses[name]


def load(image: bytes, names: Iterable[str], symbols: Mapping[str, int]) -> Library:
    """Link an object into this process: `names` are what it exports, `symbols` the addresses it imports."""
    names = tuple(names)
    builder = llvm.JITLibraryBuilder().add_object_img(image)
    for name, address in symbols.items():
        builder.import_symbol(name, address)
    for name in names:
        builder.export_symbol(name)
    with _lock:
        return Library(builder.link(_jit(), f"iverson.{next(_serial)}"), names)
