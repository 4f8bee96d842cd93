"""Space: where the neurons of a population are, and how far two of them are from each other.

    Population((40, 50), model, positions=Lattice(spacing=20.))     # um; ids in C order
    Population(n, model, positions=Periodic(xy, extent=(1000., 1000.)))

Positions are part of the description: they are computed, or read, for the neurons that are asked
for. Where space is periodic, a distance is that to the nearest image.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from distdyn.errors import ParameterError, RuleError
from distdyn.network.ends import Ends
from distdyn.network.population import Population, View
from distdyn.network.positions import Lattice, Periodic
from distdyn.units import shown

FAR = 1e12  # um: farther than everything
SAMPLES = 1 << 10  # intervals of distance at whose ends a function's extremes are looked for


def positions_of(views: Sequence[View]) -> np.ndarray:
    """float64[n, d]: the positions (um) of the neurons of some views, one after the other."""
    found = [_positions(view.population, np.asarray(view.ids, np.int64)) for view in views]
    return np.concatenate(found)


def positions_at(views: Sequence[View], places: np.ndarray) -> np.ndarray:
    """float64[n, d]: the positions of the neurons at some places of an end."""
    edges = np.cumsum([0, *(view.size for view in views)])
    found = np.empty((len(places), dimension(views[0].population)))
    for k, view in enumerate(views):
        here = (edges[k] <= places) & (places < edges[k + 1])
        if here.any():
            ids = view.start + (places[here] - edges[k]) * view.step
            found[here] = _positions(view.population, ids)
    return found


def _positions(population: Population, ids: np.ndarray) -> np.ndarray:
    positions = population.positions
    if isinstance(positions, Lattice):
        return positions.at(population.shape, ids)
    array = positions.array if isinstance(positions, Periodic) else positions
    assert array is not None  # `check_space` has looked
    return array[ids]


def dimension(population: Population) -> int:
    """How many coordinates a position has."""
    positions = population.positions
    if isinstance(positions, Lattice):
        return len(population.shape)
    array = positions.array if isinstance(positions, Periodic) else positions
    assert array is not None
    return array.shape[1]


def extent_of(population: Population) -> tuple[float, ...] | None:
    """The period of space along each coordinate, um; None where it is not periodic."""
    positions = population.positions
    if isinstance(positions, Lattice):
        return positions.extent(population.shape) if positions.periodic else None
    return positions.extent if isinstance(positions, Periodic) else None


def check_space(ends: Ends, where: str) -> None:
    """Refuse ends whose neurons do not all have positions in one space."""
    populations = [view.population for view in (*ends.pre, *ends.post)]
    for population in populations:
        if population.positions is None:
            raise RuleError(
                f"{where}: distances are asked for, but {population!r} has no positions. Give "
                "Population(..., positions=Lattice(spacing=10.)) or an array, in um."
            )
    spaces = [(dimension(population), extent_of(population)) for population in populations]
    for population, space in zip(populations, spaces, strict=True):
        if space != spaces[0]:
            raise RuleError(
                f"{where}: {populations[0]!r} and {population!r} are not in one space: "
                f"{_space(spaces[0])}, and {_space(space)}. Give both as many coordinates, and the "
                "same period or none."
            )


def _space(space: tuple[int, tuple[float, ...] | None]) -> str:
    coordinates, extent = space
    period = "not periodic" if extent is None else f"with the period {extent} um"
    return f"{coordinates} coordinates, {period}"


def distances(a: np.ndarray, b: np.ndarray, extent: tuple[float, ...] | None) -> np.ndarray:
    """The distances (um) of positions a[..., d] and b[..., d]."""
    square = np.zeros(np.broadcast_shapes(a.shape, b.shape)[:-1])
    for k in range(a.shape[-1]):
        along = a[..., k] - b[..., k]
        if extent is not None:
            along -= extent[k] * np.rint(along / extent[k])
        square += along * along
    return np.sqrt(square)


def farthest(ends: Ends) -> float:
    """A distance (um) that no neuron of the one end exceeds to one of the other."""
    if not ends.n_pre or not ends.n_post:
        return 0.0
    extent = extent_of(ends.pre[0].population)
    if extent is not None:
        return float(np.sqrt(np.sum(np.square(extent)))) / 2
    boxes = [_box(view) for view in (*ends.pre, *ends.post) if view.size]
    low, high = np.min([b[0] for b in boxes], axis=0), np.max([b[1] for b in boxes], axis=0)
    return float(np.sqrt(np.sum(np.square(high - low))))


def _box(view: View) -> tuple[np.ndarray, np.ndarray]:
    """The corners of a box that contains the neurons of a view."""
    population = view.population
    if isinstance(population.positions, Lattice):
        corners = _positions(population, np.array([0, population.size - 1]))
        return corners[0], corners[1]
    positions = positions_of([view])
    return positions.min(axis=0), positions.max(axis=0)


class Near:
    """Which neurons of the pre end are no farther than `reach` from a position."""

    def __init__(self, positions: np.ndarray, extent: tuple[float, ...] | None, reach: float):
        from distdyn.ops import near_kernels

        n, d = positions.shape
        period = np.zeros(d) if extent is None else np.array(extent)
        if n and extent is None:
            low, span = positions.min(axis=0), np.ptp(positions, axis=0)
        else:
            low, span = np.zeros(d), period
            positions = positions - period * np.floor(positions / np.where(period, period, 1.0))
        reach = min(reach, FAR)
        least = np.maximum(reach / 3, span / max(1.0, n ** (1 / d)))  # no more cells than neurons
        shape = np.maximum(1, np.floor(span / np.maximum(least, 1e-12))).astype(np.int64)
        side = np.where(span > 0, span / shape, 1.0)
        cell = np.empty(n, np.int64)
        near_kernels.cell_of(positions, low, side, shape, cell)
        order = np.argsort(cell, kind="stable")
        start = np.searchsorted(cell[order], np.arange(shape.prod() + 1))
        self._space = low, side, shape, period, reach, start
        self._others = positions[order], order
        self.width = self._width(positions[:: max(1, n // 64)])

    def _width(self, some: np.ndarray) -> int:
        """About how many neurons are looked at from a position at most: from some, doubled."""
        from distdyn.ops import near_kernels

        n = len(self._others[1])
        looked_at = near_kernels.count_near(some, *self._space)
        return min(n, 1 + 2 * looked_at // max(1, len(some)))

    def of(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For all pairs of a position and a neuron near it: index, place, distance (um).

        In ascending order of the index; the order of places is a function of the position.
        """
        from distdyn.ops import near_kernels

        most = near_kernels.count_near(positions, *self._space)
        index, place, distance = np.empty(most, int), np.empty(most, int), np.empty(most)
        found = index, place, distance
        n = near_kernels.list_near(positions, *self._space, *self._others, *found)
        return index[:n], place[:n], distance[:n]


@dataclass(frozen=True, eq=False, repr=False)
class ByDistance:
    """A weight or delay that depends on how far source and target are from each other.

        delay=dd.ByDistance(lambda d: 0.5 + d / 300.)     # 0.5 ms, and 0.3 mm/ms
        weight=dd.ByDistance(dd.profiles.Gaussian(sigma=100., peak=20.))

    Both ends need positions. It is for rules that list pairs: all but `AllToAll`, `FixedProb`,
    `FixedOutdegree` and `FixedTotal`. (`DistanceDependent(lambda d: np.full_like(d, p))` is
    `FixedProb(p)` as such a rule.) Delays are rounded to the nearest step, at least one.

    Args:
        function: of an array of distances (um), a NumPy array as long. Values are kept within the
            extremes that it has at 1025 distances from 0 to the largest possible one: so the
            largest delay and weight are known before anything is drawn.
        ends: between which; the projection's own.
    """

    function: Callable[[np.ndarray], np.ndarray]
    ends: Ends | None = None

    def __post_init__(self):
        if not callable(self.function):
            raise ParameterError(
                f"ByDistance({shown(self.function)}): it is no function of distance. Give one of "
                "an array, um."
            )

    def over(self, ends: Ends) -> "ByDistance":
        """The same between these ends."""
        return replace(self, ends=ends)

    def extremes(self) -> tuple[float, float]:
        """The smallest and the largest value."""
        return self._extremes

    @cached_property
    def _extremes(self) -> tuple[float, float]:
        assert self.ends is not None
        values = self._values(np.linspace(0, farthest(self.ends), SAMPLES + 1))
        return float(values.min()), float(values.max())

    def between(self, sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """float64: the values for pairs of places in the ends."""
        ends = self.ends
        assert ends is not None
        extent = extent_of(ends.pre[0].population)
        a, b = positions_at(ends.pre, sources), positions_at(ends.post, targets)
        return np.clip(self._values(distances(a, b, extent)), *self.extremes())

    def in_steps(self, delay: Any, dt: float) -> np.ndarray:
        """Delays (ms) in steps of dt (ms), at least one."""
        return np.maximum(1.0, np.rint(np.asarray(delay) / dt)).astype(np.int64)

    def _values(self, distance: np.ndarray) -> np.ndarray:
        return values_at(self.function, distance, repr(self))

    def __repr__(self) -> str:
        return f"ByDistance({name_of(self.function)})"


def name_of(function: Callable[[np.ndarray], np.ndarray]) -> str:
    """How a function is called, in a message."""
    return getattr(function, "__name__", None) or shown(function)


def values_at(
    function: Callable[[np.ndarray], np.ndarray], distance: np.ndarray, what: str
) -> np.ndarray:
    """float64: what a function of distance gives.

    Raises:
        RuleError: not one finite number for each.
    """
    values = np.asarray(function(distance))
    if values.shape != distance.shape or values.dtype.kind not in "iuf":
        raise RuleError(
            f"{what}: of {distance.shape} distances the function makes an array of shape "
            f"{values.shape} and type {values.dtype}. Make one number of each, with NumPy."
        )
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        at = np.flatnonzero(~np.isfinite(values))[0]
        raise RuleError(
            f"{what}: at a distance of {distance[at]:g} um the function is {values[at]}. Make "
            "finite numbers."
        )
    return values
