"""The kernels for GPUs: lists of spikes, and which synapses they have.

They are written in Pallas and compiled by Triton; the interpreter of Pallas runs them anywhere. No
two programs of a kernel write to one place, so the result does not depend on their order. Nothing
here adds to the ring of arrivals: that takes atomics, which up to jax 0.10.1 (fixed by 0.12) Pallas
compiles into additions of floating-point numbers where it is given a vector of integers. XLA's own
scatter does it right, on any platform (`ops.gpu`).

All arrays are flat; an index that a mask excludes is never used.
"""

from typing import Any

import jax
import jax.numpy as jnp

from distdyn._jax import pallas

BLOCK = 1024  # cells of a program that lists spikes
THREADS = 256  # synapses of a program that looks them up


def list_spikes(
    spike: jax.Array, events: jax.Array, cursor: jax.Array, *, interpret: bool
) -> tuple[jax.Array, jax.Array]:
    """Write the cells that spiked, ascending, to events[cursor:]; and how many there are.

    Every program counts what the blocks of cells before its own have, and adds the place of a cell
    among the spikes of its block.

    Args:
        spike: bool[n].
        events: int32[capacity] with room for n more; updated in place.
        cursor: int64[], where to begin.
        interpret: whether to run in the interpreter.
    """
    pl, triton = pallas()
    n, capacity = spike.shape[0], events.shape[0]
    programs = -(-n // BLOCK)
    flags = spike.astype(jnp.int32)
    padded = jnp.pad(flags, (0, programs * BLOCK - n))
    counts = jnp.sum(padded.reshape(programs, BLOCK), axis=1, dtype=jnp.int32)

    def kernel(flags: Any, counts: Any, cursor: Any, _: Any, events: Any, count: Any) -> None:
        program, lane = pl.program_id(0), jnp.arange(BLOCK, dtype=jnp.int32)

        def earlier(turn: Any, before: Any) -> Any:
            block = turn * BLOCK + lane
            is_before = block < program
            found = triton.load(counts.at[jnp.minimum(block, programs - 1)], mask=is_before)
            return before + jnp.sum(jnp.where(is_before, found, 0), dtype=jnp.int32)

        before = jax.lax.fori_loop(0, (program + BLOCK - 1) // BLOCK, earlier, jnp.int32(0))
        cell = program * BLOCK + lane
        is_cell = cell < n
        flag = triton.load(flags.at[jnp.minimum(cell, n - 1)], mask=is_cell)
        flag = jnp.where(is_cell, flag, 0)
        rank = jnp.cumsum(flag, dtype=jnp.int32)
        place = cursor[0] + (before + rank - flag).astype(jnp.int64)
        is_listed = flag > 0
        triton.store(events.at[jnp.where(is_listed, place, capacity)], cell, mask=is_listed)

        @pl.when(program == programs - 1)
        def _() -> None:
            count[0] = before + jnp.sum(flag, dtype=jnp.int32)

    events, count = pl.pallas_call(
        kernel,
        grid=(programs,),
        out_shape=[
            jax.ShapeDtypeStruct(events.shape, events.dtype),
            jax.ShapeDtypeStruct((1,), jnp.int32),
        ],
        input_output_aliases={3: 0},
        compiler_params=triton.CompilerParams(num_warps=8),
        interpret=interpret,
        name="distdyn_list_spikes",
    )(flags, counts, cursor.reshape(1), events)
    return events, count[0]


def find_rows(
    at: jax.Array | None,
    entries: tuple[jax.Array, ...],
    rows: tuple[jax.Array, ...],
    *,
    slots: int,
    n_post: int,
    events: int,
    lanes: int,
    interpret: bool,
) -> tuple[jax.Array, ...]:
    """The rows of the next events, laid one after the other along `lanes` synapses.

    Args:
        at: int64[2], the first event, and how many synapses of its row are done; None: zeros.
        entries: ends[k] (events of an entry and those before it), part, begin and stamp int64[k],
            and the cells int32[capacity], as in `ops.gpu.Entries`.
        rows: the fields width, bounds and word (flat), bits, rank, base and start of `Rows`.
        slots: of the ring.
        n_post: cells of a slot.
        events: how many to look at, a power of two.
        lanes: synapses in a round.
        interpret: whether to run in the interpreter.

    Returns:
        The next `at`; how many lanes are used, int32[1]; and per event its first lane int32, first
        synapse, first segment, population and origin (int64).
    """
    pl, triton = pallas()
    inputs = *entries, *rows, *(() if at is None else (at,))
    n_entries, n_populations = entries[0].shape[0], rows[0].shape[0]

    def kernel(*refs: Any) -> None:
        ends, part, begin, stamp, cells = refs[:5]
        width, bounds, word, bits, rank, base, start = refs[5:12]
        next_at, used, lane_of, synapse_of, segment_of, population_of, origin_of = refs[-7:]
        zero = jnp.int64(0)
        first, done = (zero, zero) if at is None else (refs[12][0], refs[12][1])

        def before(i: Any) -> Any:
            return jnp.where(i > 0, ends[jnp.maximum(i - 1, 0)].astype(jnp.int64), 0)

        slot = jnp.arange(events, dtype=jnp.int64)
        event = first + slot
        is_event = event < ends[n_entries - 1].astype(jnp.int64)
        event = jnp.where(is_event, event, 0)
        entry = _last(before, n_entries, event)
        of_part = part[entry]
        cell = jnp.where(is_event, begin[entry] + event - before(entry), 0)
        cell = triton.load(cells.at[cell], mask=is_event, other=0).astype(jnp.int64)
        cell = jnp.where(is_event, cell, 0)
        row = of_part * (n_populations + 1)
        population = _last(lambda i: bounds[row + i], n_populations, cell)
        place = cell - bounds[row + population]
        first_word = word[of_part * n_populations + population]
        in_table = is_event & (first_word >= 0)
        at_word = jnp.where(in_table, first_word + (place >> 6), 0)
        bit = jnp.int64(1) << (place & 63)
        mask = triton.load(bits.at[at_word], mask=in_table, other=0)
        has_row = in_table & ((mask & bit) != 0)
        lower = _count_bits(mask & (bit - 1))
        of_word = triton.load(rank.at[at_word], mask=in_table, other=0).astype(jnp.int64)
        n_segments = width[population]
        segment = jnp.where(has_row, of_word + n_segments * lower, 0)
        edges = []
        for k in (segment, segment + jnp.where(has_row, n_segments, 0)):
            edges.append(base[k >> 6] + start[k].astype(jnp.int64))
        synapse = edges[0] + jnp.where(slot == 0, done, 0)
        length = jnp.where(has_row, edges[1] - synapse, 0)
        after = jnp.cumsum(length, dtype=jnp.int64)
        lane = after - length
        is_whole = is_event & (after <= lanes)
        n_whole = jnp.sum(is_whole.astype(jnp.int64), dtype=jnp.int64)
        is_cut = is_event & (after > lanes) & (lane < lanes)
        begun = jnp.sum(jnp.where(is_cut, lanes - lane, 0), dtype=jnp.int64)
        next_at[0] = first + n_whole
        next_at[1] = begun + jnp.where(n_whole == 0, done, 0)
        total = jnp.sum(length, dtype=jnp.int64)
        used[0] = jnp.minimum(total, lanes).astype(jnp.int32)
        lane_of[...] = jnp.minimum(lane, lanes).astype(jnp.int32)
        synapse_of[...] = synapse
        segment_of[...] = segment
        population_of[...] = population
        origin_of[...] = (stamp[entry] % slots) * n_post

    of_event = jax.ShapeDtypeStruct((events,), jnp.int64)
    return pl.pallas_call(
        kernel,
        grid=(1,),
        out_shape=[
            jax.ShapeDtypeStruct((2,), jnp.int64),
            jax.ShapeDtypeStruct((1,), jnp.int32),
            jax.ShapeDtypeStruct((events,), jnp.int32),
            *[of_event] * 4,
        ],
        compiler_params=triton.CompilerParams(num_warps=min(16, max(1, events // 64))),
        interpret=interpret,
        name="distdyn_find_rows",
    )(*inputs)


def look_up(
    found: tuple[jax.Array, ...],
    rows: tuple[jax.Array, ...],
    *,
    lanes: int,
    size: int,
    widest: int,
    place: Any,
    value: Any,
    interpret: bool,
) -> tuple[jax.Array, jax.Array]:
    """Where each synapse of the rows found adds to a ring of `size` places, and what.

    Args:
        found: what `find_rows` returns after the first.
        rows: the fields width, unit (flat), base, start, offset and weight of `Rows`.
        lanes: synapses to look up.
        size: of the ring; the place of a lane that is not used.
        widest: segments of the widest row.
        place: the integer type of places.
        value: that of the ring.
        interpret: whether to run in the interpreter.
    """
    pl, triton = pallas()
    block, n_events = min(lanes, THREADS), found[1].shape[0]
    is_weighted = rows[5].shape[0] > 0
    inputs = *found, *(rows if is_weighted else rows[:5])

    def kernel(*refs: Any) -> None:
        used, lane_of, synapse_of, segment_of, population_of, origin_of = refs[:6]
        width, unit, base, start, offset = refs[6:11]
        places, values = refs[-2:]
        lane = pl.program_id(0) * block + jnp.arange(block, dtype=jnp.int32)
        is_used = lane < used[0]
        event = _last(lambda i: lane_of[i], n_events, lane)
        synapse = synapse_of[event] + (lane - lane_of[event]).astype(jnp.int64)
        synapse = jnp.where(is_used, synapse, 0)
        population, segment = population_of[event], segment_of[event]

        def begins(i: Any) -> Any:
            k = segment + jnp.minimum(i, width[population])
            return base[k >> 6] + start[k].astype(jnp.int64)

        # Where the row ends is a boundary too: the segments of a narrower row stop there.
        which = _last(begins, widest, synapse)
        weight = unit[population * widest + which].astype(value)
        if is_weighted:
            weights = triton.load(refs[11].at[synapse], mask=is_used, other=0)
            weight = weight * weights.astype(value)
        target = triton.load(offset.at[synapse], mask=is_used, other=0).astype(jnp.int64)
        target = target + origin_of[event]
        target = jnp.where(target >= size, target - size, target)
        places[...] = jnp.where(is_used, target, size).astype(place)
        values[...] = weight

    of_program = pl.BlockSpec((block,), lambda i: (i,))
    return pl.pallas_call(
        kernel,
        grid=(lanes // block,),
        out_shape=[jax.ShapeDtypeStruct((lanes,), place), jax.ShapeDtypeStruct((lanes,), value)],
        out_specs=[of_program, of_program],
        compiler_params=triton.CompilerParams(num_warps=max(1, block // 64)),
        interpret=interpret,
        name="distdyn_look_up",
    )(*inputs)


def _count_bits(x: jax.Array) -> jax.Array:
    """How many bits of an int64 >= 0 are set; Triton has no operation for it that jax 0.10 finds.

    Source: Warren (2012), Hacker's Delight, 2nd ed., sec. 5-1.
    """
    x = x - ((x >> 1) & 0x5555555555555555)
    x = (x & 0x3333333333333333) + ((x >> 2) & 0x3333333333333333)
    x = (x + (x >> 4)) & 0x0F0F0F0F0F0F0F0F
    return (x * 0x0101010101010101) >> 56


def _last(value: Any, n: int, x: jax.Array) -> jax.Array:
    """The last index i < n with value(i) <= x, for values that ascend; 0 if there is none."""
    found = jnp.zeros(x.shape, jnp.int64)
    for power in reversed(range(max(0, (n - 1).bit_length()))):
        further = found + (1 << power)
        is_in = further < n
        fits = is_in & (value(jnp.minimum(further, n - 1)) <= x)
        found = jnp.where(fits, further, found)
    return found
