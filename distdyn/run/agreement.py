"""What the ranks of a job must have in common, and errors that one of them shares with all.

check_common(world, seed=..., dt=..., network=...)       # or an error on all ranks
with agreed(world):
    ...                                                  # fails on all ranks if on one
"""

import dataclasses
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

from distdyn.network.network import Graph
from distdyn.network.population import View
from distdyn.parallel.launch import World, check_same
from distdyn.run.provenance import version_of


@contextmanager
def agreed(world: World) -> Iterator[None]:
    """What fails in here on one rank fails on all of them; no collective may be in it.

    Collective.
    """
    error = None
    try:
        yield
    except Exception as found:
        error = found
    world.agree(error)


def check_common(world: World, **values: Any) -> None:
    """Make sure that all ranks were given the same; only a checksum travels if they were.

    Collective.

    Raises:
        AgreementError: on all ranks; it names what differs.
    """
    if world.size == 1:
        return
    said = {name: text_of(value) for name, value in values.items()}
    checksum = zlib.crc32(repr(said).encode())
    if world.min(checksum) != world.max(checksum):
        check_same(world, said)


def versions() -> dict[str, str | None]:
    """Of the packages that decide what is computed."""
    return {name: version_of(name) for name in ("distdyn", "jax", "jaxlib", "numpy")}


def description(graph: Graph) -> dict[str, str]:
    """Every field of every member of a network, in words that two ranks can compare."""
    kinds = {"population": graph.populations, "projection": graph.projections}
    kinds |= {"input": graph.inputs, "layer": graph.layers}
    return {
        f'{kind} "{path}": {field.name}': text_of(getattr(member, field.name), graph)
        for kind, members in kinds.items()
        for path, member in members.items()
        for field in dataclasses.fields(member)
    }


def text_of(value: Any, graph: Graph | None = None) -> str:
    """A value as text that is equal where it is equal: arrays by a checksum, without addresses."""
    if isinstance(value, np.ndarray | jax.Array):
        checksum = zlib.crc32(np.ascontiguousarray(value).tobytes())
        return f"{value.dtype}{list(value.shape)} #{checksum:08x}"
    if isinstance(value, View) and graph is not None:
        return graph.path(value.population) + value.slice_text()
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {text_of(item, graph)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return f"[{', '.join(text_of(item, graph) for item in value)}]"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return f"{type(value).__name__}({text_of(fields, graph)})"
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
