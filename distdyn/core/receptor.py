"""What a spike does at the post cell: kinetics (the course of g) and output (from g to a current).

Kinetics are linear in arriving spikes, so one receptor serves all synapses of a cell that share it.
"""

import abc
from functools import cached_property
from typing import Any, ClassVar

import equinox as eqx
import jax

from distdyn.core.parameters import Parameters
from distdyn.errors import ParameterError


class Kinetics(Parameters):
    """The course of g after a spike: a linear, autonomous ODE and what an arrival adds to it.

    `State` has a field `g`. With unit weight g peaks at 1, so a weight is the peak.
    """

    State: ClassVar[type]
    moves_V: ClassVar[bool] = False  # True: arrivals jump V itself, there is no g
    unit: ClassVar[str | None] = None  # of the weight, where no output says it
    nonnegative: ClassVar[bool] = False  # True: so are weights, whatever the output

    @property
    def parts(self) -> tuple["Kinetics", ...]:
        """The kinetics of which these are the sum: themselves, where one state is enough."""
        return (self,)

    @abc.abstractmethod
    def init(self) -> Any:
        """The state without input: zeros."""

    @abc.abstractmethod
    def derivative(self, state: Any) -> Any:
        """D state / dt, linear in the state."""

    @abc.abstractmethod
    def arrive(self, state: Any, weight: Any) -> Any:
        """The state after spikes of this summed weight."""

    def total(self, state: Any, cell: Any, neuron: Any) -> Any:
        """What the output of a cell of this model, in this state, is given: g."""
        return state.g


class Output(Parameters):
    """From g to a current into the cell."""

    nonnegative: ClassVar[bool] = False  # True: weights are conductances, which cannot be negative
    unit: ClassVar[str] = "pA"  # of the weight
    divides: ClassVar[bool] = False  # True: `current` is by how much others are divided, less 1

    @abc.abstractmethod
    def current(self, g: Any, V: Any) -> Any:
        """The current that flows into the cell at membrane potential V."""


class CUBA(Output):
    """Current-based: I = g, weights in pA."""

    def current(self, g: Any, V: Any) -> Any:
        return g


class Receptor(eqx.Module):
    """One kind of synapse as a post cell has it: kinetics and output.

    Attributes:
        at_once: whether what arrives acts in the step at whose end it is due: a coupling without a
            delay.
    """

    kinetics: Kinetics
    output: Output
    at_once: bool = eqx.field(default=False, static=True)

    def state(self) -> Any:
        """The state without input."""
        return self.kinetics.init()

    def current(self, state: Any, cell: Any, neuron: Any) -> Any:
        """The current through it into a cell of this model in this state."""
        g = self.kinetics.total(state, cell, neuron)
        return self.output.current(g, getattr(neuron, "V", None))

    @cached_property
    def key(self) -> tuple[Any, ...]:
        """Equal for receptors that are one; sorts receptors of one kind next to each other."""
        names = type(self.kinetics).__qualname__, type(self.output).__qualname__
        try:
            values = tuple(float(x) for x in jax.tree.leaves(self))
        except (TypeError, ValueError) as error:
            raise ParameterError(
                f"synapse {names[0]} with output {names[1]}: its parameters must be numbers, the "
                "same for all synapses. Use one projection per value."
            ) from error
        return (*names, values, self.at_once)
