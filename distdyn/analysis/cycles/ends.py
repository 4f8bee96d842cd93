"""How branches of cycles end: in an equilibrium, or with a period that grows without bound.

    H      Hopf: the amplitude falls to 0; the equilibrium has eigenvalues +- i 2 pi / T
    SNIC   saddle-node on the cycle: T like |p - p_c|^(-1/2); p_c is the fold of equilibria
    HOM    homoclinic to a saddle: T like -log |p - p_c| / lambda; the cycle comes near the saddle

Each is recognised by the equilibrium that the cycle shrinks to or slows down at, and its value is
that of the equilibrium's bifurcation; for HOM it is where the cycle is, exponentially close.

Source: Kuznetsov (2004), Elements of Applied Bifurcation Theory, 3rd ed., sec. 3.4, 6.2 and 7.1.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from distdyn.analysis.cycles.collocation import Field, Orbit, extents
from distdyn.analysis.cycles.mesh import node_weights

_SMALL = 0.02  # extent, relative to the largest on the branch, from which on H is looked for
_LONG = 4.0  # period, relative to the shortest, from which on HOM and SNIC are looked for
_CLOSE = 1e-4  # distance to a saddle, relative to the extent of the cycle

State = Float64[np.ndarray, "n"]


class End(NamedTuple):
    """The end of a branch: its kind, the value of the parameter, the equilibrium there."""

    kind: str
    value: float
    state: State


class Ends:
    """Looks for the end of a branch, cycle by cycle."""

    def __init__(self, field: Field) -> None:
        self._field = field
        self._largest: State | None = None
        self._shortest, self._size = np.inf, 0.0

    def look(self, orbit: Orbit, change: Orbit) -> End | None:
        """The end of the branch, if this cycle is as good as there.

        Args:
            orbit: the next cycle.
            change: the direction in which the branch is followed.
        """
        extent = np.ptp(orbit.nodes, axis=0)
        self._largest = extent if self._largest is None else np.maximum(self._largest, extent)
        self._shortest = min(self._shortest, orbit.period)
        before, self._size = self._size, float(np.max(extent / np.maximum(self._largest, 1e-300)))
        if self._size < min(_SMALL, before):
            return _hopf(self._field, orbit, change)
        if orbit.period > _LONG * self._shortest and change.period > 0.0:
            return _homoclinic(self._field, orbit) or _snic(self._field, orbit, change)
        return None


def equilibrium(field: Field, state: State, value: float) -> State | None:
    """The equilibrium near a state, by Newton's method; None if it finds none."""
    for _ in range(30):
        f, jacobian, _ = field(state[None], value)
        try:
            step = np.linalg.solve(jacobian[0], f[0])
        except np.linalg.LinAlgError:
            return None
        if not np.isfinite(step).all():
            return None
        state = state - step
        if np.linalg.norm(step) <= 1e-12 * np.linalg.norm(state) + 1e-14:
            return state
    return None


def hopf(
    field: Field, state: State, value: float, omega: float, width: float
) -> tuple[float, State, float] | None:
    """The Hopf bifurcation near an equilibrium, by the secant method for the real part.

    Returns:
        Value, state and angular frequency, or None.
    """

    def at(value: float, state: State) -> tuple[State, complex] | None:
        found = equilibrium(field, state, value)
        if found is None:
            return None
        eigenvalues = np.linalg.eigvals(field(found[None], value)[1][0])
        return found, complex(eigenvalues[np.argmin(np.abs(eigenvalues - 1j * omega))])

    first = at(value, state)
    if first is None:
        return None
    new = value + 1e-5 * width
    for _ in range(30):
        second = at(new, first[0])
        if second is None or second[1].real == first[1].real:
            return None
        slope = (second[1].real - first[1].real) / (new - value)
        first, value, new = second, new, new - second[1].real / slope
        if abs(new - value) <= 1e-13 * (abs(new) + width):
            return new, second[0], abs(second[1].imag)
        if abs(new - value) > width:
            return None
    return None


def fold(field: Field, state: State, value: float) -> tuple[float, State] | None:
    """The fold of equilibria near a state: f = 0 and a singular Jacobian, by Newton's method.

    g, from the Jacobian bordered by its singular vectors, is 0 where that is singular:

        [J    w] [v]   [0]
        [v^T  0] [g] = [1],   dg = -w^T (dJ) v,

    where dJ v by x is symmetric in v, so that it is the change of J along v.
    """
    n = len(state)
    last = np.append(np.zeros(n), 1.0)
    jacobian = field(state[None], value)[1][0]
    if not np.isfinite(jacobian).all():
        return None
    left, _, right = np.linalg.svd(jacobian)
    v, w = right[-1], left[:, -1]
    for _ in range(40):
        f, jacobian, by_p = (part[0] for part in field(state[None], value))
        bordered = np.block([[jacobian, w[:, None]], [v[None], np.zeros((1, 1))]])
        try:
            v, g = np.split(np.linalg.solve(bordered, last), [n])
            w = np.linalg.solve(bordered.T, last)[:n]
            h = 1e-5 * (1.0 + np.linalg.norm(state)) / np.linalg.norm(v)
            _, by_x, of_p = field(state + np.array([[h], [-h]]) * v, value)
            row = [w @ (x[0] - x[1]) / (2.0 * h) for x in (by_x, of_p)]
            matrix = np.block([[jacobian, by_p[:, None]], [-row[0][None], -np.reshape(row[1], (1, 1))]])
            step = np.linalg.solve(matrix, np.append(f, g))
        except np.linalg.LinAlgError:
            return None
        v, w = v / np.linalg.norm(v), w / np.linalg.norm(w)
        state, value = state - step[:n], value - float(step[n])
        if not np.isfinite(step).all():
            return None
        if np.linalg.norm(step) <= 1e-11 * (np.linalg.norm(state) + abs(value)):
            return value, state
    return None


def _hopf(field: Field, orbit: Orbit, change: Orbit) -> End | None:
    center = node_weights(orbit.mesh) @ orbit.nodes
    omega = 2.0 * np.pi / orbit.period
    found = hopf(field, center, orbit.value, omega, max(abs(orbit.value), 1e-3))
    if found is None:
        return None
    value, state, frequency = found
    is_within = np.all(np.abs(state - center) <= extents(orbit))
    is_ahead = (value - orbit.value) * change.value >= 0.0  # else a fold lies between
    same = abs(frequency / omega - 1.0) < 0.05
    return End("H", value, state) if is_within and is_ahead and same else None


def _slowest(field: Field, orbit: Orbit) -> State:
    speed = field(orbit.nodes, orbit.value)[0] / extents(orbit)
    return orbit.nodes[int(np.argmin(np.linalg.norm(speed, axis=1)))]


def _homoclinic(field: Field, orbit: Orbit) -> End | None:
    state = _slowest(field, orbit)
    saddle = equilibrium(field, state, orbit.value)
    if saddle is None or np.max(np.abs(saddle - state) / extents(orbit)) > _CLOSE:
        return None
    rates = np.linalg.eigvals(field(saddle[None], orbit.value)[1][0]).real
    return End("HOM", orbit.value, saddle) if rates.min() < 0.0 < rates.max() else None


def _snic(field: Field, orbit: Orbit, change: Orbit) -> End | None:
    state = _slowest(field, orbit)
    found = fold(field, state, orbit.value)
    if found is None:
        return None
    value, at_fold = found
    left = orbit.value - value
    expected = -0.5 * orbit.period * change.value / change.period  # of T like |p - p_c|^(-1/2)
    is_near = bool(np.max(np.abs(at_fold - state) / extents(orbit)) < 0.1)
    return End("SNIC", value, at_fold) if is_near and abs(left - expected) < 0.2 * abs(left) else None
