"""Fractional derivatives (Caputo's, of order 0 < a <= 1), with a memory of bounded length.

    D^a x(t) = 1 / Gamma(1 - a)  integral_0^t x'(s) (t - s)^-a ds  =  f(t, x)

    class Leaky(dd.ODE):
        order = {"V": 0.9}          # or Leaky(order={"V": 0.9}); other variables are of order 1

The whole past of x enters. A scheme keeps what it needs of the steps of the last `memory` ms and
drops what is older (the short-memory principle; Podlubny 1999, Fractional Differential Equations,
sec. 7.3): over longer times a power law becomes an exponential. Memory and time go with it: a
number, and a product, per variable, cell and step that is kept. Here a step is

    x_{n+1} = A + B f,   A a sum over the steps that are kept,   f at t_n, or (implicit) at t_{n+1}

and of order 1 in the step, or a little more. Variables of order 1, and receptors, have A = x_n and
B = h: they make steps of Euler, forward or backward.
"""

import abc
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from distdyn.core.flow import Flow, Point
from distdyn.core.integrators.implicit import check_iterations, solve
from distdyn.core.integrators.integrator import Remembering, vector_field
from distdyn.core.system import Tick
from distdyn.errors import NameLookupError, ParameterError, suggestion
from distdyn.ops.memory import ring_slot, ring_sum, ring_write
from distdyn.units import shown


class Trace(NamedTuple):
    """The past of one variable."""

    kept: Any  # [cell, slot], what the scheme keeps of each step
    base: Any  # [cell], a value of x to which it refers


class Fractional(Remembering):
    """A scheme for equations of fractional order.

    Attributes:
        memory: how long the past is kept, ms.
        implicit: whether f is taken at the end of the step.
        iterations: of Newton's method in a step, if it is implicit.
    """

    memory: float = eqx.field(default=100.0, static=True)
    implicit: bool = eqx.field(default=False, static=True)
    iterations: int = eqx.field(default=6, static=True)

    def __check_init__(self) -> None:
        if not (isinstance(self.memory, int | float) and 0 < self.memory < math.inf):
            raise ParameterError(
                f"{type(self).__name__}: memory = {shown(self.memory)} ms is not possible. Use a "
                "finite time > 0."
            )
        check_iterations(self, self.iterations)

    def prepare(self, flow: Flow, dt: float) -> Any:
        return ()

    def begin(self, flow: Flow, y: Point, dt: float, longest: float) -> dict[str, Trace]:
        slots, memory, orders = max(1, math.ceil(self.memory / dt - 1e-6)), {}, orders_of(flow)
        for name, x in zip(flow.names, jax.tree.leaves(y[0]), strict=True):
            if name not in orders:
                continue
            x = jnp.asarray(x)
            memory[name] = Trace(jnp.zeros((*x.shape, slots), x.dtype), x)
        return memory

    def advance(
        self, flow: Flow, prepared: Any, y: Point, memory: Any, current: Any, held: Any, tick: Tick
    ) -> tuple[Point, Any]:
        orders, slope = orders_of(flow), vector_field(flow, current, held)(tick.t, y)
        x, structure = jax.tree.flatten(y)
        names, A, B, after = flow.names, list(x), [], {}
        is_first = jnp.equal(tick.step, tick.origin)
        for row, (value, dx) in enumerate(zip(x, jax.tree.leaves(slope), strict=True)):
            name = names[row] if row < len(names) else None
            h = jnp.asarray(tick.dt, value.dtype)
            if name is None or name not in memory:
                B.append(h)
                continue
            a, (ring, base) = orders[name], memory[name]
            newest = ring_slot(tick.step, ring)
            ring = ring_write(ring, newest, self.keep(value, dx, base, is_first))
            past = ring_sum(ring, self.weights(a, ring.shape[-1]), newest)
            A[row], b = self.parts(a, h**a, value, base, past)
            B.append(b)
            after[name] = Trace(ring, self.next_base(value, base))
            if held is not None and name == "V":
                A[row] = jnp.where(held, value, A[row])

        if not self.implicit:
            return jax.tree.unflatten(structure, _explained(A, B, slope)), after

        def equation(
            flow: Flow, y: Point, current: Any, A: Any, B: Any
        ) -> Callable[[Point], Point]:
            f = vector_field(flow, current, held)

            def remainder(z: Point) -> Point:
                explained = _explained(A, B, f(tick.t + tick.dt, z))
                leaves = zip(jax.tree.leaves(z), explained, strict=True)
                return jax.tree.unflatten(structure, [value - x for value, x in leaves])

            return remainder

        return solve(equation, flow, y, current, A, B, iterations=self.iterations), after

    @abc.abstractmethod
    def weights(self, a: float, slots: int) -> np.ndarray:
        """Of what was kept of the step that begins, of the one before, ... in the sum `past`."""

    @abc.abstractmethod
    def keep(self, x: Any, dx: Any, base: Any, is_first: Any) -> Any:
        """What is kept of a step, maybe the first, that begins at x with slope dx."""

    @abc.abstractmethod
    def next_base(self, x: Any, base: Any) -> Any:
        """The base of the next step."""

    @abc.abstractmethod
    def parts(self, a: float, h: Any, x: Any, base: Any, past: Any) -> tuple[Any, Any]:
        """A and B; h is the step to the power a."""


class CaputoL1(Fractional):
    """The L1 scheme: x is taken to be linear between the steps.

        sum_j b_j (x_{n+1-j} - x_{n-j}) = Gamma(2 - a) h^a f,   b_j = (j + 1)^(1-a) - j^(1-a)

    Increments are kept, so that x stays where it is while f = 0, whatever was forgotten, and jumps
    (a reset) are part of the past. Implicit: of order 2 - a for smooth solutions.

    Source: Oldham & Spanier (1974), The Fractional Calculus; Lin & Xu (2007), J. Comput. Phys. 225,
    1533, for its error.
    """

    def weights(self, a: float, slots: int) -> np.ndarray:
        j = np.arange(1.0, slots + 1)
        return (j + 1) ** (1 - a) - j ** (1 - a)

    def keep(self, x: Any, dx: Any, base: Any, is_first: Any) -> Any:
        return x - base

    def next_base(self, x: Any, base: Any) -> Any:
        return x

    def parts(self, a: float, h: Any, x: Any, base: Any, past: Any) -> tuple[Any, Any]:
        return x - past, math.gamma(2 - a) * h


class CaputoEuler(Fractional):
    """Euler's rule for the integral equation: f is taken to be constant within each step.

        x_{n+1} = x_0 + h^a / Gamma(1 + a) sum_j ((j + 1)^a - j^a) f_{n-j}

    as the difference of two steps, so that what is forgotten is small. Implicit, with f_{n+1-j}.

    Source: Diethelm, Ford & Freed (2002), Nonlinear Dyn. 29, 3, the rectangle rule.
    """

    def weights(self, a: float, slots: int) -> np.ndarray:
        j = np.arange(-1.0, slots + 1)
        rule = np.where(j < 0, 0.0, (j + 1) ** a - np.abs(j) ** a)
        change = np.diff(rule)
        return change[1:] if self.implicit else change[:-1]

    def keep(self, x: Any, dx: Any, base: Any, is_first: Any) -> Any:
        if not self.implicit:
            return dx
        return jnp.where(is_first, jnp.zeros_like(dx), dx)  # f_0 is at the end of no step

    def next_base(self, x: Any, base: Any) -> Any:
        return base

    def parts(self, a: float, h: Any, x: Any, base: Any, past: Any) -> tuple[Any, Any]:
        scale = h / math.gamma(1 + a)
        return x + scale * past, scale if self.implicit else jnp.zeros_like(scale)


class GrunwaldLetnikov(Fractional):
    """Differences of fractional order, of the distance to the initial value.

        sum_j c_j (x_{n+1-j} - x_0) = h^a f,   c_0 = 1,  c_j = (1 - (1 + a) / j) c_{j-1}

    The distance is what makes the derivative Caputo's; forgetting pulls x towards x_0.

    Source: Podlubny (1999), Fractional Differential Equations, sec. 7.3 and 8.1.
    """

    def weights(self, a: float, slots: int) -> np.ndarray:
        return np.cumprod(1 - (1 + a) / np.arange(1.0, slots + 1))

    def keep(self, x: Any, dx: Any, base: Any, is_first: Any) -> Any:
        return x - base

    def next_base(self, x: Any, base: Any) -> Any:
        return base

    def parts(self, a: float, h: Any, x: Any, base: Any, past: Any) -> tuple[Any, Any]:
        return base - past, h


def _explained(A: list[Any], B: list[Any], slope: Point) -> list[Any]:
    return [a + b * dx for a, b, dx in zip(A, B, jax.tree.leaves(slope), strict=True)]


def orders_of(flow: Flow) -> dict[str, float]:
    """The order of each variable of a model that has one of its own.

    Raises:
        NameLookupError: there is no such variable.
        ParameterError: an order that is not a number in (0, 1].
    """
    model, names = flow.neuron, flow.names
    given = getattr(model, "order", None)
    given = getattr(type(model), "order", None) if given is None else given
    what = type(model).__name__ if flow.is_elementwise else "the equation"
    is_one = isinstance(given, int | float)
    if not (is_one or given is None or isinstance(given, Mapping | tuple)):
        raise ParameterError(
            f"{what}: order = {shown(given)} is not possible. Give a number in (0, 1], or "
            "{name: number}."
        )
    orders: dict[str, Any] = dict.fromkeys(names, given) if is_one else dict(given or {})
    for name, a in orders.items():
        if name not in names:
            raise NameLookupError(
                f"{what}: order of {shown(name)}: there is no such state. "
                f"{suggestion(str(name), names)}"
            )
        if isinstance(a, bool) or not isinstance(a, int | float) or not 0 < a <= 1:
            raise ParameterError(
                f"{what}: order = {shown(a)} of {name or 'y'} is not possible. Use a number in "
                "(0, 1], the same for all cells."
            )
    return orders
