"""Assemble a group: its parameters, coefficients, initial state and compiled step.

What may change without compiling again is kept in float64 on the host (`GroupParameters`) and turned
into operands; what the code depends on goes into the `GroupProgram`.
"""

import functools
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from distdyn.core.cell import Cell
from distdyn.core.signal import Signal
from distdyn.network.network import Graph
from distdyn.network.projection import CurrentInput, PoissonInput
from distdyn.ops.poisson import terms_needed
from distdyn.parallel import scale as scales
from distdyn.parallel.groups import Group, receptor_index, receptor_of
from distdyn.parallel.operands import Entry, Values, collect, drawn, parameter
from distdyn.parallel.program import GroupProgram, ReceptorInput
from distdyn.random import stream_key
from distdyn.units import to_steps


@dataclass(frozen=True)
class Setting:
    """What a build is asked for besides the network."""

    dt: float
    seed: int
    precision: str
    origin: int  # the step at which the run begins

    @property
    def accumulator(self) -> str:
        """The integers in which arrivals are summed."""
        return "int32" if self.precision == "float32" else "int64"


@dataclass
class GroupParameters:
    """The parameters of a group, leaf by leaf of its systems' tree.

    Attributes:
        structure: the tree of one system.
        names: of each leaf, `tau_m` or `receptors.0.tau`.
        values: float64 arrays [segment] or [cell]; `Values` where a leaf changes in time; other
            things (strings, booleans) as they are.
    """

    structure: Any
    names: list[str]
    values: list[Any]

    def is_numeric(self, index: int) -> bool:
        """Whether a leaf is an operand of the step."""
        return isinstance(self.values[index], np.ndarray | Values)


def group_parameters(group: Group, seed: int) -> GroupParameters:
    """Resolve numbers, arrays and distributions of all populations of a group."""
    trees = [jax.tree.flatten(system, is_leaf=_is_signal) for system in group.systems]
    paths, _ = jax.tree.flatten_with_path(group.systems[0], is_leaf=_is_signal)
    names = [_name(path) for path, _ in paths]
    values: list[Any] = []
    for index, name in enumerate(names):
        column = [leaves[index] for leaves, _ in trees]
        if any(isinstance(v, bool | str) for v in column):
            values.append(column[0])
        elif any(_is_signal(v) or callable(v) for v in column):
            sizes = [range(p.size) for p in group.populations]
            values.append(collect(group, list(zip(group.paths, sizes, column, strict=True))))
        else:
            values.append(parameter(group, column, name, seed))
    return GroupParameters(trees[0][1], names, values)


def _is_signal(x: Any) -> bool:
    return isinstance(x, Signal)


def _name(path: tuple[Any, ...]) -> str:
    words = [str(getattr(key, "name", getattr(key, "idx", key))) for key in path]
    return ".".join(words[1:] if words[0] == "neuron" else words)


@dataclass(frozen=True)
class Layer:
    """One Poisson input per population at most, to one receptor of a group."""

    terms: int
    delay: int
    inputs: tuple[tuple[str, PoissonInput], ...]


@dataclass
class Assembly:
    """A group ready to run: program, operands, state, scales.

    Attributes:
        scales: accumulator units per unit of weight, of each receptor.
        operands: arrays, or `Values` that change in time, in the order of the program.
        per: "call", "segment" or "cell" of each operand.
        state: leaves [cell], in the order of the program.
        state_names: `V`, `refractory`, or `receptors.0.g` of each leaf.
    """

    program: GroupProgram
    scales: tuple[float, ...]
    operands: list[Any] = field(default_factory=list)
    per: list[str] = field(default_factory=list)


def assemble(
    graph: Graph, group: Group, parameters: GroupParameters, ring_slots: tuple[int, ...], s: Setting
) -> Assembly:
    """The program and operands of a group; `ring_slots[r]` is 0 where receptor r has no ring."""
    layers = [_layers(graph, group, r, s.dt) for r in range(len(group.receptors))]
    bounds = [_receptor_scale(graph, group, r, s) for r in range(len(group.receptors))]
    current = _current(graph, group)
    is_cell = isinstance(group.systems[0], Cell)
    prepared = _prepare(group, parameters, s.dt) if is_cell else None
    numeric = [k for k in range(len(parameters.values)) if parameters.is_numeric(k)]
    program = GroupProgram(
        system=_Structure(
            parameters.structure,
            tuple((k, v) for k, v in enumerate(parameters.values) if k not in numeric),
        ),
        prepared=None if prepared is None else jax.tree.structure(prepared),
        state=state_structure(group, parameters, s),
        receptors=tuple(
            ReceptorInput(slots > 0, tuple((layer.terms, layer.delay) for layer in of))
            for slots, of in zip(ring_slots, layers, strict=True)
        ),
        has_current=current is not None,
        dt=s.dt,
        origin=s.origin,
        dtype=s.precision,
    )
    assembly = Assembly(program, tuple(bounds))
    put = functools.partial(_put, assembly, group)
    if current is not None:
        put(current, s.precision)
    for k in numeric:
        put(parameters.values[k], s.precision)
    for leaf in jax.tree.leaves(prepared):
        put(leaf, "int32" if np.issubdtype(leaf.dtype, np.integer) else s.precision)
    for r, of in enumerate(layers):
        put(np.full(len(group.paths), 1.0 / bounds[r]), s.precision)
        for layer in of:
            for operand, dtype in _layer_operands(group, layer, bounds[r], s):
                put(operand, dtype)
    if any(layers):
        ids = [np.arange(population.size) for population in group.populations]
        put(np.concatenate(ids), "uint32")
    return assembly


def _put(assembly: Assembly, group: Group, value: Any, dtype: str) -> None:
    """Append an operand, in its dtype."""
    if isinstance(value, Values):
        if not value.is_fixed:
            entries = tuple(
                Entry(jnp.asarray(e.where), jnp.asarray(e.value) if _is_number(e.value) else e.value)
                for e in value.entries
            )
            assembly.operands.append(Values(entries, value.per, value.size, dtype))
            assembly.per.append(value.per)
            return
        per, array = value.per, value.fixed()
    else:
        array = np.asarray(value)
        # a group of populations of one neuron each: both readings are the same values
        per = "segment" if array.shape == (len(group.paths),) else "cell"
    assembly.operands.append(jnp.asarray(array.astype(dtype)))
    assembly.per.append(per)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.ndarray | np.number | jax.Array)


@dataclass(frozen=True)
class _Structure:
    """A tree structure with some leaves known in advance."""

    tree: Any
    known: tuple[tuple[int, Any], ...]

    @property
    def num_leaves(self) -> int:
        return self.tree.num_leaves - len(self.known)

    def unflatten(self, leaves: list[Any]) -> Any:
        rest, known = iter(leaves), dict(self.known)
        every = [known[k] if k in known else next(rest) for k in range(self.tree.num_leaves)]
        return jax.tree.unflatten(self.tree, every)


def _prepare(group: Group, parameters: GroupParameters, dt: float) -> Any:
    """The integrator's coefficients, float64, per segment or per cell."""
    values = parameters.values
    is_per_cell = any(isinstance(v, np.ndarray) and len(v) != len(group.paths) for v in values)
    leaves = [_spread(group, v, is_per_cell) for v in values]
    _check_refractory(group, dt)
    return jax.tree.map(np.asarray, _prepared(parameters.structure, tuple(leaves), dt))


def _spread(group: Group, value: Any, is_per_cell: bool) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    if is_per_cell and len(value) == len(group.paths) != group.size:
        return np.repeat(value, np.diff(group.bounds))
    return value


@functools.partial(jax.jit, static_argnames=("structure", "dt"))
def _prepared(structure: Any, leaves: tuple[Any, ...], dt: float) -> Any:
    return jax.vmap(lambda *one: jax.tree.unflatten(structure, one).prepare(dt))(*leaves)


def _check_refractory(group: Group, dt: float) -> None:
    for path, system in zip(group.paths, group.systems, strict=True):
        t_ref = getattr(system.neuron, "t_ref", None)
        if t_ref is not None and isinstance(t_ref, int | float | np.ndarray | jax.Array):
            to_steps(t_ref, dt, f'population "{path}": {type(system.neuron).__name__}: t_ref')


def initial_state(
    group: Group, parameters: GroupParameters, s: Setting
) -> tuple[list[Any], list[str]]:
    """The state of all cells before the first step, leaf by leaf, and the leaves' names."""
    leaves = []
    for value in parameters.values:
        if isinstance(value, Values):
            leaves.append(np.zeros(group.size))
        else:
            leaves.append(_spread(group, value, True))
    words = np.array([stream_key(s.seed, "init", path) for path in group.paths], np.uint32)
    sizes = np.diff(group.bounds)
    ids = np.concatenate([np.arange(n) for n in sizes])
    state = _initialised(
        parameters.structure,
        tuple(x if isinstance(x, np.ndarray) else _Hashed(x) for x in leaves),
        np.repeat(words, sizes, axis=0),
        ids,
    )
    paths, _ = jax.tree.flatten_with_path(state)
    names = [_name(path) for path, _ in paths]
    arrays = [np.array(leaf) for _, leaf in paths]
    for path, population in zip(group.paths, group.populations, strict=True):
        start = group.start(path)
        for name, value in population.initial.items():
            drawn_values = drawn(value, population.size, s.seed, path, f"initial {name}")
            arrays[names.index(name)] = arrays[names.index(name)].astype(np.float64)
            arrays[names.index(name)][start : start + population.size] = drawn_values
    return [jnp.asarray(_cast(array, s.precision)) for array in arrays], names


@functools.partial(jax.jit, static_argnames=("structure",))
def _initialised(structure: Any, leaves: tuple[Any, ...], words: Any, ids: Any) -> Any:
    axes = tuple(None if isinstance(x, _Hashed) else 0 for x in leaves)

    def one(leaves: tuple[Any, ...], word: Any, id: Any) -> Any:
        plain = [x.value if isinstance(x, _Hashed) else x for x in leaves]
        key = jax.random.wrap_key_data(word, impl="threefry2x32")
        state = jax.tree.unflatten(structure, plain).init(id, jax.random.fold_in(key, id))
        return jax.tree.map(jnp.asarray, state)

    return jax.vmap(one, in_axes=(axes, 0, 0))(leaves, words, ids)


@jax.tree_util.register_static
@dataclass(frozen=True)
class _Hashed:
    """A leaf that is not a number, as it passes through jit."""

    value: Any


def _cast(array: np.ndarray, precision: str) -> np.ndarray:
    return array.astype(precision) if array.dtype.kind == "f" else array


def state_structure(group: Group, parameters: GroupParameters, s: Setting) -> Any:
    """The tree of a group's state."""
    system = group.systems[0]
    shapes = jax.eval_shape(
        lambda: jax.tree.unflatten(
            parameters.structure,
            [0.5 if isinstance(v, np.ndarray | Values) else v for v in parameters.values],
        ).init(jnp.int64(0), jax.random.key(0, impl="threefry2x32"))
    )
    del system
    return jax.tree.structure(shapes)


def _current(graph: Graph, group: Group) -> Values | None:
    pieces = []
    for source in graph.inputs.values():
        if isinstance(source, CurrentInput):
            pieces += _pieces(graph, group, source.post, source.current)
    return collect(group, pieces) if pieces else None


def _pieces(graph: Graph, group: Group, post: Any, value: Any) -> list[tuple[str, range, Any]]:
    """The part of a value over the post end that falls on each population of the group."""
    pieces, start = [], 0
    for view in post:
        path = graph.path(view.population)
        if path in group.paths:
            piece = value
            if isinstance(value, np.ndarray) and value.ndim:
                piece = value[start : start + view.size]
            pieces.append((path, view.ids, piece))
        start += view.size
    return pieces


def _layers(graph: Graph, group: Group, receptor: int, dt: float) -> list[Layer]:
    """Poisson inputs to one receptor, so that no layer has two for one population."""
    layers: list[list[tuple[str, PoissonInput]]] = []
    for path, source in graph.inputs.items():
        if not isinstance(source, PoissonInput):
            continue
        reached = _reached(graph, group, source, receptor)
        if not reached:
            continue
        for layer in layers:
            taken = {p for _, other in layer for p in _reached(graph, group, other, receptor)}
            if not taken & reached and _steps(layer[0], dt) == _steps((path, source), dt):
                layer.append((path, source))
                break
        else:
            layers.append([(path, source)])
    return [
        Layer(
            max(terms_needed(scales.most_expected(source, dt, path)) for path, source in layer),
            _steps(layer[0], dt),
            tuple(layer),
        )
        for layer in layers
    ]


def _steps(named: tuple[str, PoissonInput], dt: float) -> int:
    from distdyn.network.projection import delay_steps

    path, source = named
    return int(delay_steps(source, dt, path))  # pyright: ignore[reportArgumentType]


def _reached(graph: Graph, group: Group, source: PoissonInput, receptor: int) -> set[str]:
    paths = {graph.path(view.population) for view in source.post} & set(group.paths)
    kind = receptor_of(source)
    return {path for path in paths if receptor_index(group, path, kind) == receptor}


def _layer_operands(
    group: Group, layer: Layer, scale: float, s: Setting
) -> list[tuple[Any, str]]:
    """Two key words, expected count and weight of a layer of Poisson input."""
    words = np.zeros((2, len(group.paths)), np.uint32)
    rates, weights = [], []
    for path, source in layer.inputs:
        units = scales.to_units(source.weight, scale, s.accumulator, f'input "{path}"')
        start = 0
        for view in source.post:
            for index, population in enumerate(group.populations):
                if view.population is population:
                    words[:, index] = stream_key(s.seed, "poisson", path)
                    here = slice(start, start + view.size)
                    weight = units[here] if units.ndim else units
                    rate = source.rate[here] if isinstance(source.rate, np.ndarray) else source.rate
                    weights.append((group.paths[index], view.ids, weight))
                    rates.append((group.paths[index], view.ids, rate))
            start += view.size
    expected = collect(group, rates)
    scaled = tuple(Entry(e.where, _times(e.value, s.dt * 1e-3)) for e in expected.entries)
    expected = Values(scaled, expected.per, expected.size, "float64")
    return [
        (words[0], "uint32"),
        (words[1], "uint32"),
        (expected, "float64"),
        (collect(group, weights), s.accumulator),
    ]


def _times(value: Any, factor: float) -> Any:
    return _Scaled(value, factor) if isinstance(value, Signal) else np.asarray(value) * factor


class _Scaled(Signal):
    """A signal times a number."""

    signal: Signal
    factor: float

    def at(self, tick: Any) -> Any:
        return self.signal.at(tick) * self.factor

    def extremes(self) -> tuple[float, float]:
        low, high = self.signal.extremes()
        return low * self.factor, high * self.factor


def _receptor_scale(graph: Graph, group: Group, receptor: int, s: Setting) -> float:
    """Accumulator units per unit of weight, the same for all populations of the group."""
    sums = dict.fromkeys(group.paths, 0.0)
    for path, projection in graph.projections.items():
        bound = scales.projection_bound(projection)
        kind = receptor_of(projection)
        for post in {graph.path(view.population) for view in projection.post} & set(group.paths):
            if receptor_index(group, post, kind) == receptor:
                sums[post] += bound
    for path, source in graph.inputs.items():
        if isinstance(source, PoissonInput):
            for post in _reached(graph, group, source, receptor):
                sums[post] += scales.poisson_bound(source, s.dt, path)
    return scales.power_of_two(scales.check_all([max(sums.values())], str(group.paths)), s.accumulator)
