"""Inputs of a group from outside: currents, and Poisson spikes in layers.

A layer holds at most one Poisson input per population, so that the inputs of eight populations cost
as much as that of one.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from distdyn.core.signal import Signal, is_single, seeded
from distdyn.network.network import Graph
from distdyn.network.projection import CurrentInput, PoissonInput, delay_steps
from distdyn.ops.poisson import Terms, terms_needed
from distdyn.parallel import scale as scales
from distdyn.parallel.groups import Cells, Group, reached
from distdyn.parallel.operands import Entry, Fixed, Piece, Values, collect
from distdyn.parallel.parameters import Setting
from distdyn.random import stream_key


@dataclass(frozen=True)
class Layer:
    """One Poisson input per population at most, to one receptor of a group."""

    terms: Terms
    inputs: tuple[tuple[str, PoissonInput], ...]


def current_of(graph: Graph, cells: Cells, seed: int) -> Values | None:
    """The sum of all current inputs, or None if there is none."""
    pieces = []
    for path, source in graph.inputs.items():
        if isinstance(source, CurrentInput):
            current = seeded(source.current, seed, path)
            pieces += _pieces(graph, cells.group, source.post, current)
    return collect(cells, pieces) if pieces else None


def _pieces(graph: Graph, group: Group, post: Any, value: Any) -> list[Piece]:
    """The part of a value over the post end that falls on each population of the group."""
    pieces, start, single = [], 0, is_single(value)
    for view in post:
        path = graph.path(view.population)
        if path in group.segment:
            pieces.append(Piece(path, view.ids, value, 0 if single else start))
        start += view.size
    return pieces


def poisson_layers(graph: Graph, group: Group, receptor: int, dt: float) -> list[Layer]:
    """Poisson inputs to one receptor, so that no layer has two for one population."""
    layers: list[tuple[set[str], list[tuple[str, PoissonInput]]]] = []
    for path, source in graph.inputs.items():
        if not isinstance(source, PoissonInput):
            continue
        posts = reached(graph, group, source, receptor)
        if not posts:
            continue
        for taken, layer in layers:
            if not taken & posts:
                taken |= posts
                layer.append((path, source))
                break
        else:
            layers.append((posts, [(path, source)]))
    return [
        Layer(
            max(terms_needed(scales.most_expected(source, dt, path)) for path, source in layer),
            tuple(layer),
        )
        for _, layer in layers
    ]


def layer_operands(
    graph: Graph, cells: Cells, receptor: int, layer: Layer, scale: float, s: Setting
) -> list[tuple[Any, str]]:
    """Delay (steps), two key words, expected count and weight of a layer of Poisson input."""
    group = cells.group
    words = np.zeros((2, len(group.paths)), np.uint32)
    delays = np.ones(len(group.paths), np.int64)
    rates, weights = [], []
    for path, source in layer.inputs:
        units = scales.to_units(source.weight, scale, s.accumulator, f'input "{path}"')
        posts = reached(graph, group, source, receptor)
        segments = [group.segment[post] for post in posts]
        words[:, segments] = np.array([stream_key(s.seed, "poisson", path)], np.uint32).T
        delays[segments] = int(delay_steps(source, s.dt, path))  # pyright: ignore[reportArgumentType]
        weights += [p for p in _pieces(graph, group, source.post, units) if p.path in posts]
        rate = seeded(source.rate, s.seed, path)
        rates += [p for p in _pieces(graph, group, source.post, rate) if p.path in posts]
    expected = collect(cells, rates)
    scaled = tuple(Entry(e.where, e.take, _times(e.value, s.dt * 1e-3)) for e in expected.entries)
    expected = Values(scaled, expected.per, expected.size, "float64")
    return [
        (Fixed("segment", delays), "int64"),
        (Fixed("segment", words[0]), "uint32"),
        (Fixed("segment", words[1]), "uint32"),
        (expected, "float64"),
        (collect(cells, weights), s.accumulator),
    ]


def _times(value: Any, factor: float) -> Any:
    return value * factor if isinstance(value, Signal) else np.asarray(value) * factor
