"""Decompositions as files, so that a plan made in one place is used in another.

A file is an .npz archive of plain arrays: `head` (JSON as bytes: what the file is, its version,
sizes, blocks, topology, digest) and `owner0`, `owner1`, ... It is written whole or not at all.
"""

import json
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from partition import archive
from partition.decomposition import Decomposition
from partition.topology import DecompositionError, Topology

KIND, VERSION = "distdyn decomposition", 1
_DAMAGE = (
    ValueError, KeyError, TypeError, EOFError, AttributeError, IndexError, zipfile.BadZipFile,
    zlib.error, RecursionError, OverflowError,
)  # fmt: skip


def save(decomposition: Decomposition, path: str | Path) -> None:
    """Write a decomposition to a file, which is replaced if it exists."""
    topology = decomposition.topology
    head = {
        "kind": KIND,
        "version": VERSION,
        "sizes": decomposition.sizes,
        "blocks": decomposition.blocks,
        "node_of": topology.node_of,
        "devices": topology.devices,
        "digest": decomposition.digest(),
    }
    arrays = {f"owner{k}": owner for k, owner in enumerate(decomposition.owners)}
    text = np.frombuffer(json.dumps(head).encode(), np.uint8)
    path = Path(path)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.unlink(missing_ok=True)  # of a process that had our number, or a link
        with unfinished.open("xb") as file:
            np.savez_compressed(file, head=text, **arrays)  # pyright: ignore[reportArgumentType]
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def load(path: str | Path) -> Decomposition:
    """Read a decomposition from a file.

    Raises:
        DecompositionError: the file is something else, of a later version, or damaged.
        OSError: it cannot be read.
    """
    try:
        archive.check(path)
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            head = _head(json.loads(arrays["head"].tobytes()), path)
            owners = tuple(arrays[f"owner{k}"] for k in range(len(head["sizes"])))
            topology = Topology(tuple(head["node_of"]), head["devices"])
            sizes, blocks = tuple(head["sizes"]), tuple(head["blocks"])
        found = Decomposition(sizes, blocks, owners, topology.parts, topology)
    except DecompositionError:
        raise
    except _DAMAGE as error:
        raise DecompositionError(
            f"{path} is not a decomposition ({type(error).__name__}: {error}). Give a file that "
            "`save` has written."
        ) from error
    if found.digest() != head["digest"]:
        raise DecompositionError(f"{path} is damaged: its digest is not that of its content.")
    return found


def _head(head: Any, path: str | Path) -> dict[str, Any]:
    if not isinstance(head, dict) or head.get("kind") != KIND:
        raise DecompositionError(f"{path} is not a decomposition. Give a file from `save`.")
    if head.get("version") != VERSION:
        raise DecompositionError(
            f"{path} is of version {head.get('version')}; this program reads version {VERSION}."
        )
    return head
