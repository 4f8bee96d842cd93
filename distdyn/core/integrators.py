"""Integrators: from the flow of a cell to one step.

A method `prepare`s once per set of parameters (coefficients that do not depend on the state) and
`advance`s at every step, elementwise over cells. While a cell is refractory its V is held, and
everything else advances with that V.
"""

import abc
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from distdyn.core.flow import Flow, Point, dependence, is_linear
from distdyn.core.receptor import Kinetics
from distdyn.core.system import Drive, Tick


class Integrator(eqx.Module):
    """Advances a flow by one step."""

    @abc.abstractmethod
    def prepare(self, flow: Flow, dt: float) -> Any:
        """Coefficients that depend on parameters and dt alone; for one cell, to be vmapped."""

    @abc.abstractmethod
    def advance(
        self, flow: Flow, prepared: Any, y: Point, current: Any, held: Any, tick: Tick
    ) -> Point:
        """The point after one step; `held` marks cells whose V stays, None means no cell."""


def default_method(flow: Flow) -> Integrator:
    """Exact where the flow is linear and time-invariant, else exponential Euler."""
    return Exact() if is_linear(flow) else ExpEuler()


class Propagator(NamedTuple):
    """Coefficients of the exact step as scalars: y' = y + M y + constant + gain I."""

    M: tuple[tuple[Any, ...], ...]
    constant: tuple[Any, ...]
    gain: tuple[Any, ...]


class Exact(Integrator):
    """Exact integration of a linear, time-invariant flow with input constant over the step.

        y' = A y + b + r I   =>   y(t + dt) = y + M y + dt phi_1(A dt) (b + r I),
        M = dt phi_1(A dt) A,   phi_1(z) = (exp(z) - 1) / z

    phi_1 is a block of the matrix exponential of [[A dt, 1], [0, 0]], so nothing is singular when
    time constants coincide. A second set of coefficients has V held.

    Source: Rotter & Diesmann (1999), Biol. Cybern. 81, 381; Hochbruck & Ostermann (2010), Acta
    Numerica 19, 209, for phi_1.
    """

    def prepare(self, flow: Flow, dt: float) -> Any:
        leaves, structure = jax.tree.flatten(flow.example())

        def function(current: Any, values: Any) -> Any:
            y = jax.tree.unflatten(structure, list(values))
            return jnp.stack(jax.tree.leaves(flow.derivative(0.0, y, current)))

        zero, origin = jnp.zeros(()), jnp.stack(leaves)
        A = jax.jacfwd(function, 1)(zero, origin)
        b, r = function(zero, origin), jax.jacfwd(function, 0)(zero, origin)
        free = _propagator(A, b, r, dt)
        V = flow.membrane()
        if V is None:
            return free, free
        hold = jnp.ones(len(leaves)).at[V].set(0.0)
        return free, _propagator(A * hold[:, None], b * hold, r * hold, dt)

    def advance(
        self, flow: Flow, prepared: Any, y: Point, current: Any, held: Any, tick: Tick
    ) -> Point:
        free, fixed = prepared
        values, structure = jax.tree.flatten(y)
        reach, takes_input = _reach(flow)
        V = flow.membrane()

        def change(coefficients: Propagator, row: int) -> Any:
            M, constant, gain = coefficients
            total = constant[row]
            for column in np.flatnonzero(reach[row]):
                total = total + M[row][column] * values[column]
            if current is not None and takes_input[row]:
                total = total + gain[row] * current
            return total

        new = []
        for row, value in enumerate(values):
            delta = change(free, row)
            if held is not None and row == V:
                delta = jnp.where(held, jnp.zeros((), value.dtype), delta)
            elif held is not None and V is not None and (reach[row, V] or takes_input[row]):
                delta = jnp.where(held, change(fixed, row), delta)
            new.append(value + jnp.asarray(delta, value.dtype))
        return jax.tree.unflatten(structure, new)


def _propagator(A: Any, b: Any, r: Any, dt: float) -> Propagator:
    """The change of the state in one step; M and not 1 + M, which would round."""
    integral = dt * _phi1_matrix(A * dt)
    M = tuple(_scalars(row) for row in integral @ A)
    return Propagator(M, _scalars(integral @ b), _scalars(integral @ r))


def _phi1_matrix(z: Any) -> Any:
    n = z.shape[0]
    block = jnp.block([[z, jnp.eye(n)], [jnp.zeros((n, 2 * n))]])
    return jax.scipy.linalg.expm(block)[:n, n:]


def _scalars(vector: Any) -> tuple[Any, ...]:
    return tuple(vector[k] for k in range(vector.shape[0]))


def _reach(flow: Flow) -> tuple[np.ndarray, np.ndarray]:
    """Which state variable can influence which within a step, and which ones the input reaches."""
    leaves, structure = jax.tree.flatten(flow.example())

    def function(current: Any, *values: Any) -> Any:
        return jax.tree.leaves(
            flow.derivative(0.0, jax.tree.unflatten(structure, list(values)), current)
        )

    direct = dependence(function, jnp.zeros(()), *leaves)
    reach = _closure(direct[:, 1:])
    return reach, reach.astype(int) @ direct[:, 0].astype(int) > 0


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

        def slope(row: int, value: Any) -> Any:
            point = jax.tree.unflatten(structure, [*x[:row], value, *x[row + 1 :]])
            drive = flow.total_current(point, tuple(means), 0.0 if current is None else current)
            derivative = flow.neuron.derivative(tick.t, point, Drive(drive))
            return jnp.asarray(jax.tree.leaves(derivative)[row]).astype(value.dtype)

        V, new = flow.membrane(), []
        for row, value in enumerate(x):
            F, a = jax.jvp(lambda v, row=row: slope(row, v), (value,), (jnp.ones_like(value),))
            delta = jnp.asarray(tick.dt, value.dtype) * F * _phi1(a * tick.dt)
            if held is not None and row == V:
                delta = jnp.where(held, jnp.zeros((), value.dtype), delta)
            new.append(value + delta)
        return jax.tree.unflatten(structure, new), tuple(after)


def _phi1(z: Any) -> Any:
    """(exp(z) - 1) / z, 1 at z = 0, with a finite gradient there."""
    is_zero = z == 0
    safe = jnp.where(is_zero, jnp.ones_like(z), z)
    return jnp.where(is_zero, jnp.ones_like(z), jnp.expm1(safe) / safe)


def _kinetics_step(kinetics: Kinetics, dt: float) -> tuple[Any, Any]:
    """Change and mean over a step of the receptor's linear ODE, as matrices of scalars."""
    values, structure = _zeros(kinetics)
    if not values:
        return (), ()

    def function(vector: Any) -> Any:
        state = jax.tree.unflatten(structure, list(vector))
        return jnp.stack(jax.tree.leaves(kinetics.derivative(state)))

    K = jax.jacfwd(function)(jnp.stack(values))
    mean = _phi1_matrix(K * dt)
    return tuple(_scalars(row) for row in dt * mean @ K), tuple(_scalars(row) for row in mean)


def _kinetics_reach(kinetics: Kinetics) -> np.ndarray:
    """Which of the receptor's variables influence which within a step."""
    values, structure = _zeros(kinetics)

    def function(*leaves: Any) -> Any:
        return jax.tree.leaves(kinetics.derivative(jax.tree.unflatten(structure, list(leaves))))

    return _closure(dependence(function, *values)) if values else np.zeros((0, 0), bool)


def _zeros(kinetics: Kinetics) -> tuple[list[Any], Any]:
    return jax.tree.flatten(jax.tree.map(lambda _: jnp.zeros(()), kinetics.init()))


def _closure(direct: np.ndarray) -> np.ndarray:
    """Influence along any path, and of each variable on itself."""
    reach = direct | np.eye(len(direct), dtype=bool)
    for _ in direct:
        reach = reach | (reach.astype(int) @ reach.astype(int) > 0)
    return reach


def _row(matrix: Any, row: int, reach: np.ndarray, values: list[Any]) -> Any:
    first, *rest = np.flatnonzero(reach[row])
    total = matrix[row][first] * values[first]
    for column in rest:
        total = total + matrix[row][column] * values[column]
    return total


class RungeKutta(Integrator):
    """An explicit Runge-Kutta scheme given by its tableau.

    k_i = f(t + c_i dt, y + dt sum_j a_ij k_j),   y(t + dt) = y + dt sum_i b_i k_i
    """

    a: tuple[tuple[float, ...], ...] = eqx.field(static=True)
    b: tuple[float, ...] = eqx.field(static=True)
    c: tuple[float, ...] = eqx.field(static=True)

    def prepare(self, flow: Flow, dt: float) -> Any:
        return ()

    def advance(
        self, flow: Flow, prepared: Any, y: Point, current: Any, held: Any, tick: Tick
    ) -> Point:
        V, current = flow.membrane(), 0.0 if current is None else current

        def f(t: Any, point: Point) -> Point:
            leaves, structure = jax.tree.flatten(flow.derivative(t, point, current))
            leaves = [
                jnp.asarray(leaf).astype(old.dtype)
                for leaf, old in zip(leaves, jax.tree.leaves(point), strict=True)
            ]
            if held is not None and V is not None:
                leaves[V] = jnp.where(held, jnp.zeros((), leaves[V].dtype), leaves[V])
            return jax.tree.unflatten(structure, leaves)

        slopes: list[Point] = []
        for row, node in zip(self.a, self.c, strict=True):
            point = _combined(y, row, slopes, tick.dt)
            slopes.append(f(tick.t + node * tick.dt, point))
        return _combined(y, self.b, slopes, tick.dt)


def _combined(y: Point, weights: tuple[float, ...], slopes: list[Point], dt: float) -> Point:
    """The point y + dt sum_i w_i k_i."""
    for weight, slope in zip(weights, slopes, strict=True):
        if weight:
            y = jax.tree.map(lambda v, k, w=weight: v + jnp.asarray(w * dt, v.dtype) * k, y, slope)
    return y


def Euler() -> RungeKutta:
    """Forward Euler, order 1."""
    return RungeKutta(a=((),), b=(1.0,), c=(0.0,))


def RK4() -> RungeKutta:
    """The classical Runge-Kutta scheme, order 4. Source: Kutta (1901)."""
    return RungeKutta(
        a=((), (0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)),
        b=(1 / 6, 1 / 3, 1 / 3, 1 / 6),
        c=(0.0, 0.5, 0.5, 1.0),
    )
