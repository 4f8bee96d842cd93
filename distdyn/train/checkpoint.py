"""Checkpoint: a file in which a fit is kept, and from which it goes on as if it had never stopped.

    with Checkpoint("a.h5", None, world) as checkpoint:
        ...
        if due := checkpoint.due(is_epoch=False):        # after every update, on all ranks alike
            ...                                          # write; if it is STOP, stop

It is written after every epoch or every so many seconds, and when SIGUSR1 says on some rank that
the time limit of the job is near: then all ranks stop, after the same update. Besides what
`DSTrainer.save` writes it holds the `Course` of the fit, and of which training it is.
"""

import dataclasses
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from distdyn.errors import ParameterError, RunDirectoryError, TrainError
from distdyn.parallel.launch import World
from distdyn.run.agreement import text_of
from distdyn.run.interrupt import Notice
from distdyn.train.history import History, Score
from distdyn.units import shown

WRITE, STOP = 1, 2  # what is due; 0: nothing
COURSE, BEST = "course", "best/"  # names in the file
LONGEST = 200  # characters of a value in a message
Batches = list[tuple[Any, Any, int]]  # what each came to: loss, accuracy or None, trials


class Checkpoint:
    """When a fit is written, and when it stops.

    Args:
        path: of the file; None: it is not kept.
        every: s between two writes; None: one after every epoch.
        world: the ranks that train together.

    Raises:
        ParameterError: `every` is not positive, or without a path.
    """

    def __init__(self, path: str | Path | None, every: float | None, world: World) -> None:
        if every is not None and (path is None or not every > 0):
            raise ParameterError(
                f"checkpoint_every = {shown(every)} s with checkpoint = {shown(path)} is not "
                "possible. Give a file, and a time that is positive."
            )
        self.path, self.every, self.world = None if path is None else Path(path), every, world
        self._notice, self._written = Notice(), time.monotonic()

    def __enter__(self) -> "Checkpoint":
        if self.path is not None:
            self._notice.__enter__()
        return self

    def __exit__(self, *why: Any) -> None:
        if self.path is not None:
            self._notice.__exit__(*why)

    def is_there(self) -> bool:
        """Whether there is something to go on from, as rank 0 sees it. Collective."""
        return self.path is not None and self.world.bcast(self.path.exists())

    def due(self, *, is_epoch: bool) -> int:
        """What is to be done: WRITE, STOP (and write), or nothing. Collective.

        Args:
            is_epoch: an epoch is over, and not only an update.
        """
        if self.path is None:
            return 0
        now = time.monotonic()
        is_time = is_epoch if self.every is None else now - self._written >= self.every
        mine = STOP if self._notice.is_given else WRITE if is_time else 0
        due = int(self.world.max(np.array([mine]))[0])
        if due:
            self._written = now
        return due


@dataclass
class Course:
    """How far a fit has come.

    Attributes:
        first: the number of epochs made before it.
        begun: the batches that were made of the epoch that is under way.
        began: when that was, by `time.perf_counter()`; what was before a stop is not counted.
        history: of the epochs that are over.
        least: the smallest loss of an epoch, if there is patience.
        waited: how many epochs ago that was.
        best: the parameters by which it was.
    """

    first: int
    begun: Batches = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)
    history: History = field(default_factory=History)
    least: float | None = None
    waited: int = 0
    best: dict[str, Any] | None = None

    def end(self, epoch: int, score: Score, validation: Score | None, updates: int) -> None:
        """The epoch that was under way is over."""
        self.history.add(epoch, score, validation, time.perf_counter() - self.began, updates)
        self.begun, self.began = [], time.perf_counter()

    def is_better(self, loss: float) -> bool:
        """Whether this loss, of the last epoch, is the smallest."""
        if self.least is not None and not loss < self.least:
            self.waited += 1
            return False
        self.least, self.waited = loss, 0
        return True

    def to_array(self, training: Mapping[str, str]) -> np.ndarray:
        """All but the parameters, and of which training it is: JSON, as bytes."""
        said = {
            "training": dict(training),
            "first": self.first,
            "begun": [(float(x), None if y is None else float(y), n) for x, y, n in self.begun],
            "spent": time.perf_counter() - self.began,
            "history": vars(self.history),
            "least": self.least,
            "waited": self.waited,
        }
        return np.frombuffer(json.dumps(said).encode(), np.uint8)


def course_of(path: str, array: np.ndarray | None) -> tuple[Course, dict[str, str]]:
    """The inverse of `Course.to_array`.

    Raises:
        RunDirectoryError: it is nothing that it wrote; the path is told.
    """
    try:
        said = json.loads(b"" if array is None else array.tobytes())
        history = said["history"]
        for name in ("score", "validation"):
            history[name] = [None if score is None else Score(*score) for score in history[name]]
        course = Course(
            said["first"],
            [tuple(batch) for batch in said["begun"]],
            time.perf_counter() - said["spent"],
            History(**history),
            said["least"],
            said["waited"],
        )
        return course, said["training"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RunDirectoryError(
            f'"{path}" is no checkpoint of a fit. Give another file; `load` (--resume) takes what '
            "`save` (--out) wrote."
        ) from error


def described(name: str, value: Any) -> dict[str, str]:
    """Data in words that two starts of a program can compare, a task field by field."""
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return {name: text_of(value)}
    fields = {f"{name}.{f.name}": getattr(value, f.name) for f in dataclasses.fields(value)}
    return {name: type(value).__name__, **{key: text_of(of) for key, of in fields.items()}}


def check_training(path: str, found: Mapping[str, str], asked: Mapping[str, str]) -> None:
    """Make sure that a checkpoint is of the training that goes on.

    Raises:
        TrainError: it is not; the first thing in which they differ is named.
    """
    for name in dict.fromkeys((*asked, *found)):
        there, here = (x.get(name, "nothing")[:LONGEST] for x in (found, asked))
        if found.get(name) != asked.get(name):
            raise TrainError(
                f'checkpoint "{path}" is of another training: {name} = {here}, but {there} in it. '
                "Start it as before; or give another file, to begin anew; or go on from what it "
                f"holds by `load` (--resume {path}), with another file as checkpoint."
            )
