"""The synapses of a projection as a matrix of floats that is dealt to devices by its columns.

    y = x @ A        x: what the pre end sent, whole; y: what reaches our own cells of the post end

Columns are our cells of each population of the post end, once for each delay where there are
several. Weights are the parameters of the matrix: the one number of all synapses, the numbers by
which they are drawn (procedural projections), or one for each synapse.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from distdyn.errors import TrainError
from distdyn.network.distributions import Distribution
from distdyn.network.projection import Projection
from distdyn.network.rules import AllToAll
from distdyn.network.space import ByDistance
from distdyn.ops.matrix.csr import CSR
from distdyn.ops.matrix.dense import Dense
from distdyn.ops.matrix.matrix import Matrix
from distdyn.ops.matrix.scalar import Constant
from distdyn.ops.matrix.split import Split, split_columns
from distdyn.parallel.built import Built
from distdyn.parallel.groups import receptor_index, source_of
from distdyn.train.layout import NEURON, Layout


class Source(NamedTuple):
    """Some neurons of the pre end: a slice of a population, in the list of a group."""

    group: int
    path: str
    ids: slice


class Target(NamedTuple):
    """Cells of the post end: a receptor of the cells of one population on a device."""

    group: int
    receptor: int
    path: str


@dataclass(frozen=True)
class Synapses:
    """The synapses of one projection.

    Attributes:
        path: of the projection.
        sources: of each part of its coupling (or the one of its spikes) the members of the pre end.
        targets: of each part the members of the post end.
        delay: in steps, if all have the same; else None.
        slots: the longest delay, in steps.
        matrices: one for all members of the post end, or one for each.
        edges: of each synapse (pre, post, delay in steps) in the order of the weights, where they
            are one for each.
        place: int64[device, synapse]: which of the edges each weight is of; -1 fills up.
    """

    path: str
    sources: tuple[tuple[Source, ...], ...]
    targets: tuple[tuple[Target, ...], ...]
    delay: int | None
    slots: int
    matrices: tuple[Split, ...]
    edges: np.ndarray | None = None
    place: np.ndarray | None = None

    @property
    def weight(self) -> jax.Array:
        """The numbers that say the weights."""
        return _data(self.matrices[0])

    @property
    def is_each(self) -> bool:
        """Whether each synapse has a weight of its own."""
        return self.edges is not None

    def sent(self, part: int, gathered: Sequence[Any], layout: Layout) -> jax.Array:
        """What the pre end has sent, [trial, pre]."""
        return sent(self.sources[part], gathered, layout)

    def product(self, x: jax.Array, matrices: Sequence[Matrix]) -> jax.Array:
        """What x brings to all targets, [trial, column]."""
        if len(matrices) == 1:
            return x @ matrices[0]
        return jnp.concatenate([x @ A for A in matrices], axis=1)

    def brought(self, part: int, y: jax.Array, layout: Layout) -> list[tuple[Target, jax.Array]]:
        """What is brought to each target: [trial, slot, cell], one slot if all have one delay."""
        found, start, slots = [], 0, 1 if self.delay is not None else self.slots
        for target in self.targets[part]:
            width = layout.width(target.path)
            of = y[:, start : start + slots * width]
            found.append((target, of.reshape(len(y), slots, width)))
            start += slots * width
        return found


def sent(sources: Sequence[Source], gathered: Sequence[Any], layout: Layout) -> jax.Array:
    """What some neurons have sent, [trial, neuron]."""
    found = [layout.whole(s.path, gathered[s.group])[:, s.ids] for s in sources]
    return found[0] if len(found) == 1 else jnp.concatenate(found, axis=1)


def synapses(built: Built, path: str, layout: Layout, dtype: Any) -> Synapses:
    """The synapses of a projection.

    Raises:
        TrainError: they change by a rule of their own.
    """
    graph, projection = built.graph, built.graph.projections[path]
    if projection.plasticity is not None:
        raise TrainError(
            f'projection "{path}": it learns by {type(projection.plasticity).__name__}, and a '
            "network is trained by one rule at a time. Leave `plasticity` out."
        )
    home = {p: group for group in built.groups if group.emitter is None for p in group.paths}
    pres = [(graph.path(view.population), view) for view in projection.pre]
    posts = [graph.path(view.population) for view in projection.post]
    sources = tuple(
        tuple(
            Source(source_of(built.groups, home[p], p, receptor), p, slice_of(view.ids))
            for p, view in pres
        )
        for receptor in projection.receptors
    )
    targets = tuple(
        tuple(Target(home[p].index, receptor_index(home[p], p, receptor), p) for p in posts)
        for receptor in projection.receptors
    )
    of_path = [c for c in built.connections if c.path == path]
    longest = max(c.longest for c in of_path)
    delay = of_path[0].delay if isinstance(of_path[0].delay, int | np.integer) else None
    made = path, sources, targets, None if delay is None else int(delay), longest
    each = _one_each(built, projection, path, layout, dtype) if delay is not None else None
    if each is not None:
        return Synapses(*made, matrices=each)
    return Synapses(*made, *_listed(built, projection, path, layout, delay, longest, dtype))


def with_weight(matrices: Sequence[Split], weight: Any) -> tuple[Split, ...]:
    """The matrices with other weights."""
    return tuple(eqx.tree_at(_data, matrix, weight) for matrix in matrices)


def _data(matrix: Any) -> Any:
    return matrix.pieces.data


def slice_of(ids: range) -> slice:
    """The slice that takes these ids."""
    return slice(ids.start, ids.stop, ids.step)


def _one_each(
    built: Built, projection: Projection, path: str, layout: Layout, dtype: Any
) -> tuple[Split, ...] | None:
    """A matrix for each member of the post end, where their weights are a few numbers."""
    if any(view.ids != range(view.population.size) for view in projection.post):
        return None
    is_number = not isinstance(projection.weight, Distribution | ByDistance | np.ndarray)
    sizes = [view.size for view in projection.post]
    starts = np.cumsum([0, *sizes])
    if isinstance(projection.rule, AllToAll) and projection.rule.autapses and is_number:
        n_pre = projection.ends.n_pre
        weight = np.asarray(projection.weight, dtype)
        found = [Constant(weight, shape=(n_pre, n)) for n in sizes]
    elif projection.storage == "procedural" and _is_drawn_again(projection):
        whole: Any = projection.matrix(built.setting.seed, path=path, dtype=dtype)
        found = (
            [whole]
            if len(sizes) == 1
            else [whole.part(columns=(int(a), int(b))) for a, b in pairwise(starts)]
        )
    else:
        return None
    return tuple(_split(matrix, layout) for matrix in found)


def _is_drawn_again(projection: Projection) -> bool:
    from distdyn.network.jit import is_linear
    from distdyn.network.rules import FixedOutdegree, FixedProb

    return isinstance(projection.rule, FixedProb | FixedOutdegree) and is_linear(projection.weight)


def _listed(
    built: Built, projection: Projection, path: str, layout: Layout, delay: Any, longest: int,
    dtype: Any,
) -> tuple[tuple[Split, ...], np.ndarray | None, np.ndarray | None]:  # fmt: skip
    """A matrix of all synapses, the edges, and which edge each weight is of."""
    pieces = built.synapses(path)
    columns = zip(*pieces, strict=True) if pieces else [np.zeros(0)] * 4
    pre, post, weight, ms = (np.concatenate(list(of)) for of in columns)
    pre, post = pre.astype(np.int64), post.astype(np.int64)
    steps = np.rint(ms / built.setting.dt).astype(np.int64)
    order = np.lexsort((steps, post, pre))
    pre, post, weight, steps = pre[order], post[order], weight[order], steps[order]
    column, width = _columns(
        projection, built, layout, post, None if delay is not None else steps, longest
    )
    shape = projection.ends.n_pre, layout.devices * width
    edges = np.stack([pre, post, steps])
    is_one = not isinstance(projection.weight, Distribution | ByDistance | np.ndarray)
    n_post = sum(view.size for view in projection.post)
    whole = [view for view in projection.post if view.ids == range(view.population.size)]
    is_dense = (
        not is_one
        and delay is not None
        and len(whole) == len(projection.post)
        and len(pre) == projection.ends.n_pre * n_post
        and bool((np.diff(pre * n_post + post) > 0).all())  # each pair once
    )
    if is_dense:
        data = np.zeros(shape, dtype)
        data[pre, column] = weight
        number = np.full(shape, -1, np.int64)
        number[pre, column] = np.arange(len(pre))
        place = np.stack(np.split(number, layout.devices, axis=1))
        return (_split(Dense(data), layout),), edges, place
    order = np.lexsort((column, pre))
    indptr = np.searchsorted(pre[order], np.arange(shape[0] + 1))
    if is_one:
        data = np.full(1, projection.weight, dtype)
        matrix = CSR((data, column[order], indptr), shape=shape)
        return (_split(matrix, layout),), None, None
    numbers = CSR((order + 1.0, column[order], indptr), shape=shape).cut(layout.devices, "columns")
    place = np.stack([np.asarray(piece.data).astype(np.int64) - 1 for piece in numbers])
    matrix = CSR((weight[order].astype(dtype), column[order], indptr), shape=shape)
    return (_split(matrix, layout),), edges, place


def _split(matrix: Matrix, layout: Layout) -> Split:
    """The pieces of a matrix that are for the columns of our devices."""
    parts = layout.parts
    return split_columns(matrix, layout.mesh, NEURON, parts.size, parts.own)


def _columns(
    projection: Projection, built: Built, layout: Layout, post: np.ndarray,
    steps: np.ndarray | None, longest: int,
) -> tuple[np.ndarray, int]:  # fmt: skip
    """The column of each synapse, device after device, and how many each device has."""
    slots = 1 if steps is None else longest
    starts = np.cumsum([0, *(view.size for view in projection.post)])
    widths = [layout.width(built.graph.path(view.population)) for view in projection.post]
    firsts = np.cumsum([0, *(slots * width for width in widths)])
    column = np.zeros(len(post), np.int64)
    for k, (view, width) in enumerate(zip(projection.post, widths, strict=True)):
        mine = (post >= starts[k]) & (post < starts[k + 1])
        id = np.asarray(view.ids, np.int64)[post[mine] - starts[k]]
        slot = 0 if steps is None else steps[mine] - 1
        column[mine] = id // width * firsts[-1] + firsts[k] + slot * width + id % width
    return column, int(firsts[-1])
