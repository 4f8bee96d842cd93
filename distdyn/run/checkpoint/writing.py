"""Writing a checkpoint: a directory that is whole or not there.

    step-000000010000/
        part-0000.h5      tables (`store.tables`) of what rank 0 held; part-0001.h5 of rank 1, ...
        manifest.json     of which run it is, and the size and checksum of every file

It is written under another name, the manifest last; when all of it is on the disk it gets its own.
Whatever ends the job, what bears that name is whole. Drafts that were left behind are removed.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distdyn.errors import DistDynError, RunDirectoryError
from distdyn.run import faults, store
from distdyn.run.checkpoint import FAILED
from distdyn.run.provenance import plain, write_json

if TYPE_CHECKING:
    from distdyn.parallel.launch import World
    from distdyn.parallel.snapshot import Columns

FORMAT = 1
MANIFEST = "manifest.json"
NAME = re.compile(r"step-(\d{12,})")
_FAILED = re.compile(rf"\.?{FAILED}step-\d{{12,}}(\.draft)?")
_DRAFT = re.compile(r"\.step-\d{12,}\.draft")
_BLOCK = 1 << 22  # bytes that are hashed at once


def write(
    directory: Path,
    step: int,
    tables: "Iterable[tuple[str, Columns]]",
    about: Mapping[str, Any],
    world: "World",
    *,
    keep: int,
    prefix: str = "",
) -> Path:
    """Write what all ranks hold after a step; then remove all but the newest checkpoints.

    Collective.

    Args:
        directory: of all checkpoints of the run; is made.
        step: the last one that was done.
        tables: of this rank; nothing collective may be in it.
        about: what else the manifest says.
        world: the ranks.
        keep: how many checkpoints stay, this one among them.
        prefix: of the name; with one it is not found as a checkpoint, and none is removed.

    Raises:
        RunDirectoryError: on all ranks; what was there before is as it was.
    """
    from distdyn.run.agreement import agreed

    whole = directory / f"{prefix}step-{step:012d}"
    draft = directory / f".{whole.name}.draft"
    with agreed(world):
        if world.rank == 0:
            _begin(directory, draft)
    try:
        with agreed(world):
            part = _write_part(draft / f"part-{world.rank:04d}.h5", tables)
            faults.reach("shard", world.rank)
        parts = world.allgather(part)
        with agreed(world):
            if world.rank == 0:
                faults.reach("manifest", 0)
                content = plain({"format": FORMAT, "step": step, "parts": parts, **about})
                _finish(draft, whole, {**content, "sha256": digest(content)})
                if not prefix:
                    _prune(directory, keep)
    except DistDynError:
        if world.rank == 0:
            shutil.rmtree(draft, ignore_errors=True)
        raise
    return whole


def kept(directory: Path) -> list[tuple[int, Path]]:
    """The checkpoints of a directory, the newest first: step and path.

    Raises:
        RunDirectoryError: it may not be looked into.
    """
    found = []
    try:
        for entry in directory.iterdir():
            match = NAME.fullmatch(entry.name)
            if match and entry.is_dir() and not entry.is_symlink():
                found.append((int(match[1]), entry))
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise RunDirectoryError(
            f'cannot look for checkpoints in "{directory}": {error.strerror}. Look at its name and '
            "the rights to it."
        ) from error
    return sorted(found, reverse=True)


def remove_after(directory: Path, step: int) -> None:
    """Remove the checkpoints of later steps: what was recorded until then is given up."""
    for later, path in kept(directory):
        if later > step:
            shutil.rmtree(path, ignore_errors=True)


def remove_all(directory: Path) -> None:
    """Remove the checkpoints of an earlier run, and nothing else."""
    _remove_drafts(directory)
    remove_after(directory, -1)
    with suppress(OSError):
        directory.rmdir()


def remove_failed(directory: Path) -> None:
    """Remove the states in which earlier runs could not go on, and nothing else."""
    with suppress(OSError):
        for entry in directory.iterdir():
            if _FAILED.fullmatch(entry.name) and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)


def checksum(path: Path) -> str:
    """SHA-256 of the bytes of a file."""
    words = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            words.update(block)
    return words.hexdigest()


def digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of what a manifest says besides it."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _begin(directory: Path, draft: Path) -> None:
    try:
        directory.mkdir(exist_ok=True)
        _remove_drafts(directory)
        draft.mkdir()
    except OSError as error:
        raise store.unusable(draft, "w", error) from error


def _remove_drafts(directory: Path) -> None:
    with suppress(OSError):
        for entry in directory.iterdir():
            if _DRAFT.fullmatch(entry.name) and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)


def _write_part(path: Path, tables: "Iterable[tuple[str, Columns]]") -> dict[str, Any]:
    try:
        store.create_tables(path)
        for name, (key, fields) in tables:
            store.append_table(path, name, key, fields)
        store.to_disk(path)
        return {"file": path.name, "bytes": path.stat().st_size, "sha256": checksum(path)}
    except OSError as error:
        if isinstance(error, DistDynError):
            raise
        raise store.unusable(path, "w", error) from error


def _finish(draft: Path, whole: Path, content: Mapping[str, Any]) -> None:
    try:
        write_json(draft / MANIFEST, content)
        _sync_directory(draft)
        faults.reach("rename", 0)
        if whole.exists():  # of the same step of the same run: the same content
            shutil.rmtree(whole)
        os.rename(draft, whole)
        _sync_directory(whole.parent)
    except OSError as error:
        raise store.unusable(whole, "w", error) from error


def _prune(directory: Path, keep: int) -> None:
    for _, old in kept(directory)[max(1, keep) :]:
        shutil.rmtree(old, ignore_errors=True)


def _sync_directory(path: Path) -> None:
    """Names are on the disk when their directory is."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
