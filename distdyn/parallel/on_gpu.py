"""The steps of a chunk on the road of GPUs: the loop over them, and which spikes go where.

Every function takes the `Plan` and `Data` of a chunk. `distdyn.parallel.chunk` says what a step is,
`distdyn.ops.gpu` what the kernels do.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from distdyn.ops import gpu

TURNS = 64  # of the loop over steps, after which the host looks whether it goes on
UNROLL = 4  # of them are one turn of XLA's loop, which costs two kernels more


class Step(NamedTuple):
    """The parts of a step that `chunk` makes."""

    advance: Callable[..., tuple]
    sample: Callable[..., tuple]
    is_full: Callable[..., Any]


def with_segments(plan: Any, data: Any) -> tuple[Any, ...]:
    """The groups' data with the segment of each cell, which is the same at all steps."""
    return tuple(
        given._replace(segment=gpu.segments(given.bounds, group.cells))
        for group, given in zip(plan.groups, data.groups, strict=True)
    )


def run(plan: Any, data: Any, carry: Any, progress: Any, most: Any, step: Step) -> tuple[Any, Any]:
    """Up to `most` steps of a part that exchanges with no other inside its node.

    Each turn of the loop is a step, or nothing after the last one: what does not happen in a turn
    is masked, so that the device decides by itself, and the host waits for it only after a block of
    turns. All numbers that count are one array, the clock: a kernel less for each of them.
    """

    def has_steps(progress: Any) -> Any:
        return (progress.done[0] < most) & (progress.stop[0] == 0)

    def turn(_: Any, loop: tuple[Any, ...]) -> tuple[Any, ...]:
        clock, carry, totals, counts = loop
        carry, progress = _read(plan, clock, carry, progress_before)
        is_active = has_steps(progress)
        lists = [gpu.Lists(*of) for of in zip(carry.events, totals, counts, strict=True)]
        lister, lists, spikes = listers(data, clock, lists)
        states, rings, events, found = step.advance(
            plan, data, carry, progress, is_active, lister, lambda ring: gpu.take(ring, clock)
        )
        stamp = carry.step + is_active
        traces, sampled = step.sample(plan, data, states, carry.traces, progress.sampled, stamp)
        for k, (cells, begin, count) in enumerate(found):
            if spikes[k] is None:  # of a schedule
                spikes[k] = gpu.entries(cells, data.part[0], begin, count, stamp)
                kept = lists[k].counts.at[progress.done[0]].set(count)
                lists[k] = lists[k]._replace(counts=kept)
        after = progress._replace(
            done=progress.done + is_active,
            cursors=tuple(
                cursor + count if group.keeps_spikes else cursor
                for group, cursor, (_, _, count) in zip(
                    plan.groups, progress.cursors, found, strict=True
                )
            ),
            sampled=tuple(
                jnp.where(is_active, new, old)
                for new, old in zip(sampled, progress.sampled, strict=True)
            ),
        )
        full = step.is_full(plan, data, events, traces, after)
        after = after._replace(stop=jnp.where(is_active, full, progress.stop))
        rings = deliver(plan, data, rings, dict(enumerate(spikes)), indices)
        carry = carry._replace(
            states=tuple(states), rings=tuple(rings), events=tuple(events), traces=traces
        )
        totals, counts = [of.totals for of in lists], [of.counts for of in lists]
        return _written(stamp, after, most), carry._replace(step=None), totals, counts

    def block(loop: tuple[Any, ...]) -> tuple[Any, ...]:
        return jax.lax.fori_loop(0, TURNS, turn, loop, unroll=UNROLL)

    def goes_on(loop: tuple[Any, ...]) -> Any:
        return has_steps(_read(plan, loop[0], carry, progress)[1])

    progress_before = progress._replace(counts=())
    indices = [
        gpu.row_index(rows, data.part[0], plan.groups[table.source].cells)
        if gpu.has_synapses(rows) and plan.groups[table.source].program is not None
        else None
        for table, rows in zip(plan.tables, data.tables, strict=True)
    ]
    totals = [gpu.no_totals(group.cells) for group in plan.groups]
    clock = _written(carry.step, progress, most)
    loop = clock, carry._replace(step=None), totals, list(progress.counts)
    clock, carry, _, counts = jax.lax.while_loop(goes_on, block, loop)
    carry, progress = _read(plan, clock, carry, progress)
    return carry, progress._replace(counts=tuple(counts))


CURSORS = 4  # where they begin in the clock


def _written(step: Any, progress: Any, most: Any) -> Any:
    """The clock: int64, as `ops.gpu.list_spikes` reads it."""
    rest = [x[0] for x in (*progress.cursors, *progress.sampled)]
    numbers = step, progress.done[0], progress.stop[0], most, *rest
    return jnp.stack([jnp.asarray(x, jnp.int64) for x in numbers])


def _read(plan: Any, clock: Any, carry: Any, progress: Any) -> tuple[Any, Any]:
    """What the clock says, where it belongs."""
    n = CURSORS + len(plan.groups)
    one = [clock[k : k + 1] for k in range(clock.shape[0])]
    return carry._replace(step=clock[0]), progress._replace(
        done=one[1], stop=one[2], cursors=tuple(one[CURSORS:n]), sampled=tuple(one[n:])
    )


def listers(
    data: Any, clock: Any, lists: Sequence[gpu.Lists]
) -> tuple[list[Any], list[gpu.Lists], list[Any]]:
    """For each group a function that lists its spikes; what it finds is there once it is called.

    Args:
        data: of the chunk.
        clock: with the groups' cursors from `CURSORS` on.
        lists: by group; their events are what the function is given.
    """
    lists = list(lists)
    spikes: list[Any] = [None] * len(lists)

    def lister(k: int) -> Any:
        def listed(spike: Any, events: Any, cursor: Any) -> tuple[Any, Any]:
            given = lists[k]._replace(events=events)
            lists[k], spikes[k] = gpu.list_spikes(spike, clock, CURSORS + k, data.part, given)
            return lists[k].events, spikes[k].of[0, 0].astype(jnp.int32)

        return listed

    return [lister(k) for k in range(len(lists))], lists, spikes


def fresh_listers(plan: Any, data: Any, carry: Any, progress: Any) -> list[Any]:
    """The same for one step of a loop that keeps neither a clock nor lists."""
    clock = _written(carry.step, progress._replace(sampled=()), 0)
    nothing = jnp.zeros(0, jnp.int32)
    lists = [gpu.Lists(None, gpu.no_totals(group.cells), nothing) for group in plan.groups]
    return listers(data, clock, lists)[0]


def deliver_own(plan: Any, data: Any, rings: list, spikes: Sequence, stamp: Any) -> list:
    """Deliver the spikes of the device's own cells of this step."""
    sources = {
        group: gpu.entries(cells, data.part[0], begin, count, stamp)
        for group, (cells, begin, count) in enumerate(spikes)
    }
    return deliver(plan, data, rings, sources)


def deliver_inbox(plan: Any, data: Any, rings: list) -> list:
    """Deliver what has come from other nodes."""
    sources = {
        group: gpu.entries(of.cells, of.part, of.begin, of.count, of.stamp)
        for group, of in enumerate(data.inbox)
    }
    return deliver(plan, data, rings, sources)


def deliver(
    plan: Any,
    data: Any,
    rings: list,
    sources: Mapping[int, gpu.Entries],
    indices: Sequence[Any] | None = None,
) -> list:
    """Deliver spikes through all tables that begin at their groups.

    Args:
        plan: of the chunk.
        data: of the chunk.
        rings: by group and receptor.
        sources: by group, its spikes.
        indices: by table, `gpu.row_index` if all spikes are our own part's.
    """
    indices = indices or [None] * len(plan.tables)
    first = [0]  # the number of a group's first ring
    for group in plan.groups:
        first.append(first[-1] + len(group.signature.rings))
    jobs = [
        gpu.Job(first[table.group] + table.ring, rows, sources[table.source], index)
        for table, rows, index in zip(plan.tables, data.tables, indices, strict=True)
        if table.source in sources
    ]
    rest = iter(gpu.deliver([ring for of in rings for ring in of], jobs))
    return [[next(rest) for _ in of] for of in rings]
