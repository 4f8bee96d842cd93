"""Integrate-and-fire neurons of one variable: how V grows to the threshold makes the difference.

    C_m V' = f(V) + I_e + I;     V >= V_th: spike, V = V_reset for t_ref

f is nothing (`IF`), a leak (`LIF`, and `LeakyIntegrator`, which never spikes), a parabola (`QIF`)
or a leak and an exponential (`ExpIF`). The last two make the upstroke themselves: V_th is where it
is cut, and V is not followed beyond it within a step.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from distdyn.core.ode import ODE
from distdyn.core.parameters import param
from distdyn.core.system import Drive


class LeakyIntegrator(ODE):
    """A membrane that integrates its input and never spikes.

        V' = (E_L - V) / tau_m + (I_e + I) / C_m

    Source: Lapicque (1907), J. Physiol. Pathol. Gen. 9, 620; defaults as those of `LIF`.
    """

    C_m: float = param(250.0, "pF", "membrane capacitance", positive=True)
    tau_m: float = param(10.0, "ms", "membrane time constant", positive=True)
    E_L: float = param(-65.0, "mV", "resting potential")
    I_e: float = param(0.0, "pA", "constant input current")

    class State(NamedTuple):
        V: jax.Array  # mV

    def init(self, id: Any, key: Any) -> State:
        """At rest."""
        return self.State(V=jnp.asarray(self.E_L))

    def derivative(self, t: Any, s: State, drive: Drive) -> State:
        I = self.I_e + drive.current
        return self.State(V=(self.E_L - s.V) / self.tau_m + I / self.C_m)


class IF(ODE):
    """Perfect integrate-and-fire neuron: nothing leaks.

        V' = (I_e + I) / C_m;     V >= V_th: spike, V = V_reset for t_ref

    Under a constant current I it fires every C_m (V_th - V_reset) / I + t_ref.

    Source: Gerstein & Mandelbrot (1964), Biophys. J. 4, 41; defaults as those of `LIF`.
    """

    C_m: float = param(250.0, "pF", "membrane capacitance", positive=True)
    V_th: float = param(-50.0, "mV", "threshold")
    V_reset: float = param(-65.0, "mV", "potential after a spike, and at the beginning")
    t_ref: float = param(2.0, "ms", "absolute refractory period", nonnegative=True)
    I_e: float = param(0.0, "pA", "constant input current")

    class State(NamedTuple):
        V: jax.Array  # mV

    def init(self, id: Any, key: Any) -> State:
        """As after a spike."""
        return self.State(V=jnp.asarray(self.V_reset))

    def derivative(self, t: Any, s: State, drive: Drive) -> State:
        return self.State(V=(self.I_e + drive.current) / self.C_m)

    def reset(self, s: State) -> State:
        """After a spike."""
        return s._replace(V=self.V_reset)


class LIF(ODE):
    """Leaky integrate-and-fire neuron.

        V' = (E_L - V) / tau_m + (I_e + I) / C_m;     V >= V_th: spike, V = V_reset for t_ref

    I is the current through the receptors and from outside. Leak conductance: C_m / tau_m.

    Source: Lapicque (1907); defaults as in Potjans & Diesmann (2014), Cereb. Cortex 24, 785.
    """

    C_m: float = param(250.0, "pF", "membrane capacitance", positive=True)
    tau_m: float = param(10.0, "ms", "membrane time constant", positive=True)
    E_L: float = param(-65.0, "mV", "resting potential")
    V_th: float = param(-50.0, "mV", "threshold")
    V_reset: float = param(-65.0, "mV", "potential after a spike")
    t_ref: float = param(2.0, "ms", "absolute refractory period", nonnegative=True)
    I_e: float = param(0.0, "pA", "constant input current")

    class State(NamedTuple):
        V: jax.Array  # mV

    def init(self, id: Any, key: Any) -> State:
        """At rest."""
        return self.State(V=jnp.asarray(self.E_L))

    def derivative(self, t: Any, s: State, drive: Drive) -> State:
        I = self.I_e + drive.current
        return self.State(V=(self.E_L - s.V) / self.tau_m + I / self.C_m)

    def reset(self, s: State) -> State:
        """After a spike."""
        return s._replace(V=self.V_reset)


class QIF(ODE):
    """Quadratic integrate-and-fire neuron.

        V' = (V - E_L) (V - V_T) / (tau_m (V_T - E_L)) + (I_e + I) / C_m
        V >= V_th: spike, V = V_reset for t_ref

    The normal form of a cell that begins to fire at any low rate (a saddle-node on a circle). Near
    E_L it is a `LIF`; beyond V_T it fires without input. Rheobase: C_m (V_T - E_L) / (4 tau_m).

    Source: Latham, Richmond, Nelson & Nirenberg (2000), J. Neurophysiol. 83, 808. The paper scales
    currents by the leak conductance; the capacitance is that of `LIF`.
    """

    C_m: float = param(250.0, "pF", "membrane capacitance", positive=True)
    tau_m: float = param(10.0, "ms", "membrane time constant at rest", positive=True)
    E_L: float = param(-65.0, "mV", "resting potential")
    V_T: float = param(-50.0, "mV", "potential beyond which V rises by itself")
    V_th: float = param(20.0, "mV", "where the upstroke is cut: the apex of a spike")
    V_reset: float = param(-80.0, "mV", "potential after a spike")
    t_ref: float = param(0.0, "ms", "absolute refractory period", nonnegative=True)
    I_e: float = param(0.0, "pA", "constant input current")

    class State(NamedTuple):
        V: jax.Array  # mV

    def init(self, id: Any, key: Any) -> State:
        """At rest."""
        return self.State(V=jnp.asarray(self.E_L))

    def derivative(self, t: Any, s: State, drive: Drive) -> State:
        V = jnp.minimum(s.V, self.V_th)
        upstroke = (V - self.E_L) * (V - self.V_T) / (self.tau_m * (self.V_T - self.E_L))
        return self.State(V=upstroke + (self.I_e + drive.current) / self.C_m)

    def reset(self, s: State) -> State:
        """After a spike."""
        return s._replace(V=self.V_reset)


class ExpIF(ODE):
    """Exponential integrate-and-fire neuron.

        V' = (E_L - V + D_T exp((V - V_T) / D_T)) / tau_m + (I_e + I) / C_m
        V >= V_th: spike, V = V_reset for t_ref

    Source: Fourcaud-Trocme, Hansel, van Vreeswijk & Brunel (2003), J. Neurosci. 23, 11628. The
    paper gives 1 uF/cm2; the capacitance is that of 20,000 um2.
    """

    C_m: float = param(200.0, "pF", "membrane capacitance", positive=True)
    tau_m: float = param(10.0, "ms", "membrane time constant at rest", positive=True)
    E_L: float = param(-65.0, "mV", "resting potential, but for the exponential")
    V_T: float = param(-59.9, "mV", "threshold of the upstroke: where f has its minimum")
    D_T: float = param(3.48, "mV", "sharpness of the upstroke", positive=True)
    V_th: float = param(-30.0, "mV", "where the upstroke is cut")
    V_reset: float = param(-68.0, "mV", "potential after a spike")
    t_ref: float = param(1.7, "ms", "absolute refractory period", nonnegative=True)
    I_e: float = param(0.0, "pA", "constant input current")

    class State(NamedTuple):
        V: jax.Array  # mV

    def init(self, id: Any, key: Any) -> State:
        """At E_L."""
        return self.State(V=jnp.asarray(self.E_L))

    def derivative(self, t: Any, s: State, drive: Drive) -> State:
        V = jnp.minimum(s.V, self.V_th)
        leak = self.E_L - V + exponential(V, self.V_T, self.D_T)
        return self.State(V=leak / self.tau_m + (self.I_e + drive.current) / self.C_m)

    def reset(self, s: State) -> State:
        """After a spike."""
        return s._replace(V=self.V_reset)


def exponential(V: Any, V_T: Any, D_T: Any) -> Any:
    """D_T exp((V - V_T) / D_T), the upstroke of a spike in mV.

    The exponent ends at 30, after which a spike is over in less than 1e-12 tau_m: single precision,
    and its square in a derivative, hold no more than 88.
    """
    return D_T * jnp.exp(jnp.minimum((V - V_T) / D_T, 30.0))
