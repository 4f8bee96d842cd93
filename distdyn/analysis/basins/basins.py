"""Basins of attraction: to which attractor each start goes.

    basins = an.basins(box={"V": (-2.5, 2.5), "w": (-1, 1.5)}, resolution=201)
    basins.attractors                         # fixed points and limit cycles, with period
    basins.labels[i, j]                       # of V[i] and w[j]: which of them; -1 undecided
    basins.fractions                          # of the grid
    basins.boundary()                         # points between two basins, to 1e-4 of a cell
    basins.plot()

Attractors need not be known. Stable fixed points are searched for in the box; what some starts go
to otherwise is found next, then all starts of the grid are followed until an attractor has caught
them (`arrivals`). Those that none has caught may be near another one: it is found, and so on.

Source: Menck et al. (2013), Nat. Phys. 9, 89, for what fractions mean; Datseris & Wagemakers
(2022), Chaos 32, 023104, for basins without known attractors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from distdyn.analysis.basins.arrivals import DIVERGED, UNDECIDED, arrivals
from distdyn.analysis.basins.attractors import (
    Attractor,
    attracting_point,
    attractor_from,
    is_same,
    traps_of,
)
from distdyn.analysis.field import Flat
from distdyn.analysis.field.delayed import check_no_delays
from distdyn.analysis.points.fixed_points import find_fixed_points
from distdyn.analysis.points.starts import Box, Region, given_starts
from distdyn.errors import AnalysisError
from distdyn.run.store import write_arrays

MOST_VARIABLES = 300
MOST_STARTS = 20_000_000
PROBES = 128  # starts from which attractors are looked for first
PART = 0.1  # of the duration, in which attractors are looked for
TRIES = 8  # trajectories that were not caught, from which an attractor is looked for at once
HALVINGS = 14  # of a cell of the grid: 6e-5


@dataclass(frozen=True, eq=False)
class Basins:
    """A grid of starts, and where each of them goes.

    Attributes:
        names: the variables along the axes of the grid.
        axes: their values.
        labels: [first axis, second axis, ...]: the attractor of each start, or -1: undecided, or
            -2: it diverges.
        attractors: fixed points, by their coordinates, then cycles, by their period.
        flat: the field.
        follow: how starts are followed, these and those of `of` and `boundary`.
    """

    names: tuple[str, ...]
    axes: tuple[Float64[np.ndarray, "r"], ...]
    labels: Int64[np.ndarray, "..."]
    attractors: tuple[Attractor, ...]
    flat: Flat = field(repr=False)
    follow: "Followed" = field(repr=False)

    @property
    def fractions(self) -> Float64[np.ndarray, "a"]:
        """The part of the grid that goes to each attractor."""
        return np.array([np.mean(self.labels == k) for k in range(len(self.attractors))])

    @property
    def undecided(self) -> float:
        """The part of the grid that no attractor has caught in time."""
        return float(np.mean(self.labels == UNDECIDED))

    @property
    def diverged(self) -> float:
        """The part of the grid from where the state grows without bound."""
        return float(np.mean(self.labels == DIVERGED))

    def of(self, states: Any) -> Int64[np.ndarray, "m"]:
        """The labels of any states: an array [m, n], or arrays by variable.

        Raises:
            NameLookupError: there is no variable of a name.
            AnalysisError: the shape does not fit.
        """
        return self.follow.labels(given_starts(self.flat, states), self.attractors)

    def boundary(self, halvings: int = HALVINGS) -> Float64[np.ndarray, "m d"]:
        """Points of the grid's space between two basins, on the edges of its cells.

        Each is found by halving the edge between two starts of different labels; it is exact to
        2^-(halvings + 1) of the edge.
        """
        low, high = _edges(self.axes, self.labels)
        if not len(low):
            return low
        label = self._labels_at(low)
        for _ in range(halvings):
            middle = 0.5 * (low + high)
            is_low = self._labels_at(middle) == label
            low = np.where(is_low[:, None], middle, low)
            high = np.where(is_low[:, None], high, middle)
        return 0.5 * (low + high)

    def plot(self, ax: Any = None) -> Any:
        """A map of two variables, or the line of one, with the attractors; returns the figure.

        Raises:
            AnalysisError: the grid has more than two axes.
        """
        from distdyn.plot.basins import basins

        return basins(self, ax)

    def save(self, path: str | Path) -> None:
        """Write all of it to an HDF5 file; attractors as `attractor/K/x`."""
        arrays: dict[str, np.ndarray] = {"labels": self.labels}
        arrays |= {f"axes/{name}": axis for name, axis in zip(self.names, self.axes, strict=True)}
        arrays |= {f"attractor/{k}/x": a.x for k, a in enumerate(self.attractors)}
        write_arrays(
            Path(path), arrays, kind="basins", names=list(self.flat.names),
            attractors=[a.kind for a in self.attractors],
            periods=[np.nan if a.period is None else a.period for a in self.attractors],
        )  # fmt: skip

    def __repr__(self) -> str:
        size = " x ".join(str(len(axis)) for axis in self.axes)
        lines = [f"basins of {self.flat.about.name}, {size} starts over {', '.join(self.names)}"]
        lines += [
            f"  {part:.4f} {attractor!r}"
            for part, attractor in zip(self.fractions, self.attractors, strict=True)
        ]
        others = {"undecided": self.undecided, "diverges": self.diverged}
        return "\n".join([*lines, *(f"  {part:.4f} {n}" for n, part in others.items() if part)])

    def _labels_at(self, at: Float64[np.ndarray, "m d"]) -> Int64[np.ndarray, "m"]:
        x = np.tile(self.follow.origin, (len(at), 1))
        x[:, [self.flat.index(name) for name in self.names]] = at
        return self.follow.labels(x, self.attractors)


@dataclass(frozen=True, eq=False)
class Followed:
    """How starts are followed.

    Attributes:
        flat: the field.
        origin: the state of what the grid does not move.
        unit: of the variables.
        middle: of the box.
        duration: ms, at most.
        devices: that share the starts.
    """

    flat: Flat
    origin: Float64[np.ndarray, "n"]
    unit: Float64[np.ndarray, "n"]
    middle: Float64[np.ndarray, "n"]
    duration: float
    devices: Sequence[Any]

    def __call__(
        self,
        x: Float64[np.ndarray, "m n"],
        attractors: Sequence[Attractor],
        part: float = 1.0,
    ) -> tuple[Int64[np.ndarray, "m"], Float64[np.ndarray, "m n"]]:
        """The labels of some starts, and their last states, after a part of the duration."""
        traps, owner = traps_of(attractors, self.unit, self.middle)
        found = arrivals(self.flat, x, self.unit, traps, part * self.duration, self.devices)
        is_caught = found.label >= 0
        label = np.where(is_caught, np.array(owner)[np.maximum(found.label, 0)], found.label)
        return label, found.x

    def labels(
        self, x: Float64[np.ndarray, "m n"], attractors: Sequence[Attractor]
    ) -> Int64[np.ndarray, "m"]:
        """The labels of some starts."""
        return self(x, attractors)[0]


def find_basins(
    flat: Flat,
    box: Box,
    *,
    resolution: int | Sequence[int],
    fixed: Mapping[str, Any] | None,
    duration: float,
    devices: Sequence[Any],
) -> Basins:
    """The basins of a flow over a grid of starts.

    Args:
        flat: the field.
        box: the variables of the grid with their ranges.
        resolution: points along each axis of the grid.
        fixed: with which the others start; by default as the model does.
        duration: ms until a start is undecided.
        devices: that share the starts.

    Raises:
        NameLookupError: there is no variable of a name.
        AnalysisError: it is a map, is reset, or too large; the box or the resolution do not fit.
    """
    _check(flat, duration)
    origin, region = flat.flatten(dict(fixed or {})), Region.of(flat, box)
    axes, x = _grid(flat, region, box, resolution, origin)
    searched = region.points(origin, None, 0)
    unit = region.unit(np.maximum(np.ptp(searched, axis=0), np.maximum(np.abs(origin), 1e-3)))
    middle = np.where(region.is_bounded, 0.5 * (x.min(axis=0) + x.max(axis=0)), origin)
    follow = Followed(flat, origin, unit, middle, float(duration), devices)
    known = _stable_points(follow, searched, region)
    probes = x[:: max(1, len(x) // PROBES)]
    known = _further(follow, probes, *follow(probes, known, PART), known)[0]
    known, label = _further(follow, x, *follow(x, known), known)
    known, label = _sorted(known, label)
    shape = tuple(len(axis) for axis in axes)
    return Basins(tuple(box), axes, label.reshape(shape), tuple(known), flat, follow)


def _stable_points(follow: Followed, x: Any, region: Region) -> list[Attractor]:
    """The stable fixed points in the box, wherever the variables are that it does not name."""
    found = find_fixed_points(follow.flat, x, region, devices=follow.devices)
    points = [attracting_point(follow.flat, row, follow.unit) for row in found.x]
    return [point for point in points if point is not None]


def _further(
    follow: Followed, x: Any, label: Any, end: Any, known: list[Attractor]
) -> tuple[list[Attractor], Any]:
    """Attractors of starts that were not caught, and what they catch."""
    label, known = label.copy(), list(known)
    while (label == UNDECIDED).any():
        (left,) = np.nonzero(label == UNDECIDED)
        new = _one_more(follow, x[left], known)
        if new is None:
            break
        known.append(new)
        label[left], end[left] = follow(end[left], known, PART)
    return known, label


def _one_more(follow: Followed, starts: Any, known: list[Attractor]) -> Attractor | None:
    """An attractor that is not known, of one of some starts, whoever has followed them."""
    for x in starts[:: max(1, len(starts) // TRIES)][:TRIES]:
        new = attractor_from(follow.flat, x, follow.unit, PART * follow.duration)
        if new is not None and not any(is_same(new, other, follow.unit) for other in known):
            return new
    return None


def _sorted(known: list[Attractor], label: Any) -> tuple[list[Attractor], Any]:
    """Fixed points first, by coordinates; cycles by their period."""
    order = sorted(
        range(len(known)), key=lambda k: (known[k].period or 0.0, *np.round(known[k].x[0], 9))
    )
    rank = np.argsort(order).astype(np.int64) if order else np.zeros(1, np.int64)
    return [known[k] for k in order], np.where(label >= 0, rank[np.maximum(label, 0)], label)


def _grid(
    flat: Flat, region: Region, box: Box, resolution: int | Sequence[int], origin: Any
) -> tuple[tuple[Float64[np.ndarray, "r"], ...], Float64[np.ndarray, "m n"]]:
    """The axes, and the starts with the last axis running fastest."""
    counts = [resolution] * len(box) if isinstance(resolution, int) else [*resolution]
    wrong = [name for name in box if name not in flat.names]
    if wrong:
        raise AnalysisError(
            f'basins: "{wrong[0]}" is an array, and an axis of the grid is one number. Name an '
            f'entry of it: "{wrong[0]}[0]".'
        )
    if len(counts) != len(box) or min(counts) < 2 or np.prod(counts, dtype=float) > MOST_STARTS:
        raise AnalysisError(
            f"basins: a resolution of {resolution} in {len(box)} variables. Give a number from 2 "
            f"on, or one per variable; {MOST_STARTS:,} starts at most."
        )
    columns = [flat.index(name) for name in box]
    axes = tuple(
        np.linspace(region.low[k], region.high[k], count)
        for k, count in zip(columns, counts, strict=True)
    )
    x = np.tile(origin, (int(np.prod(counts)), 1))
    x[:, columns] = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    return axes, x


def _edges(axes: Any, labels: Any) -> tuple[Any, Any]:
    """The two ends of each edge of the grid whose labels differ."""
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    low, high = [], []
    for axis in range(len(axes)):
        first = np.moveaxis(labels, axis, 0)
        place = np.moveaxis(grid, axis, 0)
        differs = first[1:] != first[:-1]
        low.append(place[:-1][differs])
        high.append(place[1:][differs])
    return np.concatenate(low), np.concatenate(high)


def _check(flat: Flat, duration: float) -> None:
    what = flat.about.name
    check_no_delays(flat.about, "basins")
    if not flat.is_continuous:
        raise AnalysisError(f"basins: {what} is a map. Give a model that has a derivative.")
    if flat.about.threshold is not None:
        raise AnalysisError(
            f"basins: {what} is reset at its threshold, and trajectories jump there. Analyse a "
            "model that spikes without reset, or run `dd.sweep` over its initial state."
        )
    if flat.n > MOST_VARIABLES:
        raise AnalysisError(
            f"basins: {what} has {flat.n} variables. Give a system of at most {MOST_VARIABLES}."
        )
    if not (np.isfinite(duration) and duration > 0.0):
        raise AnalysisError(f"basins: duration = {duration} ms. Give a finite number > 0.")
