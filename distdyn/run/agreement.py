"""What the ranks of a job must have in common, and errors that one of them shares with all.

check_common(world, seed=..., dt=..., network=...)       # or an error on all ranks
with agreed(world):
    ...                                                  # fails on all ranks if on one
"""

import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

from distdyn.network.network import Graph
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
    """Every member of a network in words that two ranks can compare."""
    said = {
        f'population "{path}"': f"{member.size} x {text_of(member.model)}"
        for path, member in graph.populations.items()
    }
    said |= {
        f'projection "{path}"': ", ".join(
            text_of(x) for x in (member.rule, member.synapse, member.weight, member.delay)
        )
        for path, member in graph.projections.items()
    }
    return said | {f'input "{path}"': text_of(member) for path, member in graph.inputs.items()}


def text_of(value: Any) -> str:
    """A value as text that is equal where it is equal: without addresses, with arrays' contents."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {text_of(item)}" for key, item in value.items())
    arrays = [x for x in jax.tree.leaves(value) if isinstance(x, np.ndarray | jax.Array)]
    checksum = "".join(f" #{zlib.crc32(np.asarray(x).tobytes()):08x}" for x in arrays)
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value)) + checksum
