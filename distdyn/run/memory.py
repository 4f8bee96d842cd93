"""What a run without a directory records, kept in memory."""

import numpy as np
from jaxtyping import Int64, Shaped

from distdyn.errors import RecordError
from distdyn.ops.listing import merge
from distdyn.run.recording import Header, Recording, Share
from distdyn.run.rows import HeldRows


class Memory:
    """Keeps in memory what one call of `run` records.

    Args:
        header: what is recorded.
        share: where there are other ranks: which part of it is here.
    """

    def __init__(self, header: Header, share: Share | None = None) -> None:
        self.header, self._share = share.own if share else header, share
        self.begin(0)

    def begin(self, step: int, since: int | None = None) -> None:
        """A call of `run` starts at this step."""
        self._start = self._stop = step
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
        self._stop = step

    def finish(self, step: int, reason: str = "completed", **fields: object) -> Recording:
        """The call of `run` ends at this step: what it recorded."""
        spikes = {path: HeldRows(*merge(parts)) for path, parts in self._spikes.items()}
        traces = {path: self._joined(path) for path in self._traces}
        recording = Recording(self.header, self._start, step, spikes, traces, self._share)
        self.begin(step)
        return recording

    def fail(self, error: BaseException) -> Recording:
        """The call of `run` ended with an error: what its complete chunks recorded."""
        whole = self.finish(self._stop)
        return whole.part(whole.start, whole.stop)  # not of the chunk in which it happened

    def update(self, **fields: object) -> None:
        """Nothing to write it into."""

    def close(self, *, is_together: bool = True) -> None:
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
