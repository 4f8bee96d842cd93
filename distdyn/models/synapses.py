"""Synapse kinetics: the course of g after a spike. With weight w, g peaks at w."""

from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from distdyn.core.coupling import Coupling
from distdyn.core.parameters import param
from distdyn.core.receptor import Kinetics


class Delta(Kinetics):
    """An arrival moves V by the weight (mV), at once; there is no g and no output.

    Arrivals at a refractory cell are discarded.
    """

    moves_V: ClassVar[bool] = True

    class State(NamedTuple):
        pass

    def init(self) -> State:
        return self.State()

    def derivative(self, state: State) -> State:
        return state

    def arrive(self, state: State, weight: Any) -> State:
        return state


class Exponential(Kinetics):
    """g' = -g / tau;  an arrival of weight w: g += w."""

    tau: float = param(5.0, "ms", "decay time constant", positive=True)

    class State(NamedTuple):
        g: jax.Array

    def init(self) -> State:
        return self.State(g=jnp.zeros(()))

    def derivative(self, state: State) -> State:
        return self.State(g=-state.g / self.tau)

    def arrive(self, state: State, weight: Any) -> State:
        return self.State(g=state.g + weight)


class Alpha(Kinetics):
    """g' = (h - g) / tau,  h' = -h / tau;  an arrival of weight w: h += e w.

    After one spike g(t) = w (t / tau) exp(1 - t / tau), with its peak w at t = tau.

    Source: Rall (1967), J. Neurophysiol. 30, 1138.
    """

    tau: float = param(5.0, "ms", "time to peak", positive=True)

    class State(NamedTuple):
        g: jax.Array
        h: jax.Array

    def init(self) -> State:
        return self.State(g=jnp.zeros(()), h=jnp.zeros(()))

    def derivative(self, state: State) -> State:
        return self.State(g=(state.h - state.g) / self.tau, h=-state.h / self.tau)

    def arrive(self, state: State, weight: Any) -> State:
        return state._replace(h=state.h + 2.718281828459045 * weight)


class DualExponential(Kinetics):
    """g' = (h - g) / tau_decay,  h' = -h / tau_rise;  an arrival of weight w: h += A w.

    g peaks where g = h, at t_p = tau_decay log(1 + x) / x with x = tau_decay / tau_rise - 1, so
    A = exp(t_p / tau_rise) makes the peak w. Equal time constants give `Alpha`, without a limit to
    take by hand.
    """

    tau_rise: float = param(1.0, "ms", "rise time constant", positive=True)
    tau_decay: float = param(5.0, "ms", "decay time constant", positive=True)

    class State(NamedTuple):
        g: jax.Array
        h: jax.Array

    def init(self) -> State:
        return self.State(g=jnp.zeros(()), h=jnp.zeros(()))

    def derivative(self, state: State) -> State:
        return self.State(g=(state.h - state.g) / self.tau_decay, h=-state.h / self.tau_rise)

    def arrive(self, state: State, weight: Any) -> State:
        return state._replace(h=state.h + self.gain() * weight)

    def gain(self) -> Any:
        """A, the jump of h that makes g peak at 1."""
        ratio = self.tau_decay / self.tau_rise
        x = ratio - 1.0
        is_equal = x == 0.0
        safe = jnp.where(is_equal, 1.0, x)
        return jnp.exp(ratio * jnp.where(is_equal, 1.0, jnp.log1p(safe) / safe))


class NMDA(Coupling):
    """Receptors that open slowly, saturate, and close slowly; a spike of the pre cell: x += 1.

        x' = -x / tau_rise,    s' = -s / tau_decay + a x (1 - s)

    s, the open part of the receptors, is between 0 and 1 and belongs to the pre cell; a post cell
    has g = sum of weight times s. Usually with the output `MgBlock`. A step solves x exactly, and s
    with the mean of x over the step: the error is of order 2.

    Source: Wang (2002), Neuron 36, 955; Brunel & Wang (2001), J. Comput. Neurosci. 11, 63.
    """

    tau_rise: float = param(2.0, "ms", "rise time constant", positive=True)
    tau_decay: float = param(100.0, "ms", "decay time constant", positive=True)
    a: float = param(0.5, "1/ms", "rate of opening", nonnegative=True)

    class Pre(NamedTuple):
        x: jax.Array
        s: jax.Array

    def begin(self) -> Pre:
        return self.Pre(x=jnp.zeros(()), s=jnp.zeros(()))

    def follow(self, s: Pre, neuron: Any, spike: Any, dt: Any) -> Pre:
        left = jnp.exp(-dt / self.tau_rise)
        opening = self.a * s.x * (1.0 - left) * (self.tau_rise / dt)  # mean over the step
        rate = opening + 1.0 / self.tau_decay
        open_ = opening / rate
        return self.Pre(
            x=s.x * left + jnp.where(spike, 1.0, 0.0), s=open_ + (s.s - open_) * jnp.exp(-rate * dt)
        )

    def emit(self, s: Pre, cell: Any, neuron: Any) -> Any:
        return s.s


class _Pulsed(Coupling):
    """Receptors that a pulse of transmitter opens: T mM for T_duration ms after a spike.

    Spikes during a pulse make it last until T_duration after the last of them.
    """

    alpha: eqx.AbstractVar[float]
    beta: eqx.AbstractVar[float]
    T: eqx.AbstractVar[float]
    T_duration: eqx.AbstractVar[float]

    class Pre(NamedTuple):
        r: jax.Array  # the open part
        left: jax.Array  # ms, of the pulse

    def begin(self) -> Pre:
        return self.Pre(r=jnp.zeros(()), left=jnp.zeros(()))

    def follow(self, s: Pre, neuron: Any, spike: Any, dt: Any) -> Pre:
        r, _ = self._open(s, dt)
        left = jnp.maximum(s.left - dt, 0.0)
        return self.Pre(r=r, left=jnp.where(spike, self.T_duration, left))

    def _open(self, s: Any, dt: Any) -> tuple[Any, Any]:
        """R at the end of a step, and its mean: with the pulse, then without it."""
        on = jnp.minimum(s.left, dt)
        opening = self.alpha * self.T
        rate = opening + self.beta
        r, area = _relaxed(s.r, opening / rate, rate, on)
        r, more = _relaxed(r, 0.0, self.beta, dt - on)
        return r, (area + more) / dt

    def emit(self, s: Any, cell: Any, neuron: Any) -> Any:
        return s.r


def _relaxed(r: Any, towards: Any, rate: Any, time: Any) -> tuple[Any, Any]:
    """Where r' = rate (towards - r) is after a time, and the integral of r."""
    gone = -jnp.expm1(-rate * time)
    return r + (towards - r) * gone, towards * time + (r - towards) * gone / rate


class AMPA(_Pulsed):
    """Fast excitatory receptors: a pulse of transmitter opens them, and they close.

        r' = alpha [T] (1 - r) - beta r;    [T] = T for T_duration after a spike, else 0

    r belongs to the pre cell; a post cell has g = sum of weight times r. Usually with COBA(E=0.).

    Source: Destexhe, Mainen & Sejnowski (1998), in Methods in Neuronal Modeling, 2nd ed., ch. 1.
    """

    alpha: float = param(1.1, "1/(mM ms)", "rate of opening", nonnegative=True)
    beta: float = param(0.19, "1/ms", "rate of closing", positive=True)
    T: float = param(1.0, "mM", "transmitter in a pulse", nonnegative=True)
    T_duration: float = param(1.0, "ms", "how long a pulse lasts", nonnegative=True)


class GABAa(_Pulsed):
    """Fast inhibitory receptors: a pulse of transmitter opens them, and they close.

        r' = alpha [T] (1 - r) - beta r;    [T] = T for T_duration after a spike, else 0

    r belongs to the pre cell; a post cell has g = sum of weight times r. Usually with COBA(E=-80.).

    Source: Destexhe, Mainen & Sejnowski (1998), in Methods in Neuronal Modeling, 2nd ed., ch. 1.
    """

    alpha: float = param(5.0, "1/(mM ms)", "rate of opening", nonnegative=True)
    beta: float = param(0.18, "1/ms", "rate of closing", positive=True)
    T: float = param(1.0, "mM", "transmitter in a pulse", nonnegative=True)
    T_duration: float = param(1.0, "ms", "how long a pulse lasts", nonnegative=True)


class GABAb(_Pulsed):
    """Slow inhibitory receptors, which open potassium channels through a second messenger.

        r' = alpha [T] (1 - r) - beta r,    s' = k3 r - k4 s,    a = s^4 / (s^4 + K_d)

    [T] = T for T_duration after a spike, else 0. The state belongs to the pre cell; a post cell has
    g = sum of weight times a. Usually with COBA(E=-95.). s is solved with the mean of r of a step.

    Source: Destexhe, Mainen & Sejnowski (1998), in Methods in Neuronal Modeling, 2nd ed., ch. 1.
    """

    alpha: float = param(0.09, "1/(mM ms)", "rate of binding", nonnegative=True)
    beta: float = param(0.0012, "1/ms", "rate of unbinding", positive=True)
    k3: float = param(0.18, "uM/ms", "production of the messenger", nonnegative=True)
    k4: float = param(0.034, "1/ms", "its decay", positive=True)
    K_d: float = param(100.0, "uM^4", "dissociation constant of four messengers", positive=True)
    T: float = param(1.0, "mM", "transmitter in a pulse", nonnegative=True)
    T_duration: float = param(1.0, "ms", "how long a pulse lasts", nonnegative=True)

    class Pre(NamedTuple):
        r: jax.Array  # the bound part
        left: jax.Array  # ms, of the pulse
        s: jax.Array  # uM, messenger

    def begin(self) -> Pre:
        return self.Pre(r=jnp.zeros(()), left=jnp.zeros(()), s=jnp.zeros(()))

    def follow(self, s: Pre, neuron: Any, spike: Any, dt: Any) -> Pre:
        r, mean = self._open(s, dt)
        messenger, _ = _relaxed(s.s, self.k3 * mean / self.k4, self.k4, dt)
        left = jnp.maximum(s.left - dt, 0.0)
        return self.Pre(r=r, left=jnp.where(spike, self.T_duration, left), s=messenger)

    def emit(self, s: Pre, cell: Any, neuron: Any) -> Any:
        four = s.s * s.s * s.s * s.s
        return four / (four + self.K_d)
