"""Implicit schemes, for stiff equations: the new state is the solution of an equation.

    z = y + dt ((1 - theta) f(t, y) + theta f(t + dt, z))

It is solved by Newton's method from z = y, with derivatives by automatic differentiation. Cells are
solved one by one but side by side, by elimination among the few variables of a cell that depend on
each other, so that all this is elementwise over cells. Whether it has converged is looked at in the
end: if not, the state is NaN, which ends a run with an error.

The derivative of a step is that of its last iteration alone, which at the solution is the theorem
of implicit functions.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from distdyn.core.flow import Flow, Point, dependence
from distdyn.core.integrators.integrator import Integrator, vector_field
from distdyn.core.integrators.runge_kutta import combined
from distdyn.core.system import Tick
from distdyn.errors import ParameterError
from distdyn.units import shown

CONVERGED = 1e-4  # the last change: the next would be about its square
MOST_ITERATIONS = 50  # of one system; more than ten is much


class AbstractImplicit(Integrator):
    """A scheme of one stage, solved by Newton's method."""

    theta: ClassVar[float]
    iterations: eqx.AbstractVar[int]

    def __check_init__(self) -> None:
        check_iterations(self, self.iterations)

    def prepare(self, flow: Flow, dt: float) -> Any:
        """Nothing: derivatives are taken at every step."""
        return ()

    def advance(
        self, flow: Flow, prepared: Any, y: Point, current: Any, held: Any, tick: Tick
    ) -> Point:
        """The point after one step."""
        weight, after = self.theta * tick.dt, tick.t + tick.dt

        def equation(flow: Flow, y: Point, current: Any) -> Callable[[Point], Point]:
            f, base = vector_field(flow, current, held), y
            if self.theta < 1:
                base = combined(y, [1 - self.theta], [f(tick.t, y)], tick.dt)

            def remainder(z: Point) -> Point:
                """Of z, what must be zero."""
                explained = combined(base, [1.0], [f(after, z)], weight)
                return jax.tree.map(jnp.subtract, z, explained)

            return remainder

        return solve(equation, flow, y, current, iterations=self.iterations)


def check_iterations(method: Any, iterations: Any) -> None:
    """Raise a ParameterError unless this is how often Newton's method can be applied."""
    if isinstance(iterations, bool) or not isinstance(iterations, int) or iterations < 1:
        raise ParameterError(
            f"{type(method).__name__}: iterations = {shown(iterations)} is not possible. Use an "
            "integer >= 1."
        )


def solve(
    equation: Callable[..., Callable[[Point], Point]],
    flow: Flow,
    y: Point,
    *given: Any,
    iterations: int,
) -> Point:
    """The z near y for which `equation(flow, y, *given)(z)` is zero.

    It is z minus a function of f(t, z): who is coupled is read off the flow.
    """
    known = _stopped((flow, y, *given))
    remainders = equation(*known), equation(flow, y, *given)
    if flow.is_elementwise:
        return _solve_cells(*remainders, known[1], _coupling(flow), iterations)
    return _solve_system(*remainders, known[1])


class BackwardEuler(AbstractImplicit):
    """z = y + dt f(t + dt, z): order 1, and stable for any step where solutions decay.

    Attributes:
        iterations: of Newton's method for cells; one system goes on until it has converged.

    Source: Curtiss & Hirschfelder (1952), PNAS 38, 235.
    """

    theta = 1.0
    iterations: int = eqx.field(static=True, default=6)


class CrankNicolson(AbstractImplicit):
    """z = y + dt/2 (f(t, y) + f(t + dt, z)), the trapezoidal rule: order 2.

    Stable for any step where solutions decay; what decays much faster than the step changes its
    sign at each, while BackwardEuler damps it.

    Attributes:
        iterations: of Newton's method for cells; one system goes on until it has converged.

    Source: Crank & Nicolson (1947), Proc. Camb. Phil. Soc. 43, 50.
    """

    theta = 0.5
    iterations: int = eqx.field(static=True, default=6)


def _stopped(tree: Any) -> Any:
    """The same without derivatives."""
    return jax.tree.map(lambda x: jax.lax.stop_gradient(x) if isinstance(x, jax.Array) else x, tree)


def _is_small(change: Any, z: Any, part: float) -> Any:
    """Whether the last change is at most this part of the value, or of 1 where that is less."""
    return jnp.abs(change) <= part * (1 + jnp.abs(z))


def _coupling(flow: Flow) -> np.ndarray:
    """Which derivative depends on which variable, bool[equation, variable]."""
    leaves, structure = jax.tree.flatten(flow.example())

    def function(*values: Any) -> Any:
        point = jax.tree.unflatten(structure, list(values))
        return jax.tree.leaves(flow.derivative(0.0, point, 0.0))

    return dependence(function, *leaves) | np.eye(len(leaves), dtype=bool)


def _solve_cells(
    known: Callable, live: Callable, y: Point, coupling: np.ndarray, iterations: int
) -> Point:
    """The root of each cell, with derivatives by `live`."""
    z, structure = jax.tree.flatten(y)
    rows = range(len(z))

    def evaluate(remainder: Callable, values: list[Any]) -> list[Any]:
        return jax.tree.leaves(remainder(jax.tree.unflatten(structure, values)))

    def column(z: list[Any], j: int) -> list[Any]:
        along = lambda value: evaluate(known, [*z[:j], value, *z[j + 1 :]])  # noqa: E731
        return jax.jvp(along, (z[j],), (jnp.ones_like(z[j]),))[1]

    change = z
    for iteration in range(iterations):
        columns = [column(z, j) for j in rows]
        matrix = {(i, j): columns[j][i] for i in rows for j in rows if coupling[i, j]}
        remainder = live if iteration == iterations - 1 else known
        change = eliminate(matrix, evaluate(remainder, z))
        z = [value - step for value, step in zip(z, change, strict=True)]
    converged = True
    for value, step in zip(z, change, strict=True):
        converged = converged & _is_small(step, value, CONVERGED)
    z = [jnp.where(converged, value, jnp.asarray(jnp.nan, value.dtype)) for value in z]
    return jax.tree.unflatten(structure, z)


def eliminate(matrix: dict[tuple[int, int], Any], right: list[Any]) -> list[Any]:
    """Solve linear equations, each number an array over cells; absent elements are zero.

    The order of the pivots is that which fills in least (Markowitz) and is the same for all cells:
    nothing is exchanged for its size, which is right as long as the diagonal is not near zero, that
    is as long as a step is shorter than what grows in it takes.
    """
    n, matrix, right = len(right), dict(matrix), list(right)
    left, order = set(range(n)), []
    while left:
        rows = {p: [i for i in left if i != p and (i, p) in matrix] for p in left}
        columns = {p: [j for j in left if j != p and (p, j) in matrix] for p in left}
        p = min(left, key=lambda p: (len(rows[p]) * len(columns[p]), p))
        order.append((p, columns[p]))
        left.remove(p)
        for i in rows[p]:
            factor = matrix[i, p] / matrix[p, p]
            right[i] = right[i] - factor * right[p]
            for j in columns[p]:
                filled = factor * matrix[p, j]
                matrix[i, j] = matrix[i, j] - filled if (i, j) in matrix else -filled
    solution: dict[int, Any] = {}
    for p, columns in reversed(order):
        total = right[p]
        for j in columns:
            total = total - matrix[p, j] * solution[j]
        solution[p] = total / matrix[p, p]
    return [solution[p] for p in range(n)]


def _solve_system(known: Callable, live: Callable, y: Point) -> Point:
    """The root of one system of any size, with derivatives by `live`."""
    start, shaped = ravel_pytree(y)
    enough = float(jnp.finfo(start.dtype).eps) ** 0.5  # one more is rounding
    vector = lambda remainder: lambda z: ravel_pytree(remainder(shaped(z)))[0]  # noqa: E731

    def change(remainder: Callable, z: Any) -> Any:
        matrix = jax.jacfwd(vector(known))(z)
        return jnp.linalg.solve(matrix, vector(remainder)(z))

    def is_on(state: Any) -> Any:
        k, z, step = state
        return (k < MOST_ITERATIONS) & ~_is_small(step, z, enough).all()

    def iterate(state: Any) -> Any:
        k, z, _ = state
        step = change(known, z)
        return k + 1, z - step, step

    _, z, _ = jax.lax.while_loop(is_on, iterate, (0, start, jnp.full_like(start, jnp.inf)))
    z = jax.lax.stop_gradient(z)
    step = change(live, z)
    z = z - step
    return shaped(jnp.where(_is_small(step, z, CONVERGED).all(), z, jnp.nan))
