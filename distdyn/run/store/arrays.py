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
    TEXT,
    attribute,
    check_free,
    dataset,
    datasets,
    opened,
    read_text,
    to_disk,
    unusable,
    write_text,
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
                if isinstance(value, str):
                    write_text(file, name, value)
                else:
                    file.attrs[name] = _stored(value)
            file.attrs["checksum"] = _checksum(arrays, attributes)
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
        every = datasets(file)
        texts = [name.removeprefix(TEXT) for name in every if name.startswith(TEXT)]
        attributes |= {name: read_text(file, name) for name in texts}
        arrays = [
            (name, dataset(file, name, "iufb", None)) for name in every if not name.startswith(TEXT)
        ]
        if sum(array.nbytes for _, array in arrays) > os.path.getsize(path):
            raise unusable(path, "r", ValueError("its arrays are larger than the file"))
        found = {name: np.asarray(array[()]) for name, array in arrays}
        if attributes.pop("checksum", None) != _checksum(found, attributes):
            raise unusable(path, "r", ValueError("its values are not those that were written"))
        return found, {name: _read(value) for name, value in attributes.items()}


def _checksum(arrays: Mapping[str, np.ndarray], attributes: Mapping[str, Any]) -> np.uint32:
    found = 0
    parts = {f"attribute {name}": _stored(value) for name, value in attributes.items()}
    for name, array in sorted({**arrays, **parts}.items()):
        found = zlib.crc32(np.ascontiguousarray(array).tobytes(), zlib.crc32(name.encode(), found))
    return np.uint32(found)


def _stored(value: Any) -> np.ndarray:
    """An attribute as it is stored: text of fixed length."""
    is_text = isinstance(value, list) and all(type(x) is str for x in value)
    found = np.asarray([x.encode() for x in value] if is_text else value)
    return np.frombuffer(value.encode(), np.uint8) if isinstance(value, str) else found


def _read(value: Any) -> Any:
    """The inverse, of lists of texts."""
    is_text = isinstance(value, np.ndarray) and value.dtype.kind == "S"
    return [x.decode(errors="replace") for x in value.tolist()] if is_text else value
