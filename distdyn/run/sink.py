"""Where a run is recorded: in memory, or in a directory that several ranks share.

    directory = claimed(out, overwrite, world, merge, resume)     # before anything is built
    header = header_of(graph, dt, request, weights)               # what will be recorded
    sink = opened(directory, header, share, describe, step, world)

A sink takes what is recorded chunk by chunk, and returns recordings.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from distdyn.errors import RunDirectoryError
from distdyn.network.network import Graph
from distdyn.parallel.launch import World
from distdyn.run import faults
from distdyn.run.agreement import agreed
from distdyn.run.checkpoint import CHECKPOINTS
from distdyn.run.checkpoint.course import lies_in
from distdyn.run.memory import Memory
from distdyn.run.record import Request, spiking_populations
from distdyn.run.recording import Header, Share
from distdyn.run.weights import WeightTrace

if TYPE_CHECKING:
    from distdyn.run.directory import RunDirectory
    from distdyn.run.writer import Writer


def claimed(
    out: Any, overwrite: bool, world: World, merge: bool, resume: str | Path
) -> "RunDirectory | None":
    """The directory of a run, claimed for it; None: it is recorded in memory.

    Raises:
        RunDirectoryError: it cannot be made or written, or holds a run that is not to be replaced.
    """
    if out is None:
        return None
    from distdyn.run.directory import RunDirectory

    try:
        if world.rank == 0:
            Path(out).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunDirectoryError(f'out: "{out}" cannot be made: {error}. Use another.') from error
    goes_on = resume == "auto" or (resume != "never" and lies_in(resume, Path(out) / CHECKPOINTS))
    return RunDirectory(out, overwrite=overwrite, world=world, merge=merge, goes_on=goes_on)


def header_of(graph: Graph, dt: float, request: Request, weights: Sequence[WeightTrace]) -> Header:
    """What will be recorded of a network."""
    return Header(
        dt=dt,
        sizes={path: population.size for path, population in graph.populations.items()},
        offsets=graph.offsets,
        spikes=request.spikes,
        traces={
            **{name: sampling for name, _, sampling in request.traces},
            **{trace.name: trace.sampling for trace in weights},
        },
        spiking=spiking_populations(graph),
    )


def share_of(
    world: World,
    header: Header,
    owned: Callable[[str], np.ndarray],
    request: Request,
    weights: Sequence[WeightTrace],
) -> Share:
    """What of that is ours, of several ranks; `owned` gives our cells of a population."""
    return Share(
        world,
        header,
        {path: owned(path) for path in header.spikes},
        {
            **{
                name: np.flatnonzero(np.isin(sample.ids, owned(sample.path)))
                for name, sample, _ in request.traces
            },
            **{trace.name: trace.column for trace in weights},
        },
    )


def opened(
    directory: "RunDirectory | None",
    header: Header,
    share: Share | None,
    describe: Callable[[], dict[str, Any]],
    step: int | None,
    world: World,
) -> "Memory | Writer":
    """What takes the recording. Collective.

    Args:
        directory: of the run.
        header: what will be recorded.
        share: of several ranks, what is ours.
        describe: gives what `run.json` says of the run.
        step: up to which earlier processes have recorded it; None: it begins.
        world: the ranks.
    """
    if directory is None:
        return Memory(header, share)
    with agreed(world):
        directory.make_way(step)
    with agreed(world):
        sink = directory.create(header, describe(), share=share, goes_on=step is not None)
    if step is not None:
        from distdyn.run.earlier import load_aside

        with agreed(world):
            sink.resume(load_aside(directory.path, step))
        faults.reach("aside", world.rank)
        directory.forget()
    return sink
