"""Opening files: whole or not at all, and nothing read that a file may hide.

What the files of others may hide behind a name (links, external or virtual storage, plugins, shapes
larger than the file) is refused before it is read. Writing looks first whether the disk has room:
HDF5 that meets a full disk loses the file, and sometimes the process.
"""

import errno
import math
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from distdyn.errors import RunDirectoryError

METADATA = 1 << 16  # bytes that a file may need besides its values
_SPARE = 1 << 22  # bytes that must stay free on a disk


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
    cause = getattr(error, "strerror", None) or error
    return RunDirectoryError(f'cannot {do} "{path}": {cause}. {cure}')


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
