"""Couplings that act at every step, without spikes: of rates, of phases, of potentials.

`Additive` and `Diffusive` send what a rate model says by `emit`; `GapJunction` and `Graded` the
potential of a cell, or what follows from it. Weights are what multiplies the value.
"""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from distdyn.core.coupling import Coupling, emits_values
from distdyn.core.parameters import param
from distdyn.core.system import receives_input

_NO_VALUE = "its model does not say by emit(state) what it sends. Use a rate model"
_NO_V = "its model has no state V. Use a population of cells"


class Additive(Coupling):
    """The weighted sum of what the others emit:  I_i = sum_j w_ij x_j(t - d_ij).

    x is the model's `emit(state)`, such as a rate; I enters where the model's equations say I.
    Values are summed to 1e-9 of the sum of |w| times `most` (to 1e-18 in double precision).

    Source: Dayan & Abbott (2001), Theoretical Neuroscience, sec. 7.2.
    """

    most: float = param(1024.0, "", "the largest |x|: beyond it a run ends", positive=True)

    needs_spikes: ClassVar[bool] = False

    def emit(self, s: Any, cell: Any, neuron: Any) -> Any:
        return cell.emit(neuron)

    def refusal(self, cell: Any) -> str | None:
        return None if emits_values(cell) else _NO_VALUE


class Diffusive(Additive):
    """The weighted differences to the others:  I_i = sum_j w_ij (x_j(t - d_ij) - x_i(t)).

    x is the model's `emit(state)`; both ends emit. With a delay of 0 x_j is that at the beginning
    of the step.

    Source: Pikovsky, Rosenblum & Kurths (2001), Synchronization, ch. 4.
    """

    needs_sum: ClassVar[bool] = True

    def total(self, state: Any, cell: Any, neuron: Any) -> Any:
        return state.g - state.w * cell.emit(neuron)


class GapJunction(Coupling):
    """An electrical synapse:  I_i = sum_j w_ij (V_j - V_i), weights in nS, >= 0.

    It lets current through both ways if both directions are connected: give both pairs, such as by
    a rule onto the population itself. V_j is that at the beginning of the step (delay 0) or
    earlier; V_i follows its own equation within the step.

    Source: Bennett & Zukin (2004), Neuron 41, 495, for electrical synapses of the brain.
    """

    most: float = param(1024.0, "mV", "the largest |V|: beyond it a run ends", positive=True)

    needs_spikes: ClassVar[bool] = False
    needs_sum: ClassVar[bool] = True
    unit: ClassVar[str | None] = "nS"
    nonnegative: ClassVar[bool] = True

    def emit(self, s: Any, cell: Any, neuron: Any) -> Any:
        return neuron.V

    def total(self, state: Any, cell: Any, neuron: Any) -> Any:
        return state.g - state.w * neuron.V

    def refusal(self, cell: Any) -> str | None:
        return None if receives_input(cell) else _NO_V


class Graded(Coupling):
    """Release that follows the pre cell's potential, with or without spikes.

        s' = (s_inf - s) / tau,    s_inf = 1 / (1 + exp((V_half - V) / Delta)),
        tau = (1 - s_inf) / k

    s, between 0 and 1, belongs to the pre cell; a post cell has g = sum of weight times s. The
    defaults are those of glutamatergic synapses of the stomatogastric ganglion; cholinergic ones
    have k = 0.01. Usually with COBA. A step is solved with the V of its end.

    Source: Prinz, Bucher & Marder (2004), Nat. Neurosci. 7, 1345; Abbott & Marder (1998), in
    Methods in Neuronal Modeling, 2nd ed., ch. 10.
    """

    V_half: float = param(-35.0, "mV", "V at which half of it is released")
    Delta: float = param(5.0, "mV", "the range of V over which release grows", positive=True)
    k: float = param(0.025, "1/ms", "rate at which transmitter leaves", positive=True)

    needs_spikes: ClassVar[bool] = False

    class Pre(NamedTuple):
        s: jax.Array

    def begin(self) -> Pre:
        return self.Pre(s=jnp.zeros(()))

    def follow(self, s: Pre, neuron: Any, spike: Any, dt: Any) -> Pre:
        x = (neuron.V - self.V_half) / self.Delta
        steady = jax.nn.sigmoid(x)
        rest = jax.nn.sigmoid(-x)  # 1 - steady, which may be too small to be seen in it
        left = jnp.exp(-self.k * dt / jnp.maximum(rest, 1e-30))
        return self.Pre(s=steady + (s.s - steady) * left)

    def emit(self, s: Pre, cell: Any, neuron: Any) -> Any:
        return s.s

    def refusal(self, cell: Any) -> str | None:
        return None if receives_input(cell) else _NO_V


class Sine(Coupling):
    """The coupling of phases:  I_i = sum_j w_ij sin(theta_j(t - d_ij) - theta_i(t) - lag).

    For models with a state theta, such as `Kuramoto`. It is the sum of two couplings, by the sines
    and by the cosines of the others' phases.

    Source: Kuramoto (1975), Lect. Notes Phys. 39, 420; lag: Sakaguchi & Kuramoto (1986), Prog.
    Theor. Phys. 76, 576.
    """

    lag: float = param(0.0, "rad", "phase by which the others are seen late")

    needs_spikes: ClassVar[bool] = False

    @property
    def parts(self) -> tuple[Coupling, ...]:
        return _SineOfPhase(self.lag), _CosineOfPhase(self.lag)

    def emit(self, s: Any, cell: Any, neuron: Any) -> Any:
        return jnp.sin(neuron.theta)

    def refusal(self, cell: Any) -> str | None:
        fields = getattr(getattr(cell, "State", None), "_fields", ())
        return None if "theta" in fields else "its model has no phase theta. Use Kuramoto"


class _SineOfPhase(Sine):
    """One of the two couplings of `Sine`:  sum_j w_ij sin(theta_j) cos(theta_i + lag)."""

    @property
    def parts(self) -> tuple[Coupling, ...]:
        return (self,)

    def total(self, state: Any, cell: Any, neuron: Any) -> Any:
        return state.g * jnp.cos(neuron.theta + self.lag)


class _CosineOfPhase(_SineOfPhase):
    """The other one:  -sum_j w_ij cos(theta_j) sin(theta_i + lag)."""

    def emit(self, s: Any, cell: Any, neuron: Any) -> Any:
        return jnp.cos(neuron.theta)

    def total(self, state: Any, cell: Any, neuron: Any) -> Any:
        return -state.g * jnp.sin(neuron.theta + self.lag)
