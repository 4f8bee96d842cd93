"""What changes a synapse: for long, its weight; for short, how much of it a spike brings.

Long-term plasticity is traces of the spikes of both cells, and two rules that read them:

    x' = -x / tau between spikes of the pre cell, y' = -y / tau between those of the post cell
    at a spike, the traces of its cell jump: x += 1, or x = 1 where only the nearest spike counts

    a post spike arrives:    w = potentiate(w, x, y)    x: traces of the pre cell at that time
    a pre spike arrives:     w = depress(w, x, y)       y: traces of the post cell at that time

Traces are those just before the spike, so that two spikes at one time do not see each other. The
delay is that of the dendrite: a post spike needs it to reach the synapse, a pre spike is there at
once (Morrison et al. 2008, Biol. Cybern. 98, 459).

A rule may ask for more than spikes:

    traces of V     u' = (V - u) / tau of the post cell, as any of its traces
    events          steps at which the post cell potentiates instead of at its spikes, such as those
                    at which V is above a threshold, each with an amount
    variables       of a synapse besides its weight, such as an eligibility
    between         how weight and variables change while nothing happens, in closed form
    reward          one more trace, the same at all synapses, which the user makes jump

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


class LowPass(NamedTuple):
    """A trace of V of a post cell: u' = (V - u) / tau, with V as it is at the end of each step.

    Attributes:
        tau: time constant, in ms.
        delay: how long ago the value is that a rule sees, in ms, a multiple of dt.
    """

    tau: Any
    delay: Any = 0.0


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

    A rule may also have any of these methods:

        def event(self, V, y)
            How much of an event the post cell has, per ms, from its V at the end of a step and its
            traces just before. At steps where it is positive, and not at spikes, `potentiate` is
            called, with the amount of the step as the last of `y`. A cell that is reset has no
            spike in its V: for `t_peak` ms from one (attributes of the rule) it is `V_peak`.
        def synapse(self)
            Further variables of each synapse, as they are at the start: a tuple of numbers. Then
            the `w` that a rule is given, and returns, is the tuple (weight, *variables).
        def between(self, w, x, y, r, elapsed)
            The weight after `elapsed` ms without a spike; traces and reward are those at the
            beginning. It is called before each spike that reaches the synapse.
        def reward(self)
            The time constant in ms with which reward is forgotten: `r` of `between`.
            `runner["syn"].reward(amount)` adds to it.
    """

    headroom: ClassVar[float] = 2.0  # how many times the largest initial weight one may become
    V_peak: ClassVar[float] = 0.0  # mV; V during a spike, for
    t_peak: ClassVar[float] = 0.0  # ms, a multiple of dt; 0: V is as it is
    event: ClassVar[Any] = None
    synapse: ClassVar[Any] = None
    between: ClassVar[Any] = None
    reward: ClassVar[Any] = None

    @abc.abstractmethod
    def pre(self) -> tuple[Trace, ...]:
        """The traces of the spikes of a pre cell."""

    @abc.abstractmethod
    def post(self) -> tuple[Trace | LowPass, ...]:
        """The traces of the spikes, or of V, of a post cell."""

    @abc.abstractmethod
    def potentiate(self, w: Any, x: Any, y: Any) -> Any:
        """The weight after a spike, or an event, of the post cell."""

    @abc.abstractmethod
    def depress(self, w: Any, x: Any, y: Any) -> Any:
        """The weight after a spike of the pre cell."""

    def largest(self, initial: float) -> float:
        """`w_max`, or `headroom` times the initial one."""
        bound = getattr(self, "w_max", None)
        return max(initial, float(bound)) if bound is not None else self.headroom * initial

    @property
    def sees_voltage(self) -> bool:
        """Whether V of the post cells is followed, step by step."""
        return self.event is not None or any(isinstance(of, LowPass) for of in self.post())


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
