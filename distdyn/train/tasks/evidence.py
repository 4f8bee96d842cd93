"""Evidence: cues from the left and from the right, and after a while the question where were more.

Source: Morcos & Harvey (2016), Nat. Neurosci. 19, 1672; as spikes for networks that learn: Bellec,
Scherr, Subramoney, Hajek, Salaj, Legenstein & Maass (2020), Nat. Commun. 11, 3625.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from distdyn.errors import ParameterError
from distdyn.train.tasks.dataset import Inputs
from distdyn.train.tasks.fresh import Fresh


@dataclass(frozen=True, kw_only=True)
class Evidence(Fresh):
    """Spikes of four groups of neurons: left, right, recall, and noise that never ends.

    A trial is of one kind or the other: each cue comes from that side with the probability
    `reliability`. What is wanted is the side of more cues, 0 left and 1 right.

    Attributes:
        cues: how many, an odd number.
        cue, pause: how long a cue takes, and the pause behind it, ms.
        delay: between the last pause and the recall, ms.
        recall: how long is asked, ms.
        reliability: of a cue, a probability.
        rate: of who tells a cue or asks, Hz.
        noise: of the neurons of the last group, Hz.
        group: neurons of each group.
    """

    cues: int = 7
    cue: float = 100.0
    pause: float = 50.0
    delay: float = 1000.0
    recall: float = 150.0
    reliability: float = 0.7
    rate: float = 40.0
    noise: float = 10.0
    group: int = 10

    def __post_init__(self) -> None:
        if self.cues % 2 != 1:
            raise ParameterError(f"Evidence: cues = {self.cues}. Give an odd number: no tie then.")

    def trials(self, n: int, random: np.random.Generator) -> tuple[Inputs, Any]:
        """So many trials: spikes bool[trial, step, neuron], and sides int[trial]."""
        cue, pause, recall = map(self.steps, (self.cue, self.pause, self.recall))
        first = self.cues * (cue + pause) + self.steps(self.delay)
        kind = random.integers(0, 2, (n, 1))
        side = np.where(random.random((n, self.cues)) < self.reliability, kind, 1 - kind)
        hz = np.zeros((n, first + recall, 4))
        for k in range(self.cues):
            during = slice(k * (cue + pause), k * (cue + pause) + cue)
            for of in (0, 1):
                hz[side[:, k] == of, during, of] = self.rate
        hz[:, first:, 2] = self.rate
        hz[:, :, 3] = self.noise
        p = np.repeat(hz * 1e-3 * self.dt, self.group, axis=2)
        wanted = (side.sum(axis=1) > self.cues / 2).astype(np.int64)
        return {self.path: random.random(p.shape, np.float32) < p}, wanted
