"""Models given by a differential equation: the class that users write.

class Decay(dd.ODE):
tau: float = 10.
class State(NamedTuple):
x: jax.Array
def init(self, id, key): return self.State(x=1.)
def derivative(self, t, s, drive): return self.State(x=-s.x / self.tau)
"""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from distdyn.core.flow import Flow
from distdyn.core.integrators import Integrator, default_method
from distdyn.core.system import Drive, DynamicalSystem, Tick


class ODE(DynamicalSystem):
    """A model that gives `derivative`; `step` comes from its integrator.

    With a parameter `V_th` it spikes where V reaches it: with `reset(state) -> state` it is reset
    there, and refractory for a parameter `t_ref` (ms); without, it spikes at the upward crossing.
    With `threshold(state)` it spikes where V reaches that, and V_th is where the threshold rests.

    Attributes:
        method: an integrator; by default exact for linear equations, exponential Euler otherwise.
    """

    method: Integrator | None = eqx.field(default=None, kw_only=True)

    @abc.abstractmethod
    def derivative(self, t: Any, s: Any, drive: Drive) -> Any:
        """D state / dt at time t (ms), as a State; `drive.current` is the total input current."""

    def step(self, state: Any, drive: Drive, tick: Tick) -> tuple[Any, Any]:
        """Integrate over one step, with no threshold; the output is None."""
        flow = Flow(self)
        method = self.method or default_method(flow)
        prepared = per_cell(lambda model: method.prepare(Flow(model), tick.dt), self)
        state, _ = method.advance(flow, prepared, (state, ()), drive.current, None, tick)
        return state, None


def per_cell(function: Any, *trees: Any) -> Any:
    """Apply a function of one cell's parameters, mapped over those that are arrays over cells."""
    axes = jax.tree.map(lambda leaf: 0 if jnp.ndim(leaf) else None, trees)
    if any(jnp.ndim(leaf) for leaf in jax.tree.leaves(trees)):
        return jax.vmap(function, in_axes=axes)(*trees)
    return function(*trees)
