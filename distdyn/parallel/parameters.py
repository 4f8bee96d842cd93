"""The parameters of a part's cells: numbers, arrays and draws resolved, and what follows from them.

What may change without compiling again is kept here, in float64 on the host: parameters as they
are, the integrator's coefficients, and the state before the first step. A cell's values do not
depend on which other cells are there: the same code works on blocks of a fixed number of cells.
"""

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from distdyn.core.cell import Cell
from distdyn.core.integrators import Remembering
from distdyn.core.signal import Signal, seeded
from distdyn.core.system import DynamicalSystem
from distdyn.ops.update import BLOCK, in_blocks
from distdyn.parallel.groups import Cells, Group
from distdyn.parallel.operands import Fixed, Piece, Values, collect, drawn, parameter
from distdyn.random import stream_key
from distdyn.units import to_steps

TRANSPARENT = ("neuron", "members")  # fields that hold what has names of its own


@dataclass(frozen=True)
class Setting:
    """What a build is asked for besides the network."""

    dt: float
    seed: int
    precision: str
    origin: int  # the step at which the run begins
    is_exact: bool = True  # arrivals are summed in integers; else as they are, for derivatives

    @property
    def accumulator(self) -> str:
        """The numbers in which arrivals are summed."""
        if not self.is_exact:
            return self.precision
        return "int32" if self.precision == "float32" else "int64"


@dataclass
class CellParameters:
    """The parameters of the cells of a group that a part owns, leaf by leaf of its systems' tree.

    Attributes:
        structure: the tree of one system.
        names: of each leaf, `tau_m` or `receptors.0.tau`.
        values: `Fixed`; `Values` where a leaf changes in time; other things (strings, booleans) as
            they are.
    """

    structure: Any
    names: list[str]
    values: list[Any]

    def is_numeric(self, index: int) -> bool:
        """Whether a leaf is an operand of the step."""
        return isinstance(self.values[index], Fixed | Values)


def cell_parameters(cells: Cells, seed: int) -> CellParameters:
    """Resolve numbers, arrays and distributions of all populations of a group."""
    group = cells.group
    if not group.has_state:
        return CellParameters(None, [], [])
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
            column = [
                seeded(v, seed, f"{path}.{name}")
                for path, v in zip(group.paths, column, strict=True)
            ]
            pieces = [Piece(*x) for x in zip(group.paths, sizes, column, strict=True)]
            values.append(collect(cells, pieces))
        else:
            values.append(parameter(cells, column, name, seed))
    return CellParameters(trees[0][1], names, values)


def _is_signal(x: Any) -> bool:
    return isinstance(x, Signal)


def _name(path: tuple[Any, ...]) -> str:
    words = [
        str(getattr(key, "name", getattr(key, "key", getattr(key, "idx", key)))) for key in path
    ]
    return ".".join([*(word for word in words[:-1] if word not in TRANSPARENT), words[-1]])


def prepare(cells: Cells, parameters: CellParameters, dt: float) -> list[Fixed]:
    """The integrator's coefficients, leaf by leaf, per segment or per cell."""
    _check_refractory(cells.group, dt)
    if not prepared_structure(parameters, dt).num_leaves:
        return []  # nothing to compile
    values = parameters.values
    is_per_cell = any(isinstance(v, Fixed) and v.per == "cell" for v in values)
    n = cells.size if is_per_cell else len(cells.group.paths)
    leaves = [
        np.full(n, 0.5) if isinstance(v, Values) else spread(cells, v) if is_per_cell else _array(v)
        for v in values
    ]
    function = _Prepare(parameters.structure, dt)
    per = "cell" if is_per_cell else "segment"
    prepared = _of_each(function, tuple(leaves), n)
    return [Fixed(per, x) for x in jax.tree.leaves(prepared)]


def prepared_structure(parameters: CellParameters, dt: float) -> Any:
    """The tree of the coefficients."""
    values = [0.5 if isinstance(v, Fixed | Values) else v for v in parameters.values]
    shapes = jax.eval_shape(lambda: jax.tree.unflatten(parameters.structure, values).prepare(dt))
    return jax.tree.structure(shapes)


def _array(value: Any) -> Any:
    return value.array if isinstance(value, Fixed) else value


def spread(cells: Cells, value: Any) -> Any:
    """A fixed value as an array over the cells; anything else as it is."""
    if not isinstance(value, Fixed):
        return value
    if value.per == "cell":
        return value.array
    return np.repeat(value.array, np.diff(cells.bounds))


@dataclass(frozen=True)
class _Prepare:
    """From the parameters of one cell to its coefficients."""

    structure: Any
    dt: float

    def __call__(self, *leaves: Any) -> Any:
        return jax.tree.unflatten(self.structure, leaves).prepare(self.dt)


@dataclass(frozen=True)
class _Init:
    """From the parameters of one cell, the words of its stream and its id to its first state."""

    structure: Any

    def __call__(self, *given: Any) -> Any:
        *leaves, word0, word1, id = given
        words = jnp.stack([word0, word1])
        key = jax.random.fold_in(jax.random.wrap_key_data(words, impl="threefry2x32"), id)
        state = jax.tree.unflatten(self.structure, leaves).init(id, key)
        return jax.tree.map(jnp.asarray, state)


@dataclass(frozen=True)
class _Settle:
    """From the parameters of one cell and its chosen state to the state that it starts in."""

    structure: Any
    state: Any

    def __call__(self, *given: Any) -> Any:
        n = self.structure.num_leaves
        system = jax.tree.unflatten(self.structure, given[:n])
        state = system.settle(jax.tree.unflatten(self.state, given[n:]))
        return jax.tree.map(lambda new, old: jnp.asarray(new, old.dtype), state,
                            jax.tree.unflatten(self.state, given[n:]))  # fmt: skip


def _settles(system: Any) -> bool:
    """Whether some of the state follows from the rest; of most cells nothing does.

    Then there is nothing to compile.
    """
    neuron = getattr(system, "neuron", system)
    is_default = type(neuron).settle is DynamicalSystem.settle
    return bool(getattr(system, "couplings", ())) or not is_default


@dataclass(frozen=True)
class _Sent:
    """From the parameters and the state of one cell to what it emits."""

    structure: Any
    state: Any

    def __call__(self, *given: Any) -> Any:
        n = self.structure.num_leaves
        system = jax.tree.unflatten(self.structure, given[:n])
        state = jax.tree.unflatten(self.state, given[n:])
        return tuple(sent.value for sent in system.first_sent(state.neuron))


@dataclass(frozen=True)
class _Remember:
    """From the parameters and the first state of one cell to its memory."""

    structure: Any
    state: Any
    dt: float

    def __call__(self, *given: Any) -> Any:
        n = self.structure.num_leaves
        system = jax.tree.unflatten(self.structure, given[:n])
        state = jax.tree.unflatten(self.state, given[n:])
        return _Memory(system.remember(state, self.dt).memory)


class _Memory(NamedTuple):
    """Gives the leaves of a memory their place in the names of a state."""

    memory: Any


def _of_each(function: Any, leaves: tuple[Any, ...], n: int) -> Any:
    """`function` of each of n cells, with the same bits whichever others are there."""
    room = max(2, -(-n // BLOCK)) * BLOCK  # a program for each number of blocks, not of cells

    def padded(leaf: Any) -> Any:
        if not isinstance(leaf, np.ndarray):
            return _Hashed(leaf)
        fill = leaf[-1:] if n else np.full(1, 0.5).astype(leaf.dtype)
        return np.concatenate([leaf, np.repeat(fill, room - n)])

    out = _mapped(function, tuple(padded(leaf) for leaf in leaves), np.arange(room))
    return jax.tree.map(lambda x: np.asarray(x)[:n], out)


@functools.partial(jax.jit, static_argnames=("function",))
def _mapped(function: Any, leaves: tuple[Any, ...], number: Any) -> Any:
    arrays = [x for x in leaves if not isinstance(x, _Hashed)]

    def one(_: Any, *values: Any) -> Any:
        rest = iter(values)
        return function(*(x.value if isinstance(x, _Hashed) else next(rest) for x in leaves))

    # Every cell has a number, or there would be no array at all where all is the same for them.
    return in_blocks(jax.vmap(one), number[-1] + 1)(number, *arrays)


def _check_refractory(group: Group, dt: float) -> None:
    for path, system in zip(group.paths, group.systems, strict=True):
        t_ref = getattr(system.neuron, "t_ref", None)
        if t_ref is not None and isinstance(t_ref, int | float | np.ndarray | jax.Array):
            to_steps(t_ref, dt, f'population "{path}": {type(system.neuron).__name__}: t_ref')


def initial_state(
    cells: Cells, parameters: CellParameters, s: Setting
) -> tuple[list[np.ndarray], list[str]]:
    """The state of the cells before the first step, leaf by leaf, and the leaves' names."""
    group = cells.group
    leaves = [
        np.zeros(cells.size) if isinstance(v, Values) else spread(cells, v)
        for v in parameters.values
    ]
    words = np.array([stream_key(s.seed, "init", path) for path in group.paths], np.uint32)
    word0, word1 = np.repeat(words, np.diff(cells.bounds), axis=0).T
    given = (*leaves, word0, word1, np.concatenate(cells.ids))
    state = _of_each(_Init(parameters.structure), given, cells.size)
    paths, structure = jax.tree.flatten_with_path(state)
    names = [_name(path) for path, _ in paths]
    arrays = [np.array(leaf) for _, leaf in paths]
    chosen = chosen_states(cells, names, s.seed)
    for k, mine, values in chosen:
        arrays[k] = arrays[k].astype(np.float64)
        arrays[k][mine] = values
    if chosen and _settles(group.systems[0]):
        settled = _of_each(_Settle(parameters.structure, structure), (*leaves, *arrays), cells.size)
        arrays = [np.array(leaf) for leaf in jax.tree.leaves(settled)]
        for k, mine, values in chosen:
            arrays[k][mine] = values
    if isinstance(getattr(group.systems[0], "method", None), Remembering):
        remember = _Remember(parameters.structure, structure, s.dt)
        memory, _ = jax.tree.flatten_with_path(_of_each(remember, (*leaves, *arrays), cells.size))
        names += [_name(path) for path, _ in memory]
        arrays += [np.array(leaf) for _, leaf in memory]
    return [_cast(array, s.precision) for array in arrays], names


def emitted(
    cells: Cells, parameters: CellParameters, states: list[np.ndarray], dt: float
) -> list[np.ndarray]:
    """What the cells of a group in this state emit through each of their couplings."""
    leaves = [
        np.zeros(cells.size) if isinstance(v, Values) else spread(cells, v)
        for v in parameters.values
    ]
    function = _Sent(parameters.structure, state_structure(parameters, dt))
    return [np.array(x) for x in _of_each(function, (*leaves, *states), cells.size)]


def chosen_states(cells: Cells, names: list[str], seed: int) -> list[tuple[int, slice, np.ndarray]]:
    """The initial values that the populations give: leaf of the state, cells, values."""
    found = []
    for path, population in zip(cells.group.paths, cells.group.populations, strict=True):
        mine, ids = cells.of(path)
        for name, value in population.initial.items():
            values = drawn(value, ids, seed, path, f"initial {name}")
            found.append((names.index(name), mine, values))
    return found


@jax.tree_util.register_static
@dataclass(frozen=True)
class _Hashed:
    """A leaf that is not a number, as it passes through jit."""

    value: Any


def _cast(array: np.ndarray, precision: str) -> np.ndarray:
    return array.astype(precision) if array.dtype.kind == "f" else array


def state_structure(parameters: CellParameters, dt: float) -> Any:
    """The tree of a group's state."""
    return jax.tree.structure(state_shapes(parameters, dt))


def state_shapes(parameters: CellParameters, dt: float) -> Any:
    """The state of one cell, as shapes."""
    leaves = [0.5 if isinstance(v, Fixed | Values) else v for v in parameters.values]
    system = jax.tree.unflatten(parameters.structure, leaves)

    def begin() -> Any:
        state = system.init(jnp.int64(0), jax.random.key(0, impl="threefry2x32"))
        return system.remember(state, dt) if isinstance(system, Cell) else state

    return jax.eval_shape(begin)
