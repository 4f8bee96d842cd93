"""What an ion channel is: gates, and the current through it.

    class IK(dd.Channel):
        g: float = 36.0
        E: float = -77.0

        @dd.gate
        def n(self, V):
            return dd.AlphaBeta(0.1 / dd.exprel(-(V + 55) / 10), 0.125 * jnp.exp(-(V + 65) / 80))

        def current(self, s, V):
            return self.g * s.n**4 * (V - self.E)

The equations are those of the paper: I is positive outward, in the unit of g times mV. A channel
lives in a cell (`Conductance`), which brings V and the ions.
"""

import abc
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax

from distdyn.core.parameters import Parameters


class AlphaBeta(NamedTuple):
    """A gate by its rates of opening and closing (1 / ms): x' = alpha (1 - x) - beta x."""

    alpha: Any
    beta: Any

    @property
    def inf(self) -> Any:
        """The steady state."""
        return self.alpha / (self.alpha + self.beta)

    @property
    def tau(self) -> Any:
        """The time constant, ms."""
        return 1.0 / (self.alpha + self.beta)

    def derivative(self, x: Any) -> Any:
        """D x / dt."""
        return self.alpha * (1.0 - x) - self.beta * x


class InfTau(NamedTuple):
    """A gate by its steady state and time constant (ms): x' = (inf - x) / tau."""

    inf: Any
    tau: Any

    def derivative(self, x: Any) -> Any:
        """D x / dt."""
        return (self.inf - x) / self.tau


def gate(function: Callable) -> Callable:
    """Declare a gate of a channel: a method of V that returns an `AlphaBeta` or an `InfTau`.

    The name of the method is that of the gate in the state.
    """
    function.is_gate = True  # pyright: ignore[reportFunctionMemberAccess]
    return function


class AbstractChannel(Parameters):
    """A channel with any kinetics. `Channel` is the one whose kinetics are gates.

    A field whose value is a string names an ion of the cell. Inside the methods `E` is then the
    reversal potential of that ion, whose current this one is; a field of another name is the ion
    itself, with `C` (concentration inside, mM) and `E`.
    """

    State: ClassVar[type]

    @abc.abstractmethod
    def steady(self, V: Any) -> Any:
        """The state in which the channel rests at V (mV)."""

    @abc.abstractmethod
    def derivative(self, s: Any, V: Any) -> Any:
        """D state / dt, as a State."""

    @abc.abstractmethod
    def current(self, s: Any, V: Any) -> Any:
        """The current, positive outward.

        Of a channel through which several ions pass, their currents by the names of their fields:
        `{"Na": ..., "K": ...}`.
        """


class Channel(AbstractChannel):
    """A channel with independent gates, in order of definition; also one without, a leak."""

    def __init_subclass__(cls, **options: Any) -> None:
        fields = [(name, jax.Array) for name in _gates(cls)]
        cls.State = NamedTuple("State", fields)  # pyright: ignore[reportAttributeAccessIssue]

    def steady(self, V: Any) -> Any:
        return self.State(*[getattr(self, name)(V).inf for name in self.State._fields])

    def derivative(self, s: Any, V: Any) -> Any:
        slopes = [
            getattr(self, name)(V).derivative(x)
            for name, x in zip(self.State._fields, s, strict=True)
        ]
        return self.State(*slopes)


def _gates(cls: type) -> list[str]:
    return [name for name in vars(cls) if getattr(getattr(cls, name), "is_gate", False)]
