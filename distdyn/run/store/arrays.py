"""Some arrays by name in a file of their own: results of an analysis, what was trained."""

import os
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from distdyn.errors import RunDirectoryError
from distdyn.run.store.opening import (
    METADATA,
    attribute,
    check_free,
    dataset,
    datasets,
    opened,
    to_disk,
    unusable,
)

_MOST_ATTRIBUTES = 1000


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], **attributes: Any) -> None:
    """A file of some arrays by name, in the place of one that may be there, whole or not at all.

    Raises:
        RunDirectoryError: it cannot be written; what was there is as it was.
    """
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        check_free(path, sum(array.nbytes + METADATA for array in arrays.values()))
        new.unlink(missing_ok=True)  # of a process that had our number
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
        if len(file.attrs) > _MOST_ATTRIBUTES:
            raise unusable(path, "r", ValueError(f"it has {len(file.attrs)} attributes"))
        attributes = {str(name): attribute(file, "", name) for name in file.attrs}
        arrays = [(name, dataset(file, name, "iufb", None)) for name in datasets(file)]
        if sum(array.nbytes for _, array in arrays) > os.path.getsize(path):
            raise unusable(path, "r", ValueError("its arrays are larger than the file"))
        found = {name: np.asarray(array[()]) for name, array in arrays}
        if attributes.pop("checksum", None) != _checksum(found):
            raise unusable(path, "r", ValueError("its values are not those that were written"))
        return found, attributes


def _checksum(arrays: Mapping[str, np.ndarray]) -> np.uint32:
    found = 0
    for name, array in sorted(arrays.items()):
        found = zlib.crc32(np.ascontiguousarray(array).tobytes(), zlib.crc32(name.encode(), found))
    return np.uint32(found)
