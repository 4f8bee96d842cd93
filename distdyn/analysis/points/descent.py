"""Down the speed of a system, from many states, to where it is slow.

    q(x) = |F(x)|^2 / 2   of a flow,        q(x) = |F(x) - x|^2 / 2   of a map

Each search is one of its own (`roots`), and all equations count alike in it. It stops twice: where
it is slow for the first time, and in the minimum. A point that lies near the minimum to which it
leads says nothing new; one that is slow far from its minimum may be on a line that drifts.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float64

from distdyn.analysis.field import Flat
from distdyn.analysis.points.polish import SAME, distinct
from distdyn.analysis.points.roots import (
    MOST_DENSE,
    MOST_NUMBERS,
    Roots,
    cut,
    lanes_for,
    linearised,
    roots,
)
from distdyn.analysis.sharing import Ranks

FIXED = 1e-10  # |F|, in the units of the equations, that counts as 0
SAME_SLOW = 1e-3  # of the unit: minima other than 0, as near, are one
APART = 1e-2  # of the unit: points of a line that drifts


@dataclass(frozen=True, eq=False)
class Descent:
    """Searches for minima of q, all alike."""

    flat: Flat
    p: Float64[np.ndarray, "p"]
    devices: Sequence[Any]
    unit: Float64[np.ndarray, "n"]  # of the variables
    row: float  # 1 / the unit of F
    ranks: Ranks

    @classmethod
    def of(cls, flat: Flat, states: Any, p: Any, devices: Sequence[Any], ranks: Ranks) -> "Descent":
        """What is typical of these states. All equations count alike, so that q is what falls."""
        unit = _unit(flat, states)
        sample = states[:: max(1, len(states) // 8)][:8]
        if flat.n <= MOST_DENSE:
            _, jacobians = linearised(flat.residual, sample, np.tile(p, (len(sample), 1)))
            size = np.linalg.norm(jacobians * unit, axis=2)
        else:
            size = np.abs(_values(flat, sample, p))
        size = size[np.isfinite(size) & (size > 0)]
        row = 1.0 / float(np.median(size)) if len(size) else 1.0
        return cls(flat, p, devices, unit, row, ranks)

    def __call__(self, x: Float64[np.ndarray, "m n"], slow: float = 0.0) -> Any:
        """Where searches end, the first time that q <= slow, and whether q is 0 there."""
        n, g = self.flat.n, self.flat.spread or self.flat.residual
        rows, enough = np.full(n, self.row), self.row * np.sqrt(2.0 * slow)
        pieces, lanes = cut(n, len(x), self.ranks.size), lanes_for(n, len(x))
        each = pieces[0].stop if pieces else 0

        def ended(where: slice) -> Roots:
            part = x[where]
            room = np.repeat(part[:1], each - len(part), axis=0)  # one program for all pieces
            found = roots(
                g, np.concatenate([part, room]), np.tile(self.p, (each, 1)), self.unit,
                self.devices, rows=rows, enough=enough, lanes=lanes,
            )  # fmt: skip
            return Roots(*(a[: len(part)] for a in found))

        found = list(self.ranks.done([partial(ended, where) for where in pieces]))
        if not found:
            return x, np.zeros(0, bool)
        is_zero = [each.is_root | (each.residual <= FIXED) for each in found]
        return np.concatenate([each.x for each in found]), np.concatenate(is_zero)

    def q(self, x: Float64[np.ndarray, "m n"]) -> Float64[np.ndarray, "m"]:
        """The speed, infinite where it is no number."""
        if not len(x):
            return np.zeros(0)
        each = max(1, MOST_NUMBERS // self.flat.n)
        parts = [_values(self.flat, x[k : k + each], self.p) for k in range(0, len(x), each)]
        q = 0.5 * np.square(np.concatenate(parts)).sum(axis=1)
        return np.where(np.isfinite(q), q, np.inf)

    def settled(self, x: Float64[np.ndarray, "m n"], slow: float) -> Float64[np.ndarray, "m n"]:
        """The slow points to which searches lead; nan where to none."""
        ends, is_root = self(x, slow)
        return np.where((is_root | (self.q(ends) <= slow))[:, None], ends, np.nan)


class Ended(NamedTuple):
    """What all searches came to, fixed points first."""

    x: Float64[np.ndarray, "k n"]
    q: Float64[np.ndarray, "k"]
    is_fixed: Bool[np.ndarray, "k"]
    is_minimum: Bool[np.ndarray, "k"]  # else it is slow, but its search went on to another place
    n_fast: int
    n_outliers: int
    least: float  # q of all


def ended_of(search: Descent, states: Any, slow: float, far: float) -> Ended:
    """The points that are slow, differ, and are not far from the states."""
    early, _ = search(states, slow)
    late, is_fixed = search(early)
    goes_on = np.abs((early - late) / search.unit).max(axis=1) > APART
    goes_on &= search.q(early) <= slow
    x = np.concatenate([late, early[goes_on]])
    is_minimum = np.arange(len(x)) < len(late)
    is_fixed = np.concatenate([is_fixed, np.zeros(goes_on.sum(), bool)])
    q = search.q(x)
    center = states.mean(axis=0)
    away, of_states = (np.linalg.norm((a - center) / search.unit, axis=1) for a in (x, states))
    is_slow = is_fixed | (q <= slow)
    is_near = ~(away > far * max(float(of_states.max()), 1.0))  # 1: of a single state
    if search.flat.about.threshold is not None:  # beyond, a cell is reset
        name, value = search.flat.about.threshold
        is_near &= x[:, search.flat.index(name)] < value
    kept = np.concatenate([
        part[distinct(x[part] / search.unit, tolerance)]
        for chosen, tolerance in (
            (is_fixed, SAME), (is_minimum & ~is_fixed, SAME_SLOW), (~is_minimum, APART)
        )
        for part in [np.flatnonzero(chosen & is_slow & is_near)]
    ])  # fmt: skip
    kept = kept[np.lexsort((*np.round(x[kept] / search.unit, 6).T[::-1], ~is_fixed[kept]))]
    return Ended(
        x[kept], q[kept], is_fixed[kept], is_minimum[kept], int((is_minimum & ~is_slow).sum()),
        int((is_minimum & is_slow & ~is_near).sum()), float(q.min()),
    )  # fmt: skip


def _unit(flat: Flat, states: Float64[np.ndarray, "s n"]) -> Float64[np.ndarray, "n"]:
    """By how much each variable changes among the states, at most; one number for an array."""
    spread, size = (flat.unflatten(a) for a in (np.ptp(states, axis=0), np.abs(states).max(axis=0)))
    unit = {
        name: np.full(shape, spread[name].max() or size[name].max() or 1.0)
        for name, shape in flat.shapes.items()
    }
    return flat.flatten(unit)


def _values(flat: Flat, x: Float64[np.ndarray, "m n"], p: Any) -> Float64[np.ndarray, "m n"]:
    """F, or F - x of a map, at some points."""
    if flat.spread is not None:
        return flat.spread.values(x, p)
    return np.asarray(_at_each(flat.residual, x, p))


@functools.partial(jax.jit, static_argnames=("g",))
def _at_each(g: Any, x: Any, p: Any) -> Any:
    return jax.vmap(lambda x: g(x, p))(x)
