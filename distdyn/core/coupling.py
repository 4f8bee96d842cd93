"""Coupling: synapses through which a cell acts at every step, and not by its spikes alone.

    g_i(t) = sum_j w_ij a_j(t - d_ij)

a_j is what cell j emits: its potential, its rate, the part of its receptors that are open. It may
follow an equation of its own, which its spikes drive and which saturates: that state belongs to the
pre cell, which has one for all its synapses of a kind. g_i acts as the g of any receptor, through
an output.

A delay of 0 is the value at the beginning of the step, as explicit schemes take it. Before the run
every cell has emitted what it emits at the start. Values are summed in integers like weights, so
that sums do not depend on the order; `most` says how large they become.
"""

import abc
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from distdyn.core.receptor import Kinetics
from distdyn.core.system import emits_spikes


class Sent(NamedTuple):
    """What a cell keeps of one coupling through which it acts."""

    state: Any  # what the coupling's `follow` advances
    value: Any  # emitted at the end of the last step; NaN ever after once beyond `most`


class Coupling(Kinetics):
    """What a pre cell emits, and what its sum does to the post cell.

        class Fraction(dd.Coupling):
            tau: float = 50.0

            def begin(self):
                return 0.0

            def follow(self, s, neuron, spike, dt):
                return jnp.where(spike, 1.0, s * jnp.exp(-dt / self.tau))

            def emit(self, s, cell, neuron):
                return s

    Only `emit` must be given: without a state of its own it is a function of the cell's.
    """

    most: ClassVar[Any] = 1.0  # the largest |value| that a cell may emit
    needs_sum: ClassVar[bool] = False  # whether `total` is asked for the sum of weights
    needs_spikes: ClassVar[bool] = True  # of the pre cell

    class State(NamedTuple):
        g: jax.Array  # sum of weight times value

    class Weighed(NamedTuple):
        g: jax.Array  # sum of weight times value
        w: jax.Array  # sum of the weights onto the cell

    def begin(self) -> Any:
        """The pre cell's state at the beginning."""
        return ()

    def follow(self, s: Any, neuron: Any, spike: Any, dt: Any) -> Any:
        """The pre cell's state at the end of a step of dt ms.

        Args:
            s: at its beginning.
            neuron: the state of the cell at the end of the step.
            spike: whether it spikes there.
            dt: ms.
        """
        return s

    @abc.abstractmethod
    def emit(self, s: Any, cell: Any, neuron: Any) -> Any:
        """The value of a pre cell.

        Args:
            s: the coupling's own state.
            cell: the model, with its parameters.
            neuron: its state.
        """

    def total(self, state: Any, cell: Any, neuron: Any) -> Any:
        """What acts on the post cell: g, or what follows from it and the cell's own state."""
        return state.g

    def refusal(self, cell: Any) -> str | None:
        """Why a model cannot be the pre end; None if it can."""
        if self.needs_spikes and not emits_spikes(cell):
            return "its model does not spike. A model that spikes has a parameter V_th"
        return None

    def init(self) -> Any:
        """Nothing emitted."""
        zero = jnp.zeros(())
        return self.Weighed(g=zero, w=zero) if self.needs_sum else self.State(g=zero)

    def derivative(self, state: Any) -> Any:
        """The sum holds for a step."""
        return jax.tree.map(jnp.zeros_like, state)

    def arrive(self, state: Any, weight: Any) -> Any:
        """The sum of a step takes the place of that before."""
        return state._replace(g=jnp.asarray(weight, state.g.dtype))

    def first(self, cell: Any, neuron: Any) -> Sent:
        """What a cell that begins has sent."""
        state = jax.tree.map(jnp.asarray, self.begin())
        return Sent(state, jnp.asarray(self.emit(state, cell, neuron)))

    def send(self, sent: Sent, cell: Any, neuron: Any, spike: Any, dt: Any) -> Sent:
        """What it sends at the end of a step."""
        state = self.follow(sent.state, neuron, spike, dt)
        value = self.emit(state, cell, neuron)
        is_possible = (abs(value) <= self.most) & (sent.value == sent.value)
        return Sent(state, jnp.where(is_possible, value, jnp.nan))


def emits_values(model: Any) -> bool:
    """Whether a model says by `emit` what a unit sends."""
    return callable(getattr(model, "emit", None))
