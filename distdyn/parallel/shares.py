"""Shares: how the cells of a group are shared out over all parts of the network.

A cell's *place* numbers all cells of its group, part after part, and inside a part as the part has
them. A place says who sends a spike; it is a function of the description and the decomposition.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from distdyn.network.network import Graph
from distdyn.network.population import View
from distdyn.parallel.groups import Group
from partition import Decomposition


@dataclass(frozen=True, eq=False)
class Shares:
    """The shares of one group.

    Attributes:
        group: the group.
        bounds: int64[part, segment + 1]; cells bounds[q, k]:bounds[q, k + 1] of part q are of
            population k.
        first: int64[part + 1]; the places of part q are first[q]:first[q + 1].
        block_part: per population the owner of each block, int64[block].
        block_cell: per population the first cell of each block in its part, int64[block].
        block: neurons per block of each population.
    """

    group: Group
    bounds: np.ndarray
    first: np.ndarray
    block_part: tuple[np.ndarray, ...]
    block_cell: tuple[np.ndarray, ...]
    block: tuple[int, ...]

    @property
    def words(self) -> np.ndarray:
        """int64[part]: the most words that each part lists in a step."""
        return self.bounds[:, -1] * self.group.words

    @classmethod
    def of(cls, graph: Graph, group: Group, decomposition: Decomposition) -> "Shares":
        """The shares of a group under a decomposition."""
        order = {path: index for index, path in enumerate(graph.populations)}
        members = [order[path] for path in group.paths]
        counts = np.zeros((decomposition.parts, len(members)), np.int64)
        before = []
        for k, index in enumerate(members):
            size, block = decomposition.sizes[index], decomposition.blocks[index]
            owner = np.asarray(decomposition.owners[index], np.int64)
            cells = np.full(len(owner), block, np.int64)
            if len(owner):
                cells[-1] = size - block * (len(owner) - 1)
            counts[:, k] = np.bincount(owner, cells, decomposition.parts).astype(np.int64)
            order_of = np.argsort(owner, kind="stable")
            running = np.cumsum(cells[order_of]) - cells[order_of]
            start = np.cumsum(counts[:, k]) - counts[:, k]
            cell = np.empty(len(owner), np.int64)
            cell[order_of] = running - start[owner[order_of]]
            before.append((owner, cell))
        bounds = np.zeros((decomposition.parts, len(members) + 1), np.int64)
        np.cumsum(counts, axis=1, out=bounds[:, 1:])
        first = np.concatenate([[0], np.cumsum(bounds[:, -1])])
        return cls(
            group,
            bounds,
            first,
            tuple(owner for owner, _ in before),
            tuple(cell + bounds[owner, k] for k, (owner, cell) in enumerate(before)),
            tuple(decomposition.blocks[index] for index in members),
        )

    def cells(self, path: str, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The part of each of these neurons of a population, and its cell there."""
        k = self.group.segment[path]
        block, within = np.divmod(np.asarray(ids, np.int64), self.block[k])
        return self.block_part[k][block], self.block_cell[k][block] + within

    def places(self, graph: Graph, views: tuple[View, ...]) -> np.ndarray:
        """The place of each neuron of an end; -1 for those in other groups."""
        found = [np.zeros(0, np.int64)]
        for view in views:
            path = graph.path(view.population)
            if path in self.group.segment:
                part, cell = self.cells(path, np.asarray(view.ids, np.int64))
                found.append(self.first[part] + cell)
            else:
                found.append(np.full(view.size, -1, np.int64))
        return np.concatenate(found)

    def largest(self, parts: Sequence[int]) -> int:
        """The most cells that one of these parts has."""
        return int(max((self.bounds[q, -1] for q in parts), default=0))
