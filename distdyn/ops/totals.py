"""All-to-all connections with one weight and one delay: a sum instead of n_pre * n_post synapses.

    of spikes    T = w * (how many neurons of the pre end spike)
    of values    T = sum_i rint(w a_i)
    ring[(stamp + d) mod slots, j] += T      without what the neuron itself brings, if asked

It is to the bit what the same synapses one by one give, for integers are summed.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Int32, Int64

from distdyn.ops.coupled import WORDS, values_at
from distdyn.ops.formula import NEVER
from distdyn.ops.rows import lengthened


class Member(NamedTuple):
    """One projection.

    Attributes:
        unit: the weight, in the ring's units.
        delay: steps.
        part, cell: int[n_pre]; the part and the cell of each neuron of the pre end.
        post: int[n]; our cells that are targets.
        own: int[n]; the cell of our part that is the neuron itself, where it is left out, or -1.
    """

    unit: int
    delay: int
    part: np.ndarray
    cell: np.ndarray
    post: np.ndarray
    own: np.ndarray


class Totals(NamedTuple):
    """Some projections from the values of one group of sources to one ring.

    Attributes:
        us: int64[3]; the number of our part, the length of a slot of its ring, and 1 for `Counts`.
        sizes: int64[parts]; how many cells of the group each part has.
        unit: int32 or int64[members]; the weights.
        delay: int64[members].
        start: int64[members, parts + 1]; the runs of m in part q: run[start[m, q]:start[m, q + 1]].
        run: int32[runs, 2]; from cell run[k, 0] up to run[k, 1], not included; ascending.
        after: int64[members + 1]; post[after[m]:after[m + 1]] are the targets of member m.
        post: int32[targets]; as in `Member`, and at the end anything.
        own: int32[targets]; the same.
    """

    us: Any
    sizes: Any
    unit: Any
    delay: Any
    start: Any
    run: Any
    after: Any
    post: Any
    own: Any


class Counts(Totals):
    """`Totals` of spikes."""

    __slots__ = ()


def totals(
    kind: type[Totals], us: int, n_target: int, sizes: np.ndarray, members: Sequence[Member],
    dtype: Any,
) -> Totals:  # fmt: skip
    """The table of some projections onto part `us`.

    Args:
        kind: `Totals` or `Counts`.
        us: our part.
        n_target: the length of a slot of the ring.
        sizes: how many cells each part has.
        members: the projections.
        dtype: of the ring.
    """
    parts = np.arange(len(sizes) + 1)
    starts, runs, base = [], [np.zeros((0, 2), np.int32)], 0
    for of in members:
        order = np.lexsort((of.cell, of.part))
        part, cell = np.asarray(of.part)[order], np.asarray(of.cell)[order]
        is_first = np.ones(len(cell), bool)
        is_first[1:] = (np.diff(part) != 0) | (np.diff(cell) != 1)
        first = np.flatnonzero(is_first)
        last = np.append(first[1:], len(cell))[: len(first)] - 1
        runs.append(np.stack([cell[first], cell[last] + 1], axis=1).astype(np.int32))
        starts.append(base + np.searchsorted(part[first], parts))
        base += len(first)

    def joined(name: str) -> np.ndarray:
        return np.concatenate([np.zeros(0, np.int32), *(getattr(of, name) for of in members)])

    return kind(
        np.array([us, n_target, issubclass(kind, Counts)], np.int64),
        np.asarray(sizes, np.int64),
        np.array([of.unit for of in members], dtype),
        np.array([of.delay for of in members], np.int64),
        np.array(starts, np.int64),
        np.concatenate(runs),
        np.cumsum([0, *(len(of.post) for of in members)]).astype(np.int64),
        joined("post").astype(np.int32),
        joined("own").astype(np.int32),
    )


def equalize(tables: Sequence[Totals], alike: Any) -> list[Totals]:
    """The tables of several parts with equal shapes; targets at the end belong to no member."""
    n = int(alike(max(len(table.post) for table in tables)))
    return [t._replace(post=lengthened(t.post, n), own=lengthened(t.own, n, -1)) for t in tables]


def reaching(table: Totals) -> list[np.ndarray]:
    """Of each part, which of its cells reach us: one bool array over its cells."""
    found = [np.zeros(int(n), bool) for n in table.sizes]
    for m in np.flatnonzero(np.diff(table.after)):
        for part, here in enumerate(found):
            for begin, end in table.run[table.start[m, part] : table.start[m, part + 1]]:
                here[begin:end] = True
    return found


def shortest(table: Totals) -> np.ndarray:
    """int64[n_parts]: the shortest delay from a cell of each part, in steps; NEVER if none is."""
    found = np.full(len(table.sizes), NEVER)
    for m in np.flatnonzero(np.diff(table.after)):
        has_any = np.diff(table.start[m]) > 0
        found[has_any] = np.minimum(found[has_any], table.delay[m])
    return found


def synapse_count(table: Totals) -> int:
    """How many synapses the sums stand for."""
    n_run = np.concatenate([[0], np.cumsum(np.diff(table.run, axis=1))])
    n_pre = n_run[table.start[:, -1]] - n_run[table.start[:, 0]]
    left_out = int((np.asarray(table.own)[: int(table.after[-1])] >= 0).sum())
    return int(n_pre @ np.diff(table.after)) - left_out


class Masks(NamedTuple):
    """`Totals` for roads without the kernels of CPUs.

    Attributes:
        us, unit, delay, after, post, own: as in `Totals`.
        mask: bool[parts, members, cells]; which cells of each part are in the pre end of a member.
    """

    us: Any
    unit: Any
    delay: Any
    after: Any
    post: Any
    own: Any
    mask: Any

    @classmethod
    def of(cls, table: Totals) -> "Masks":
        """The same sums."""
        shape = len(table.sizes), len(table.unit), int(max(table.sizes))
        mask = np.zeros(shape, bool)
        for m, starts in enumerate(table.start):
            for part in range(len(table.sizes)):
                for begin, end in table.run[starts[part] : starts[part + 1]]:
                    mask[part, m, begin:end] = True
        kind = CountMasks if isinstance(table, Counts) else cls
        rest = table.us, table.unit, table.delay, table.after, table.post, table.own
        return kind(*rest, mask)


class CountMasks(Masks):
    """`Masks` of spikes."""

    __slots__ = ()


def deliver_masks(
    ring: Int[Array, "slot post"],
    table: Masks,
    part: Int64[Array, ""],
    events: Int32[Array, "capacity"],
    cursor: Int64[Array, ""],
    count: Int32[Array, ""],
    stamp: Int64[Array, ""],
    first: Any = 0,
) -> Int[Array, "slot post"]:
    """Add the spikes, or values, of one part of the network; of values those from `first` on.

    In plain jax.numpy, on any platform.
    """
    most, n_cells = events.shape[0], table.mask.shape[2]
    if not most or not n_cells or not table.post.shape[0]:
        return ring

    def brought() -> Any:
        """What each cell brings to the targets of each member, whether it is meant or not."""
        cell = jnp.arange(n_cells)
        if isinstance(table, CountMasks):
            listed = events[jnp.clip(cursor + cell, 0, most - 1)]
            listed = jnp.where(cell < count, listed, n_cells)
            spikes = jnp.zeros(n_cells, ring.dtype).at[listed].add(1, mode="drop")
            return table.unit[:, None] * spikes
        at = WORDS * (cell - first)
        value = values_at(events, cursor + at, (at >= 0) & (at < count))
        return jnp.rint(table.unit[:, None].astype(jnp.float64) * value).astype(ring.dtype)

    amounts = brought()
    total = jnp.sum(jnp.where(table.mask[part], amounts, 0), axis=1, dtype=ring.dtype)
    target = jnp.arange(table.post.shape[0])
    member = jnp.searchsorted(table.after[1:], target, side="right")
    member = jnp.minimum(member, table.unit.shape[0] - 1)
    is_ours = (table.own >= 0) & (part == table.us[0])
    amount = total[member] - jnp.where(is_ours, amounts[member, table.own], 0)
    amount = jnp.where(target < table.after[-1], amount, 0)
    slot = (stamp + table.delay[member]) % ring.shape[0]
    place = slot * ring.shape[1] + table.post
    return ring.reshape(-1).at[place].add(amount).reshape(ring.shape)
