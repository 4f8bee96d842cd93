"""Network: a Python object whose attributes are its members; Graph: these members by path."""

import inspect
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

from distdyn.errors import NameLookupError, NetworkError, suggestion
from distdyn.network.layer import Layer
from distdyn.network.population import Population, View
from distdyn.network.projection import CurrentInput, PoissonInput, Projection
from distdyn.network.table import table
from distdyn.network.values import check_instance
from distdyn.units import shown

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")

Member = Population | Projection | Layer | PoissonInput | CurrentInput


class _Made(type):
    """The class of the classes of networks: when one has been made, its projections learn where."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        network = type.__call__(cls, *args, **kwargs)
        with suppress(NetworkError):  # a name that is not possible: said when the network is used
            for path, member in _walk(network, set()):
                if isinstance(member, Projection):
                    vars(member).update(path=path)
        return network

    @property
    def __signature__(cls) -> inspect.Signature:
        """That of __init__, which is asked for what a network takes."""
        own = inspect.signature(cls.__init__)
        return own.replace(parameters=list(own.parameters.values())[1:])


class Network(metaclass=_Made):
    """The base of networks: populations, projections, layers, inputs and networks as attributes.

    Lists, tuples and dicts of members are walked too, so that paths read `cortex.E`, `layers.0.E`,
    `proj.L4E_L23E`. Attributes that begin with an underscore are private. What is met twice keeps
    its first path. `print` shows a table of the members.
    """

    def __repr__(self) -> str:
        try:
            return table(type(self).__name__, graph(self))
        except NetworkError as error:  # a network that is half written can be printed, too
            return f"{type(self).__name__}: {error}"


@dataclass(frozen=True, eq=False)
class Graph:
    """The members of a network by path: depth first, in order of definition.

    Attributes:
        populations, projections, inputs, layers: the members.
        offsets: the gid of the first neuron of each population.
        size: how many neurons there are.
    """

    populations: dict[str, Population]
    projections: dict[str, Projection]
    inputs: dict[str, PoissonInput | CurrentInput]
    offsets: dict[str, int]
    size: int
    layers: dict[str, Layer]

    def path(self, population: Population) -> str:
        """The path of a population.

        Raises:
            NetworkError: the population does not belong to the network.
        """
        if population not in self._paths:
            raise NetworkError(f"{population!r} does not belong to the network. {_BELONG}")
        return self._paths[population]

    def find(self, path: str) -> tuple[str, str]:
        """The kind of the member at a path, such as `population`, and the path.

        Raises:
            NameLookupError: there is none; the message suggests the nearest.
        """
        kinds = {"population": self.populations, "projection": self.projections}
        kinds |= {"input": self.inputs, "layer": self.layers}
        for kind, members in kinds.items():
            if path in members:
                return kind, path
        names = [name for members in kinds.values() for name in members]
        raise NameLookupError(f"the network has no member {shown(path)}. {suggestion(path, names)}")

    @cached_property
    def _paths(self) -> dict[Population, str]:
        return {population: path for path, population in self.populations.items()}


_BELONG = "Assign it to an attribute of the network: self.E = Population(...)."


def graph(network: Network) -> Graph:
    """All members of a network by path.

    Raises:
        NetworkError: a name or path is not possible, or a projection, layer or input leads to a
            population that is not in the network.
    """
    check_instance(network, Network, "network", "Derive a class from Network.")
    populations, projections, inputs, layers = {}, {}, {}, {}
    for path, member in _walk(network, set()):
        if any(path in known for known in (populations, projections, inputs, layers)):
            raise NetworkError(f'two members have the path "{path}". Rename one of them.')
        if isinstance(member, Population):
            populations[path] = member
        elif isinstance(member, Projection):
            projections[path] = member
        elif isinstance(member, Layer):
            layers[path] = member
        else:
            inputs[path] = member
    *firsts, size = accumulate((p.size for p in populations.values()), initial=0)
    offsets = dict(zip(populations, firsts, strict=True))
    found = Graph(populations, projections, inputs, offsets, size, layers)
    for path, projection in projections.items():
        _check_ends(found, f'projection "{path}"', (*projection.pre, *projection.post))
    for path, source in inputs.items():
        _check_ends(found, f'input "{path}"', source.post)
    for path, layer in layers.items():
        _check_ends(found, f'layer "{path}"', (*layer.pre, *layer.post))
    return found


def _check_ends(found: Graph, what: str, views: Iterable[View]) -> None:
    for view in views:
        if view.population not in found._paths:
            raise NetworkError(f"{what}: {view.population!r} is not in the network. {_BELONG}")


def _walk(node: Any, seen: set[int]) -> Iterator[tuple[str, Member]]:
    """The members below a node and their paths from there; `seen` holds the nodes met already."""
    if id(node) in seen or not isinstance(node, Network | Member | dict | list | tuple):
        return
    seen.add(id(node))
    if isinstance(node, Member):
        yield "", node
        return
    for name, child in _children(node):
        for rest, member in _walk(child, seen):
            if not isinstance(node, list | tuple):  # checked here: other things may have any name
                _check_name(name)
            yield f"{name}.{rest}" if rest else f"{name}", member


def _children(node: Network | dict | list | tuple) -> Iterable[tuple[Any, Any]]:
    if isinstance(node, Network):
        return [(name, x) for name, x in vars(node).items() if not name.startswith("_")]
    return node.items() if isinstance(node, dict) else enumerate(node)


def _check_name(name: Any) -> None:
    if not (isinstance(name, str) and NAME.fullmatch(name)):
        raise NetworkError(
            f"{shown(name)} cannot be the name of a member. Use a letter or _, then up to 63 "
            "letters, digits, _, - or dots."
        )
