"""Ledger: what a chunk writes down at every step, as operators on CPU.

    begin, count = scheduled(steps, step)                      the spikes that a schedule has due
    begin, cursor, counts, full = enter(count, ..., full)      where the spikes of a step lie
    step, stamp, done, full, halt = advance(most, stop, ...)   the step is made; is it the last?

They are a few additions. As operators they can stand in a `Chain`, which then makes many steps in
one call.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int32, Int64

from distdyn.ops.chain import now
from distdyn.ops.exchange import alone

NUMBER = jax.ShapeDtypeStruct((), jnp.int64)
# Why a chunk has ended: lists are full, the run is aborted, all steps are made.
GOES_ON, FULL, ABORTED, COMPLETE = 0, 1, 2, 3


def scheduled(
    steps: Int64[Array, "spikes"], stamp: Int64[Array, ""], *, via: Any = now
) -> tuple[Int64[Array, ""], Int32[Array, ""]]:
    """Where the spikes of one step begin in an ascending list of steps, and how many there are."""
    shapes = [NUMBER, jax.ShapeDtypeStruct((), jnp.int32)]
    return tuple(via(_target("scheduled", 2), shapes, {}, alone(), steps, stamp))


def enter(
    count: Int32[Array, ""],
    keeps: Int64[Array, ""],
    limit: Int64[Array, ""],
    done: Int64[Array, ""],
    cursor: Int64[Array, ""],
    counts: Int32[Array, "steps"],
    full: Int64[Array, ""],
    *,
    via: Any = now,
) -> tuple[Int64[Array, ""], Int64[Array, ""], Int32[Array, "steps"], Int64[Array, ""]]:
    """Write down the spikes of a group at one step, which stand at the cursor of its list.

    Args:
        count: how many there are.
        keeps: 1 if the next ones are listed after them, 0 if in their place.
        limit: beyond this cursor the list may not hold what comes until the next exchange.
        done: steps of the chunk before this one.
        cursor: of the group's list; updated in place.
        counts: of the spikes at each step; updated in place.
        full: whether a list is; updated in place.
        via: calls now, or as part of a `Chain`; so in all operators.

    Returns:
        Where the spikes of this step begin, the next cursor, the counts of all steps, and whether
        a list is full.
    """
    shapes = [NUMBER, NUMBER, jax.ShapeDtypeStruct(counts.shape, counts.dtype), NUMBER]
    given = alone(), count, keeps, limit, done, cursor, counts, full
    return tuple(via(_target("enter", 4), shapes, {5: 1, 6: 2, 7: 3}, *given))


def advance(
    most: Int64[Array, ""],
    stop: Int64[Array, ""],
    step: Int64[Array, ""],
    stamp: Int64[Array, ""],
    done: Int64[Array, ""],
    full: Int64[Array, ""],
    halt: Int64[Array, ""],
    *,
    via: Any = now,
) -> tuple[Any, ...]:
    """End a step: count it, empty `full`, and say in `halt` whether and why the chunk ends.

    `step`, `stamp`, `done`, `full` and `halt` are updated in place and returned.
    """
    given = alone(), most, stop, step, stamp, done, full, halt
    return tuple(via(_target("advance", 5), [NUMBER] * 5, {3 + k: k for k in range(5)}, *given))


@functools.cache
def _target(name: str, n_results: int) -> str:
    from distdyn.ops import ffi, ledger_kernels

    kernel, n_args = ledger_kernels.kernel(name)
    return ffi.register(f"distdyn_ledger_{name}", kernel.address, n_args, n_results)
