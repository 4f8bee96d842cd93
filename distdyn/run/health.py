"""Health: populations that run away are noticed while they do.

    health = Health(shard, max_rate=None)
    health.look(result)                     # after every call of `Shard.run`

A population runs away when its cells fire nearly as often as they can: each at more than 0.9 of the
steps at which it may, which come t_ref + dt apart (2 dt where nothing is reset). The first time
that is a warning. Firing faster than `max_rate`, if one is given, is an error.

Rates are means over all cells of a population, on all ranks, and over windows of 20 ms that begin
at multiples of 20 ms: they do not depend on how a run is cut. Populations of one model count as one
where their spikes are not recorded. Sources fire as they are told and are left alone.
"""

import warnings
from typing import Any, NamedTuple

import numpy as np

from distdyn.errors import ParameterError, SimulationError
from distdyn.network.distributions import Distribution
from distdyn.parallel.groups import Group
from distdyn.parallel.result import ChunkResult
from distdyn.parallel.shard import Shard
from distdyn.units import shown

WINDOW = 20.0  # ms
NEARLY = 0.9  # of the spikes that are possible

Paths = tuple[str, ...]


class Health:
    """Looks at how fast the cells of a shard fire.

    Args:
        shard: whose.
        max_rate: Hz; None: any rate is allowed.
    """

    def __init__(self, shard: Shard, max_rate: float | None) -> None:
        self._shard, self._max_rate = shard, max_rate
        self._window = max(1, round(WINDOW / shard.setting.dt))  # steps
        self._begun: dict[Paths, int] = {}  # spikes in the window that is under way
        self._warned: set[Paths] = set()
        self._kinds: dict[Paths, _Kind] = {}

    def look(self, result: ChunkResult) -> None:
        """Judge the windows that ended in these steps. Collective.

        Raises:
            SimulationError: on all ranks; a population fires faster than `max_rate`.
        """
        window, start, stop = self._window, result.start, result.start + result.done
        first = start // window
        n = stop // window - first
        index = np.arange(start, stop) // window - first  # of the step start + 1, ...
        counts = {}
        for paths, count in self._counts(result).items():
            sums = np.bincount(index, weights=count, minlength=n + 1).astype(np.int64)
            sums[0] += self._begun.get(paths, 0)
            counts[paths], self._begun[paths] = sums[:n], int(sums[n])
        self._begun = {paths: self._begun[paths] for paths in counts}
        if n and self._shard.world.max(int(self._is_fast(counts))):
            self._judge(counts, first)

    def _counts(self, result: ChunkResult) -> dict[Paths, np.ndarray]:
        """Our spikes at each step, by population as far as they are told apart."""
        found: dict[Paths, np.ndarray] = {}
        for group in self._shard.groups:
            if not _fires_by_itself(group):
                continue
            if len(group.paths) > 1 and all(path in result.spikes for path in group.paths):
                for path in group.paths:
                    step = result.spikes[path][0] - result.start - 1
                    found[(path,)] = np.bincount(step, minlength=result.done)
            else:
                found[group.paths] = result.counts[group.index]
        return found

    def _kind(self, paths: Paths) -> "_Kind":
        if paths not in self._kinds:
            populations = [self._shard.graph.populations[path] for path in paths]
            size = sum(population.size for population in populations)
            dt = self._shard.setting.dt
            most = sum(
                population.size * _possible(population.model, dt) for population in populations
            )
            mine = sum(len(self._shard.owned(path)) for path in paths)
            self._kinds[paths] = _Kind(size, mine, most / max(1, size))
        return self._kinds[paths]

    def _limit(self, paths: Paths) -> float:
        """The rate beyond which something is said, Hz."""
        limits = [self._max_rate] if self._max_rate is not None else []
        limits += [NEARLY * self._kind(paths).most] if paths not in self._warned else []
        return min(limits, default=np.inf)

    def _rate(self, counts: np.ndarray, cells: int) -> np.ndarray:
        """Hz, in each window."""
        return counts / (max(1, cells) * self._window * self._shard.setting.dt * 1e-3)

    def _is_fast(self, counts: dict[Paths, np.ndarray]) -> bool:
        """Whether ours alone exceed a limit: if all together do, then those of some rank."""
        return any(
            (self._rate(count, self._kind(paths).mine) > self._limit(paths)).any()
            for paths, count in counts.items()
        )

    def _judge(self, counts: dict[Paths, np.ndarray], first: int) -> None:
        """Say what is wrong with the spikes of all ranks, in windows from the `first` on."""
        world = self._shard.world
        together = world.sum(np.array(list(counts.values()), np.int64))
        for paths, count in zip(counts, together, strict=True):
            rate, kind = self._rate(count, self._kind(paths).size), self._kind(paths)
            is_beyond = self._max_rate is not None and rate.max() > self._max_rate
            fast = np.flatnonzero(rate > (self._max_rate if is_beyond else self._limit(paths)))
            if not fast.size:
                continue
            said = self._said(paths, float(rate[fast[0]]), first + int(fast[0]))
            if is_beyond:
                raise SimulationError(
                    f"{said}, faster than max_rate = {self._max_rate:g} Hz. Check weights and "
                    "inputs, or allow more."
                )
            self._warned.add(paths)
            if world.rank == 0:
                warnings.warn(
                    f"{said}: nearly as often as its cells can, every {1e3 / kind.most:.4g} ms. "
                    "Check weights and inputs; with max_rate (--max-rate) such a run ends.",
                    stacklevel=6,
                )

    def _said(self, paths: Paths, rate: float, window: int) -> str:
        names = ", ".join(f'"{path}"' for path in paths)
        plural = len(paths) > 1
        return (
            f"population{'s' * plural} {names} fire{'s' * (not plural)} at {rate:.4g} Hz at step "
            f"{(window + 1) * self._window} (mean over {WINDOW:g} ms)"
        )


class _Kind(NamedTuple):
    """What is known of some populations."""

    size: int  # cells
    mine: int  # of this rank
    most: float  # Hz, the rate that is possible


def _fires_by_itself(group: Group) -> bool:
    """Whether its cells have a threshold; others are sources, or do not spike."""
    model = group.populations[0].model
    return group.has_state and getattr(model, "V_th", None) is not None


def _possible(model: Any, dt: float) -> float:
    """The highest rate at which a cell can fire, Hz; the mean over cells that differ."""
    t_ref = getattr(model, "t_ref", dt)  # without a reset V must fall before it can rise again
    t_ref = t_ref.mean() if isinstance(t_ref, Distribution) else np.asarray(t_ref, np.float64)
    return float(np.mean(1e3 / (t_ref + dt)))


def check_rate(given: Any) -> float | None:
    """A rate in Hz that is possible, or None.

    Raises:
        ParameterError: it is not.
    """
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given < np.inf:
        raise ParameterError(f"max_rate = {shown(given)} is not possible. Use a rate > 0, in Hz.")
    return float(given)
