"""The vector field of a network of rate models: units that act on each other at every moment.

    x_i' = f(x_i, I_i),    I_i = sum over receptors of I_r(g_i),    g_i = sum_j w_ij a(x_j)

States and parameters have paths: "E.r", "E.tau", and "exc.weight" where a projection has one number
for all its synapses. Connections, weights and first values are those of `DSRunner` with the same
seed, weights as they are before the simulator rounds them.

It takes couplings without delay that have no state of their own (`Additive`, `Diffusive`, `Sine`,
`GapJunction`). What travels as spikes, or late, is no function of the present state.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np

from distdyn.analysis.field.flat import State, VectorField
from distdyn.analysis.field.model import (
    ModelTree,
    check_autonomous,
    check_can_be_field,
    notes_of,
    state_by_name,
)
from distdyn.core.coupling import Coupling
from distdyn.core.flow import Flow
from distdyn.core.ode import ODE
from distdyn.core.receptor import Receptor
from distdyn.core.system import Drive
from distdyn.errors import AnalysisError
from distdyn.network.matrix import matrix_of
from distdyn.network.network import Graph, Network, graph
from distdyn.network.population import Population, View
from distdyn.network.projection import CurrentInput, Projection
from distdyn.ops.matrix.csr import CSR
from distdyn.parallel.operands import drawn
from distdyn.random import stream_key

MOST_DENSE = 4_000_000  # entries of a matrix that is kept whole


class _Units(NamedTuple):
    """A population as its equations see it."""

    tree: ModelTree
    structure: Any  # of its State
    names: list[str]  # of its variables, without the path
    size: int
    current: Any  # what comes from outside, one number or one per unit


class _Coupled(NamedTuple):
    """A projection as the equations see it."""

    path: str
    receptors: tuple[Receptor, ...]
    pre: list[tuple[str, slice]]
    post: list[tuple[str, slice]]
    matrix: Any  # [pre, post]
    weight: float | None  # one for all: the matrix is without it


def rate_field(network: Network, seed: int) -> VectorField:
    """The vector field of a network.

    Args:
        network: of rate models.
        seed: of what is drawn.

    Raises:
        AnalysisError: a member makes it no function of the present state.
    """
    what, members = type(network).__name__, graph(network)
    _check_members(what, members)
    with jax.enable_x64(True):
        units = {
            path: _units(path, population, _current(members, path), seed)
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

    def rate(t: Any, given: State, changed: State) -> dict[str, Any]:
        models = {path: of.tree.model(_below(changed, path)) for path, of in units.items()}
        states = {
            path: jax.tree.unflatten(of.structure, [given[f"{path}.{n}"] for n in of.names])
            for path, of in units.items()
        }
        brought = _brought(coupled, models, states, changed)
        found = {}
        for path, of in units.items():
            receptors, sums = brought[path]
            flow = Flow(models[path], receptors)
            current = flow.total_current(states[path], sums, of.current)
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


def _check_members(what: str, members: Graph) -> None:
    """Raise an AnalysisError for what makes the network no function of its present state."""
    for path, population in members.populations.items():
        model = population.model
        if not isinstance(model, ODE):
            raise AnalysisError(
                f'{what}: population "{path}" is of {type(model).__name__}, which has no '
                "derivative. Use rate models that are written as an ODE."
            )
        check_can_be_field(model)
        if callable(getattr(model, "reset", None)):
            raise AnalysisError(
                f'{what}: population "{path}" is of {type(model).__name__}, which is reset at '
                "spikes: a network of such cells is no flow. Analyse one cell, or a rate model."
            )
    for path, projection in members.projections.items():
        why = refusal(projection)
        if why:
            raise AnalysisError(
                f'{what}: projection "{path}" {why}. A vector field is a function of the present '
                "state: use rate models with Additive() or Diffusive() and delay=0, or analyse a "
                "mean field of the network."
            )
    for path, source in members.inputs.items():
        if not isinstance(source, CurrentInput):
            raise AnalysisError(
                f'{what}: input "{path}" is random spikes. Use its mean as a CurrentInput.'
            )
    if members.layers:
        raise AnalysisError(
            f'{what}: layer "{next(iter(members.layers))}": networks with layers cannot be '
            "analysed yet. Use projections."
        )


def refusal(projection: Projection) -> str | None:
    """Why values do not travel through a projection at once; None if they do."""
    synapse = projection.synapse
    name = type(synapse).__name__
    if not isinstance(synapse, Coupling) or synapse.needs_spikes:
        return f"carries spikes ({name})"
    if synapse.begin() != ():
        return f"has a state that goes by steps ({name})"
    if projection.plasticity is not None:
        return "has weights that change"
    if not projection.is_at_once:
        return f"has a delay of {projection.delay} ms"
    return None


def _is_constant(source: Any) -> TypeGuard[CurrentInput]:
    return isinstance(source, CurrentInput) and isinstance(source.current, int | float | np.ndarray)


def _current(members: Graph, path: str) -> Any:
    """The constant current into a population."""
    total = np.zeros(members.populations[path].size)
    for source in members.inputs.values():
        if not _is_constant(source):
            continue
        values = np.broadcast_to(
            np.asarray(source.current, np.float64), sum(view.size for view in source.post)
        )
        for (target, place), part in zip(
            _places(members, source.post), _parts(values, source.post), strict=True
        ):
            if target == path:
                total[place] += part
    return total if total.any() else 0.0


def _units(path: str, population: Population, current: Any, seed: int) -> _Units:
    ids = np.arange(population.size)
    tree = ModelTree.of(population.model, lambda name, x: drawn(x, ids, seed, path, name))
    names, structure = state_by_name(population.model.init(jnp.int64(0), jax.random.key(0)))
    return _Units(tree, structure, list(names), population.size, current)


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
    matrix = matrix_of(
        projection.ends, projection.rule, 1.0 if is_one else projection.weight,
        storage=projection.storage, seed=seed, path=path, dtype=jnp.float64,
    )  # fmt: skip
    return _Coupled(
        path,
        projection.receptors,
        _places(members, projection.pre),
        _places(members, projection.post),
        _dense(matrix) if np.prod(matrix.shape) <= MOST_DENSE else matrix,
        float(projection.weight) if is_one else None,  # pyright: ignore[reportArgumentType]
    )


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


def _parts(values: Any, views: tuple[View, ...]) -> list[Any]:
    return np.split(values, np.cumsum([view.size for view in views])[:-1])


def _below(changed: State, path: str) -> dict[str, Any]:
    """The parameters of a population among those of the network."""
    before = f"{path}."
    return {n.removeprefix(before): v for n, v in changed.items() if n.startswith(before)}
