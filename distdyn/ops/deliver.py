"""Where a spike enters the ring: event-driven delivery with a delay per synapse.

    ring[(stamp + d_ij) mod slots, j] += w_ij    for every source i that spiked, every target j

The ring holds arrivals still to come, one row per step, in integer units of weight, so that the sum
does not depend on the order of the spikes or on who adds first. A row of the ring is read and
cleared by the step in which it is due.

Source: Morrison, Mehring, Geisel, Aertsen, Diesmann (2005), Neural Comput. 17, 1776.
"""

import functools
import importlib
import warnings
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Int32, Int64

from distdyn.ops.chain import now
from distdyn.ops.coupled import Coupled, Pairs, deliver_pairs
from distdyn.ops.formula import Formula
from distdyn.ops.rows import Rows
from distdyn.ops.totals import Masks, Totals, deliver_masks


def deliver(
    ring: Int[Array, "slot post"],
    rows: Rows | Formula | Pairs | Totals | Masks,
    part: Int64[Array, ""],
    events: Int32[Array, "capacity"],
    cursor: Int64[Array, ""],
    count: Int32[Array, ""],
    stamp: Int64[Array, ""],
    team: Int64[Array, "2"] | None,
    *,
    first: Any = 0,
    via: Any = now,
) -> Int[Array, "slot post"]:
    """Add the weights of the spikes' synapses to the ring rows in which they are due.

    Args:
        ring: arrivals still to come, in integer weight units; updated in place.
        rows: synapses by source; offset = delay * n_post + target. Or the formula of them, which
            the CPU kernel alone can read. Of `Coupled` rows, `Pairs` and `Totals` (but
            `Counts`) the list is one of values.
        part: the part of the network to which the cells belong that spiked.
        events: the cells; those of this step stand at cursor : cursor + count, ascending.
        cursor: where this step's spikes begin.
        count: how many there are.
        stamp: the step with which the spikes are stamped.
        team: the operand of the team that shares the synapses with the CPU kernel; `rows` are cut
            for it (`cut_rows`). None for the reference, which any platform can run.
        first: the cell with whose value the list begins; for the reference.
        via: calls the kernel now, or as part of a `Chain`.

    Returns:
        The ring with the arrivals added.
    """
    if team is None:
        if isinstance(rows, Pairs):
            return deliver_pairs(ring, rows, part, events, cursor, count, stamp, first)
        if isinstance(rows, Masks):
            return deliver_masks(ring, rows, part, events, cursor, count, stamp, first)
        assert isinstance(rows, Rows), "a formula is read by the CPU kernel alone"
        return _reference(ring, rows, part, events, cursor, count, stamp)
    assert not isinstance(rows, Pairs | Masks), "these are for roads without the CPU kernels"
    target = register("own", str(ring.dtype), *code_of(rows))
    shape = jax.ShapeDtypeStruct(ring.shape, ring.dtype)
    given = team, events, cursor, count, stamp, part
    return via(target, shape, {len(given) + len(rows): 0}, *given, *rows, ring)


def code_of(table: Rows | Formula | Totals) -> tuple[str, ...]:
    """What decides which machine code reads a table: its kind, and its dtypes that vary."""
    if isinstance(table, Formula):
        return "formula", str(table.counts.dtype)
    if isinstance(table, Totals):
        return ("totals",)
    kind = "coupled" if isinstance(table, Coupled) else "rows"
    return kind, str(table.offset.dtype), str(table.weight.dtype)


@functools.cache
def register(form: str, accumulator: str, kind: str, *dtypes: str) -> str:
    """The name under which XLA knows the kernel of a form of delivery from a kind of table.

    Args:
        form: "own", "all" or "boxes"; see `exchange_kernels.delivery`.
        accumulator: the dtype of the ring.
        kind: of the table, as `code_of` says.
        *dtypes: those of it that vary.
    """
    from distdyn.ops import (
        coupled_kernels,
        exchange_kernels,
        ffi,
        formula_kernels,
        totals_kernels,
    )

    room, table = {
        "rows": (exchange_kernels, Rows),
        "coupled": (coupled_kernels, Rows),
        "formula": (formula_kernels, Formula),
        "totals": (totals_kernels, Totals),
    }[kind]
    kernel = room.delivery_kernel(form, accumulator, *dtypes)
    name = "_".join(("distdyn_deliver", form, accumulator, kind, *dtypes))
    others = exchange_kernels.ARGUMENTS[form]
    n_args = 2 + len(others) + len(table._fields)  # the team's operand, and the ring
    return ffi.register(name, kernel.address, n_args, 2 if form == "all" else 1)


def _reference(ring, rows: Rows, part, events, cursor, count, stamp):
    """One synapse after the other, in loops that XLA compiles for any platform."""
    if not rows.bits.shape[0] or not rows.offset.shape[0]:
        return ring
    flat, size = ring.reshape(-1), ring.size
    origin = (stamp % ring.shape[0]) * ring.shape[1]
    bounds, word = rows.bounds[part], rows.word[part]

    def synapse(index, carry):
        flat, scale = carry
        place = (origin + rows.offset[index].astype(jnp.int64)) % size
        weight = rows.weight[index].astype(flat.dtype) if rows.weight.shape[0] else 1
        return flat.at[place].add(weight * scale), scale

    def segment(index, carry):
        flat, units, first = carry
        begin, end = (rows.base[k >> 6] + rows.start[k] for k in (index, index + 1))
        flat, _ = jax.lax.fori_loop(begin, end, synapse, (flat, units[index - first]))
        return flat, units, first

    def event(index, flat):
        cell = events[index].astype(jnp.int64)
        population = jnp.searchsorted(bounds, cell, side="right") - 1
        place = cell - bounds[population]
        at = word[population] + (place >> 6)
        bit = jnp.uint64(1) << (place & 63).astype(jnp.uint64)
        before = jax.lax.population_count(rows.bits[at] & (bit - jnp.uint64(1)))
        width = rows.width[population]
        first = rows.rank[at].astype(jnp.int64) + width * before.astype(jnp.int64)
        is_here = (word[population] >= 0) & ((rows.bits[at] & bit) != 0)
        end = first + jnp.where(is_here, width, 0)
        return jax.lax.fori_loop(first, end, segment, (flat, rows.unit[population], first))[0]

    return jax.lax.fori_loop(cursor, cursor + count, event, flat).reshape(ring.shape)


@functools.cache
def kernels_work() -> bool:
    """Whether machine-code kernels can be called here; if not, warns once and says why."""
    reason = why_no_kernels()
    if reason:
        warnings.warn(
            f"distdyn runs without its CPU kernels, many times slower: {reason}",
            RuntimeWarning,
            stacklevel=2,
        )
    return not reason


def why_no_kernels() -> str:
    """The reason why the CPU kernels cannot be used, or an empty string."""
    try:
        importlib.import_module("numba")
        from distdyn.ops import ffi

        ffi.frame_layout()
    except ImportError as error:
        return f"numba cannot be imported ({error}). Install numba."
    except Exception as error:  # UnknownLayout, or a header that no longer parses
        return f"{error}. Install a supported jaxlib, or report this."
    return ""
