"""Snapshot: all on which the further course of a network depends, in an order of its own.

    columns = take(shard)                     # {"cells/E": Columns(key, fields), ...}
    put(shard, step, lambda name, key: ...)   # the fields of the columns with these keys

Everything is a column of a table: it has a key that the description alone decides, and belongs to
one part. So what some parts have taken can be put into any others.

    cells/PATH        key id              states, and what is on its way by receptor
    synapses/PATH/k   key pre n + post    weight and further variables, of plastic synapses
    sources/PATH/k    key pre             the last spike of a source of those, and its traces
    targets/PATH/k/P  key id              the spikes of their targets in population P, and traces
    shared/...        key 0               what is the same on all parts: reward, states of layers

n is the size of the post end. What is on its way to a cell stands in the order in which it
arrives, the next step first. Synapses with one key stand as they were drawn. Draws have no state:
they are functions of seed and step. Parameters and connectivity are those of the description.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Int64, Shaped

from distdyn.core.plasticity import Plasticity
from distdyn.errors import CheckpointError
from distdyn.ops.learning import BETWEEN, KEPT, Learned
from distdyn.parallel.shard import Shard

Fields = Mapping[str, Shaped[np.ndarray, "n ..."]]

OF_SOURCES = "last", "pre"  # arrays of `ops.learning.Learned`, by what has a row of them
SHARED = "reward", "book"


class Columns(NamedTuple):
    """Some columns of a table.

    Attributes:
        key: ascending; equal keys stand together, in an order that is always the same.
        fields: arrays with a row for each key.
    """

    key: Int64[np.ndarray, "n"]
    fields: Fields


Read = Callable[[str, Int64[np.ndarray, "n"]], Fields]


def take(shard: Shard) -> Iterator[tuple[str, Columns]]:
    """What the parts of a shard hold, table by table; copies.

    It changes nothing of what is to come. Between two calls of `Shard.run` only. Collective; what
    is returned is not, and is read before the next step.
    """
    shard.gather_mail()
    shard.learning.catch_up(shard.placed.tables, shard.step)
    return _taken(shard)


def _taken(shard: Shard) -> Iterator[tuple[str, Columns]]:
    rings = [list(of) for of in shard.rings]
    shard.placed.land(rings, shard.step)  # into copies: in the shard it stays in flight
    for path in shard.graph.populations:
        if shard.group_of(path).has_state:
            yield f"cells/{path}", _cells(shard, rings, path)
    for path, k, piece in _plastic(shard):
        yield from _learned(shard, path, k, piece)
    if shard.world.rank == 0:
        for path, state in shard.layers.states.items():
            for n, leaf in enumerate(jax.tree.leaves(state)):
                yield f"shared/layers/{path}/{n}", _shared({"value": np.asarray(leaf)})


def put(shard: Shard, step: int, read: Read) -> None:
    """Set the state of a shard to one that `take` has seen after this step.

    Args:
        shard: of the same description, seed, step and precision, on any parts.
        step: the last one that was done.
        read: gives the fields of a table at these keys, in their order.

    Raises:
        CheckpointError: what it gives does not fit.
    """
    shard.start()
    for group in shard.groups:
        if group.has_state:
            _put_cells(shard, group.index, step, read)
    shard.step = step
    for path, k, piece in _plastic(shard):
        _put_learned(shard, path, k, piece, read)
    for path, state in shard.layers.states.items():
        leaves, structure = jax.tree.flatten(state)
        found = [np.array(leaf)[None] for leaf in leaves]
        for n, leaf in enumerate(found):
            table = f"shared/layers/{path}/{n}"
            _set(leaf, slice(None), table, read(table, np.zeros(1, np.int64)), "value")
        shard.layers.states[path] = jax.tree.unflatten(structure, [leaf[0] for leaf in found])


# --- cells ---------------------------------------------------------------------------------------


def _cells(shard: Shard, rings: list[list[Any]], path: str) -> Columns:
    group = shard.group_of(path)
    k, blocks = group.index, shard.stack.blocks
    arrays = {
        **{f"state.{name}": blocks(x) for name, x in _leaves(shard, k)},
        **{f"arrivals.{r}": [_in_order(b, shard.step, shard.built.slots[k][r])
                             for b in blocks(rings[k][ring])]
           for r, ring in _rings(shard, k)},
    }  # fmt: skip
    places = [cells[k].of(path) for cells in shard.parts.cells]
    key = np.concatenate([ids for _, ids in places])
    order = np.argsort(key)
    fields = {
        name: np.concatenate([block[here] for block, (here, _) in zip(of, places, strict=True)])
        for name, of in arrays.items()
    }
    return Columns(key[order], {name: array[order] for name, array in fields.items()})


def _put_cells(shard: Shard, k: int, step: int, read: Read) -> None:
    group, stack = shard.groups[k], shard.stack
    leaves, rings = dict(_leaves(shard, k)), dict(_rings(shard, k))
    names = shard.names[k]
    states = {name: [np.array(b) for b in stack.blocks(x)] for name, x in leaves.items()}
    length, dtype = shard.parts.length(k), shard.setting.accumulator
    slots = {r: shard.built.slots[k][r] for r in rings}
    arrivals = {r: [np.zeros((length, n), dtype) for _ in stack.devices] for r, n in slots.items()}
    for path in group.paths:
        for device, cells in enumerate(shard.parts.cells):
            here, ids = cells[k].of(path)
            if not len(ids):
                continue
            table = f"cells/{path}"
            found = read(table, ids)
            for name, of in states.items():
                _set(of[device], here, table, found, f"state.{name}")
            for r, of in arrivals.items():
                _set(of[device], here, table, found, f"arrivals.{r}")
    for name, of in states.items():
        shard.states[k][names.index(name)] = stack.own(of)
    for r, of in arrivals.items():
        blocks = [np.roll(block.T, (step + 1) % slots[r], axis=0) for block in of]
        shard.rings[k][rings[r]] = stack.own(blocks)


def _leaves(shard: Shard, k: int) -> Iterator[tuple[str, Any]]:
    return zip(shard.names[k], shard.states[k], strict=True)


def _rings(shard: Shard, k: int) -> list[tuple[int, int]]:
    """The receptors of a group at which something arrives, and their rings."""
    return [(r, shard.built.ring(k, r)) for r, n in enumerate(shard.built.slots[k]) if n]


def _in_order(ring: Shaped[np.ndarray, "slots cells"], step: int, slots: int) -> np.ndarray:
    """A ring by cell, beginning with what arrives at the next step."""
    if len(ring) < slots:  # of the next step alone
        return np.pad(ring, ((0, slots - len(ring)), (0, 0))).T
    return np.roll(ring, -(step + 1) % slots, axis=0).T


def _set(array: np.ndarray, where: Any, table: str, found: Fields, field: str) -> None:
    """Take what was found into an array.

    Raises:
        CheckpointError: it is not there, or of another shape or type.
    """
    new, place = found.get(field), array[where]
    if new is None or (new.shape, new.dtype) != (place.shape, place.dtype):
        has = "nothing" if new is None else f"{new.dtype}{list(new.shape)}"
        raise CheckpointError(
            f'"{table}" has {has} as "{field}" where {place.dtype}{list(place.shape)} is needed. '
            "The checkpoint is of another network, or was changed."
        )
    array[where] = new


# --- what is learned -----------------------------------------------------------------------------


class _Piece(NamedTuple):
    """A plastic table: its number, and by device our synapses of it."""

    table: int
    pre: list[np.ndarray]
    post: list[np.ndarray]
    index: list[np.ndarray]


def _plastic(shard: Shard) -> Iterator[tuple[str, int, _Piece]]:
    """The tables of each plastic projection, numbered."""
    n = len(shard.stack.devices)
    for path, projection in shard.graph.projections.items():
        if projection.plasticity is None:
            continue
        tables = [k for k, table in enumerate(shard.built.tables) if table.paths == (path,)]
        places = shard.places(path)
        for k, table in enumerate(tables):
            pre, post, index = zip(*places[k * n : (k + 1) * n], strict=True)
            yield path, k, _Piece(table, list(pre), list(post), list(index))


def _arrays(shard: Shard, table: int) -> list[Learned]:
    """What is learned, on each device."""
    learned = shard.learning.learned[table]
    return [Learned(*of) for of in zip(*map(shard.stack.blocks, learned), strict=True)]


def _learned(shard: Shard, path: str, k: int, piece: _Piece) -> Iterator[tuple[str, Columns]]:
    on_devices = _arrays(shard, piece.table)
    starts = _starts(shard, piece.table)
    n_post = shard.graph.projections[path].ends.n_post
    synapses, sources, targets = [], [], {}
    for device, of in enumerate(on_devices):
        key = piece.pre[device] * n_post + piece.post[device]
        order = np.argsort(key, kind="stable")
        index = piece.index[device][order]
        held = {name: getattr(of, name)[index] for name in _of_synapses(shard, piece.table)}
        synapses.append(Columns(key[order], held))
        pre, first = np.unique(piece.pre[device], return_index=True)
        segment = _segments(starts[device], piece.index[device][first])
        sources.append(Columns(pre, {name: getattr(of, name)[segment] for name in OF_SOURCES}))
        for name, here, ids in _targets(shard, path, piece.table, device):
            held = {n: _by_cell(n, getattr(of, n))[here] for n in _of_targets(shard, piece.table)}
            targets.setdefault(name, []).append(Columns(ids, held))
    yield f"synapses/{path}/{k}", _merged(synapses)
    yield f"sources/{path}/{k}", _merged(sources, is_unique=True)
    for name, parts in targets.items():
        yield f"targets/{path}/{k}/{name}", _merged(parts)
    if shard.world.rank == 0:
        of = on_devices[0]
        yield f"shared/{path}/{k}", _shared({name: getattr(of, name) for name in SHARED})


def _put_learned(shard: Shard, path: str, k: int, piece: _Piece, read: Read) -> None:
    before = _arrays(shard, piece.table)
    starts = _starts(shard, piece.table)
    n_post = shard.graph.projections[path].ends.n_post
    shared = read(f"shared/{path}/{k}", np.zeros(1, np.int64))
    after = []
    for device, of in enumerate(before):
        new = {name: np.array(x) for name, x in of._asdict().items()}
        key = piece.pre[device] * n_post + piece.post[device]
        order = np.argsort(key, kind="stable")
        if len(key):
            table = f"synapses/{path}/{k}"
            found = read(table, key[order])
            for name in _of_synapses(shard, piece.table):
                _set(new[name], piece.index[device][order], table, found, name)
            pre, first = np.unique(piece.pre[device], return_index=True)
            segment = _segments(starts[device], piece.index[device][first])
            table = f"sources/{path}/{k}"
            found = read(table, pre)
            for name in OF_SOURCES:
                _set(new[name], segment, table, found, name)
        for name, here, ids in _targets(shard, path, piece.table, device):
            if not len(ids):
                continue
            table = f"targets/{path}/{k}/{name}"
            found = read(table, ids)
            for field in _of_targets(shard, piece.table):
                _set(_by_cell(field, new[field]), here, table, found, field)
        for name in SHARED:
            _set(new[name][None], slice(None), f"shared/{path}/{k}", shared, name)
        after.append(new)
    shard.learning.learned[piece.table] = Learned(
        *(shard.stack.own([of[name] for of in after]) for name in Learned._fields)
    )


def _targets(
    shard: Shard, path: str, table: int, device: int
) -> Iterator[tuple[str, slice, np.ndarray]]:
    """The populations that a plastic table leads to: our cells of them, and their ids."""
    if not isinstance(shard.graph.projections[path].plasticity, Plasticity):
        return
    group = shard.built.tables[table].group
    cells = shard.parts.cells[device][group]
    reached = {shard.graph.path(v.population) for v in shard.graph.projections[path].post}
    for population in sorted(reached & set(cells.group.paths)):
        yield (population, *cells.of(population))


def _of_synapses(shard: Shard, table: int) -> list[str]:
    """The arrays of `Learned` that have a row for each synapse."""
    law = shard.learning.law(table)
    return ["weight"] + ["more"] * bool(len(law.more)) + ["when"] * bool(law.code[BETWEEN])


def _of_targets(shard: Shard, table: int) -> list[str]:
    """Those that have a row for each target, or a column."""
    is_kept = bool(shard.learning.law(table).form[KEPT])
    return ["stamp", "post", "count", *["recent", "spiked"] * is_kept]


def _by_cell(name: str, array: np.ndarray) -> np.ndarray:
    return array.swapaxes(0, 1) if name == "recent" else array


def _starts(shard: Shard, table: int) -> list[np.ndarray]:
    """Where the synapses of each segment begin, on each device."""
    rows = shard.placed.tables[table]
    pairs = zip(shard.stack.blocks(rows.base), shard.stack.blocks(rows.start), strict=True)
    return [base[np.arange(len(start)) >> 6] + start for base, start in pairs]


def _segments(starts: np.ndarray, index: np.ndarray) -> np.ndarray:
    """The segments to which synapses belong."""
    return np.searchsorted(starts, index, side="right") - 1


def _shared(values: Mapping[str, np.ndarray]) -> Columns:
    return Columns(np.zeros(1, np.int64), {name: x[None] for name, x in values.items()})


def _merged(parts: Sequence[Columns], *, is_unique: bool = False) -> Columns:
    """The columns of several devices as those of one."""
    key = np.concatenate([part.key for part in parts])
    order = np.argsort(key, kind="stable")
    if is_unique:
        key, order = np.unique(key, return_index=True)
    else:
        key = key[order]
    names = parts[0].fields
    fields = {n: np.concatenate([part.fields[n] for part in parts])[order] for n in names}
    return Columns(key, fields)
