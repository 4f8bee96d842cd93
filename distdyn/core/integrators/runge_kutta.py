"""Explicit Runge-Kutta schemes: a tableau each.

    k_i = f(t + c_i dt, y + dt sum_j a_ij k_j),   y(t + dt) = y + dt sum_i b_i k_i

Sources, where no other is named: Butcher (2016), Numerical Methods for Ordinary Differential
Equations, 3rd ed., chapter 3; Hairer, Norsett & Wanner (1993), Solving Ordinary Differential
Equations I, chapter II.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from distdyn.core.flow import Flow, Point
from distdyn.core.integrators.integrator import Integrator, vector_field
from distdyn.core.integrators.tableau import Tableau, tableau
from distdyn.core.system import Tick
from distdyn.errors import ParameterError


class AbstractRungeKutta(Integrator):
    """An explicit scheme, given by its tableau."""

    tableau: ClassVar[Tableau]

    def prepare(self, flow: Flow, dt: float) -> Any:
        """Nothing: the coefficients are numbers."""
        return ()

    def advance(
        self, flow: Flow, prepared: Any, y: Point, current: Any, held: Any, tick: Tick
    ) -> Point:
        """The point after one step."""
        f = vector_field(flow, current, held)
        return combined(y, self.tableau.b, self.slopes(f, y, tick.t, tick.dt), tick.dt)

    def slopes(
        self, f: Callable[[Any, Point], Point], y: Point, t: Any, dt: Any, first: Any = None
    ) -> list[Point]:
        """The slopes k_i of all stages; the first may be known."""
        found: list[Point] = [] if first is None else [first]
        for row, node in list(zip(self.tableau.a, self.tableau.c, strict=True))[len(found) :]:
            found.append(f(t + node * dt, combined(y, row, found, dt)))
        return found


def combined(y: Point, weights: Sequence[float], slopes: Sequence[Point], dt: Any) -> Point:
    """The point y + dt sum_i w_i k_i."""
    for weight, slope in zip(weights, slopes, strict=True):
        if weight:
            y = jax.tree.map(lambda v, k, w=weight: v + jnp.asarray(w * dt, v.dtype) * k, y, slope)
    return y


class RungeKutta(AbstractRungeKutta):
    """Your own scheme: `RungeKutta(a=[[], [1 / 2]], b=[0, 1])` is the midpoint rule.

    Args:
        a: row by row, as many as come before: row i has i entries.
        b: the weights of the stages, whose sum is 1.
        c: the times of the stages in steps; the sums of the rows of a, and if given it must agree.
        lower: the weights of a second result, of lower order. The difference of the two estimates
            the error, by which `dd.integrate` chooses its steps.

    Raises:
        ParameterError: the coefficients do not make an explicit, consistent scheme.
    """

    tableau: Tableau = eqx.field(static=True)

    def __init__(
        self,
        a: Sequence[Sequence[float]],
        b: Sequence[float],
        c: Sequence[float] | None = None,
        *,
        lower: Sequence[float] | None = None,
    ) -> None:
        self.tableau = tableau(a, b, c=c, lower=lower)


class Euler(AbstractRungeKutta):
    """Forward Euler, y + dt f(t, y): order 1. Source: Euler (1768)."""

    tableau = tableau([[]], [1])


class Midpoint(AbstractRungeKutta):
    """The explicit midpoint rule: order 2. Source: Runge (1895), Math. Ann. 46, 167."""

    tableau = tableau([[], [1 / 2]], [0, 1])


class Heun(AbstractRungeKutta):
    """The explicit trapezoidal rule: order 2. Source: Heun (1900), Z. Math. Phys. 45, 23."""

    tableau = tableau([[], [1]], [1 / 2, 1 / 2])


class Ralston(AbstractRungeKutta):
    """Order 2 with the smallest bound of the error. Source: Ralston (1962), Math. Comp. 16, 431."""

    tableau = tableau([[], [2 / 3]], [1 / 4, 3 / 4])


class RK2(AbstractRungeKutta):
    """All schemes of two stages and order 2, with the second stage at t + beta dt.

    beta = 1/2 is the midpoint rule, 1 that of Heun, 2/3 that of Ralston.

    Attributes:
        beta: when the second stage is, in steps.
    """

    beta: float = eqx.field(static=True, default=2 / 3)

    def __check_init__(self) -> None:
        is_number = isinstance(self.beta, int | float) and math.isfinite(self.beta)
        if not (is_number and self.beta != 0):
            raise ParameterError(
                f"RK2: beta = {self.beta}, where the second stage is taken. Give a number other "
                "than 0; usual are 1/2, 2/3 and 1."
            )

    @property
    def tableau(self) -> Tableau:
        """The tableau for this beta."""
        second = 1 / (2 * self.beta)
        return tableau([[], [self.beta]], [1 - second, second])


class RK3(AbstractRungeKutta):
    """Kutta's scheme of order 3. Source: Kutta (1901), Z. Math. Phys. 46, 435."""

    tableau = tableau([[], [1 / 2], [-1, 2]], [1 / 6, 2 / 3, 1 / 6])


class Heun3(AbstractRungeKutta):
    """Heun's scheme of order 3. Source: Heun (1900), Z. Math. Phys. 45, 23."""

    tableau = tableau([[], [1 / 3], [0, 2 / 3]], [1 / 4, 0, 3 / 4])


class Ralston3(AbstractRungeKutta):
    """Order 3 with the smallest bound of the error. Source: Ralston (1962), Math. Comp. 16, 431."""

    tableau = tableau([[], [1 / 2], [0, 3 / 4]], [2 / 9, 1 / 3, 4 / 9])


class SSPRK3(AbstractRungeKutta):
    """Order 3, a convex combination of Euler steps, which preserves what those preserve.

    Source: Shu & Osher (1988), J. Comput. Phys. 77, 439.
    """

    tableau = tableau([[], [1], [1 / 4, 1 / 4]], [1 / 6, 1 / 6, 2 / 3])


class RK4(AbstractRungeKutta):
    """The classical scheme of order 4. Source: Kutta (1901), Z. Math. Phys. 46, 435."""

    tableau = tableau([[], [1 / 2], [0, 1 / 2], [0, 0, 1]], [1 / 6, 1 / 3, 1 / 3, 1 / 6])


class RK38(AbstractRungeKutta):
    """The 3/8 rule, order 4. Source: Kutta (1901), Z. Math. Phys. 46, 435."""

    tableau = tableau([[], [1 / 3], [-1 / 3, 1], [1, -1, 1]], [1 / 8, 3 / 8, 3 / 8, 1 / 8])


ROOT5 = math.sqrt(5)


class Ralston4(AbstractRungeKutta):
    """Order 4 with the smallest bound of the error. Source: Ralston (1962), Math. Comp. 16, 431."""

    tableau = tableau(
        [
            [],
            [2 / 5],
            [(-2889 + 1428 * ROOT5) / 1024, (3785 - 1620 * ROOT5) / 1024],
            [
                (-3365 + 2094 * ROOT5) / 6040,
                (-975 - 3046 * ROOT5) / 2552,
                (467040 + 203968 * ROOT5) / 240845,
            ],
        ],
        [
            (263 + 24 * ROOT5) / 1812,
            (125 - 1000 * ROOT5) / 3828,
            1024 * (3346 + 1623 * ROOT5) / 5924787,
            (30 - 4 * ROOT5) / 123,
        ],
    )
