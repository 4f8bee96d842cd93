"""Chunk after chunk: the loop of a run, and what happens between two chunks.

    chunks.advance(shard, last, progress)        # to the step `last`

A chunk takes about a second of wall time. Between two of them the host drains what was recorded,
the ranks agree on how long the next one is and whether there is one, whoever wants to be called is,
and a checkpoint is written where one is due: in this order, so that what a checkpoint holds is what
the next chunk begins with.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np

from distdyn.errors import DistDynError, SimulationError, Stopped
from distdyn.parallel.launch import World
from distdyn.parallel.shard import ChunkResult, Shard
from distdyn.run import faults
from distdyn.run.agreement import agreed
from distdyn.run.checkpoint.course import WRITE, About, Change, Course
from distdyn.run.health import Health
from distdyn.run.interrupt import Deferred, Interrupted
from distdyn.run.progress import Progress
from distdyn.run.rows import columns_of
from distdyn.run.weights import WeightTrace

CHUNK_SECONDS = 1.0  # of wall time, about
FIRST_CHUNK = 200  # steps


class Turn(NamedTuple):
    """Who wants to be called, and how often: every so many steps."""

    every: int | None
    call: Callable[[], Any] | None


NO_TURN = Turn(None, None)


class Keeping(NamedTuple):
    """How a run is kept.

    Attributes:
        course: when.
        about: gives what a checkpoint says of the run, see `Course.write`. Collective.
        changes: gives what was set since the run began.
    """

    course: Course
    about: About
    changes: Callable[[], list[Change]]


class Chunks:
    """The loop of a run.

    Args:
        world: the ranks.
        sink: takes what is recorded.
        traces: what is sampled, by name.
        weights: which are recorded.
        phases: seconds by phase, added to.
        keeping: how the run is kept.
        health: looks at how fast populations fire.
    """

    def __init__(
        self,
        world: World,
        sink: Any,
        traces: Sequence[Any],
        weights: Sequence[WeightTrace],
        phases: dict[str, float],
        keeping: Keeping,
        health: Health,
    ) -> None:
        self._health = health
        self.world, self.sink, self.phases, self.keeping = world, sink, phases, keeping
        self._traces, self._weights = traces, weights
        self._steps = FIRST_CHUNK

    def advance(
        self,
        shard: Shard,
        last: int,
        progress: Progress,
        turn: Turn = NO_TURN,
        *,
        is_recorded: bool = True,
    ) -> None:
        """Compile and run up to a step. Collective.

        Raises:
            Interrupted: there was a Ctrl-C on some rank; all are at the same whole step.
            Stopped: the run was told to stop, and is at a checkpoint.
            SimulationError: it cannot go on; its state has been saved.
        """
        first, dt = shard.step, shard.setting.dt
        course = self.keeping.course
        with Deferred() as interrupt, course if is_recorded else nullcontext():
            self._compile(shard, progress)
            is_stopped, _ = self._agree(interrupt, None, 0)
            while shard.step < last and not is_stopped:
                began = time.perf_counter()
                until = self._until(shard.step, last, turn, is_recorded=is_recorded)
                result = self._run(shard, min(self._steps, until - shard.step))
                error = self._drain(shard, result) if is_recorded else None
                seconds = time.perf_counter() - began
                self.phases["run"] += seconds
                self._steps = _next_chunk(result.done, seconds)
                self.world.watch.progress(shard.step)
                progress.at((shard.step - first) * dt)
                faults.reach("step", self.world.rank, shard.step)
                wish = course.wish(shard.step) if is_recorded else 0
                is_stopped, due = self._agree(interrupt, error, wish)
                if turn.every and turn.call and shard.step % turn.every == 0 and not is_stopped:
                    turn.call()
                if due:
                    self._keep(shard, due)
        self.world.watch.progress(None)
        if is_stopped:
            raise Interrupted

    def _until(self, step: int, last: int, turn: Turn, *, is_recorded: bool) -> int:
        """The step at which something is to happen between two chunks."""
        every = [] if turn.every is None else [turn.every]
        if is_recorded:
            every += [weights.every for weights in self._weights]
            last = self.keeping.course.until(step, last)
        return min([last, *((step // n + 1) * n for n in every)])

    def _run(self, shard: Shard, steps: int) -> ChunkResult:
        """One chunk. If the run cannot go on after it, its state is kept."""
        try:
            result = shard.run(steps)
            self._health.look(shard, result)
        except SimulationError as error:  # all ranks are here
            course, about, changes = self.keeping
            course.leave(shard, about, changes, error)
            raise
        return result

    def _compile(self, shard: Shard, progress: Progress) -> None:
        """Zero steps: what is not compiled yet is compiled, and its time is known."""
        began = time.perf_counter()
        shard.run(0)
        seconds = time.perf_counter() - began
        self.phases["compile"] += seconds
        progress.compiled(seconds)

    def _agree(
        self, interrupt: Deferred, error: DistDynError | None, wish: int
    ) -> tuple[bool, int]:
        """All ranks: is there an interrupt or an error, what of a checkpoint, how long is a chunk.

        The length is that of rank 0, which would have made the chunk a second long.
        """
        steps = 0 if self.world.rank else self._steps
        said = np.array([interrupt.is_pending, error is not None, steps, wish], np.int64)
        is_stopped, has_failed, self._steps, due = self.world.max(said).tolist()
        if has_failed:
            self.world.agree(error)
        if is_stopped:
            interrupt.is_pending = False
        return bool(is_stopped), due

    def _drain(self, shard: Shard, result: ChunkResult) -> DistDynError | None:
        """Hand over what a chunk recorded; what cannot be written is for all ranks to hear."""
        due = [trace for trace in self._weights if shard.step % trace.every == 0]
        weights = {trace.name: trace.read(shard) for trace in due}
        began = time.perf_counter()
        sink = self.sink
        try:
            for path, (step, id) in result.spikes.items():
                sink.append_spikes(path, step, id)
            for (name, *_), (step, ids, values) in zip(self._traces, result.samples, strict=True):
                own = sink.header.traces[name].id
                if not np.array_equal(own, ids):
                    values = values[:, columns_of(own, ids)]
                sink.append_trace(name, step, own, values)
            for name, values in weights.items():
                own = sink.header.traces[name].id
                sink.append_trace(name, np.array([shard.step]), own, values[None])
            sink.flush(shard.step)
        except DistDynError as error:
            return error
        finally:
            self.phases["record"] += time.perf_counter() - began
        return None

    def _keep(self, shard: Shard, due: int) -> None:
        """Write a checkpoint, with all that was recorded before it.

        Raises:
            Stopped: it is the one to stop at.
        """
        began = time.perf_counter()
        with agreed(self.world):
            self.sink.sync()
        course, about, changes = self.keeping
        course.write(shard, about, changes())
        spent = time.perf_counter() - began
        self.phases["checkpoint"] = self.phases.get("checkpoint", 0.0) + spent
        if due > WRITE:
            raise Stopped(due)


def _next_chunk(done: int, seconds: float) -> int:
    """How many steps take about a second, if the next ones are like these."""
    return max(1, min(int(done * CHUNK_SECONDS / max(seconds, 1e-6)), 10 * max(done, FIRST_CHUNK)))
