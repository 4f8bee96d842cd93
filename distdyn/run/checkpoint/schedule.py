"""When a checkpoint is due: every so many ms of the model, or so much wall time.

    Schedule("50ms", dt)       at multiples of 50 ms of the model
    Schedule("10min", dt)      when so much time has passed since the last one: s, min, h
    Schedule(None, dt)         only when the run is told to stop

A run is told to stop by SIGUSR1 (the time limit of the job is near), SIGTERM, its own limit
`max_wall`, or the end of the job that Slurm has told (SLURM_JOB_END_TIME).
"""

import os
import re
import signal
import time
from typing import Any

from distdyn.errors import ExitCode, ParameterError
from distdyn.run.interrupt import Notice
from distdyn.units import shown, to_steps

SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
MARGIN = 60.0  # s before the end of a job at which it stops, at least
COSTS = 5.0  # times what the last checkpoint took: the same


class Schedule:
    """When a run writes a checkpoint, and when it stops.

    Args:
        every: a time of the model in ms (a number, or "50ms"), or of the wall ("30s", "10min",
            "1h"); None: never.
        dt: of a step, ms.
        max_wall: how long the run may take ("23h"), from now; None: as long as it wants.

    Attributes:
        steps: between two checkpoints; None: they do not depend on the step.

    Raises:
        ParameterError: a time that is not understood, or not positive.
        TimeError: a time of the model that is no multiple of dt.
    """

    def __init__(self, every: Any, dt: float, max_wall: Any = None) -> None:
        self.steps, self._seconds = _interval(every, dt)
        self._last = now = time.monotonic()
        self._cost = 0.0
        limit = None if max_wall is None else wall_seconds("max_wall", max_wall)
        self._limit = None if limit is None else now + limit
        self._job_end = _job_end(os.environ.get("SLURM_JOB_END_TIME"))
        self.notice = Notice(signal.SIGUSR1, signal.SIGTERM)

    def next(self, step: int, last: int) -> int:
        """The step up to which the run may go before one may be due."""
        return last if self.steps is None else min(last, (step // self.steps + 1) * self.steps)

    def is_due(self, step: int) -> bool:
        """Whether this process would write one now."""
        if self.steps is not None:
            return step % self.steps == 0
        return self._seconds is not None and time.monotonic() - self._last >= self._seconds

    def stop(self) -> int:
        """The exit code with which this process would stop now; 0: it goes on."""
        if self.notice.given == signal.SIGTERM:
            return ExitCode.TERMINATED
        now, margin = time.monotonic(), max(MARGIN, COSTS * self._cost)
        is_late = self._limit is not None and now >= self._limit
        is_late |= self._job_end is not None and time.time() >= self._job_end - margin
        return ExitCode.REQUEUE if is_late or self.notice.given else 0

    def written(self, seconds: float) -> None:
        """One was written, which took so long."""
        self._last, self._cost = time.monotonic(), seconds


def wall_seconds(what: str, given: Any) -> float:
    """A wall time, `10min`, in seconds.

    Raises:
        ParameterError: it is none, or not positive.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(s|min|h)", str(given))
    if found is None or not float(found[1]) > 0:
        raise ParameterError(f"{what} = {shown(given)} is not a time. Use 30s, 10min or 1h.")
    return float(found[1]) * SECONDS[found[2]]


def _interval(every: Any, dt: float) -> tuple[int | None, float | None]:
    """Steps, or seconds of wall time."""
    if every is None:
        return None, None
    if isinstance(every, str) and not every.endswith("ms"):
        return None, wall_seconds("checkpoint_every", every)
    try:
        number = float(every.removesuffix("ms")) if isinstance(every, str) else every
    except ValueError:
        number = every
    if isinstance(number, bool | str) or not isinstance(number, int | float) or not number > 0:
        raise ParameterError(
            f"checkpoint_every = {shown(every)} is not a time. Use 50ms (of the model), or 30s, "
            "10min, 1h (of the wall)."
        )
    steps = to_steps(number, dt, "checkpoint_every")
    assert isinstance(steps, int)
    return steps, None


def _job_end(text: str | None) -> float | None:
    """When Slurm will end the job, in seconds since 1970; None: it has not said so."""
    return float(text) if text and re.fullmatch(r"\d{1,12}", text) else None
