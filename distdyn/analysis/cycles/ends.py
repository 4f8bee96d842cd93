"""How branches of cycles end: in an equilibrium, or with a period that grows without bound.

    H      Hopf: the amplitude falls to 0; the equilibrium has eigenvalues +- i 2 pi / T
    SNIC   saddle-node on the cycle: T like |p - p_c|^(-1/2); p_c is the fold of equilibria
    HOM    homoclinic to a saddle: T like -log |p - p_c| / lambda, with lambda the smallest size of
           a real part of the saddle's eigenvalues; p_c = p + (dp / dT) / lambda

Each is recognised by the equilibrium that the cycle shrinks to or slows down at.

Source: Kuznetsov (2004), Elements of Applied Bifurcation Theory, 3rd ed., sec. 3.4, 6.2 and 7.1.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from distdyn.analysis.continuation.family import Family
from distdyn.analysis.continuation.special import newton, refine_fold, refine_hopf
from distdyn.analysis.cycles.collocation import Orbit, extents
from distdyn.analysis.cycles.mesh import SLOPE, VALUE, node_weights, pieces

_SMALL = 0.02  # extent, relative to the largest on the branch, from which on H is looked for
_LONG = 4.0, 10.0  # period, relative to the shortest, from which on HOM, SNIC are looked for
_CLOSE = 1e-4  # distance to a saddle, relative to the extent of the cycle

State = Float64[np.ndarray, "n"]


class End(NamedTuple):
    """The end of a branch: its kind, the value of the parameter, the equilibrium there."""

    kind: str
    value: float
    state: State


class Ends:
    """Looks for the end of a branch, cycle by cycle."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self._largest = np.zeros(family.n)
        self._shortest, self._size = np.inf, 0.0

    def look(self, orbit: Orbit, change: Orbit) -> End | None:
        """The end of the branch, if this cycle is as good as there.

        Args:
            orbit: the next cycle.
            change: the direction in which the branch is followed.
        """
        extent = np.ptp(orbit.nodes, axis=0)
        largest = self._largest = np.maximum(self._largest, extent)
        self._shortest = min(self._shortest, orbit.period)
        before, self._size = self._size, float(np.max(extent / np.maximum(largest, 1e-300)))
        if self._size < min(_SMALL, before):
            return _hopf(self._family, orbit, change)
        longer = orbit.period / self._shortest if change.period > 0.0 else 0.0
        found = _homoclinic(self._family, orbit, change) if longer > _LONG[0] else None
        if found is None and longer > _LONG[1]:
            found = _snic(self._family, orbit, change)
        return found


def _hopf(family: Family, orbit: Orbit, change: Orbit) -> End | None:
    center = node_weights(orbit.mesh) @ orbit.nodes
    found = refine_hopf(family, np.append(center, orbit.value))
    if found is None:
        return None
    (*state, value), omega = found
    is_within = np.all(np.abs(state - center) <= extents(orbit))
    is_ahead = (value - orbit.value) * change.value >= 0.0  # else a fold lies between
    same = abs(omega * orbit.period / (2.0 * np.pi) - 1.0) < 0.05
    return End("H", float(value), np.array(state)) if is_within and is_ahead and same else None


def _homoclinic(family: Family, orbit: Orbit, change: Orbit) -> End | None:
    slowest = _slowest(orbit)
    saddle = _equilibrium(family, slowest, orbit.value)
    if saddle is None or np.max(np.abs(saddle - slowest) / extents(orbit)) > _CLOSE:
        return None
    rates = np.linalg.eigvals(family.A(np.append(saddle, orbit.value))).real
    if not rates.min() < 0.0 < rates.max():
        return None
    left = change.value / change.period / np.min(np.abs(rates))
    return End("HOM", orbit.value + float(left), saddle)


def _snic(family: Family, orbit: Orbit, change: Orbit) -> End | None:
    slowest = _slowest(orbit)
    found = refine_fold(family, np.append(slowest, orbit.value))
    if found is None:
        return None
    state, value = found[:-1], float(found[-1])
    left = orbit.value - value
    expected = -0.5 * orbit.period * change.value / change.period  # of T like |p - p_c|^(-1/2)
    is_near = bool(np.max(np.abs(state - slowest) / extents(orbit)) < 0.1)
    return End("SNIC", value, state) if is_near and abs(left - expected) < 0.2 * abs(left) else None


def _slowest(orbit: Orbit) -> State:
    """Where the cycle lingers, at the Gauss points."""
    values = pieces(orbit.nodes)
    slope = (
        np.einsum("kj,ijn->ikn", SLOPE, values / extents(orbit))
        / np.diff(orbit.mesh)[:, None, None]
    )
    i, k = np.unravel_index(np.argmin(np.linalg.norm(slope, axis=2)), slope.shape[:2])
    return VALUE[k] @ values[i]


def _equilibrium(family: Family, state: State, value: float) -> State | None:
    """The equilibrium near a state, if Newton's method finds one."""

    def system(x: State) -> tuple[State, np.ndarray]:
        u = np.append(x, value)
        return family.field(u), family.A(u)

    return newton(system, state)
