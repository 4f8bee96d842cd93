"""PerceptualDecision: two noisy streams, and behind them the question which one was larger.

    u_side(t) = (1 + c) / 2 + sigma xi(t),    u_other(t) = (1 - c) / 2 + sigma xi'(t)

Source: Britten, Shadlen, Newsome & Movshon (1992), J. Neurosci. 12, 4745, with dots that move at
random but for a part c, the coherence; as streams for networks that learn: Song, Yang & Wang
(2016), PLoS Comput. Biol. 12, e1004792.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from distdyn.errors import ParameterError
from distdyn.train.tasks.dataset import Inputs
from distdyn.train.tasks.fresh import Fresh
from distdyn.units import shown


@dataclass(frozen=True, kw_only=True)
class PerceptualDecision(Fresh):
    """Three inputs: 1 until a decision is wanted, and the streams of the sides 0 and 1.

    Outside of the stimulus the streams are 0. What is wanted is the side; that of a trial without
    coherence is drawn too, and cannot be known. The noises xi are white, sigma / sqrt(dt) in a
    step. Whoever adds up all of a stimulus, as nobody can do better, is right with the probability

        Phi(c sqrt(stimulus / 2) / sigma),    Phi the cumulative normal distribution

    Attributes:
        coherences: one of them is drawn for each trial, each from 0 to 1.
        fixation: before the stimulus, ms.
        stimulus: how long there are streams, ms.
        decision: behind them, ms.
        sigma: of the noise, sqrt(ms).
    """

    coherences: tuple[float, ...] = (0.0, 0.064, 0.128, 0.256, 0.512)
    fixation: float = 100.0
    stimulus: float = 2000.0
    decision: float = 100.0
    sigma: float = 1.0

    def __post_init__(self) -> None:
        if not self.coherences or not all(0 <= c <= 1 for c in self.coherences):
            raise ParameterError(
                f"PerceptualDecision: coherences = {shown(self.coherences)}. Give some from 0 to 1."
            )
        if not 0 <= self.sigma < np.inf:
            raise ParameterError(
                f"PerceptualDecision: sigma = {shown(self.sigma)}. Give a number >= 0."
            )

    def trials(self, n: int, random: np.random.Generator) -> tuple[Inputs, Any]:
        """So many trials: inputs float32[trial, step, 3], and sides int[trial]."""
        before, during, behind = map(self.steps, (self.fixation, self.stimulus, self.decision))
        side = random.integers(0, 2, n)
        c = random.choice(self.coherences, n)
        mean = (1 + c[:, None] * np.where(np.arange(2) == side[:, None], 1, -1)) / 2
        noise = random.standard_normal((n, during, 2)) * self.sigma / np.sqrt(self.dt)
        given = np.zeros((n, before + during + behind, 3), np.float32)
        given[:, : before + during, 0] = 1
        given[:, before : before + during, 1:] = mean[:, None] + noise
        return {self.path: given}, side
