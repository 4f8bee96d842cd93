"""Build: from projections to the table of synapses that delivery reads.

Two passes over tasks of some thousand rows, on all cores of the process: the first counts the
synapses of each segment, the second draws them again and writes them to their final place. What is
held besides the table is a few rows.
"""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from distdyn.errors import NetworkError
from distdyn.network.distributions import Distribution
from distdyn.ops.rows import Rows, aligned_empty
from distdyn.ops.values import drawn_delays
from distdyn.parallel.drawing import (
    CellDrawing,
    PairDrawing,
    ProjectionRows,
    Task,
    check_places,
    drawing_of,
    places,
    values_of,
)

WEIGHT_TYPES = {"constant": np.int16, "drawn": np.int16, "given": np.int32}


def storage_of(weight: float | np.ndarray | Distribution) -> str:
    """How weights are kept: "constant", "drawn" (int16) or "given" (int32); one kind per table."""
    if isinstance(weight, Distribution):
        return "drawn"
    return "given" if isinstance(weight, np.ndarray) else "constant"


def longest_delay(delay: int | np.ndarray | Distribution, dt: float, where: str = "delay") -> int:
    """The longest delay, in steps, that a synapse can have: a function of the description."""
    if isinstance(delay, Distribution):
        return drawn_delays(delay, dt, where).last
    return int(np.max(delay, initial=1))


def build_table(
    parts: list[ProjectionRows],
    n_source: int,
    n_target: int,
    *,
    seed: int,
    dt: float,
    unit_scale: float,
    accumulator: type[np.signedinteger] = np.int32,
    threads: int | None = None,
) -> Rows:
    """Draw the synapses of these projections into one table.

    Args:
        parts: the projections, from one group of sources to one ring, all of one `storage_of`.
        n_source: how many sources the table has.
        n_target: the length of a slot of the ring.
        seed: of the simulation.
        dt: the time step, in ms.
        unit_scale: the accumulator's integers per physical unit of weight, a power of two.
        accumulator: the integers in which the ring sums.
        threads: how many to use; None: the cores that the process may use.

    Returns:
        The table. Its shapes are a function of the description and of the blocks asked for.
    """
    threads = threads or cores()
    pre_local = [places(part.pre_local) for part in parts]
    for part, local in zip(parts, pre_local, strict=True):
        what = f'projection "{part.path}": pre_local'
        check_places(local, part.ends.n_pre, n_source, what, least=-1)
    segments, owned = _segments(pre_local, n_source)
    drawings = [
        drawing_of(
            part,
            mine,
            n_target,
            seed=seed,
            values=values_of(part, dt, unit_scale, accumulator),
            groups=threads,
        )
        for part, mine in zip(parts, owned, strict=True)
    ]
    n_synapses = np.zeros(segments[-1], np.int64)
    with ThreadPoolExecutor(threads) as pool:
        _run(pool, [task for drawing in drawings for task in drawing.count(n_synapses)])
        table = _allocate(parts, drawings, segments, n_synapses, n_target, accumulator)
        _run(pool, [task for drawing in drawings for task in drawing.fill(table)])
        _run(pool, [task for drawing in drawings for task in drawing.sort(table)])
    return table


def _segments(pre_local: list[np.ndarray], n_source: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Where the segments of each source start, and the segment of each part's pre neurons or -1.

    A source has one segment for every time a part names it, in the order of the parts.
    """
    everyone = np.concatenate([np.zeros(0, np.int64), *pre_local])
    here = np.flatnonzero(everyone >= 0)
    segments = np.zeros(n_source + 1, np.int64)
    np.cumsum(np.bincount(everyone[here], minlength=n_source), out=segments[1:])
    segment = np.full(len(everyone), -1, np.int64)
    segment[here[np.argsort(everyone[here], kind="stable")]] = np.arange(len(here))
    ends = np.cumsum([len(local) for local in pre_local], dtype=np.int64)
    return segments, [segment[end - len(x) : end] for x, end in zip(pre_local, ends, strict=True)]


def _allocate(
    parts: list[ProjectionRows],
    drawings: list[CellDrawing | PairDrawing],
    segments: np.ndarray,
    n_synapses: np.ndarray,
    n_target: int,
    accumulator: type[np.signedinteger],
) -> Rows:
    start = np.concatenate([[0], np.cumsum(n_synapses)])
    capacity = sum(drawing.capacity for drawing in drawings)
    if start[-1] > capacity:
        raise NetworkError(
            f"{', '.join(part.path for part in parts)}: {start[-1]} synapses were drawn, but "
            f"{capacity} are mean + 8 standard deviations. Report this seed."
        )
    unit = np.zeros(len(n_synapses), accumulator)
    for drawing in drawings:
        unit[drawing.segments[drawing.segments >= 0]] = drawing.values.unit
    kinds = {storage_of(part.weight) for part in parts}
    if len(kinds) > 1:
        raise NetworkError(f"a table keeps weights of one kind, found {sorted(kinds)}. Split it.")
    kind = kinds.pop() if kinds else "constant"
    longest = max((drawing.values.longest for drawing in drawings), default=0)
    is_wide = (longest + 1) * n_target > 1 << 32
    offset = aligned_empty(capacity, np.uint64 if is_wide else np.uint32)
    weight = aligned_empty(0 if kind == "constant" else capacity, WEIGHT_TYPES[kind])
    offset[start[-1] :] = 0
    weight[start[-1] :] = 0
    return Rows(_aligned(segments), _aligned(start), _aligned(unit), offset, weight)


def _aligned(array: np.ndarray) -> np.ndarray:
    copy = aligned_empty(array.shape, array.dtype)
    copy[...] = array
    return copy


def _run(pool: ThreadPoolExecutor, tasks: Iterable[Task]) -> None:
    """Run all tasks; after an error or an interrupt, none that has not begun."""
    futures = [pool.submit(task) for task in tasks]
    try:
        for future in futures:
            future.result()
    finally:
        for future in futures:
            future.cancel()


def cores() -> int:
    """How many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        return os.cpu_count() or 1
