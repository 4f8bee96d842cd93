"""How branches of cycles end: in an equilibrium, or with a period that grows without bound.

    H      Hopf: the amplitude falls to 0; the equilibrium has eigenvalues +- i 2 pi / T
    SNIC   saddle-node on the cycle: T like |p - p_c|^(-1/2); p_c is the fold of equilibria
    HOM    homoclinic to a saddle: T like -log |p - p_c| / lambda; the cycle comes near the saddle

Each is recognised by the equilibrium that the cycle shrinks to or slows down at, and its value is
that of the equilibrium's bifurcation; for HOM it is where the cycle is, exponentially close.

Source: Kuznetsov (2004), Elements of Applied Bifurcation Theory, 3rd ed., sec. 3.4, 6.2 and 7.1.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from distdyn.analysis.cycles.collocation import Field, Orbit, extents
from distdyn.analysis.cycles.mesh import node_weights

End = tuple[str, float, Float64[np.ndarray, "n"]]  # kind, value, state

_SMALL = 0.05  # extent, relative to the largest on the branch, from which on H is looked for
_LONG = 4.0  # period, relative to the shortest, from which on HOM and SNIC are looked for
_CLOSE = 1e-4  # distance to a saddle, relative to the extent of the cycle


def end_of(field: Field, orbits: Sequence[Orbit], change: Orbit) -> End | None:
    """The end of a branch, if its last cycle is one.

    Args:
        field: f and its derivatives.
        orbits: of the branch up to here.
        change: the direction in which it is followed.
    """
    here = orbits[-1]
    if len(orbits) > 2:
        extent = max(
            float(np.max(np.ptp(here.nodes, axis=0) / extents(other)))
            for other in (max(orbits, key=lambda o: float(np.ptp(o.nodes, axis=0).sum())),)
        )
        shrinks = np.ptp(here.nodes, axis=0).sum() < np.ptp(orbits[-2].nodes, axis=0).sum()
        if extent < _SMALL and shrinks:
            return _hopf_of(field, here)
    shortest = min(orbit.period for orbit in orbits)
    if here.period > _LONG * shortest and change.period > 0.0:
        return _homoclinic_of(field, here) or _snic_of(field, here, change)
    return None


def equilibrium(
    field: Field, state: Float64[np.ndarray, "n"], value: float
) -> Float64[np.ndarray, "n"] | None:
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
    field: Field, state: Float64[np.ndarray, "n"], value: float, omega: float, width: float
) -> tuple[float, Float64[np.ndarray, "n"], float] | None:
    """The Hopf bifurcation near an equilibrium, by the secant method for the real part.

    Returns:
        Value, state and angular frequency, or None.
    """

    def at(value: float, state: np.ndarray) -> tuple[np.ndarray, complex] | None:
        found = equilibrium(field, state, value)
        if found is None:
            return None
        eigenvalues = np.linalg.eigvals(field(found[None], value)[1][0])
        return found, complex(eigenvalues[np.argmin(np.abs(eigenvalues - 1j * omega))])

    first = at(value, state)
    if first is None:
        return None
    second_value = value + 1e-5 * width
    second = at(second_value, first[0])
    for _ in range(30):
        if second is None or second[1].real == first[1].real:
            return None
        new = second_value - second[1].real * (second_value - value) / (
            second[1].real - first[1].real
        )
        first, value = second, second_value
        if abs(new - value) <= 1e-13 * (abs(new) + width):
            return new, second[0], abs(second[1].imag)
        if abs(new - value) > width:
            return None
        second, second_value = at(new, first[0]), new
    return None


def fold(
    field: Field, state: Float64[np.ndarray, "n"], value: float
) -> tuple[float, Float64[np.ndarray, "n"]] | None:
    """The fold of equilibria near a state: f = 0 and a singular Jacobian, by Newton's method.

    g(x, p), the solution of the Jacobian bordered by its singular vectors, is 0 where it is
    singular; its derivative by x is -w^T (d/dx J) v, with J v differentiated along v.
    """
    n, v, w = len(state), None, None
    for _ in range(40):
        f, jacobian, by_p = (part[0] for part in field(state[None], value))
        if not np.isfinite(jacobian).all():
            return None
        if v is None or w is None:
            left, _, right = np.linalg.svd(jacobian)
            v, w = right[-1], left[:, -1]
        bordered = np.block([[jacobian, w[:, None]], [v[None], np.zeros((1, 1))]])
        last = np.append(np.zeros(n), 1.0)
        try:
            right = np.linalg.solve(bordered, last)
            left = np.linalg.solve(bordered.T, last)
            v, w, g = right[:n], left[:n], right[n]
            h = 1e-5 * (1.0 + np.linalg.norm(state)) / np.linalg.norm(v)
            _, j, b = field(state + np.array([[h], [-h]]) * v, value)
            by_x, of_p = w @ (j[0] - j[1]) / (2.0 * h), w @ (b[0] - b[1]) / (2.0 * h)
            matrix = np.block([[jacobian, by_p[:, None]], [-by_x[None], np.array([[-of_p]])]])
            step = np.linalg.solve(matrix, np.append(f, g))
        except np.linalg.LinAlgError:
            return None
        v, w = v / np.linalg.norm(v), w / np.linalg.norm(w)
        state, value = state - step[:n], value - float(step[n])
        if np.linalg.norm(step) <= 1e-11 * (np.linalg.norm(state) + abs(value)):
            return value, state
    return None


def _hopf_of(field: Field, orbit: Orbit) -> End | None:
    center = node_weights(orbit.mesh) @ orbit.nodes
    omega = 2.0 * np.pi / orbit.period
    width = max(abs(orbit.value), 1e-3)
    found = hopf(field, center, orbit.value, omega, width)
    if found is None:
        return None
    value, state, frequency = found
    is_within = np.all(np.abs(state - center) <= extents(orbit))
    return ("H", value, state) if is_within and abs(frequency / omega - 1.0) < 0.05 else None


def _slowest(field: Field, orbit: Orbit) -> Float64[np.ndarray, "n"]:
    speed = field(orbit.nodes, orbit.value)[0] / extents(orbit)
    return orbit.nodes[int(np.argmin(np.linalg.norm(speed, axis=1)))]


def _homoclinic_of(field: Field, orbit: Orbit) -> End | None:
    state = _slowest(field, orbit)
    saddle = equilibrium(field, state, orbit.value)
    if saddle is None or np.max(np.abs(saddle - state) / extents(orbit)) > _CLOSE:
        return None
    rates = np.linalg.eigvals(field(saddle[None], orbit.value)[1][0]).real
    return ("HOM", orbit.value, saddle) if rates.min() < 0.0 < rates.max() else None


def _snic_of(field: Field, orbit: Orbit, change: Orbit) -> End | None:
    state = _slowest(field, orbit)
    found = fold(field, state, orbit.value)
    if found is None:
        return None
    value, at_fold = found
    left = orbit.value - value
    expected = -0.5 * orbit.period * change.value / change.period  # of T like |p - p_c|^(-1/2)
    is_near = np.max(np.abs(at_fold - state) / extents(orbit)) < 0.1
    return ("SNIC", value, at_fold) if is_near and abs(left - expected) < 0.2 * abs(left) else None
