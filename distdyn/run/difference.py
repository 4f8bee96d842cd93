"""Where the recordings of two runs part: the first spike, and the first sample.

    found = difference(load("runs/a"), load("runs/b"))
    print(found)                       # the first spike: step 1017 of neuron 12 of "E", in A alone

Both are read side by side in blocks that follow each other in time, so that memory is bounded.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from distdyn.errors import RecordError
from distdyn.run.recording import Recording
from distdyn.run.spike_hash import with_gid
from distdyn.run.stream import together


class Event(NamedTuple):
    """The first thing that is not the same in both.

    Attributes:
        step: at its end.
        path: of the population, or of the variable.
        id: of the neuron.
        values: of a sample, in A and in B; of a spike whether it is in A and in B.
    """

    step: int
    path: str
    id: int
    values: tuple[Any, Any]


@dataclass(frozen=True)
class Difference:
    """How two recordings differ.

    Attributes:
        steps: first and last step of each.
        common: first and last step of what both have.
        only: what one of them has recorded and the other has not, or not of the same neurons.
        spikes: by population, how many each has in the common steps.
        spike: the first that differs; None: they are the same.
        sample: the first that differs; None: they are the same.
    """

    steps: tuple[tuple[int, int], tuple[int, int]]
    common: tuple[int, int]
    only: tuple[list[str], list[str]]
    spikes: Mapping[str, tuple[int, int]]
    spike: Event | None
    sample: Event | None

    @property
    def is_same(self) -> bool:
        """Whether both hold the same, to the last step and bit."""
        return not (self.spike or self.sample or any(self.only)) and len(set(self.steps)) == 1

    def __str__(self) -> str:
        start, stop = self.common
        lines = []
        if self.steps[0] != self.steps[1]:
            a, b = (f"{first} to {last}" for first, last in self.steps)
            lines.append(f"steps: {a} in A, {b} in B; compared from {start} to {stop}")
        for name, paths in zip("AB", self.only, strict=True):
            if paths:
                lines.append(f"recorded so in {name} alone: {', '.join(paths)}")
        for path, (a, b) in self.spikes.items():
            lines.append(f"spikes of {path}: {a} in A, {b} in B")
        if self.spike is not None:
            where = "A" if self.spike.values[0] else "B"
            lines.append(
                f"first spike that differs: step {self.spike.step}, {self.spike.path}, neuron "
                f"{self.spike.id}, in {where} alone"
            )
        if self.sample is not None:
            a, b = self.sample.values
            lines.append(
                f"first sample that differs: step {self.sample.step}, {self.sample.path}, id "
                f"{self.sample.id}: {a!r} in A, {b!r} in B"
            )
        if not (self.spike or self.sample):
            lines.append(f"the same{'' if self.is_same else f' in the steps {start} to {stop}'}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """All of it as plain numbers and text."""
        return {
            "is_same": self.is_same,
            "steps": self.steps,
            "common": self.common,
            "only": self.only,
            "spikes": dict(self.spikes),
            "first_spike": None if self.spike is None else self.spike._asdict(),
            "first_sample": None if self.sample is None else self.sample._asdict(),
        }


def difference(a: Recording, b: Recording) -> Difference:
    """Compare two recordings of one network, each whole.

    Args:
        a: of one run.
        b: of another.

    Raises:
        RecordError: they are of different networks or steps, or have no step in common.
    """
    for name in ("dt", "t0", "sizes", "offsets"):
        x, y = getattr(a.header, name), getattr(b.header, name)
        if x != y:
            raise RecordError(
                f"A and B are runs of different networks: {name} = {_short(x)} and {_short(y)}. "
                "Give runs of one network."
            )
    start, stop = max(a.start, b.start), min(a.stop, b.stop)
    if start > stop:
        raise RecordError(
            f"A has recorded the steps {a.start} to {a.stop} and B {b.start} to {b.stop}: they "
            "have none in common. Give runs of the same time."
        )
    steps = (a.start, a.stop), (b.start, b.stop)
    a, b = a.part(start, stop), b.part(start, stop)
    spiking = [path for path in a.spike_rows if path in b.spike_rows]
    traces = [path for path in a.trace_rows if _is_alike(a, b, path)]
    known = {*(f"{path}.spikes" for path in spiking), *traces}
    counts = {path: (a.spike_rows[path].count, b.spike_rows[path].count) for path in spiking}
    return Difference(
        steps,
        (start, stop),
        ([x for x in _paths(a) if x not in known], [x for x in _paths(b) if x not in known]),
        counts,
        _first_spike(a, b, spiking),
        _first_sample(a, b, traces),
    )


def _paths(recording: Recording) -> list[str]:
    return [*(f"{path}.spikes" for path in recording.spike_rows), *recording.trace_rows]


def _is_alike(a: Recording, b: Recording, path: str) -> bool:
    """Whether a variable is recorded of the same neurons at the same steps."""
    if path not in b.trace_rows:
        return False
    x, y = a.header.traces[path], b.header.traces[path]
    return (x.interval, x.dtype, x.id.tolist()) == (y.interval, y.dtype, y.id.tolist())


def _first_spike(a: Recording, b: Recording, paths: list[str]) -> Event | None:
    if not paths:
        return None
    offsets = [a.offsets[path] for path in paths]
    sources = [of.spike_rows[path] for of in (a, b) for path in paths]
    for pieces in together(sources):
        spikes = [with_gid(p, offsets) for p in (pieces[: len(paths)], pieces[len(paths) :])]
        n = min(len(step) for step, _ in spikes)
        (step, gid), (other, its) = spikes
        wrong = np.flatnonzero((step[:n] != other[:n]) | (gid[:n] != its[:n]))
        k = int(wrong[0]) if len(wrong) else n
        heads = [(int(s[k]), int(g[k])) if k < len(s) else None for s, g in spikes]
        if heads != [None, None]:
            first = min(head for head in heads if head is not None)
            path = next(p for p in paths if 0 <= first[1] - a.offsets[p] < a.sizes[p])
            is_in = heads[0] == first, heads[1] == first
            return Event(first[0], path, first[1] - a.offsets[path], is_in)
    return None


def _first_sample(a: Recording, b: Recording, paths: list[str]) -> Event | None:
    found = []
    for path in paths:
        for (step, x), (_, y) in together([a.trace_rows[path], b.trace_rows[path]]):
            n = min(len(x), len(y))
            row, column = np.nonzero(bits(x[:n]) != bits(y[:n]))
            if len(row):
                values = x[row[0], column[0]].item(), y[row[0], column[0]].item()
                id = int(a.header.traces[path].id[column[0]])
                found.append(Event(int(step[row[0]]), path, id, values))
                break
    return min(found, key=lambda event: event.step, default=None)


def bits(values: np.ndarray) -> np.ndarray:
    """Numbers as they are stored: NaN equals itself, and 0 is not -0."""
    return np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}")


def _short(value: Any) -> str:
    text = str(dict(value) if isinstance(value, Mapping) else value)
    return text if len(text) <= 200 else f"{text[:200]}..."
