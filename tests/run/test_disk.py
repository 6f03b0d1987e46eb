"""The disk cache gives back what was put, or nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from iverson.run import disk


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    where = tmp_path / "cache"
    monkeypatch.setenv(disk.VARIABLE, str(where))
    disk._prepared.cache_clear()
    yield where
    disk._prepared.cache_clear()


def entry(place: Path, name: str) -> Path:
    return place / f"{name}.iv"


def test_round_trip(place: Path) -> None:
    name = disk.key("f", "O3")
    assert disk.get(name) is None
    disk.put(name, b"code")
    assert disk.get(name) == b"code"
    assert place.stat().st_mode & 0o077 == 0
    assert entry(place, name).stat().st_mode & 0o077 == 0
    disk.put(name, b"other")
    assert disk.get(name) == b"other"
    disk.clear()
    assert disk.get(name) is None


def test_keys_tell_parts_apart() -> None:
    keys = [disk.key(*parts) for parts in ((), ("",), ("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""))]
    assert len(set(keys)) == len(keys)
    assert disk.key("x") == disk.key("x")


@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped", "renamed"])
def test_damage_is_a_miss(place: Path, damage: str) -> None:
    name, path = disk.key("f"), entry(place, disk.key("f"))
    disk.put(name, b"some machine code")
    content = path.read_bytes()
    match damage:
        case "truncated":
            path.write_bytes(content[:-1])
        case "empty":
            path.write_bytes(b"")
        case "flipped":
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "renamed":
            disk.put(disk.key("g"), b"another's code")
            path.write_bytes(entry(place, disk.key("g")).read_bytes())
    assert disk.get(name) is None


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o722])
def test_a_directory_that_others_can_write_is_not_used(place: Path, mode: int) -> None:
    place.mkdir()
    place.chmod(mode)
    disk.put("x", b"code")
    assert not list(place.iterdir())
    assert disk.directory() is None


def test_nor_one_below_such_a_directory(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place.mkdir(mode=0o700)
    place.chmod(0o777)
    monkeypatch.setenv(disk.VARIABLE, str(place / "inner"))
    assert disk.directory() is None
    place.chmod(0o1777)  # sticky, as /tmp is: others can't replace what is inside
    disk._prepared.cache_clear()
    assert disk.directory() is not None


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_a_directory_of_another_user_is_not_used(place: Path) -> None:
    place.mkdir(mode=0o700)
    os.chown(place, 12345, -1)
    assert disk.directory() is None


def test_off(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(disk.VARIABLE, "off")
    disk.put("x", b"code")
    assert disk.get("x") is None
    assert not place.exists()


def test_what_cannot_be_written_is_no_failure(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place.write_text("a file")
    disk.put("x", b"code")
    assert disk.get("x") is None


def test_size_is_bounded_and_the_oldest_go(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "LIMIT", 1000)
    for k in range(5):
        disk.put(f"e{k}", bytes(268))
        os.utime(entry(place, f"e{k}"), (k + 1, k + 1))
    assert [k for k in range(5) if disk.get(f"e{k}") is not None] == [2, 3, 4]
    assert sum(p.stat().st_size for p in place.iterdir()) <= 1000


def test_few_entries_look_at_all_others(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One in 64 does whose size is a 4096th of the limit, so a large cache costs those who add to it nothing."""
    looks = []
    monkeypatch.setattr(disk, "LIMIT", 1 << 22)
    monkeypatch.setattr(disk, "_trim", looks.append)
    for k in range(640):
        disk.put(f"e{k}", bytes(1 << 10))
    assert 2 <= len(looks) <= 30


def test_what_a_killed_process_left_is_removed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "LIMIT", 64)
    place.mkdir(mode=0o700)
    old, new = place / "old.tmp", place / "new.tmp"
    for path in (old, new):
        path.write_bytes(b"half an entry")
    os.utime(old, (1, 1))
    disk.put("x", b"code")
    assert not old.exists()
    assert new.exists()
