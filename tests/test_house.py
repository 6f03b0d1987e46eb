"""The house rules that can be checked: layers import downwards, files stay readable, public names are documented."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

import iverson as iv

ROOT = Path(iv.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
BELOW = {
    "core": set(),
    "lang": {"core"},
    "diff": {"core"},
    "opt": {"core"},
    "backend": {"core"},
    "run": {"core", "lang", "diff", "opt", "backend"},
    "__init__": {"lang", "run"},
}


def layer(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """The layers of this package that a file imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{a.name}" for a in node.names] if node.module == "iverson" else [node.module]
        elif isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        found |= {n.split(".")[1] for n in names if n.startswith("iverson.")}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_layers_import_downwards(path: Path) -> None:
    assert imported(path) <= BELOW[layer(path)] | {layer(path)}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_have_a_contract_and_end(path: Path) -> None:
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), "every file says what it is for"
    assert len(text.splitlines()) <= 600


@pytest.mark.parametrize("name", iv.__all__)
def test_public_names_are_documented(name: str) -> None:
    value = getattr(iv, name)
    assert inspect.getdoc(value), f"iv.{name} has no docstring"
