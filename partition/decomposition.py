"""A decomposition: every neuron of every population is owned by exactly one part.

Neurons are dealt in whole draw blocks, consecutive neurons that connectivity draws together, so
that a part draws its own blocks and no others. Inside a part, neurons keep the order of their gids.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


class DecompositionError(ValueError):
    """A decomposition that does not give each neuron exactly one owner."""


@dataclass(frozen=True, eq=False)
class Decomposition:
    """Who owns which blocks.

    Attributes:
        sizes: neurons of each population, in order of definition.
        blocks: neurons per block of each population.
        owners: per population the part of each block, int64[block].
        parts: how many parts there are; a part may own nothing.
    """

    sizes: tuple[int, ...]
    blocks: tuple[int, ...]
    owners: tuple[np.ndarray, ...]
    parts: int

    def __post_init__(self) -> None:
        if not len(self.sizes) == len(self.blocks) == len(self.owners):
            raise DecompositionError(
                f"sizes, blocks and owners describe {len(self.sizes)}, {len(self.blocks)} and "
                f"{len(self.owners)} populations. Give one of each per population."
            )
        for index, (size, block, owner) in enumerate(
            zip(self.sizes, self.blocks, self.owners, strict=True)
        ):
            needed = -(-size // block)
            if len(owner) != needed:
                raise DecompositionError(
                    f"population {index}: {size} neurons in blocks of {block} need {needed} "
                    f"owners, found {len(owner)}."
                )
            wrong = np.flatnonzero((owner < 0) | (owner >= self.parts))
            if wrong.size:
                raise DecompositionError(
                    f"population {index}: block {wrong[0]} is owned by part {owner[wrong[0]]}. Use "
                    f"0 <= part < {self.parts}."
                )

    def blocks_of(self, population: int, part: int) -> np.ndarray:
        """The blocks of a population that a part owns, int64, ascending."""
        return np.flatnonzero(self.owners[population] == part)

    def ids(self, population: int, part: int) -> np.ndarray:
        """The neurons of a population that a part owns, int64, ascending."""
        size, block = self.sizes[population], self.blocks[population]
        starts = self.blocks_of(population, part) * block
        ids = (starts[:, None] + np.arange(block)).ravel()
        return ids[ids < size]

    def part_of(self, population: int, ids: np.ndarray) -> np.ndarray:
        """The part that owns each of these neurons."""
        return self.owners[population][np.asarray(ids) // self.blocks[population]]

    def load(self) -> np.ndarray:
        """Neurons of each part, int64[part]."""
        load = np.zeros(self.parts, np.int64)
        for population in range(len(self.sizes)):
            for part in range(self.parts):
                load[part] += len(self.ids(population, part))
        return load


def round_robin(sizes: Sequence[int], blocks: Sequence[int], parts: int) -> Decomposition:
    """Deal whole blocks in turn, population by population, going on where the last one ended.

    Each part gets the same number of blocks of each population, within one.

    Raises:
        DecompositionError: there is no part, or a block size is not positive.
    """
    if parts < 1:
        raise DecompositionError(f"parts = {parts} is not possible. Use parts >= 1.")
    if any(block < 1 for block in blocks):
        raise DecompositionError(f"blocks = {tuple(blocks)}: a block has at least one neuron.")
    owners, dealt = [], 0
    for size, block in zip(sizes, blocks, strict=True):
        count = -(-size // block)
        owners.append((dealt + np.arange(count)) % parts)
        dealt += count
    return Decomposition(tuple(sizes), tuple(blocks), tuple(owners), parts)
