"""Looking at programs: `iv.show`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from iverson.core import show as printer
from iverson.opt.pipeline import optimise
from iverson.run.budget import Budgeted
from iverson.run.cost import cost
from iverson.run.jit import Jit

STAGES = ("source", "core", "tape", "optimised", "loops", "llvm", "asm")


class Text(str):
    """A program's text; a prompt shows it as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def show(f: Callable[..., Any], stage: str = "core") -> Callable[..., Text]:
    """A function of f's arguments that gives the text of the program that f is for them.

    Stages: "source", the Python; "core", as staged (and differentiated); "tape", what its gradients keep and run again,
    and why; "optimised", after every pass; "loops", the loop program of the back end; "llvm", optimised; "asm".  Raises
    ValueError for another stage.

    >>> print(iv.show(iv.grad(f), stage="optimised")(x))
    """
    if stage not in STAGES:
        raise ValueError(f"stage is one of {', '.join(STAGES)}, not {stage!r}")
    given = f if isinstance(f, Jit | Budgeted) else Jit(f)

    def text(*args: Any, **kwargs: Any) -> Text:
        jitted, args = given.planned(*args, **kwargs) if isinstance(given, Budgeted) else (given, args)
        if stage == "source":
            return Text(inspect.getsource(inspect.unwrap(jitted)))
        if stage == "tape":
            return Text("\n".join(map(str, cost(jitted)(*args, **kwargs).residuals)) or "nothing is kept")
        if stage in ("core", "optimised"):
            function = jitted.staged(args, kwargs).function
            if stage == "optimised":
                function = optimise(function, jitted.options["reassociate"])
            return Text(printer.show(function))
        program, leaves = jitted.program(args, kwargs)
        compiled = program.native(leaves).compiled
        return Text({"loops": compiled.loops, "llvm": compiled.optimised, "asm": compiled.assembly}[stage])

    return text
