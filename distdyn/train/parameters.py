"""What is trained, by path: weights, numbers of synapses, and parameters of populations.

    "exc.weight"      one number where it is one, else one for each synapse
    "noise.weight"    of a Poisson input: one number
    "exc.tau"         the number of a synapse or an output, of all that share it (`receptors`)
    "E.tau_m"         one number where it is one, else one for each neuron
    "E.INa.g"         the same of a part of a composed model
    "conv.weight"     an array of a layer, "conv.layers.0.bias" of one inside of it

A parameter lives where its neurons are. One that has a domain stays in it: after each update it is
set to the nearest value that is allowed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P

from distdyn.core.coupling import Coupling
from distdyn.core.integrators import Remembering
from distdyn.core.parameters import fields_of
from distdyn.errors import NameLookupError, TrainError, suggestion
from distdyn.models.sources import Poisson
from distdyn.network.distributions import Distribution
from distdyn.network.layer import arrays_of
from distdyn.network.projection import PoissonInput
from distdyn.parallel.groups import key_of, reached, receptor_index
from distdyn.parallel.inputs import poisson_layers
from distdyn.parallel.operands import Fixed
from distdyn.parallel.parameters import drawn
from distdyn.parallel.receptors import Connection, Number, connections, numbers
from distdyn.random import stream_key
from distdyn.train.layout import NEURON

SMALLEST = 1e-6  # of a parameter that is positive, in parts of what it was at first


@dataclass(frozen=True, eq=False)
class Place:
    """Where a parameter is read: which values of an operand of a group are those.

    Attributes:
        group: which group.
        operand: which of its operands.
        segment: the population's place in its group.
        here: the range of its cells on a device, where the operand is one for each cell.
        devices: of this program, along the axis of neurons.
        some: bool[device, cell], which of these cells, if not all of the population.
    """

    group: int
    operand: int
    segment: int
    here: slice | None = None
    devices: int = 1
    some: np.ndarray | None = None

    def put(self, operands: list[Any], value: Any) -> None:
        """Set the operand to this value."""
        old = operands[self.operand]
        value = value.astype(old.dtype)
        if self.here is None:
            operands[self.operand] = old.at[self.segment].set(value)
            return
        devices = old.reshape(self.devices, -1)
        mine = value if value.ndim == 0 else value.reshape(self.devices, -1)
        if self.some is not None:
            mine = jnp.where(self.some, mine, devices[:, self.here])
        operands[self.operand] = devices.at[:, self.here].set(mine).reshape(-1)


@dataclass(frozen=True, eq=False)
class Parameter:
    """One parameter.

    Attributes:
        path: its name.
        first: its value before training, on the mesh.
        spec: how it lies there.
        low: the least value that it may have; None: any.
        places: where it is read; none: weights, which are in matrices.
        population: whose it is, if a population's.
        number: which it is, if one of synapses.
        is_whole: whether it is an array of a layer, which all devices have.
    """

    path: str
    first: jax.Array
    spec: P
    low: float | None
    places: tuple[Place, ...] = ()
    population: str | None = None
    number: Number | None = None
    is_whole: bool = False

    @property
    def is_dealt(self) -> bool:
        """Whether each part has its own of it; else all have all."""
        return NEURON in self.spec

    def allowed(self, value: Any) -> Any:
        """The nearest value that it may have."""
        return value if self.low is None else jnp.maximum(value, self.low)


def chosen(net: Any, where: Sequence[str] | Callable[[str], bool]) -> list[str]:
    """The paths that `where` holds, or of which it is true: of those of one number the first.

    Raises:
        TrainError: there is none.
    """
    if callable(where):
        shared, found = numbers(net.graph), {}
        for path in filter(where, names(net)):
            found.setdefault(shared.get(path, path), path)
        paths = list(found.values())
    else:
        paths = list(where)
    if not paths:
        raise TrainError('where: nothing is trained. Give paths such as "exc.weight".')
    return paths


def trained(net: Any, paths: Sequence[str]) -> dict[str, Parameter]:
    """The parameters at these paths.

    Raises:
        NameLookupError: there is none at one of them.
        TrainError: two of them are one number.
    """
    shared = numbers(net.graph)
    found = {path: _trained(net, path, shared.get(path)) for path in dict.fromkeys(paths)}
    named: dict[Number, str] = {}
    for path, parameter in found.items():
        if parameter.number is None:
            continue
        first = named.setdefault(parameter.number, path)
        if first != path:
            raise TrainError(
                f'where: "{first}" and "{path}" are one number: connections with equal synapse and '
                "output share a receptor. Name it once, or give them different numbers at first."
            )
    return found


def _trained(net: Any, path: str, number: Number | None) -> Parameter:
    for synapses in net.synapses:
        if path == f"{synapses.path}.weight":
            return _weight(net, synapses, path)
    for plan in net.layers:
        for name, array in arrays_of(plan.first).items():
            if path == f"{plan.path}.{name}":
                return Parameter(path, net.layout.place(array), P(), None, is_whole=True)
    if number is not None:
        return _number(net, path, number)
    owner, _, name = path.rpartition(".")
    source = net.graph.inputs.get(owner)
    if isinstance(source, PoissonInput) and name == "weight":
        return _weight_of_input(net, owner, source)
    model = getattr(net.graph.populations.get(owner), "model", source)
    if isinstance(model, PoissonInput | Poisson) and name == "rate":
        raise TrainError(
            f'where: "{path}" has no derivative: a spike is drawn or is not, whatever surrogates '
            "cells have. Train weights, or give a current (CurrentInput)."
        )
    for population in sorted(net.graph.populations, key=len, reverse=True):
        if path.startswith(f"{population}."):
            return _of_population(net, population, path[len(population) + 1 :])
    raise NameLookupError(f'where: there is no "{path}". {suggestion(path, names(net))}')


def names(net: Any) -> list[str]:
    """All that can be trained."""
    found = [f"{synapses.path}.weight" for synapses in net.synapses]
    found += [f"{plan.path}.{name}" for plan in net.layers for name in arrays_of(plan.first)]
    found += [
        f"{path}.weight"
        for path, source in net.graph.inputs.items()
        if isinstance(source, PoissonInput) and np.ndim(source.weight) == 0
    ]
    found += numbers(net.graph)
    for path, population in net.graph.populations.items():
        group = net.group_of(path)
        if group.has_state and not isinstance(population.model, Poisson):
            found += [f"{path}.{name}" for name in _numeric(net, group.index, path)]
    return found


def of_path(parameters: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The parameters of one member of the network, by their names in it."""
    start = f"{path}."
    return {name.removeprefix(start): x for name, x in parameters.items() if name.startswith(start)}


def _numeric(net: Any, k: int, path: str) -> list[str]:
    parameters = net.built.parameters[0][k]
    return [
        name
        for name, value in zip(parameters.names, parameters.values, strict=True)
        if isinstance(value, Fixed)
        and not name.startswith(("receptors.", "couplings."))
        and name != "t_ref"
    ]


def _weight(net: Any, synapses: Any, path: str) -> Parameter:
    split = synapses.matrices[0]
    leaves = jax.tree.leaves(split.pieces)
    is_stacked = next(
        stacked
        for leaf, stacked in zip(leaves, split.is_stacked, strict=True)
        if leaf is split.pieces.data
    )
    spec = P(NEURON) if is_stacked else P()
    low = _least(net.graph.projections[synapses.path])
    return Parameter(path, synapses.weight, spec, low)


def _least(connection: Connection) -> float | None:
    """The least weight."""
    output = connection.output
    is_nonnegative = connection.synapse.nonnegative or (output and output.nonnegative)
    return 0.0 if is_nonnegative else None


def _weight_of_input(net: Any, path: str, source: PoissonInput) -> Parameter:
    """The one weight of a Poisson input, in the layers of its receptors."""
    name = f"{path}.weight"
    if np.ndim(source.weight):
        raise TrainError(
            f'where: "{name}" is an array. One number can be trained: give one, or as many inputs '
            "as there are weights."
        )
    (receptor,) = source.receptors
    places = []
    for view in source.post:
        home = net.graph.path(view.population)
        group = net.group_of(home)
        k, plan = receptor_index(group, home, receptor), net.plans[group.index]
        layers = poisson_layers(net.graph, group, k, net.setting.dt)
        layer = next(
            i
            for i, of in enumerate(layers)
            if path in dict(of.inputs) and home in reached(net.graph, group, source, k)
        )
        before = prepared(net, group.index).stop + 2 * plan.program.has_noise
        before += sum(1 + 5 * len(x.poisson) for x in plan.program.receptors[:k])
        operand = before + 1 + 5 * layer + 4  # as `parallel.program` has them
        layout, here, some = net.layout, None, None
        if plan.per[operand] == "cell":
            here = layout.here[home]
            ids = np.arange(layout.devices * layout.width(home)).reshape(layout.devices, -1)
            some = np.isin(ids, view.ids)[layout.parts.own]
        segment = group.segment[home]
        places.append(Place(group.index, operand, segment, here, layout.parts.devices, some))
    first = net.layout.place(np.asarray(source.weight, net.setting.precision))
    return Parameter(name, first, P(), _least(source), tuple(places))


def _number(net: Any, path: str, number: Number) -> Parameter:
    """The number in the receptors of the post cells, and in the couplings of the pre cells."""
    found = connections(net.graph)
    places: list[Place] = []
    for connection in (found[of] for of in number.connections):
        for receptor in connection.receptors:
            for view in connection.post:
                home = net.graph.path(view.population)
                k = receptor_index(net.group_of(home), home, receptor)
                owner = "kinetics" if number.owner == "synapse" else "output"
                places.append(_place(net, home, f"receptors.{k}.{owner}.{number.name}"))
            coupling = receptor.kinetics
            if number.owner == "output" or not isinstance(coupling, Coupling):
                continue
            for view in getattr(connection, "pre", ()):
                home = net.graph.path(view.population)
                group = net.group_of(home)
                keys = group.coupling_keys[group.segment[home]]
                k = keys.index(key_of(coupling))
                places.append(_place(net, home, f"couplings.{k}.{number.name}"))
    value, field = number.of(net.graph)
    first = np.asarray(value, net.setting.precision)
    low = _low(field, first)
    return Parameter(path, net.layout.place(first), P(), low, tuple(places), number=number)


def _place(net: Any, population: str, name: str) -> Place:
    """Where a parameter of a population is read, or one of its receptors or couplings."""
    group = net.group_of(population)
    parameters, plan = net.built.parameters[0][group.index], net.plans[group.index]
    leaf = parameters.names.index(name)
    operand = int(plan.program.has_current) + sum(map(parameters.is_numeric, range(leaf)))
    here = net.layout.here[population] if plan.per[operand] == "cell" else None
    devices = net.layout.parts.devices
    return Place(group.index, operand, group.segment[population], here, devices)


def _low(field: Any, first: np.ndarray) -> float | None:
    """The least value of a parameter that is this at first."""
    if field.get("positive"):
        return SMALLEST * float(np.min(first))
    return 0.0 if field.get("nonnegative") else None


def _of_population(net: Any, population: str, name: str) -> Parameter:
    group = net.group_of(population)
    k, path = group.index, f"{population}.{name}"
    if not group.has_state or name not in _numeric(net, k, population):
        known = [x for x in names(net) if x.startswith(f"{population}.")]
        raise NameLookupError(f'where: "{path}" cannot be trained. {suggestion(path, known)}')
    model = net.graph.populations[population].model
    *parts, last = name.split(".")
    owner = reduce(getattr, parts, model)
    value = getattr(owner, last)
    field = fields_of(owner)[last].metadata
    layout, precision = net.layout, net.setting.precision
    if np.ndim(value) or isinstance(value, Distribution):
        size = net.graph.populations[population].size
        first = drawn(value, np.arange(size), net.setting.seed, population, name)
        first = layout.filled(population, first.astype(precision))
        if size:
            first[size:] = first[size - 1]
        placed, spec = layout.place(first, NEURON), P(NEURON)
    else:
        first = np.asarray(float(value), precision)
        placed, spec = layout.place(first), P()
    places = (_place(net, population, name),)
    return Parameter(path, placed, spec, _low(field, first), places, population)


def prepared(net: Any, k: int) -> range:
    """Which operands of a group are the integrator's coefficients."""
    plan, parameters = net.plans[k], net.built.parameters[0][k]
    start = int(plan.program.has_current) + sum(
        map(parameters.is_numeric, range(len(parameters.values)))
    )
    tree = plan.program.prepared
    return range(start, start + (0 if tree is None else tree.num_leaves))


def coefficients(net: Any, k: int, operands: list[Any], segment: Any) -> None:
    """Compute anew what follows from the parameters of a group: the integrator's coefficients."""
    plan, parameters = net.plans[k], net.built.parameters[0][k]
    if plan.program.prepared is None:
        return
    start, made = int(plan.program.has_current), prepared(net, k)
    if not made:
        return
    is_per_cell = plan.per[made.start] == "cell"
    leaves = []
    for index in range(start, made.start):
        if plan.functions[index] is not None:
            leaves.append(
                jnp.full(segment.shape if is_per_cell else (), 0.5, net.setting.precision)
            )
        elif is_per_cell and plan.per[index] == "segment":
            leaves.append(operands[index][segment])
        else:
            leaves.append(operands[index])

    def of_one(*numbers: Any) -> list[Any]:
        rest = iter(numbers)
        values = [
            next(rest) if parameters.is_numeric(i) else value
            for i, value in enumerate(parameters.values)
        ]
        system = jax.tree.unflatten(parameters.structure, values)
        return jax.tree.leaves(system.prepare(net.setting.dt))

    new = jax.vmap(of_one, in_axes=[0 if x.ndim else None for x in leaves])(*leaves)
    operands[made.start : made.stop] = [
        jnp.broadcast_to(x.astype(old.dtype), old.shape)
        for x, old in zip(new, operands[made.start : made.stop], strict=True)
    ]


def first_states(net: Any, k: int, operands: list[Any], held: Any) -> list[Any]:
    """The states of a group before the first step, as they follow from its parameters."""
    group, parameters, plan = net.groups[k], net.built.parameters[0][k], net.plans[k]
    segment, start = held.segments[k], int(plan.program.has_current)
    id = held.ids[k] - jnp.asarray(group.bounds[:-1])[segment]
    words = np.array([stream_key(net.setting.seed, "init", p) for p in group.paths], np.uint32)
    numbers, index = [], start
    for i in range(len(parameters.values)):
        if parameters.is_numeric(i):
            value = operands[index]
            if plan.functions[index] is not None:
                value = jnp.zeros((), net.setting.precision)
            elif plan.per[index] == "segment":
                value = value[segment]
            numbers.append(value)
            index += 1

    def system(numbers: Any) -> Any:
        rest = iter(numbers)
        values = [
            next(rest) if parameters.is_numeric(i) else value
            for i, value in enumerate(parameters.values)
        ]
        return jax.tree.unflatten(parameters.structure, values)

    def begin(id: Any, word: Any, numbers: Any) -> Any:
        key = jax.random.fold_in(jax.random.wrap_key_data(word, impl="threefry2x32"), id)
        return jax.tree.map(jnp.asarray, system(numbers).init(id, key))

    def settle(state: Any, numbers: Any) -> Any:
        new = system(numbers).settle(state)
        return jax.tree.map(lambda x, old: jnp.asarray(x, old.dtype), new, state)

    axes = [0 if x.ndim else None for x in numbers]
    state = jax.vmap(begin, in_axes=(0, 0, axes))(id, jnp.asarray(words)[segment], numbers)
    leaves, structure = jax.tree.flatten(state)
    if net.chosen[k]:
        leaves = _with_chosen(leaves, net.chosen[k])
        state = jax.tree.unflatten(structure, leaves)
        settled = jax.vmap(settle, in_axes=(0, axes))(state, numbers)
        leaves = _with_chosen(jax.tree.leaves(settled), net.chosen[k])
    if isinstance(getattr(group.systems[0], "method", None), Remembering):
        whole = jax.tree.unflatten(structure, leaves)
        remember = jax.vmap(
            lambda state, numbers: system(numbers).remember(state, net.setting.dt).memory,
            in_axes=(0, axes),
        )
        leaves += jax.tree.leaves(remember(whole, numbers))
    return [
        jnp.broadcast_to(x, old.shape).astype(old.dtype)
        for x, old in zip(leaves, held.states[k], strict=True)
    ]


def _with_chosen(leaves: list[Any], chosen: list[tuple[int, Any, Any]]) -> list[Any]:
    """The states with the values in them that the populations give."""
    new = list(leaves)
    for leaf, is_given, values in chosen:
        new[leaf] = jnp.where(is_given, values.astype(new[leaf].dtype), new[leaf])
    return new
