"""Archives of arrays (.npz), looked at before they are read.

A small file can say that it holds more than there is memory, in the head of an array or compressed.
Objects are never read: to load them is to run code.
"""

import math
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

_DAMAGE = (
    OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, tokenize.TokenError,
    SyntaxError, zlib.error,
)  # fmt: skip
RATIO = 100  # times its size that an archive may come to
FREE = 1 << 26  # bytes that any may


def check(path: str | Path) -> None:
    """Make sure that an archive holds plain arrays, and about as much as its size tells.

    Raises:
        ValueError: it does not, or is no archive.
        OSError: it cannot be read.
    """
    path = Path(path)
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise OSError(f"{path} is no file")
    with path.open("rb") as file:
        try:
            _check(file, path.stat().st_size)
        except _DAMAGE as error:  # also where it sends a reader: nowhere
            raise ValueError(f"it is no archive of arrays: {error}") from error


def _check(file: Any, size: int) -> None:
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        total = sum(member.file_size for member in members)
        if total > FREE + RATIO * size:
            raise ValueError(
                f"it has {size} bytes and would become {total}. Write it without compression"
            )
        for member in members:
            with archive.open(member) as array:
                _check_array(member.filename, array, member.file_size)


def _check_array(name: str, file: Any, size: int) -> None:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    else:
        raise ValueError(f"array {name[:80]!r} is of version {version}")
    if dtype.hasobject:
        raise ValueError(f"array {name[:80]!r} holds objects, which are not read")
    if any(n < 0 for n in shape) or math.prod(shape) * dtype.itemsize > size:
        raise ValueError(f"array {name[:80]!r} claims shape {shape} in {size} bytes")
