"""Integrate-and-fire neurons that adapt: a second variable remembers the spikes.

It is a current (`AdEx`, `AdQIF`, `Izhikevich`, `GIF`) or part of the threshold (`ALIF`, `LIF_SFA`,
and again `GIF`). A threshold that moves is a method `threshold(state)`; the parameter V_th is then
where it rests.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from distdyn.core.ode import ODE
from distdyn.core.parameters import param
from distdyn.core.system import Drive
from distdyn.models.integrate_and_fire import exponential


class AdEx(ODE):
    """Adaptive exponential integrate-and-fire neuron.

        C_m V' = g_L (E_L - V) + g_L D_T exp((V - V_T) / D_T) - w + I_e + I
        tau_w w' = a (V - E_L) - w
        V >= V_th: spike, V = V_reset for t_ref, w = w + b

    Source: Brette & Gerstner (2005), J. Neurophysiol. 94, 3637.
    """

    C_m: float = param(281.0, "pF", "membrane capacitance", positive=True)
    g_L: float = param(30.0, "nS", "leak conductance", positive=True)
    E_L: float = param(-70.6, "mV", "resting potential")
    V_T: float = param(-50.4, "mV", "threshold of the upstroke")
    D_T: float = param(2.0, "mV", "sharpness of the upstroke", positive=True)
    V_th: float = param(20.0, "mV", "where the upstroke is cut")
    V_reset: float = param(-70.6, "mV", "potential after a spike")
    t_ref: float = param(0.0, "ms", "absolute refractory period", nonnegative=True)
    tau_w: float = param(144.0, "ms", "time constant of adaptation", positive=True)
    a: float = param(4.0, "nS", "adaptation by the potential")
    b: float = param(80.5, "pA", "adaptation by each spike")
    I_e: float = param(0.0, "pA", "constant input current")

    class State(NamedTuple):
        V: jax.Array  # mV
        w: jax.Array  # pA, adaptation

    def init(self, id: Any, key: Any) -> State:
        """At E_L, without adaptation."""
        return self.State(V=jnp.asarray(self.E_L), w=jnp.zeros(()))

    def derivative(self, t: Any, s: State, drive: Drive) -> State:
        V = jnp.minimum(s.V, self.V_th)
        leak = self.g_L * (self.E_L - V + exponential(V, self.V_T, self.D_T))
        dV = (leak - s.w + self.I_e + drive.current) / self.C_m
        return self.State(V=dV, w=(self.a * (V - self.E_L) - s.w) / self.tau_w)

    def reset(self, s: State) -> State:
        """After a spike."""
        return s._replace(V=self.V_reset, w=s.w + self.b)


class AdQIF(ODE):
    """Adaptive quadratic integrate-and-fire neuron, in units of cells.

        C_m V' = k (V - E_L) (V - V_T) - w + I_e + I
        tau_w w' = a (V - E_L) - w
        V >= V_th: spike, V = V_reset for t_ref, w = w + b

    Source: Izhikevich (2007), Dynamical Systems in Neuroscience, section 8.2: w is his u, tau_w his
    1 / a, a his b, b his d; defaults are those of a regular spiking pyramidal cell.
    """

    C_m: float = param(100.0, "pF", "membrane capacitance", positive=True)
    k: float = param(0.7, "nS/mV", "curvature of the current", positive=True)
    E_L: float = param(-60.0, "mV", "resting potential")
    V_T: float = param(-40.0, "mV", "potential beyond which V rises by itself")
    V_th: float = param(35.0, "mV", "where the upstroke is cut: the apex of a spike")
    V_reset: float = param(-50.0, "mV", "potential after a spike")
    t_ref: float = param(0.0, "ms", "absolute refractory period", nonnegative=True)
    tau_w: float = param(1 / 0.03, "ms", "time constant of adaptation", positive=True)
    a: float = param(-2.0, "nS", "adaptation by the potential")
    b: float = param(100.0, "pA", "adaptation by each spike")
    I_e: float = param(0.0, "pA", "constant input current")

    class State(NamedTuple):
        V: jax.Array  # mV
        w: jax.Array  # pA, adaptation

    def init(self, id: Any, key: Any) -> State:
        """At rest."""
        return self.State(V=jnp.asarray(self.E_L), w=jnp.zeros(()))

    def derivative(self, t: Any, s: State, drive: Drive) -> State:
        V = jnp.minimum(s.V, self.V_th)
        upstroke = self.k * (V - self.E_L) * (V - self.V_T)
        dV = (upstroke - s.w + self.I_e + drive.current) / self.C_m
        return self.State(V=dV, w=(self.a * (V - self.E_L) - s.w) / self.tau_w)

    def reset(self, s: State) -> State:
        """After a spike."""
        return s._replace(V=self.V_reset, w=s.w + self.b)


class Izhikevich(ODE):
    """The simple model: a quadratic upstroke fitted to cortical cells.

        V' = 0.04 V^2 + 5 V + 140 - u + I_e + I,     u' = a (b V - u)
        V >= V_th: spike, V = c for t_ref, u = u + d

    V and u are in mV, time in ms; a current is a change of V in mV/ms. Cells of the paper: regular
    spiking, the default; intrinsically bursting c = -55, d = 4; chattering c = -50, d = 2; fast
    spiking a = 0.1, d = 2; low-threshold spiking b = 0.25, d = 2.

    Source: Izhikevich (2003), IEEE Trans. Neural Netw. 14, 1569.
    """

    a: float = param(0.02, "1/ms", "rate of recovery", positive=True)
    b: float = param(0.2, "", "recovery by the potential")
    c: float = param(-65.0, "mV", "potential after a spike")
    d: float = param(8.0, "mV", "recovery by each spike")
    V_th: float = param(30.0, "mV", "where the upstroke is cut: the apex of a spike")
    t_ref: float = param(0.0, "ms", "absolute refractory period", nonnegative=True)
    I_e: float = param(0.0, "mV/ms", "constant input current")

    class State(NamedTuple):
        V: jax.Array  # mV
        u: jax.Array  # mV, recovery

    def init(self, id: Any, key: Any) -> State:
        """At -65 mV, where the paper begins."""
        return self.settle(self.State(V=jnp.asarray(-65.0), u=jnp.zeros(())))

    def settle(self, s: State) -> State:
        """Recovery in its steady state at V."""
        return s._replace(u=self.b * s.V)

    def derivative(self, t: Any, s: State, drive: Drive) -> State:
        V = jnp.minimum(s.V, self.V_th)
        dV = (0.04 * V + 5.0) * V + 140.0 - s.u + self.I_e + drive.current
        return self.State(V=dV, u=self.a * (self.b * V - s.u))

    def reset(self, s: State) -> State:
        """After a spike."""
        return s._replace(V=self.c, u=s.u + self.d)


class GIF(ODE):
    """Generalised integrate-and-fire neuron: linear equations, and a reset that is not.

        C_m V' = G (E_L - V) + I1 + I2 + I_e + I
        I1' = -k1 I1,     I2' = -k2 I2,     theta' = a (V - E_L) - b (theta - V_th)
        V >= theta: spike, V = V_reset for t_ref, theta = max(theta_reset, theta),
        I1 = R1 I1 + A1, I2 = R2 I2 + A2

    With the defaults it fires regularly at I_e = 150. Of the paper's twenty behaviours: frequency
    adaptation a = 0.005, I_e = 200; tonic bursting a = 0.005, A1 = 1000, A2 = -60, I_e = 200.

    Source: Mihalas & Niebur (2009), Neural Comput. 21, 704. The paper divides currents and
    conductances by the capacitance, which is 100 pF here; V_th is its theta_inf.
    """

    C_m: float = param(100.0, "pF", "membrane capacitance", positive=True)
    G: float = param(5.0, "nS", "leak conductance", positive=True)
    E_L: float = param(-70.0, "mV", "resting potential")
    V_th: float = param(-50.0, "mV", "threshold at rest, where theta returns to")
    V_reset: float = param(-70.0, "mV", "potential after a spike")
    theta_reset: float = param(-60.0, "mV", "the lowest threshold after a spike")
    t_ref: float = param(0.0, "ms", "absolute refractory period", nonnegative=True)
    a: float = param(0.0, "1/ms", "rate at which the threshold follows V")
    b: float = param(0.01, "1/ms", "rate at which the threshold returns", positive=True)
    k1: float = param(0.2, "1/ms", "rate at which I1 decays", positive=True)
    k2: float = param(0.02, "1/ms", "rate at which I2 decays", positive=True)
    R1: float = param(0.0, "", "what a spike leaves of I1")
    R2: float = param(1.0, "", "what a spike leaves of I2")
    A1: float = param(0.0, "pA", "what a spike adds to I1")
    A2: float = param(0.0, "pA", "what a spike adds to I2")
    I_e: float = param(0.0, "pA", "constant input current")

    class State(NamedTuple):
        V: jax.Array  # mV
        theta: jax.Array  # mV, threshold
        I1: jax.Array  # pA, fast current that spikes induce
        I2: jax.Array  # pA, slow current that spikes induce

    def init(self, id: Any, key: Any) -> State:
        """At rest."""
        zero = jnp.zeros(())
        return self.State(jnp.asarray(self.E_L), jnp.asarray(self.V_th), zero, zero)

    def derivative(self, t: Any, s: State, drive: Drive) -> State:
        I = s.I1 + s.I2 + self.I_e + drive.current
        return self.State(
            V=(self.G * (self.E_L - s.V) + I) / self.C_m,
            theta=self.a * (s.V - self.E_L) - self.b * (s.theta - self.V_th),
            I1=-self.k1 * s.I1,
            I2=-self.k2 * s.I2,
        )

    def threshold(self, s: State) -> Any:
        """Where it spikes."""
        return s.theta

    def reset(self, s: State) -> State:
        """After a spike."""
        return self.State(
            V=jnp.asarray(self.V_reset),
            theta=jnp.maximum(self.theta_reset, s.theta),
            I1=self.R1 * s.I1 + self.A1,
            I2=self.R2 * s.I2 + self.A2,
        )


class ALIF(ODE):
    """Adaptive leaky integrate-and-fire neuron of networks that learn, without dimensions.

        tau_m V' = -V + I_e + I,     tau_a a' = -a
        V >= V_th + beta a: spike, V = V - V_th, held for t_ref, a = a + 1

    With `Delta` synapses, whose weights are the paper's, and a step of 1 ms it is the paper's
    equation, but that there a spike is taken off V one step later, and V goes on while refractory.

    Source: Bellec, Scherr, Subramoney, Hajek, Salaj, Legenstein & Maass (2020), Nat. Commun. 11,
    3625; defaults as in its task of accumulating evidence.
    """

    tau_m: float = param(20.0, "ms", "membrane time constant", positive=True)
    tau_a: float = param(2000.0, "ms", "time constant of adaptation", positive=True)
    V_th: float = param(0.6, "", "threshold without adaptation, and what a spike takes off V")
    beta: float = param(0.0174, "", "what a spike adds to the threshold", nonnegative=True)
    t_ref: float = param(5.0, "ms", "absolute refractory period", nonnegative=True)
    I_e: float = param(0.0, "", "constant input")

    class State(NamedTuple):
        V: jax.Array
        a: jax.Array  # adaptation: spikes, forgotten with tau_a

    def init(self, id: Any, key: Any) -> State:
        """At rest."""
        return self.State(V=jnp.zeros(()), a=jnp.zeros(()))

    def derivative(self, t: Any, s: State, drive: Drive) -> State:
        return self.State(V=(self.I_e + drive.current - s.V) / self.tau_m, a=-s.a / self.tau_a)

    def threshold(self, s: State) -> Any:
        """Where it spikes."""
        return self.V_th + self.beta * s.a

    def reset(self, s: State) -> State:
        """After a spike."""
        return self.State(V=s.V - self.V_th, a=s.a + 1.0)


class LIF_SFA(ODE):
    """Leaky integrate-and-fire neuron with spike-frequency adaptation: `ALIF` in units of cells.

        V' = (E_L - V) / tau_m + (I_e + I) / C_m,     tau_a a' = -a
        V >= V_th + beta a: spike, V = V - (V_th - E_L), held for t_ref, a = a + 1

    Source: Bellec et al. (2020), Nat. Commun. 11, 3625, after the models GLIF2 of Teeter et al.
    (2018), Nat. Commun. 9, 709. V_th - E_L and beta are in the proportion of `ALIF`; capacitance
    and potentials are those of `LIF`.
    """

    C_m: float = param(250.0, "pF", "membrane capacitance", positive=True)
    tau_m: float = param(20.0, "ms", "membrane time constant", positive=True)
    E_L: float = param(-65.0, "mV", "resting potential")
    V_th: float = param(-50.0, "mV", "threshold without adaptation")
    tau_a: float = param(2000.0, "ms", "time constant of adaptation", positive=True)
    beta: float = param(0.435, "mV", "what a spike adds to the threshold", nonnegative=True)
    t_ref: float = param(5.0, "ms", "absolute refractory period", nonnegative=True)
    I_e: float = param(0.0, "pA", "constant input current")

    class State(NamedTuple):
        V: jax.Array  # mV
        a: jax.Array  # adaptation: spikes, forgotten with tau_a

    def init(self, id: Any, key: Any) -> State:
        """At rest."""
        return self.State(V=jnp.asarray(self.E_L), a=jnp.zeros(()))

    def derivative(self, t: Any, s: State, drive: Drive) -> State:
        I = self.I_e + drive.current
        return self.State(V=(self.E_L - s.V) / self.tau_m + I / self.C_m, a=-s.a / self.tau_a)

    def threshold(self, s: State) -> Any:
        """Where it spikes."""
        return self.V_th + self.beta * s.a

    def reset(self, s: State) -> State:
        """After a spike."""
        return self.State(V=s.V - (self.V_th - self.E_L), a=s.a + 1.0)
