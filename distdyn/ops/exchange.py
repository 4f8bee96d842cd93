"""Exchange between the parts of a node, inside jit, on CPU: operators over mailboxes.

    token = append(board, group, events, cursor, count, token)        this step's spikes of a group
    token = close(board, stamp, last, full, token)                    an exchange, if one is due
    ring, token = deliver_all(ring, rows, ..., board, group, token)   our spikes, then the others'
    stop  = settle(board, token)                                      may all parts go on?

A token orders the operators, and says whether this step is one with an exchange. Waiting is done in
machine code that spins, then yields its core; nothing but the abort flag of the mailboxes ends it
early. Operators that wait stand in one chain, so that a device never holds more than one thread.
"""

# Numba compiles what its intrinsics are called with, and is typed loosely:
# pyright: reportPrivateImportUsage=false, reportCallIssue=false, reportAttributeAccessIssue=false

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Int32, Int64

from distdyn.ops.chain import now
from distdyn.ops.deliver import code_of, register
from distdyn.ops.formula import Formula
from distdyn.ops.rows import Rows
from distdyn.ops.totals import Totals

NONE, OPEN = 0, 1  # the first word of a token; OPEN: this step ends an epoch


def alone() -> Any:
    """The operand of a team of one."""
    return jnp.array([0, 1], jnp.int64)


def first_token() -> Any:
    """The token that a step begins with."""
    return jnp.array([NONE, 0], jnp.int64)


def append(
    board: Int64[Array, "2"],
    group: int,
    events: Int32[Array, "capacity"],
    cursor: Int64[Array, ""],
    count: Int32[Array, ""],
    token: Int64[Array, "2"],
    *,
    via: Any = now,
) -> Int64[Array, "2"]:
    """Append the spikes of a step of one group to our open buffer.

    Args:
        board: the address of the mailboxes, and our box.
        group: the number of the group.
        events: cells; those of this step stand at cursor : cursor + count.
        cursor: where this step's spikes begin.
        count: how many there are.
        token: of the operator before.
        via: calls now, or as part of a `Chain`; so in all operators.
    """
    given = alone(), board, jnp.int64(group), events, cursor, count, token
    return via(_target("append"), jax.ShapeDtypeStruct((2,), jnp.int64), {}, *given)


def close(
    board: Int64[Array, "2"],
    stamp: Int64[Array, ""],
    last: Int64[Array, ""],
    full: Int64[Array, ""],
    token: Int64[Array, "2"],
    *,
    via: Any = now,
) -> Int64[Array, "2"]:
    """End a step; if its number is a multiple of the interval, or the last, close the buffer."""
    given = alone(), board, stamp, last, full, token
    return via(_target("close"), jax.ShapeDtypeStruct((2,), jnp.int64), {}, *given)


def deliver_all(
    ring: Int[Array, "slot post"],
    rows: Rows | Formula | Totals,
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
    """`ops.deliver.deliver` of our own spikes; after an exchange, of those of all parts as well.

    Our own synapses are delivered before we wait for anybody.
    """
    target = register("all", str(ring.dtype), *code_of(rows))
    shapes = [jax.ShapeDtypeStruct(ring.shape, ring.dtype), jax.ShapeDtypeStruct((2,), jnp.int64)]
    given = team, board, jnp.int64(group), token, events, cursor, count, stamp, part
    ring, token = via(target, shapes, {len(given) + len(rows): 0}, *given, *rows, ring)
    return ring, token


def deliver_boxes(
    ring: Int[Array, "slot post"],
    rows: Rows | Formula | Totals,
    board: Int64[Array, "2"],
    group: int,
    step: Int64[Array, ""],
    team: Int64[Array, "2"],
) -> Int[Array, "slot post"]:
    """Deliver what the first buffer of every box of these mailboxes holds, after `step`."""
    call = jax.ffi.ffi_call(
        register("boxes", str(ring.dtype), *code_of(rows)),
        jax.ShapeDtypeStruct(ring.shape, ring.dtype),
        input_output_aliases={4 + len(rows): 0},
    )
    return call(team, board, jnp.int64(group), step, *rows, ring)


def settle(
    board: Int64[Array, "2"], token: Int64[Array, "2"], *, via: Any = now
) -> Int64[Array, ""]:
    """Wait for all parts: 0, 1 if one of them is full, 2 if the run is aborted."""
    return via(_target("settle"), jax.ShapeDtypeStruct((), jnp.int64), {}, alone(), board, token)


@functools.cache
def _target(name: str) -> str:
    from distdyn.ops import exchange_kernels, ffi

    kernel, n_args = exchange_kernels.kernel(name)
    return ffi.register(f"distdyn_exchange_{name}", kernel.address, n_args, 1)
