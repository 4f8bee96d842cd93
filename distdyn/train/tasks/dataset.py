"""Dataset: trials in arrays, dealt into batches that are shuffled anew in every epoch."""

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from distdyn.errors import TrainError

Inputs = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Dataset:
    """Some trials.

    Attributes:
        inputs: what comes from outside, by path: arrays [trial, ...].
        target: what is wanted: an array [trial, ...], or a tree of these.
        batch: trials of a batch.
        seed: of the order; None: that of the arrays, in every epoch.
        encode: from some trials of the inputs to what is given; None: they are it.
        rest: those that are left over at the end of an epoch are a last, smaller batch; else they
            wait for the next epoch.
    """

    inputs: Inputs
    target: Any
    batch: int = 100
    seed: int | None = 0
    encode: Callable[[Inputs], Inputs] | None = None
    rest: bool = False

    def __post_init__(self) -> None:
        lengths = {len(x) for x in (*self.inputs.values(), *jax.tree.leaves(self.target))}
        if len(lengths) != 1 or not 1 <= self.batch <= max(lengths):
            raise TrainError(
                f"Dataset: arrays of {sorted(lengths)} trials, in batches of {self.batch}. Give "
                "arrays of one number of trials, and batches of no more."
            )

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def batches(self, epoch: int) -> Iterator[tuple[Inputs, Any]]:
        """The batches of an epoch."""
        order = np.arange(len(self))
        if self.seed is not None:
            order = np.random.default_rng([self.seed, epoch]).permutation(order)
        end = len(order) if self.rest else len(order) - self.batch + 1
        for start in range(0, end, self.batch):
            some = order[start : start + self.batch]
            inputs = {path: x[some] for path, x in self.inputs.items()}
            target = jax.tree.map(operator.itemgetter(some), self.target)
            yield self.encode(inputs) if self.encode else inputs, target
