"""Each mistake raises what Python would, says what is wrong and where, leaves the data alone and the process alive."""

import contextlib
import io
import re
import traceback
import warnings
from pathlib import Path

import numpy as np
import pytest

import iverson as iv
from tests.mistakes import ACCEPTED, MISTAKES
from tests.programs.registry import assert_same, copied

STAGED = [m for m in MISTAKES if m.transform]


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("IVERSON_LEVEL", "0")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def plus_one(x):
    return x + 1.0


def observed(function, args):
    """The result and the printed text of a call."""
    with contextlib.redirect_stdout(io.StringIO()) as text:
        return function(*args), text.getvalue()


def applied(mistake):
    return getattr(iv, mistake.transform)(mistake.function) if mistake.transform else mistake.function


def message(error):
    """The text a user reads above the traceback's frames: the message and its notes."""
    return "\n".join([str(error), *getattr(error, "__notes__", ())])


def names_the_line(error, file, line):
    """Whether the message, a syntax error's place or a frame of the traceback is that line of the user's file."""
    base = re.escape(Path(file).name)
    if re.search(rf'{base}"?(:|, line ){line}\b', message(error)):
        return True
    if isinstance(error, SyntaxError) and (error.filename, error.lineno) == (file, line):
        return True
    return any((f.filename, f.lineno) == (file, line) for f in traceback.extract_tb(error.__traceback__))


def caught(mistake, function, args):
    """The exception of the call; a lenient mistake that does what Python does has none."""
    try:
        result = observed(function, args)
    except mistake.error as error:
        return error
    assert mistake.lenient, f"no error, but {result[0]!r}"
    expected = observed(mistake.function, mistake.args())
    assert_same(result[0], expected[0])
    assert result[1] == expected[1]
    return None


def test_mistakes_are_many_distinct_and_marked():
    names = [m.name for m in MISTAKES]
    assert len(names) == len(set(names)) >= 60
    assert all(m.line > 0 for m in MISTAKES)


@pytest.mark.parametrize("mistake", [m for m in STAGED if m.plain], ids=lambda m: m.name)
def test_plain_python_raises_too(mistake):
    with pytest.raises(mistake.error) as info:
        mistake.function(*mistake.args())
    assert re.search(mistake.match, message(info.value)), message(info.value)
    assert names_the_line(info.value, mistake.file, mistake.line)


@pytest.mark.parametrize("mistake", [m for m in STAGED if m.lenient or m.good], ids=lambda m: m.name)
def test_plain_python_is_right_where_it_should_be(mistake):
    if mistake.lenient:
        mistake.function(*mistake.args())
    if mistake.good:
        mistake.function(*mistake.good())


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: m.name)
def test_raises_and_says_where(mistake):
    args = mistake.args()
    error = caught(mistake, applied(mistake), args)
    if error is not None:
        assert re.search(mistake.match, message(error)), message(error)
        assert names_the_line(error, mistake.file, mistake.line), traceback.format_exception(error)
        if mistake.transform == "jit":
            unchanged(args, mistake.args())
    assert iv.jit(plus_one)(1.0) == 2.0


def unchanged(args, before):
    """An error leaves the caller's arrays as they were."""
    for now, then in zip(args, before, strict=True):
        if isinstance(now, np.ndarray):
            np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("mistake", [m for m in STAGED if m.good], ids=lambda m: m.name)
def test_a_compiled_function_still_finds_the_mistake_and_recovers(mistake):
    function = applied(mistake)
    expected = mistake.function(*mistake.good()) if mistake.transform == "jit" else None
    for _ in range(2):
        result = function(*mistake.good())
        if mistake.transform == "jit":
            assert_same(result, expected)
        error = caught(mistake, function, mistake.args())
        assert re.search(mistake.match, message(error)), message(error)


@pytest.mark.parametrize(("function", "args", "value"), [pytest.param(*case, id=case[0].__name__) for case in ACCEPTED])
def test_what_looks_like_a_mistake_has_its_value(function, args, value):
    assert_same(iv.jit(function)(*copied(args)), value)
