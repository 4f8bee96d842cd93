"""Delay lines: the values of the last steps, read between the steps and differentiated.

    x(t - d) = sum_i w_i(u) x_{k(u) + i},   u = d / dt,   x_k the value pushed k steps before

A ring of slots holds the values; a push overwrites the oldest. Everything is a pure function, so
that a ring goes through jit, grad, vmap, scan and shard_map; in a loop, or donated to jit, it is
updated in place, provided that nobody keeps the one before. The cotangent of a read comes back to
the value that was read, and on to the push that brought it.

The ring remembers which slot is the newest, not how many steps it has seen: no counter overflows.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int32, Real

from distdyn.errors import DelayError, ParameterError
from distdyn.units import check_dt, real, shown

Interpolation = Literal["linear", "cubic", "nearest", "previous"]

CUBIC_POINTS = 4
_GRID = 1e-6  # as in units: a delay may miss a step by this part of itself ...
_GRID_STEPS = 0.01  # ... and by this part of a step


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class History:
    """The last values of a quantity, one per step of `dt`; made by `History.filled`.

    Its trailing shape is that of one value: cells, or batch and cells.
    """

    values: Float[Array, "slot *shape"]
    newest: Int32[Array, ""]  # the slot of the newest value; the one of d steps ago is d before
    dt: float = field(metadata={"static": True})  # ms

    @classmethod
    def filled(
        cls,
        initial: Float[ArrayLike, "*shape"] | Callable[[Any], Float[ArrayLike, "*shape"]],
        longest: float,
        dt: float,
    ) -> "History":
        """A history of what was before the first step.

        Args:
            initial: the value at all times t <= 0, or a function of t (ms, a traced number) that
                gives it; its dtype is that of the history.
            longest: the longest delay that can be read, in ms; rounded up to a whole step.
            dt: the time step, in ms. With dt = 1 all delays are in steps.

        Raises:
            DelayError: `longest` is negative, not finite, or 2^31 steps and more.
            TimeError: dt is not a positive finite number.
            ParameterError: `initial` is not made of floating-point numbers.
        """
        dt = check_dt(dt)
        last = real(longest, "longest", error=DelayError)
        if not isinstance(last, float) or not 0 <= last / dt < 2**31 - 1:
            raise DelayError(
                f"longest = {shown(longest)} ms is not a time >= 0 of less than 2^31 steps of "
                f"dt = {dt:g} ms. Use the longest delay that will be read."
            )
        slots = int(np.ceil(_on_grid(np.float64(last / dt)))) + 1
        if callable(initial):
            values = jax.vmap(initial)(jnp.asarray(dt * np.arange(1.0 - slots, 1.0)))
            values = _floats(values, "initial(t)")
        else:
            value = _floats(initial, "initial")
            values = jnp.broadcast_to(value, (slots, *value.shape))
        return cls(values, jnp.asarray(slots - 1, jnp.int32), dt)

    @property
    def longest(self) -> float:
        """The longest delay that can be read, in ms."""
        return (self.values.shape[0] - 1) * self.dt

    def push(self, value: Float[ArrayLike, "*shape"]) -> "History":
        """The history one step later, in which this value is the newest.

        Raises:
            ParameterError: the value is not of the shape and dtype of the others.
        """
        dtype = self.values.dtype if isinstance(value, int | float) else None
        value = jnp.asarray(value, dtype)
        if value.shape != self.values.shape[1:] or value.dtype != self.values.dtype:
            raise ParameterError(
                f"value has shape {value.shape} and type {value.dtype}, but the history holds "
                f"values of shape {self.values.shape[1:]} and type {self.values.dtype}. "
                "Use such a value."
            )
        after = self.newest + 1
        newest = jnp.where(after < self.values.shape[0], after, 0)
        values = jax.lax.dynamic_update_index_in_dim(self.values, value, newest, 0)
        return History(values, newest, self.dt)

    def at(self, delay: Real[ArrayLike, "..."], how: Interpolation = "linear") -> Array:
        """The value a delay ago; delay 0 is the newest.

            linear    between the two steps around; error <= dt^2 / 8 max |x''|
            cubic     Lagrange through four steps, two on either side where there are (at the ends
                      of the history the four last ones); error <= dt^4 / 24 max |x''''|
            nearest   the step nearest by, of two the even one; error <= dt / 2 max |x'|
            previous  the last step that is not later; error < dt max |x'|

        Linear and cubic have derivatives by the delay: at a step that towards the older one.
        Delays within 1e-6 of a step (of themselves) are taken to be on it by nearest and
        previous, and by all if they are numbers.

        Args:
            delay: in ms; one, or an array that broadcasts against the shape of a value. Numbers
                and numpy arrays are checked; in jax arrays, traced or not, a delay outside of
                0, ..., `longest` gives NaN.
            how: the interpolation.

        Returns:
            Values of the dtype of the history; their shape is that of a value, broadcast with
            that of the delay.

        Raises:
            DelayError: a delay outside of 0, ..., `longest`.
            ParameterError: an unknown `how`; cubic in a history of fewer than four steps; shapes
                that do not broadcast.

        Source: of the errors, Davis (1975), Interpolation and Approximation, theorem 3.1.1.
        """
        slots, *shape = self.values.shape
        _check_how(how, slots, self.dt)
        is_static = not isinstance(delay, jax.Array)
        steps = _static_steps(delay, self) if is_static else _traced_steps(delay, self)
        whole = _broadcast(steps.shape, tuple(shape))
        xp = np if is_static else jnp
        steps = xp.broadcast_to(steps, whole) if steps.ndim else steps
        is_legal = True if is_static else steps >= 0  # not so if it is NaN
        first, weights = _stencil(xp.where(is_legal, steps, 0.0), slots - 1, how, xp)
        total = None
        for i, weight in enumerate(weights):
            if is_static and weight.size and not weight.any():
                continue  # on the grid nothing else is read, be it inf
            read = self._read(first + i) * weight.astype(self.values.dtype)
            total = read if total is None else total + read
        assert total is not None  # weights add up to 1
        return total if is_static else jnp.where(is_legal, total, jnp.nan)

    def _read(self, steps: Any) -> Any:
        """The values that many whole steps ago; one number, or of the shape of the result."""
        slots, *shape = self.values.shape
        slot = self.newest - steps
        slot = jnp.where(slot < 0, slot + slots, slot)
        if not slot.ndim:
            return jax.lax.dynamic_index_in_dim(self.values, slot, 0, keepdims=False)
        lead = slot.ndim - len(shape)
        others = [
            jnp.arange(n, dtype=jnp.int32).reshape(
                [n if axis == lead + k else 1 for axis in range(slot.ndim)]
            )
            for k, n in enumerate(shape)
        ]
        place = self.values.at[(slot, *others)]
        return place.get(mode="promise_in_bounds", wrap_negative_indices=False)


def _stencil(u: Any, last: int, how: str, xp: Any) -> tuple[Any, list[Any]]:
    """The first of the steps to read, and the weights of it and the following ones."""
    if how in ("nearest", "previous"):
        step = xp.rint(u) if how == "nearest" else xp.ceil(u - xp.minimum(_GRID * u, _GRID_STEPS))
        return xp.clip(step, 0, last).astype(np.int32), [xp.ones_like(u)]
    if how == "linear":
        first = xp.clip(xp.floor(u), 0, max(0, last - 1))
        s = u - first
        return first.astype(np.int32), [1 - s, s]
    first = xp.clip(xp.floor(u) - 1, 0, last + 1 - CUBIC_POINTS)
    s = u - first
    a, b, c = s - 1, s - 2, s - 3
    weights = [-a * b * c / 6, s * b * c / 2, -s * a * c / 2, s * a * b / 6]
    return first.astype(np.int32), weights


def _on_grid(u: Any) -> Any:
    """In steps; a whole number where it is nearly one."""
    nearest = np.rint(u)
    with np.errstate(invalid="ignore"):  # inf - inf
        is_near = np.abs(u - nearest) <= np.minimum(_GRID * u, _GRID_STEPS)
    return np.where(is_near, nearest, u)


def _static_steps(delay: Any, history: History) -> Any:
    times = np.asarray(real(delay, "delay", error=DelayError))
    u = _on_grid(times / history.dt)
    wrong = times[~((times >= 0) & (u <= history.values.shape[0] - 1))]
    if wrong.size:
        raise DelayError(
            f"delay {wrong.flat[0]:.12g} ms is not within the history, which is "
            f"{history.longest:.12g} ms long. Use 0 to {history.longest:.12g}, or a history with "
            "a longer `longest`."
        )
    return u


def _traced_steps(delay: Any, history: History) -> Any:
    """In steps; NaN where there is nothing to read."""
    is_double = np.float64 in (delay.dtype, history.values.dtype)
    u = delay.astype(np.float64 if is_double else np.float32) / history.dt
    last = history.values.shape[0] - 1
    return jnp.where((u >= 0) & (u <= last + min(_GRID * last, _GRID_STEPS)), u, jnp.nan)


def _floats(value: Any, what: str) -> Any:
    dtype = jnp.result_type(value)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ParameterError(
            f"{what} is of type {dtype}. Use floating-point values, e.g. {what}.astype(float)."
        )
    return jnp.asarray(value, dtype)  # not weakly typed, lest a loop change the type


def _check_how(how: Any, slots: int, dt: float) -> None:
    if how not in get_args(Interpolation):
        names = ", ".join(f'"{name}"' for name in get_args(Interpolation))
        raise ParameterError(f"how = {shown(how)} is not an interpolation. Use one of {names}.")
    if how == "cubic" and slots < CUBIC_POINTS:
        raise ParameterError(
            f'how = "cubic" reads {CUBIC_POINTS} steps, but the history holds {slots}. '
            f"Use longest >= {(CUBIC_POINTS - 1) * dt:g} ms."
        )


def _broadcast(delay: tuple[int, ...], value: tuple[int, ...]) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(delay, value)
    except ValueError:
        raise ParameterError(
            f"delay has shape {delay}, which does not broadcast against values of shape {value}. "
            "Use one delay, or one per element."
        ) from None
