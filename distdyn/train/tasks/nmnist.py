"""N-MNIST: digits that a sensor of 34 x 34 pixels saw while it moved three times, in binary files.

    Train/0/00002.bin, ...    a folder for each digit, a file for each trial

An event is five bytes: x, y, then one bit of polarity (1 brighter) and 23 bits of time in
microseconds, the highest first. A y of 240 is no event but a mark: this time and all that follow
are 2^13 microseconds later.

Source: Orchard, Jayawant, Cohen & Thakor (2015), Front. Neurosci. 9, 437.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distdyn.train.tasks.stored import Events, Stored, unreadable

SIZE = 34  # pixels of a side
BYTES = 5  # of an event
MARK, LATER = 240, 2**13  # a y that is none, and by how much times are later from there on, us
CURE = "Give a folder of N-MNIST, unpacked, with the folders 0 to 9 and .bin files in each."
AGAIN = "Copy or unpack it again."


@dataclass(frozen=True, kw_only=True)
class NMNIST(Stored):
    """N-MNIST, from its folders.

    Inputs are those of a population of shape (2, n, n), n = ceil(34 / pool): darker and brighter,
    row, column; pixel (x, y) is neuron `(polarity * n + y // pool) * n + x // pool`.

    Attributes:
        duration: of a trial, ms; three movements take some 300.
        pool: squares of so many pixels a side are one neuron of each polarity.
    """

    duration: float = 300.0

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the population that takes the spikes."""
        side = -(-SIZE // self.pool)
        return 2, side, side

    def trials(self, source: Path) -> tuple[np.ndarray, np.ndarray]:
        """The files of a folder, sorted by digit and name, and their digits."""
        if not source.is_dir():
            unreadable(source, "is no folder" if source.exists() else "does not exist", CURE)
        files, label = [], []
        for digit in range(10):
            of = sorted(path.name for path in (source / str(digit)).glob("[!.]*.bin"))
            if not of:
                unreadable(source, f"has no file {digit}/*.bin", CURE)
            files += [f"{digit}/{name}" for name in of]
            label += [digit] * len(of)
        return np.array(files), np.array(label, np.int64)

    def events(self, source: Path, where: np.ndarray) -> Iterator[Events]:
        """The events of some files."""
        _, side, _ = self.shape
        for name in where:
            time, x, y, polarity = _read(source / str(name))
            yield time * 1e-3, (polarity * side + y // self.pool) * side + x // self.pool


def _read(path: Path) -> tuple[np.ndarray, ...]:
    """Times (us), x, y and polarities of the events of a file, int64."""
    try:
        raw = np.fromfile(path, np.uint8)
    except OSError as error:
        unreadable(path, f"cannot be read: {error.strerror}", AGAIN)
    if raw.size % BYTES or not raw.size:
        said = f"has {raw.size} bytes, but each event has {BYTES}, and there is one at least"
        unreadable(path, said, AGAIN)
    x, y, high, middle, low = raw.reshape(-1, BYTES).T.astype(np.int64)
    is_event = y != MARK
    time = ((high & 127) << 16 | middle << 8 | low) + LATER * np.cumsum(~is_event)
    wrong = np.flatnonzero(is_event & ((x >= SIZE) | (y >= SIZE)))
    if wrong.size:
        k = wrong[0]
        said = f"has event {k} at x = {x[k]}, y = {y[k]}, but {SIZE} x {SIZE} pixels, from 0"
        unreadable(path, said, CURE)
    return time[is_event], x[is_event], y[is_event], (high >> 7)[is_event]
