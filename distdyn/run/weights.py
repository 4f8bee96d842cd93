"""Weights over time: `every(100., "exc.weight")`, read between two chunks.

In the middle of a chunk a weight may have yet to hear of spikes of other parts. At its end all
spikes have been delivered, so that the weights are the same on any partition: chunks end at the
steps at which weights are due.
"""

from typing import NamedTuple

import numpy as np

from distdyn.errors import RecordError
from distdyn.network.projection import weight_unit
from distdyn.parallel.shard import Shard
from distdyn.run.recording import Sampling


class WeightRequest(NamedTuple):
    """Weights that are to be recorded.

    Attributes:
        name: as the user gave it.
        path: of the projection.
        ids: the numbers of the synapses in `edges()`; None: all.
        every: the interval in steps.
    """

    name: str
    path: str
    ids: np.ndarray | None
    every: int


class WeightTrace:
    """Weights of one projection as columns of a recording.

    The number of a synapse is its place in `edges()`: in the order of pre, then post.

    Collective.

    Args:
        shard: where they are.
        request: what is wanted.

    Attributes:
        sampling: how they are recorded, on all ranks together.
        column: which columns are ours.

    Raises:
        RecordError: a number that no synapse has.
    """

    def __init__(self, shard: Shard, request: WeightRequest) -> None:
        self.name, self.path, self.every = request.name, request.path, request.every
        self._places = shard.places(self.path)
        ends = [np.stack([pre, post]) for pre, post, _ in self._places]
        of_ranks = shard.world.allgather(ends)
        every = [piece for pieces in of_ranks for piece in pieces]
        pre, post = np.concatenate([np.zeros((2, 0), np.int64), *every], axis=1)
        number = np.empty(len(pre), np.int64)
        number[np.lexsort((post, pre))] = np.arange(len(pre))
        counts = [sum(piece.shape[1] for piece in pieces) for pieces in of_ranks]
        first = sum(counts[: shard.world.rank])
        ids = np.arange(len(pre)) if request.ids is None else request.ids
        bad = ids[(ids < 0) | (ids >= len(pre))]
        if bad.size:
            raise RecordError(
                f'record: id {bad[0]} of "{self.name}" is not one of {len(pre)} synapses. Use the '
                f'places of synapses in runner["{self.path}"].edges().'
            )
        projection = shard.graph.projections[self.path]
        unit = weight_unit(projection.synapse, projection.output)
        self.sampling = Sampling(ids, self.every, unit, shard.setting.precision)
        ours = number[first : first + counts[shard.world.rank]]
        self.column = np.flatnonzero(np.isin(ids, ours))
        order = np.argsort(ours)
        self._from = order[np.searchsorted(ours, ids[self.column], sorter=order)]

    def read(self, shard: Shard) -> np.ndarray:
        """The weights of our columns at this step. Collective."""
        blocks = shard.weights(self.path)
        pieces = [w[index] for w, (*_, index) in zip(blocks, self._places, strict=True)]
        return np.concatenate([np.zeros(0, self.sampling.dtype), *pieces])[self._from]
