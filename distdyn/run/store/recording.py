"""The files of a recording: HDF5 in SONATA layout, appended to and read piece by piece.

    spikes.h5       /spikes/<population>/{timestamps, node_ids}    the spikes of all populations
                    /committed            start, stop, complete spikes of each population
    <variable>.h5   /report/<population>/{data, mapping/...}       one file per trace

Of several ranks each writes files of its own (`spikes.rank-0003.h5`) in the same layout.

Every write opens its file, appends and closes it, so that other programs can read along and a file
is whole between two writes whatever ends the process. `/committed`, and `mapping/time` of a trace,
are written last: a reader trusts nothing beyond them, should the process die within a write.

Nothing is compressed: libsonata reads no compressed files.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float64, Int64, Shaped

from distdyn.errors import RunDirectoryError
from distdyn.run.store.opening import attribute, check_free, dataset, opened, reserve

_MAGIC, _VERSION = np.uint32(0x0A7A), np.array([0, 1], np.uint32)  # of SONATA
_SORTING = h5py.enum_dtype({"none": 0, "by_id": 1, "by_time": 2}, basetype="u1")
_CHUNK = 1 << 16  # bytes
_END = 2.0**62  # a step that is none


@dataclass(frozen=True, eq=False)
class StoredSpikes:
    """The first `count` spikes of a population of `size` in a file; t = t0 + step * dt."""

    file: Path
    population: str
    size: int
    count: int
    dt: float
    t0: float

    def read(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        with opened(self.file, "r") as file:
            group = f"spikes/{self.population}"
            time = dataset(file, f"{group}/timestamps", "f", 1)[first:last]
            id = dataset(file, f"{group}/node_ids", "iu", 1)[first:last]
        step = np.rint((time.astype(np.float64) - self.t0) / self.dt)
        id = id.astype(np.int64)
        if not (np.abs(step) < _END).all() or not ((id >= 0) & (id < self.size)).all():
            raise RunDirectoryError(
                f'"{self.file}" has spikes of "{self.population}" that are of none of its '
                f"{self.size} neurons, or at no time. The file is damaged."
            )
        return step.astype(np.int64), id


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
    reserve(path, sum(2 * (8 * len(id) + _CHUNK) for _, _, id in rows.values() if len(id)))
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
    reserve(path, 2 * (value.nbytes + _CHUNK + _CHUNK * (value.shape[1] // (_CHUNK // 4))))
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
        place = f"report/{population}/mapping/columns"
        data = dataset(file, place, "iu", 1)
        columns = data[...].astype(np.int64)
        total = int(attribute(file, place, "total"))
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


def _sign(file: h5py.File) -> None:
    file.attrs["magic"] = _MAGIC
    file.attrs["version"] = _VERSION


def _append(data: h5py.Dataset, first: int, value: Shaped[np.ndarray, "n ..."]) -> None:
    if len(value):
        data.resize(first + len(value), axis=0)
        data[first:] = value
