"""`dd.statistics`: rates, regularity, correlations and spectra of all spikes of a run.

    s = dd.statistics("runs/a")["E"]
    s.rate, s.cv, s.correlation, s.frequency, s.power

The spikes are read once, in pieces, in the order of their steps: a run may be larger than memory.
Of several ranks each reads a part of the time, and their sums are joined.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from distdyn.analysis.statistics.sums import Intervals, Pairs, Spectrum
from distdyn.errors import AnalysisError
from distdyn.parallel import launch
from distdyn.random import stream_key, uniform
from distdyn.run.agreement import agreed, check_common
from distdyn.run.load import load
from distdyn.run.recording import Recording
from distdyn.run.rows import Rows
from distdyn.run.stream import together
from distdyn.units import shown, to_steps

NEURONS = 1 << 16  # of which ranks tell each other their first and last spikes at once


@dataclass(frozen=True, eq=False, repr=False)
class Statistics:
    """Of the spikes of one population.

    Attributes:
        window: first and last time, ms.
        rate: of each neuron, Hz.
        cv: of each neuron, the coefficient of variation of its intervals; NaN of fewer than two.
        sample: the neurons whose correlations are known.
        correlation: of the counts of each two of these, i < j; NaN where one's counts are constant.
        frequency: Hz.
        power: of the mean rate of the population at these, Hz^2 / Hz.
    """

    window: tuple[float, float]
    rate: Float64[np.ndarray, "n"]
    cv: Float64[np.ndarray, "n"]
    sample: Int64[np.ndarray, "k"]
    correlation: Float64[np.ndarray, "p"]
    frequency: Float64[np.ndarray, "f"]
    power: Float64[np.ndarray, "f"]

    def __repr__(self) -> str:
        start, stop = self.window
        return "\n".join(
            [
                f"Statistics of {len(self.rate)} neurons, {start:g} to {stop:g} ms",
                f"  rate         {_summary(self.rate)} Hz",
                f"  cv           {_summary(self.cv)}",
                f"  correlation  {_summary(self.correlation)} of {len(self.sample)} neurons",
            ]
        )


class Plan(NamedTuple):
    """What is measured, in steps."""

    start: int
    stop: int
    dt: float
    width: int  # of the bins of correlations
    bin: int  # of those of the spectrum
    length: int  # bins of a segment
    sample: int
    seed: int
    block: int | None  # spikes that are held at once

    @property
    def segments(self) -> int:
        """Of the spectrum."""
        bins = (self.stop - self.start) // self.bin
        return (bins - self.length) // Spectrum.hop(self.length) + 1

    @property
    def hop(self) -> int:
        """Steps from one segment to the next."""
        return Spectrum.hop(self.length) * self.bin

    def share(self, rank: int, size: int) -> tuple[int, int]:
        """The steps of one rank: cut where bins of correlations end."""
        cuts = [
            self.start + (self.stop - self.start) * k // size // self.width * self.width
            for k in range(size)
        ]
        cuts.append(self.stop)
        return cuts[rank], cuts[rank + 1]

    def own_segments(self, first: int, last: int) -> tuple[int, int]:
        """The segments that begin after these steps: number of the first one, and how many."""
        a, b = (
            min(max(-(-(step - self.start) // self.hop), 0), self.segments)
            for step in (first, last)
        )
        return a, b - a


def statistics(
    run: Any,
    populations: Any = None,
    *,
    window: tuple[float, float] | None = None,
    width: float = 10.0,
    sample: int = 200,
    bin: float = 1.0,
    resolution: float = 1.0,
    seed: int = 0,
    block: int | None = None,
) -> dict[str, Statistics]:
    """Statistics of all spikes of a run, by population.

    Definitions are those of `measure.rates`, `cv`, `count_correlation` and `power`.

    Collective.

    Args:
        run: the directory of a run; or a recording, of one rank or gathered.
        populations: their paths; by default all that were recorded.
        window: first and last time, ms; by default all.
        width: of the bins in which spikes are counted for correlations, ms.
        sample: of how many neurons correlations are taken, drawn once for each population.
        bin: of the bins in which spikes are counted for the spectrum, ms.
        resolution: of the spectrum, Hz; coarser where the window is shorter than its inverse.
        seed: of the draw of the sample.
        block: how many spikes are held at once, about.

    Returns:
        By path, on all ranks.

    Raises:
        AnalysisError: there are no spikes to read, or the window or a width is not possible.
        RunDirectoryError: the directory cannot be read.
    """
    world = launch.world()
    with agreed(world):
        recording = recorded(run)
        paths = paths_of(recording, populations)
        plan = _plan(recording, window, width, sample, bin, resolution, seed, block)
    check_common(world, paths=paths, plan=plan, sizes=dict(recording.sizes))
    return {path: _of_population(recording, path, plan, world) for path in paths}


def recorded(run: Any) -> Recording:
    """The recording of a directory, or the one that was given."""
    if isinstance(run, str | os.PathLike):
        return load(run)
    if not isinstance(run, Recording):
        raise AnalysisError(f"run = {shown(run)} is no recording. Give the directory of a run.")
    if run._share is not None:
        raise AnalysisError(
            "this recording is the share of one rank of several. Run with out=..., and give that "
            "directory."
        )
    return run


def paths_of(recording: Recording, populations: Any) -> list[str]:
    """The populations that are asked for, if their spikes were recorded."""
    known = list(recording.spike_rows)
    asked = [populations] if isinstance(populations, str) else populations
    paths = known if asked is None else list(asked)
    for path in paths:
        if path not in known:
            raise recording._no_spikes(path)
    if not paths:
        raise AnalysisError('no spikes were recorded. Run again with record="spikes".')
    return paths


def _plan(
    recording: Recording,
    window: Any,
    width: float,
    sample: int,
    bin: float,
    resolution: float,
    seed: int,
    block: int | None,
) -> Plan:
    dt, t0 = recording.dt, recording.header.t0
    start, stop = recording.start, recording.stop
    if window is not None:
        part = recording.between(*window)
        start, stop = part.start, part.stop
    steps = stop - start
    bins, widths = (
        int(to_steps(x, dt, name, error=AnalysisError))
        for x, name in ((bin, "bin"), (width, "width"))
    )
    for name, number in (("width", widths), ("bin", bins)):
        if number < 1 or steps < 2 * number:
            raise AnalysisError(
                f"{name} of {number * dt:g} ms: the window, {t0 + start * dt:g} to "
                f"{t0 + stop * dt:g} ms, has not two of them. Use a smaller one > 0."
            )
    if sample < 2 or not resolution > 0 or (block is not None and block < 1):
        raise AnalysisError(
            f"sample = {sample}, resolution = {resolution:g} Hz, block = {block}: at least 2 "
            "neurons, a resolution > 0 and a block of 1 or more are needed."
        )
    length = max(2, min(round(1e3 / (bins * dt) / resolution), steps // bins))
    return Plan(start, stop, dt, widths, bins, length, sample, seed, block)


def _of_population(recording: Recording, path: str, plan: Plan, world: launch.World) -> Statistics:
    """One pass over the spikes of a population that this rank reads, and the sums of all."""
    n = recording.sizes[path]
    first, last = plan.share(world.rank, world.size)
    segment, segments = plan.own_segments(first, last)
    chosen = sampled(path, n, plan.sample, plan.seed)
    intervals = Intervals(n)
    pairs = Pairs(chosen, n, plan.start, plan.width)
    spectrum = Spectrum(
        plan.start + segment * plan.hop, plan.bin, plan.length, segments,
        1e3 / (plan.bin * plan.dt * max(1, n)), 1e3 / (plan.bin * plan.dt),
    )  # fmt: skip
    bins = (plan.stop - plan.start) // plan.width
    end = plan.start + segment * plan.hop + (segments - 1) * plan.hop + plan.length * plan.bin
    until = max(last, end) if segments else last
    with agreed(world):
        for step, id in pieces(recording.part(first, until).spike_rows[path], plan.block):
            own = int(np.searchsorted(step, last, side="right"))
            intervals.add(step[:own], id[:own])
            whole = int(np.searchsorted(step[:own], plan.start + bins * plan.width, side="right"))
            pairs.add(step[:whole], id[:whole])
            spectrum.add(step)
            world.watch.progress(int(step[-1]) if len(step) else first)
        pairs.finish()
        spectrum.finish()
    world.watch.progress(None)
    _join(intervals, world)
    pairs.sums, pairs.products = world.sum(pairs.sums), world.sum(pairs.products)
    t0 = recording.header.t0
    duration = (plan.stop - plan.start) * plan.dt
    return Statistics(
        window=(t0 + plan.start * plan.dt, t0 + plan.stop * plan.dt),
        rate=intervals.count / duration * 1e3,
        cv=intervals.cv(),
        sample=chosen,
        correlation=pairs.correlations(bins),
        frequency=spectrum.frequency,
        power=spectrum.density(world.sum(spectrum.power), plan.segments),
    )


def pieces(rows: Rows, block: int | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The spikes (step, id) of some rows, piece after piece, of whole steps."""
    for ((step, id),) in together([rows], block):
        yield step, id


def sampled(path: str, n: int, k: int, seed: int) -> Int64[np.ndarray, "k"]:
    """Which neurons of a population are looked at in pairs: a function of its name and size."""
    draws = uniform(stream_key(seed, "sample", path), np.arange(n))
    return np.sort(np.argsort(draws, kind="stable")[:k])


def _join(intervals: Intervals, world: launch.World) -> None:
    """Make the sums of each rank, over its part of the time, those of all of it. Collective.

    An interval from one part to a later one is counted by the rank on which it ends.
    """
    if world.size == 1:
        return
    for some in range(0, len(intervals.count), NEURONS):
        here = slice(some, some + NEURONS)
        every = world.allgather((intervals.first[here], intervals.last[here]))
        before = np.full_like(every[0][0], -1)
        for rank, (first, last) in enumerate(every):
            if rank == world.rank:
                crosses = (before >= 0) & (first >= 0)
                intervals.squares[here] += np.where(crosses, first - before, 0) ** 2
            before = np.where(last >= 0, last, before)
        known = [np.where(first < 0, np.iinfo(np.int64).max, first) for first, _ in every]
        earliest = np.min(known, axis=0)
        intervals.first[here] = np.where(before < 0, -1, earliest)
        intervals.last[here] = before
    intervals.count = world.sum(intervals.count)
    intervals.squares = world.sum(intervals.squares)


def _summary(values: Float64[np.ndarray, "n"]) -> str:
    known = values[np.isfinite(values)]
    if not len(known):
        return "none"
    return f"{known.mean():.4g} +- {known.std():.3g}, {known.min():.4g} to {known.max():.4g}"
