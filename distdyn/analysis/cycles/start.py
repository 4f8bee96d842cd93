"""Where a branch of cycles begins: at a Hopf bifurcation, at a simulated cycle, at a doubled one.

Hopf        u(s) = x + a Re(q exp(2 pi i s)),   J q = i omega q,   T = 2 pi / omega
simulation  the last recurrence of a long trajectory
doubling    u_0 run through twice, + a v(s) that changes its sign from one turn to the next
"""

import numpy as np
from jaxtyping import Float64

from distdyn.analysis.cycles.collocation import Field, Orbit
from distdyn.analysis.cycles.mesh import DEGREE, node_times
from distdyn.analysis.field import Flat
from distdyn.analysis.plane.trajectory import trajectory
from distdyn.errors import AnalysisError

AMPLITUDE = 3e-3  # of the first cycle at a Hopf point, relative to its state
_RETURN = 1e-3  # distance, relative to the extents, that counts as a recurrence
_SAMPLES = 4000  # of a trajectory
_DOUBLINGS = 4  # how often the time is doubled


def from_hopf(
    field: Field,
    state: Float64[np.ndarray, "n"],
    value: float,
    omega: float,
    n_intervals: int,
    amplitude: float = AMPLITUDE,
) -> tuple[Orbit, Orbit]:
    """A guess of a small cycle at a Hopf bifurcation, and the direction in which it grows.

    Args:
        field: f and its derivatives.
        state: the equilibrium.
        value: of the parameter.
        omega: imaginary part of the eigenvalues, per ms.
        n_intervals: of the mesh.
        amplitude: of the cycle, relative to the state.
    """
    eigenvalues, vectors = np.linalg.eig(field(state[None], value)[1][0])
    q = vectors[:, np.argmin(np.abs(eigenvalues - 1j * omega))]
    size = float(np.linalg.norm(state))
    q = q / np.linalg.norm(q) * (size if size > 1e-8 else 1.0)
    mesh = np.linspace(0.0, 1.0, n_intervals + 1)
    wave = np.real(np.exp(2j * np.pi * node_times(mesh))[:, None] * q)
    start = Orbit(mesh, state + amplitude * wave, 2.0 * np.pi / omega, value)
    return start, Orbit(mesh, wave, 0.0, 0.0)


def from_simulation(
    flat: Flat,
    state: Float64[np.ndarray, "n"],
    value: float,
    n_intervals: int,
    transient: float,
) -> Orbit:
    """A guess of the cycle to which a trajectory goes: from its end back to where it was before.

    Args:
        flat: a flow with one parameter.
        state: where the trajectory begins.
        value: of the parameter.
        n_intervals: of the mesh.
        transient: ms that are left out, and that are then searched; doubled if nothing recurs.

    Raises:
        AnalysisError: it rests, it diverges, it is reset, or does not come back.
    """
    if not (np.isfinite(transient) and transient > 0.0):
        raise AnalysisError(
            f"limit_cycles: transient = {transient:g} ms leaves no time to come to a cycle. Give "
            "some ms > 0."
        )
    p = np.array([value])
    for _ in range(_DOUBLINGS):
        run = trajectory(flat, state, 2.0 * transient, p, points=2 * _SAMPLES + 1)
        t, x = run.time[: _SAMPLES + 1], run.x[_SAMPLES:]
        if np.any(run.spikes > transient):
            raise AnalysisError(
                f"limit_cycles: {flat.about.name} is reset at its threshold: its cycle jumps, and "
                "is no solution of the equations between two spikes. Analyse a model that spikes "
                "without reset."
            )
        if np.all(np.ptp(x, axis=0) <= 1e-6 * (1e-3 + np.abs(x).max())):
            raise AnalysisError(
                f"limit_cycles: the trajectory comes to rest at {x[-1]}: there is no cycle. Give "
                "a start in the basin of one, or begin at a Hopf point."
            )
        period = _recurrence(x, t)
        if period is not None:
            mesh = np.linspace(0.0, 1.0, 4 * n_intervals + 1)  # its nodes are evenly spaced
            points = DEGREE * 4 * n_intervals + 1
            once = trajectory(flat, x[-1], period, p, points=points)
            return Orbit(mesh, once.x[:-1], period, value)
        state, transient = x[-1], 2.0 * transient
    raise AnalysisError(
        f"limit_cycles: the trajectory does not come back to where it was within {transient:g} ms: "
        "it may be chaotic or quasiperiodic. Give a longer transient, or begin at a Hopf point."
    )


def _recurrence(x: Float64[np.ndarray, "k n"], t: Float64[np.ndarray, "k"]) -> float | None:
    """How long ago the trajectory was where it is at its end, if it was."""
    extent = np.ptp(x, axis=0)
    extent = np.maximum(extent, 1e-6 * np.maximum(extent.max(), np.abs(x).max(axis=0)))
    step = np.linalg.norm((x[-1] - x[-2]) / extent)  # recurrences are between samples
    distance = np.linalg.norm((x - x[-1]) / extent, axis=1)[::-1]
    away = np.flatnonzero(distance > 0.2)
    if not len(away):
        return None
    for k in range(away[0], len(distance) - 1):
        is_lowest = distance[k] <= min(distance[k - 1], distance[k + 1])
        if is_lowest and distance[k] < _RETURN + step:
            nearest = _foot(x[::-1][k - 1 : k + 2] / extent, x[-1] / extent)
            if nearest[1] < _RETURN:
                return float((k + nearest[0]) * (t[1] - t[0]))
    return None


def _foot(
    three: Float64[np.ndarray, "3 n"], point: Float64[np.ndarray, "n"]
) -> tuple[float, float]:
    """Where a parabola through three samples is nearest to a point, -1 to 1, and how near."""
    s = np.linspace(-1.0, 1.0, 401)
    curve = (
        three[1]
        + s[:, None] * (three[2] - three[0]) / 2.0
        + s[:, None] ** 2 * (three[2] - 2.0 * three[1] + three[0]) / 2.0
    )
    distance = np.linalg.norm(curve - point, axis=1)
    return float(s[np.argmin(distance)]), float(distance.min())
