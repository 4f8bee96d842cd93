"""The units of a population, as the equations of a network see them.

    variables      E.V, E.refractory     of the cells
                   E.exc.g               of the receptor that projection `exc` has at them
                   E.nmda.s              of the pre end of a coupling with a state of its own

Leaves of the simulator's state on which nothing depends are no variables: what was emitted last,
which follows from the state, and sums that are made anew in every step.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from distdyn.analysis.field.flat import State
from distdyn.analysis.field.model import ModelTree
from distdyn.core.cell import Cell
from distdyn.core.coupling import Coupling
from distdyn.core.flow import Flow
from distdyn.core.integrators.default import default_method, has_noise
from distdyn.core.system import Drive, Tick
from distdyn.network.network import Graph
from distdyn.network.projection import CurrentInput
from distdyn.parallel.built import Built
from distdyn.parallel.groups import Group, key_of, receptor_index
from distdyn.parallel.operands import drawn
from distdyn.parallel.parameters import initial_state, state_structure


class Feed(NamedTuple):
    """A `CurrentInput` at a population.

    Attributes:
        path: of the input.
        index: of each unit which of its currents it has; -1: none.
    """

    path: str
    index: np.ndarray


@dataclass(frozen=True, eq=False)
class Units:
    """A population.

    Attributes:
        path: of the population.
        size: how many units it has.
        tree: the numbers of its system: a `Cell`, or a model that is written as a step.
        structure: of its State.
        variables: of each leaf of the State its name; None: it is no variable.
        first: of each leaf the values with which the simulator begins, in its types.
        feeds: what comes from outside.
    """

    path: str
    size: int
    tree: ModelTree
    structure: Any
    variables: tuple[str | None, ...]
    first: tuple[np.ndarray, ...]
    feeds: tuple[Feed, ...]

    @cached_property
    def cell(self) -> Any:
        """The system with its own parameters."""
        return self.tree.model({})

    @property
    def receptors(self) -> tuple[Any, ...]:
        """Through which others act on it."""
        return self.cell.receptors if isinstance(self.cell, Cell) else ()

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """Those of the model, by name."""
        known = self.tree.parameters.items()
        return {n: v for n, v in known if not n.startswith(("receptors.", "couplings."))}

    @cached_property
    def per_unit(self) -> dict[str, np.ndarray]:
        """What differs between units, by name: parameters, the first state, what feeds them."""
        leaves = enumerate(self.tree.leaves)
        found = {f"leaf {k}": np.asarray(x) for k, x in leaves if np.shape(x) == (self.size,)}
        found |= {f"first {k}": x for k, x in enumerate(self.first)}
        return found | {f"feed {k}": feed.index for k, feed in enumerate(self.feeds)}

    def outside(self, here: Mapping[str, Any], currents: Mapping[str, Any]) -> Any:
        """The current from outside into each unit; None: there is none.

        Args:
            here: `per_unit`, of the units that are here.
            currents: of the inputs by path: one number, or one for each unit that an input reaches.
        """
        total = None
        for k, feed in enumerate(self.feeds):
            index, current = here[f"feed {k}"], jnp.asarray(currents[feed.path])
            mine = current[index] if current.ndim else current
            added = jnp.where(index >= 0, mine, 0.0)
            total = added if total is None else total + added
        return total

    def system(self, here: Mapping[str, Any], changed: State) -> Any:
        """The system of the units that are here, with these parameters in the place of its own."""
        leaves = [here.get(f"leaf {k}", leaf) for k, leaf in enumerate(self.tree.leaves)]
        before = f"{self.path}."
        mine = {n.removeprefix(before): v for n, v in changed.items() if n.startswith(before)}
        known = {name: value for name, value in mine.items() if name in self.tree.place}
        return replace(self.tree, leaves=leaves).model(known)

    def state(self, here: Mapping[str, Any], given: State, sums: Sequence[Any]) -> Any:
        """The State of these variables; of what is none, a value that changes nothing.

        Args:
            here: `per_unit`, of the units that are here.
            given: the variables by name.
            sums: of the weights onto the units, for each receptor that asks for it, else None.
        """
        leaves = []
        for k, name in enumerate(self.variables):
            first = here[f"first {k}"]
            if name is None:
                leaves.append(jnp.zeros_like(first))
            elif np.issubdtype(first.dtype, np.floating):
                leaves.append(given[name])
            else:
                leaves.append(jnp.rint(given[name]).astype(first.dtype))
        state = jax.tree.unflatten(self.structure, leaves)
        if not any(total is not None for total in sums):
            return state
        receptors = tuple(
            r if total is None else r._replace(w=total)
            for r, total in zip(state.receptors, sums, strict=True)
        )
        return state._replace(receptors=receptors)

    def emitted(self, system: Any, state: Any, coupling: int) -> Any:
        """The value of each unit."""
        sent = state.sent[coupling].state
        value = system.couplings[coupling].emit(sent, system.neuron, state.neuron)
        return jnp.broadcast_to(value, _shape(state))

    def stepped(
        self, system: Any, state: Any, arrivals: Sequence[Any], current: Any, dt: float, t: Any
    ) -> tuple[dict[str, Any], Any]:
        """The variables one step later, and who spikes: one step of the simulator."""
        drive = Drive(current, tuple(arrivals))
        if not isinstance(system, Cell):
            drive = Drive(0.0 if current is None else current)
        new, spikes = system.step(state, drive, Tick(np.int64(0), dt, t))
        return self._named(new, _shape(state)), spikes

    def slopes(
        self, system: Any, state: Any, arrivals: Sequence[Any], current: Any, t: Any
    ) -> dict[str, Any]:
        """The derivatives of the variables, per ms."""
        receptors = tuple(
            r.kinetics.arrive(of, arrived)
            for r, of, arrived in zip(system.receptors, state.receptors, arrivals, strict=True)
        )
        flow = Flow(system.neuron, receptors=system.receptors)
        total = flow.total_current(state.neuron, receptors, 0.0 if current is None else current)
        slope = system.neuron.derivative(t, state.neuron, Drive(total))
        zeros = jax.tree.map(jnp.zeros_like, state)
        return self._named(zeros._replace(neuron=slope), _shape(state))

    def _named(self, state: Any, shape: tuple[int, ...]) -> dict[str, Any]:
        leaves = zip(self.variables, jax.tree.leaves(state), strict=True)
        return {
            name: jnp.broadcast_to(jnp.asarray(leaf, jnp.float64), shape)
            for name, leaf in leaves
            if name is not None
        }


def units_of(
    built: Built, given: Mapping[str, Mapping[str, Any]], *, is_continuous: bool
) -> dict[str, Units]:
    """The populations of a network, by path.

    Args:
        built: the network as it is built; is changed by what is given.
        given: parameters of populations, in the place of their own.
        is_continuous: whether it is for a flow.

    Raises:
        NameLookupError: there is no parameter of a name.
        ParameterError: a number outside its domain, or an array that does not fit.
        AnalysisError: a parameter is a signal in time.
    """
    found = {}
    for group in built.groups:
        if group.emitter is not None:
            continue
        trees = [_tree(built, group, path, given.get(path, {})) for path in group.paths]
        cells, parameters = built.parts.cells[0][group.index], built.parameters[0][group.index]
        arrays, names = initial_state(cells, parameters, built.setting)
        structure = state_structure(parameters, built.setting.dt)
        for tree, path in zip(trees, group.paths, strict=True):
            here, ids = cells.of(path)
            found[path] = Units(
                path, len(ids), tree, structure,
                tuple(_variables(built, group, path, names, is_continuous)),
                tuple(array[here] for array in arrays),
                tuple(_feeds(built.graph, path)),
            )  # fmt: skip
    return {path: found[path] for path in built.graph.populations}


def _tree(built: Built, group: Group, path: str, given: Mapping[str, Any]) -> ModelTree:
    """The system of a population with these parameters; `built` has them then, too."""
    k, ids = group.segment[path], built.parts.cells[0][group.index].of(path)[1]
    tree = _without_noise(_drawn(group.systems[k], path, ids, built.setting.seed))
    tree = tree.changed(given, f'population "{path}"', len(ids))
    for name in given:
        built.write_parameter(path, name, tree.parameters[name])
    return tree


def _feeds(graph: Graph, path: str) -> Iterator[Feed]:
    """The inputs of a population, one for each slice of it."""
    for name, source in graph.inputs.items():
        first = 0
        for view in source.post if isinstance(source, CurrentInput) else ():
            if graph.path(view.population) == path:
                index = np.full(view.population.size, -1)
                index[view.start : view.stop : view.step] = first + np.arange(view.size)
                yield Feed(name, index)
            first += view.size


def connection_of(built: Built, path: str, receptor: int) -> str:
    """The path of the first projection or layer that has this receptor at a population."""
    graph, group = built.graph, built.group_of(path)
    for name, connection in {**graph.projections, **graph.layers}.items():
        if path in {graph.path(view.population) for view in connection.post}:
            first, *others = (receptor_index(group, path, r) for r in connection.receptors)
            if receptor == first:
                return name
            if receptor in others:
                return f"{name}.{others.index(receptor) + 1}"
    return f"receptors.{receptor}"


def _variables(
    built: Built, group: Group, path: str, names: Sequence[str], is_continuous: bool
) -> Iterator[str | None]:
    """The name of each leaf of a State, None of those that are no variables."""
    system = group.systems[group.segment[path]]
    for name in names:
        words = name.split(".")
        if words[0] == "sent":
            is_state = words[2] == "state"
            yield _sent(built, group, path, int(words[1]), words[3:]) if is_state else None
        elif words[0] == "receptors":
            number, last = int(words[1]), ".".join(words[2:])
            receptor = system.receptors[number]
            is_sum = isinstance(receptor.kinetics, Coupling)
            is_free = is_sum and (last == "w" or receptor.at_once or is_continuous)
            yield None if is_free else f"{path}.{connection_of(built, path, number)}.{last}"
        else:
            yield f"{path}.{name}"


def _sent(built: Built, group: Group, path: str, number: int, last: Sequence[str]) -> str:
    """The name of a variable of a coupling at its pre end."""
    graph, key = built.graph, group.coupling_keys[group.segment[path]][number]
    for name, projection in graph.projections.items():
        first: Any = projection.receptors[0].kinetics
        if path in {graph.path(view.population) for view in projection.pre}:
            if isinstance(first, Coupling) and key_of(first) == key:
                return ".".join([path, name, *last])
    return ".".join([path, "sent", str(number), *last])


def _drawn(system: Any, path: str, ids: np.ndarray, seed: int) -> ModelTree:
    return ModelTree.of(system, lambda name, value: drawn(value, ids, seed, path, name))


def _without_noise(tree: ModelTree) -> ModelTree:
    """The same of a neuron without diffusion, and with the default method of such equations."""
    system = tree.model({})
    if not isinstance(system, Cell) or not has_noise(system.neuron):
        return tree
    kind = type(system.neuron)
    quiet = object.__new__(type(kind.__name__, (kind,), {"diffusion": None}))
    for name, value in vars(system.neuron).items():
        object.__setattr__(quiet, name, value)
    method = default_method(Flow(quiet, system.receptors))
    return ModelTree.of(replace(system, neuron=quiet, method=method))


def _shape(state: Any) -> tuple[int, ...]:
    return (len(jax.tree.leaves(state)[0]),)
