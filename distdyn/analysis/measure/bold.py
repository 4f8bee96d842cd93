"""BOLD of recorded activity: what fMRI would have seen of it.

    bold(trace.value, dt=1.0, every=1000.0)     [time, region] -> [time, region]

The same equations as a network has with a `BalloonWindkessel`, stepped over a recording.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Float

from distdyn.analysis.measure.trains import values_over_time
from distdyn.core.integrators import RK4
from distdyn.core.system import Drive, Tick
from distdyn.errors import ParameterError, SimulationError
from distdyn.models.hemodynamics import BalloonWindkessel
from distdyn.units import check_dt, to_steps


def bold(
    activity: Any, dt: float, *, every: float | None = None, model: BalloonWindkessel | None = None
) -> Float[Any, "sample region"]:
    """The BOLD signal of activity, from rest on, as a fraction of the signal at rest.

    The activity of a row is held for dt, and the steps are of fourth order. Works under `jax.jit`
    and `grad`, where it is computed in the type of the activity; otherwise in double precision.

    Args:
        activity: of order 1: a row per time, a column per region, as `trace.value` is.
        dt: time between two rows, in ms: 10 ms are enough.
        every: time between two samples (the repetition time), in ms, a multiple of dt; by default
            dt.
        model: with parameters of its own; by default `BalloonWindkessel(method=RK4())`.

    Returns:
        A row per sample, the first one `every` after the beginning.

    Raises:
        ParameterError: the activity is no such array, or not finite.
        TimeError: `every` is no multiple of dt.
        SimulationError: the activity is too strong: a flow would be negative.
    """
    dt = check_dt(dt)
    steps = 1 if every is None else to_steps(every, dt, "bold: every")
    if not isinstance(steps, int) or steps < 1:
        raise ParameterError(f"bold: every = {every} ms must be one time > 0.")
    model = BalloonWindkessel(method=RK4()) if model is None else model
    if isinstance(activity, Tracer):
        return _signal(model, activity, dt, steps)
    array = values_over_time(activity, "bold: activity")
    with jax.enable_x64(True):
        signal = np.asarray(jax.jit(_signal, static_argnums=(2, 3))(model, array, dt, steps))
    if not np.isfinite(signal).all():
        row, region = np.argwhere(~np.isfinite(signal))[0]
        raise SimulationError(
            f"bold: the flow of region {region} was no more positive by {(row + 1) * steps * dt:g} "
            f"ms: its activity, up to {np.abs(array[:, region]).max():g}, is too strong or falls "
            "too fast. Scale it to the order of 1."
        )
    return signal


def _signal(model: BalloonWindkessel, activity: Any, dt: float, steps: int) -> Any:
    """Sampled every so many steps; rows that do not fill a sample are left out."""
    dtype, n = activity.dtype, len(activity) // steps
    model = jax.tree.map(lambda x: jnp.asarray(x, dtype), model)
    start = jax.tree.map(
        lambda x: jnp.full(activity.shape[1:], x, dtype), model.init(0, jax.random.key(0))
    )

    def step(state: Any, drive: Any) -> tuple[Any, None]:
        new, _ = model.step(state, Drive(drive), Tick(0, dt, 0.0))  # nothing depends on the time
        return jax.tree.map(lambda x: jnp.asarray(x, dtype), new), None

    def sample(state: Any, rows: Any) -> tuple[Any, Any]:
        state, _ = jax.lax.scan(step, state, rows)
        return state, model.emit(state)

    rows = activity[: n * steps].reshape(n, steps, *activity.shape[1:])
    return jax.lax.scan(sample, start, rows)[1]
