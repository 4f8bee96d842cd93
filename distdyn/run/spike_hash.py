r"""One number for all spikes of a run: two runs are the same if and only if it is equal.

It is the SHA-256 over the lines `"{step},{gid}\n"`, sorted by (step, gid), of all spiking
populations; gid = offset of the population + id. Nothing else enters: not dt, not the paths, and
not how the network was cut.
"""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from distdyn.ops.listing import merge
from distdyn.run.rows import Rows
from distdyn.run.stream import together

_LINES = 1 << 15  # lines made at once: their text stays in the cache


class SpikeHash:
    """SHA-256 of spikes that come block after block, each later in time than the one before."""

    def __init__(self) -> None:
        self._sha = hashlib.sha256()

    def update(self, step: Int64[np.ndarray, "s"], gid: Int64[np.ndarray, "s"]) -> None:
        """Add spikes that are sorted by (step, gid)."""
        for first in range(0, len(step), _LINES):
            block = slice(first, first + _LINES)
            self._sha.update(_lines(step[block], gid[block]))

    def hexdigest(self) -> str:
        """The hash of everything added so far, as 64 hexadecimal digits."""
        return self._sha.hexdigest()


def spikes_sha256(
    spikes: Mapping[str, Rows], offsets: Mapping[str, int], *, block: int | None = None
) -> str:
    """The hash of the spikes of several populations, read in blocks so that memory is bounded.

    Args:
        spikes: the spikes of each population, by path.
        offsets: the gid of the first neuron of each population, by path.
        block: how many spikes of each population are held at once.
    """
    sha = SpikeHash()
    for parts in together(list(spikes.values()), block):
        sha.update(*with_gid(parts, [offsets[path] for path in spikes]))
    return sha.hexdigest()


def with_gid(
    parts: Sequence[tuple[np.ndarray, np.ndarray]], offsets: Sequence[int]
) -> tuple[Int64[np.ndarray, "s"], Int64[np.ndarray, "s"]]:
    """The spikes (step, id) of several populations as (step, gid), sorted by both."""
    return merge([(step, id + offset) for (step, id), offset in zip(parts, offsets, strict=True)])


def _lines(step: Int64[np.ndarray, "s"], gid: Int64[np.ndarray, "s"]) -> bytes:
    r"""The text `"{step},{gid}\n"` of all rows."""
    n_step, n_gid = len(str(int(step.max()))), len(str(int(gid.max())))
    text = np.empty((len(step), n_step + n_gid + 2), np.uint8)
    used = np.ones(text.shape, bool)
    _write_digits(step, text[:, :n_step], used[:, :n_step])
    text[:, n_step] = ord(",")
    _write_digits(gid, text[:, n_step + 1 : -1], used[:, n_step + 1 : -1])
    text[:, -1] = ord("\n")
    return text[used].tobytes()


def _write_digits(
    value: Int64[np.ndarray, "s"], text: UInt8[np.ndarray, "s d"], used: Bool[np.ndarray, "s d"]
) -> None:
    """Write the decimal digits, right-aligned, and mark the leading zeros as not used."""
    n_digits = text.shape[1]
    rest = value.astype(np.uint32) if n_digits < 10 else value  # 32-bit division is faster
    for digit in range(n_digits - 1, -1, -1):
        if digit < n_digits - 1:
            used[:, digit] = rest > 0
        tens = rest // 10
        text[:, digit] = rest - 10 * tens + ord("0")
        rest = tens
