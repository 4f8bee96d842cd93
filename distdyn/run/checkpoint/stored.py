"""Reading a checkpoint: of which run it is, whether it is whole, and what some cells held.

    stored = Stored(Path("out/checkpoints/step-000000010000"))
    stored.check_of({"seed": 1, ...})                 # errors that name what differs
    stored.verify(world)                              # every byte
    stored.read("cells/E", key)                       # from whatever parts wrote them

Nothing in it is trusted: names of files are looked at before they are opened, tables are plain
numbers within their own file, and all sizes are those that the manifest says.
"""

import re
import stat
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from distdyn.errors import CheckpointError, RunDirectoryError
from distdyn.parallel.exchange.counters import NAMES
from distdyn.parallel.launch import World
from distdyn.parallel.snapshot import Fields
from distdyn.run.agreement import agreed
from distdyn.run.checkpoint.writing import FORMAT, MANIFEST, NAME, checksum, digest, kept
from distdyn.run.provenance import read_json
from distdyn.run.store import StoredTables
from distdyn.run.stream import END
from distdyn.units import shown

_MOST_SHOWN = 5  # differences in a message
_LONGEST = 200  # characters of a value in a message
_PART = re.compile(r"part-\d{4,}\.h5")


class Stored:
    """A checkpoint on a disk.

    Args:
        path: its directory.

    Attributes:
        manifest: what it says of itself.
        step: the last one that was done.
        n_parts: of as many ranks.

    Raises:
        CheckpointError: it is none, or of another format.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.manifest = _manifest(self.path)
        self.step: int = self.manifest["step"]
        self._parts = [(self.path / p["file"], p) for p in self.manifest["parts"]]
        self.n_parts = len(self._parts)
        self._tables: dict[Path, StoredTables] = {}

    def verify(self, world: World) -> None:
        """Look at every byte of it; the ranks share the files. Collective.

        Raises:
            CheckpointError: on all ranks; a file is missing, shorter or longer, or has changed.
        """
        with agreed(world):
            for file, said in self._parts[world.rank :: world.size]:
                _check_part(file, said)

    def check_of(self, about: Mapping[str, Any]) -> None:
        """Make sure that it is of this run.

        Args:
            about: "of" which run ours is, and how it is "made_by".

        Raises:
            CheckpointError: it is of another network, seed, step or precision.
        """
        there, here = _flat(self.manifest["of"]), _flat(about["of"])
        names = dict.fromkeys((*here, *there))
        wrong = [n for n in names if there.get(n) != here.get(n)]
        if wrong:
            lines = [
                f"  {n}: {_shown(there.get(n))} there, {_shown(here.get(n))} here"
                for n in wrong[:_MOST_SHOWN]
            ]
            lines += [f"  and {len(wrong) - _MOST_SHOWN} more"] * (len(wrong) > _MOST_SHOWN)
            raise CheckpointError(
                f'"{self.path}" is of another run:\n' + "\n".join(lines) + "\n"
                "Start with the network and the arguments of that run, or begin anew."
            )
        there, here = _flat(self.manifest["made_by"]), _flat(about["made_by"])
        changed = [n for n in here if there.get(n) != here[n]]
        if changed:
            said = ", ".join(f"{n} {_shown(there.get(n))} -> {_shown(here[n])}" for n in changed)
            warnings.warn(
                f'"{self.path}" was written elsewhere ({said}): what follows may differ in its '
                "last bits from a run in one piece.",
                stacklevel=2,
            )

    def part(self, k: int) -> StoredTables:
        """The tables of a part; its file is opened when it is needed."""
        file, _ = self._parts[k]
        if file not in self._tables:
            self._tables[file] = StoredTables(file)
        return self._tables[file]

    def read(self, name: str, key: Int64[np.ndarray, "n"], first: int = 0) -> Fields:
        """The fields of a table at these keys.

        Args:
            name: of the table.
            key: ascending; equal ones take what stands there one after the other.
            first: the part that is most likely to have them.

        Raises:
            CheckpointError: a key is nowhere.
        """
        found: dict[str, np.ndarray] = {}
        missing = np.ones(len(key), bool)
        turn = np.arange(len(key)) - np.searchsorted(key, key)
        parts = range(self.n_parts)
        for k in (*parts[first:], *parts[:first]):
            tables = self.part(k)
            have = tables.key(name)
            at = np.searchsorted(have, key) + turn
            here = missing & (at < len(have))
            here[here] = have[at[here]] == key[here]
            if here.any():
                for field, values in tables.fields(name, at[here]):
                    self._place(found, name, field, values, here)
                missing &= ~here
            if not missing.any():
                return found
        raise CheckpointError(
            f'"{self.path}": {missing.sum()} of {len(key)} rows of "{name}" are missing, the first '
            f"is {key[missing][0]}. It is of another network, or was changed."
        )

    def _place(
        self, found: dict[str, np.ndarray], name: str, field: str, values: Any, here: Any
    ) -> None:
        whole = found.setdefault(field, np.zeros((len(here), *values.shape[1:]), values.dtype))
        if (whole.dtype, whole.shape[1:]) != (values.dtype, values.shape[1:]):
            raise CheckpointError(
                f'"{self.path}": field "{field}" of "{name}" has several shapes or types. It was '
                "changed."
            )
        whole[here] = values


def newest(directory: Path, world: World) -> Stored | None:
    """The newest checkpoint that is whole; a warning names those that are not. Collective.

    Raises:
        CheckpointError: there are some, and none is whole.
        RunDirectoryError: it may not be looked into.
    """
    with agreed(world):
        found = kept(directory) if world.rank == 0 else []
    steps: list[tuple[int, Path]] = world.bcast(found)
    for _, path in steps:
        try:
            with agreed(world):
                stored = Stored(path)
            stored.verify(world)
            return stored
        except (CheckpointError, RunDirectoryError) as error:
            if world.rank == 0:
                warnings.warn(f"{error} An older checkpoint is taken.", stacklevel=2)
    if steps:
        raise CheckpointError(
            f'none of the checkpoints in "{directory}" is whole. Begin anew, in another directory.'
        )
    return None


def _check_part(file: Path, said: Mapping[str, Any]) -> None:
    try:
        found = file.lstat()
        is_file, size = stat.S_ISREG(found.st_mode), found.st_size
        is_same = is_file and size == said["bytes"]
        if is_same and checksum(file) == said["sha256"]:
            return
    except OSError as error:
        raise CheckpointError(f'"{file}" cannot be read: {error.strerror}.') from error
    what = "was changed" if is_same else f"has {size} bytes where {said['bytes']} were written"
    what = what if is_file else "is a link, or no file at all"
    raise CheckpointError(f'"{file}" {what}. It is damaged.')


def _manifest(path: Path) -> dict[str, Any]:
    file = path / MANIFEST
    try:
        if file.is_symlink():
            raise ValueError("it is a link")
        said = read_json(file)
        if said["format"] != FORMAT:
            raise ValueError(f"format {shown(said['format'])} where {FORMAT} is known")
        _check_manifest(said)
        if said.pop("sha256") != digest(said):
            raise ValueError("it was changed")
        name = NAME.fullmatch(path.absolute().name)
        if name is not None and int(name[1]) != said["step"]:
            raise ValueError(f"it is of step {said['step']}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise CheckpointError(
            f'"{path}" is no checkpoint that can be read ({MANIFEST}: {what[:_LONGEST]}). Give the '
            "directory of one, such as out/checkpoints/step-000000010000."
        ) from error
    return said


def _check_manifest(said: Any) -> None:
    """Raise ValueError, KeyError or TypeError where it is not what `writing` writes."""
    if type(said["step"]) is not int or not 0 <= said["step"] < END:
        raise ValueError(f"step {shown(said['step'])}")
    for part in said["parts"]:
        if not _PART.fullmatch(part["file"]) or type(part["bytes"]) is not int:
            raise ValueError(f"the part {shown(part)}")
    if not len(said["parts"]) == len({part["file"] for part in said["parts"]}) > 0:
        raise ValueError("it names no part, or one several times")
    for name in ("of", "made_by"):
        if not isinstance(said[name], dict):
            raise ValueError(f'no "{name}"')
    if sorted(said["counters"]) != sorted(NAMES) or any(
        type(n) is not int or n < 0 for n in said["counters"].values()
    ):
        raise ValueError(f"the counters {shown(said['counters'])}")
    for change in said["changes"]:
        if type(change) is not list or [type(x) for x in change] != [str, str]:
            raise ValueError(f"the change {shown(change)}")


def _flat(said: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in said.items()}


def _shown(value: str | None) -> str:
    text = "nothing" if value is None else value
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
