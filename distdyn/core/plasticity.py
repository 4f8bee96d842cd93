"""What changes a synapse: for long, its weight; for short, how much of it a spike brings.

Long-term plasticity is traces of the spikes of both cells, and two rules that read them:

    x' = -x / tau between spikes of the pre cell, y' = -y / tau between those of the post cell
    at a spike, the traces of its cell jump: x += 1, or x = 1 where only the nearest spike counts

    a post spike arrives:    w = potentiate(w, x, y)    x: traces of the pre cell at that time
    a pre spike arrives:     w = depress(w, x, y)       y: traces of the post cell at that time

Traces are those just before the spike, so that two spikes at one time do not see each other. The
delay is that of the dendrite: a post spike needs it to reach the synapse, a pre spike is there at
once (Morrison et al. 2008, Biol. Cybern. 98, 459).

Short-term plasticity is a state of the pre cell's synapses, the same for all of a projection, that
each of its spikes changes; the spike brings the weight times an amplitude.
"""

import abc
from typing import Any, ClassVar, NamedTuple

from distdyn.core.parameters import Parameters


class Trace(NamedTuple):
    """What is left of the spikes of a cell.

    Attributes:
        tau: time constant, in ms.
        nearest: whether only the last spike counts: it jumps to 1, and not by 1.
    """

    tau: Any
    nearest: bool = False


class AbstractPlasticity(Parameters):
    """What a projection may take as `plasticity`."""

    @abc.abstractmethod
    def largest(self, initial: float) -> float:
        """The largest |w| that a spike may bring, from the largest initial one."""


class Plasticity(AbstractPlasticity):
    """How the weight of a synapse follows the spikes of its cells.

    A rule gives its traces and how they change the weight, with `jax.numpy` or plain arithmetic:

        class Additive(dd.Plasticity):
            A: float = 0.01
            tau: float = 20.0

            def pre(self):  return (dd.Trace(self.tau),)
            def post(self): return (dd.Trace(self.tau),)
            def potentiate(self, w, x, y): return w + self.A * x[0]
            def depress(self, w, x, y):    return w - self.A * y[0]

    Its parameters are numbers. Weights are floating-point numbers of the run's precision, and
    belong to the post cell.
    """

    headroom: ClassVar[float] = 2.0  # how many times the largest initial weight one may become

    @abc.abstractmethod
    def pre(self) -> tuple[Trace, ...]:
        """The traces of the spikes of a pre cell."""

    @abc.abstractmethod
    def post(self) -> tuple[Trace, ...]:
        """The traces of the spikes of a post cell."""

    @abc.abstractmethod
    def potentiate(self, w: Any, x: Any, y: Any) -> Any:
        """The weight after a spike of the post cell."""

    @abc.abstractmethod
    def depress(self, w: Any, x: Any, y: Any) -> Any:
        """The weight after a spike of the pre cell."""

    def largest(self, initial: float) -> float:
        """`w_max`, or `headroom` times the initial one."""
        bound = getattr(self, "w_max", None)
        return max(initial, float(bound)) if bound is not None else self.headroom * initial


class ShortTerm(AbstractPlasticity):
    """How much of its weight a spike brings, from when its cell has spiked before.

        class Fatigue(dd.ShortTerm):
            tau: float = 100.0

            def init(self):                    return (0.0,)
            def spike(self, state, elapsed):
                tired = state[0] * jnp.exp(-elapsed / self.tau)
                return (tired + 0.5 * (1.0 - tired),), 1.0 - tired

    The state is a tuple of numbers, one for each pre cell and projection. Weights stay as they are.
    """

    most: ClassVar[float] = 1.0  # the largest amplitude

    @abc.abstractmethod
    def init(self) -> tuple[Any, ...]:
        """The state before the first spike."""

    @abc.abstractmethod
    def spike(self, state: tuple[Any, ...], elapsed: Any) -> tuple[tuple[Any, ...], Any]:
        """The state after a spike, and its amplitude.

        Args:
            state: after the spike before.
            elapsed: since then, in ms; 0 at the first spike.
        """

    def largest(self, initial: float) -> float:
        """The largest |w| times the largest amplitude."""
        return self.most * initial
