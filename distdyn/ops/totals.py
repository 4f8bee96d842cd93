"""All-to-all couplings with one weight and one delay: one sum instead of n_pre * n_post products.

    T = sum_i rint(w a_i)
    ring[(stamp + d) mod slots, j] += T - rint(w a_j)      without the cell's own value, if asked

It is to the bit what the same synapses one by one give (`ops.coupled`), for integers are summed.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Int32, Int64

from distdyn.ops.formula import NEVER
from distdyn.ops.rows import lengthened

WORDS = 2  # of a value; see `ops.coupled`


class Member(NamedTuple):
    """One projection.

    Attributes:
        unit: the weight, in the ring's units.
        delay: steps.
        part, cell: int[n_pre]; the part and the cell of each neuron of the pre end, by part.
        post: int[n]; our cells that are targets.
        own: int[n]; the cell of our part whose own value each leaves out, -1 for none.
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
        us: int64[2]; the number of our part, and the length of a slot of its ring.
        sizes: int64[parts]; how many cells of the group each part has.
        unit: int32 or int64[members]; the weights.
        delay: int64[members].
        start: int64[members, parts + 1]; of m in part q: cell[start[m, q]:start[m, q + 1]].
        cell: int32[sources]; as in `Member`.
        after: int64[members + 1]; post[after[m]:after[m + 1]] are the targets of member m.
        post: int32[targets]; as in `Member`, and at the end anything.
        own: int32[targets]; the same.
    """

    us: Any
    sizes: Any
    unit: Any
    delay: Any
    start: Any
    cell: Any
    after: Any
    post: Any
    own: Any


def totals(
    us: int, n_target: int, sizes: np.ndarray, members: Sequence[Member], dtype: Any
) -> Totals:
    """The table of some projections onto part `us`.

    Args:
        us: our part.
        n_target: the length of a slot of the ring.
        sizes: how many cells each part has.
        members: the projections.
        dtype: of the ring.
    """
    parts = np.arange(len(sizes) + 1)
    starts, base = [], 0
    for of in members:
        starts.append(base + np.searchsorted(of.part, parts))
        base += len(of.part)

    def joined(name: str) -> np.ndarray:
        return np.concatenate([np.zeros(0, np.int32), *(getattr(of, name) for of in members)])

    return Totals(
        np.array([us, n_target], np.int64),
        np.asarray(sizes, np.int64),
        np.array([of.unit for of in members], dtype),
        np.array([of.delay for of in members], np.int64),
        np.array(starts, np.int64),
        joined("cell").astype(np.int32),
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
    for start, end in zip(table.after[:-1], table.after[1:], strict=True):
        if start == end:
            continue
        of = table.start[np.searchsorted(table.after, start, side="right") - 1]
        for part, here in enumerate(found):
            here[table.cell[of[part] : of[part + 1]]] = True
    return found


def shortest(table: Totals) -> np.ndarray:
    """int64[n_parts]: the shortest delay from a cell of each part, in steps; NEVER if none is."""
    found = np.full(len(table.sizes), NEVER)
    for m, delay in enumerate(table.delay):
        if table.after[m] < table.after[m + 1]:
            has_any = np.diff(table.start[m]) > 0
            found[has_any] = np.minimum(found[has_any], delay)
    return found


def synapse_count(table: Totals) -> int:
    """How many synapses the sums stand for."""
    n_pre, n_post = np.diff(table.start[:, [0, -1]]).ravel(), np.diff(table.after)
    left_out = int((np.asarray(table.own)[: int(table.after[-1])] >= 0).sum())
    return int(n_pre @ n_post) - left_out


def deliver_totals(
    ring: Int[Array, "slot post"],
    table: Totals,
    part: Int64[Array, ""],
    events: Int32[Array, "capacity"],
    cursor: Int64[Array, ""],
    count: Int32[Array, ""],
    stamp: Int64[Array, ""],
    first: Any = 0,
) -> Int[Array, "slot post"]:
    """Add the values of one part of the network, or some of them from the `first` cell on.

    In plain jax.numpy, on any platform.
    """
    n_members = table.unit.shape[0]
    if events.shape[0] < WORDS or not table.cell.shape[0] or not table.post.shape[0]:
        return ring

    def amounts(cell: Any, member: Any, is_meant: Any) -> Any:
        at = WORDS * (cell.astype(jnp.int64) - first)
        is_here = is_meant & (at >= 0) & (at < count)
        word = jnp.clip(cursor + at, 0, events.shape[0] - WORDS)
        words = jnp.stack([events[word], events[word + 1]], axis=-1)
        value = jnp.where(is_here, jax.lax.bitcast_convert_type(words, jnp.float64), 0.0)
        return jnp.rint(table.unit[member].astype(jnp.float64) * value).astype(ring.dtype)

    def added(ring: Any) -> Any:
        number = jnp.arange(table.cell.shape[0])
        member = jnp.searchsorted(table.start[:, -1], number, side="right")
        begin, end = table.start[member, part], table.start[member, part + 1]
        of = amounts(table.cell, member, (begin <= number) & (number < end))
        total = jax.ops.segment_sum(of, member, n_members)
        number = jnp.arange(table.post.shape[0])
        member = jnp.searchsorted(table.after[1:], number, side="right")
        is_ours = (table.own >= 0) & (part == table.us[0])
        member, is_target = jnp.minimum(member, n_members - 1), number < table.after[-1]
        amount = total[member] - amounts(table.own, member, is_ours)
        slot = (stamp + table.delay[member]) % ring.shape[0]
        place = slot * ring.shape[1] + table.post
        amount = jnp.where(is_target, amount, 0)
        return ring.reshape(-1).at[place].add(amount).reshape(ring.shape)

    return jax.lax.cond(count > 0, added, lambda ring: ring, ring)
