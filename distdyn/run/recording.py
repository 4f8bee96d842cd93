"""What a run returns: spikes and traces by path, with what is needed to read them.

Where several ranks run, each holds the *share* of the neurons that it owns, and what concerns all
of them (`gather`, `counts`, `rates`, `spikes_sha256`) is collective.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64, Int64, Real, Shaped

from distdyn.errors import NameLookupError, RecordError, suggestion
from distdyn.run import collect
from distdyn.run.rows import ByPath, HeldRows, Rows, SomeRows, rows_until
from distdyn.run.spike_hash import SpikeHash, spikes_sha256
from distdyn.units import to_steps

if TYPE_CHECKING:
    from distdyn.parallel.launch import World


@dataclass(frozen=True, eq=False)
class Spikes:
    """The spikes of one population, sorted by (step, id).

    Attributes:
        step: number of the step in which each spike falls.
        time: t0 + step * dt, in ms.
        id: index of the neuron in its population.
    """

    step: Int64[np.ndarray, "s"]
    time: Float64[np.ndarray, "s"]
    id: Int64[np.ndarray, "s"]

    def __len__(self) -> int:
        return len(self.step)


@dataclass(frozen=True, eq=False)
class Trace:
    """The values of one variable over time.

    Attributes:
        time: when the samples were taken, in ms.
        id: index of the neurons in their population; of weights the place of the synapses in
            `edges()` of their projection.
        value: one row per sample, one column per neuron or synapse.
        unit: the unit of the values.
    """

    time: Float64[np.ndarray, "t"]
    id: Int64[np.ndarray, "k"]
    value: Shaped[np.ndarray, "t k"]
    unit: str

    def __len__(self) -> int:
        return len(self.time)


@dataclass(frozen=True, eq=False)
class Sampling:
    """How one variable is recorded.

    Attributes:
        id: index of the recorded neurons in their population, or of synapses in `edges()`.
        interval: steps between two samples; one is taken after each step whose number is a
            multiple of it.
        unit: the unit of the values.
        dtype: their type, an integer or a float.
    """

    id: Int64[np.ndarray, "k"]
    interval: int
    unit: str = ""
    dtype: str = "float32"


@dataclass(frozen=True, eq=False)
class Header:
    """What a recording is about, known before the run.

    Attributes:
        dt: time step in ms.
        sizes: neurons of every population of the network, by path.
        offsets: gid of the first neuron of every population.
        spikes: paths of the populations whose spikes are recorded.
        traces: how the variables are recorded, by path.
        spiking: paths of all populations that can spike; None if all of them are recorded.
        t0: time of step 0 in ms.
    """

    dt: float
    sizes: Mapping[str, int]
    offsets: Mapping[str, int]
    spikes: Sequence[str] = ()
    traces: Mapping[str, Sampling] = field(default_factory=dict)
    spiking: Sequence[str] | None = None
    t0: float = 0.0

    @property
    def is_hashable(self) -> bool:
        """Whether all spikes of the network are recorded, so that their hash means something."""
        missing = set(self.spiking or ()) - set(self.spikes)
        return bool(self.spikes) and not missing

    def time(self, step: Real[np.ndarray, "t"]) -> Float64[np.ndarray, "t"]:
        """The time of each step, in ms."""
        return self.t0 + step.astype(np.float64) * self.dt


@dataclass(frozen=True, eq=False)
class Share:
    """What one rank of several has of a recording, and what it knows of the others.

    Attributes:
        world: the ranks.
        header: of what all of them record.
        id: the neurons that this rank owns, ascending, by path of their population.
        column: which columns of each trace are of these neurons, by path of the variable.
        whole: gives, on rank 0, all that the run has written to its directory; None in memory.
        sha256: the hash of all spikes, if all ranks know it.
    """

    world: "World"
    header: Header
    id: Mapping[str, Int64[np.ndarray, "_"]]
    column: Mapping[str, Int64[np.ndarray, "_"]]
    whole: "Callable[[], Recording] | None" = None
    sha256: str | None = None

    @cached_property
    def own(self) -> Header:
        """The header of what this rank records."""
        traces = {
            path: replace(how, id=how.id[self.column[path]])
            for path, how in self.header.traces.items()
        }
        return replace(self.header, traces=traces)


@dataclass(frozen=True, eq=False, repr=False)
class Recording:
    """Spikes and traces of the steps start + 1, ..., stop of a run.

    A spike that a step from t to t + dt produces is stamped with the number and the time of its
    end; so is a sample of a variable.

    One of several ranks holds the spikes and columns of the neurons that it owns; `gather` brings
    the whole to rank 0. The private field `_share` knows the other ranks. It is None where there
    are none: for one rank, for what was gathered, loaded or unpickled.

    Attributes:
        header: what was recorded, of which network.
        start: the step number at which the recording began.
        stop: the number of its last step.
        spike_rows: the spikes by path of their population, as they are stored.
        trace_rows: the samples by path of their variable, as they are stored.
    """

    header: Header
    start: int
    stop: int
    spike_rows: Mapping[str, Rows]
    trace_rows: Mapping[str, Rows]
    _share: Share | None = None

    @property
    def dt(self) -> float:
        """Time step in ms."""
        return self.header.dt

    @property
    def duration(self) -> float:
        """Length of the recording in ms."""
        return (self.stop - self.start) * self.header.dt

    @property
    def sizes(self) -> Mapping[str, int]:
        """Neurons of every population of the network, recorded or not, by path."""
        return self.header.sizes

    @property
    def offsets(self) -> Mapping[str, int]:
        """The gid of the first neuron of every population, by path."""
        return self.header.offsets

    @cached_property
    def spikes(self) -> Mapping[str, Spikes]:
        """The spikes by path of their population: `recording.spikes["E"].time`."""
        return ByPath(list(self.spike_rows), self._read_spikes, self._no_spikes)

    @cached_property
    def traces(self) -> Mapping[str, Trace]:
        """The traces by path of their variable: `recording.traces["E.V"].value`."""
        return ByPath(list(self.trace_rows), self._read_trace, self._no_trace)

    def gather(self) -> "Recording | None":
        """The recording of all ranks on rank 0, None elsewhere.

        Collective.
        """
        share = self._share
        if share is None:
            return self
        world, header = share.world, share.header
        if share.whole is not None:
            world.barrier()  # all ranks have written
            return share.whole().part(self.start, self.stop) if world.rank == 0 else None
        spikes = {
            path: collect.gather_spikes(world, rows) for path, rows in self.spike_rows.items()
        }
        traces = {
            path: collect.gather_trace(
                world, rows, self.header.traces[path].id, header.traces[path].id,
                header.traces[path].dtype,
            )
            for path, rows in self.trace_rows.items()
        }  # fmt: skip
        if world.rank:
            return None
        return Recording(header, self.start, self.stop, spikes, traces)  # pyright: ignore

    def counts(self) -> dict[str, int]:
        """How many spikes each recorded population fired, on all ranks together.

        Collective.
        """
        if self._share is not None:
            return collect.total_counts(self._share.world, self.spike_rows)
        return {path: rows.count for path, rows in self.spike_rows.items()}

    def rates(self) -> dict[str, float]:
        """Spikes per neuron and second of each recorded population, in Hz.

        Collective.
        """
        return rates_of(self.counts(), self.sizes, self.duration)

    def spikes_sha256(self) -> str | None:
        r"""One hash of all spikes: two runs are the same if and only if it is equal.

        SHA-256 over the lines `"{step},{gid}\n"`, sorted by (step, gid), of all spiking
        populations. None if the spikes of one of them were not recorded.

        Collective.
        """
        if not self.header.is_hashable:
            return None
        share = self._share
        if share is None:
            return spikes_sha256(self.spike_rows, self.offsets)
        if share.sha256 is not None:
            return share.sha256
        offsets = [self.offsets[path] for path in self.spike_rows]
        return collect.hash_spikes(
            share.world, list(self.spike_rows.values()), offsets, SpikeHash()
        )

    def between(self, start: float, stop: float) -> "Recording":
        """The part from `start` to `stop` (ms): samples and spikes with start < time <= stop.

        Raises:
            TimeError: one of them is not a multiple of dt.
            RecordError: the recording does not cover the whole part.
        """
        first, last = (
            to_steps(time - self.header.t0, self.dt, what)
            for time, what in ((start, "start"), (stop, "stop"))
        )
        if not self.start <= first <= last <= self.stop:
            covered = self.header.time(np.array([self.start, self.stop]))
            raise RecordError(
                f"start = {start:g} ms and stop = {stop:g} ms are not within the recording, which "
                f"goes from {covered[0]:g} to {covered[1]:g} ms. Use times in this range, in order."
            )
        return self.part(int(first), int(last))

    def part(self, start: int, stop: int) -> "Recording":
        """The steps start + 1, ..., stop, with nothing read or copied."""

        def cut(rows: Rows) -> Rows:
            return SomeRows(rows, rows_until(rows, start), rows_until(rows, stop))

        return Recording(
            self.header,
            start,
            stop,
            {path: cut(rows) for path, rows in self.spike_rows.items()},
            {path: cut(rows) for path, rows in self.trace_rows.items()},
            replace(self._share, sha256=None) if self._share else None,
        )

    def __getstate__(self) -> dict:
        """Ranks stay behind: what is unpickled stands for itself."""
        return {**self.__dict__, "_share": None}

    def __repr__(self) -> str:
        lines = [
            f"Recording of {self.duration:g} ms: steps {self.start} to {self.stop}, "
            f"dt = {self.dt:g} ms, {sum(self.sizes.values()):,} neurons"
        ]
        width = max((len(path) for path in (*self.spike_rows, *self.trace_rows)), default=0)
        share = self._share
        if share is not None:
            lines.append(
                f"  the share of rank {share.world.rank} of {share.world.size}; see gather()"
            )
        counts = {path: rows.count for path, rows in self.spike_rows.items()}  # not collective
        rates = rates_of(counts, self.sizes, self.duration)
        for path, count in counts.items():
            rate = f"  {rates[path]:8.3f} Hz" if share is None else ""
            lines.append(
                f"  spikes  {path:{width}}  {self.sizes[path]:>9,} neurons  {count:>11,} spikes"
                + rate
            )
        for path, rows in self.trace_rows.items():
            how = self.header.traces[path]
            every = f"every {how.interval * self.dt:g} ms"
            lines.append(
                f"  trace   {path:{width}}  {len(how.id):>9,} columns  {rows.count:>11,} samples  "
                f"{every}{', in ' * bool(how.unit)}{how.unit}"
            )
        if not self.spike_rows and not self.trace_rows:
            lines.append("  nothing was recorded")
        return "\n".join(lines)

    def _read_spikes(self, path: str) -> Spikes:
        rows = self.spike_rows[path]
        step, id = rows.read(0, rows.count)
        return Spikes(step, self.header.time(step), id)

    def _read_trace(self, path: str) -> Trace:
        rows, how = self.trace_rows[path], self.header.traces[path]
        step, value = rows.read(0, rows.count)
        return Trace(self.header.time(step), how.id, value, how.unit)

    def _no_spikes(self, path: str) -> NameLookupError:
        if path in self.sizes:
            return NameLookupError(
                f'spikes of "{path}" are not in this recording, which has those of: '
                f'{", ".join(self.spike_rows) or "none"}. Add "{path}.spikes" to record=.'
            )
        return NameLookupError(
            f'spikes: there is no population "{path}". {suggestion(path, self.sizes)}'
        )

    def _no_trace(self, path: str) -> NameLookupError:
        return NameLookupError(
            f'traces: "{path}" is not in this recording. {suggestion(path, self.trace_rows)} '
            f'Add "{path}" to record= if it is a variable of the network.'
        )


def rates_of(
    counts: Mapping[str, int], sizes: Mapping[str, int], duration: float
) -> dict[str, float]:
    """Spikes per neuron and second (Hz) from counts in so many ms."""
    neuron_s = {path: sizes[path] * duration / 1000.0 for path in counts}
    return {path: n / neuron_s[path] if n else 0.0 for path, n in counts.items()}


def concatenate(recordings: Sequence[Recording]) -> Recording:
    """Join recordings of consecutive calls of `run` into one, in memory.

    Raises:
        RecordError: there is none, they do not follow each other, or they differ in what they
            recorded.
    """
    if not recordings:
        raise RecordError("concatenate: no recording was given. Give at least one.")
    first = recordings[0]
    for one, after in pairwise(recordings):
        if after.start != one.stop:
            raise RecordError(
                f"concatenate: a recording ends at step {one.stop} and the next begins at step "
                f"{after.start}. Give recordings of consecutive runs, in order."
            )
        if _shape(after) != _shape(one):
            raise RecordError(
                "concatenate: the recordings differ in dt, populations or recorded paths. Give "
                "recordings of one runner."
            )

    def join(path: str, which: Callable[[Recording], Mapping[str, Rows]]) -> HeldRows:
        parts = [which(one)[path].read(0, which(one)[path].count) for one in recordings]
        return HeldRows(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    return Recording(
        first.header,
        first.start,
        recordings[-1].stop,
        {path: join(path, lambda one: one.spike_rows) for path in first.spike_rows},
        {path: join(path, lambda one: one.trace_rows) for path in first.trace_rows},
        replace(first._share, sha256=None, whole=None) if first._share else None,
    )


def _shape(recording: Recording) -> tuple:
    """What two recordings must share to be joined."""
    header = recording.header
    traces = {path: (how.interval, how.id.tolist()) for path, how in header.traces.items()}
    return (header.dt, header.t0, dict(header.sizes), list(recording.spike_rows), traces)
