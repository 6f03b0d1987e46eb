"""What every test process begins with, unless the environment says otherwise.

Correctness is tested at LLVM's lowest level; a test that is about another one says so.  What was compiled before isn't
taken from disk.  OpenBLAS gets one thread: the matrices of tests are small, and as many processes as cores would wait
for one another's threads.
"""

import os
from typing import Any

import pytest

os.environ.setdefault("IVERSON_LEVEL", "0")
os.environ.setdefault("IVERSON_CACHE_DIR", "off")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

SHARING = {"tests/test_corpus.py", "tests/diff/test_checkpoints.py", "tests/diff/test_dependence.py"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of one program of the corpus follow one another, since they share what is made of it (tests/corpus.py)."""
    found = [(k, item, given) for k, item in enumerate(items) if (given := _program(item)) is not None]
    order: dict[Any, int] = {}
    for _, _, program in found:
        order.setdefault(program, len(order))
    by_program = sorted(found, key=lambda entry: order[entry[2]])
    for (k, _, _), (_, item, _) in zip(found, by_program, strict=True):
        items[k] = item


def _program(item: pytest.Item) -> Any:
    """What a test that goes over the corpus by `case_of` is given."""
    if item.nodeid.partition("::")[0] not in SHARING or not hasattr(item, "callspec"):
        return None
    return item.callspec.params.get("program")
