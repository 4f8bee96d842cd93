"""Exact integration of cells whose equations are linear and time-invariant."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from distdyn.core.flow import Flow, Point, dependence, is_linear
from distdyn.core.integrators.integrator import Integrator
from distdyn.core.integrators.linear import closure, phi1_matrix, scalars
from distdyn.core.system import Tick
from distdyn.errors import ParameterError


class Propagator(NamedTuple):
    """Coefficients of the exact step as scalars: y' = y + M y + constant + gain I."""

    M: Any
    constant: Any
    gain: Any


class Exact(Integrator):
    """Exact integration of a linear, time-invariant flow with input constant over the step.

        y' = A y + b + r I   =>   y(t + dt) = y + M y + dt phi_1(A dt) (b + r I),
        M = dt phi_1(A dt) A,   phi_1(z) = (exp(z) - 1) / z

    phi_1 is an entire function, so nothing is singular when time constants coincide. A second set
    of coefficients has V held.

    Source: Rotter & Diesmann (1999), Biol. Cybern. 81, 381; Hochbruck & Ostermann (2010), Acta
    Numerica 19, 209, for phi_1.
    """

    def prepare(self, flow: Flow, dt: float) -> Any:
        if not is_linear(flow):
            raise ParameterError(
                f"method = Exact(): the equations{_of(flow)} are not linear with constant "
                "coefficients, in the state and in the input. Take ExpEuler(), RK4() or another."
            )
        if not flow.is_elementwise:
            return _system(flow, dt)
        leaves, structure = jax.tree.flatten(flow.example())

        def function(current: Any, values: Any) -> Any:
            y = jax.tree.unflatten(structure, list(values))
            return jnp.stack(jax.tree.leaves(flow.derivative(0.0, y, current)))

        zero, origin = jnp.zeros(()), jnp.stack(leaves)
        A = jax.jacfwd(function, 1)(zero, origin)
        b, r = function(zero, origin), jax.jacfwd(function, 0)(zero, origin)
        V = flow.membrane()
        if V is None:
            free = _propagator(A, b, r, dt)
            return free, free
        moves = np.ones((2, len(leaves)))  # which variables do: all, and with V held
        moves[1, V] = 0.0
        both = jax.vmap(lambda m: _propagator(A * m[:, None], b * m, r * m, dt))(moves)
        return jax.tree.map(lambda x: x[0], both), jax.tree.map(lambda x: x[1], both)

    def advance(
        self, flow: Flow, prepared: Any, y: Point, current: Any, held: Any, tick: Tick
    ) -> Point:
        if not flow.is_elementwise:
            vector, shaped = ravel_pytree(y)
            return shaped(vector + prepared.M @ vector + prepared.constant)
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


def _of(flow: Flow) -> str:
    return f" of {type(flow.neuron).__name__}" if flow.is_elementwise else ""


def _system(flow: Flow, dt: float) -> Propagator:
    """The step of a system that is alone, in whole matrices."""
    origin, shaped = ravel_pytree(flow.example())

    def function(vector: Any) -> Any:
        return ravel_pytree(flow.derivative(0.0, shaped(vector)))[0]

    A = jax.jacfwd(function)(origin)
    integral = dt * phi1_matrix(A * dt)
    return Propagator(integral @ A, integral @ function(origin), ())


def _propagator(A: Any, b: Any, r: Any, dt: float) -> Propagator:
    """The change of the state in one step; M and not 1 + M, which would round."""
    integral = dt * phi1_matrix(A * dt)
    M = tuple(scalars(row) for row in integral @ A)
    return Propagator(M, scalars(integral @ b), scalars(integral @ r))


def _reach(flow: Flow) -> tuple[np.ndarray, np.ndarray]:
    """Which state variable can influence which within a step, and which ones the input reaches."""
    leaves, structure = jax.tree.flatten(flow.example())

    def function(current: Any, *values: Any) -> Any:
        return jax.tree.leaves(
            flow.derivative(0.0, jax.tree.unflatten(structure, list(values)), current)
        )

    direct = dependence(function, jnp.zeros(()), *leaves)
    reach = closure(direct[:, 1:])
    return reach, reach.astype(int) @ direct[:, 0].astype(int) > 0
