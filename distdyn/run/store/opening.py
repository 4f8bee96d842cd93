"""Opening files: whole or not at all, and nothing read that a file may hide.

What the files of others may hide behind a name (links, external or virtual storage, plugins, shapes
larger than the file) is refused before it is read. Writing looks first whether the disk has room:
HDF5 that meets a full disk loses the file, and sometimes the process.
"""

import errno
import math
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from distdyn.errors import RunDirectoryError

METADATA = 1 << 16  # bytes that a file may need besides its values
MOST_OBJECTS = 1 << 18  # of a file
DEEPEST = 16  # groups within each other
LARGEST_ATTRIBUTE = 1 << 20  # bytes
TEXT = "text/"  # the group of all text
_SPARE = 1 << 22  # bytes that must stay free on a disk
_DAMAGE = (  # what is raised by files that are not what they should be
    OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, OverflowError,
)  # fmt: skip
_OF_HDF5 = re.compile(r"error message = '([^']+)'")  # what the system said, in a line of its words
_NOT_OURS = "This is not a file of ours."


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
    except _DAMAGE as error:
        raise unusable(path, mode, error) from error


def check_free(path: Path, size: int) -> None:
    """Raise RunDirectoryError unless the disk has room for so many bytes, and some to spare."""
    disk = shutil.disk_usage(path.parent)
    if disk.total and disk.free < size + _SPARE:  # some network disks do not tell their size
        full = f"{disk.free} bytes are free on that disk and {size + _SPARE} are needed"
        raise unusable(path, "w", OSError(errno.ENOSPC, full))


def reserve(path: Path, size: int) -> None:
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
                os.posix_fallocate(file.fileno(), end, size + METADATA + size // 16)
            except OSError:
                os.ftruncate(file.fileno(), end)
                raise
    except OSError as error:
        raise unusable(path, "w", error) from error


def to_disk(path: Path) -> None:
    """Wait until what was written is on the disk, also after a loss of power."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def unusable(path: Path, mode: str, error: BaseException) -> RunDirectoryError:
    """The error for a file that cannot be used, with its cause."""
    do, cure = "write", "Look at the space and the rights on that disk; earlier writes are safe."
    if mode == "r":
        do, cure = "read", "It is missing or damaged."
    told = _OF_HDF5.search(str(error))
    cause = told[1] if told else getattr(error, "strerror", None) or error
    return RunDirectoryError(f'cannot {do} "{path}": {cause}. {cure}')


def found(file: h5py.File, name: str) -> Any:
    """The object of this name in this very file; None if there is none.

    Raises:
        RunDirectoryError: there is a link on the way to it.
    """
    here: Any = file
    for part in filter(None, name.split("/")):
        link = here.get(part, getlink=True) if isinstance(here, h5py.Group) else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise RunDirectoryError(
                f"{_place(file, name)} is a {type(link).__name__}, which is not followed."
            )
        here = here[part]
    return here


def names(file: h5py.File, name: str = "") -> list[str]:
    """What a group holds; nothing if it is not there.

    Raises:
        RunDirectoryError: it is no group, or holds more than any file of ours.
    """
    group = found(file, name)
    if group is None:
        return []
    if not isinstance(group, h5py.Group):
        raise RunDirectoryError(f"{_place(file, name)} is no group. {_NOT_OURS}")
    if len(group) > MOST_OBJECTS:
        raise RunDirectoryError(f"{_place(file, name)} holds {len(group)} objects. {_NOT_OURS}")
    return [str(member) for member in group]


def datasets(file: h5py.File) -> list[str]:
    """The names of all datasets, in whatever groups.

    Raises:
        RunDirectoryError: there is a link, or more than in any file of ours.
    """
    ours, groups, seen = [], [""], 0
    while groups:
        group = groups.pop()
        members = names(file, group)
        seen += len(members)
        if seen > MOST_OBJECTS or group.count("/") > DEEPEST:  # a group may hold itself
            raise RunDirectoryError(f"{_place(file, group)} holds too much. {_NOT_OURS}")
        for member in members:
            path = f"{group}/{member}" if group else member
            (groups if isinstance(found(file, path), h5py.Group) else ours).append(path)
    return sorted(ours)


def dataset(
    file: h5py.File, name: str, kind: str, n_axes: int | None, *, most: int | None = None
) -> h5py.Dataset:
    """A dataset whose values lie in this very file, as plain numbers.

    Args:
        file: that is open.
        name: of the dataset.
        kind: letters of the NumPy types that are possible.
        n_axes: how many it has; None: any number.
        most: values that it may have.

    Raises:
        RunDirectoryError: it is missing, lies elsewhere, is filtered, or larger than the file.
    """
    array, place = found(file, name), _place(file, name)
    if array is None:
        raise RunDirectoryError(f"{place} is missing. {_NOT_OURS}")
    if not isinstance(array, h5py.Dataset):
        raise RunDirectoryError(f"{place} is not a dataset. {_NOT_OURS}")
    largest = os.path.getsize(file.filename)
    what = ""
    if array.external or array.is_virtual:
        what = "has its values in other files"
    elif array.id.get_create_plist().get_nfilters():
        what = "is filtered (compressed)"
    elif array.shape is None or array.dtype.kind not in kind or n_axes not in (None, array.ndim):
        what = f"has type {array.dtype} and shape {array.shape}"
    elif array.nbytes > largest:
        what = f"claims {array.nbytes} bytes in a file of {largest}"
    elif array.size and array.chunks and math.prod(array.chunks) * array.dtype.itemsize > largest:
        what = f"claims chunks of shape {array.chunks} in a file of {largest} bytes"
    elif most is not None and math.prod(array.shape) > most:
        what = f"has {array.size} values where at most {most} are possible"
    if what:
        raise RunDirectoryError(f"{place} {what}, which no file of ours does. It is not read.")
    return array


def attribute(file: h5py.File, name: str, attribute: str) -> Any:
    """An attribute: a number, an array, or text; None if there is none.

    Raises:
        RunDirectoryError: it is larger than any of ours, or of variable length: a damaged one
            makes HDF5 go round and round.
    """
    of = found(file, name)
    if of is None or attribute not in of.attrs:
        return None
    stored, largest = of.attrs.get_id(attribute), os.path.getsize(file.filename)
    size = math.prod(stored.shape or ()) * stored.dtype.itemsize
    if stored.dtype.kind not in "iufbS" or size > min(largest, LARGEST_ATTRIBUTE):
        raise RunDirectoryError(
            f'{_place(file, name)}, attribute "{attribute}" has type {stored.dtype} and {size} '
            f"bytes. {_NOT_OURS}"
        )
    value = of.attrs[attribute]
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def write_text(file: h5py.File, name: str, text: str) -> None:
    """Text of any length, as bytes in a dataset of that name."""
    file[f"{TEXT}{name}"] = np.frombuffer(text.encode(), np.uint8)


def read_text(file: h5py.File, name: str) -> str:
    """What `write_text` wrote; empty if there is none."""
    if found(file, f"{TEXT}{name}") is None:
        return ""
    data: Any = dataset(file, f"{TEXT}{name}", "u", 1)
    if data.dtype != np.uint8:
        raise RunDirectoryError(f"{_place(file, TEXT + name)} is no text. {_NOT_OURS}")
    return data[...].tobytes().decode(errors="replace")


def _place(file: h5py.File, name: str) -> str:
    return f'"{file.filename}", object "/{name}"'
