"""A topology: on which node, rank and device each part lives.

    part = rank * devices + device

Ranks are processes, nodes the ranks that share memory; every rank has the same number of devices.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np


class DecompositionError(ValueError):
    """What was asked of a partition does not hold together, or does not give one owner to each."""


@dataclass(frozen=True)
class Topology:
    """Nodes, ranks and devices.

    Attributes:
        node_of: the node of each rank; nodes are numbered 0, 1, ... without a gap.
        devices: of each rank.
    """

    node_of: tuple[int, ...]
    devices: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "node_of", tuple(int(node) for node in self.node_of))
        object.__setattr__(self, "devices", positive(self.devices, "devices"))
        if not self.node_of:
            raise DecompositionError("a topology without ranks is not possible. Give at least one.")
        if set(self.node_of) != set(range(self.nodes)):
            raise DecompositionError(
                f"node_of = {shortened(self.node_of)}: nodes are numbered 0, 1, ... and each has "
                "a rank."
            )

    @classmethod
    def regular(
        cls, ranks: int = 1, devices: int = 1, *, ranks_per_node: int | None = None
    ) -> "Topology":
        """Consecutive ranks share a node, `ranks_per_node` of them (None: all), the last fewer."""
        ranks = positive(ranks, "ranks")
        per_node = positive(ranks if ranks_per_node is None else ranks_per_node, "ranks_per_node")
        return cls(tuple(rank // per_node for rank in range(ranks)), devices)

    @property
    def nodes(self) -> int:
        """How many nodes there are."""
        return max(self.node_of) + 1

    @property
    def ranks(self) -> int:
        """How many ranks there are."""
        return len(self.node_of)

    @property
    def parts(self) -> int:
        """How many parts there are."""
        return self.ranks * self.devices

    @cached_property
    def nodes_of_parts(self) -> np.ndarray:
        """int64[part]: the node of each part."""
        return np.repeat(np.array(self.node_of, np.int64), self.devices)

    @cached_property
    def ranks_of_parts(self) -> np.ndarray:
        """int64[part]: the rank of each part."""
        return np.repeat(np.arange(self.ranks), self.devices)

    def place(self, part: int) -> tuple[int, int, int]:
        """The node, rank and device of a part."""
        if not 0 <= part < self.parts:
            raise DecompositionError(f"part {part} is not one of the {self.parts} parts.")
        rank, device = divmod(part, self.devices)
        return self.node_of[rank], rank, device

    def __str__(self) -> str:
        words = [(self.nodes, "node"), (self.ranks, "rank"), (self.parts, "part")]
        return ", ".join(f"{n:,} {noun}{'s' * (n != 1)}" for n, noun in words)


def positive(value: Any, what: str) -> int:
    """The value as an int of at least one."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise DecompositionError(f"{what} = {value!r} is not possible. Use {what} >= 1.")
    return int(value)


def shortened(values: Sequence[Any]) -> str:
    """A tuple as text, its middle left out where it is long."""
    if len(values) <= 8:
        return str(tuple(values))
    return f"({', '.join(map(str, values[:6]))}, ... {len(values)} in all)"
