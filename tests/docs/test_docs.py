"""The documentation does what it says: every Python block of it is run.

    ```python                     runs, in one namespace with the file's other blocks
    ```python raises=IndexError   raises that
    ```text  after a block        is what the block has printed

`python -m tests.docs.test_docs` writes what blocks print into the files.
"""

from __future__ import annotations

import contextlib
import io
import linecache
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import iverson as iv
from iverson.opt.pipeline import PASSES, REASSOCIATE, SCHEDULE

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    language: str
    raises: str
    start: int  # of its text in the file's
    text: str


def blocks(document: str) -> Iterator[Block]:
    for found in FENCE.finditer(document):
        raises = re.search(r"raises=(\w+)", found[2])
        yield Block(found[1], raises[1] if raises else "", found.start(3), found[3])


def padded(document: str, block: Block) -> str:
    """The block at the lines where it stands, so that messages name them."""
    return "\n" * document.count("\n", 0, block.start) + block.text


def run(path: Path) -> Iterator[tuple[Block, str]]:
    """Run a file's blocks; each Python block with what it has printed."""
    document = path.read_text()
    name = path.name
    parts = [b for b in blocks(document) if b.language == "python"]
    lines = [""] * document.count("\n")
    for block in parts:
        first = document.count("\n", 0, block.start)
        lines[first : first + block.text.count("\n")] = block.text.split("\n")[:-1]
    linecache.cache[name] = (len(document), None, [line + "\n" for line in lines], name)
    scope: dict[str, Any] = {"__name__": f"docs.{path.stem}"}
    for block in parts:
        printed = io.StringIO()
        code = compile(padded(document, block), name, "exec")
        expected = pytest.raises(Exception) if block.raises else contextlib.nullcontext()
        with contextlib.redirect_stdout(printed), expected as raised:
            exec(code, scope)
        if block.raises:
            kinds = [kind.__name__ for kind in type(raised.value).__mro__]
            assert block.raises in kinds, f"{name}: {block.text} raised {raised.value!r}"
        yield block, printed.getvalue().rstrip() + "\n" * bool(printed.getvalue())


def output_after(document: str, block: Block) -> Block | None:
    """The text block that follows at once."""
    found = FENCE.match(document, block.start + len(block.text) + len("```\n\n"))
    return Block("text", "", found.start(3), found[3]) if found and found[1] == "text" else None


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_blocks(path, monkeypatch):
    monkeypatch.setenv("IVERSON_LEVEL", "0")
    document = path.read_text()
    for block, printed in run(path):
        shown = output_after(document, block)
        assert printed == (shown.text if shown else ""), "`python -m tests.docs.test_docs` writes what is printed"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_paths_exist(path):
    """Files that are named are there."""
    for name in set(re.findall(r"`((?:[\w.]+/)*\w+\.(?:py|md))`", path.read_text())):
        assert any((ROOT / folder / name).exists() for folder in ("", "iverson", "docs")), f"{path.name} names {name}"


def test_every_public_name_is_documented():
    documented = "".join(path.read_text() for path in FILES if path.name != "README.md")
    assert [name for name in iv.__all__ if not re.search(rf"\biv\.{name}\b", documented)] == []


def test_every_pass_is_in_the_tour():
    tour = (ROOT / "docs" / "internals.md").read_text()
    passes = {run.__module__.split(".")[-1] for _, run in [*PASSES, *SCHEDULE, *REASSOCIATE]}
    source = (ROOT / "iverson" / "backend" / "__init__.py").read_text()
    missing = [p for p in passes if f"`opt/{p}.py`" not in tour]
    backend = re.findall(r"\b(\w+)\.(?:run|lanes)\(", source)
    missing += [p for p in backend if f"`backend/{p}.py`" not in tour]
    assert len(backend) > 9 and missing == []


def refresh(path: Path) -> None:
    """Write what the blocks print where it is shown."""
    document = path.read_text()
    for block, printed in reversed(list(run(path))):
        shown = output_after(document, block)
        if shown:
            document = document[: shown.start] + printed + document[shown.start + len(shown.text) :]
    path.write_text(document)


if __name__ == "__main__":
    for path in FILES:
        refresh(path)
