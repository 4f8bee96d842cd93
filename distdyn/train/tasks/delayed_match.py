"""DelayedMatch: a sample, a delay, and a probe: is it the same again?

Source: Miller, Erickson & Desimone (1996), J. Neurosci. 16, 5154.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from distdyn.errors import ParameterError
from distdyn.train.tasks.dataset import Inputs
from distdyn.train.tasks.fresh import Fresh


@dataclass(frozen=True, kw_only=True)
class DelayedMatch(Fresh):
    """Spikes of a group of neurons for each stimulus; all are noisy all the time.

    Half of the probes, at random, are what the sample was, the others equally often any other
    stimulus. What is wanted is whether they are: 1 the same, 0 not.

    Attributes:
        stimuli: how many there are, at least two.
        sample, delay, probe: how long each takes, ms.
        rate: of the group of a stimulus while it is shown, Hz.
        noise: of any other, Hz.
        group: neurons of each group.
    """

    stimuli: int = 4
    sample: float = 300.0
    delay: float = 1000.0
    probe: float = 300.0
    rate: float = 40.0
    noise: float = 5.0
    group: int = 10

    def __post_init__(self) -> None:
        if self.stimuli < 2:
            raise ParameterError(
                f"DelayedMatch: stimuli = {self.stimuli}. Give at least 2: one matches always."
            )

    def trials(self, n: int, random: np.random.Generator) -> tuple[Inputs, Any]:
        """So many trials: spikes bool[trial, step, neuron], and int[trial]."""
        sample, delay, probe = map(self.steps, (self.sample, self.delay, self.probe))
        first = random.integers(0, self.stimuli, n)
        is_same = random.integers(0, 2, n)
        other = (first + random.integers(1, self.stimuli, n)) % self.stimuli
        second = np.where(is_same == 1, first, other)
        hz = np.full((n, sample + delay + probe, self.stimuli), self.noise)
        hz[np.arange(n), :sample, first] = self.rate
        hz[np.arange(n), sample + delay :, second] = self.rate
        p = np.repeat(hz * 1e-3 * self.dt, self.group, axis=2)
        return {self.path: random.random(p.shape, np.float32) < p}, is_same
