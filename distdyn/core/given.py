"""What `dd.integrate` is given, checked: an error says what was asked, found, and what to do."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from distdyn.core.flow import Flow
from distdyn.core.integrators.adaptive import Tolerance
from distdyn.core.integrators.delayed import Delayed, looking_back
from distdyn.core.integrators.runge_kutta import RK4, AbstractRungeKutta
from distdyn.core.system import Tick
from distdyn.errors import DelayError, ParameterError, TimeError


def initial(y0: Any) -> Any:
    """The state y0 as arrays: numbers become floats, arrays keep their type."""

    def array(path: Any, x: Any) -> jax.Array:
        name = "y0" + jax.tree_util.keystr(path)
        x = jnp.asarray(float(x) if isinstance(x, int) else x)
        if not jnp.issubdtype(x.dtype, jnp.inexact):
            raise ParameterError(f"{name} is of type {x.dtype}. Give floats: {name}.astype(float).")
        if is_known(x) and not np.isfinite(x).all():
            raise ParameterError(f"{name} = {x} is not finite. Give finite numbers.")
        return jax.lax.convert_element_type(x, x.dtype)  # of this type, not of what it meets

    y0 = jax.tree_util.tree_map_with_path(array, y0)
    if not jax.tree.leaves(y0):
        raise ParameterError("y0 has no numbers. Give a number, an array or a tree of them.")
    return y0


def times_of(ts: Any) -> Any:
    """The times as NumPy's float64, or as they are where they are traced."""
    try:
        is_traced = isinstance(ts, jax.Array) and not is_known(ts)
        times = ts if is_traced else np.asarray(ts, np.float64)
    except (TypeError, ValueError) as error:
        raise TimeError(f"ts = {ts!r} is no list of times. Give numbers.") from error
    if times.ndim != 1 or not times.size:
        raise TimeError(f"ts has the shape {times.shape}. Give a list of times, the first of y0.")
    if isinstance(times, np.ndarray):
        if not np.isfinite(times).all():
            raise TimeError(f"ts[{np.argmin(np.isfinite(times))}] is not finite. Give times.")
        (falls,) = np.nonzero(np.diff(times) <= 0)
        if falls.size:
            k = falls[0]
            raise TimeError(
                f"ts[{k + 1}] = {times[k + 1]} does not come after ts[{k}] = {times[k]}. Sort "
                "them; to go back in time, solve dy/ds = -f(-s, y) for s = -t."
            )
    return times


def grid_of(times: Any, dt: float) -> tuple[np.ndarray, Any, float]:
    """How many steps each time is after the first, the first, and dt."""
    if not isinstance(times, np.ndarray):
        raise TimeError(
            "With dt, ts must be known when the function is traced: the number of steps depends on "
            "it. Give it as a NumPy array from outside, or leave dt out for steps that are chosen."
        )
    if not (isinstance(dt, int | float | np.number) and math.isfinite(dt) and dt > 0):
        raise TimeError(f"dt = {dt} is no length of a step. Give a positive number.")
    steps = np.rint((times - times[0]) / dt).astype(np.int64)
    away = np.abs(steps * dt - (times - times[0])) > 1e-6 * dt * np.maximum(steps, 1)
    if away.any():
        t = times[np.argmax(away)]
        raise TimeError(
            f"ts has {t}, which is {(t - times[0]) / dt:.7g} steps of dt = {dt} after {times[0]}. "
            "Give times on the grid, or leave dt out for steps that are chosen."
        )
    return steps, float(times[0]), float(dt)


def pair_of(method: Any) -> AbstractRungeKutta:
    """The method, which must estimate its error."""
    if isinstance(method, AbstractRungeKutta) and method.tableau.lower is not None:
        return method
    raise ParameterError(
        f"{type(method).__name__} does not estimate its error and needs dt. Give dt, or a pair as "
        "HeunEuler, BogackiShampine, CashKarp or DormandPrince."
    )


def tolerance_of(rtol: float | None, atol: float | None, max_steps: int) -> Tolerance:
    """The tolerances, with their defaults."""
    values = {"rtol": 1e-6 if rtol is None else rtol, "atol": 1e-9 if atol is None else atol}
    for name, value in values.items():
        is_number = isinstance(value, int | float | np.number) and math.isfinite(value)
        if not is_number or value < 0 or not any(values.values()):
            raise ParameterError(f"{name} = {value}. Give numbers >= 0, one of them positive.")
    if not isinstance(max_steps, int) or max_steps < 1:
        raise ParameterError(f"max_steps = {max_steps}. Give a positive integer.")
    return Tolerance(**values, max_steps=max_steps)


def check_functions(**functions: Any) -> None:
    """That what is not None can be called."""
    for name, function in functions.items():
        if not (function is None or callable(function)):
            raise ParameterError(f"{name} = {function!r} is no function. Give a function of t.")


def check_key(key: Any) -> None:
    """That it is one key of jax.random, of the new kind or the old one."""
    if key is None:
        raise ParameterError("noise needs a random key. Give key=jax.random.key(seed).")
    try:
        shape = jax.random.key_data(key).shape[:-1]
    except TypeError as error:
        raise ParameterError(f"key = {key!r} is none. Give key=jax.random.key(seed).") from error
    if shape:
        raise ParameterError(f"key has the shape {shape}. Give one; map over keys by jax.vmap.")


def check_past(flow: Flow, y0: Any, dt: float) -> None:
    """That the longest delay is one, and that f and history return what y is."""
    longest, history = flow.neuron.longest, flow.neuron.history
    if longest is None:
        return
    is_number = isinstance(longest, int | float | np.number) and math.isfinite(longest)
    if not is_number or longest < dt * (1 - 1e-6):
        raise DelayError(
            f"longest = {longest!r} is no delay that steps of dt = {dt:g} can have. Give a finite "
            "number >= dt, or a smaller dt."
        )
    zero = jnp.zeros((), float)
    memory, tick = Delayed(RK4()).begin(flow, (y0, ()), dt, float(longest)), Tick(0, dt, zero)
    back = looking_back(flow, memory, tick)
    if history is not None:
        check_derivative(jax.eval_shape(history, zero), y0, "history")
    check_derivative(jax.eval_shape(lambda t, y: back.rate(t, y, 0.0), zero, y0), y0)


def check_derivative(found: Any, y0: Any, what: str = "f") -> None:
    """That a function returns what y is."""
    expected, structure = jax.tree.structure(y0), jax.tree.structure(found)
    value = "dy/dt" if what == "f" else "y"
    if structure != expected:
        raise ParameterError(
            f"{what} returns {structure}, but y0 is {expected}. Return {value} in the structure "
            "of y."
        )
    named = jax.tree_util.tree_leaves_with_path(y0)
    for (path, y), dy in zip(named, jax.tree.leaves(found), strict=True):
        if y.shape != dy.shape:
            raise ParameterError(
                f"{what}{jax.tree_util.keystr(path)} has the shape {dy.shape}, but y0 {y.shape}. "
                f"Return {value} in the shapes of y."
            )
        if jnp.issubdtype(dy.dtype, jnp.complexfloating) > jnp.issubdtype(
            y.dtype, jnp.complexfloating
        ):
            raise ParameterError(
                f"{what}{jax.tree_util.keystr(path)} is complex, but y0 is not. Give a complex y0."
            )


def is_known(x: Any) -> bool:
    """Whether it has a value, as it has not under a transformation."""
    return not isinstance(x, Tracer)
