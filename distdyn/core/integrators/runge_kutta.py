"""Explicit Runge-Kutta schemes: a tableau each."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from distdyn.core.flow import Flow, Point
from distdyn.core.integrators.integrator import Integrator
from distdyn.core.system import Tick


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
