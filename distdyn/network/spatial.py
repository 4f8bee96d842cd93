"""The rules of space: DistanceDependent and Grid, which list the sources of each post neuron."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import gamma, inf, isqrt, pi, sqrt
from typing import Any, ClassVar, NamedTuple

import numpy as np

from distdyn.errors import RuleError
from distdyn.network.ends import Ends
from distdyn.network.population import View
from distdyn.network.profiles import AbstractProfile
from distdyn.network.rule import (
    HELD,
    AbstractPairRule,
    Key,
    Listing,
    Part,
    is_number,
    posts_of,
    upper,
)
from distdyn.network.space import (
    Near,
    check_space,
    extent_of,
    farthest,
    name_of,
    positions_at,
    positions_of,
    values_at,
)
from distdyn.units import shown

NO_KEY = np.uint64(0), np.uint64(0)  # where nothing is drawn
EXACT = 1 << 22  # pairs up to which all are summed to know degrees
BINS, NEAR_BINS = 1 << 16, 800  # in all, and in reach of one
SAMPLES = 1 << 12  # intervals of distance at whose ends a profile's largest values are looked for


@dataclass(frozen=True, repr=False)
class DistanceDependent(AbstractPairRule):
    """Every pair is connected with a probability that depends on its distance, independently.

    p(d) = min(1, max(0, profile(d))) for d <= cutoff, else 0

        dd.DistanceDependent(dd.profiles.Gaussian(sigma=200.), cutoff=600.)
        dd.DistanceDependent(lambda d: 0.3 * (d < 100.), cutoff=100.)

    Both ends need positions in one space. Only pairs within the cutoff are looked at; without one,
    all pairs whose probability is not below 2^-63, which for any other function are all there are.

    Args:
        profile: one of `dd.profiles`, or a function of an array of distances (um).
        cutoff: um, > 0; None: none.
        autapses: whether a neuron may be connected with itself, at the distance 0.
    """

    profile: Callable[[np.ndarray], np.ndarray]
    cutoff: float | None = None
    autapses: bool = field(default=True, kw_only=True)
    is_drawn: ClassVar[bool] = True
    is_uniform: ClassVar[bool] = False

    def __post_init__(self):
        if not callable(self.profile):
            raise RuleError(
                f"DistanceDependent: profile = {shown(self.profile)} is no function of distance. "
                "Give one of dd.profiles, or a function of an array (um)."
            )
        if self.cutoff is not None and (not is_number(self.cutoff) or not self.cutoff > 0):
            raise RuleError(
                f"DistanceDependent: cutoff = {shown(self.cutoff)} um is not positive. Give a "
                "distance > 0, or None."
            )

    def __repr__(self) -> str:
        cutoff = "" if self.cutoff is None else f", cutoff={self.cutoff:g}"
        autapses = "" if self.autapses else ", autapses=False"
        return f"DistanceDependent({name_of(self.profile)}{cutoff}{autapses})"

    @property
    def reach(self) -> float:
        """A distance (um) beyond which no pair is connected."""
        ends = self.profile.reach if isinstance(self.profile, AbstractProfile) else inf
        return ends if self.cutoff is None else min(ends, float(self.cutoff))

    def probability(self, distance: np.ndarray) -> np.ndarray:
        """p(d) at each distance (um) within reach."""
        return np.clip(values_at(self.profile, distance, repr(self)), 0.0, 1.0)

    def check(self, ends: Ends, where: str) -> None:
        check_space(ends, where)

    def expected(self, ends: Ends) -> float:
        return self._degrees(ends).expected

    def bound(self, ends: Ends, part: Part | None = None) -> int:
        pairs, (n_pre, n_post) = ends.n_pre * ends.n_post, part or (ends.n_pre, ends.n_post)
        n = n_pre * n_post
        return upper(n, min(1.0, self.expected(ends) / pairs), n) if n else 0

    def in_degree(self, ends: Ends) -> tuple[float, float]:
        found = self._degrees(ends)
        return found.mean, sqrt(found.variance)

    def prepared(self, ends: Ends, key: Key) -> "Surroundings":
        """Where all are."""
        extent = extent_of(ends.pre[0].population)
        return Surroundings(ends, Near(positions_of(ends.pre), extent, self.reach))

    def width(self, listing: Listing) -> int:
        return listing.prepared.near.width

    def items(self, ends: Ends, blocks: np.ndarray | None) -> np.ndarray:
        return posts_of(ends, blocks)

    def targets(self, items: np.ndarray) -> np.ndarray:
        return items

    def sources(self, listing: Listing, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        from distdyn.ops import draw

        index, source, p = self._open(listing, items)
        chosen = np.empty(len(index), np.bool_)
        chance = np.rint(p * 2.0**62).astype(np.int64)
        draw.choose_pairs(listing.key, items[index], source, chance, chosen)
        return np.searchsorted(index[chosen], np.arange(len(items) + 1)), source[chosen]

    def _open(
        self, listing: Listing, items: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The pairs that can be connected: index of the item, source, probability."""
        ends, near = listing.prepared
        index, source, distance = near.of(positions_at(ends.post, items))
        if not self.autapses:
            is_other = listing.own[items[index]] != source
            index, source, distance = index[is_other], source[is_other], distance[is_other]
        return index, source, self.probability(distance)

    def _degrees(self, ends: Ends) -> "Degrees":
        """The expected synapses, and the mean and variance of the largest in-degree."""
        return ends.once(self, lambda: self._found(ends))

    def _found(self, ends: Ends) -> "Degrees":
        """The same; where there are too many pairs, of some post neurons at equal distances.

        Then the in-degree is an upper limit, by bins of space.
        """
        if not ends.n_pre or not ends.n_post:
            return Degrees(0.0, 0.0, 0.0)
        listing = self.listing(ends, NO_KEY)
        every = max(1, ends.n_post * self.width(listing) // EXACT)
        posts = np.arange(0, ends.n_post, every)
        mean, variance = np.zeros(len(posts)), np.zeros(len(posts))
        step = max(1, HELD // self.width(listing))
        for first in range(0, len(posts), step):
            some = slice(first, first + step)
            index, _, p = self._open(listing, posts[some])
            mean[some] = np.bincount(index, p, len(posts[some]))
            variance[some] = np.bincount(index, p * (1 - p), len(posts[some]))
        expected = float(mean.mean() * ends.n_post)
        if every > 1:
            limit = self._limit(ends)
            return Degrees(expected, limit, limit)
        most = np.argmax(mean + 8 * np.sqrt(variance))
        return Degrees(expected, float(mean[most]), float(variance[most]))

    def _limit(self, ends: Ends) -> float:
        """What no mean in-degree exceeds: neurons counted in bins are as near as bins let them."""
        extent, reach = extent_of(ends.pre[0].population), min(self.reach, farthest(ends))
        pre, post = positions_of(ends.pre), positions_of(ends.post)
        side = _bin_side(pre, post, reach)
        (at_pre, n_pre), (at_post, _) = _bins(pre, side), _bins(post, side)
        slack = side * sqrt(pre.shape[1])  # by so much may neurons be nearer than their bins
        near = Near(at_pre, extent, reach + slack)
        largest = _Largest(self.probability(np.linspace(0, reach, SAMPLES + 1)), reach)
        most, step = 0.0, max(1, HELD // near.width)
        for first in range(0, len(at_post), step):
            index, bin, d = near.of(at_post[first : first + step])
            means = np.bincount(index, n_pre[bin] * largest.between(d - slack, d + slack))
            most = max(most, float(means.max(initial=0.0)))
        return most


class Surroundings(NamedTuple):
    """Both ends, and what finds the pre neurons near a position."""

    ends: Ends
    near: Near


class Degrees(NamedTuple):
    """The expected synapses, and the mean and variance of the in-degree that is largest."""

    expected: float
    mean: float
    variance: float


def _bin_side(pre: np.ndarray, post: np.ndarray, reach: float) -> float:
    """The side of bins of which about 800 are in reach, but at most about 65536 there are."""
    low = np.minimum(pre.min(axis=0), post.min(axis=0))
    high = np.maximum(pre.max(axis=0), post.max(axis=0))
    d = pre.shape[1]
    ball = pi ** (d / 2) / gamma(d / 2 + 1)
    return max(reach * (ball / NEAR_BINS) ** (1 / d), *((high - low) / BINS ** (1 / d)), 1e-9)


def _bins(positions: np.ndarray, side: float) -> tuple[np.ndarray, np.ndarray]:
    """The middles of the bins in which there are neurons, and how many."""
    bins = np.floor(positions / side).astype(np.int64)
    low, shape = bins.min(axis=0), tuple(np.ptp(bins, axis=0) + 1)
    found, n = np.unique(np.ravel_multi_index(tuple((bins - low).T), shape), return_counts=True)
    return (np.stack(np.unravel_index(found, shape), axis=1) + low + 0.5) * side, n


class _Largest:
    """The largest value of a function in any interval, from its values at equal distances."""

    def __init__(self, values: np.ndarray, end: float):
        self.end, levels = max(end, 1e-9), [values]
        while 2 << (len(levels) - 1) <= len(values):  # of 2^k neighbours from each one on
            last, width = levels[-1], 1 << (len(levels) - 1)
            levels.append(np.maximum(last, np.append(last[width:], np.full(width, -inf))))
        self.table = np.stack(levels)

    def between(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """The largest of the values from the one at or before `low` to the one behind `high`."""
        n = self.table.shape[1] - 1
        first = np.clip(np.floor(low / self.end * n), 0, n).astype(np.int64)
        last = np.clip(np.ceil(high / self.end * n), 0, n).astype(np.int64)
        level = np.floor(np.log2(last - first + 1)).astype(np.int64)
        second = last - (1 << level) + 1
        return np.maximum(self.table[level, first], self.table[level, second])


@dataclass(frozen=True)
class Grid(AbstractPairRule):
    """Neurons of two-dimensional sheets are connected with their neighbours.

    With the shape (rows, columns) of both populations, the neuron at (i, j) has as sources those at

        |i - i'| + |j - j'| = 1              neighbours = 4
        max(|i - i'|, |j - j'|) <= r         neighbours = (2 r + 1)^2 - 1 = 8, 24, 48, ...

    The sheets of the two ends may be one or two of equal shape; of slices and tuples those of the
    neighbours are sources that are in the pre end.

    Args:
        neighbours: 4, 8, 24, 48, ...
        periodic: whether the last row and column are neighbours of the first.
        centre: whether the neuron at (i, j) is a source too: in a population itself, an autapse.
    """

    neighbours: int
    periodic: bool = field(default=False, kw_only=True)
    centre: bool = field(default=False, kw_only=True)
    autapses: ClassVar[bool] = True
    is_drawn: ClassVar[bool] = False
    is_uniform: ClassVar[bool] = False

    def __post_init__(self):
        n = self.neighbours
        is_whole = is_number(n) and n == int(n) and n >= 4
        if not is_whole or (n != 4 and (isqrt(int(n) + 1) ** 2 != n + 1 or n % 8)):
            raise RuleError(
                f"Grid: neighbours = {shown(n)} is not possible. Give 4, 8, 24, 48, ... "
                "(2 r + 1)^2 - 1."
            )
        vars(self).update(neighbours=int(n))

    @property
    def radius(self) -> int:
        """How many rows and columns away neighbours are at most."""
        return 1 if self.neighbours == 4 else (isqrt(self.neighbours + 1) - 1) // 2

    def check(self, ends: Ends, where: str) -> None:
        populations = [view.population for view in (*ends.pre, *ends.post)]
        shape, least = populations[0].shape, 2 * self.radius + 1
        for population in populations:
            if len(population.shape) != 2 or population.shape != shape:
                raise RuleError(
                    f"{where}: {self} joins sheets of one shape (rows, columns), but {population!r}"
                    f" has the shape {population.shape}, and {populations[0]!r} {shape}. Use "
                    "Population((rows, columns), ...)."
                )
        if self.periodic and min(shape) < least:
            raise RuleError(
                f"{where}: {self} goes around a sheet of shape {shape} and meets a neuron twice. "
                f"Use at least {least} rows and columns."
            )

    def expected(self, ends: Ends) -> float:
        if not _are_whole(ends):
            return float(len(self.rows(ends, NO_KEY)[0]))
        shape = ends.pre[0].population.shape
        if self.periodic:
            return float(ends.n_post * len(self._offsets))
        left = [np.maximum(0, n - np.abs(self._offsets[:, k])) for k, n in enumerate(shape)]
        return float(np.sum(left[0] * left[1]))

    def bound(self, ends: Ends, part: Part | None = None) -> int:
        total = int(self.expected(ends))
        n_pre, n_post = part or (ends.n_pre, ends.n_post)
        if not total or not n_pre * n_post:
            return 0
        return upper(total, n_pre * n_post / (ends.n_pre * ends.n_post), total)

    def in_degree(self, ends: Ends) -> tuple[float, float]:
        if not ends.n_pre or not ends.n_post:
            return 0.0, 0.0
        if not _are_whole(ends):
            return float(np.bincount(self.rows(ends, NO_KEY)[1], minlength=1).max()), 0.0
        rows, columns = ends.post[0].population.shape
        middle = np.array([[rows // 2, columns // 2]]) + self._offsets
        is_inside = ((middle >= 0) & (middle < (rows, columns))).all(axis=1)
        return float(len(middle) if self.periodic else is_inside.sum()), 0.0

    def prepared(self, ends: Ends, key: Key) -> Ends:
        """The ends as they are."""
        return ends

    def width(self, listing: Listing) -> int:
        return len(self._offsets) * len(listing.prepared.pre)

    def items(self, ends: Ends, blocks: np.ndarray | None) -> np.ndarray:
        return posts_of(ends, blocks)

    def targets(self, items: np.ndarray) -> np.ndarray:
        return items

    def sources(self, listing: Listing, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ends: Ends = listing.prepared
        shape = np.array(ends.pre[0].population.shape)
        index = np.stack(np.divmod(_ids_at(ends.post, items), shape[1]), axis=-1)
        index = index[:, None] + self._offsets
        if self.periodic:
            index %= shape
        is_inside = ((index >= 0) & (index < shape)).all(axis=2)
        id = np.where(is_inside, index[..., 0] * shape[1] + index[..., 1], -1)
        place = np.concatenate([x for x in _places_in(ends.pre, id)], axis=1)
        is_there = place >= 0
        return np.cumsum(np.append(0, is_there.sum(axis=1))), place[is_there]

    @property
    def _offsets(self) -> np.ndarray:
        """int64[n, 2]: rows and columns from a neuron to its neighbours."""
        steps = np.arange(-self.radius, self.radius + 1)
        found = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
        distance = np.abs(found).sum(axis=1)
        is_kept = distance <= 1 if self.neighbours == 4 else distance >= 0
        return found[is_kept & (self.centre | (distance > 0))]


def _are_whole(ends: Ends) -> bool:
    """Whether the ends are all of one population each."""
    views = *ends.pre, *ends.post
    return len(views) == 2 and all(view.size == view.population.size for view in views)


def _ids_at(views: Sequence[View], places: np.ndarray) -> np.ndarray:
    """The ids of the neurons at these places of an end."""
    edges = np.cumsum([0, *(view.size for view in views)])
    start, step = np.array([(view.start, view.step) for view in views]).T
    which = np.searchsorted(edges, places, side="right") - 1
    return start[which] + (places - edges[which]) * step[which]


def _places_in(views: Sequence[View], id: np.ndarray) -> Any:
    """For each view of an end, the places of these ids in it, -1 of those that are not there."""
    first = 0
    for view in views:
        place, rest = np.divmod(id - view.start, view.step)
        is_there = (rest == 0) & (place >= 0) & (place < view.size) & (id >= 0)
        yield np.where(is_there, first + place, -1)
        first += view.size
