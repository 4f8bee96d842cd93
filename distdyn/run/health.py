"""Health: populations that run away are noticed while they do.

    health = Health(max_rate=None)
    health.look(shard, result)              # after every call of `Shard.run`

A population runs away when its cells fire nearly as often as they can: each at more than 0.9 of the
steps at which it may, which come t_ref + dt apart (2 dt where nothing is reset). The first time
that is a warning. Firing faster than `max_rate`, if one is given, is an error.

Rates are means over all cells of a population, on all ranks, and over windows of 20 ms that begin
at multiples of 20 ms: they do not depend on how a run is cut. Populations of one model count as one
where their spikes are not recorded. Sources fire as they are told and are left alone.
"""

import warnings
from typing import Any

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
    """Looks at how fast the cells of a run fire.

    Args:
        max_rate: Hz; None: any rate is allowed.
    """

    def __init__(self, max_rate: float | None) -> None:
        self._max_rate = max_rate
        self._stop = 0  # the step up to which we have seen the run
        self._begun: dict[Paths, int] = {}  # spikes in the window that is under way
        self._warned: set[Paths] = set()

    def look(self, shard: Shard, result: ChunkResult) -> None:
        """Judge the windows that ended in these steps. Collective.

        Raises:
            SimulationError: on all ranks; a population fires faster than `max_rate`.
        """
        start, stop = result.start, result.start + result.done
        steps = _window(shard)
        first = start // steps
        n = stop // steps - first  # windows that have ended
        window = np.arange(start, stop) // steps - first  # of the steps start + 1, ..., stop
        begun = self._begun if start == self._stop else {}
        self._stop, self._begun = stop, {}
        found = []
        for paths, count in _spikes(shard, result).items():
            sums = np.bincount(window, weights=count, minlength=n + 1).astype(np.int64)
            sums[0] += begun.get(paths, 0)
            self._begun[paths] = int(sums[n])
            found.append((paths, sums[:n]))
        if n and shard.world.max(int(any(self._is_fast(shard, *each) for each in found))):
            together = shard.world.sum(np.array([counts for _, counts in found]))
            for (paths, _), counts in zip(found, together, strict=True):
                self._judge(shard, paths, counts, first)

    def _is_fast(self, shard: Shard, paths: Paths, counts: np.ndarray) -> bool:
        """Whether ours alone exceed a limit: if those of all do, then those of some rank."""
        mine = sum(shard.owned_count(path) for path in paths)
        return bool((_rates(shard, counts, mine) > self._limit(shard, paths)).any())

    def _limit(self, shard: Shard, paths: Paths) -> float:
        """The rate beyond which something is said, Hz."""
        limits = [self._max_rate] if self._max_rate is not None else []
        limits += [NEARLY * _most(shard, paths)] if paths not in self._warned else []
        return min(limits, default=np.inf)

    def _judge(self, shard: Shard, paths: Paths, counts: np.ndarray, first: int) -> None:
        """Say what is wrong with the spikes of all ranks, in windows from the `first` on."""
        rates = _rates(shard, counts, _size(shard, paths))
        limit = self._limit(shard, paths)
        is_beyond = self._max_rate is not None and rates.max() > self._max_rate
        fast = np.flatnonzero(rates > (self._max_rate if is_beyond else limit))
        if not fast.size:
            return
        end = (first + int(fast[0]) + 1) * _window(shard)
        said = (
            f"population{'s' * (len(paths) > 1)} {', '.join(map(_quoted, paths))}: "
            f"{rates[fast[0]]:.4g} Hz at step {end} (mean over {WINDOW:g} ms)"
        )
        if is_beyond:
            raise SimulationError(
                f"{said}, more than max_rate = {self._max_rate:g} Hz. Check weights and inputs, or "
                "allow more."
            )
        self._warned.add(paths)
        if shard.world.rank == 0:
            warnings.warn(
                f"{said}, nearly as much as is possible with a spike every "
                f"{1e3 / _most(shard, paths):.4g} ms. Check weights and inputs; with max_rate "
                "(--max-rate) such a run ends.",
                stacklevel=7,
            )


def _spikes(shard: Shard, result: ChunkResult) -> dict[Paths, np.ndarray]:
    """Our spikes at each step, by population as far as they are told apart."""
    found: dict[Paths, np.ndarray] = {}
    for group in shard.groups:
        if not _fires_by_itself(group):
            continue
        if len(group.paths) > 1 and all(path in result.spikes for path in group.paths):
            for path in group.paths:
                step = result.spikes[path][0] - result.start - 1
                found[(path,)] = np.bincount(step, minlength=result.done)
        else:
            found[group.paths] = result.counts[group.index]
    return found


def _rates(shard: Shard, counts: np.ndarray, cells: int) -> np.ndarray:
    """Hz, of so many cells in each window."""
    return counts / (max(1, cells) * _window(shard) * shard.setting.dt * 1e-3)


def _window(shard: Shard) -> int:
    """The steps of a window."""
    return max(1, round(WINDOW / shard.setting.dt))


def _size(shard: Shard, paths: Paths) -> int:
    return sum(shard.graph.populations[path].size for path in paths)


def _most(shard: Shard, paths: Paths) -> float:
    """The rate that is possible, Hz."""
    populations = [shard.graph.populations[path] for path in paths]
    sums = sum(p.size * _possible(p.model, shard.setting.dt) for p in populations)
    return sums / max(1, _size(shard, paths))


def _quoted(path: str) -> str:
    return f'"{path}"'


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
