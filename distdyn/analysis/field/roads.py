"""The roads between units: what values or spikes bring, by a projection, over its delays.

    y[k] = weight * x @ A[k]         x: what the pre end sends now; y[k] is due k + 1 steps later

The synapses are those that the simulator draws. A is whole on one device; of several each has the
columns of its own units.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from distdyn.core.coupling import Coupling
from distdyn.network.matrix import matrix_of, unlisted_of
from distdyn.network.network import Graph
from distdyn.network.projection import Projection
from distdyn.ops.matrix.csr import CSR
from distdyn.ops.matrix.scalar import Constant
from distdyn.parallel.built import Built
from distdyn.parallel.groups import key_of, receptor_index

MOST_DENSE = 4_000_000  # entries of a matrix that is kept whole
FILLED = 0.1  # of the entries, or it is kept in rows


class Source(NamedTuple):
    """Units of the pre end."""

    path: str
    ids: slice
    coupling: int | None  # by which they act; None: by spikes


class Target(NamedTuple):
    """A receptor of all units of a population."""

    path: str
    receptor: int


@dataclass(frozen=True, eq=False)
class Road:
    """A projection.

    Attributes:
        path: of the projection.
        sources: the pre end, for each part of a coupling.
        targets: the members of the post end, for each part.
        widths: of each member how many columns a device has for each delay.
        delays: the steps of the rows of y: one, or all from 1 on.
        weight: one for all synapses, which A is without; else None.
        matrix: [pre, device * column]; columns are targets, of each the delays, of each the units.
    """

    path: str
    sources: tuple[tuple[Source, ...], ...]
    targets: tuple[tuple[Target, ...], ...]
    widths: tuple[int, ...]
    delays: tuple[int, ...]
    weight: float | None
    matrix: Any

    @property
    def carries_spikes(self) -> bool:
        """Whether it carries spikes, and not values."""
        return self.sources[0][0].coupling is None

    @cached_property
    def totals(self) -> np.ndarray:
        """The sum of each column of A."""
        with jax.enable_x64(True):
            return np.asarray(jnp.ones(self.matrix.shape[0]) @ self.matrix)

    def brought(self, y: Any, part: int) -> list[tuple[Target, Any]]:
        """What is brought to each target, [delay, unit], of a product x @ A."""
        found, first = [], 0
        for target, width in zip(self.targets[part], self.widths, strict=True):
            last = first + len(self.delays) * width
            found.append((target, y[first:last].reshape(len(self.delays), width)))
            first = last
        return found


def roads_of(
    built: Built, widths: Mapping[str, int], devices: int = 1, *, is_continuous: bool
) -> list[Road]:
    """The projections of a network.

    Args:
        built: the network as it is built.
        widths: how many units of each population a device has.
        devices: how many.
        is_continuous: whether it is for a flow: then weights are as they were drawn, as in
            `Projection.matrix`; for a map they are those of the simulator, which rounds them.
    """
    return [
        _road(built, path, projection, widths, devices, is_continuous)
        for path, projection in built.graph.projections.items()
    ]


def _road(
    built: Built, path: str, projection: Projection, widths: Mapping[str, int], devices: int,
    is_continuous: bool,
) -> Road:  # fmt: skip
    graph = built.graph
    posts = [graph.path(view.population) for view in projection.post]
    sources, targets = [], []
    for receptor in projection.receptors:
        sources.append(tuple(_source(built, graph, view, receptor) for view in projection.pre))
        targets.append(tuple(
            Target(p, receptor_index(built.group_of(p), p, receptor)) for p in posts
        ))  # fmt: skip
    mine = [c for c in built.connections if c.path == path]
    is_one = isinstance(mine[0].delay, int | np.integer)
    longest = max(c.longest for c in mine)
    delays = (int(mine[0].delay),) if is_one else tuple(range(1, longest + 1))
    weight, synapses = projection.weight, _as_drawn if is_continuous else _as_simulated
    columns = tuple(widths[p] for p in posts)
    return Road(
        path, tuple(sources), tuple(targets), columns, delays,
        float(weight) if isinstance(weight, int | float) else None,
        _unlisted(projection, columns, delays, devices, is_continuous)
        or _listed(projection, columns, delays, devices, synapses(built, path)),
    )  # fmt: skip


def _source(built: Built, graph: Graph, view: Any, receptor: Any) -> Source:
    path, coupling = graph.path(view.population), receptor.kinetics
    ids = slice(view.start, view.stop, view.step)
    if not isinstance(coupling, Coupling):
        return Source(path, ids, None)
    group = built.group_of(path)
    keys = group.coupling_keys[group.segment[path]]
    return Source(path, ids, keys.index(key_of(coupling)))


def _unlisted(
    projection: Projection, widths: Sequence[int], delays: Sequence[int], devices: int,
    is_continuous: bool,
) -> Any:  # fmt: skip
    """A without a list of the synapses, and without the weight if it is one for all; or None."""
    is_number = isinstance(projection.weight, int | float)
    is_whole = all(view.ids == range(view.population.size) for view in projection.post)
    if not is_whole or len(delays) > 1 or not (is_number or is_continuous):
        return None  # the simulator rounds weights that differ
    weight = 1.0 if is_number else projection.weight
    with jax.enable_x64(True):
        found = unlisted_of(projection.ends, projection.rule, weight, dtype=jnp.float64)
        if isinstance(found, Constant):  # a column beyond the last is nobody's
            return Constant(np.float64(1.0), shape=(found.shape[0], devices * sum(widths)))
    return found if devices == 1 else None


def _listed(
    projection: Projection, widths: Sequence[int], delays: Sequence[int], devices: int,
    synapses: tuple[np.ndarray, ...],
) -> Any:  # fmt: skip
    """A of its synapses, without the weight if it is one for all."""
    each = len(delays) * sum(widths)
    shape = projection.ends.n_pre, devices * each
    is_number = isinstance(projection.weight, int | float)
    pre, post, weight, steps = synapses
    if is_number:
        weight = np.ones_like(weight)
    slot = np.searchsorted(delays, steps)
    column, starts = np.zeros_like(post), np.cumsum([0, *(view.size for view in projection.post)])
    first = 0
    for k, (view, width) in enumerate(zip(projection.post, widths, strict=True)):
        mine = (post >= starts[k]) & (post < starts[k + 1])
        id = np.asarray(view.ids, np.int64)[post[mine] - starts[k]]
        column[mine] = id // width * each + first + slot[mine] * width + id % width
        first += len(delays) * width
    if np.prod(shape) <= MOST_DENSE or len(pre) > FILLED * np.prod(shape):
        whole = np.zeros(shape)
        np.add.at(whole, (pre, column), weight)
        return whole
    place = pre * shape[1] + column
    if (np.diff(place) < 0).any():  # else they are in order already: sorting takes long
        order = np.argsort(place, kind="stable")
        pre, column, weight = pre[order], column[order], weight[order]
    indptr = np.searchsorted(pre, np.arange(shape[0] + 1))
    with jax.enable_x64(True):
        return CSR((np.ones(1) if is_number else weight, column, indptr), shape=shape)


def _as_simulated(built: Built, path: str) -> tuple[np.ndarray, ...]:
    """Of each synapse pre, post, weight, and delay in steps."""
    pieces = built.synapses(path)
    columns = zip(*pieces, strict=True) if pieces else [[np.zeros(0)]] * 4
    pre, post, weight, ms = (np.concatenate(list(of)) for of in columns)
    steps = np.rint(ms / built.setting.dt).astype(np.int64)
    return pre.astype(np.int64), post.astype(np.int64), weight, steps


def _as_drawn(built: Built, path: str) -> tuple[np.ndarray, ...]:
    """The same without delays, and with weights that are not rounded."""
    projection = built.graph.projections[path]
    matrix: Any = matrix_of(
        projection.ends, projection.rule, projection.weight, storage="stored",
        seed=built.setting.seed, path=path, dtype=jnp.float64,
    )  # fmt: skip
    post, n = (
        np.asarray(matrix.indices, np.int64),
        np.diff(np.asarray(matrix.indptr, np.int64)).astype(np.int64),
    )
    weight = np.broadcast_to(np.asarray(matrix.data), post.shape)
    return np.repeat(np.arange(len(n)), n), post, weight, np.ones_like(post)
