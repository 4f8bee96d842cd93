"""The steps of a chunk on the road of GPUs: the loop over them, and which spikes go where.

Every function takes the `Plan` and `Data` of a chunk. `distdyn.parallel.chunk` says what a step is,
`distdyn.ops.gpu` what the kernels do.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from distdyn.ops import gpu

TURNS = 16  # of the loop over steps, after which the host looks whether it goes on


class Step(NamedTuple):
    """The parts of a step that `chunk` makes."""

    advance: Callable[..., tuple]
    sample: Callable[..., tuple]
    is_full: Callable[..., Any]


class Left(NamedTuple):
    """What of the last step is still to be delivered.

    Attributes:
        begins: int64[] per group, where its spikes begin in their list.
        counts: int32[] per group, how many there are.
        ats: int64[2] per table that has synapses, where its delivery goes on.
    """

    begins: tuple[Any, ...]
    counts: tuple[Any, ...]
    ats: tuple[Any, ...]


def with_segments(plan: Any, data: Any) -> tuple[Any, ...]:
    """The groups' data with the segment of each cell, which is the same at all steps."""
    return tuple(
        given._replace(segment=gpu.segments(given.bounds, group.cells))
        for group, given in zip(plan.groups, data.groups, strict=True)
    )


def run(plan: Any, data: Any, carry: Any, progress: Any, most: Any, step: Step) -> tuple[Any, Any]:
    """Up to `most` steps of a part that exchanges with no other inside its node.

    Each turn of the loop is a step and a round of delivery; or a further round, if the last step is
    not delivered yet; or nothing, after the last one. What does not happen in a turn is masked, so
    that the device decides by itself, and the host waits for it only after a block of turns.
    """
    sources = [table.source for table in _tables_with_synapses(plan, data)]

    def has_more(left: Left) -> Any:
        more = [at[0] < left.counts[k] for at, k in zip(left.ats, sources, strict=True)]
        return jnp.stack(more).any() if more else jnp.bool_(False)

    def has_steps(progress: Any) -> Any:
        return (progress.done[0] < most) & (progress.stop[0] == 0)

    def turn(_: Any, loop: tuple[Any, Any, Left]) -> tuple[Any, Any, Left]:
        carry, progress, left = loop
        is_active = has_steps(progress) & ~has_more(left)
        states, rings, events, found = step.advance(plan, data, carry, progress, is_active)
        stamp = carry.step + is_active  # of the step that is delivered
        lists, begins, listed = zip(*found, strict=True)  # listed: 0 in a turn without a step
        left = Left(
            _chosen(is_active, begins, left.begins),
            _chosen(is_active, listed, left.counts),
            tuple(jnp.where(is_active, 0, at) for at in left.ats),
        )
        traces, sampled = step.sample(plan, data, states, carry.traces, progress.sampled, stamp)
        progress = _after(plan, progress, is_active, listed, sampled)
        full = step.is_full(plan, data, events, traces, progress)
        progress = progress._replace(stop=jnp.where(is_active, full, progress.stop))
        spikes = [*zip(lists, left.begins, left.counts, strict=True)]
        flat, ats = gpu.deliver_round(
            plan.road, _flat(rings), _jobs(plan, data, _own(data, spikes, stamp)), left.ats
        )
        carry = carry._replace(
            step=stamp, states=tuple(states), rings=tuple(_nested(rings, flat)),
            events=tuple(events), traces=traces,
        )  # fmt: skip
        return carry, progress, left._replace(ats=tuple(ats))

    def block(loop: tuple[Any, Any, Left]) -> tuple[Any, Any, Left]:
        return jax.lax.fori_loop(0, TURNS, turn, loop)

    def goes_on(loop: tuple[Any, Any, Left]) -> Any:
        return has_steps(loop[1]) | has_more(loop[2])

    zeros = Left(
        tuple(jnp.int64(0) for _ in plan.groups),
        tuple(jnp.int32(0) for _ in plan.groups),
        tuple(jnp.zeros(2, jnp.int64) for _ in sources),
    )
    return jax.lax.while_loop(goes_on, block, (carry, progress, zeros))[:2]


def _chosen(is_active: Any, new: Sequence, old: Sequence) -> tuple[Any, ...]:
    return tuple(jnp.where(is_active, a, b) for a, b in zip(new, old, strict=True))


def _after(plan: Any, progress: Any, is_active: Any, listed: Sequence, sampled: tuple) -> Any:
    """The progress after a turn; one without a step writes 0 where the next step will write."""
    keeps = [group.keeps_spikes for group in plan.groups]
    return progress._replace(
        done=progress.done + is_active,
        counts=tuple(
            kept.at[progress.done[0]].set(count)
            for kept, count in zip(progress.counts, listed, strict=True)
        ),
        cursors=tuple(
            cursor + count if kept else cursor
            for kept, cursor, count in zip(keeps, progress.cursors, listed, strict=True)
        ),
        sampled=_chosen(is_active, sampled, progress.sampled),
    )


def deliver_own(plan: Any, data: Any, rings: list, spikes: Sequence, stamp: Any) -> list:
    """Deliver the spikes of the device's own cells of this step."""
    return deliver(plan, data, rings, _own(data, spikes, stamp))


def deliver_inbox(plan: Any, data: Any, rings: list) -> list:
    """Deliver what has come from other nodes."""
    sources = {
        group: gpu.Entries(of.cells, of.part, of.begin, of.count, of.stamp)
        for group, of in enumerate(data.inbox)
    }
    return deliver(plan, data, rings, sources, is_bounded=False)


def deliver(
    plan: Any,
    data: Any,
    rings: list,
    sources: Mapping[int, gpu.Entries],
    *,
    is_bounded: bool = True,
) -> list:
    """Deliver spikes through all tables that begin at their groups.

    Args:
        plan: of the chunk.
        data: of the chunk.
        rings: by group and receptor.
        sources: by group, its spikes.
        is_bounded: whether no entry has more spikes than a group of ours has cells.
    """
    jobs = _jobs(plan, data, sources, is_bounded=is_bounded)
    return _nested(rings, gpu.deliver(plan.road, _flat(rings), jobs))


def _own(data: Any, spikes: Sequence, stamp: Any) -> dict[int, gpu.Entries]:
    return {
        group: gpu.one_entry(cells, data.part[0], begin, count, stamp)
        for group, (cells, begin, count) in enumerate(spikes)
    }


def _tables_with_synapses(plan: Any, data: Any) -> list[Any]:
    pairs = zip(plan.tables, data.tables, strict=True)
    return [table for table, rows in pairs if gpu.has_synapses(rows)]


def _jobs(
    plan: Any, data: Any, sources: Mapping[int, gpu.Entries], *, is_bounded: bool = True
) -> list[gpu.Job]:
    """One for each table that has synapses of these sources."""
    first = [0]  # the number of a group's first ring
    for group in plan.groups:
        first.append(first[-1] + len(group.signature.rings))
    jobs = []
    for table, rows in zip(plan.tables, data.tables, strict=True):
        if table.source in sources and gpu.has_synapses(rows):
            group = plan.groups[table.source]
            # A schedule may list a cell twice.
            most = group.cells if is_bounded and group.program is not None else None
            ring = first[table.group] + table.ring
            jobs.append(gpu.Job(ring, rows, sources[table.source], most))
    return jobs


def _flat(rings: Sequence) -> list[Any]:
    return [ring for of in rings for ring in of]


def _nested(rings: Sequence, flat: Sequence) -> list[list[Any]]:
    rest = iter(flat)
    return [[next(rest) for _ in of] for of in rings]
