"""The vector field of a network of rate models: units that act on each other at every moment.

    x_i' = f(x_i, I_i),    I_i = sum over receptors of I_r(g_i),    g_i = sum_j w_ij a(x_j)

States and parameters have paths: "E.r", "E.tau", and "exc.weight" where a projection has one number
for all its synapses; "drive" is the current of a `CurrentInput`. Connections, weights and first
values are those of `DSRunner` with the same seed and parameters, weights as they are before the
simulator rounds them.

It takes couplings without delay that have no state of their own (`Additive`, `Diffusive`, `Sine`,
`GapJunction`). What travels as spikes, or late, is no function of the present state.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np

from distdyn.analysis.field.flat import State, VectorField
from distdyn.analysis.field.members import check_members
from distdyn.analysis.field.model import (
    ModelTree,
    check_autonomous,
    notes_of,
    state_by_name,
)
from distdyn.core.flow import Flow
from distdyn.core.receptor import Receptor
from distdyn.core.system import Drive
from distdyn.network.matrix import matrix_of, unlisted_of
from distdyn.network.network import Graph, Network, graph
from distdyn.network.population import Population, View
from distdyn.network.projection import CurrentInput, Projection
from distdyn.ops.matrix.csr import CSR
from distdyn.parallel.operands import drawn
from distdyn.parallel.parameters import Setting
from distdyn.random import stream_key
from distdyn.run.trained import with_parameters

MOST_DENSE = 4_000_000  # entries of a matrix that is kept whole


class _Units(NamedTuple):
    """A population as its equations see it."""

    tree: ModelTree
    structure: Any  # of its State
    names: list[str]  # of its variables, without the path
    size: int


class _Driven(NamedTuple):
    """A `CurrentInput` as the equations see it: which of its currents goes to which units."""

    path: str
    target: str
    place: slice
    part: slice


class _Coupled(NamedTuple):
    """A projection as the equations see it."""

    path: str
    receptors: tuple[Receptor, ...]
    pre: list[tuple[str, slice]]
    post: list[tuple[str, slice]]
    matrix: Any  # [pre, post]
    weight: float | None  # one for all: the matrix is without it


def rate_field(network: Network, seed: int, given: Mapping[str, Any]) -> VectorField:
    """The vector field of a network.

    Args:
        network: of rate models.
        seed: of what is drawn.
        given: by path, in the place of the network's own numbers.

    Raises:
        AnalysisError: a member makes it no function of the present state.
        DistDynError: what is given does not fit.
    """
    what, members = type(network).__name__, graph(network)
    check_members(what, members)
    # dt is that of delays, of which there are none.
    members, of_units = with_parameters(members, given, Setting(1.0, seed, "float64", 0))
    with jax.enable_x64(True):
        units = {
            path: _units(path, population, of_units.get(path, {}), seed)
            for path, population in members.populations.items()
        }
        state = {
            f"{path}.{name}": value
            for path, population in members.populations.items()
            for name, value in _first(path, population, units[path], seed).items()
        }
        coupled = [_coupled(members, path, p, seed) for path, p in members.projections.items()]
    parameters = {
        f"{path}.{name}": value
        for path, of in units.items()
        for name, value in of.tree.parameters.items()
    }
    parameters |= {
        f"{c.path}.weight": np.float64(c.weight) for c in coupled if c.weight is not None
    }
    currents, driven = _currents(members), _driven(members)
    parameters |= currents

    def rate(t: Any, given: State, changed: State) -> dict[str, Any]:
        models = {path: of.tree.model(_below(changed, path)) for path, of in units.items()}
        states = {
            path: jax.tree.unflatten(of.structure, [given[f"{path}.{n}"] for n in of.names])
            for path, of in units.items()
        }
        brought = _brought(coupled, models, states, changed)
        outside = _outside(driven, units, {**currents, **changed})
        found = {}
        for path, of in units.items():
            receptors, sums = brought[path]
            flow = Flow(models[path], receptors)
            current = flow.total_current(states[path], sums, outside[path])
            slopes = jax.tree.leaves(models[path].derivative(t, states[path], Drive(current)))
            for name, slope in zip(of.names, slopes, strict=True):
                whole = jnp.broadcast_to(jnp.asarray(slope, jnp.float64), (of.size,))
                found[f"{path}.{name}"] = whole
        return found

    with jax.enable_x64(True):
        check_autonomous(lambda t: list(rate(t, state, {}).values()), what)
    notes = [n for p in members.populations.values() for n in notes_of(p.model)]  # pyright: ignore
    left_out = [path for path, source in members.inputs.items() if not _is_constant(source)]
    if left_out:
        notes.append(f"What changes in time is left out: {', '.join(left_out)}.")
    return VectorField(
        lambda given, changed: rate(0.0, given, changed),
        state, parameters, True, what, tuple(dict.fromkeys(notes)),
    )  # fmt: skip


def _is_constant(source: Any) -> TypeGuard[CurrentInput]:
    return isinstance(source, CurrentInput) and isinstance(source.current, int | float | np.ndarray)


def _currents(members: Graph) -> dict[str, Any]:
    """The currents of inputs, by path: one number, or one for each target."""
    return {
        path: np.asarray(source.current if _is_constant(source) else 0.0, np.float64)
        for path, source in members.inputs.items()
    }


def _driven(members: Graph) -> list[_Driven]:
    """Where they go."""
    found = []
    for path, source in members.inputs.items():
        first = 0
        for view, (target, place) in zip(source.post, _places(members, source.post), strict=True):
            found.append(_Driven(path, target, place, slice(first, first + view.size)))
            first += view.size
    return found


def _outside(driven: list[_Driven], units: Mapping[str, _Units], currents: State) -> dict[str, Any]:
    """The current from outside into each population."""
    total: dict[str, Any] = dict.fromkeys(units, 0.0)
    for path, target, place, part in driven:
        current = jnp.asarray(currents[path])
        so_far = jnp.broadcast_to(total[target], (units[target].size,))
        total[target] = so_far.at[place].add(current[part] if current.ndim else current)
    return total


def _units(path: str, population: Population, given: State, seed: int) -> _Units:
    ids = np.arange(population.size)
    tree = ModelTree.of(population.model, lambda name, x: drawn(x, ids, seed, path, name))
    tree = tree.changed(given, f'population "{path}"', population.size)
    names, structure = state_by_name(population.model.init(jnp.int64(0), jax.random.key(0)))
    return _Units(tree, structure, list(names), population.size)


def _first(path: str, population: Population, of: _Units, seed: int) -> dict[str, Any]:
    """The first state of a population, as `DSRunner` has it."""
    ids = np.arange(population.size)
    words = jnp.asarray(np.array(stream_key(seed, "init", path), np.uint32))
    leaves = of.tree.model({})
    axes = jax.tree.map(lambda leaf: 0 if np.ndim(leaf) else None, leaves)

    def begin(model: Any, id: Any) -> Any:
        key = jax.random.fold_in(jax.random.wrap_key_data(words, impl="threefry2x32"), id)
        return jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), model.init(id, key))

    state = jax.vmap(begin, (axes, 0))(leaves, jnp.asarray(ids))
    named = dict(zip(of.names, jax.tree.leaves(state), strict=True))
    given = {
        name: drawn(value, ids, seed, path, f"initial {name}")
        for name, value in population.initial.items()
    }
    if given:
        whole = jax.tree.unflatten(of.structure, [{**named, **given}[name] for name in of.names])
        settled = jax.vmap(lambda model, s: model.settle(s), (axes, 0))(leaves, whole)
        named = dict(zip(of.names, jax.tree.leaves(settled), strict=True)) | given
    return {
        name: np.broadcast_to(np.asarray(value, np.float64), (population.size,))
        for name, value in named.items()
    }


def _coupled(members: Graph, path: str, projection: Projection, seed: int) -> _Coupled:
    is_one = isinstance(projection.weight, int | float)
    return _Coupled(
        path,
        projection.receptors,
        _places(members, projection.pre),
        _places(members, projection.post),
        _matrix(projection, 1.0 if is_one else projection.weight, seed, path),
        float(projection.weight) if is_one else None,  # pyright: ignore[reportArgumentType]
    )


def _matrix(projection: Projection, weight: Any, seed: int, path: str) -> Any:
    """The matrix [pre, post] with these weights: unlisted, whole, or sparse, the first that can."""
    what = projection.ends, projection.rule, weight
    unlisted = unlisted_of(*what, dtype=jnp.float64)
    if unlisted is not None:
        return unlisted
    storage = projection.storage
    matrix = matrix_of(*what, storage=storage, seed=seed, path=path, dtype=jnp.float64)
    return _dense(matrix) if np.prod(matrix.shape) <= MOST_DENSE else matrix


def _dense(matrix: Any) -> Any:
    if not isinstance(matrix, CSR):
        return matrix.todense()
    whole = np.zeros(matrix.shape)
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(np.asarray(matrix.indptr)))
    np.add.at(whole, (rows, np.asarray(matrix.indices)), np.asarray(matrix.data))
    return whole


def _brought(
    coupled: list[_Coupled], models: Mapping[str, Any], states: Mapping[str, Any], changed: State
) -> dict[str, tuple[tuple[Receptor, ...], tuple[Any, ...]]]:
    """The receptors of each population, and their sums."""
    sums: dict[str, dict[Any, tuple[Receptor, Any]]] = {path: {} for path in models}
    for c in coupled:
        weight = changed.get(f"{c.path}.weight", 1.0 if c.weight is None else c.weight)
        for receptor in c.receptors:
            coupling: Any = receptor.kinetics
            values = jnp.concatenate([
                jnp.broadcast_to(
                    coupling.emit(coupling.begin(), models[path], states[path]), _size(states[path])
                )[place]
                for path, place in c.pre
            ])  # fmt: skip
            arrived = {"g": weight * (values @ c.matrix)}
            if coupling.needs_sum:
                arrived["w"] = weight * (jnp.ones_like(values) @ c.matrix)
            first = 0
            for path, place in c.post:
                n = len(range(*place.indices(_size(states[path])[0])))
                part = {name: x[first : first + n] for name, x in arrived.items()}
                first += n
                known, total = sums[path].get(receptor.key, (receptor, None))
                if total is None:
                    zero = jnp.zeros(_size(states[path]))
                    total = coupling.init()._replace(**dict.fromkeys(arrived, zero))
                total = total._replace(
                    **{name: getattr(total, name).at[place].add(x) for name, x in part.items()}
                )
                sums[path][receptor.key] = known, total
    return {
        path: (tuple(r for r, _ in of.values()), tuple(s for _, s in of.values()))
        for path, of in sums.items()
    }


def _size(state: Any) -> tuple[int]:
    return (len(jax.tree.leaves(state)[0]),)


def _places(members: Graph, views: tuple[View, ...]) -> list[tuple[str, slice]]:
    return [(members.path(v.population), slice(v.start, v.stop, v.step)) for v in views]


def _below(changed: State, path: str) -> dict[str, Any]:
    """The parameters of a population among those of the network."""
    before = f"{path}."
    return {n.removeprefix(before): v for n, v in changed.items() if n.startswith(before)}
