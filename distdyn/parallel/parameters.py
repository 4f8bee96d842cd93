"""The parameters of a group: numbers, arrays and draws resolved, and what follows from them.

What may change without compiling again is kept here, in float64 on the host: parameters as they
are, the integrator's coefficients, and the state before the first step.
"""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from distdyn.core.signal import Signal
from distdyn.parallel.groups import Group
from distdyn.parallel.operands import Values, collect, drawn, parameter
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
    if group.is_schedule:
        return GroupParameters(None, [], [])
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


def prepare(group: Group, parameters: GroupParameters, dt: float) -> Any:
    """The integrator's coefficients, float64, per segment or per cell."""
    values = parameters.values
    is_per_cell = any(isinstance(v, np.ndarray) and len(v) != len(group.paths) for v in values)
    leaves = [_spread(group, v, is_per_cell) for v in values]
    _check_refractory(group, dt)
    size = group.size if is_per_cell else len(group.paths)
    return jax.tree.map(np.asarray, _prepared(parameters.structure, tuple(leaves), dt, size))


def _spread(group: Group, value: Any, is_per_cell: bool) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    if is_per_cell and len(value) == len(group.paths) != group.size:
        return np.repeat(value, np.diff(group.bounds))
    return value


@functools.partial(jax.jit, static_argnames=("structure", "dt", "size"))
def _prepared(structure: Any, leaves: tuple[Any, ...], dt: float, size: int) -> Any:
    def one(leaves: tuple[Any, ...]) -> Any:
        return jax.tree.unflatten(structure, leaves).prepare(dt)

    return jax.vmap(one, axis_size=size)(leaves)  # a model may have no parameter at all


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
    shapes = jax.eval_shape(
        lambda: jax.tree.unflatten(
            parameters.structure,
            [0.5 if isinstance(v, np.ndarray | Values) else v for v in parameters.values],
        ).init(jnp.int64(0), jax.random.key(0, impl="threefry2x32"))
    )
    return jax.tree.structure(shapes)
