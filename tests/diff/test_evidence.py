"""Twenty thousand random programs, nested to 5, with every check of tests/diff/evidence.py: for a machine to itself."""

from __future__ import annotations

import pytest

from tests.diff.evidence import FAMILIES

BLOCK = 50
BLOCKS = {"all": 240, "updates": 80, "fresh": 80}


@pytest.mark.parametrize("family", FAMILIES)
def test_few(family: str) -> None:
    """The checks themselves, on programs that every run looks at."""
    for seed in range(17, 20):
        assert not FAMILIES[family](seed).failures, seed


@pytest.mark.parametrize(
    ("family", "seed"),
    [
        ("all", 1340),  # an array that is made in a log, and read by itself in the same block: another statement went
        ("all", 1527),
        ("fresh", 5116),  # an array that a turn of a while gives up was read from its log twice, and so one too early
        ("fresh", 1000),  # every version of an array that a turn begins was kept whole
        (
            "all",
            9166,
        ),  # what a For contributes was swept again for each extremum and product
        ("all", 7395),  # overwritten values were stacked by an extent of an inner scope
        ("updates", 3914),  # a product in bins, in a branch: the price of a bin
    ],
)
def test_found(family: str, seed: int) -> None:
    """Programs that showed a fault."""
    assert not FAMILIES[family](seed).failures


@pytest.mark.slow
@pytest.mark.parametrize(("family", "block"), [(f, k) for f, count in BLOCKS.items() for k in range(count)])
def test_many(family: str, block: int) -> None:
    for seed in range(block * BLOCK, (block + 1) * BLOCK):
        failures = FAMILIES[family](seed).failures
        assert not failures, f"{family} {seed}: {failures}"
