"""Where cells advance: all cells of a group by one step, and the list of those that spiked.

The step of a cell is a function `(operands, state, arrivals) -> (state, spike)` of scalars, which
works elementwise on arrays as well. `fuse` compiles it for CPU into one pass over memory; the
reference here is the same function on arrays, for any platform. Where XLA compiles for CPU they
are blocks of one size: it rounds in another way in the last cells of an array, and in short arrays
(`in_blocks`).
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from distdyn._jax import axes_of, varying_over
from distdyn.ops.chain import now


class Operand(NamedTuple):
    """What the kernel reads: one value per call, per segment, or per cell."""

    per: str  # "call", "segment" or "cell"
    dtype: str


class Signature(NamedTuple):
    """The buffers of a kernel: operands, then state, rings and (with `spikes`) the event list."""

    operands: tuple[Operand, ...]
    state: tuple[str, ...]
    rings: tuple[str, ...]
    spikes: bool
    slots: tuple[int, ...] = ()  # of each state, where some are memories: numbers kept, or 0

    @property
    def leaves(self) -> list[tuple[str, int]]:
        """Of each state its dtype, and how many numbers a cell has in memory; 0: it has one."""
        return list(zip(self.state, self.slots or (0,) * len(self.state), strict=True))


CellFunction = Callable[[list[Any], list[Any], list[Any]], tuple[Sequence[Any], Any]]

BLOCK = 256  # cells; more vectors of any processor than XLA unrolls its loops to, without remainder


def in_blocks(function: Callable, cells: Any) -> Callable:
    """The same function of the first `cells` cells, so that a cell's bits depend on no other.

    Arguments and results are trees of arrays with the cells on the first axis, all of one length;
    arguments without an axis are for all cells. Of cells beyond `cells` the result is anything.
    """

    def blocked(*arguments: Any) -> Any:
        leaves = jax.tree.leaves(arguments)
        n = next((x.shape[0] for x in leaves if jnp.ndim(x)), 0)
        if n == 0:
            return function(*arguments)
        # One more than a block at least: of one block XLA sees that there is no other, takes the
        # loop away and compiles what is left in another way.
        room = max(n, BLOCK + 1)
        if room > n:
            at = jnp.minimum(jnp.arange(room), n - 1)
            arguments = jax.tree.map(lambda x: x[at] if jnp.ndim(x) else x, arguments)

        def advance(start: Any) -> Any:
            some = functools.partial(
                jax.lax.dynamic_slice_in_dim, start_index=start, slice_size=BLOCK
            )
            new = function(*jax.tree.map(lambda x: some(x) if jnp.ndim(x) else x, arguments))
            return jax.tree.map(lambda x: x if jnp.ndim(x) else jnp.full(BLOCK, x), new)

        def one(k: Any, all: Any) -> Any:
            start = jnp.minimum(k * BLOCK, room - BLOCK)
            put = functools.partial(jax.lax.dynamic_update_slice_in_dim, start_index=start, axis=0)
            return jax.tree.map(put, all, advance(start))

        shapes = jax.eval_shape(advance, 0)
        zeros = jax.tree.map(lambda x: jnp.zeros((room, *x.shape[1:]), x.dtype), shapes)
        all = jax.tree.map(lambda x, of: varying_over(x, axes_of(of)), zeros, shapes)
        all = jax.lax.fori_loop(0, (cells + BLOCK - 1) // BLOCK, one, all)
        return jax.tree.map(lambda x: x[:n], all)

    return blocked


def update(
    target: str,
    signature: Signature,
    team: jax.Array,
    bounds: jax.Array,
    step: jax.Array,
    cursor: jax.Array,
    operands: Sequence[jax.Array],
    state: Sequence[jax.Array],
    rings: Sequence[jax.Array],
    events: Any,
    *,
    via: Any = now,
) -> tuple[list[jax.Array], list[jax.Array], Any, jax.Array]:
    """Advance all cells by one step with the compiled kernel; state, rings, events in place.

    Args:
        target: the operator's name, from `compile_cell`.
        signature: its buffers.
        team: int64[2], the operand of the team that shares the cells.
        bounds: int64[p+1], cells bounds[k]:bounds[k+1] form segment k.
        step: int64[], steps made; of each ring the slot of step + 1 is read, then cleared.
        cursor: int64[], where in `events` this step's spikes begin.
        operands: values per call [], per segment [p], per cell [n].
        state: arrays [n]; memories [n, slots].
        rings: arrays [slots, n] of integers.
        events: int32[capacity] with room for n more, or None without spikes.
        via: calls now, or as part of a `Chain`.

    Returns:
        The new state, rings and events, and the number of spikes (int32[]).
    """
    inout = [*state, *rings] + ([events] if signature.spikes else [])
    shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in inout]
    first = 4 + len(operands)
    shapes.append(jax.ShapeDtypeStruct((), jnp.int32))  # how many spikes
    aliases = {first + index: index for index in range(len(inout))}
    *out, count = via(target, shapes, aliases, team, bounds, step, cursor, *operands, *inout)
    events = out.pop() if signature.spikes else None
    return out[: len(state)], out[len(state) :], events, count


def update_reference(
    function: CellFunction,
    signature: Signature,
    n: int,
    bounds: jax.Array,
    step: jax.Array,
    cursor: jax.Array,
    operands: Sequence[jax.Array],
    state: Sequence[jax.Array],
    rings: Sequence[jax.Array],
    events: Any,
    segment: Any = None,
    lister: Any = None,
    taker: Any = None,
    is_active: Any = True,
) -> tuple[list[jax.Array], list[jax.Array], Any, jax.Array]:
    """The same in plain jax.numpy, for any platform and any function, on arrays of n cells.

    Cells from `bounds[-1]` on are padding: what becomes of them is not looked at. Where the segment
    of each cell is known already, `segment` gives it; a `lister` lists spikes in another way than
    `list_spikes` below, a `taker` takes a ring and gives what is due and the ring without it;
    unless `is_active`, a bool[], everything stays as it is.
    """
    cell = jnp.arange(n)
    if segment is None:
        segment = jnp.searchsorted(bounds, cell, side="right") - 1
        segment = jnp.clip(segment, 0, bounds.shape[0] - 2)
    values = [
        x[segment] if operand.per == "segment" else x
        for x, operand in zip(operands, signature.operands, strict=True)
    ]
    take = taker or functools.partial(_take, step=step, is_active=is_active)
    taken = [take(ring) for ring in rings]
    arrivals, cleared = [row for row, _ in taken], [ring for _, ring in taken]
    new, spike = function(values, list(state), arrivals)
    is_cell = (cell < bounds[-1]) & is_active
    new = [
        # What is written to a memory does not change until a step is made.
        x if old.ndim > 1 else jnp.where(is_cell, jnp.asarray(x).astype(old.dtype), old)
        for x, old in zip(new, state, strict=True)
    ]
    if not signature.spikes:
        return new, cleared, None, jnp.int32(0)
    spike = jnp.broadcast_to(spike, (n,)) & is_cell
    events, count = (lister or list_spikes)(spike, events, cursor)
    return new, cleared, events, count


def _take(ring: jax.Array, step: jax.Array, is_active: Any) -> tuple[jax.Array, jax.Array]:
    slot = (step + 1) % ring.shape[0]
    row = jax.lax.dynamic_index_in_dim(ring, slot, keepdims=False)
    rest = jnp.where(is_active, jnp.zeros_like(row), row)
    return row, jax.lax.dynamic_update_slice(ring, rest[None], (slot, jnp.int64(0)))


def list_spikes(
    spike: jax.Array, events: jax.Array, cursor: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Append the cells that spiked, ascending, to a list; the list, and how many they are."""
    listed = jnp.nonzero(spike, size=spike.shape[0], fill_value=-1)[0].astype(jnp.int32)
    events = jax.lax.dynamic_update_slice(events, listed, (cursor,))
    return events, jnp.sum(spike, dtype=jnp.int32)
