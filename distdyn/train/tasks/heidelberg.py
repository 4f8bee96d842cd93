"""Spiking Heidelberg data: words as spikes of 700 units of a cochlea, in HDF5 files.

    /spikes/times    of each trial times of variable number, float, seconds
    /spikes/units    of each trial as many units, int, 0 to 699
    /labels          the class of each trial, int

Source: Cramer, Stradmann, Schemmel & Zenke (2022), IEEE Trans. Neural Netw. Learn. Syst. 33, 2744.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distdyn.errors import TrainError
from distdyn.train.tasks.stored import Events, Stored, unreadable

UNITS = 700
FILTERS = 1, 2, 3, 32000  # deflate, shuffle, fletcher32, lzf: those that come with h5py
MOST_TRIALS = 1 << 24
TIMES, UNIT, LABELS = "spikes/times", "spikes/units", "labels"
CURE = "Give a file of the Spiking Heidelberg data, unpacked: shd_train.h5, ssc_valid.h5."
AGAIN = "Copy or unpack it again."


@dataclass(frozen=True, kw_only=True)
class SpikingHeidelberg(Stored):
    """Spiking Heidelberg Digits (20 classes) or Spiking Speech Commands (35), from their files.

    Inputs are those of a population of ceil(700 / pool) neurons: unit u is neuron u // pool.

    Attributes:
        duration: of a trial, ms; no digit takes longer than the 1400 that are the default.
    """

    duration: float = 1400.0

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the population that takes the spikes."""
        return (-(-UNITS // self.pool),)

    def trials(self, source: Path) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of the trials of a file, and their classes."""
        with _opened(source) as file:
            label = _dataset(source, file, LABELS, "iu")
            sizes = {LABELS: len(label)}
            for name, kind in ((TIMES, "f"), (UNIT, "iu")):
                sizes[name] = len(_dataset(source, file, name, kind, each=True))
            if len(set(sizes.values())) > 1 or not len(label):
                said = ", ".join(f"{n} of /{name}" for name, n in sizes.items())
                unreadable(source, f"does not give every trial its spikes and class: {said}", CURE)
            return np.arange(len(label)), label[()].astype(np.int64)

    def events(self, source: Path, where: np.ndarray) -> Iterator[Events]:
        """The spikes of some trials of a file."""
        with _opened(source) as file:
            times, units = file[TIMES], file[UNIT]
            for trial in where:
                time = times[trial].astype(np.float64) * 1e3
                unit = units[trial].astype(np.int64)
                found = _fault(time, unit)
                if found:
                    unreadable(source, f"has in trial {trial} {found}", AGAIN)
                yield time, unit // self.pool


def _fault(time: np.ndarray, unit: np.ndarray) -> str:
    """What is wrong with the spikes of a trial, if anything."""
    if time.shape != unit.shape:
        return f"{time.size} times of {unit.size} units"
    wrong = np.flatnonzero((unit < 0) | (unit >= UNITS))
    if wrong.size:
        return f"unit {unit[wrong[0]]}, but there are {UNITS}, from 0"
    wrong = np.flatnonzero(~((time >= 0) & (time < np.inf)))
    return f"a spike at {time[wrong[0]]:g} ms" if wrong.size else ""


@contextmanager
def _opened(source: Path) -> Iterator[Any]:
    """The file; without HDF5's locks, which fail on network disks."""
    import h5py  # here: who has no such file need not wait for it

    if not source.is_file():  # a pipe would be waited for
        unreadable(source, "is no file" if source.exists() else "does not exist", CURE)
    if not h5py.is_hdf5(source):
        unreadable(source, "is no HDF5 file", CURE)
    try:
        with h5py.File(source, "r", locking=False) as file:
            yield file
    except TrainError:
        raise
    except (OSError, RuntimeError, KeyError) as error:
        raise TrainError(f'data: "{source}" cannot be read: {error}. {AGAIN}') from error


def _dataset(source: Path, file: Any, name: str, kind: str, *, each: bool = False) -> Any:
    """A dataset [trial] of numbers, or of arrays of numbers of each."""
    import h5py

    from distdyn.run import store

    found = store.found(file, name)  # no link is followed
    if not isinstance(found, h5py.Dataset):
        unreadable(source, f"has no dataset /{name}", CURE)
    if found.external or found.is_virtual:
        unreadable(source, f"has the values of /{name} in other files", CURE)
    dtype = h5py.check_vlen_dtype(found.dtype) if each else found.dtype
    if found.shape is None or found.ndim != 1 or dtype is None or np.dtype(dtype).kind not in kind:
        wanted = ("arrays of " if each else "") + ("floats" if kind == "f" else "ints")
        found = f"{found.dtype} of shape {found.shape}"
        unreadable(source, f"has in /{name} {found}, not {wanted} [trial]", CURE)
    if len(found) > MOST_TRIALS:
        unreadable(source, f"claims {len(found)} trials", CURE)
    plan = found.id.get_create_plist()
    for k in range(plan.get_nfilters()):
        if plan.get_filter(k)[0] not in FILTERS:
            unreadable(source, f"needs for /{name} the filter {plan.get_filter(k)[0]}", CURE)
    return found
