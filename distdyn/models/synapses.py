"""Synapse kinetics: the course of g after a spike. With weight w, g peaks at w."""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

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
