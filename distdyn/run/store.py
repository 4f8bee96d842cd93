"""The files of a recording: HDF5 in SONATA layout, appended to and read piece by piece.

    spikes.h5       /spikes/<population>/{timestamps, node_ids}    the spikes of all populations
                    /committed            start, stop, complete spikes of each population
    <variable>.h5   /report/<population>/{data, mapping/...}       one file per trace

Of several ranks each writes files of its own (`spikes.rank-0003.h5`) in the same layout.

Every write opens its file, appends and closes it, so that other programs can read along and a file
is whole between two writes whatever ends the process. `/committed`, and `mapping/time` of a trace,
are written last: a reader trusts nothing beyond them, should the process die within a write.

Nothing is compressed: libsonata reads no compressed files. What the files of others may hide behind
a name (links, external or virtual storage, plugins, shapes larger than the file) is refused before
it is read. The one room of h5py, but for data to train on (`train/tasks/heidelberg.py`).
"""

import errno
import math
import os
import shutil
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Float64, Int64, Shaped

from distdyn.errors import RunDirectoryError

_MAGIC, _VERSION = np.uint32(0x0A7A), np.array([0, 1], np.uint32)  # of SONATA
_SORTING = h5py.enum_dtype({"none": 0, "by_id": 1, "by_time": 2}, basetype="u1")
_CHUNK = 1 << 16  # bytes
_METADATA = 1 << 16  # bytes that a file may need besides its values
_SPARE = 1 << 22  # bytes that must stay free on a disk


@dataclass(frozen=True, eq=False)
class StoredSpikes:
    """The first `count` spikes of a population in a file; t = t0 + step * dt."""

    file: Path
    population: str
    count: int
    dt: float
    t0: float

    def read(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        with opened(self.file, "r") as file:
            group = f"spikes/{self.population}"
            time = dataset(file, f"{group}/timestamps", "f", 1)[first:last]
            id = dataset(file, f"{group}/node_ids", "iu", 1)[first:last]
        step = np.rint((time.astype(np.float64) - self.t0) / self.dt)
        return step.astype(np.int64), id.astype(np.int64)


@dataclass(frozen=True, eq=False)
class StoredTrace:
    """The first `count` samples of a variable in a file: at first_step and every interval after."""

    file: Path
    population: str
    count: int
    first_step: int
    interval: int

    def read(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        with opened(self.file, "r") as file:
            data = dataset(file, f"report/{self.population}/data", "iuf", 2)
            value = data[first:last]
        return self.first_step + self.interval * np.arange(first, last, dtype=np.int64), value


def create_spikes(path: Path, populations: Sequence[str]) -> None:
    """A new file without spikes; a population that never fires keeps its empty datasets."""
    check_free(path, len(populations) << 13)
    with opened(path, "x") as file:
        _sign(file)
        file.create_group("spikes")
        for population in populations:
            group = file.create_group(f"spikes/{population}")
            group.attrs.create("sorting", 2, dtype=_SORTING)
            for name, dtype in (("timestamps", "f8"), ("node_ids", "u8")):
                chunks = (_CHUNK // 8,)
                group.create_dataset(name, (0,), dtype, maxshape=(None,), chunks=chunks)
            group["timestamps"].attrs["units"] = "ms"
        file["committed"] = np.zeros(2 + len(populations), np.int64)


def append_spikes(
    path: Path,
    rows: Mapping[str, tuple[int, Float64[np.ndarray, "_"], Int64[np.ndarray, "_"]]],
    committed: Int64[np.ndarray, "c"],
) -> None:
    """Add spikes after the first rows of each population, then say what is complete.

    Args:
        path: the file.
        rows: by population: how many spikes precede these, their times (ms) and ids.
        committed: first and last step of the run, and the number of spikes of each population.
    """
    _reserve(path, sum(2 * (8 * len(id) + _CHUNK) for _, _, id in rows.values() if len(id)))
    with opened(path, "r+") as file:
        for population, (first, time, id) in rows.items():
            group = file[f"spikes/{population}"]
            _append(group["timestamps"], first, time)
            _append(group["node_ids"], first, id.astype(np.uint64))
        file.flush()  # all of the above precedes the next line
        file["committed"][...] = committed


def create_trace(
    path: Path,
    population: str,
    id: Int64[np.ndarray, "k"],
    dtype: str,
    unit: str,
    every: float,
    *,
    columns: tuple[Int64[np.ndarray, "k"], int] | None = None,
) -> None:
    """A new file for the samples of one variable, taken every so many ms.

    Args:
        path: the file.
        population: of the neurons.
        id: of the neurons, a column for each.
        dtype: of the values.
        unit: of the values.
        every: ms between two samples.
        columns: in the file of one rank: which of all columns these are, and how many there are.
    """
    check_free(path, 32 * len(id))
    with opened(path, "x") as file:
        _sign(file)
        group = file.create_group(f"report/{population}")
        width = max(1, min(len(id), _CHUNK // 4))
        chunks = (max(1, _CHUNK // (width * np.dtype(dtype).itemsize)), width)
        shape, largest = (0, len(id)), (None, max(1, len(id)))
        group.create_dataset("data", shape, dtype, maxshape=largest, chunks=chunks)
        group["data"].attrs["units"] = unit
        mapping = group.create_group("mapping")
        mapping["node_ids"] = id.astype(np.uint64)
        mapping["node_ids"].attrs["sorted"] = np.uint8(np.all(id[1:] >= id[:-1]))
        mapping["index_pointers"] = np.arange(len(id) + 1, dtype=np.uint64)
        mapping["element_ids"] = np.zeros(len(id), np.uint32)
        mapping["time"] = np.array([0.0, 0.0, every])
        mapping["time"].attrs["units"] = "ms"
        if columns is not None:
            mapping["columns"] = columns[0].astype(np.uint64)
            mapping["columns"].attrs["total"] = columns[1]


def append_trace(
    path: Path, population: str, first: int, value: Shaped[np.ndarray, "t k"], start: float
) -> None:
    """Add samples after the first rows, then say how many are complete; `start` is in ms."""
    _reserve(path, 2 * (value.nbytes + _CHUNK + _CHUNK * (value.shape[1] // (_CHUNK // 4))))
    with opened(path, "r+") as file:
        group = file[f"report/{population}"]
        _append(group["data"], first, value)
        file.flush()  # the samples precede their count
        time = group["mapping/time"]
        every = float(time[2])
        time[...] = np.array([start, start + (first + len(value)) * every, every])


def read_committed(path: Path, populations: Sequence[str]) -> tuple[int, int, dict[str, int]]:
    """First and last step of the run in a file, and how many spikes of each population are whole.

    Raises:
        RunDirectoryError: the file is missing, damaged, or holds something else.
    """
    with opened(path, "r") as file:
        committed = dataset(file, "committed", "i", 1)
        if len(committed) != 2 + len(populations):
            raise RunDirectoryError(
                f'"{path}" has {len(committed) - 2} populations where run.json names '
                f"{len(populations)}. The files do not belong together."
            )
        start, stop, *counts = committed[...].tolist()
        for population, count in zip(populations, counts, strict=True):
            for name, kind in (("timestamps", "f"), ("node_ids", "iu")):
                found = len(dataset(file, f"spikes/{population}/{name}", kind, 1))
                if not 0 <= count <= found:
                    raise RunDirectoryError(
                        f'"{path}" holds {found} {name} of "{population}" where {count} were '
                        "written. The file is damaged."
                    )
    if not 0 <= start <= stop:
        raise RunDirectoryError(f'"{path}" goes from step {start} to {stop}: it is damaged.')
    return start, stop, dict(zip(populations, counts, strict=True))


def read_trace(path: Path, population: str) -> tuple[Int64[np.ndarray, "k"], str, float, int]:
    """Ids, type of the values, time of the first sample (ms) and number of samples of a trace.

    Raises:
        RunDirectoryError: the file is missing, damaged, or holds something else.
    """
    with opened(path, "r") as file:
        group = f"report/{population}"
        data = dataset(file, f"{group}/data", "iuf", 2)
        id = dataset(file, f"{group}/mapping/node_ids", "iu", 1)[...].astype(np.int64)
        time = dataset(file, f"{group}/mapping/time", "f", 1)[...]
        count = round((time[1] - time[0]) / time[2]) if len(time) == 3 and time[2] > 0 else -1
        if not 0 <= count <= data.shape[0] or data.shape[1] != len(id):
            raise RunDirectoryError(
                f'"{path}" holds values of shape {data.shape} where {count} samples of {len(id)} '
                "ids were written. The file is damaged."
            )
        return id, str(data.dtype), float(time[0]), count


def read_columns(path: Path, population: str) -> tuple[Int64[np.ndarray, "k"], int]:
    """Which columns of a trace the file of a rank holds, and how many there are in all.

    Raises:
        RunDirectoryError: the file is missing, damaged, or holds something else.
    """
    with opened(path, "r") as file:
        data = dataset(file, f"report/{population}/mapping/columns", "iu", 1)
        columns, total = data[...].astype(np.int64), int(data.attrs["total"])  # pyright: ignore
    if len(columns) and not 0 <= columns.min() <= columns.max() < total:
        raise RunDirectoryError(f'"{path}" has columns beyond the {total} of all. It is damaged.')
    return columns, total


def link_spikes(
    path: Path, files: Sequence[str], counts: Mapping[str, Sequence[int]], committed: np.ndarray
) -> None:
    """A file whose spikes lie in the files of ranks beside it, one rank's after the other's.

    Args:
        path: the new file.
        files: names of the files of the ranks.
        counts: by population, how many spikes of each file belong to it.
        committed: as for `append_spikes`.
    """
    with opened(path, "x") as file:
        _sign(file)
        for population, rows in counts.items():
            group = file.create_group(f"spikes/{population}")
            group.attrs.create("sorting", 0, dtype=_SORTING)
            for name, dtype in (("timestamps", "f8"), ("node_ids", "u8")):
                layout = h5py.VirtualLayout((sum(rows),), dtype)
                at = 0
                for source, n in zip(files, rows, strict=True):
                    if n:
                        layout[at : at + n] = h5py.VirtualSource(
                            source, f"spikes/{population}/{name}", (n,), maxshape=(None,)
                        )[:n]
                    at += n
                group.create_virtual_dataset(name, layout)
            group["timestamps"].attrs["units"] = "ms"
        file["committed"] = committed


def link_trace(path: Path, population: str, files: Sequence[str], n_samples: int) -> None:
    """A file whose samples lie in the files of ranks beside it, rank after rank."""
    parts = []
    for source in files:
        with opened(path.with_name(source), "r") as file:
            group = file[f"report/{population}"]
            attributes = {name: group[name].attrs["units"] for name in ("data", "mapping/time")}
            id, time = group["mapping/node_ids"][...], group["mapping/time"][...]
            parts.append((source, id, group["data"].shape, group["data"].dtype))
    every = time[2]
    with opened(path, "x") as file:
        _sign(file)
        group = file.create_group(f"report/{population}")
        id = np.concatenate([part[1] for part in parts])
        layout, at = h5py.VirtualLayout((n_samples, len(id)), parts[0][3]), 0
        for source, own, shape, dtype in parts:
            if len(own) and n_samples:
                layout[:, at : at + len(own)] = h5py.VirtualSource(
                    source, f"report/{population}/data", shape, dtype, (None, len(own))
                )[:n_samples]
            at += len(own)
        group.create_virtual_dataset("data", layout)
        mapping = group.create_group("mapping")
        mapping["node_ids"] = id
        mapping["node_ids"].attrs["sorted"] = np.uint8(np.all(id[1:] >= id[:-1]))
        mapping["index_pointers"] = np.arange(len(id) + 1, dtype=np.uint64)
        mapping["element_ids"] = np.zeros(len(id), np.uint32)
        mapping["time"] = np.array([time[0], time[0] + n_samples * every, every])
        for name, unit in attributes.items():
            group[name].attrs["units"] = unit


def to_disk(path: Path) -> None:
    """Wait until what was written is on the disk, also after a loss of power."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def unusable(path: Path, mode: str, error: BaseException) -> RunDirectoryError:
    """The error for a file that cannot be used, with its cause."""
    do, cure = "write", "Look at the space and the rights on that disk; earlier writes are safe."
    if mode == "r":
        do, cure = "read", "It is missing or damaged."
    cause = getattr(error, "strerror", None) or error
    return RunDirectoryError(f'cannot {do} "{path}": {cause}. {cure}')


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], **attributes: Any) -> None:
    """A file of some arrays by name, in the place of one that may be there, whole or not at all.

    Raises:
        RunDirectoryError: it cannot be written; what was there is as it was.
    """
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        check_free(path, sum(array.nbytes + _METADATA for array in arrays.values()))
        with opened(new, "x") as file:
            for name, array in arrays.items():
                file[name] = array
            for name, value in attributes.items():
                file.attrs[name] = value
            file.attrs["checksum"] = _checksum(arrays)
        to_disk(new)  # its content precedes its name
        os.replace(new, path)
    except RunDirectoryError:
        raise
    except OSError as error:
        raise unusable(path, "w", error) from error
    finally:
        with suppress(OSError):
            new.unlink()


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of a file that `write_arrays` wrote, and its attributes.

    Raises:
        RunDirectoryError: it is missing, damaged, or holds something else.
    """
    with opened(path, "r") as file:
        found: dict[str, np.ndarray] = {}
        for name in _names(file, ""):
            n_axes = file[name].ndim
            found[name] = np.asarray(dataset(file, name, "iuf", n_axes)[()])
        attributes: dict[str, Any] = dict(file.attrs)
        if attributes.pop("checksum", None) != _checksum(found):
            raise unusable(path, "r", ValueError("its values are not those that were written"))
        return found, attributes


def _checksum(arrays: Mapping[str, np.ndarray]) -> np.uint32:
    found = 0
    for name, array in sorted(arrays.items()):
        found = zlib.crc32(np.ascontiguousarray(array).tobytes(), zlib.crc32(name.encode(), found))
    return np.uint32(found)


def _names(group: Any, before: str) -> Iterator[str]:
    for name in group:
        path = f"{before}{name}"
        if isinstance(group.get(name, getlink=True), h5py.HardLink) and isinstance(
            group[name], h5py.Group
        ):
            yield from _names(group[name], f"{path}/")
        else:
            yield path


@contextmanager
def opened(path: Path, mode: str) -> Iterator[Any]:
    """The file; without HDF5's locks, which fail on network disks and keep other readers out."""
    if mode != "x" and not path.is_file():  # a pipe would be waited for
        raise RunDirectoryError(f'cannot read "{path}": there is no such file.')
    try:
        with h5py.File(path, mode, locking=False) as file:
            yield file
    except RunDirectoryError:
        raise
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise unusable(path, mode, error) from error


def check_free(path: Path, size: int) -> None:
    """Raise RunDirectoryError unless the disk has room for so many bytes, and some to spare."""
    disk = shutil.disk_usage(path.parent)
    if disk.total and disk.free < size + _SPARE:  # some network disks do not tell their size
        full = f"{disk.free} bytes are free on that disk and {size + _SPARE} are needed"
        raise unusable(path, "w", OSError(errno.ENOSPC, full))


def _reserve(path: Path, size: int) -> None:
    """Have the disk keep room for so many bytes at the end of a file until HDF5 has written them.

    HDF5 that meets a full disk loses the file and sometimes the process. What it does not use of
    the room it gives back when it flushes.
    """
    check_free(path, size)
    if sys.platform != "linux" or not size:
        return
    try:
        with open(path, "r+b") as file:
            end = os.fstat(file.fileno()).st_size
            try:
                os.posix_fallocate(file.fileno(), end, size + _METADATA + size // 16)
            except OSError:
                os.ftruncate(file.fileno(), end)
                raise
    except OSError as error:
        raise unusable(path, "w", error) from error


def _sign(file: h5py.File) -> None:
    file.attrs["magic"] = _MAGIC
    file.attrs["version"] = _VERSION


def _append(data: h5py.Dataset, first: int, value: Shaped[np.ndarray, "n ..."]) -> None:
    if len(value):
        data.resize(first + len(value), axis=0)
        data[first:] = value


def dataset(file: h5py.File, name: str, kind: str, n_axes: int) -> h5py.Dataset:
    """A dataset whose values lie in this very file, as plain numbers.

    Raises:
        RunDirectoryError: it is missing, lies elsewhere, is filtered, or larger than the file.
    """
    place = f'"{file.filename}", object "/{name}"'
    found: Any = file
    for part in name.split("/"):
        link = found.get(part, getlink=True) if isinstance(found, h5py.Group) else None
        if link is None:
            raise RunDirectoryError(f"{place} is missing. This is not a file of a run.")
        if not isinstance(link, h5py.HardLink):
            raise RunDirectoryError(f"{place} is a {type(link).__name__}, which is not followed.")
        found = found[part]
    if not isinstance(found, h5py.Dataset):
        raise RunDirectoryError(f"{place} is not a dataset. This is not a file of a run.")
    largest = os.path.getsize(file.filename)
    what = ""
    if found.external or found.is_virtual:
        what = "has its values in other files"
    elif found.id.get_create_plist().get_nfilters():
        what = "is filtered (compressed)"
    elif found.dtype.kind not in kind or found.ndim != n_axes:
        what = f"has type {found.dtype} and shape {found.shape}"
    elif found.nbytes > largest:
        what = f"claims {found.nbytes} bytes in a file of {largest}"
    elif found.size and found.chunks and math.prod(found.chunks) * found.dtype.itemsize > largest:
        what = f"claims chunks of shape {found.chunks} in a file of {largest} bytes"
    if what:
        raise RunDirectoryError(f"{place} {what}, which no file of a run does. It is not read.")
    return found
