"""A chunk: many steps of the parts of this process in a single jitted loop, one part per device.

Per step, stamped s = step + 1:

    update(g, s)     every group g reads and clears its ring rows due at s, and lists its spikes
    deliver(s)       every table adds the part's own spikes to its ring, at s + delay; a packed one
                     adds what is due at s + 1, of all spikes in flight
    exchange(s)      every so many steps: what the other parts of the node have listed since
    sample(s)        every trace copies its values

update(g, s) precedes deliver(s) for all g; deliver(s) precedes update(g, s + 1). Delays are at
least one step, and between parts at least the steps between two exchanges, so no table adds to a
row that is being read, or has been. What comes from other nodes is added before the first step.

A chunk ends early, for all parts at the same step, when a list of spikes might not hold what comes
until the next exchange; nothing is ever dropped.
"""

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from distdyn.core.system import Tick
from distdyn.ops.coupled import WORDS, Pairs, emit_reference
from distdyn.ops.deliver import deliver
from distdyn.ops.formula import Formula
from distdyn.ops.packed import Packed
from distdyn.ops.rows import Rows
from distdyn.ops.totals import Masks, Totals
from distdyn.ops.update import Signature, in_blocks, update_reference
from distdyn.parallel import on_cpu, on_gpu
from distdyn.parallel.exchange import mesh
from distdyn.parallel.operands import Entry, Values
from distdyn.parallel.program import GroupProgram


@dataclass(frozen=True)
class GroupPlan:
    """What the code of one group depends on."""

    program: GroupProgram | None  # None: a schedule of given spikes, or an emitter
    cells: int  # on each device, padding included
    signature: Signature
    keeps_spikes: bool
    target: str | None  # the compiled operator, or None for the reference
    emitter: tuple[int, int] | None = None  # the group and the leaf of the values that are listed

    @property
    def words(self) -> int:
        """The most words that a cell has in the list of a step."""
        return 1 if self.emitter is None else WORDS

    @property
    def is_listed(self) -> bool:
        """Whether the cells that spike, or values, are listed one step after the other."""
        has_list = self.program is not None and self.signature.spikes
        return self.keeps_spikes and (has_list or self.emitter is not None)


@dataclass(frozen=True)
class TablePlan:
    """From the spikes of a group to one ring of another."""

    source: int
    group: int
    ring: int
    voltage: int | None = None  # the leaf V of the group's state, where it learns from that


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
    devices: Any  # the mesh, of one axis `part`
    exchange: str | None  # "mailbox" or "mesh"; None: there is no other part in the node
    interval: int  # steps between two exchanges inside the node
    capacity: int  # of a round of the mesh's exchange
    gpu: bool = False  # the kernels for GPUs, and not those for CPUs or the reference


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
    factor: Any = None  # float64[populations] of an emitter: see `ops.coupled.emit`
    segment: Any = None  # int32[cells] inside the chunk, on the road of GPUs


class Inbox(NamedTuple):
    """Spikes from other nodes, of one group: entry e is cells[begin[e] : begin[e] + count[e]]."""

    cells: Any  # int32[capacity]
    part: Any  # int64[entries]
    begin: Any
    count: Any  # int32[entries]
    stamp: Any


class Data(NamedTuple):
    """What a chunk reads and does not change. Along the first axis: one block per device."""

    groups: tuple[GroupData, ...]
    tables: tuple[Rows | Packed | Formula | Pairs | Totals | Masks, ...]
    laws: tuple[Any, ...]  # `ops.learning.Law` of each table; None for those that do not learn
    flights: tuple[Any, ...]  # int64[2] per packed table: where its list is; None for the others
    samples: tuple[Any, ...]  # int32[k], the cells of each trace
    part: Any  # int64[1], the number of the part
    parts: Any  # int64[devices], of all parts of the mesh; the same on all devices
    team: Any  # int64[2], the operand of the team for whom tables are cut; None without kernels
    board: Any  # int64[2], the mailboxes of the node and our box; None without
    inbox: Any  # the mailboxes of other nodes, int64[2]; or an Inbox per group; or None


class Carry(NamedTuple):
    """What a chunk changes, in place. Along the first axis: one block per device."""

    step: Any  # int64, steps done; the same on all devices
    states: tuple[list[Any], ...]
    rings: tuple[list[Any], ...]
    events: tuple[Any, ...]  # int32[capacity] per group, the cells that spiked
    traces: tuple[Any, ...]  # [rows + 1, k] per trace
    learned: tuple[Any, ...]  # `ops.learning.Learned` per table, on CPU; None where nothing is


class Progress(NamedTuple):
    """What a chunk did; one block per device."""

    done: Any  # int64[1], steps
    stop: Any  # int64[1]: 0, or why it ended early (`ops.ledger`); on CPU also why at all
    cursors: tuple[Any, ...]  # int64[1], events in each group's list
    begins: tuple[Any, ...]  # int64[1], where those since the last exchange begin
    opened: Any  # int64[1], steps since the last exchange
    counts: tuple[Any, ...]  # int32[steps], events of each step
    sampled: tuple[Any, ...]  # int64[1], rows of each trace
    finite: tuple[Any, ...]  # bool[1] per group, whether its state is


MOST_STEPS = 20_000  # of a chunk
OWN, SAME = PartitionSpec("part"), PartitionSpec()


@functools.partial(jax.jit, static_argnames=("plan",), donate_argnames=("carry",))
def run_chunk(plan: Plan, data: Data, carry: Carry, most: Any) -> tuple[Carry, Progress]:
    """Run up to `most` steps."""
    state = jax.tree.map(lambda _: OWN, carry)._replace(step=SAME)
    run = jax.shard_map(
        functools.partial(_run, plan),
        mesh=plan.devices,
        in_specs=(_specs(plan, data), state, SAME),
        out_specs=(state, OWN),
        check_vma=False,
    )
    return run(data, carry, most)


@functools.partial(jax.jit, static_argnames=("plan",))
def hold(
    plan: Plan, operands: tuple[tuple[Any, ...], ...], step: Any
) -> tuple[tuple[Any, ...], ...]:
    """What all groups read at a step: for a chunk in which it stays the same."""

    def held(operands: tuple[tuple[Any, ...], ...], step: Any) -> tuple[tuple[Any, ...], ...]:
        tick = Tick(step, plan.dt, step.astype(jnp.float64) * plan.dt)
        return tuple(
            tuple(x.at(tick) if isinstance(x, Values) else x for x in of)
            for of in eqx.combine(operands, plan.functions.tree())
        )

    per = [[operand.per for operand in group.signature.operands[1:]] for group in plan.groups]
    given = tuple(
        tuple(_spec(x, p) for x, p in zip(of, pers, strict=True))
        for of, pers in zip(operands, per, strict=True)
    )
    found = tuple(tuple(OWN if p == "cell" else SAME for p in pers) for pers in per)
    run = jax.shard_map(
        held, mesh=plan.devices, in_specs=(given, SAME), out_specs=found, check_vma=False
    )
    return run(operands, step)


def _specs(plan: Plan, data: Data) -> Data:
    """Which arrays have a block for each device, and which are the same on all."""
    own = jax.tree.map(lambda _: OWN, data)
    groups = []
    for group, of, given in zip(plan.groups, own.groups, data.groups, strict=True):
        per = [operand.per for operand in group.signature.operands[1:]]
        operands = tuple(_spec(x, p) for x, p in zip(given.operands, per, strict=True))
        groups.append(of._replace(operands=operands))
    inbox = own.inbox
    if isinstance(data.inbox, tuple):
        inbox = jax.tree.map(lambda _: SAME, data.inbox)
    return own._replace(groups=tuple(groups), parts=SAME, inbox=inbox)


def _spec(operand: Any, per: str) -> Any:
    own = OWN if per == "cell" else SAME
    if not isinstance(operand, Values):
        return own
    entries = tuple(
        Entry(
            jax.tree.map(lambda _: own, e.where),
            jax.tree.map(lambda _: own, e.take),
            jax.tree.map(lambda _: SAME, e.value),
        )
        for e in operand.entries
    )
    return Values(entries, operand.per, operand.size, operand.dtype)


def _run(plan: Plan, data: Data, carry: Carry, most: Any) -> tuple[Carry, Progress]:
    """The chunk on one device."""
    operands = tuple(group.operands for group in data.groups)
    whole = eqx.combine(operands, plan.functions.tree())
    data = data._replace(
        groups=tuple(g._replace(operands=o) for g, o in zip(data.groups, whole, strict=True))
    )
    if plan.gpu:
        data = data._replace(groups=on_gpu.with_segments(plan, data))
    last = carry.step + most
    if data.inbox is not None:
        carry = _deliver_inbox(plan, data, carry)

    def step(loop: tuple[Carry, Progress]) -> tuple[Carry, Progress]:
        return _step(plan, data, *loop, last)

    def goes_on(loop: tuple[Carry, Progress]) -> Any:
        _, progress = loop
        return (progress.done[0] < most) & (progress.stop[0] == 0)

    zero = jnp.zeros(1, jnp.int64)
    progress = Progress(
        done=zero,
        stop=zero,
        cursors=(zero,) * len(plan.groups),
        begins=(zero,) * len(plan.groups),
        opened=zero,
        counts=tuple(jnp.zeros(MOST_STEPS, jnp.int32) for _ in plan.groups),
        sampled=(zero,) * len(plan.traces),
        finite=(),
    )
    if data.team is not None:
        carry, progress = on_cpu.run(plan, data, carry, progress, most, ON_CPU)
    elif plan.gpu and plan.exchange is None:
        carry, progress = on_gpu.run(plan, data, carry, progress, most, ON_GPU)
    else:
        carry, progress = jax.lax.while_loop(goes_on, step, (carry, progress))
    finite = tuple(
        jnp.array([jnp.isfinite(x).all() for x in state if x.dtype.kind == "f"], bool).all()[None]
        for state in carry.states
    )
    return carry, progress._replace(finite=finite)


def _step(
    plan: Plan, data: Data, carry: Carry, progress: Progress, last: Any
) -> tuple[Carry, Progress]:
    stamp = carry.step + 1
    listers = on_gpu.fresh_listers(plan, data, carry, progress) if plan.gpu else None
    states, rings, events, spikes = _advance(plan, data, carry, progress, listers=listers)
    counts = tuple(
        kept.at[progress.done[0]].set(count)
        for kept, (_, _, count) in zip(progress.counts, spikes, strict=True)
    )
    keeps = [group.keeps_spikes or plan.exchange == "mesh" for group in plan.groups]
    cursors = tuple(
        cursor + count if kept else cursor
        for kept, cursor, (_, _, count) in zip(keeps, progress.cursors, spikes, strict=True)
    )
    traces, sampled = _sample(plan, data, states, carry.traces, progress.sampled, stamp)
    progress = progress._replace(
        done=progress.done + 1, cursors=cursors, counts=counts, sampled=sampled,
        opened=progress.opened + 1,
    )  # fmt: skip
    full = _is_full(plan, data, events, traces, progress)
    stop = full.astype(jnp.int64)[None]
    if plan.gpu:
        rings = on_gpu.deliver_own(plan, data, rings, spikes, stamp)
    else:
        _deliver_own(plan, data, rings, spikes, stamp)
    if plan.exchange == "mesh":
        rings, progress, stop = mesh.exchange(
            plan, data, rings, events, progress, stamp, last, full
        )
    carry = Carry(stamp, tuple(states), tuple(rings), tuple(events), traces, carry.learned)
    return carry, progress._replace(stop=stop)


def _advance(
    plan: Plan,
    data: Data,
    carry: Carry,
    progress: Progress,
    is_active: Any = True,
    listers: Any = None,
    taker: Any = None,
) -> tuple:
    """Update all groups; per group the list that holds its spikes, where they begin, how many.

    Unless `is_active`, which only the road of GPUs says, nothing changes and nobody spikes. It also
    says for each group how its spikes are listed, and how what is due is taken from a ring.
    """
    stamp = carry.step + 1
    states, rings, events = list(carry.states), [list(r) for r in carry.rings], list(carry.events)
    spikes: list[tuple[Any, Any, Any]] = []
    for index, (group, given) in enumerate(zip(plan.groups, data.groups, strict=True)):
        if group.emitter is not None:
            of, leaf = group.emitter
            cursor = progress.cursors[index][0]
            rest = given.factor, given.bounds, events[index], cursor
            events[index], count = emit_reference(states[of][leaf], *rest)
            count = jnp.where(is_active, count, 0)
            spikes.append((events[index], cursor, count))
            continue
        if group.program is None:
            steps, cells = given.schedule  # pyright: ignore[reportGeneralTypeIssues]
            # On a GPU each turn of a search is a kernel: one kernel that looks at all is faster.
            method = "compare_all" if plan.gpu else "scan"
            first, after = (
                jnp.searchsorted(steps, stamp, side=side, method=method)
                for side in ("left", "right")
            )
            count = jnp.where(is_active, after - first, 0)
            spikes.append((cells, first.astype(jnp.int64), count.astype(jnp.int32)))
            continue
        cursor = progress.cursors[index][0]
        operands = _operands(plan, given, carry.step)
        rest = (
            given.bounds,
            carry.step,
            cursor,
            operands,
            states[index],
            rings[index],
            events[index],
        )
        lister = None if listers is None else listers[index]
        program = group.program if plan.gpu else in_blocks(group.program, given.bounds[-1])
        result = update_reference(
            program,
            group.signature,
            group.cells,
            *rest,
            given.segment,
            lister,
            taker,
            is_active,
        )
        states[index], rings[index], list_, count = result
        events[index] = list_ if list_ is not None else events[index]
        spikes.append((events[index], cursor, count))
    return states, rings, events, spikes


def _operands(plan: Plan, given: GroupData, step: Any) -> list[Any]:
    """What a group reads at a step."""
    tick = Tick(step, plan.dt, step.astype(jnp.float64) * plan.dt)
    return [step, *(x.at(tick) if isinstance(x, Values) else x for x in given.operands)]


def _is_full(plan: Plan, data: Data, events: list, traces: tuple, progress: Progress) -> Any:
    """Whether a list might not hold the steps until the next exchange."""
    full = jnp.bool_(False)
    for group, given, list_, cursor in zip(
        plan.groups, data.groups, events, progress.cursors, strict=True
    ):
        if group.is_listed:
            most = plan.interval * given.bounds[-1] * group.words
            full |= cursor[0] + most > list_.shape[0]
    return full | _has_full_trace(plan, traces, progress.sampled)


def _has_full_trace(plan: Plan, traces: tuple, sampled: tuple) -> Any:
    full = jnp.bool_(False)
    for trace, rows, used in zip(plan.traces, traces, sampled, strict=True):
        full |= used[0] + plan.interval // trace.every + 1 > rows.shape[0] - 1
    return full


def _deliver_own(plan: Plan, data: Data, rings: list, spikes: list, stamp: Any) -> None:
    """Deliver our own spikes, by the reference."""
    for table, rows in zip(plan.tables, data.tables, strict=True):
        given: Any = (data.part[0], *spikes[table.source], stamp, None)
        of, ring = rings[table.group], table.ring
        of[ring] = deliver(of[ring], rows, *given)  # pyright: ignore[reportArgumentType]


def _deliver_inbox(plan: Plan, data: Data, carry: Carry) -> Carry:
    """Add what has come from other nodes."""
    if data.team is not None:
        return on_cpu.deliver_inbox(plan, data, carry)
    rings = [list(of) for of in carry.rings]
    if plan.gpu:
        return carry._replace(rings=tuple(on_gpu.deliver_inbox(plan, data, rings)))
    for table, rows in zip(plan.tables, data.tables, strict=True):
        of, ring, inbox = rings[table.group], table.ring, data.inbox[table.source]
        of[ring] = _deliver_lists(of[ring], rows, inbox)
    return carry._replace(rings=tuple(rings))


def _deliver_lists(ring: Any, rows: Any, inbox: Inbox) -> Any:
    def entry(e: Any, ring: Any) -> Any:
        return deliver(
            ring, rows, inbox.part[e], inbox.cells, inbox.begin[e], inbox.count[e],
            inbox.stamp[e], None,
        )  # fmt: skip

    return jax.lax.fori_loop(0, inbox.part.shape[0], entry, ring)


def _sample(plan: Plan, data: Data, states, traces, sampled, stamp) -> tuple[tuple, tuple]:
    """Write the values at every step to the next free row; keep the row when a sample is due."""
    rows = []
    for trace, cells, buffer, row in zip(plan.traces, data.samples, traces, sampled, strict=True):
        values = states[trace.group][trace.leaf][cells].astype(buffer.dtype)
        rows.append(jax.lax.dynamic_update_slice(buffer, values[None], (row[0], jnp.int64(0))))
    return tuple(rows), _sampled_after(plan, sampled, stamp)


def _sampled_after(plan: Plan, sampled: tuple, stamp: Any) -> tuple:
    """The rows that are kept after a step."""
    return tuple(
        row + (stamp % trace.every == 0) for trace, row in zip(plan.traces, sampled, strict=True)
    )


def _will_fill_traces(plan: Plan, traces: tuple, sampled: tuple, stamp: Any) -> Any:
    """`_has_full_trace` after a step that has not been made."""
    return _has_full_trace(plan, traces, _sampled_after(plan, sampled, stamp))


ON_GPU = on_gpu.Step(_advance, _sample, _is_full)
ON_CPU = on_cpu.Step(_operands, _sample, _will_fill_traces)
