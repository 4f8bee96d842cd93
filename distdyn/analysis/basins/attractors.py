"""Attractors, and the regions around them that no trajectory leaves.

    fixed point    A' M + M A = -1 with the Jacobian A: V = d' M d falls along the flow near it. The
                   ellipsoid is the largest on and in which V' < 0, in many directions
    limit cycle    the orbit to which a trajectory returns; all its multipliers but one are below 1

Source: Khalil (2002), Nonlinear Systems, 3rd ed., sec. 4.3 and 8.2, for the ellipsoids.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from scipy.linalg import solve_continuous_lyapunov

from distdyn.analysis.basins.arrivals import TUBE, Traps
from distdyn.analysis.cycles.mesh import DEGREE
from distdyn.analysis.cycles.start import from_simulation
from distdyn.analysis.field import Flat
from distdyn.analysis.plane.trajectory import trajectory
from distdyn.analysis.points.polish import refined
from distdyn.analysis.points.roots import linearised
from distdyn.errors import AnalysisError

ON_ORBIT = 512  # points of the line that stands for a cycle
INTERVALS = 400  # of a simulated cycle
STEPS = 8000  # of RK4 along a cycle
SHOTS, CLOSED = (
    10,
    1e-9,
)  # steps of Newton's method for a cycle, and how well it is closed, of units
DIRECTIONS = 512  # in which V' is looked at
LARGEST, HALVINGS = 0.25, 24  # radii of ellipsoids: of the unit, and how often half of it
ROOM_TO_SPARE = 0.5  # of the largest radius at which V' < 0
NEUTRAL = 1e-3  # a multiplier closer to 1 says nothing


@dataclass(frozen=True, eq=False)
class Attractor:
    """What trajectories go to.

    Attributes:
        kind: "fixed point" or "limit cycle".
        x: the states: one, or the cycle from a state back to it, evenly in length.
        period: ms, of a cycle.
        flat: whose attractor it is.
    """

    kind: Literal["fixed point", "limit cycle"]
    x: Float64[np.ndarray, "k n"]
    period: float | None
    flat: Flat = field(repr=False)

    @property
    def state(self) -> dict[str, Any]:
        """The states by variable."""
        return self.flat.unflatten(self.x)

    def __repr__(self) -> str:
        at = zip(self.flat.names, self.x[0], strict=True)
        where = ", ".join(f"{name} = {value:.6g}" for name, value in [*at][:6])
        turn = "" if self.period is None else f", period {self.period:.6g} ms"
        return f"{self.kind} ({where}{turn})"


def attracting_point(
    flat: Flat, x: Float64[np.ndarray, "n"], unit: Float64[np.ndarray, "n"]
) -> Attractor | None:
    """A fixed point as an attractor, if there is an ellipsoid around it."""
    with jax.enable_x64(True):
        is_stable = _form(flat, x, unit) is not None
    return Attractor("fixed point", x[None], None, flat) if is_stable else None


def attractor_from(
    flat: Flat, x: Float64[np.ndarray, "n"], unit: Float64[np.ndarray, "n"], duration: float
) -> Attractor | None:
    """The attractor to which a trajectory goes from a state, if it is a fixed point or a cycle.

    A trajectory that spirals slowly into a fixed point, or away from what repels, returns nearly:
    it is a cycle only if Newton's method for x(T) = x finds one there.
    """
    try:
        x = trajectory(flat, x, duration, points=2).x[-1]
        found = _resting(flat, x, unit, duration)
        if found is not None:
            return attracting_point(flat, found, unit)
        guess = from_simulation(flat, x, 0.0, INTERVALS, duration)
        closed = _closed(flat, guess.nodes[0], guess.period, unit)
        if closed is None:
            return None
        x, period, multipliers = closed
        orbit = trajectory(flat, x, period, points=DEGREE * INTERVALS + 1).x
    except AnalysisError:  # it rests, diverges, or does not return
        return None
    size = np.ptp(orbit / unit, axis=0).max() / np.ptp(guess.nodes / unit, axis=0).max()
    others = np.delete(multipliers, np.argmin(np.abs(multipliers - 1.0)))
    if not 0.5 < size < 2.0 or np.any(np.abs(others) > 1.0 - NEUTRAL):
        return None
    return Attractor("limit cycle", _evenly(orbit[:-1], unit), period, flat)


def _resting(flat: Flat, x: Any, unit: Any, duration: float) -> Any:
    """The fixed point at which a state rests, or nearly; None if it does not."""
    with jax.enable_x64(True):
        if np.any(np.abs(np.asarray(flat.f(x, flat.p0))) * duration > 1e-3 * unit):
            return None
        found = refined(flat.residual, x[None], flat.p0, unit)
    is_near = len(found) and np.abs((found[0] - x) / unit).max() <= 0.1
    return found[0] if is_near else None


def is_same(a: Attractor, b: Attractor, unit: Float64[np.ndarray, "n"]) -> bool:
    """Whether two attractors are one."""
    if a.kind != b.kind:
        return False
    near = 1e-6 if a.period is None else 3.0 * TUBE
    return bool(np.abs((b.x - a.x[0]) / unit).max(axis=1).min() <= near)


def traps_of(
    attractors: Sequence[Attractor],
    unit: Float64[np.ndarray, "n"],
    middle: Float64[np.ndarray, "n"],
) -> tuple[Traps, list[int]]:
    """What catches trajectories, and of each trap which attractor it belongs to.

    There is room for more than there are, so that few programs are compiled.
    """
    points = [k for k, a in enumerate(attractors) if a.period is None]
    cycles = [k for k, a in enumerate(attractors) if a.period is not None]
    n, rooms = len(unit), [_room(len(points), 4), _room(len(cycles), 1) if cycles else 0]
    centers, forms = np.zeros((rooms[0], n)), np.full((rooms[0], n, n), np.nan)
    orbits, periods = np.zeros((rooms[1], ON_ORBIT, n)), np.full(rooms[1], np.inf)
    for row, k in enumerate(points):
        centers[row] = attractors[k].x[0] / unit
        with jax.enable_x64(True):
            form = _form(attractors[k].flat, attractors[k].x[0], unit)
        forms[row] = np.nan if form is None else form
    for row, k in enumerate(cycles):
        orbits[row], periods[row] = attractors[k].x / unit, attractors[k].period
    owner = [*points, *[-1] * (rooms[0] - len(points)), *cycles, *[-1] * rooms[1]]
    return Traps(centers, forms, orbits, periods, middle / unit), owner


def _room(count: int, least: int) -> int:
    return max(least, 1 << max(0, count - 1).bit_length())


def _form(flat: Flat, x: Any, unit: Any) -> Float64[np.ndarray, "n n"] | None:
    """M of an ellipsoid d' M d < 1, in units, that no trajectory leaves; None if there is none."""
    _, (J,) = linearised(flat.f, x[None], flat.p0[None])
    A = J * unit / unit[:, None]
    if np.real(np.linalg.eigvals(A)).max() >= 0.0:
        return None
    M = solve_continuous_lyapunov(A.T, -np.eye(len(x)))
    try:
        root = np.linalg.cholesky(M)
    except np.linalg.LinAlgError:
        return None
    every = np.random.default_rng(0).normal(size=(DIRECTIONS, len(x)))
    every /= np.linalg.norm(every, axis=1, keepdims=True)
    surface = np.linalg.solve(root.T, every.T).T  # d with d' M d = 1
    surface *= LARGEST / np.abs(surface).max()
    radii = 0.5 ** np.arange(HALVINGS)
    d = radii[:, None, None] * surface
    slopes = np.asarray(_slopes(flat.f, d.reshape(-1, len(x)), x, flat.p0, unit, M))
    (wrong,) = np.nonzero(~(slopes.reshape(HALVINGS, -1) < 0.0).all(axis=1))
    first = wrong[-1] + 1 if len(wrong) else 0  # from there on all are well
    if first == HALVINGS:
        return None
    size = ROOM_TO_SPARE * radii[first]
    return M / (size**2 * (surface[0] @ M @ surface[0]))


@functools.partial(jax.jit, static_argnames=("f",))
def _slopes(f: Any, d: Any, x: Any, p: Any, unit: Any, M: Any) -> Any:
    """V' / 2 = d' M F, at some d."""
    return jax.vmap(lambda d: d @ M @ (f(x + unit * d, p) / unit))(d)


def _closed(flat: Flat, x: Any, T: float, unit: Any) -> tuple[Any, float, Any] | None:
    """Newton's method for x(T) = x across the flow: state, period and multipliers."""
    n = len(x)
    for _ in range(SHOTS):
        with jax.enable_x64(True):
            after, monodromy = (np.asarray(a) for a in _after(flat.f, x, flat.p0, T))
            v = np.asarray(flat.f(after, flat.p0)) / unit
        away, Y = (after - x) / unit, monodromy * unit / unit[:, None]
        if not (np.isfinite(away).all() and np.isfinite(Y).all()):
            return None
        if np.abs(away).max() <= CLOSED:
            return x, T, np.linalg.eigvals(Y)
        matrix = np.zeros((n + 1, n + 1))
        matrix[:n, :n], matrix[:n, n], matrix[n, :n] = Y - np.eye(n), v, v
        change = np.linalg.lstsq(matrix, np.append(-away, 0.0), rcond=None)[0]
        x, T = x + unit * change[:n], T + float(change[n])
        if not T > 0.0:
            return None
    return None


@functools.partial(jax.jit, static_argnames=("f",))
def _after(f: Any, x: Any, p: Any, T: Any) -> Any:
    """The state after T, and its derivative by that before, by RK4."""
    h = T / STEPS

    def rate(x: Any, Y: Any) -> Any:
        return f(x, p), jax.vmap(lambda y: jax.jvp(lambda x: f(x, p), (x,), (y,))[1])(Y)

    def step(_: Any, carry: Any) -> Any:
        def moved(by: Any, k: Any) -> Any:
            return jax.tree.map(lambda a, b: a + by * b, carry, k)

        a = rate(*carry)
        b = rate(*moved(h / 2, a))
        c = rate(*moved(h / 2, b))
        d = rate(*moved(h, c))
        return jax.tree.map(
            lambda y, a, b, c, d: y + h / 6 * (a + 2 * b + 2 * c + d), carry, a, b, c, d
        )

    x, Y = jax.lax.fori_loop(0, STEPS, step, (x, jnp.eye(len(x))))
    return x, Y.T


def _evenly(
    nodes: Float64[np.ndarray, "k n"], unit: Float64[np.ndarray, "n"]
) -> Float64[np.ndarray, "m n"]:
    """A closed line by points that are evenly spaced along it."""
    closed = np.vstack([nodes, nodes[:1]])
    length = np.append(0.0, np.cumsum(np.linalg.norm(np.diff(closed / unit, axis=0), axis=1)))
    at = np.linspace(0.0, length[-1], ON_ORBIT + 1)[:-1]
    return np.stack([np.interp(at, length, column) for column in closed.T], axis=1)
