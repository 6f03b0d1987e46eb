"""Philox4x32-10: a counter-based generator (Salmon, Moraes, Dror, Shaw: Parallel random numbers, as easy as 1, 2, 3).

Written against a namespace of primitives, so that NumPy arrays and core programs run one text and give the same bits.
Words are 32 bits wide, held in int64 and never negative.

    round:  (c0, c1, c2, c3)  ->  (hi(b c2) ^ c1 ^ k0,  lo(b c2),  hi(a c0) ^ c3 ^ k1,  lo(a c0))
    between rounds:  k0 += golden ratio,  k1 += sqrt(3) - 1   (mod 2^32)
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Words: TypeAlias = tuple[Any, ...]

ROUNDS = 10
MASK = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)


def split_word(o: Any, x: Any) -> Words:
    """The low and the high half of 64 bits."""
    return o.bit_and(x, MASK), o.lshr(x, 32)


def join_words(o: Any, low: Any, high: Any) -> Any:
    """64 bits from two halves."""
    return o.bit_or(low, o.shl(high, 32))


def schedule(o: Any, key: Any) -> list[Words]:
    """The round keys of a 64-bit key; they don't depend on the counter."""
    words = split_word(o, key)
    keys = [words]
    for _ in range(ROUNDS - 1):
        words = tuple(o.bit_and(o.add(k, step), MASK) for k, step in zip(words, _WEYL, strict=True))
        keys.append(words)
    return keys


def philox(o: Any, counter: Words, keys: list[Words]) -> Words:
    """Four random words of a counter of four words."""
    c0, c1, c2, c3 = counter
    for k0, k1 in keys:
        a, b = o.mul(c0, _MULTIPLIERS[0]), o.mul(c2, _MULTIPLIERS[1])
        c0, c1 = o.bit_xor(o.bit_xor(o.lshr(b, 32), c1), k0), o.bit_and(b, MASK)
        c2, c3 = o.bit_xor(o.bit_xor(o.lshr(a, 32), c3), k1), o.bit_and(a, MASK)
    return c0, c1, c2, c3


def block(o: Any, keys: list[Words], index: Any, stream: int) -> tuple[Any, Any]:
    """128 random bits, as two int64, of a 64-bit index in one of the streams of a key."""
    words = philox(o, (*split_word(o, index), np.int64(stream), np.int64(0)), keys)
    return join_words(o, *words[:2]), join_words(o, *words[2:])
