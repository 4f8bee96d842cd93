"""Exchange between the devices of a mesh by collectives: what GPUs use, and the CPU reference.

Every so many steps each device gathers from all others how many cells spiked at each step since the
last exchange, and then their lists, in rounds of a fixed capacity: as many rounds as the longest
list needs, the same number on all devices. Nothing is dropped.
"""

from typing import Any

import jax
import jax.numpy as jnp

from distdyn.ops import gpu
from distdyn.ops.deliver import deliver
from distdyn.parallel import on_gpu


def exchange(
    plan: Any, data: Any, rings: list, events: list, progress: Any, stamp: Any, last: Any, full: Any
) -> tuple[list, Any, Any]:
    """If an exchange is due after the step `stamp`, deliver what the other devices have listed.

    Returns:
        The rings, the progress with the lists' new beginnings, and whether some device is full.
    """

    def due(rings: list) -> tuple[list, Any]:
        stop = jax.lax.pmax(full.astype(jnp.int64)[None], "part")
        for group in range(len(plan.groups)):
            tables = [k for k, table in enumerate(plan.tables) if table.source == group]
            if tables:
                rings = _deliver_group(plan, data, rings, events, progress, stamp, group, tables)
        return rings, stop

    def not_due(rings: list) -> tuple[list, Any]:
        return rings, jnp.zeros(1, jnp.int64)

    is_due = (stamp % plan.interval == 0) | (stamp == last)
    rings, stop = jax.lax.cond(is_due, due, not_due, rings)
    cursors = tuple(
        cursor if group.keeps_spikes else jnp.where(is_due, 0, cursor)
        for group, cursor in zip(plan.groups, progress.cursors, strict=True)
    )
    begins = tuple(
        jnp.where(is_due, cursor, begin)
        for cursor, begin in zip(cursors, progress.begins, strict=True)
    )
    opened = jnp.where(is_due, 0, progress.opened)
    return rings, progress._replace(cursors=cursors, begins=begins, opened=opened), stop


def _deliver_group(
    plan: Any, data: Any, rings: list, events: list, progress: Any, stamp: Any, group: int,
    tables: list[int],
) -> list:  # fmt: skip
    """Deliver what the other devices' cells of a group have emitted since the last exchange."""
    steps, given = plan.interval, data.groups[group]
    list_, begin = events[group], progress.begins[group][0]
    first = progress.done[0] - progress.opened[0]  # of the steps since, counted in the chunk
    step = jnp.arange(steps)
    counts = progress.counts[group][jnp.clip(first + step, 0, progress.counts[group].shape[0] - 1)]
    counts = jnp.where(step < progress.opened[0], counts, 0)
    if given.schedule is not None:  # its list is that of the whole run
        list_ = given.schedule[1]
        begin = jnp.searchsorted(given.schedule[0], stamp - progress.opened[0], side="right")
    of_all = jax.lax.all_gather(counts, "part")  # [device, step]
    me = jax.lax.axis_index("part")
    before = jnp.cumsum(of_all, axis=1) - of_all
    longest = jnp.max(jnp.sum(of_all, axis=1))
    parts, stamps = data.parts, stamp - progress.opened[0] + 1 + step

    def one_round(loop: tuple[Any, list]) -> tuple[Any, list]:
        index, rings = loop
        low = index * plan.capacity
        place = jnp.clip(begin + low + jnp.arange(plan.capacity), 0, max(0, list_.shape[0] - 1))
        mine = list_[place] if list_.shape[0] else jnp.zeros(plan.capacity, jnp.int32)
        lists = jax.lax.all_gather(mine, "part")  # [device, capacity]
        start = jnp.clip(before - low, 0, plan.capacity)
        stop = jnp.clip(before + of_all - low, 0, plan.capacity)
        n = jnp.where(jnp.arange(len(of_all))[:, None] == me, 0, stop - start)

        if plan.gpu and plan.groups[group].emitter is None:  # all devices and steps at once
            place = start + plan.capacity * jnp.arange(len(of_all))[:, None]
            of_step = (parts[:, None], place, n, stamps[None, :])
            flat = [jnp.broadcast_to(x, n.shape).reshape(-1) for x in of_step]
            sources = {group: gpu.entries(lists.reshape(-1), *flat)}
            return index + 1, on_gpu.deliver(plan, data, rings, sources)

        def entry(k: Any, rings: list) -> list:
            device, at = k // steps, k % steps
            begin = start[device, at].astype(jnp.int64)
            count = n[device, at].astype(jnp.int32)
            cut = jnp.maximum(low - before[device, at], 0)  # of the step's list: in rounds before

            def some(rings: list) -> list:
                rings = [list(of) for of in rings]
                for index in tables:
                    of, ring = rings[plan.tables[index].group], plan.tables[index].ring
                    of[ring] = deliver(
                        of[ring], data.tables[index], parts[device], lists[device], begin, count,
                        stamps[at], data.team, first=cut // plan.groups[group].words,
                    )  # fmt: skip
                return rings

            return jax.lax.cond(count > 0, some, lambda rings: rings, rings)

        return index + 1, jax.lax.fori_loop(0, of_all.size, entry, rings)

    def needs_more(loop: tuple[Any, list]) -> Any:
        return loop[0] * plan.capacity < longest

    return jax.lax.while_loop(needs_more, one_round, (jnp.int64(0), rings))[1]
