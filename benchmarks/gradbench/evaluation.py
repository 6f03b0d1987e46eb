"""What an evaluation is: its functions, and how the protocol's inputs and outputs become theirs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


def plain(result: Any) -> Any:
    """A result as JSON has it: lists, dicts and numbers."""
    if isinstance(result, Mapping):
        return {name: plain(value) for name, value in result.items()}
    return result.tolist()


@dataclass(frozen=True)
class Evaluation:
    """One of GradBench's evaluations.

    functions   by their names in the protocol: the primal first, then what is derived from it
    arguments   the input of a request -> the arguments of the functions
    make        (generator, sizes...) -> an input of those sizes
    sample      the sizes of the inputs that the functions are compiled on, when the evaluation is defined
    sizes       the sizes that `--own` times
    output      for a function whose result isn't its output: the result -> the output
    """

    functions: Mapping[str, Callable[..., Any]]
    arguments: Callable[[Any], tuple[Any, ...]]
    make: Callable[..., Any]
    sample: Sequence[tuple[Any, ...]]
    sizes: Sequence[tuple[Any, ...]]
    output: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)

    def define(self) -> None:
        """Compile: one program serves inputs of all sizes."""
        for sizes in self.sample:
            args = self.arguments(self.make(np.random.default_rng(0), *sizes))
            for function in self.functions.values():
                function(*args)

    def answer(self, function: str, result: Any) -> Any:
        return self.output.get(function, plain)(result)
