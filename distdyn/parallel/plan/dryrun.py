"""Dry run: one process plays some of the parts of a run of many ranks, one after the other.

    for report in dry_run(graph, setting, ranks=1024, which=(0, 511)):
        print(report.synapses, report.memory, report.seconds)

Each part is really built, and its steps are timed with made-up spikes coming from all others; so
memory and speed of a large run are measured before it is started. What a part builds does not
depend on the others, and so is exactly what the large run would build.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from distdyn.network.network import Graph
from distdyn.ops.rows import aligned_zeros
from distdyn.parallel.exchange.remote import Emitted, Remote
from distdyn.parallel.parameters import Setting


@dataclass(frozen=True)
class Report:
    """What one rank of the run would hold, and how long it would take.

    Attributes:
        rank: which one.
        neurons, synapses: how many it has.
        sources: how many cells of all ranks reach it.
        memory: bytes by what they hold.
        seconds: of the build, and per step of the chunks that were played.
        between: steps between two exchanges.
    """

    rank: int
    neurons: int
    synapses: int
    sources: int
    memory: dict[str, int]
    seconds: dict[str, float]
    between: int


class DryRunExchange(Remote):
    """A road on which made-up spikes arrive: independent, at the same rate from every cell."""

    rate = 8.0  # Hz
    dt = 0.1  # ms

    def _join(self, world: Any, senders: list[int], needs: dict[int, np.ndarray]) -> None:
        self.wanted, self.senders = {}, senders
        self.sources = sum(int(need.sum()) for need in needs.values())

    def send(self, steps: int, emitted: Emitted) -> None:
        """Nobody is there to send to."""

    def receive(self, start: int, steps: int) -> None:
        """Draw what the others would have sent."""
        generator = np.random.default_rng((start, self.parts.numbers[0]))
        for rank in self.senders:
            for part in range(rank * self.devices, (rank + 1) * self.devices):
                for group in self.groups:
                    n = int(self.parts.shares[group].bounds[part, -1])
                    if self.parts.shares[group].group.emitter is not None:
                        words = int(self.parts.shares[group].words[part])
                        flat = np.zeros(words * steps, np.int32)
                        self._put(part, group, start, np.full(steps, words), flat)
                        continue
                    count = generator.binomial(n, self.rate * self.dt * 1e-3, steps)
                    cells = [np.sort(generator.choice(n, k, replace=False)) for k in count]
                    flat = np.concatenate([np.zeros(0, np.int64), *cells]).astype(np.int32)
                    self._put(part, group, start, count, flat)
        if self.memory is None:
            self._join_lists()
        self.is_filled = True


class Pretended:
    """A world of many ranks, each on a node of its own, of which only one is there."""

    road = DryRunExchange

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size, self.node, self.nodes = rank, size, rank, size
        self.node_of = tuple(range(size))
        self.local_rank, self.local_size, self.host, self.hostname = 0, 1, 0, ""
        self.comm = self.node_comm = None
        self.watch = _Unwatched()

    def allgather(self, value: Any) -> list[Any]:
        """As if all ranks had the same value."""
        return [value] * self.size

    def node_barrier(self) -> None:
        """Nobody else is there."""

    def shared(self, nbytes: int) -> np.ndarray:
        """Memory that nobody shares."""
        return aligned_zeros(nbytes, np.uint8)

    def agree(self, error: BaseException | None) -> None:
        """Only our own errors."""
        if error is not None:
            raise error


class _Unwatched:
    limit = 60.0

    def waiting(self, what: str) -> AbstractContextManager:
        return nullcontext()

    def watch_epochs(self, epochs: np.ndarray, owners: Sequence[int]) -> None:
        """Nobody looks."""

    def stepping(self) -> AbstractContextManager:
        return nullcontext()


def dry_run(
    graph: Graph,
    setting: Setting,
    *,
    ranks: int,
    devices: Sequence[Any] | None = None,
    which: Sequence[int] = (0,),
    steps: int = 0,
    rate: float = 8.0,
    decomposition: Any = None,
) -> Iterator[Report]:
    """Play some ranks of a run.

    Args:
        graph: the network.
        setting: dt, seed, precision.
        ranks: of the run that is pretended.
        devices: of each rank; None: one.
        which: the ranks to play.
        steps: how many to time; 0: only the build.
        rate: of the made-up spikes, Hz.
        decomposition: as in `Shard`.
    """
    from distdyn.parallel.shard import Shard

    for rank in which:
        began = time.perf_counter()
        world: Any = Pretended(rank, ranks)
        with jax.enable_x64(True):
            shard = Shard(graph, setting, world=world, devices=devices, decomposition=decomposition)
        seconds = {"build": time.perf_counter() - began}
        remote: Any = shard.near.remote
        if steps:
            remote.rate, remote.dt = rate, setting.dt
            shard.run(shard.near.between)  # compiles
            began = time.perf_counter()
            shard.run(steps)
            seconds["step"] = (time.perf_counter() - began) / steps
        own = sum(cells.size for of in shard.parts.cells for cells in of)
        yield Report(
            rank, own, shard.synapse_count, remote.sources if remote else 0, shard.memory(),
            seconds, shard.near.between,
        )  # fmt: skip
