"""Build: from projections to the table of synapses that delivery reads.

Two passes over tasks of some thousand rows, on all cores of the process: the first counts the
synapses of each neuron of the pre ends, of whatever part of the network; those without any get no
row; the second draws them again and writes them to their final place. What is held besides the
table is a few rows, and a few bytes for each neuron of the pre ends.
"""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from distdyn.errors import NetworkError
from distdyn.network.distributions import Distribution
from distdyn.network.space import ByDistance
from distdyn.ops.rows import BLOCK, Rows, aligned_empty, aligned_zeros
from distdyn.ops.values import delay_range
from distdyn.parallel.drawing import CellDrawing, PairDrawing, Task, capacity_of, drawing_of
from distdyn.parallel.projection_rows import ProjectionRows, check_places, places, values_of

WEIGHT_TYPES = {"constant": np.int16, "drawn": np.int16, "given": np.int32}


def storage_of(weight: float | np.ndarray | Distribution | ByDistance) -> str:
    """How weights are kept: "constant", "drawn" (int16) or "given" (int32); one kind per table."""
    if isinstance(weight, Distribution):
        return "drawn"
    return "given" if isinstance(weight, np.ndarray | ByDistance) else "constant"


def longest_delay(
    delay: int | np.ndarray | Distribution | ByDistance, dt: float, where: str = "delay"
) -> int:
    """The longest delay, in steps, that a synapse can have: a function of the description."""
    if isinstance(delay, ByDistance):
        return int(delay.in_steps(delay.extremes()[1], dt))
    if isinstance(delay, Distribution):
        return delay_range(delay, dt, where)[1]
    return int(np.max(delay, initial=1))


class Naming(NamedTuple):
    """Which segments of a row belong to which projection of a table.

    A source has as many segments for a projection as this names a neuron of its population at most,
    1 or 0 but for an end that names one twice; first those of the first projection. So where a
    projection's segments are is a function of the description.

    Attributes:
        first: int64[projection, population]; the first of a projection's segments.
        width: int64[population]; how many segments a row has.
    """

    first: np.ndarray
    width: np.ndarray


def name_segments(parts: Sequence[ProjectionRows], bounds: np.ndarray) -> Naming:
    """Number the segments of a row; `parts` and `bounds` are those of `build_table`."""
    from distdyn.ops import reach, reach_kernels

    n_populations = bounds.shape[1] - 1
    ends = reach.ends_of(bounds)
    most = np.zeros((len(parts), n_populations), np.int64)
    for part, row in zip(parts, most, strict=True):
        if (
            reach_kernels.count_names(places(part.pre_local), ends, n_populations, row)
            > reach.MOST_NAMED
        ):
            raise NetworkError(
                f'projection "{part.path}" names a neuron more than {reach.MOST_NAMED} times. '
                "Name each once."
            )
    return Naming(np.cumsum(most, axis=0) - most, most.sum(axis=0))


def table_capacity(parts: Sequence[ProjectionRows], seed: int) -> int:
    """The room that `build_table` makes for the synapses of these projections."""
    return sum(capacity_of(part, seed) for part in parts)


def build_table(
    parts: list[ProjectionRows],
    bounds: np.ndarray,
    n_target: int,
    *,
    seed: int,
    dt: float,
    unit_scale: float,
    accumulator: type[np.signedinteger] = np.int32,
    threads: int | None = None,
    capacity: int | None = None,
) -> Rows:
    """Draw the synapses of these projections onto one part of the network into one table.

    Args:
        parts: the projections, from one group of sources to one ring, all of one `storage_of`, each
            with the blocks of its post end that the part owns.
        bounds: int64[n_parts, n_populations + 1]; where the populations of the source group begin
            and end among the cells of each part of the network.
        n_target: the length of a slot of the ring.
        seed: of the simulation.
        dt: the time step, in ms.
        unit_scale: the accumulator's integers per physical unit of weight, a power of two.
        accumulator: the integers in which the ring sums.
        threads: how many to use; None: the cores that the process may use.
        capacity: the synapses to make room for; None: `table_capacity`.

    Returns:
        The table. The room for synapses, and what a row's segments are, are functions of the
        description and of the blocks asked for; which sources have a row is drawn.
    """
    threads = threads or cores()
    parts = [part._replace(pre_local=places(part.pre_local)) for part in parts]
    bounds = np.ascontiguousarray(bounds, np.int64)
    for part in parts:
        what = f'projection "{part.path}": pre_local'
        check_places(part.pre_local, part.ends.n_pre, int(bounds[:, -1].sum()), what, least=-1)
    capacity = table_capacity(parts, seed) if capacity is None else capacity
    known: dict[Any, Any] = {}
    drawings = [
        drawing_of(
            part,
            n_target,
            seed=seed,
            values=values_of(part, dt, unit_scale, accumulator, known),
            groups=threads,
            capacity=capacity,
        )
        for part in parts
    ]
    with ThreadPoolExecutor(threads) as pool:
        _run(pool, [task for drawing in drawings for task in drawing.count()])
        table, segments = _lay_out(parts, drawings, bounds, capacity, n_target, accumulator)
        pairs = list(zip(drawings, segments, strict=True))
        _run(pool, [task for drawing, segment in pairs for task in drawing.fill(table, segment)])
        _run(pool, [task for drawing, segment in pairs for task in drawing.sort(table, segment)])
    return table


def _lay_out(
    parts: list[ProjectionRows],
    drawings: list[CellDrawing | PairDrawing],
    bounds: np.ndarray,
    capacity: int,
    n_target: int,
    accumulator: type[np.signedinteger],
) -> tuple[Rows, list[np.ndarray]]:
    """The table without its synapses, and for each projection the segment of each pre neuron."""
    from distdyn.ops import reach, reach_kernels

    naming, counts = name_segments(parts, bounds), [drawing.counts() for drawing in drawings]
    ends, word = reach.ends_of(bounds), aligned_empty((len(bounds), len(naming.width)), np.int64)
    reached = np.zeros(ends[-1], bool)
    for part, n in zip(parts, counts, strict=True):
        reach_kernels.mark(part.pre_local, n, reached)
    n_words = reach_kernels.lay_words(ends, reached, word.ravel())
    bits, rank = aligned_empty(n_words, np.uint64), aligned_empty(n_words, np.uint32)
    n_segments = reach_kernels.pack(ends, reached, word.ravel(), naming.width, bits, rank)
    if n_segments >= reach.NOWHERE:
        raise NetworkError(
            f"{_names(parts)}: {n_segments} segments, more than 2^32. Use more parts."
        )
    start = aligned_zeros(n_segments + 1, np.uint32)
    base = aligned_empty(n_segments // BLOCK + 1, np.int64)
    segments = []
    for part, n, first in zip(parts, counts, naming.first, strict=True):
        segment = np.empty(len(n), np.uint32)
        index = word.ravel(), naming.width, bits, rank, first
        reach_kernels.find_segments(part.pre_local, ends, *index, segment)
        reach_kernels.write_sizes(segment, n, start)
        segments.append(segment)
    total = reach_kernels.write_starts(start, base)
    if total < 0:
        raise NetworkError(
            f"{_names(parts)}: {BLOCK} neighbouring sources have more than 2^32 synapses onto one "
            "part. Use more parts."
        )
    if total > capacity:
        raise NetworkError(
            f"{_names(parts)}: {total} synapses were drawn, but {capacity} are mean + 8 standard "
            "deviations. Report this seed."
        )
    index = _aligned(bounds), word, _aligned(naming.width)
    unit = _units(drawings, naming, accumulator)
    synapses = _allocate(parts, drawings, capacity, n_target)
    return Rows(*index, unit, bits, rank, base, start, *synapses), segments


def _units(
    drawings: list[CellDrawing | PairDrawing],
    naming: Naming,
    accumulator: type[np.signedinteger],
) -> np.ndarray:
    """The unit of each segment of a row, for each population."""
    unit = aligned_zeros((len(naming.width), max(1, naming.width.max(initial=1))), accumulator)
    column = np.arange(unit.shape[1])
    for drawing, first in zip(drawings, naming.first, strict=True):  # the next writes over the rest
        unit[column >= first[:, None]] = drawing.values.unit
    unit[column >= naming.width[:, None]] = 0
    return unit


def _allocate(
    parts: list[ProjectionRows],
    drawings: list[CellDrawing | PairDrawing],
    capacity: int,
    n_target: int,
) -> tuple[np.ndarray, np.ndarray]:
    kinds = {storage_of(part.weight) for part in parts}
    if len(kinds) > 1:
        raise NetworkError(f"a table keeps weights of one kind, found {sorted(kinds)}. Split it.")
    kind = kinds.pop() if kinds else "constant"
    longest = max((drawing.values.longest for drawing in drawings), default=0)
    is_wide = (longest + 1) * n_target > 1 << 32
    offset = aligned_zeros(capacity, np.uint64 if is_wide else np.uint32)
    return offset, aligned_zeros(0 if kind == "constant" else capacity, WEIGHT_TYPES[kind])


def _names(parts: list[ProjectionRows]) -> str:
    return ", ".join(part.path for part in parts)


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
