"""What was trained, put into the description of a network.

    given = {"exc.weight": array, "exc.tau": 4., "E.tau_m": 12., "drive": 0.}
    graph, values = with_parameters(graph, given, setting)

Weights of a projection whose synapses are drawn belong to the synapses of one seed: they become
edges. A number of synapses becomes that of all that share it (`parallel.receptors`). The path of a
`CurrentInput` means its current, which is then constant. What belongs to populations is set when
the network has been built.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from distdyn.errors import NameLookupError, ParameterError, WeightError, suggestion
from distdyn.network.distributions import Distribution
from distdyn.network.edges import Edges
from distdyn.network.network import Graph
from distdyn.network.projection import CurrentInput, PoissonInput, Projection
from distdyn.parallel.built import Built
from distdyn.parallel.parameters import Setting
from distdyn.parallel.receptors import numbers, with_numbers


def with_parameters(
    graph: Graph, parameters: Any, setting: Setting
) -> tuple[Graph, dict[str, dict[str, Any]]]:
    """The network with these weights and numbers of synapses; and what is yet to be set.

    Returns:
        The network, and by population its parameters.

    Raises:
        ParameterError: no mapping from paths to numbers or arrays; one number by two of its paths;
            an array of a layer that has another shape.
        NameLookupError: a path that does not exist.
        WeightError: not as many weights as synapses.
    """
    if parameters is None:
        return graph, {}
    if not isinstance(parameters, Mapping):
        raise ParameterError(
            "parameters: give a mapping by path, as `DSTrainer.parameters` is one."
        )
    synapses = functools.cache(functools.partial(_synapses, graph, setting))
    values: dict[str, dict[str, Any]] = {}
    shared, of_synapses = numbers(graph), {}
    projections, inputs = dict(graph.projections), dict(graph.inputs)
    layers = dict(graph.layers)
    poisson = {path: x for path, x in inputs.items() if isinstance(x, PoissonInput)}
    for path, value in parameters.items():
        owner, _, name = path.rpartition(".")
        if name == "weight" and owner in projections:
            projections[owner] = _weighted(
                projections[owner], path, np.asarray(value), setting, synapses
            )
            continue
        if name == "weight" and owner in poisson:
            old, weight = poisson[owner], _one(path, value)
            inputs[owner] = PoissonInput(
                old.post, old.rate, old.synapse, old.output, weight=weight, delay=old.delay
            )
            continue
        if isinstance(current := inputs.get(path), CurrentInput):
            inputs[path] = CurrentInput(current.post, value)
            continue
        if path in shared:
            if shared[path] in of_synapses:
                raise ParameterError(
                    f'parameters: "{path}" is given twice, for connections with equal synapse and '
                    "output share it. Give it by one path."
                )
            of_synapses[shared[path]] = _one(path, value)
            continue
        if (layer := _owner(path, layers)) is not None:
            layers[layer] = layers[layer].with_given(path[len(layer) + 1 :], np.asarray(value))
            continue
        population = _owner(path, graph.populations)
        if population is None:
            known = [
                *graph.populations,
                *layers,
                *shared,
                *(f"{p}.weight" for p in (*projections, *poisson)),
                *(p for p in inputs if p not in poisson),
            ]
            raise NameLookupError(f'parameters: there is no "{path}". {suggestion(path, known)}')
        array = np.asarray(value)
        of = values.setdefault(population, {})
        of[path[len(population) + 1 :]] = array if array.ndim else float(array)
    graph = replace(graph, projections=projections, inputs=inputs, layers=layers)
    return with_numbers(graph, of_synapses), values


def _owner(path: str, members: Mapping[str, Any]) -> str | None:
    """The member with the longest path that this one begins with."""
    found = [of for of in members if path.startswith(f"{of}.")]
    return max(found, key=len, default=None)


def _one(path: str, value: Any) -> float:
    if np.shape(value):
        raise ParameterError(
            f'parameters: "{path}" has shape {list(np.shape(value))}. Give one number, which '
            "is that of all synapses."
        )
    return float(value)


def _synapses(graph: Graph, setting: Setting) -> Built:
    """The network with the synapses that its seed draws."""
    with jax.enable_x64(True):
        return Built(graph, replace(setting, precision="float64"), 0, 1, 1, None, None)


def _weighted(
    old: Projection, path: str, weight: np.ndarray, setting: Setting, synapses: Callable[[], Built]
) -> Projection:
    """The projection with one weight, or one for each of its synapses."""
    rule, delay = old.rule, old.delay
    of_law: Any = None
    if weight.ndim == 0:
        of_law = float(weight)
    elif old.storage == "procedural" and isinstance(old.weight, Distribution):
        of_law = type(old.weight)(*map(float, weight))
    else:
        with jax.enable_x64(True):
            pieces = synapses().synapses(path.removesuffix(".weight"))
        pre, post, _, ms = (np.concatenate(list(of)) for of in zip(*pieces, strict=True))
        order = np.lexsort((np.rint(ms / setting.dt), post, pre))
        if weight.shape != order.shape:
            raise WeightError(
                f'parameters: "{path}" has shape {list(weight.shape)}, but with seed '
                f"{setting.seed} there are {len(order)} synapses. Give one number, or one for each "
                "synapse, with the seed of the training."
            )
        weight = weight.astype(np.float64)
        rule = Edges(pre[order], post[order])
        if not isinstance(delay, int | float):
            delay = ms[order]
    return Projection(
        old.pre, old.post, rule, old.synapse, old.output,
        weight=weight if of_law is None else of_law, delay=delay, plasticity=old.plasticity,
        storage="stored" if isinstance(rule, Edges) else old.storage,
    )  # fmt: skip
