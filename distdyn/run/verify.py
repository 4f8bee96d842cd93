"""Whether what runs have written is as it was written.

    for verdict in verify("runs/a", world):     # a run and its checkpoints
        print(verdict)

A checkpoint is looked at byte by byte, a recording by the order and the hash of its spikes, what
was trained or found by the checksum of its arrays.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from distdyn.errors import CheckpointError, DistDynError, RunDirectoryError
from distdyn.run import store
from distdyn.run.agreement import agreed
from distdyn.run.checkpoint import CHECKPOINTS
from distdyn.run.checkpoint.stored import Stored
from distdyn.run.checkpoint.writing import MANIFEST, NAME, kept
from distdyn.run.earlier import BEFORE
from distdyn.run.reader import load, of_rank, read_run
from distdyn.run.recording import Recording
from distdyn.run.spike_hash import SpikeHash, with_gid
from distdyn.run.stream import together

if TYPE_CHECKING:
    from distdyn.parallel.launch import World

OF_A_RUN = "run.json", "spikes.h5", of_rank("spikes.h5", 0), BEFORE


class Verdict(NamedTuple):
    """What was found at one place.

    Attributes:
        path: of the file or directory.
        kind: "checkpoint", "recording" or "arrays".
        about: what it is of, as far as it can be read.
        fault: what is wrong with it; None: nothing.
    """

    path: Path
    kind: str
    about: dict[str, Any]
    fault: str | None

    def __str__(self) -> str:
        if self.fault is not None:
            return f"DAMAGED  {self.kind} {self.path}: {self.fault}"
        said = ", ".join(f"{name} {value}" for name, value in self.about.items())
        return f"whole    {self.kind} {self.path}: {said}"


def verify(path: str | os.PathLike, world: "World") -> list[Verdict]:
    """Look at a checkpoint, at all in a directory, at a run with its checkpoints, or at a file.

    Collective.

    Raises:
        RunDirectoryError: there is nothing of the kind.
    """
    looks = {"checkpoint": _checkpoint, "recording": _recording, "arrays": _arrays}
    with agreed(world):
        places = world.rank == 0 and _places(Path(path))
    verdicts = []
    for kind, place in world.bcast(places):
        about, fault = {}, None
        try:
            looks[kind](place, about, world)
        except DistDynError as error:
            fault = str(error)
        verdicts.append(Verdict(place, kind, about, fault))
    return verdicts


def _places(path: Path) -> list[tuple[str, Path]]:
    """What is to be looked at, and what kind it is."""
    if os.path.isfile(path):  # which knows no errors, as of a name that is too long
        return [("arrays", path)]
    is_there = os.path.isdir(path)
    is_state = NAME.fullmatch(path.absolute().name) or os.path.lexists(path / MANIFEST)
    if is_there and is_state:
        return [("checkpoint", path)]
    is_run = any(os.path.lexists(path / name) for name in OF_A_RUN)
    found = [("recording", path)] * (is_there and is_run)
    for of in (path, path / CHECKPOINTS) * is_there:
        found += [("checkpoint", each) for _, each in kept(of)]
    if not found:
        raise RunDirectoryError(
            f'"{path}" is no checkpoint, no directory of any, and no directory of a run. Give one '
            "of these, or a file of what was trained."
        )
    return found


def _checkpoint(path: Path, about: dict[str, Any], world: "World") -> None:
    with agreed(world):
        stored = Stored(path)
    of, parts = stored.manifest["of"], stored.manifest["parts"]
    about |= {"step": stored.step, "network": _word(of, "network"), "seed": _word(of, "seed")}
    about |= {"parts": len(parts), "bytes": sum(part["bytes"] for part in parts)}
    stored.verify(world)
    rows = np.zeros(2, np.int64)
    with agreed(world):
        for k in range(world.rank, stored.n_parts, world.size):
            tables = stored.part(k)
            for name in tables.names():
                rows += 1, len(tables.key(name))
                for _ in tables.fields(name, np.zeros(0, np.int64)):  # plain numbers, as many
                    pass
    about["rows"] = int(world.sum(rows)[1])


def _recording(path: Path, about: dict[str, Any], world: "World") -> None:
    with agreed(world):
        if world.rank == 0:
            is_aside = (path / BEFORE).is_dir()  # a run that went on did not come far
            recording = load(path / BEFORE if is_aside else path)
            run = read_run(path / BEFORE if is_aside else path)
            about |= {"steps": f"{recording.start} to {recording.stop}"}
            about |= {"spikes": sum(recording.counts().values()), "ended": run.get("exit_reason")}
            about["spikes_sha256"] = digest = _digest(recording)
            said = run.get("spikes_sha256")
            is_over = run.get("exit_reason") == "completed" and not is_aside
            if is_over and said is not None and said != digest:
                raise RunDirectoryError(
                    f'"{path}": the hash of its spikes is {digest}, but was {said}. It is damaged.'
                )
    about |= world.bcast(about)


def _digest(recording: Recording) -> str | None:
    """The hash of all spikes, which are looked at on the way; None if they are not all there."""
    rows, sha = recording.spike_rows, SpikeHash()
    for parts in together(list(rows.values())):
        for path, (step, id) in zip(rows, parts, strict=True):
            is_ordered = (np.diff(step) > 0) | ((np.diff(step) == 0) & (np.diff(id) > 0))
            is_inside = len(step) == 0 or recording.start < step[0] <= step[-1] <= recording.stop
            if not is_inside or not is_ordered.all():
                raise RunDirectoryError(
                    f'the spikes of "{path}" are out of order, or not from the steps '
                    f"{recording.start} to {recording.stop}. They are damaged."
                )
        sha.update(*with_gid(parts, [recording.offsets[path] for path in rows]))
    return sha.hexdigest() if recording.header.is_hashable else None


def _arrays(path: Path, about: dict[str, Any], world: "World") -> None:
    with agreed(world):
        arrays, _ = store.read_arrays(path)
    about |= {"arrays": len(arrays), "bytes": sum(array.nbytes for array in arrays.values())}


def _word(of: dict[str, Any], name: str) -> str:
    if name not in of:
        raise CheckpointError(f'its {MANIFEST} names no "{name}".')
    return str(of[name]).strip("'")
