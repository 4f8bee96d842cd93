"""FlipFlop: several bits, each of which a pulse sets to 1 or to -1 until the next one comes.

Source: Sussillo & Barak (2013), Neural Comput. 25, 626, sec. 3.1.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from distdyn.errors import ParameterError
from distdyn.train.tasks.dataset import Inputs
from distdyn.train.tasks.fresh import Fresh


@dataclass(frozen=True, kw_only=True)
class FlipFlop(Fresh):
    """An input for each bit: 0, and 1 or -1 in a pulse; wanted is the sign of the last one.

    Pulses of different bits are independent of each other, each sign is as likely as the other.
    Every bit is set in the first step of a trial.

    Attributes:
        bits: how many there are.
        duration: of a trial, ms.
        pulse: how long one is, ms.
        interval: from the end of a pulse to the next one of the same bit, the mean in ms.
        settle: from the beginning of a pulse on, for so long any output is right, ms.
    """

    bits: int = 3
    duration: float = 600.0
    pulse: float = 30.0
    interval: float = 100.0
    settle: float = 50.0

    def __post_init__(self) -> None:
        if self.bits < 1:
            raise ParameterError(f"FlipFlop: bits = {self.bits}. Give at least one.")
        if not self.interval >= self.dt:
            raise ParameterError(
                f"FlipFlop: interval = {self.interval} ms, with steps of {self.dt} ms. Give at "
                "least one step."
            )

    def trials(self, n: int, random: np.random.Generator) -> tuple[Inputs, Any]:
        """So many trials: inputs and targets float32[trial, step, bit]; NaN is not looked at."""
        steps, pulse, settle = map(self.steps, (self.duration, self.pulse, self.settle))
        shape = n, steps, self.bits
        comes = random.random(shape) < self.dt / self.interval
        comes[:, 0] = True
        sign = random.choice([-1.0, 1.0], shape)
        given, wanted = np.zeros((2, *shape), np.float32)
        since, value = np.full((2, n, self.bits), np.inf)  # steps since a pulse began, and its sign
        for k in range(steps):
            begins = comes[:, k] & (since >= pulse)
            value = np.where(begins, sign[:, k], value)
            since = np.where(begins, 0, since)
            given[:, k] = np.where(since < pulse, value, 0.0)
            wanted[:, k] = np.where(since < settle, np.nan, value)
            since = since + 1
        return {self.path: given}, wanted
