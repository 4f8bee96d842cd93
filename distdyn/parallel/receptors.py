"""The numbers of synapses and outputs, by path: whose each of them is, and other values of them.

    "exc.tau"             of the synapse of a connection: a projection, a layer or a Poisson input
    "exc.E"               of its output
    "exc.synapse.beta"    where both have one of this name; so "exc.output.beta"

A cell has one receptor for all connections with equal synapse and output, and a coupling belongs to
the pre cells, which have one for all their projections with equal ones. A number is therefore one
for all connections that share it at some population, and by them with others: it has as many paths,
and whichever is named means it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import equinox as eqx
import jax
import numpy as np

from distdyn.core.coupling import Coupling
from distdyn.core.parameters import fields_of
from distdyn.core.receptor import CUBA
from distdyn.network.layer import Layer
from distdyn.network.network import Graph
from distdyn.network.projection import PoissonInput, Projection
from distdyn.parallel.groups import key_of

FIXED = ("most",)  # what bounds a value, and does not make it
OWNERS = "synapse", "output"

Connection = Projection | PoissonInput | Layer


@dataclass(frozen=True)
class Number:
    """One number of synapses.

    Attributes:
        owner: "synapse" or "output": what of a connection has it.
        name: of the field.
        connections: the paths of all whose number it is, in order of definition.
    """

    owner: str
    name: str
    connections: tuple[str, ...]

    def of(self, graph: Graph) -> tuple[float, dict[str, Any]]:
        """Its value, and what is said of the field."""
        model = _owner(connections(graph)[self.connections[0]], self.owner)
        return float(getattr(model, self.name)), dict(fields_of(model)[self.name].metadata)

    def is_of_coupling(self, graph: Graph) -> bool:
        """Whether it belongs to couplings, which the pre cells have."""
        synapse = connections(graph)[self.connections[0]].synapse
        return self.owner == "synapse" and isinstance(synapse, Coupling)


def connections(graph: Graph) -> dict[str, Connection]:
    """All that has a synapse, by path."""
    inputs = {path: x for path, x in graph.inputs.items() if isinstance(x, PoissonInput)}
    return {**graph.projections, **graph.layers, **inputs}


def numbers(graph: Graph) -> dict[str, Number]:
    """All numbers of synapses and outputs, by each of their paths."""
    found: dict[str, Number] = {}
    sharing = {owner: _sharing(graph, owner) for owner in OWNERS}
    for path, connection in connections(graph).items():
        of = {owner: _names(connection, owner) for owner in OWNERS}
        for owner, names in of.items():
            for name in names:
                is_double = all(name in x for x in of.values())
                known_as = f"{path}.{owner}.{name}" if is_double else f"{path}.{name}"
                found[known_as] = Number(owner, name, sharing[owner][path])
    return found


def with_numbers(graph: Graph, values: Mapping[Number, float]) -> Graph:
    """The network with other values of some numbers.

    Raises:
        DistDynError: a value that is not possible.
    """
    projections, inputs = dict(graph.projections), dict(graph.inputs)
    layers = dict(graph.layers)
    for path, old in connections(graph).items():
        models = {owner: _owner(old, owner) for owner in OWNERS}
        mine = [of for of in values if path in of.connections]
        for of in mine:
            models[of.owner] = eqx.tree_at(
                lambda model, of=of: getattr(model, of.name), models[of.owner], float(values[of])
            )
        if not mine:
            continue
        output = None if old.output is None else models["output"]
        if isinstance(old, Projection):
            projections[path] = Projection(
                old.pre, old.post, old.rule, models["synapse"], output, weight=old.weight,
                delay=old.delay, plasticity=old.plasticity, storage=old.storage,
            )  # fmt: skip
        elif isinstance(old, Layer):
            layers[path] = old.with_receptor(models["synapse"], output)
        else:
            inputs[path] = PoissonInput(
                old.post, old.rate, models["synapse"], output, weight=old.weight, delay=old.delay
            )
    return replace(graph, projections=projections, inputs=inputs, layers=layers)


def _owner(connection: Connection, owner: str) -> Any:
    return connection.synapse if owner == "synapse" else connection.output or CUBA()


def _names(connection: Connection, owner: str) -> list[str]:
    """The fields that are numbers, of all the receptors that the connection has."""
    model = _owner(connection, owner)
    made = [model] if owner == "output" else model.parts
    return [
        name
        for name, field in fields_of(model).items()
        if name not in FIXED
        and not field.metadata.get("static")
        and _is_number(getattr(model, name))
        and all(name in fields_of(part) for part in made)
    ]


def _is_number(x: Any) -> bool:
    is_one = isinstance(x, int | float | np.number | np.ndarray | jax.Array) and np.ndim(x) == 0
    return is_one and not isinstance(x, bool)


def _sharing(graph: Graph, owner: str) -> dict[str, tuple[str, ...]]:
    """Of each connection all with which it shares the numbers of its synapse, or of its output."""
    above: dict[str, str] = {}  # of each connection another one; of one in each set itself
    first: dict[Any, str] = {}  # of each place the first connection that has it

    def top(path: str) -> str:
        while above[path] != path:
            path = above[path]
        return path

    for path, connection in connections(graph).items():
        above[path] = path
        for place in _places(graph, connection, owner):
            above[top(path)] = top(first.setdefault(place, path))
    sets: dict[str, list[str]] = {}
    for path in above:
        sets.setdefault(top(path), []).append(path)
    shared = {name: tuple(of) for name, of in sets.items()}
    return {path: shared[top(path)] for path in above}


def _places(graph: Graph, connection: Connection, owner: str) -> set[Any]:
    """Where its numbers are: in receptors of post, and in couplings of pre populations."""
    found: set[Any] = set()
    for receptor in connection.receptors:
        posts = {graph.path(view.population) for view in connection.post}
        found |= {("receptor", path, receptor.key) for path in posts}
        if isinstance(connection, Projection) and isinstance(receptor.kinetics, Coupling):
            if owner == "synapse":
                pres = {graph.path(view.population) for view in connection.pre}
                found |= {("coupling", path, key_of(receptor.kinetics)) for path in pres}
    return found
