"""Counters: spikes on their way from part to part, counted where they pass. None may be missing.

    emitted      by the cells of a part, at each step
    sent         to other parts: once for each part of the node, once for each rank of another node
    received     from other parts: read in their mailboxes, or in the messages of other nodes
    delivered    through the tables of a part, once by each: its own and those that were received

They are counted by different hands (the loop over steps, the mailboxes' writers and readers, the
messages), and compared after every call of `Shard.run`, when nothing is on its way:

    put in by q  = emitted by q                      of each part q of the node, and each group
    taken by p   = tables x sum of what q != p put in
    taken from the inbox = tables x received         but for what still lies in it
    sent         = received                          over all lines between nodes

Without machine code (collectives, GPUs) only messages between nodes are counted.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int64

from distdyn.errors import ExchangeError

if TYPE_CHECKING:
    from distdyn.parallel.exchange.neighbours import Neighbours
    from distdyn.parallel.groups import Group
    from distdyn.parallel.launch import World

NAMES = "emitted", "sent", "received", "delivered"


class Counters:
    """What has passed since the beginning, or since `clear`.

    Args:
        groups: of the cells.
        sources: the group of the sources of each table.
        near: the other parts.
        world: the ranks.
    """

    def __init__(
        self, groups: Sequence["Group"], sources: Sequence[int], near: "Neighbours", world: "World"
    ) -> None:
        self._groups, self._near, self._world = groups, near, world
        self._tables = np.bincount(np.array(sources, np.int64), minlength=len(groups))
        self._spikes = np.array([group.emitter is None for group in groups], bool)
        self._emitted = np.zeros((len(near.parts.numbers), len(groups)), np.int64)

    def clear(self) -> None:
        """Begin anew; nothing may be on its way."""
        self._emitted[:] = 0
        self._near.clear_counts()

    def add(self, counts: Int64[np.ndarray, "device group step"]) -> None:
        """A chunk is over: how many cells spiked at each of its steps."""
        self._emitted += counts.sum(axis=2)

    def check(self) -> ExchangeError | None:
        """What is wrong, if anything is. Collective where there are several nodes."""
        return self._check_lines() or self._check_boxes() or self._check_inbox()

    def totals(self) -> dict[str, int]:
        """Each of the counters, over all parts. Collective."""
        spikes, tables, near = self._spikes, self._tables, self._near
        emitted = self._emitted.sum(axis=0)
        sent, received = np.zeros((2, len(self._groups)), np.int64)
        delivered = tables * emitted
        for mine, _, taken in near.box_counts():
            # What no table reads is of no use to anybody.
            sent += mine * (len(near.near_parts) - 1) * (tables > 0)
            received += taken // np.maximum(tables, 1)
            delivered += taken
        if near.remote:
            sent += sum(near.remote.sent.values())
            received += sum(near.remote.received.values())
            delivered += sum(near.remote.taken())
        found = [x[spikes].sum() for x in (emitted, sent, received, delivered)]
        return dict(zip(NAMES, self._world.sum(np.array(found, np.int64)).tolist(), strict=True))

    # --- the checks ------------------------------------------------------------------------------

    def _check_boxes(self) -> ExchangeError | None:
        for part, own, (mine, others, taken) in zip(
            self._near.parts.numbers, self._emitted, self._near.box_counts(), strict=False
        ):
            for k in np.flatnonzero(mine != own):
                return self._lost(k, f"part {part} has emitted {own[k]} and left {mine[k]}")
            for k in np.flatnonzero(taken != self._tables * others):
                expected = self._tables[k] * others[k]
                return self._lost(k, f"part {part} has read {taken[k]} where {expected} were left")
        return None

    def _check_inbox(self) -> ExchangeError | None:
        remote = self._near.remote
        if remote is None:
            return None
        came = self._tables * (sum(remote.received.values()) - remote.held)
        for taken in remote.taken():
            for k in np.flatnonzero(taken != came):
                return self._lost(
                    k, f"of {came[k]} that came from other nodes {taken[k]} were read"
                )
        return None

    def _check_lines(self) -> ExchangeError | None:
        remote, world = self._near.remote, self._world
        if remote is None or world.comm is None:
            return None
        balance = sum(x.sum() for x in remote.sent.values())
        balance -= sum(x.sum() for x in remote.received.values())
        if not world.sum(np.array([balance], np.int64))[0]:
            return None
        told = world.allgather((remote.sent, remote.received))
        for source, (sent, _) in enumerate(told):
            for target, counts in sent.items():
                came = told[target][1][source]
                for k in np.flatnonzero(came != counts):
                    said = f"rank {source} has sent {counts[k]} to rank {target}, {came[k]} came"
                    return self._lost(k, said)
        raise AssertionError(told)

    def _lost(self, group: Any, said: str) -> ExchangeError:
        names = ", ".join(f'"{path}"' for path in self._groups[group].paths)
        return ExchangeError(
            f"spikes of {names} were lost or doubled on their way: {said}. The results since the "
            "last chunk are wrong; go on from a checkpoint, and look at memory and network of the "
            "machine."
        )
