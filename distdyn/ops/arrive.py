"""Delivery of packed tables: what is due at the next step, of all spikes in flight.

    slot j of the next step += w_ij    for every spike of i in flight that reaches j then

`arrive` is to `Packed` what `deliver` is to `Rows`. It sees each spike once, puts it in flight, and
adds its synapses batch by batch, each at the step before they are due, to the one slot which the
cells read next. It runs as machine code on CPU, and keeps what is in flight in memory of the host,
as mailboxes are; elsewhere tables are not packed.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Int32, Int64

from distdyn.ops.chain import now
from distdyn.ops.packed import Packed


def arrive(
    ring: Int[Array, "slot post"],
    flights: Int64[Array, "2"],
    table: Packed,
    part: Int64[Array, ""],
    events: Int32[Array, "capacity"],
    cursor: Int64[Array, ""],
    count: Int32[Array, ""],
    stamp: Int64[Array, ""],
    team: Int64[Array, "2"],
    *,
    via: Any = now,
) -> Int[Array, "slot post"]:
    """Put the spikes of a step in flight, and add what is due at the next step.

    Args:
        ring: arrivals, in integer weight units; updated in place, in the slot of stamp + 1 alone.
        flights: address and length of the lists of what is in flight (`packed.no_flights`), which
            are changed.
        table: packed for this team.
        part: the part of the network to which the cells belong that spiked.
        events: the cells; those of this step stand at cursor : cursor + count, ascending.
        cursor: where this step's spikes begin.
        count: how many there are.
        stamp: the step with which the spikes are stamped.
        team: the operand of the team that shares the blocks.
        via: calls now, or as part of a `Chain`.

    Returns:
        The ring with the arrivals added.
    """
    arguments = team, events, cursor, count, stamp, part, flights
    return _call("own", arguments, table, ring, via)[0]


def arrive_all(
    ring: Int[Array, "slot post"],
    flights: Int64[Array, "2"],
    table: Packed,
    part: Int64[Array, ""],
    events: Int32[Array, "capacity"],
    cursor: Int64[Array, ""],
    count: Int32[Array, ""],
    stamp: Int64[Array, ""],
    board: Int64[Array, "2"],
    group: int,
    token: Int64[Array, "2"],
    team: Int64[Array, "2"],
    *,
    via: Any = now,
) -> tuple[Int[Array, "slot post"], Int64[Array, "2"]]:
    """`arrive` of our own spikes; after an exchange, of those of all parts as well.

    Everything but the spikes of this exchange is delivered before we wait for anybody. `board` and
    `token` are those of `ops.exchange`.
    """
    number = jnp.int64(group)
    arguments = team, board, number, token, events, cursor, count, stamp, part, flights
    return _call("all", arguments, table, ring, via)


def arrive_boxes(
    ring: Int[Array, "slot post"],
    flights: Int64[Array, "2"],
    table: Packed,
    board: Int64[Array, "2"],
    group: int,
    step: Int64[Array, ""],
    team: Int64[Array, "2"],
) -> Int[Array, "slot post"]:
    """Put in flight what the first buffer of every box of these mailboxes holds, after `step`."""
    arguments = team, board, jnp.int64(group), step, flights
    return _call("boxes", arguments, table, ring, now)[0]


def _call(form: str, arguments: tuple, table: Packed, ring: Any, via: Any) -> tuple:
    shapes = [jax.ShapeDtypeStruct(ring.shape, ring.dtype)]
    if form == "all":
        shapes.append(jax.ShapeDtypeStruct((2,), jnp.int64))  # the token
    n = len(arguments) + len(table)
    dtypes = str(ring.dtype), str(table.batch.dtype), str(table.synapse.dtype)
    target = _target(form, n + 1, len(shapes), *dtypes)
    return tuple(via(target, shapes, {n: 0}, *arguments, *table, ring))


@functools.cache
def _target(form: str, n_args: int, n_results: int, *dtypes: str) -> str:
    from distdyn.ops import ffi, packed_kernels

    address = packed_kernels.delivery_kernel(form, *dtypes).address
    name = "_".join(("distdyn_arrive", form, *dtypes))
    return ffi.register(name, address, n_args, n_results)
