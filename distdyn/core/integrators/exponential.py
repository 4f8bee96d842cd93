"""Exponential integrators: the linear part of each equation exactly, the rest explicitly."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from distdyn._jax import outputs_apart
from distdyn.core.exprel import exprel
from distdyn.core.flow import Flow, Point, dependence
from distdyn.core.integrators.integrator import Integrator
from distdyn.core.integrators.linear import closure, phi1_matrix, scalars
from distdyn.core.receptor import Kinetics
from distdyn.core.system import Tick

# Of an explosion, the upstroke of a spike: exp(30) times in a step is beyond any threshold, and
# what is computed from it is still finite in single precision, as are its derivatives.
MOST_GROWTH = 30.0


class ExpEuler(Integrator):
    """Exponential Euler, with the receptors integrated exactly.

        g(t + dt) = exp(K dt) g,     mean over the step = phi_1(K dt) g
        x(t + dt) = x + dt phi_1(a dt) F(x),   a = dF/dx of each variable's own equation

    F is taken at the old state with the receptors' means; a by automatic differentiation. Order 1;
    exact for a single linear equation with constant coefficients.
    """

    def prepare(self, flow: Flow, dt: float) -> Any:
        return tuple(_kinetics_step(receptor.kinetics, dt) for receptor in flow.receptors)

    def advance(
        self, flow: Flow, prepared: Any, y: Point, current: Any, held: Any, tick: Tick
    ) -> Point:
        return self.advance_with_rates(flow, prepared, y, current, held, tick)[0]

    def advance_with_rates(
        self, flow: Flow, prepared: Any, y: Point, current: Any, held: Any, tick: Tick
    ) -> tuple[Point, list[Any]]:
        """The point after one step, and a of each of the neuron's variables."""
        state, receptors = y
        means, after = [], []
        for receptor, (M, mean), kinetics in zip(flow.receptors, prepared, receptors, strict=True):
            values, structure = jax.tree.flatten(kinetics)
            reach = _kinetics_reach(receptor.kinetics)
            change = [_row(M, row, reach, values) for row in range(len(values))]
            average = [_row(mean, row, reach, values) for row in range(len(values))]
            means.append(jax.tree.unflatten(structure, average))
            new = [v + jnp.asarray(c, v.dtype) for v, c in zip(values, change, strict=True)]
            after.append(jax.tree.unflatten(structure, new))
        x, structure = jax.tree.flatten(state)

        def slopes(*values: Any) -> list[Any]:
            point = jax.tree.unflatten(structure, values)
            drive = flow.total_current(point, tuple(means), 0.0 if current is None else current)
            found = jax.tree.leaves(flow.rate(tick.t, point, drive))
            return [jnp.asarray(F).astype(v.dtype) for F, v in zip(found, values, strict=True)]

        V, new, rates = flow.membrane(), [], []
        for row, (value, slope) in enumerate(zip(x, outputs_apart(slopes, *x), strict=True)):
            F, a = with_own_slope(
                lambda v, row=row, slope=slope: slope(*x[:row], v, *x[row + 1 :]),
                value,
                flow.is_elementwise,
            )
            growth = jnp.minimum(a * tick.dt, MOST_GROWTH)
            delta = jnp.asarray(tick.dt, value.dtype) * F * exprel(growth)
            if held is not None and row == V:
                delta = jnp.where(held, jnp.zeros((), value.dtype), delta)
            new.append(value + delta)
            rates.append(a)
        return (jax.tree.unflatten(structure, new), tuple(after)), rates


def with_own_slope(F: Callable, x: Any, is_elementwise: bool) -> tuple[Any, Any]:
    """F(x), and the derivative of each of its elements by the same element of x."""
    if is_elementwise or not jnp.ndim(x):
        return jax.jvp(F, (x,), (jnp.ones_like(x),))
    return F(x), jnp.diagonal(jax.jacfwd(F)(x).reshape(x.size, x.size)).reshape(x.shape)


def _kinetics_step(kinetics: Kinetics, dt: float) -> tuple[Any, Any]:
    """Change and mean over a step of the receptor's linear ODE, as matrices of scalars."""
    values, structure = _zeros(kinetics)
    if not values:
        return (), ()

    def function(vector: Any) -> Any:
        state = jax.tree.unflatten(structure, list(vector))
        return jnp.stack(jax.tree.leaves(kinetics.derivative(state)))

    K = jax.jacfwd(function)(jnp.stack(values))
    mean = phi1_matrix(K * dt)
    return tuple(scalars(row) for row in dt * mean @ K), tuple(scalars(row) for row in mean)


def _kinetics_reach(kinetics: Kinetics) -> np.ndarray:
    """Which of the receptor's variables influence which within a step."""
    values, structure = _zeros(kinetics)

    def function(*leaves: Any) -> Any:
        return jax.tree.leaves(kinetics.derivative(jax.tree.unflatten(structure, list(leaves))))

    return closure(dependence(function, *values)) if values else np.zeros((0, 0), bool)


def _zeros(kinetics: Kinetics) -> tuple[list[Any], Any]:
    return jax.tree.flatten(jax.tree.map(lambda _: jnp.zeros(()), kinetics.init()))


def _row(matrix: Any, row: int, reach: np.ndarray, values: list[Any]) -> Any:
    first, *rest = np.flatnonzero(reach[row])
    total = matrix[row][first] * values[first]
    for column in rest:
        total = total + matrix[row][column] * values[column]
    return total
