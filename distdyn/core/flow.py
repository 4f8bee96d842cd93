"""The ODE of a cell between spikes: the neuron and its receptors as one system.

    d neuron / dt = F(t, neuron, I),   I = I_input + sum over receptors of I_r(g_r, V)
    d receptor / dt = K_r receptor     (linear)

Where there are receptors that divide, the sum is that of the others over 1 + their g.

Integrators see a `Flow`; whether it is linear and time-invariant is read off its jaxpr.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from distdyn._jax import Literal
from distdyn.core.receptor import Receptor
from distdyn.core.system import Drive, filled, state_fields

State = Any  # of the neuron
Point = tuple[State, tuple[Any, ...]]  # where the flow is: the neuron's state and its receptors'


class Function(eqx.Module):
    """Any function f(t, y, *args) in the place of a neuron: of one system, whatever its arrays.

    With noise, delays or fractional order, as a model would have it.
    """

    f: Callable
    args: tuple[Any, ...]
    like: Any  # a pytree with the structure, shapes and types of y
    strength: Callable | None = None  # of the noise, g(t, y, *args)
    noise: str = "ito"
    longest: float | None = None  # delay, ms; f takes `past` after y if it is given
    history: Callable | None = None  # y before the start, of t
    order: Any = None

    def derivative(self, t: Any, s: Any, drive: Drive, *past: Any) -> Any:
        """D y / dt."""
        return self.f(*self._typed(t, s), *past, *self.args)

    def diffusion(self, t: Any, s: Any, drive: Drive) -> Any:
        """The strength of the noise."""
        assert self.strength is not None
        return self.strength(*self._typed(t, s), *self.args)

    def _typed(self, t: Any, s: Any) -> tuple[Any, Any]:
        t = jax.lax.convert_element_type(t, jnp.result_type(float))  # whatever t is computed from
        s = jax.tree.map(lambda x, y: jax.lax.convert_element_type(x, y.dtype), s, self.like)
        return t, s


class Flow(eqx.Module):
    """A neuron with its receptors, and with the past where its equations have delays."""

    neuron: Any
    receptors: tuple[Receptor, ...] = ()
    past: Any = None  # a function of t: what the neuron's derivative at t is given as `past`

    def derivative(self, t: Any, y: Point, current: Any = 0.0) -> Point:
        """D y / dt with this much input current besides that of the receptors."""
        state, receptors = y
        neuron = self.rate(t, state, self.total_current(state, receptors, current))
        kinetics = tuple(
            r.kinetics.derivative(s) for r, s in zip(self.receptors, receptors, strict=True)
        )
        return neuron, kinetics

    def rate(self, t: Any, state: State, current: Any) -> State:
        """D neuron / dt with this total current."""
        past = () if self.past is None else (self.past(t),)
        return self.neuron.derivative(t, state, Drive(current), *past)

    def diffusion(self, t: Any, y: Point, current: Any = 0.0) -> list[Any]:
        """The strength of the noise of each leaf of y; None where there is none."""
        state, receptors = y
        drive = Drive(self.total_current(state, receptors, current))
        found = jax.tree.leaves(self.neuron.diffusion(t, state, drive), is_leaf=_is_none)
        of_receptors = len(jax.tree.leaves(receptors))
        return [None if _is_nothing(x) else x for x in found] + [None] * of_receptors

    def total_current(self, state: State, receptors: tuple[Any, ...], current: Any) -> Any:
        """The input current plus that through every receptor, which others may divide."""
        divisor, through = 1.0, []
        for receptor, kinetics in zip(self.receptors, receptors, strict=True):
            if receptor.kinetics.moves_V:
                continue
            found = receptor.current(kinetics, self.neuron, state)
            if receptor.output.divides:
                divisor = divisor + found
            else:
                through.append(found)
        if isinstance(divisor, float):
            return sum(through, start=current)
        return current + sum(through, start=0.0) / divisor

    def example(self, dtype: Any = float) -> Point:
        """A point of the right structure, in zeros, for one cell."""
        if isinstance(self.neuron, Function):
            return jax.tree.map(jnp.zeros_like, self.neuron.like), ()
        zero = jnp.zeros((), dtype)
        return filled(self.neuron.State, zero), tuple(
            jax.tree.map(lambda _: zero, receptor.state()) for receptor in self.receptors
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the neuron's variables, leaf by leaf."""
        paths, _ = jax.tree_util.tree_flatten_with_path(self.example()[0])
        return tuple(".".join(_word(key) for key in path) for path, _ in paths)

    @property
    def is_elementwise(self) -> bool:
        """Whether arrays are cells side by side, each with equations of its own."""
        return not isinstance(self.neuron, Function)

    def membrane(self) -> int | None:
        """Which leaf of a point is V, if there is one."""
        fields = state_fields(self.neuron)
        return fields.index("V") if "V" in fields else None


def _word(key: Any) -> str:
    return str(getattr(key, "name", getattr(key, "key", getattr(key, "idx", key))))


def _is_none(x: Any) -> bool:
    return x is None


def _is_nothing(x: Any) -> bool:
    """Whether a strength is no number at all, or 0 whatever the state."""
    return x is None or (isinstance(x, int | float) and x == 0)


def is_linear(flow: Flow) -> bool:
    """Whether the flow is linear and time-invariant, in its state and in the input current."""
    leaves, structure = jax.tree.flatten(flow.example())

    def jacobian(t: Any, current: Any, *values: Any) -> list[Any]:
        def function(arguments: list[Any]) -> Any:
            y = jax.tree.unflatten(structure, arguments[1:])
            return jax.tree.leaves(flow.derivative(t, y, arguments[0]))

        return jax.tree.leaves(jax.jacfwd(function)([current, *values]))

    def offset(t: Any) -> list[Any]:
        return jax.tree.leaves(flow.derivative(t, flow.example()))

    zero = jnp.zeros(())
    is_constant = not dependence(jacobian, zero, zero, *leaves).any()
    return is_constant and not dependence(offset, zero).any()


def dependence(function: Callable, *arguments: Any) -> np.ndarray:
    """Which outputs can depend on which inputs, bool[output, input], read off the jaxpr."""
    closed = jax.make_jaxpr(function)(*arguments)
    count = len(closed.jaxpr.invars)
    inputs = [np.eye(count, dtype=bool)[k] for k in range(count)]
    outputs = _influences(closed.jaxpr, inputs, count)
    return np.array(outputs, bool).reshape(len(outputs), count)


def _influences(jaxpr: Any, inputs: list[np.ndarray], count: int) -> list[np.ndarray]:
    none = np.zeros(count, bool)
    known = dict.fromkeys(jaxpr.constvars, none) | dict(zip(jaxpr.invars, inputs, strict=True))

    def of(atom: Any) -> np.ndarray:
        return none if isinstance(atom, Literal) else known[atom]

    for equation in jaxpr.eqns:
        arguments = [of(atom) for atom in equation.invars]
        inner = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
        inner = getattr(inner, "jaxpr", inner)
        if inner is not None and len(inner.invars) == len(arguments):
            results = _influences(inner, arguments, count)
        else:
            results = [np.logical_or.reduce([none, *arguments])] * len(equation.outvars)
        known |= dict(zip(equation.outvars, results, strict=True))
    return [of(atom) for atom in jaxpr.outvars]
