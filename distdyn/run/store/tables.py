"""The tables of a checkpoint: columns by key, one dataset for each field.

    /TABLE/key          int64[n], ascending
    /TABLE/fields/NAME  [n, ...]

Whoever needs some keys reads one field at a time. Names of tables are paths (`cells/E`).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Bool, Int64, Shaped

from distdyn.errors import RunDirectoryError
from distdyn.run.store.opening import METADATA, check_free, dataset, opened, reserve

_KIND = "distdyn tables"
_MOST_AXES = 4


def create_tables(path: Path) -> None:
    """A new file without tables."""
    check_free(path, METADATA)
    with opened(path, "x") as file:
        file.attrs["kind"] = _KIND


def append_table(
    path: Path,
    name: str,
    key: Int64[np.ndarray, "n"],
    fields: Mapping[str, Shaped[np.ndarray, "n ..."]],
) -> None:
    """Add a table.

    Raises:
        RunDirectoryError: the disk is full, or the file cannot be written.
    """
    size = key.nbytes + sum(array.nbytes for array in fields.values())
    reserve(path, size + METADATA * (1 + len(fields)))
    with opened(path, "r+") as file:
        file[f"{name}/key"] = key
        group = file.create_group(f"{name}/fields")
        for field, array in fields.items():
            group[field] = array


class StoredTables:
    """The tables of a file.

    Raises:
        RunDirectoryError: the file is missing, damaged, or holds something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with opened(path, "r") as file:
            if file.attrs.get("kind") != _KIND:
                raise RunDirectoryError(f'"{path}" does not hold the tables of a checkpoint.')

    def key(self, name: str) -> Int64[np.ndarray, "n"]:
        """The keys of a table; none if it is not here."""
        with opened(self.path, "r") as file:
            if name not in file:
                return np.zeros(0, np.int64)
            key = dataset(file, f"{name}/key", "i", 1)[...].astype(np.int64)
        if (np.diff(key) < 0).any():
            raise RunDirectoryError(f'"{self.path}": the keys of "{name}" are not in order.')
        return key

    def fields(
        self, name: str, rows: Int64[np.ndarray, "m"] | Bool[np.ndarray, "n"]
    ) -> Iterator[tuple[str, Shaped[np.ndarray, "m ..."]]]:
        """The fields of a table, one after the other, at these rows."""
        with opened(self.path, "r") as file:
            n = len(dataset(file, f"{name}/key", "i", 1))
            group = file.get(f"{name}/fields")
            names = [str(field) for field in group] if isinstance(group, h5py.Group) else []
            for field in names:
                yield field, self._field(file, f"{name}/fields/{field}", n)[rows]

    def _field(self, file: Any, place: str, n: int) -> Shaped[np.ndarray, "n ..."]:
        found = file.get(place)
        n_axes = getattr(found, "ndim", 0)
        array = dataset(file, place, "iufb", min(n_axes, _MOST_AXES))
        if array.shape[:1] != (n,):
            raise RunDirectoryError(
                f'"{self.path}", object "/{place}" has {array.shape[:1]} rows where there are {n} '
                "keys. The file is damaged."
            )
        return np.asarray(array[...])
