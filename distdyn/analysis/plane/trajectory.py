"""Where a system goes from a state: by adaptive steps of a method that copes with stiff equations.

A cell that is reset at its threshold is reset; refractory time is not spent. A map is iterated.

Source: Hindmarsh (1983), ODEPACK, for LSODA; called through scipy.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float64
from scipy.integrate import solve_ivp

from distdyn.analysis.field import Flat
from distdyn.analysis.field.delayed import check_no_delays
from distdyn.errors import AnalysisError
from distdyn.run.store import write_arrays
from distdyn.units import shown

RTOL, ATOL = 1e-9, 1e-11
MOST_SPIKES = 10_000
MOST = 1e15  # of the size of the start: a state as large will not stay finite


@dataclass(frozen=True, eq=False)
class Trajectory:
    """States along the time.

    Attributes:
        time: ms; of a map the number of the iterate. The moment of a spike is there twice, with
            the state before the reset and after it.
        x: a row per time, a column per variable.
        names: of the columns.
        spikes: times at which the cell was reset.
        flat: whose trajectory it is.
    """

    time: Float64[np.ndarray, "t"]
    x: Float64[np.ndarray, "t n"]
    names: tuple[str, ...]
    spikes: Float64[np.ndarray, "s"]
    flat: Flat = field(repr=False)

    @property
    def state(self) -> dict[str, Any]:
        """The states by variable: `state["V"][k]` is V at `time[k]`."""
        return self.flat.unflatten(self.x)

    def plot(self, ax: Any = None) -> Any:
        """The variables over time; returns the figure."""
        from distdyn.plot.phase import trajectory

        return trajectory(self, ax)

    def save(self, path: str | Path) -> None:
        """Write it to an HDF5 file."""
        arrays = {"time": self.time, "x": self.x, "spikes": self.spikes}
        write_arrays(Path(path), arrays, kind="trajectory", names=list(self.names))


def trajectory(
    flat: Flat,
    start: Float64[np.ndarray, "n"],
    T: float,
    p: Float64[np.ndarray, "p"] | None = None,
    *,
    points: int = 1001,
) -> Trajectory:
    """From a state for T ms; of a map for T iterates. T < 0 goes back in time.

    Args:
        flat: the field.
        start: the state at time 0.
        T: ms.
        p: the parameters; those of the model by default.
        points: how many times are returned, evenly spaced, besides those of spikes.

    Raises:
        AnalysisError: the state does not fit, or it cannot be followed to T.
    """
    check_no_delays(flat.about, "trajectory")
    start = np.asarray(start, np.float64)
    if start.shape != (flat.n,) or not np.isfinite(start).all():
        raise AnalysisError(
            f"trajectory: the start {shown(start)} is no state of {flat.about.name}, which has "
            f"{flat.n} variables. Give finite numbers for {', '.join(flat.names[:20])}."
        )
    if not np.isfinite(T) or (T == 0.0 and flat.is_continuous):
        raise AnalysisError(f"trajectory: T = {T} is no duration. Give a finite number of ms.")
    p = flat.p0 if p is None else np.asarray(p, np.float64)
    with jax.enable_x64(True):
        if not flat.is_continuous:
            return _iterated(flat, start, T, p)
        return _integrated(flat, start, float(T), p, points)


def _integrated(flat: Flat, start: Any, T: float, p: Any, points: int) -> Trajectory:
    f = jax.jit(flat.f)
    jacobian = jax.jit(jax.jacfwd(flat.f))
    times = np.linspace(0.0, T, points)
    rows, at, spikes, now, x = [], [], [], 0.0, start
    event, most = _threshold(flat), MOST * (1.0 + np.abs(start).max())

    def flow(t: float, x: Any) -> Any:
        if not np.abs(x).max() < most:  # LSODA would go on in ever smaller steps
            raise AnalysisError(
                f"trajectory: {flat.about.name} cannot be followed beyond {t:g} ms: its state "
                "grows without bound."
            )
        return np.asarray(f(x, p))

    while len(spikes) <= MOST_SPIKES:
        found = solve_ivp(
            flow, (now, T), x, method="LSODA",
            jac=lambda t, x: np.asarray(jacobian(x, p)),
            t_eval=times[np.abs(times) >= abs(now)], events=event, rtol=RTOL, atol=ATOL,
        )  # fmt: skip
        if found.status < 0 or not np.isfinite(found.y).all():
            raise AnalysisError(
                f"trajectory: {flat.about.name} cannot be followed beyond {found.t[-1]:g} ms: "
                f"{found.message} Its state grows without bound, or its derivative jumps there."
            )
        rows.append(found.y.T)
        at.append(found.t)
        if found.status == 0:
            break
        now, x = float(found.t_events[0][0]), found.y_events[0][0]
        spikes.append(now)
        assert flat.about.reset is not None
        after = flat.flatten(flat.about.reset(flat.unflatten(x)))
        rows.append(np.stack([x, after]))
        at.append(np.array([now, now]))
        x = after
    return Trajectory(np.concatenate(at), np.concatenate(rows), flat.names, np.array(spikes), flat)


def _threshold(flat: Flat) -> Any:
    """The event of a spike, or None."""
    if flat.about.threshold is None or flat.about.reset is None:
        return None
    name, value = flat.about.threshold
    k = flat.index(name)

    def event(t: float, x: Any) -> float:
        return x[k] - value

    event.terminal, event.direction = True, 1.0  # pyright: ignore[reportFunctionMemberAccess]
    return event


def _iterated(flat: Flat, start: Any, T: float, p: Any) -> Trajectory:
    if T < 0:
        raise AnalysisError("trajectory: a map cannot be followed back. Give T >= 0.")

    def step(x: Any, _: Any) -> tuple[Any, Any]:
        return flat.f(x, p), x

    _, x = jax.jit(lambda x: jax.lax.scan(step, x, length=int(T) + 1))(start)
    return Trajectory(
        np.arange(int(T) + 1, dtype=np.float64), np.asarray(x), flat.names, np.zeros(0), flat
    )
