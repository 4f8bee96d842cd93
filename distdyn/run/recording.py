"""What a run returns: spikes and traces by path, with what is needed to read them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
from jaxtyping import Float64, Int64, Real, Shaped

from distdyn.errors import NameLookupError, RecordError, suggestion
from distdyn.run.rows import ByPath, HeldRows, Rows, SomeRows, merge, rows_until
from distdyn.run.spike_hash import spikes_sha256
from distdyn.units import to_steps


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
        id: index of the neurons in their population.
        value: one row per sample, one column per neuron.
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
        id: index of the recorded neurons in their population.
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


@dataclass(frozen=True, eq=False, repr=False)
class Recording:
    """Spikes and traces of the steps start + 1, ..., stop of a run.

    A spike that a step from t to t + dt produces is stamped with the number and the time of its
    end; so is a sample of a variable.

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
        return self

    def counts(self) -> dict[str, int]:
        """How many spikes each recorded population fired."""
        return {path: rows.count for path, rows in self.spike_rows.items()}

    def rates(self) -> dict[str, float]:
        """Spikes per neuron and second of each recorded population, in Hz."""
        neuron_s = {path: self.sizes[path] * self.duration / 1000.0 for path in self.spike_rows}
        return {path: n / neuron_s[path] if n else 0.0 for path, n in self.counts().items()}

    def spikes_sha256(self) -> str | None:
        r"""One hash of all spikes: two runs are the same if and only if it is equal.

        SHA-256 over the lines `"{step},{gid}\n"`, sorted by (step, gid), of all spiking
        populations. None if the spikes of one of them were not recorded.
        """
        if not self.header.is_hashable:
            return None
        return spikes_sha256(self.spike_rows, self.offsets)

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
        )

    def __repr__(self) -> str:
        lines = [
            f"Recording of {self.duration:g} ms: steps {self.start} to {self.stop}, "
            f"dt = {self.dt:g} ms, {sum(self.sizes.values()):,} neurons"
        ]
        width = max((len(path) for path in (*self.spike_rows, *self.trace_rows)), default=0)
        rates = self.rates()
        for path, count in self.counts().items():
            lines.append(
                f"  spikes  {path:{width}}  {self.sizes[path]:>9,} neurons  {count:>11,} spikes  "
                f"{rates[path]:8.3f} Hz"
            )
        for path, rows in self.trace_rows.items():
            how = self.header.traces[path]
            every = f"every {how.interval * self.dt:g} ms"
            lines.append(
                f"  trace   {path:{width}}  {len(how.id):>9,} columns  {rows.count:>11,} samples  "
                f"{every}{', in ' * bool(how.unit)}{how.unit}"
            )
        if len(lines) == 1:
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
    )


def _shape(recording: Recording) -> tuple:
    """What two recordings must share to be joined."""
    header = recording.header
    traces = {path: (how.interval, how.id.tolist()) for path, how in header.traces.items()}
    return (header.dt, header.t0, dict(header.sizes), list(recording.spike_rows), traces)


class Memory:
    """Keeps in memory what one call of `run` records."""

    def __init__(self, header: Header) -> None:
        self.header = header
        self.begin(0)

    def begin(self, step: int) -> None:
        """A call of `run` starts at this step."""
        self._start = step
        self._spikes: dict[str, list] = {path: [] for path in self.header.spikes}
        self._traces: dict[str, list] = {path: [] for path in self.header.traces}

    def append_spikes(
        self, path: str, step: Int64[np.ndarray, "s"], id: Int64[np.ndarray, "s"]
    ) -> None:
        """Add spikes of one population, in any order within a chunk; the arrays are copied."""
        self._spikes[path].append((step.astype(np.int64), id.astype(np.int64)))

    def append_trace(
        self,
        path: str,
        step: Int64[np.ndarray, "t"],
        id: Int64[np.ndarray, "k"],
        value: Shaped[np.ndarray, "t k"],
    ) -> None:
        """Add samples of one variable, in the order of their steps; the arrays are copied."""
        check_samples(self.header, path, id)
        self._traces[path].append((step.astype(np.int64), value.copy()))

    def flush(self, step: int) -> None:
        """The chunk that ends at this step is complete."""

    def finish(self, step: int) -> Recording:
        """The call of `run` ends at this step: what it recorded."""
        spikes = {path: HeldRows(*merge(parts)) for path, parts in self._spikes.items()}
        traces = {path: self._joined(path) for path in self._traces}
        recording = Recording(self.header, self._start, step, spikes, traces)
        self.begin(step)
        return recording

    def fail(self, error: BaseException) -> None:
        """The call of `run` ended with an error: what it recorded is dropped."""
        self.begin(self._start)

    def close(self) -> None:
        """Nothing more will be recorded."""

    def _joined(self, path: str) -> HeldRows:
        how = self.header.traces[path]
        steps = [np.zeros(0, np.int64)]
        values = [np.zeros((0, len(how.id)), how.dtype)]
        for step, value in self._traces[path]:
            steps.append(step)
            values.append(value)
        return HeldRows(np.concatenate(steps), np.concatenate(values))


def check_samples(header: Header, path: str, id: Int64[np.ndarray, "k"]) -> None:
    """Raise RecordError unless the columns are those that the header announces."""
    known = header.traces[path].id
    if not np.array_equal(known, id):
        raise RecordError(
            f'traces: "{path}" came with {len(id)} ids that are not the {len(known)} announced. '
            "Give the columns in the order of the header."
        )
