"""A table in an HDF5 file, of a fixed number of rows that are filled in any order.

    /<group>/<name>   float64 or int64 [n]   a column
    /state            int32 [n]              0: the row is not filled yet; what others mean is up to
                                             those who write them
    /notes            uint8 [m, 256]         texts, to which states may point
    /text/about       uint8 [k]              where it comes from (JSON), and the names of columns

All room is there from the beginning: to fill a row changes no structure of the file, and its state
is written after its values. Whatever ends the process, what counts as filled is filled.
"""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, Real

from distdyn.errors import RunDirectoryError
from distdyn.run import store

FORMAT = 1
NOTES, WIDTH = 1024, 256  # how many texts there can be, and the bytes of each


class Table(NamedTuple):
    """What a file holds.

    Attributes:
        about: where it comes from: texts and numbers by name.
        columns: by group, and by name.
        state: of each row.
        notes: the texts, as far as there are any.
    """

    about: dict[str, Any]
    columns: dict[str, dict[str, Real[np.ndarray, "n"]]]
    state: Int[np.ndarray, "n"]
    notes: list[str]


def write(path: Path, table: Table, *, is_new: bool = False) -> None:
    """A file of this table, whole or not at all, in the place of one that may be there.

    Args:
        path: the file.
        table: what it holds.
        is_new: one that is there already stays as it is.

    Raises:
        RunDirectoryError: it cannot be written; what was there is as it was.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(draft, table)
        store.to_disk(draft)  # its content precedes its name
        if not is_new:
            os.replace(draft, path)
        elif not path.exists():
            _name_it(draft, path)
    except RunDirectoryError:
        raise
    except OSError as error:
        raise store.unusable(path, "w", error) from error
    finally:
        with suppress(OSError):
            draft.unlink()


def _name_it(draft: Path, path: Path) -> None:
    """Give a file its name, unless another process was faster."""
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    except OSError:  # a disk without links
        os.replace(draft, path)


def fill(
    path: Path,
    group: str,
    rows: Int[np.ndarray, "k"],
    columns: Mapping[str, Real[np.ndarray, "k"]],
    state: Int[np.ndarray, "k"],
    notes: Sequence[str] = (),
) -> None:
    """Write some rows of a group, then that they are filled.

    Args:
        path: the file.
        group: of the columns.
        rows: ascending.
        columns: a value for each row.
        state: of each row.
        notes: all texts that there are so far.
    """
    pieces = np.split(np.arange(len(rows)), np.flatnonzero(np.diff(rows) != 1) + 1)
    with store.opened(path, "r+") as file:
        for k, note in enumerate(notes):
            file["notes"][k] = _bytes(note)
        for piece in pieces if len(rows) else ():
            here = slice(int(rows[piece[0]]), int(rows[piece[-1]]) + 1)
            for name, values in columns.items():
                file[f"{group}/{name}"][here] = values[piece]
        file.flush()  # the values precede their states
        for piece in pieces if len(rows) else ():
            here = slice(int(rows[piece[0]]), int(rows[piece[-1]]) + 1)
            file["state"][here] = state[piece]


def read(path: Path) -> Table:
    """The table of a file.

    Raises:
        RunDirectoryError: it is missing, damaged, or holds something else.
    """
    with store.opened(path, "r") as file:
        if store.attribute(file, "", "format") != FORMAT:
            raise store.unusable(path, "r", ValueError("it is not a table of a sweep"))
        about = json.loads(store.read_text(file, "about"))
        of = json.loads(store.read_text(file, "columns"))
        state = store.dataset(file, "state", "i", 1)
        named = {group: {n: store.dataset(file, f"{group}/{n}", "if", 1) for n in names}
                 for group, names in of.items()}  # fmt: skip
        every = [column for group in named.values() for column in group.values()]
        if sum(column.nbytes for column in every) > path.stat().st_size:
            raise store.unusable(path, "r", ValueError("its columns are larger than the file"))
        if any(len(column) != len(state) for column in every):
            raise store.unusable(path, "r", ValueError("its columns are of different lengths"))
        columns = {
            group: {n: column[...] for n, column in found.items()} for group, found in named.items()
        }
        state = state[...]
        notes = store.dataset(file, "notes", "u", 2, most=NOTES * WIDTH)[...]
    texts = [bytes(note).rstrip(b"\0").decode(errors="replace") for note in notes]
    while texts and not texts[-1]:
        texts.pop()
    return Table(about, columns, state, texts)


def _write(path: Path, table: Table) -> None:
    arrays = [column for group in table.columns.values() for column in group.values()]
    store.check_free(path, sum(array.nbytes for array in arrays) + NOTES * WIDTH)
    path.unlink(missing_ok=True)  # of a process that had our number
    with store.opened(path, "x") as file:
        file.attrs["format"] = FORMAT
        store.write_text(file, "about", json.dumps(table.about))
        names = {group: list(columns) for group, columns in table.columns.items()}
        store.write_text(file, "columns", json.dumps(names))
        for group, columns in table.columns.items():
            for name, column in columns.items():
                file[f"{group}/{name}"] = column
        file["notes"] = np.zeros((NOTES, WIDTH), np.uint8)
        for k, note in enumerate(table.notes):
            file["notes"][k] = _bytes(note)
        file["state"] = table.state


def _bytes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode()[:WIDTH].ljust(WIDTH, b"\0"), np.uint8)
