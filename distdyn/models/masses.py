"""Neural masses: an area, or a column, of the cortex by a few variables in physical units.

What `CurrentInput` gives is added where the equations say I, in the unit that is given there;
`emit` says what a unit sends.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from distdyn.core.exprel import exprel
from distdyn.core.ode import ODE
from distdyn.core.parameters import param
from distdyn.core.system import Drive

MS = 1e-3  # s: rates are per second, time is in ms


class JansenRit(ODE):
    """A cortical column: pyramidal cells with excitatory and inhibitory interneurons.

        y0'' = A a S(y1 - y2) - 2 a y0' - a^2 y0
        y1'' = A a (p + I + C2 S(C1 y0)) - 2 a y1' - a^2 y1
        y2'' = B b C4 S(C3 y0) - 2 b y2' - b^2 y2
        S(v) = 2 e0 / (1 + exp(r (v0 - v)))

    y1 - y2 is the potential of the pyramidal cells, which EEG shows; y3, y4 and y5 are y0', y1' and
    y2'. The input I is a rate, in Hz. Between p = 89.8 and 315.7 Hz the column can oscillate at
    about 10.8 Hz, the rhythm alpha; at 113.6 Hz and above it must, and below 137.4 Hz it can also
    make spikes at a few Hz.

    The paper's p is noise between 120 and 320 Hz: `CurrentInput` gives it.

    Source: Jansen & Rit (1995), Biol. Cybern. 73, 357; the bifurcations are those of Grimbert &
    Faugeras (2006), Neural Comput. 18, 3052.
    """

    A: float = param(3.25, "mV", "largest excitatory potential")
    B: float = param(22.0, "mV", "largest inhibitory potential")
    a: float = param(100.0, "1/s", "rate of excitatory synapses", positive=True)
    b: float = param(50.0, "1/s", "rate of inhibitory synapses", positive=True)
    C1: float = param(135.0, "", "synapses of pyramidal on excitatory cells")
    C2: float = param(108.0, "", "synapses of excitatory on pyramidal cells")
    C3: float = param(33.75, "", "synapses of pyramidal on inhibitory cells")
    C4: float = param(33.75, "", "synapses of inhibitory on pyramidal cells")
    e0: float = param(2.5, "Hz", "half the largest rate", positive=True)
    v0: float = param(6.0, "mV", "potential of half the largest rate")
    r: float = param(0.56, "1/mV", "steepness of S", positive=True)
    p: float = param(220.0, "Hz", "constant input")

    class State(NamedTuple):
        y0: jax.Array  # mV, of interneurons
        y1: jax.Array  # mV, excitatory, of pyramidal cells
        y2: jax.Array  # mV, inhibitory, of pyramidal cells
        y3: jax.Array  # derivative of y0, mV/ms
        y4: jax.Array  # derivative of y1, mV/ms
        y5: jax.Array  # derivative of y2, mV/ms

    def init(self, id: Any, key: Any) -> State:
        """All potentials 0."""
        zero = jnp.zeros(())
        return self.State(zero, zero, zero, zero, zero, zero)

    def derivative(self, t: Any, s: State, drive: Drive) -> State:
        a, b, S = MS * self.a, MS * self.b, self.rate
        excitation = self.p + drive.current + self.C2 * S(self.C1 * s.y0)
        inhibition = self.C4 * S(self.C3 * s.y0)
        return self.State(
            y0=s.y3,
            y1=s.y4,
            y2=s.y5,
            y3=self.A * a * MS * S(s.y1 - s.y2) - 2.0 * a * s.y3 - a * a * s.y0,
            y4=self.A * a * MS * excitation - 2.0 * a * s.y4 - a * a * s.y1,
            y5=self.B * b * MS * inhibition - 2.0 * b * s.y5 - b * b * s.y2,
        )

    def rate(self, v: Any) -> Any:
        """S(v): the rate (Hz) of cells at a potential (mV)."""
        return 2.0 * self.e0 * jax.nn.sigmoid(self.r * (v - self.v0))

    def emit(self, s: State) -> Any:
        """The rate of pyramidal cells, Hz."""
        return self.rate(s.y1 - s.y2)


class WongWang(ODE):
    """A decision between two choices: two populations that excite themselves and inhibit the other.

        S_k' = -S_k / tau_S + (1 - S_k) gamma H(x_k) / 1000
        x_1 = J_same S_1 - J_other S_2 + I_0 + J_ext (mu_0 + I) (1 + coherence / 100) + n_1
        x_2 = J_same S_2 - J_other S_1 + I_0 + J_ext (mu_0 + I) (1 - coherence / 100) + n_2
        tau_noise dn_k = -n_k dt + sigma sqrt(tau_noise) dW_k
        H(x) = (a x - b) / (1 - exp(-d (a x - b)))

    S is the part of NMDA channels that are open, x a current (nA), H a rate (Hz). The input I is
    the rate of the stimulus, in Hz: 30 in the paper. Without one there is a spontaneous state and,
    beside it, memories of either choice; with one the choices alone are stable.

    Source: Wong & Wang (2006), J. Neurosci. 26, 1314, its model of two variables.
    """

    tau_S: float = param(100.0, "ms", "time constant of NMDA", positive=True)
    gamma: float = param(0.641, "", "opening by the rate", positive=True)
    a: float = param(270.0, "Hz/nA", "slope of H", positive=True)
    b: float = param(108.0, "Hz", "offset of H")
    d: float = param(0.154, "s", "how sharply H bends", positive=True)
    J_same: float = param(0.2609, "nA", "of a population on itself")
    J_other: float = param(0.0497, "nA", "of a population on the other")
    J_ext: float = param(5.2e-4, "nA/Hz", "of the stimulus")
    I_0: float = param(0.3255, "nA", "background current")
    mu_0: float = param(0.0, "Hz", "constant stimulus")
    coherence: float = param(0.0, "", "of the stimulus, percent; positive for the first choice")
    tau_noise: float = param(2.0, "ms", "time constant of noise, that of AMPA", positive=True)
    sigma: float = param(0.02, "nA", "of the noise, sqrt(2) standard deviations", nonnegative=True)

    class State(NamedTuple):
        S1: jax.Array  # open channels, first population
        S2: jax.Array  # open channels, second population
        n1: jax.Array  # noise of the first, nA
        n2: jax.Array  # noise of the second, nA

    def init(self, id: Any, key: Any) -> State:
        """Close to the spontaneous state, without noise."""
        zero = jnp.zeros(())
        return self.State(S1=jnp.asarray(0.1), S2=jnp.asarray(0.1), n1=zero, n2=zero)

    def derivative(self, t: Any, s: State, drive: Drive) -> State:
        opening = [MS * self.gamma * rate for rate in self.rates(s, drive.current)]
        return self.State(
            S1=(1.0 - s.S1) * opening[0] - s.S1 / self.tau_S,
            S2=(1.0 - s.S2) * opening[1] - s.S2 / self.tau_S,
            n1=-s.n1 / self.tau_noise,
            n2=-s.n2 / self.tau_noise,
        )

    def diffusion(self, t: Any, s: State, drive: Drive) -> State:
        strength = self.sigma / jnp.sqrt(self.tau_noise)
        return self.State(S1=0.0, S2=0.0, n1=strength, n2=strength)  # pyright: ignore[reportArgumentType]

    def rates(self, s: State, current: Any = 0.0) -> tuple[Any, Any]:
        """The rates of both populations (Hz), with this input (Hz)."""
        stimulus, preference = self.J_ext * (self.mu_0 + current), self.coherence / 100.0
        x1 = self.J_same * s.S1 - self.J_other * s.S2 + stimulus * (1.0 + preference)
        x2 = self.J_same * s.S2 - self.J_other * s.S1 + stimulus * (1.0 - preference)
        both = (x + self.I_0 + n for x, n in ((x1, s.n1), (x2, s.n2)))
        first, second = (transfer(x, self.a, self.b, self.d) for x in both)
        return first, second

    def emit(self, s: State) -> Any:
        """S1 - S2: positive for the first choice."""
        return s.S1 - s.S2


class ReducedWongWang(ODE):
    """An area of the brain by its excitatory NMDA channels, the mean field of a spiking network.

        dS = (-S / tau_S + (1 - S) gamma H(x) / 1000) dt + sigma dW
        x = w J_N S + I_0 + I
        H(x) = (a x - b) / (1 - exp(-d (a x - b)))

    S is the part of the channels that are open, kept between 0 and 1; x and the input I are
    currents in nA, H is a rate in Hz. Other areas send their S, with a weight of G J_N C.

    Source: Deco et al. (2013), J. Neurosci. 33, 11239.
    """

    tau_S: float = param(100.0, "ms", "time constant of NMDA", positive=True)
    gamma: float = param(0.641, "", "opening by the rate", positive=True)
    a: float = param(270.0, "Hz/nA", "slope of H", positive=True)
    b: float = param(108.0, "Hz", "offset of H")
    d: float = param(0.154, "s", "how sharply H bends", positive=True)
    w: float = param(0.9, "", "recurrent excitation")
    J_N: float = param(0.2609, "nA", "of a synapse")
    I_0: float = param(0.3, "nA", "background current")
    sigma: float = param(0.001, "1/sqrt(ms)", "strength of noise", nonnegative=True)

    class State(NamedTuple):
        S: jax.Array  # open channels

    def init(self, id: Any, key: Any) -> State:
        """Close to the lower stable state of the defaults."""
        return self.State(S=jnp.asarray(0.05))

    def derivative(self, t: Any, s: State, drive: Drive) -> State:
        opening = MS * self.gamma * self.rate(s, drive.current)
        return self.State(S=(1.0 - s.S) * opening - s.S / self.tau_S)

    def diffusion(self, t: Any, s: State, drive: Drive) -> State:
        return self.State(S=self.sigma)  # pyright: ignore[reportArgumentType]

    def rate(self, s: State, current: Any = 0.0) -> Any:
        """The rate (Hz), with this input (nA)."""
        return transfer(self.w * self.J_N * s.S + self.I_0 + current, self.a, self.b, self.d)

    def confine(self, s: State) -> State:
        """S between 0 and 1, which noise would leave."""
        return self.State(S=jnp.clip(s.S, 0.0, 1.0))

    def emit(self, s: State) -> Any:
        """S."""
        return s.S


class ReducedWongWangEI(ODE):
    """An area of the brain with inhibition of its own, which keeps it at a few Hz.

        dS_E = (-S_E / tau_E + (1 - S_E) gamma r_E / 1000) dt + sigma dW_E
        dS_I = (-S_I / tau_I + r_I / 1000) dt + sigma dW_I
        r_E = H_E(W_E I_0 + w_plus J_NMDA S_E - J_I S_I + I)
        r_I = H_I(W_I I_0 + J_NMDA S_E - S_I)
        H_p(x) = (a_p x - b_p) / (1 - exp(-d_p (a_p x - b_p)))

    S is the part of the channels that are open, of NMDA and of GABA, kept between 0 and 1; the
    input I is a current in nA, r are rates in Hz. Alone, r_E is 3.08 Hz. Other areas send their
    S_E, with a weight of G J_NMDA C; the input that they give is made up for by J_I.

    Source: Deco et al. (2014), J. Neurosci. 34, 7886.
    """

    tau_E: float = param(100.0, "ms", "time constant of NMDA", positive=True)
    tau_I: float = param(10.0, "ms", "time constant of GABA", positive=True)
    gamma: float = param(0.641, "", "opening by the rate", positive=True)
    a_E: float = param(310.0, "Hz/nA", "slope of H_E", positive=True)
    b_E: float = param(125.0, "Hz", "offset of H_E")
    d_E: float = param(0.16, "s", "how sharply H_E bends", positive=True)
    a_I: float = param(615.0, "Hz/nA", "slope of H_I", positive=True)
    b_I: float = param(177.0, "Hz", "offset of H_I")
    d_I: float = param(0.087, "s", "how sharply H_I bends", positive=True)
    I_0: float = param(0.382, "nA", "background current")
    W_E: float = param(1.0, "", "of the background, to excitatory cells")
    W_I: float = param(0.7, "", "of the background, to inhibitory cells")
    w_plus: float = param(1.4, "", "recurrent excitation")
    J_NMDA: float = param(0.15, "nA", "of an excitatory synapse")
    J_I: float = param(1.0, "nA", "feedback inhibition")
    sigma: float = param(0.01, "1/sqrt(ms)", "strength of noise", nonnegative=True)

    class State(NamedTuple):
        S_E: jax.Array  # open excitatory channels
        S_I: jax.Array  # open inhibitory channels

    def init(self, id: Any, key: Any) -> State:
        """The stable state of the defaults, without noise."""
        return self.State(S_E=jnp.asarray(0.16475721), S_I=jnp.asarray(0.03921845))

    def derivative(self, t: Any, s: State, drive: Drive) -> State:
        r_E, r_I = self.rates(s, drive.current)
        return self.State(
            S_E=(1.0 - s.S_E) * MS * self.gamma * r_E - s.S_E / self.tau_E,
            S_I=MS * r_I - s.S_I / self.tau_I,
        )

    def diffusion(self, t: Any, s: State, drive: Drive) -> State:
        return self.State(S_E=self.sigma, S_I=self.sigma)  # pyright: ignore[reportArgumentType]

    def rates(self, s: State, current: Any = 0.0) -> tuple[Any, Any]:
        """The rates of excitatory and inhibitory cells (Hz), with this input (nA)."""
        x_E = self.W_E * self.I_0 + self.w_plus * self.J_NMDA * s.S_E - self.J_I * s.S_I + current
        x_I = self.W_I * self.I_0 + self.J_NMDA * s.S_E - s.S_I
        r_E = transfer(x_E, self.a_E, self.b_E, self.d_E)
        return r_E, transfer(x_I, self.a_I, self.b_I, self.d_I)

    def confine(self, s: State) -> State:
        """Both between 0 and 1, which noise would leave."""
        return self.State(S_E=jnp.clip(s.S_E, 0.0, 1.0), S_I=jnp.clip(s.S_I, 0.0, 1.0))

    def emit(self, s: State) -> Any:
        """S_E."""
        return s.S_E


def transfer(x: Any, a: Any, b: Any, d: Any) -> Any:
    """The rate (Hz) of cells with a mean current x: (a x - b) / (1 - exp(-d (a x - b))).

    Source: Abbott & Chance (2005), Prog. Brain Res. 149, 147.
    """
    return 1.0 / (d * exprel(-d * (a * x - b)))
