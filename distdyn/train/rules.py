"""Rules: how the derivative of a loss with respect to parameters is found.

    BPTT()               exactly, backwards through all steps; spikes by a surrogate
    BPTT(window=50)      the same, but that nothing passes back beyond 50 steps: truncated

Source: Werbos (1990), Proc. IEEE 78, 1550; truncated: Williams & Peng (1990), Neural Comput. 2,
490.
"""

from dataclasses import dataclass
from typing import Literal

from distdyn.errors import ParameterError
from distdyn.ops.spike import Surrogate
from distdyn.ops.surrogate import SuperSpike
from distdyn.units import shown


@dataclass(frozen=True)
class BPTT:
    """Backpropagation through time.

    Attributes:
        surrogate: of the derivative of a spike, a function of V - V_th in mV (or the unit of V).
        detach_reset: take the reset after a spike for a constant.
        window: steps after which derivatives are cut; None: they are not.
        chunk: steps that are computed again in one go backwards, which saves memory; "auto": as
            many as need the least; None: all is kept, which is faster where it fits.
    """

    surrogate: Surrogate = SuperSpike(1.0)  # noqa: RUF009 - it cannot be changed
    detach_reset: bool = False
    window: int | None = None
    chunk: int | Literal["auto"] | None = "auto"

    def __post_init__(self) -> None:
        for name in ("window", "chunk"):
            steps = getattr(self, name)
            is_count = isinstance(steps, int) and not isinstance(steps, bool) and steps >= 1
            if not (steps is None or (name == "chunk" and steps == "auto") or is_count):
                raise ParameterError(f"BPTT: {name} = {shown(steps)}. Give a number of steps >= 1.")
