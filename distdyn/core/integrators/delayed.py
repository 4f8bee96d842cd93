"""Equations with delays, by the method of steps: any fixed-step scheme, and an interpolated past.

    X'(t) = f(t, X(t), past),   past("x", d) = x(t - d),   past.slope("x", d) = x'(t - d)

A delay may differ between cells, depend on the state, and be that of a derivative (neutral
equations). A cell keeps the values of the last steps, and their slopes if the interpolation is
cubic (Hermite); before the beginning of the run lies `history(t)` of the model, by default the
initial state. A delay that the state makes shorter than dt is read as if nothing had happened since
the last whole step; one that is longer than what is kept makes the state NaN, which ends the run.

Where the start has a kink, so has a derivative of x a delay later, and a higher one after two.
Steps meet these times if the delay is a multiple of dt; if not, the order is 2 at most.

Source: Bellen & Zennaro (2003), Numerical Methods for Delay Differential Equations, ch. 4.
"""

import inspect
import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from distdyn.core.flow import Flow, Function, Point, dependence
from distdyn.core.integrators.integrator import Integrator, Remembering, vector_field
from distdyn.core.integrators.runge_kutta import AbstractRungeKutta
from distdyn.core.system import Drive, Tick
from distdyn.errors import DelayError, MethodError, NameLookupError, ParameterError, suggestion
from distdyn.ops.memory import ring_read, ring_slot, ring_write
from distdyn.units import shown

SPARE = 2  # slots beyond the longest delay: the step that is being made, and the end of an interval


class Kept(NamedTuple):
    """The past of one variable: slot k mod slots belongs to step k."""

    values: Any  # [cell, slot]
    slopes: Any  # [cell, slot], or None for linear interpolation
    first: Any  # [cell], before the run began


class Delayed(Remembering):
    """A scheme for equations with delays.

    Args:
        scheme: makes the steps.
        interpolation: of the past, "linear" (error h^2 |x''| / 8) or "cubic" (Hermite, error
            h^4 |x''''| / 384, for which f is evaluated once more at every step); by default cubic
            for Runge-Kutta schemes of an order above 2, linear otherwise.
    """

    scheme: Integrator
    interpolation: str = eqx.field(default="matching", static=True)

    def __check_init__(self) -> None:
        if not isinstance(self.scheme, Integrator):
            raise MethodError(
                f"Delayed({self.scheme!r}): this makes no steps from a given past. Give a scheme, "
                "e.g. Delayed(dd.RK4())."
            )
        if self.interpolation not in ("matching", "linear", "cubic"):
            raise ParameterError(
                f'Delayed: interpolation = {shown(self.interpolation)} is unknown. Use "linear", '
                '"cubic" or "matching".'
            )

    @property
    def is_cubic(self) -> bool:
        """Whether slopes are kept."""
        scheme = self.scheme
        is_high = isinstance(scheme, AbstractRungeKutta) and scheme.tableau.order > 2
        return is_high if self.interpolation == "matching" else self.interpolation == "cubic"

    def prepare(self, flow: Flow, dt: float) -> Any:
        return self.scheme.prepare(flow, dt)

    def begin(self, flow: Flow, y: Point, dt: float, longest: float) -> dict[str, Kept]:
        slots, memory, now = math.ceil(longest / dt - 1e-6) + SPARE, {}, _named(flow, y[0])
        for name in sorted(delayed_variables(flow)):
            x = jnp.asarray(now[name])
            values = jnp.broadcast_to(x[..., None], (*x.shape, slots))
            memory[name] = Kept(values, jnp.zeros_like(values) if self.is_cubic else None, x)
        return memory

    def advance(
        self, flow: Flow, prepared: Any, y: Point, memory: Any, current: Any, held: Any, tick: Tick
    ) -> tuple[Point, Any]:
        now = _named(flow, y[0])
        memory = {
            name: kept._replace(values=_written(kept.values, tick, now[name]))
            for name, kept in memory.items()
        }
        if self.is_cubic:
            f = vector_field(_within(flow, _Past(flow, memory, tick, False)), current, held)
            slopes = _named(flow, f(tick.t, y)[0])
            memory = {
                name: kept._replace(slopes=_written(kept.slopes, tick, slopes[name]))
                for name, kept in memory.items()
            }
        within = looking_back(flow, memory, tick)
        return self.scheme.advance(within, prepared, y, current, held, tick), memory


def _named(flow: Flow, state: Any) -> dict[str, Any]:
    """The variables by name."""
    return dict(zip(flow.names, jax.tree.leaves(state), strict=True))


def _within(flow: Flow, past: Any) -> Flow:
    return Flow(flow.neuron, flow.receptors, past)


def looking_back(flow: Flow, memory: dict[str, Kept], tick: Tick) -> Flow:
    """The flow of a step, with the past that it sees."""
    return _within(flow, _Past(flow, memory, tick, True))


def _written(ring: Any, tick: Tick, value: Any) -> Any:
    return ring_write(ring, ring_slot(tick.step, ring), jnp.asarray(value, ring.dtype))


class _Past:
    """A function of t that gives the past as it is seen from there."""

    def __init__(self, flow: Flow, memory: dict[str, Kept], tick: Tick, knows_slope: bool) -> None:
        self.flow, self.memory, self.tick, self.knows_slope = flow, memory, tick, knows_slope

    def __call__(self, t: Any) -> "Past | PastOfAll":
        past = Past(self, t)
        return past if self.flow.is_elementwise else PastOfAll(past, self.flow)

    def interval(self, kept: Kept, u: Any) -> tuple[Any, ...]:
        """Where u steps ago is: s from 0 to 1, and value and slope at either end of an interval.

        The slopes are times h; None where there are none.
        """
        ring, h = kept.values, jnp.asarray(self.tick.dt, kept.values.dtype)
        slots = ring.shape[-1]
        j = jnp.clip(jnp.floor(u), 0, slots - 2).astype(jnp.int32)
        s = (j + 1 - u).astype(ring.dtype)
        newer = ring_slot(self.tick.step, ring) - j
        newer = jnp.where(newer < 0, newer + np.int32(slots), newer)
        older = jnp.where(newer == 0, np.int32(slots - 1), newer - np.int32(1))
        a, b = ring_read(ring, older), ring_read(ring, newer)
        if kept.slopes is None:
            return s, a, b, None, None
        p, q = h * ring_read(kept.slopes, older), h * ring_read(kept.slopes, newer)
        if not self.knows_slope:  # of this step: it is linear until then
            is_new = j == 0
            p, q = jnp.where(is_new, b - a, p), jnp.where(is_new, b - a, q)
        return s, a, b, p, q

    def before(self, name: str, kept: Kept, u: Any) -> tuple[Any, Any]:
        """Value and slope u steps before this step, where that is before the run."""
        history = getattr(self.flow.neuron, "history", None)
        if history is None:
            return kept.first, jnp.zeros_like(kept.first)
        t, dtype = self.tick.t - u * self.tick.dt, kept.first.dtype

        def of(t: Any) -> Any:
            return jnp.asarray(_named(self.flow, history(t))[name], float) + 0.0 * t

        value, slope = jax.jvp(of, (t,), (jnp.ones_like(t),))
        return value.astype(dtype), slope.astype(dtype)


class Past:
    """The past as a derivative at one time sees it: `past("x", delay)`, `past.slope("x", delay)`.

    A delay in ms: a number, a parameter, or a function of the state.
    """

    def __init__(self, of: _Past, t: Any) -> None:
        self._of, self._t = of, t
        self.step = of.tick.dt

    def __call__(self, name: str, delay: Any) -> Any:
        """The variable's value a delay before now."""
        kept, u, is_before, is_known = self._find(name, delay)
        s, a, b, p, q = self._of.interval(kept, u)
        d = b - a
        value = (
            a + s * d if p is None else a + s * (p + s * (3 * d - 2 * p - q + s * (p + q - 2 * d)))
        )
        value = jnp.where(is_before, self._of.before(name, kept, u)[0], value)
        return jnp.where(is_known, value, jnp.nan)

    def slope(self, name: str, delay: Any) -> Any:
        """The variable's time derivative a delay before now, per ms."""
        kept, u, is_before, is_known = self._find(name, delay)
        s, a, b, p, q = self._of.interval(kept, u)
        d = b - a
        slope = d if p is None else p + s * (2 * (3 * d - 2 * p - q) + s * 3 * (p + q - 2 * d))
        slope = slope / jnp.asarray(self._of.tick.dt, slope.dtype)
        slope = jnp.where(is_before, self._of.before(name, kept, u)[1], slope)
        return jnp.where(is_known, slope, jnp.nan)

    def _find(self, name: str, delay: Any) -> tuple[Kept, Any, Any, Any]:
        """What is kept, how many steps ago it is, whether that was before the run, or ever."""
        of, tick = self._of, self._of.tick
        if name not in of.memory:
            raise _unknown(of.flow, name)
        kept, wide = of.memory[name], jnp.result_type(float)
        u = jnp.asarray(delay, wide) / tick.dt - (self._t - tick.t) / tick.dt
        u = jnp.maximum(u, jnp.zeros_like(u))
        is_known = u <= kept.values.shape[-1] - SPARE + 1e-6 * u + 1e-3
        since = jnp.asarray(tick.step - tick.origin, wide)
        is_before = u > since + 1e-6  # rounding of a delay on the grid
        return kept, u, is_before, is_known | is_before


class PastOfAll:
    """The past of any y: `past(delay)`, `past.slope(delay)`, in the structure of y."""

    def __init__(self, past: Past, flow: Flow) -> None:
        self._past, self._flow = past, flow

    def __call__(self, delay: Any) -> Any:
        """Y a delay before now; a delay broadcasts against each array of y."""
        return self._all(self._past, delay)

    def slope(self, delay: Any) -> Any:
        """Dy / dt a delay before now."""
        return self._all(self._past.slope, delay)

    def _all(self, read: Any, delay: Any) -> Any:
        if not isinstance(delay, Tracer):
            self._check(np.asarray(delay, float))
        structure = jax.tree.structure(self._flow.example()[0])
        return jax.tree.unflatten(structure, [read(name, delay) for name in self._flow.names])

    def _check(self, delay: np.ndarray) -> None:
        shortest, longest = self._past.step, self._flow.neuron.longest
        wrong = delay[~((delay >= shortest * (1 - 1e-6)) & (delay <= longest * (1 + 1e-6)))]
        if wrong.size:
            raise DelayError(
                f"past({wrong.flat[0]:g}): the delay must be from dt = {shortest:g} to longest = "
                f"{longest:g}. Use a smaller dt, or a larger `longest`."
            )


# --- what a model reads of its past --------------------------------------------------------------


class _Recorder:
    """Takes note of what is read of the past."""

    def __init__(self, flow: Flow, state: Any) -> None:
        self.flow, self.now, self.read = flow, _named(flow, state), []

    def __call__(self, name: str, delay: Any) -> Any:
        if name not in self.now:
            raise _unknown(self.flow, name)
        self.read.append((name, delay))
        return self.now[name] + 0.0 * jnp.asarray(delay)

    slope = __call__


def _unknown(flow: Flow, name: Any) -> NameLookupError:
    return NameLookupError(
        f"{type(flow.neuron).__name__}: past({shown(name)}, ...): there is no such state. "
        f"{suggestion(str(name), flow.names)}"
    )


def has_past(model: Any) -> bool:
    """Whether a model's derivative reads the past."""
    if isinstance(model, Function):
        return model.longest is not None
    return "past" in inspect.signature(type(model).derivative).parameters


def _read(flow: Flow, t: Any, state: Any) -> list[tuple[str, Any]]:
    recorder = _Recorder(flow, state)
    flow.neuron.derivative(t, state, Drive(0.0), recorder)
    return recorder.read


def delayed_variables(flow: Flow) -> set[str]:
    """The names of the variables whose past is read."""
    if not flow.is_elementwise:
        return set(flow.names)
    names: set[str] = set()

    def look(t: Any, state: Any) -> None:
        names.update(name for name, _ in _read(flow, t, state))

    jax.eval_shape(look, jnp.zeros(()), flow.example()[0])
    return names


def delays_of(model: Any) -> tuple[float, float]:
    """The shortest and the longest delay of a model in ms, as far as parameters decide over them.

    Raises:
        MethodError: they depend on the state or the time, and the model does not say `longest`.
        DelayError: a delay is not a finite number > 0.
    """
    what, longest, flow = type(model).__name__, getattr(model, "longest", None), Flow(model)
    fields, structure = jax.tree.flatten(flow.example()[0])

    def delays(t: Any, *values: Any) -> list[Any]:
        read = _read(flow, t, jax.tree.unflatten(structure, values))
        return [jnp.asarray(delay, float) for _, delay in read]

    zero = jnp.zeros(())
    is_free = [bool(row.any()) for row in dependence(delays, zero, *fields)]
    with jax.ensure_compile_time_eval():
        values = jax.jit(delays)(np.zeros(()), *(np.zeros(x.shape) for x in fields))
    found = [x for x, free in zip(values, is_free, strict=True) if not free]
    if any(isinstance(x, Tracer) for x in found):
        raise MethodError(
            f"{what}: a delay is traced, and how much of the past must be kept depends on it. Make "
            "the state before, with start() of a model that has the longest delay."
        )
    known = np.concatenate([np.ravel(x) for x in found]) if found else np.zeros(0)
    if longest is None and any(is_free):
        raise MethodError(
            f"{what}: a delay depends on the state or the time. Say how long it can get, in ms: "
            f"a class attribute or parameter `longest`."
        )
    if longest is not None:
        known = np.append(known, np.ravel(np.asarray(longest, float)))
    wrong = known[~(np.isfinite(known) & (known > 0))]
    if wrong.size:
        raise DelayError(f"{what}: a delay is {wrong[0]:g} ms. Use finite delays > 0.")
    return float(known.min()), float(known.max())


def check_delay(model: Any, shortest: float, dt: float) -> None:
    """Raise a DelayError for a delay shorter than a step of dt ms."""
    if shortest < dt * (1 - 1e-6):
        raise DelayError(
            f"{type(model).__name__}: a delay of {shortest:g} ms is shorter than dt = {dt:g} ms. "
            "Use delays >= dt, or a smaller dt."
        )
