"""Core to loop IR to LLVM to machine code.

    compile(function)  ->  Compiled: the kernel as loop IR, LLVM IR, assembly and object bytes, with its error sites

The kernel's calling convention is backend/abi.py; loading an object is `cpu.load`.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from iverson.backend import (
    axes,
    beforehand,
    bisections,
    checks,
    copies,
    cpu,
    elements,
    expand,
    fills,
    interrupt,
    lengths,
    linear,
    lookups,
    loopir,
    mapped,
    memory,
    merge,
    peel,
    pool,
    recurrences,
    relax,
    residuals,
    reuse,
    scans,
    schedule,
    single,
    special,
    split,
    strips,
    tails,
    threads,
    trees,
    unravel,
    vectors,
    warning,
    wraps,
)
from iverson.backend.abi import OUT_OF_MEMORY, Layout
from iverson.backend.context import Unsupported
from iverson.backend.emit import emit
from iverson.backend.loopir import ErrorSite
from iverson.backend.lower import lower
from iverson.core.build import dtype_of, extents_of
from iverson.core.syntax import DType, Function

SYMBOL = "iv_kernel"  # what a module exports
# with so many loops in one function LLVM's time grows faster than their number, and interleaving doubles it
MANY = 40
HUGE = 150  # unrolling doubles it again


@dataclass(frozen=True)
class Code:
    """What it takes to load and call a kernel; this is what goes to disk."""

    object: bytes
    imports: tuple[str, ...]  # the foreign symbols that the object needs
    sites: tuple[ErrorSite, ...]  # status s > 0 of the kernel is site s - 1
    outs: tuple[tuple[DType, int], ...]  # dtype and rank of each out of the function

    @property
    def symbols(self) -> dict[str, int]:
        """The addresses of what the object imports."""
        foreign = {name: linear.address(name) for name in self.imports if name.startswith(linear.PREFIX)}
        if warning.SYMBOL in self.imports:
            foreign[warning.SYMBOL] = warning.address()
        foreign |= {name: at for name, at in mapped.addresses().items() if name in self.imports}
        if interrupt.FLAG in self.imports:
            foreign[interrupt.FLAG] = interrupt.address()
        foreign |= {name: pool.address(name) for name in self.imports if name in pool.SYMBOLS}
        return foreign | special.addresses(name for name in self.imports if name not in foreign)

    def load(self) -> cpu.Library:
        return cpu.load(self.object, [SYMBOL], self.symbols)

    def error(self, status: int, details: Sequence[Any]) -> Exception:
        """The exception of a failed call; `details` are the values in the error slots, `.site` the statement's."""
        if status == OUT_OF_MEMORY:
            return MemoryError("out of memory")
        site = self.sites[status - 1]
        values = list(details[: len(site.details)])
        if site.wrapped and values[0] < 0:
            values[0] -= values[1]
        kind = getattr(builtins, site.error, None) or getattr(np.linalg, site.error, ValueError)
        message = site.message.format(*values)
        if kind is OSError and (why := mapped.reason()):
            message += f": {why}"
        error = kind(message)
        error.site = site.site
        if site.site is not None:
            error.add_note(f"  at {site.site.file}:{site.site.line}, in {site.site.function}")
        return error  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Compiled:
    """A compiled function at every stage; object bytes are made when first asked for."""

    function: Function
    loops: str  # the loop IR
    ir: str  # LLVM's, not optimised
    sites: tuple[ErrorSite, ...]
    imports: tuple[str, ...]
    options: cpu.Options
    _exact: Callable[[], Compiled]

    @cached_property
    def exact(self) -> Compiled:
        """The same kernel with all checks in place: what to call where this one says abi.RERUN."""
        return self._exact()

    @cached_property
    def code(self) -> Code:
        outs = tuple((dtype_of(o), len(extents_of(o))) for o in self.function.body.outs)
        return Code(cpu.compile(self.ir, options=self.options), self.imports, self.sites, outs)

    @cached_property
    def optimised(self) -> str:
        return cpu.optimised_ir(self.ir, options=self.options)

    @cached_property
    def assembly(self) -> str:
        return cpu.assembly(self.ir, options=self.options)


def compile(
    function: Function,
    *,
    level: int = 3,
    reassociate: bool = True,
    layouts: Sequence[Layout] | None = None,
    committed: Mapping[int, int] | None = None,
    exact: bool = False,
    tells: bool = True,
    threaded: bool = True,
    lean: bool = False,
) -> Compiled:
    """Compile a core function.

    `reassociate=False` keeps every reduction in order.  `layouts` says of each parameter whether it is contiguous (all
    are, unless said otherwise).  `committed`: out -> donated parameter in whose memory its final value is left.
    `exact` keeps every check where the program has it (see backend/checks.py); without `tells` the kernel asks for
    another run wherever a check fails, since another program may be the one for these arguments.  Unless `threaded` all
    loops run on the thread that calls; where `lean`, those do whose chunks would take memory.
    """
    program = _scheduled(function, reassociate, layouts, committed, exact, tells)
    loops = loopir.count_loops(program.body)
    _finish(program, reassociate, threaded and not exact, lean)
    text, imports = emit(program, symbol=SYMBOL, reassociate=reassociate)
    again = partial(
        compile,
        function,
        level=min(level, 1),
        reassociate=reassociate,
        layouts=layouts,
        committed=committed,
        exact=True,
    )
    options = cpu.Options(level, interleave=loops < MANY, unroll=loops < HUGE)
    return Compiled(function, loopir.show(program), text, tuple(program.sites), imports, options, again)


def lowered(
    function: Function,
    reassociate: bool = True,
    layouts: Sequence[Layout] | None = None,
    committed: Mapping[int, int] | None = None,
    threaded: bool = True,
) -> loopir.Program:
    """The loops of a core function, as LLVM gets them."""
    program = _scheduled(function, reassociate, layouts, committed)
    _finish(program, reassociate, threaded)
    return program


def _scheduled(
    function: Function,
    reassociate: bool,
    layouts: Sequence[Layout] | None,
    committed: Mapping[int, int] | None,
    exact: bool = False,
    tells: bool = True,
) -> loopir.Program:
    """The loops of a core function, in the order in which one thread runs them."""
    program = lower(expand.run(function), layouts=layouts, committed=committed)
    if not exact:
        lengths.run(program)
        program.exact = not checks.run(program) and tells
        scans.run(program)
        copies.run(program)
        fills.run(program)
        merge.run(program)
        peel.run(program)
        unravel.run(program)
        elements.run(program)
        if reassociate:
            relax.run(program)
        residuals.run(program, reassociate)
        split.run(program)
        axes.run(program)
        vectors.run(program, reassociate)
        schedule.run(program, reassociate)
        single.run(program)
        lookups.run(program)
        relax.lanes(program, reassociate)
        if reassociate:
            trees.run(program)
        wraps.run(program)
        bisections.run(program)
        tails.run(program)
        reuse.run(program)
        recurrences.run(program, reassociate)
        beforehand.run(program)
        strips.run(program)
    return program


def _finish(program: loopir.Program, reassociate: bool, threaded: bool, lean: bool = False) -> None:
    """Give loops to threads, and arrays their memory."""
    if threaded:
        threads.run(program, reassociate, lean)
    memory.run(program)
    interrupt.run(program)


__all__ = ["SYMBOL", "Code", "Compiled", "Layout", "Unsupported", "compile", "lowered"]
