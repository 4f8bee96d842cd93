"""Rules: how the derivative of a loss with respect to parameters is found.

    BPTT()               exactly, backwards through all steps; spikes by a surrogate
    BPTT(window=50)      the same, but that nothing passes back beyond 50 steps: truncated
    EProp()              forwards with the network, without what passes from cell to cell and back
    DRTRL()              the same for errors that say what was right just now
    PPProp()             the same in less memory: what pre and post cells do is kept apart
    ThreeFactor(0.1)     by trial and error: noise is kept where it makes the loss less

Source: Werbos (1990), Proc. IEEE 78, 1550; truncated: Williams & Peng (1990), Neural Comput. 2,
490; forwards: Bellec et al. (2020), Nat. Commun. 11, 3625; just now, and apart: Wang et al. (2024),
bioRxiv 2024.09.24.614728; by trial and error: Fiete & Seung (2006), Phys. Rev. Lett. 97, 048104.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

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
            many as need the least; None: all is kept, and nothing computed again.
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


@dataclass(frozen=True)
class EProp:
    """Eligibility propagation: what each synapse has to do with the spikes of its post cell.

    A derivative is that of `BPTT` if nothing passed back through synapses but those to readouts,
    linear cells (`LeakyIntegrator`) that the loss watches: exact where there is no recurrence. Its
    memory does not depend on how long a trial is, but for what the loss watches. What is trained
    acts on populations that are watched or project to a readout: weights, their own parameters, and
    numbers of their receptors.

    Attributes:
        surrogate: as in `BPTT`.
        detach_reset: as in `BPTT`; adaptation by spikes is then a constant, too.
        feedback: the weights by which errors of readouts reach cells: "symmetric", those of the
            synapses to the readouts; "random", others that never change, as large as those are at
            first.
    """

    surrogate: Surrogate = SuperSpike(1.0)  # noqa: RUF009 - it cannot be changed
    detach_reset: bool = False
    feedback: Literal["symmetric", "random"] = "symmetric"
    chunk: ClassVar[None] = None  # nothing is computed again, or cut
    window: ClassVar[None] = None

    def __post_init__(self) -> None:
        if self.feedback not in ("symmetric", "random"):
            raise ParameterError(
                f'EProp: feedback = {shown(self.feedback)}. Give "symmetric" or "random".'
            )


@dataclass(frozen=True)
class DRTRL(EProp):
    """Real-time recurrent learning, of whose Jacobian what each cell has to do with itself is kept.

        e(t) = D(t) e(t-1) + dh(t)/dw,     dL/dw = sum_t dL(t)/dh(t) e(t)

    h is the state of a post cell, D(t) = dh(t)/dh(t-1) within the cell, and L(t) the loss by what
    happens at t. It is e-prop but for readouts: an error counts for the spikes that arrive with it,
    and not for those that a readout still remembers. As exact where readouts have no memory.
    """


@dataclass(frozen=True)
class PPProp(EProp):
    """E-prop whose eligibilities are products of one factor of the pre and one of the post cell.

    Its memory grows with the cells and not with the synapses; derivatives are approximate.

    Attributes:
        decay: what is left of each factor after a step, besides what the cell itself forgets:
            between 0 and 1, the nearer to 1 the longer what is correlated may lie apart.
    """

    decay: float = 0.95

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (isinstance(self.decay, int | float) and 0 <= self.decay < 1):
            raise ParameterError(
                f"PPProp: decay = {shown(self.decay)}. Give a number from 0 to below 1."
            )


@dataclass(frozen=True)
class ThreeFactor:
    """Noise at the post cells, what pre cells send, and whether the trial went better by it.

    In each step what arrives at a cell is `noise` more or less than it is. A synapse notes how that
    went together with what its pre cell sent; all are told one number for a trial, how much larger
    its loss was than without noise. The mean of the derivatives over draws is that of `BPTT`
    without surrogates, of a loss that noise makes smooth; a single draw varies the more the more
    cells and steps there are. The loss may be any function, a reward that has no derivative, too.
    It trains weights of projections.

    Attributes:
        noise: how large it is, in the unit of the weights: small beside what arrives, and large
            enough to change spikes.
    """

    noise: float
    surrogate: ClassVar[Surrogate] = SuperSpike(1.0)  # nothing is differentiated
    detach_reset: ClassVar[bool] = False
    chunk: ClassVar[None] = None
    window: ClassVar[None] = None

    def __post_init__(self) -> None:
        if not (isinstance(self.noise, int | float) and 0 < self.noise < math.inf):
            raise ParameterError(
                f"ThreeFactor: noise = {shown(self.noise)}. Give a number above 0, in the unit of "
                "the weights."
            )


Rule = BPTT | EProp | ThreeFactor
