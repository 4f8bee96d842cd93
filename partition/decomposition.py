"""A decomposition: every neuron of every population is owned by exactly one part.

Neurons are dealt in whole draw blocks, consecutive neurons that connectivity draws together, so
that a part draws its own blocks and no others. Inside a part, neurons keep the order of their gids.
What is held grows with the blocks, never with the neurons: a gid may be far beyond 2^31.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from partition.topology import DecompositionError, Topology, positive

_MOST = 2**62  # gids are int64


@dataclass(frozen=True, eq=False)
class Decomposition:
    """Who owns which blocks. Equal, and hashed, by value.

    Attributes:
        sizes: neurons of each population, in order of definition.
        blocks: neurons per block of each population; the last block may be shorter.
        owners: per population the part of each block, int32[block].
        parts: how many parts there are; a part may own nothing.
        topology: where the parts live; by default all are devices of one rank.
    """

    sizes: tuple[int, ...]
    blocks: tuple[int, ...]
    owners: tuple[np.ndarray, ...]
    parts: int
    topology: Topology = None  # pyright: ignore[reportAssignmentType]  # None: one rank

    def __post_init__(self) -> None:
        if not len(self.sizes) == len(self.blocks) == len(self.owners):
            raise DecompositionError(
                f"sizes, blocks and owners describe {len(self.sizes)}, {len(self.blocks)} and "
                f"{len(self.owners)} populations. Give one of each per population."
            )
        parts = positive(self.parts, "parts")
        sizes, blocks = checked_sizes(self.sizes, self.blocks)
        topology = Topology.regular(1, parts) if self.topology is None else self.topology
        if topology.parts != parts:
            raise DecompositionError(
                f"parts = {parts}, but the topology has {topology.parts} ({topology}). Use one "
                "part for each device of each rank."
            )
        owners = tuple(
            _checked_owner(index, owner, size, block, parts)
            for index, (owner, size, block) in enumerate(
                zip(self.owners, sizes, blocks, strict=True)
            )
        )
        values = {"sizes": sizes, "blocks": blocks, "owners": owners, "topology": topology}
        for name, value in values.items():
            object.__setattr__(self, name, value)

    # --- sizes -----------------------------------------------------------------------------------

    @cached_property
    def offsets(self) -> np.ndarray:
        """int64[population + 1]: the gid of the first neuron of each, and the number of all."""
        return np.concatenate([[0], np.cumsum(self.sizes, dtype=np.int64)]).astype(np.int64)

    @property
    def size(self) -> int:
        """How many neurons there are."""
        return int(self.offsets[-1])

    def counts(self, population: int) -> np.ndarray:
        """int64[part]: how many neurons of a population each part owns."""
        owner, block = self.owners[population], self.blocks[population]
        count = np.bincount(owner, minlength=self.parts) * block
        if len(owner):
            count[owner[-1]] -= len(owner) * block - self.sizes[population]
        return count

    @cached_property
    def _load(self) -> np.ndarray:
        load = np.zeros(self.parts, np.int64)
        for population in range(len(self.sizes)):
            load += self.counts(population)
        return _fixed(load)

    def load(self) -> np.ndarray:
        """int64[part]: how many neurons each part owns."""
        return self._load.copy()

    # --- from parts to neurons -------------------------------------------------------------------

    def blocks_of(self, population: int, part: int) -> np.ndarray:
        """int64: the blocks of a population that a part owns, ascending."""
        return np.flatnonzero(self.owners[population] == part)

    def ids(self, population: int, part: int) -> np.ndarray:
        """int64: the neurons of a population that a part owns, ascending."""
        size, block = self.sizes[population], self.blocks[population]
        starts = self.blocks_of(population, part) * block
        ids = (starts[:, None] + np.arange(block)).ravel()
        return ids[: np.searchsorted(ids, size)]

    def gids(self, part: int) -> np.ndarray:
        """int64: the neurons of all populations that a part owns; the place is the local index."""
        found = [self.ids(k, part) + self.offsets[k] for k in range(len(self.sizes))]
        return np.concatenate([np.zeros(0, np.int64), *found])

    # --- from neurons to parts -------------------------------------------------------------------

    def part_of(self, population: int, ids: Any) -> np.ndarray:
        """int32: the part that owns each of these neurons."""
        return self.owners[population][
            self._checked_ids(population, ids) // self.blocks[population]
        ]

    def place_of(self, population: int, ids: Any) -> np.ndarray:
        """int64: where each neuron stands among those of its population that its part owns."""
        block, within = np.divmod(self._checked_ids(population, ids), self.blocks[population])
        return self._before[population][block] + within

    def locate(self, gids: Any) -> tuple[np.ndarray, np.ndarray]:
        """The part (int32) and the local index there (int64) of each of these neurons."""
        gids = np.asarray(gids, np.int64)
        wrong = gids[(gids < 0) | (gids >= self.size)]
        if wrong.size:
            raise DecompositionError(
                f"gid {wrong[0]} is not one of {self.size}. Use 0 <= gid < {self.size}."
            )
        population = np.searchsorted(self.offsets, gids, side="right") - 1
        part, local = np.zeros(gids.shape, np.int32), np.zeros(gids.shape, np.int64)
        for k in np.unique(population):
            here = population == k
            ids = gids[here] - self.offsets[k]
            part[here] = self.part_of(k, ids)
            local[here] = self._starts[k][part[here]] + self.place_of(k, ids)
        return part, local

    @cached_property
    def _before(self) -> tuple[np.ndarray, ...]:
        """Per population, int64[block]: neurons in earlier blocks of the same owner."""
        return tuple(
            np.asarray(_rank_among_equals(owner)) * block
            for owner, block in zip(self.owners, self.blocks, strict=True)
        )

    @cached_property
    def _starts(self) -> list[np.ndarray]:
        """Per population, int64[part]: the local index of its first neuron in each part."""
        return list(self._running_starts())

    def _running_starts(self) -> Iterator[np.ndarray]:
        start = np.zeros(self.parts, np.int64)
        for population in range(len(self.sizes)):
            yield start
            start = start + self.counts(population)

    def _checked_ids(self, population: int, ids: Any) -> np.ndarray:
        ids, size = np.asarray(ids, np.int64), self.sizes[population]
        if ids.size and not 0 <= ids.min() <= ids.max() < size:
            raise DecompositionError(
                f"population {population}: ids from {ids.min()} to {ids.max()} are not all among "
                f"its {size} neurons. Use 0 <= id < {size}."
            )
        return ids

    # --- by value --------------------------------------------------------------------------------

    def digest(self) -> str:
        """The SHA-256 of sizes, blocks, owners and topology, the same on every machine."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        head = [self.sizes, self.blocks, self.parts, self.topology.node_of, self.topology.devices]
        found = hashlib.sha256(json.dumps(head).encode())
        for owner in self.owners:
            found.update(owner.astype("<i4").tobytes())
        return found.hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Decomposition) and self.digest() == other.digest()

    def __hash__(self) -> int:
        return hash(self._digest)

    def __repr__(self) -> str:
        return (
            f"Decomposition({self.size:,} neurons of {len(self.sizes)} populations, "
            f"{self.topology})"
        )


def checked_sizes(sizes: Any, blocks: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Sizes and block sizes as ints, if they are possible."""
    blocks = tuple(positive(block, "neurons per block") for block in blocks)
    for index, size in enumerate(sizes):
        if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 0:
            raise DecompositionError(f"population {index}: size = {size!r}. Use an int >= 0.")
    if sum(map(int, sizes)) >= _MOST:
        raise DecompositionError(f"{sum(map(int, sizes))} neurons are not possible. Use < 2^62.")
    return tuple(map(int, sizes)), blocks


def _checked_owner(index: int, owner: Any, size: int, block: int, parts: int) -> np.ndarray:
    owner, needed = np.asarray(owner), -(-size // block)
    if owner.shape != (needed,) or (needed and owner.dtype.kind not in "iu"):
        raise DecompositionError(
            f"population {index}: {size} neurons in blocks of {block} need {needed} owners, found "
            f"{len(np.atleast_1d(owner))} of type {owner.dtype}."
        )
    wrong = np.flatnonzero((owner < 0) | (owner >= parts))
    if wrong.size:
        raise DecompositionError(
            f"population {index}: block {wrong[0]} is owned by part {owner[wrong[0]]}. Use "
            f"0 <= part < {parts}."
        )
    return _fixed(owner.astype(np.int32))


def _fixed(array: np.ndarray) -> np.ndarray:
    """The array, which nobody can write to any more: what is hashed must not change."""
    array.setflags(write=False)
    return array


def _rank_among_equals(values: np.ndarray) -> np.ndarray:
    """int64: how many earlier elements have the same value."""
    order = np.argsort(values, kind="stable")
    rank, ordered = np.empty(len(values), np.int64), values[order]
    is_first = np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(values)]
    first = np.maximum.accumulate(np.where(is_first, np.arange(len(values)), 0))
    rank[order] = np.arange(len(values)) - first
    return rank
