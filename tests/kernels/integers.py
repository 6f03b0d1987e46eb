"""Integers, bits and bools: dynamic programming, automata, checksums, mixed arithmetic."""

import numpy as np

from .registry import kernel


@kernel(args=lambda n, rng: (rng.integers(0, 256, size=n),), large=300)
def crc16(data, poly=0x8408):
    crc = 0xFFFF
    for b in data:
        cur_byte = 0xFF & b
        for _ in range(0, 8):
            if (crc & 0x0001) ^ (cur_byte & 0x0001):
                crc = (crc >> 1) ^ poly
            else:
                crc >>= 1
            cur_byte >>= 1
    crc = ~crc & 0xFFFF
    crc = (crc << 8) | ((crc >> 8) & 0xFF)
    return crc & 0xFFFF


@kernel(args=lambda n, rng: (n, rng.integers(0, 4, size=n)), large=40)
def nussinov(N, seq):
    def match(b1, b2):
        if b1 + b2 == 3:
            return 1
        else:
            return 0

    table = np.zeros((N, N), np.int32)
    for i in range(N - 1, -1, -1):
        for j in range(i + 1, N):
            if j - 1 >= 0:
                table[i, j] = max(table[i, j], table[i, j - 1])
            if i + 1 < N:
                table[i, j] = max(table[i, j], table[i + 1, j])
            if j - 1 >= 0 and i + 1 < N:
                if i < j - 1:
                    table[i, j] = max(table[i, j], table[i + 1, j - 1] + match(seq[i], seq[j]))
                else:
                    table[i, j] = max(table[i, j], table[i + 1, j - 1])
            for k in range(i + 1, j):
                table[i, j] = max(table[i, j], table[i, k] + table[k + 1, j])
    return table


@kernel(args=lambda n, rng: (rng.integers(0, 2, size=(n + 2, n + 2)),), mutates=(0,), large=80)
def game_of_life(Z):
    for _ in range(3):
        N = Z[:-2, :-2] + Z[:-2, 1:-1] + Z[:-2, 2:] + Z[1:-1, :-2] + Z[1:-1, 2:]
        N += Z[2:, :-2] + Z[2:, 1:-1] + Z[2:, 2:]
        birth = (N == 3) & (Z[1:-1, 1:-1] == 0)
        survive = ((N == 2) | (N == 3)) & (Z[1:-1, 1:-1] == 1)
        Z[...] = 0
        Z[1:-1, 1:-1][birth | survive] = 1
    return Z.sum()


@kernel(args=lambda n, rng: (rng.integers(0, 5, size=n), rng.integers(0, 5, size=n + 1)), large=60)
def edit_distance(a, b):
    m, n = len(a), len(b)
    d = np.zeros((m + 1, n + 1), dtype=int)
    d[:, 0] = np.arange(m + 1)
    d[0, :] = np.arange(n + 1)
    for i in range(1, m + 1):
        for j in range(1, n + 1):
            cost = 0 if a[i - 1] == b[j - 1] else 1
            d[i, j] = min(d[i - 1, j] + 1, d[i, j - 1] + 1, d[i - 1, j - 1] + cost)
    return d[-1, -1]


@kernel(args=lambda n, rng: (n,))
def sieve(n):
    prime = np.ones(n + 1, dtype=bool)
    prime[:2] = False
    k = 2
    while k * k <= n:
        if prime[k]:
            prime[k * k :: k] = False
        k += 1
    return prime, np.sum(prime)


@kernel(args=lambda n, rng: (rng.integers(-9, 9, size=n), rng.normal(size=n), rng.normal(size=n) > 0), wrt=(1,))
def mixed_arithmetic(i, f, b):
    a = i // 2 + i % 3
    c = a * f + b
    d = b * i - True
    return a, c, d, i / 2, (i + b).sum() * 0.5, 2**b


@kernel(args=lambda n, rng: (rng.integers(0, 100, size=n)[::-1],), mutates=(0,), large=200)
def insertion_sort(a):
    for i in range(1, len(a)):
        key = a[i]
        j = i - 1
        while j >= 0 and a[j] > key:
            a[j + 1] = a[j]
            j -= 1
        a[j + 1] = key


@kernel(args=lambda n, rng: (np.sort(rng.integers(0, 1000, size=n)), 500))
def binary_search(a, target):
    lo, hi = 0, len(a)
    while lo < hi:
        mid = (lo + hi) // 2
        if a[mid] == target:
            return mid, True
        if a[mid] < target:
            lo = mid + 1
        else:
            hi = mid
    return lo, False
