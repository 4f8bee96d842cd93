"""Randomness as a function: a draw depends on (seed, purpose, path, id, step) and on nothing else.

The generator is Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"):
four 32-bit words of counter and two of key give four random words, with no state to keep. What
every cell draws at every step comes from Threefry2x32-20 of the same authors. The code below uses
operators only, so one function serves NumPy arrays on the host and traced JAX arrays.
"""

import hashlib
from typing import Any

import numpy as np

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)


def stream_key(seed: int, purpose: str, path: str) -> tuple[int, int]:
    """Two 32-bit words that name one stream: everything but the id and the step of a draw."""
    text = f"{seed}\0{purpose}\0{path}".encode()
    word = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
    return word & 0xFFFFFFFF, word >> 32


def philox(counter: tuple[Any, Any, Any, Any], key: tuple[Any, Any]) -> tuple[Any, Any, Any, Any]:
    """Four uint32 words for each counter; counter and key are uint32 arrays that broadcast.

    64-bit integers must be enabled when the arrays are JAX's, for the high half of the products.

    Source: Salmon, Moraes, Dror, Shaw (2011), SC'11, doi 10.1145/2063384.2063405.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for round in range(ROUNDS):
        if round:
            k0, k1 = k0 + np.uint32(WEYL[0]), k1 + np.uint32(WEYL[1])
        high0, low0 = _multiply(c0, MULTIPLIERS[0])
        high1, low1 = _multiply(c2, MULTIPLIERS[1])
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
    return c0, c1, c2, c3


def _multiply(x: Any, multiplier: int) -> tuple[Any, Any]:
    product = x.astype(np.uint64) * np.uint64(multiplier)
    return (product >> np.uint64(32)).astype(np.uint32), product.astype(np.uint32)


PARITY = 0x1BD11BDA
ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)


def threefry(counter: tuple[Any, Any], key: tuple[Any, Any]) -> tuple[Any, Any]:
    """Threefry2x32-20: two uint32 words for each counter of two; arrays that broadcast.

    For draws of every cell at every step: it only adds, rotates and xors 32-bit words, which costs
    vector units a third of Philox's products.

    Source: Salmon, Moraes, Dror, Shaw (2011), SC'11, doi 10.1145/2063384.2063405.
    """
    x, y = counter
    keys = key[0], key[1], key[0] ^ key[1] ^ np.uint32(PARITY)
    x, y = x + keys[0], y + keys[1]
    for round in range(20):
        by = ROTATIONS[round % 8]
        x = x + y
        y = ((y << np.uint32(by)) | (y >> np.uint32(32 - by))) ^ x
        if round % 4 == 3:
            turn = round // 4 + 1
            x = x + keys[turn % 3]
            y = y + (keys[(turn + 1) % 3] + np.uint32(turn))
    return x, y


def uniform(key: tuple[int, int], ids: np.ndarray, draw: int = 0) -> np.ndarray:
    """One float64 in the open interval (0, 1) for each id, on the host; 52 random bits each."""
    ids = np.asarray(ids, np.uint64)
    zero = np.zeros_like(ids, np.uint32)
    low, high = ids.astype(np.uint32), (ids >> np.uint64(32)).astype(np.uint32)
    counter = low, high, zero, zero + np.uint32(draw)
    with np.errstate(over="ignore"):
        a, b, _, _ = philox(counter, (np.uint32(key[0]), np.uint32(key[1])))
    bits = (a.astype(np.uint64) << np.uint64(20)) | (b.astype(np.uint64) >> np.uint64(12))
    return (bits.astype(np.float64) + 0.5) * 2.0**-52  # 53 bits would round up to 1
