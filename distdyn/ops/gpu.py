"""The road of GPUs: what the CPU kernels do, in a few kernels per step that share no order.

    update       XLA's own fusions, and one kernel that lists the cells that spiked, ascending
    deliver      per table and round:  find_rows  ->  look_up  ->  scatter

A round takes the rows of the step's spikes, lays them end to end along a fixed number of lanes, one
synapse per lane however long the rows are, and adds all lanes to the ring with integer atomics, so
that the sum does not depend on order. What does not fit waits for the next round; how many rounds
there are is decided on the device. Kernels are in `ops.gpu_kernels`; the scatter is XLA's.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from distdyn.ops import gpu_kernels
from distdyn.ops.rows import Rows


class Road(NamedTuple):
    """How the kernels run.

    Attributes:
        interpret: in the interpreter, on any platform, slowly: for tests.
        events: spikes that a round looks at, a power of two.
        lanes: synapses of a round, a power of two.
    """

    interpret: bool = False
    events: int = 1024
    lanes: int = 1 << 18


class Entries(NamedTuple):
    """Spikes by part and step: of entry e the cells[begin[e] : begin[e] + count[e]].

    Attributes:
        cells: int32[capacity].
        part: int64[k], whose cells they are.
        begin: int64[k].
        count: int32[k].
        stamp: int64[k], the step of the spikes.
    """

    cells: Any
    part: Any
    begin: Any
    count: Any
    stamp: Any


class Job(NamedTuple):
    """A table to deliver from.

    Attributes:
        ring: the number of the ring to add to.
        rows: the synapses, not cut for a team.
        entries: the spikes.
        most: spikes that an entry may have, each cell at most once; None: any number.
    """

    ring: int
    rows: Rows
    entries: Entries
    most: int | None


def one_entry(cells: Any, part: Any, begin: Any, count: Any, stamp: Any) -> Entries:
    """The spikes of one part and step."""
    return Entries(cells, *(jnp.reshape(x, (1,)) for x in (part, begin, count, stamp)))


def deliver(road: Road, rings: Sequence[jax.Array], jobs: Sequence[Job]) -> list[jax.Array]:
    """Add the weights of the spikes' synapses to the ring rows in which they are due.

        ring[(stamp + d_ij) mod slots, j] += w_ij    for every source i that spiked, every target j

    Args:
        road: how to run.
        rings: arrivals still to come, int32 or int64[slots, cells]; updated in place.
        jobs: the tables, each with the spikes of its sources.

    Returns:
        The rings with the arrivals added; the same for any order of spikes and jobs.
    """
    jobs = [job for job in jobs if has_synapses(job.rows)]
    loop = deliver_round(road, rings, jobs, [None] * len(jobs))
    if all(_size(road, job)[2] for job in jobs):
        return loop[0]
    totals = [jnp.sum(job.entries.count, dtype=jnp.int64) for job in jobs]

    def has_more(loop: tuple[list, list]) -> jax.Array:
        return jnp.stack([at[0] < n for at, n in zip(loop[1], totals, strict=True)]).any()

    def further(loop: tuple[list, list]) -> tuple[list, list]:
        return deliver_round(road, loop[0], jobs, loop[1])

    return jax.lax.while_loop(has_more, further, loop)[0]


def deliver_round(
    road: Road,
    rings: Sequence[jax.Array],
    jobs: Sequence[Job],
    ats: Sequence[jax.Array | None],
) -> tuple[list[jax.Array], list[jax.Array]]:
    """One round of `deliver`, for a caller that has a loop of its own.

    Args:
        road: how to run.
        rings: arrivals still to come; updated in place.
        jobs: the tables, all with synapses.
        ats: where each of them goes on, int64[2]: the first spike not done, and how many of its
            synapses are; None or zeros to begin.

    Returns:
        The rings, and where to go on. A table is done when that is beyond its last spike.
    """
    rings, after = list(rings), []
    for job, at in zip(jobs, ats, strict=True):
        rings[job.ring], at = _round(road, rings[job.ring], job, at)
        after.append(at)
    return rings, after


def has_synapses(rows: Rows) -> bool:
    """Whether a table has room for any; one without is not delivered from."""
    return rows.bits.shape[0] > 0 and rows.offset.shape[0] > 0


def _size(road: Road, job: Job) -> tuple[int, int, bool]:
    """Events and lanes of a round, not more than there can be, and whether one is always enough."""
    k, cells = job.entries.part.shape[0], job.entries.cells.shape[0]
    most = max(1, cells if job.most is None else job.most * k)
    events, lanes = (1 << (n - 1).bit_length() for n in (most, job.rows.offset.shape[0] * k))
    fits = job.most is not None and events <= road.events and lanes <= road.lanes
    return min(events, road.events), min(lanes, road.lanes), fits


def _round(
    road: Road, ring: jax.Array, job: Job, at: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
    rows, spikes, size = job.rows, job.entries, ring.size
    events, lanes, _ = _size(road, job)
    ends = jnp.cumsum(spikes.count.astype(jnp.int64))
    cells = spikes.cells if spikes.cells.shape[0] else jnp.zeros(1, jnp.int32)
    bits = jax.lax.bitcast_convert_type(rows.bits, jnp.int64)  # no unsigned shifts and counts
    at, *found = gpu_kernels.find_rows(
        at,
        (ends, spikes.part, spikes.begin, spikes.stamp, cells),
        (
            rows.width, rows.bounds.reshape(-1), rows.word.reshape(-1), bits, rows.rank,
            rows.base, rows.start,
        ),
        slots=ring.shape[0], n_post=ring.shape[1], events=events, lanes=lanes,
        interpret=road.interpret,
    )  # fmt: skip
    place, value = gpu_kernels.look_up(
        tuple(found),
        (rows.width, rows.unit.reshape(-1), rows.base, rows.start, rows.offset, rows.weight),
        lanes=lanes, size=size, widest=rows.unit.shape[1],
        place=jnp.int32 if size < (1 << 31) else jnp.int64, value=ring.dtype,
        interpret=road.interpret,
    )  # fmt: skip
    flat = ring.reshape(-1).at[place].add(value, mode="drop", wrap_negative_indices=False)
    return flat.reshape(ring.shape), at


def segments(bounds: jax.Array, n: int) -> jax.Array:
    """int32[n]: the segment of each of n cells; bounds[k] : bounds[k + 1] are those of segment k.

    Cells beyond the last bound are padding, and counted to the last segment.
    """
    inner = bounds[1:-1]
    return jnp.sum(inner[None, :] <= jnp.arange(n)[:, None], axis=1, dtype=jnp.int32)


def list_spikes(
    road: Road, spike: jax.Array, events: jax.Array, cursor: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Append the cells that spiked, ascending, to a list; the list, and how many they are."""
    return gpu_kernels.list_spikes(spike, events, cursor, interpret=road.interpret)
