"""The two ends of a projection, its blocks, and the pairs in which a neuron meets itself."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from distdyn.network.population import View, common

LEAST_BLOCK, MOST_BLOCK, MOST_BLOCKS = 16, 256, 1 << 16


def block_size(n: int) -> int:
    """How many consecutive neurons of a population of n make a block: a power of two.

    About 64 blocks, but 16 to 256 neurons in each: small enough that thousands of parts get equal
    shares. In populations beyond 2^24 about 2^16 larger ones, so that drawing does not take longer
    for the number of blocks than for that of synapses.
    """
    size = min(max(LEAST_BLOCK, _power_of_two(-(-n // 64))), MOST_BLOCK)
    return max(size, _power_of_two(-(-n // MOST_BLOCKS)))


def _power_of_two(n: int) -> int:
    return 1 << max(0, n - 1).bit_length()


@dataclass(frozen=True)
class Ends:
    """The pre end and the post end: concatenations of views of populations.

    Rows are numbered along the pre end, targets along the post end. A block of the post end is
    where one of its views meets a block of the view's population.
    """

    pre: tuple[View, ...]
    post: tuple[View, ...]

    def once(self, rule: Any, found: Callable[[], Any]) -> Any:
        """What a rule finds out about the ends, which it is asked for again and again."""
        for known, what in self._known:
            if known is rule:
                return what
        self._known.append((rule, found()))
        return self._known[-1][1]

    @cached_property
    def _known(self) -> list[tuple[Any, Any]]:
        return []

    @cached_property
    def n_pre(self) -> int:
        """The number of neurons of the pre end."""
        return sum(view.size for view in self.pre)

    @cached_property
    def n_post(self) -> int:
        """The number of neurons of the post end."""
        return sum(view.size for view in self.post)

    @cached_property
    def n_self(self) -> int:
        """How many neurons are in both ends."""
        return sum(len(common(a, b)) for a in self.pre for b in self.post)

    def block_start(self) -> np.ndarray:
        """int64[n_blocks + 1]: block b holds the places block_start[b]:block_start[b + 1]."""
        starts, offset = [], 0
        for view in self.post:
            if view.size:
                starts.append(offset + _cuts(view))
            offset += view.size
        return np.concatenate([*starts, [offset]]).astype(np.int64)

    def self_of_pre(self) -> np.ndarray:
        """int64[n_pre]: the place in the post end of each pre neuron, -1 where it is not there."""
        return _places(self.pre, self.post)

    def self_of_post(self) -> np.ndarray:
        """int64[n_post]: the place in the pre end of each post neuron, -1 where it is not there."""
        return _places(self.post, self.pre)


def names_each_once(views: tuple[View, ...]) -> bool:
    """Whether no neuron stands in two of these views."""
    pairs = itertools.combinations(views, 2)
    return not any(len(common(a, b)) for a, b in pairs)


def _cuts(view: View) -> np.ndarray:
    """The places in a view at which a block of its population begins."""
    size = block_size(view.population.size)
    block = np.arange(view.ids[0] // size, view.ids[-1] // size + 1)
    return np.unique(np.maximum(0, -(-(block * size - view.start) // view.step)))


def _places(these: tuple[View, ...], others: tuple[View, ...]) -> np.ndarray:
    place = np.full(sum(view.size for view in these), -1, np.int64)
    start = 0
    for view in these:
        start_other = 0
        for other in others:
            ids = common(view, other)
            if ids:
                here = start + (np.asarray(ids) - view.start) // view.step
                place[here] = start_other + (np.asarray(ids) - other.start) // other.step
            start_other += other.size
        start += view.size
    return place
