"""GradBench's protocol: a JSON object a line, a request and its response, over standard input and output.

    start                        -> {id, tool}
    define module                -> {id, success}; everything is compiled here, in no one's time
    evaluate module, function    -> {id, success, output, timings}; the clock runs for the function alone
    anything else                -> {id}

What fails is an answer, too: {id, success: false, error}.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, TextIO

from benchmarks.gradbench.evaluation import Evaluation

NAMES = ("hello", "llsq", "lse", "gmm", "lstm", "ode", "det", "kmeans", "ba", "ht", "particle", "saddle")


def evaluation(module: str) -> Evaluation:
    if module not in NAMES:
        raise NotImplementedError(f"there is no evaluation {module!r}: there are {', '.join(NAMES)}")
    return importlib.import_module(f"benchmarks.gradbench.{module}").EVALUATION  # type: ignore[no-any-return]


def timed(call: Callable[[], Any], runs: int, seconds: float) -> tuple[Any, list[int]]:
    """The result, and the nanoseconds of each of at least so many runs, which take at least so long together."""
    times: list[int] = []
    while True:
        begin = time.perf_counter_ns()
        result = call()
        times.append(time.perf_counter_ns() - begin)
        if len(times) >= runs and sum(times) >= seconds * 1e9:
            return result, times


def define(request: dict[str, Any]) -> dict[str, Any]:
    evaluation(request["module"]).define()
    return {"success": True}


def evaluate(request: dict[str, Any]) -> dict[str, Any]:
    chosen, name, data = evaluation(request["module"]), request["function"], request["input"]
    if name not in chosen.functions:
        raise NotImplementedError(f"{request['module']} has no function {name!r}: it has {', '.join(chosen.functions)}")
    function, args = chosen.functions[name], chosen.arguments(data)
    runs, seconds = (data.get("min_runs", 1), data.get("min_seconds", 0)) if isinstance(data, dict) else (1, 0)
    result, times = timed(lambda: function(*args), runs, seconds)
    return {
        "success": True,
        "output": chosen.answer(name, result),
        "timings": [{"name": "evaluate", "nanoseconds": t} for t in times],
    }


ANSWERS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "start": lambda request: {"tool": "iverson"},
    "define": define,
    "evaluate": evaluate,
}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"id": request["id"]}
    try:
        found |= ANSWERS.get(request["kind"], lambda request: {})(request)
    except Exception as failure:
        found |= {"success": False, "error": f"{type(failure).__name__}: {failure}"}
    return found


def serve(requests: Iterable[str], responses: TextIO = sys.stdout) -> None:
    for line in requests:
        print(json.dumps(answer(json.loads(line))), file=responses, flush=True)
