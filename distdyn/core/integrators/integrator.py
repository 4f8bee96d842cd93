"""The contract of an integrator: from the flow of a cell to one step.

A method `prepare`s once per set of parameters (coefficients that do not depend on the state) and
`advance`s at every step, elementwise over cells. While a cell is refractory its V is held, and
everything else advances with that V.
"""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from distdyn.core.flow import Flow, Point
from distdyn.core.system import Tick


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


class Remembering(eqx.Module):
    """Advances a flow that depends on its past; the memory it needs is part of the state.

    Every leaf of a memory has the cells on the leading axis; one that holds many values of a cell
    has them on the last (`ops.memory`).
    """

    @abc.abstractmethod
    def prepare(self, flow: Flow, dt: float) -> Any:
        """Coefficients that depend on parameters and dt alone; for one cell, to be vmapped."""

    @abc.abstractmethod
    def begin(self, flow: Flow, y: Point, dt: float, longest: float) -> Any:
        """The memory before the first step, at this point; delays are at most `longest` ms."""

    @abc.abstractmethod
    def advance(
        self, flow: Flow, prepared: Any, y: Point, memory: Any, current: Any, held: Any, tick: Tick
    ) -> tuple[Point, Any]:
        """The point and the memory after one step."""


def vector_field(flow: Flow, current: Any, held: Any) -> Callable[[Any, Point], Point]:
    """D y / dt as a function of t and y, in the types of y, and with V held where cells are."""
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

    return f
