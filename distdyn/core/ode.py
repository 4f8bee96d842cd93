"""Models given by a differential equation: the class that users write.

class Decay(dd.ODE):
tau: float = 10.
class State(NamedTuple):
x: jax.Array
def init(self, id, key): return self.State(x=1.)
def derivative(self, t, s, drive): return self.State(x=-s.x / self.tau)
"""

import abc
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from distdyn.core.flow import Flow
from distdyn.core.integrators import Integrator, Remembering, has_past, method_of
from distdyn.core.integrators.delayed import check_delay, delays_of
from distdyn.core.system import Drive, DynamicalSystem, Tick
from distdyn.errors import MethodError, ParameterError
from distdyn.units import shown


class Remembered(NamedTuple):
    """The state of a model that remembers, where it is stepped by itself."""

    now: Any  # the model's State
    memory: Any  # what its method keeps of the past


def _static(order: Any) -> Any:
    """An order, or names and orders, as numbers of Python."""
    if order is None or isinstance(order, int | float):
        return order.item() if isinstance(order, np.generic) else order
    try:
        pairs = dict(order)
    except (TypeError, ValueError) as error:
        raise ParameterError(
            f'order = {shown(order)} is not possible. Give e.g. {{"V": 0.9}}, or a number for all.'
        ) from error
    for name, a in pairs.items():
        if np.ndim(a):
            raise ParameterError(
                f"order of {shown(name)} has the shape {np.shape(a)}. Give a number, the same for "
                "all cells."
            )
        pairs[name] = a.item() if isinstance(a, np.generic | jax.Array) else a
    return tuple(sorted(pairs.items()))


class ODE(DynamicalSystem):
    """A model that gives `derivative`; `step` comes from its integrator.

    With a parameter `V_th` it spikes where V reaches it: with `reset(state) -> state` it is reset
    there, and refractory for a parameter `t_ref` (ms); without, it spikes at the upward crossing.
    With `threshold(state)` it spikes where V reaches that, and V_th is where the threshold rests.

    A model with noise gives `diffusion(t, s, drive) -> State` too, per square root of ms (0 where
    there is none), and `noise = "stratonovich"` if it is not Ito's. One with delays takes a fourth
    argument, `derivative(t, s, drive, past)`, and reads `past("V", delay)`; before the run lies
    `history(t) -> State`, by default the initial state. `order = {"V": 0.9}` makes V' a fractional
    derivative. `confine(state) -> state` keeps a state in its range, such as a phase. A rate model
    gives `emit(state) -> value`, what a unit sends to others.

    Attributes:
        method: an integrator; by default exact for linear equations, exponential Euler otherwise;
            see `distdyn.core.integrators.method_of` for others.
        order: of variables whose derivative is fractional, or a number for all of them.
    """

    method: Integrator | Remembering | None = eqx.field(default=None, kw_only=True)
    order: Any = eqx.field(default=None, kw_only=True, static=True, converter=_static)

    @abc.abstractmethod
    def derivative(self, t: Any, s: Any, drive: Drive) -> Any:
        """D state / dt at time t (ms), as a State; `drive.current` is the total input current."""

    def confine(self, state: Any) -> Any:
        """The state with which a step ends, in its range: a phase within a turn, a part within 1.

        Elementwise over cells; by default nothing is changed.
        """
        return state

    def start(self, state: Any, dt: float) -> Any:
        """What `step` begins with: the state, with a memory if the equations need their past."""
        flow = Flow(self)
        method = method_of(flow)
        if not isinstance(method, Remembering):
            return state
        state, longest = jax.tree.map(jnp.asarray, state), 0.0
        if has_past(self):
            shortest, longest = delays_of(self)
            check_delay(self, shortest, dt)
        return Remembered(state, method.begin(flow, (state, ()), dt, longest))

    def step(self, state: Any, drive: Drive, tick: Tick) -> tuple[Any, Any]:
        """Integrate over one step, with no threshold; the output is None."""
        flow = Flow(self)
        method = method_of(flow)
        prepared = per_cell(lambda model: method.prepare(Flow(model), tick.dt), self)
        if not isinstance(method, Remembering):
            state, _ = method.advance(flow, prepared, (state, ()), drive.current, None, tick)
            return self.confine(state), None
        if not isinstance(state, Remembered):
            raise MethodError(
                f"{type(self).__name__} depends on its past, which this state does not have. Begin "
                "with state = model.start(state, dt); the State is then state.now."
            )
        (now, _), memory = method.advance(
            flow, prepared, (state.now, ()), state.memory, drive.current, None, tick
        )
        return Remembered(self.confine(now), memory), None


def per_cell(function: Any, *trees: Any) -> Any:
    """Apply a function of one cell's parameters, mapped over those that are arrays over cells."""
    axes = jax.tree.map(lambda leaf: 0 if jnp.ndim(leaf) else None, trees)
    if any(jnp.ndim(leaf) for leaf in jax.tree.leaves(trees)):
        return jax.vmap(function, in_axes=axes)(*trees)
    return function(*trees)
