"""The tables of a checkpoint: columns by key, one dataset for each field.

    /TABLE/key          int64[n], ascending
    /TABLE/fields/NAME  [n, ...]

Whoever needs some keys reads one field at a time. Names of tables are paths (`cells/E`).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64, Shaped

from distdyn.errors import RunDirectoryError
from distdyn.run.store.opening import (
    METADATA,
    attribute,
    check_free,
    dataset,
    datasets,
    found,
    names,
    opened,
    reserve,
)

_KIND = "distdyn tables"


def create_tables(path: Path) -> None:
    """A new file without tables."""
    check_free(path, METADATA)
    with opened(path, "x") as file:
        file.attrs["kind"] = np.bytes_(_KIND)


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
            if attribute(file, "", "kind") != _KIND:
                raise RunDirectoryError(f'"{path}" does not hold the tables of a checkpoint.')

    def names(self) -> list[str]:
        """Of the tables, in the order of the alphabet.

        Raises:
            RunDirectoryError: the file holds something else besides.
        """
        with opened(self.path, "r") as file:
            every = datasets(file)
        tables = [name.removesuffix("/key") for name in every if name.endswith("/key")]
        fields = tuple(f"{name}/fields/" for name in tables)
        for name in every:
            if not name.endswith("/key") and not name.startswith(fields):
                raise RunDirectoryError(f'"{self.path}", object "/{name}" is of no table.')
        return tables

    def key(self, name: str) -> Int64[np.ndarray, "n"]:
        """The keys of a table; none if it is not here."""
        with opened(self.path, "r") as file:
            if found(file, f"{name}/key") is None:
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
            fields = {x: self._field(file, name, x, n) for x in names(file, f"{name}/fields")}
            if sum(array.nbytes for array in fields.values()) > self.path.stat().st_size:
                raise RunDirectoryError(f'"{self.path}": "{name}" is larger than the file.')
            for field, array in fields.items():
                yield field, np.asarray(array[...])[rows]

    def _field(self, file: Any, name: str, field: str, n: int) -> Any:
        array = dataset(file, f"{name}/fields/{field}", "iufb", None)
        if array.shape[:1] != (n,):
            raise RunDirectoryError(
                f'"{self.path}": "{field}" of "{name}" has {array.shape[:1]} rows where there are '
                f"{n} keys. The file is damaged."
            )
        return array
