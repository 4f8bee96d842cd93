"""A chunk: many steps of one shard in a single jitted loop.

Per step, stamped s = step + 1:

    update(g, s)   every group g reads and clears its ring rows due at s, and lists its spikes
    deliver(s)     every table adds the spikes of its source group to its ring, at s + delay
    sample(s)      every trace copies its values

update(g, s) precedes deliver(s) for all g; deliver(s) precedes update(g, s + 1). Delays are at
least one step, so no table adds to a row that is being read. The loop stops early when a list of
spikes might not hold another step; nothing is ever dropped.
"""

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from distdyn.core.system import Tick
from distdyn.ops.deliver import deliver
from distdyn.ops.rows import Rows
from distdyn.ops.update import Signature, update, update_reference
from distdyn.parallel.operands import Values
from distdyn.parallel.program import GroupProgram


@dataclass(frozen=True)
class GroupPlan:
    """What the code of one group depends on."""

    program: GroupProgram | None  # None: a schedule of given spikes
    signature: Signature
    bounds: tuple[int, ...]  # of the segments
    keeps_spikes: bool
    target: str | None  # the compiled operator, or None for the reference


@dataclass(frozen=True)
class TablePlan:
    """From the spikes of a group to one ring of another."""

    source: int
    group: int
    ring: int


@dataclass(frozen=True)
class TracePlan:
    """A leaf of a group's state, sampled when the step is a multiple of `every`."""

    group: int
    leaf: int
    every: int


@dataclass(frozen=True)
class Plan:
    """What the code of a chunk depends on; shards with equal plans share it."""

    groups: tuple[GroupPlan, ...]
    tables: tuple[TablePlan, ...]
    traces: tuple[TracePlan, ...]
    dt: float
    functions: "Static"  # what of the operands is not an array: functions of time


@dataclass(frozen=True)
class Static:
    """A tree of things that are not arrays, compared by value."""

    leaves: tuple[Any, ...]
    structure: Any

    @classmethod
    def of(cls, tree: Any) -> "Static":
        """The leaves and structure of a tree."""
        leaves, structure = jax.tree.flatten(tree)
        return cls(tuple(leaves), structure)

    def tree(self) -> Any:
        """The tree again."""
        return jax.tree.unflatten(self.structure, self.leaves)


class GroupData(NamedTuple):
    """What a group reads: operands (arrays or `Values`), bounds, and a schedule's spikes."""

    operands: tuple[Any, ...]
    bounds: Any
    schedule: tuple[Any, Any] | None  # step int64[k] ascending, cell int32[k]


class Data(NamedTuple):
    """What a chunk reads and does not change."""

    groups: tuple[GroupData, ...]
    tables: tuple[Rows, ...]
    samples: tuple[Any, ...]  # int32[k], the cells of each trace
    team: Any  # the operand of the team for whom tables are cut; None without kernels


class Carry(NamedTuple):
    """What a chunk changes, in place."""

    step: Any  # int64, steps done
    states: tuple[list[Any], ...]
    rings: tuple[list[Any], ...]
    events: tuple[Any, ...]  # int32[capacity] per group, the cells that spiked
    traces: tuple[Any, ...]  # [rows + 1, k] per trace


class Progress(NamedTuple):
    """What a chunk did."""

    done: Any  # int64, steps
    cursors: tuple[Any, ...]  # int64, events in each group's list
    counts: tuple[Any, ...]  # int32[steps], events of each step
    sampled: tuple[Any, ...]  # int64, rows of each trace
    finite: tuple[Any, ...]  # bool per group, whether its state is


MOST_STEPS = 20_000  # of a chunk


@functools.partial(jax.jit, static_argnames=("plan",), donate_argnames=("carry",))
def run_chunk(plan: Plan, data: Data, carry: Carry, most: Any) -> tuple[Carry, Progress]:
    """Run up to `most` steps."""
    operands = tuple(group.operands for group in data.groups)
    whole = eqx.combine(operands, plan.functions.tree())
    data = data._replace(
        groups=tuple(g._replace(operands=o) for g, o in zip(data.groups, whole, strict=True))
    )

    def step(loop: tuple[Carry, Progress]) -> tuple[Carry, Progress]:
        return _step(plan, data, *loop)

    def goes_on(loop: tuple[Carry, Progress]) -> Any:
        carry, progress = loop
        has_room = progress.done < most
        for group, events, cursor in zip(plan.groups, carry.events, progress.cursors, strict=True):
            if group.keeps_spikes and group.program is not None:
                has_room &= cursor + group.bounds[-1] <= events.shape[0]
        for rows, used in zip(carry.traces, progress.sampled, strict=True):
            has_room &= used < rows.shape[0] - 1
        return has_room

    zero = jnp.int64(0)
    progress = Progress(
        done=zero,
        cursors=(zero,) * len(plan.groups),
        counts=tuple(jnp.zeros(MOST_STEPS, jnp.int32) for _ in plan.groups),
        sampled=(zero,) * len(plan.traces),
        finite=(),
    )
    carry, progress = jax.lax.while_loop(goes_on, step, (carry, progress))
    finite = tuple(
        jnp.array([jnp.isfinite(x).all() for x in state if x.dtype.kind == "f"], bool).all()
        for state in carry.states
    )
    return carry, progress._replace(finite=finite)


def _step(plan: Plan, data: Data, carry: Carry, progress: Progress) -> tuple[Carry, Progress]:
    stamp = carry.step + 1
    tick = Tick(carry.step, plan.dt, carry.step.astype(jnp.float64) * plan.dt)
    states, rings, events = list(carry.states), [list(r) for r in carry.rings], list(carry.events)
    spikes: list[tuple[Any, Any, Any]] = []
    for index, (group, given) in enumerate(zip(plan.groups, data.groups, strict=True)):
        if group.program is None:
            steps, cells = given.schedule  # pyright: ignore[reportGeneralTypeIssues]
            first, last = (jnp.searchsorted(steps, stamp, side=side) for side in ("left", "right"))
            spikes.append((cells, first.astype(jnp.int64), (last - first).astype(jnp.int32)))
            continue
        cursor = progress.cursors[index]
        operands = [carry.step]
        operands += [x.at(tick) if isinstance(x, Values) else x for x in given.operands]
        slots = jnp.array([stamp % ring.shape[0] for ring in rings[index]], jnp.int64)
        states[index], rings[index], list_, count = _update(
            group, given, data.team, slots, cursor, operands, states[index], rings[index],
            events[index],
        )  # fmt: skip
        events[index] = list_ if list_ is not None else events[index]
        spikes.append((events[index], cursor, count))
    for table, rows in zip(plan.tables, data.tables, strict=True):
        rings[table.group][table.ring] = deliver(
            rings[table.group][table.ring], rows, *spikes[table.source], stamp, team=data.team
        )
    traces, sampled = _sample(plan, data, states, carry.traces, progress.sampled, stamp)
    counts = tuple(
        kept.at[progress.done].set(count)
        for kept, (_, _, count) in zip(progress.counts, spikes, strict=True)
    )
    cursors = tuple(
        cursor + count if group.keeps_spikes else cursor
        for group, cursor, (_, _, count) in zip(plan.groups, progress.cursors, spikes, strict=True)
    )
    carry = Carry(stamp, tuple(states), tuple(rings), tuple(events), traces)
    return carry, Progress(progress.done + 1, cursors, counts, sampled, ())


def _update(
    group: GroupPlan, given: GroupData, team, slots, cursor, operands, state, rings, events
) -> tuple[list[Any], list[Any], Any, Any]:
    rest = slots, cursor, operands, state, rings, events
    if group.target is not None:
        return update(group.target, group.signature, team, given.bounds, *rest)
    assert group.program is not None
    return update_reference(group.program, group.signature, np.array(group.bounds), *rest)


def _sample(plan: Plan, data: Data, states, traces, sampled, stamp) -> tuple[tuple, tuple]:
    """Write the values at every step to the next free row; keep the row when a sample is due."""
    rows, used = [], []
    for trace, cells, buffer, row in zip(plan.traces, data.samples, traces, sampled, strict=True):
        values = states[trace.group][trace.leaf][cells].astype(buffer.dtype)
        rows.append(jax.lax.dynamic_update_slice(buffer, values[None], (row, jnp.int64(0))))
        used.append(row + (stamp % trace.every == 0))
    return tuple(rows), tuple(used)
