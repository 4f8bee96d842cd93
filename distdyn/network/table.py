"""What `print(network)` shows: a table of its members."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from distdyn.network.population import View
from distdyn.network.projection import PoissonInput, Projection, weight_unit
from distdyn.units import shown

if TYPE_CHECKING:
    from distdyn.network.network import Graph


def table(name: str, graph: Graph) -> str:
    """The members of a network as text, one line each."""
    synapses = sum(projection.expected_synapses for projection in graph.projections.values())
    title = f"{name}: {graph.size:,} neurons, {synapses:,.0f} synapses expected"
    sections = {
        "populations": (("size", "model"), _populations(graph)),
        "projections": (
            ("from", "to", "rule", "synapse", "output", "weight", "delay", "synapses"),
            _projections(graph),
        ),
        "layers": (("from", "to", "module", "synapse", "output", "delay"), _layers(graph)),
        "inputs": (("to", "kind", "value", "synapse", "output", "weight", "delay"), _inputs(graph)),
    }
    blocks = [_block(noun, head, list(rows)) for noun, (head, rows) in sections.items()]
    return "\n\n".join([title, *filter(None, blocks)])


def _populations(graph: Graph) -> Iterator[tuple[str, ...]]:
    for path, population in graph.populations.items():
        size = " x ".join(f"{n:,}" for n in population.shape)
        yield path, size, type(population.model).__name__


def _projections(graph: Graph) -> Iterator[tuple[str, ...]]:
    for path, x in graph.projections.items():
        ends = _names(graph, x.pre), _names(graph, x.post)
        yield (path, *ends, _brief(x.rule), *_receptor(x), f"{x.expected_synapses:,.0f}")


def _layers(graph: Graph) -> Iterator[tuple[str, ...]]:
    for path, x in graph.layers.items():
        module = "drawn" if x.makes else type(x.module).__name__
        output = "" if x.output is None else _brief(x.output)
        ends = _names(graph, x.pre), _names(graph, x.post)
        yield path, *ends, module, _brief(x.synapse), output, _quantity(x.delay, "ms")


def _inputs(graph: Graph) -> Iterator[tuple[str, ...]]:
    for path, x in graph.inputs.items():
        ends = path, _names(graph, x.post)
        if isinstance(x, PoissonInput):
            yield (*ends, "Poisson", _quantity(x.rate, "Hz"), *_receptor(x))
        else:
            yield (*ends, "current", _quantity(x.current, "pA"), "", "", "", "")


def _receptor(x: Projection | PoissonInput) -> tuple[str, str, str, str]:
    output = "" if x.output is None else _brief(x.output)
    delay = "one step" if x.delay is None else _quantity(x.delay, "ms")
    return _brief(x.synapse), output, _quantity(x.weight, weight_unit(x.synapse, x.output)), delay


def _names(graph: Graph, views: tuple[View, ...]) -> str:
    return ", ".join(graph.path(view.population) + view.slice_text() for view in views)


def _quantity(value: Any, unit: str = "") -> str:
    if isinstance(value, float):
        return f"{value:g} {unit}".rstrip()
    if isinstance(value, np.ndarray):
        return f"{value.size:,} values"
    return getattr(value, "__name__", None) or f"{shown(value)} {unit}".rstrip()


def _brief(x: Any) -> str:
    """A model or rule with its numbers, and with what it is told not to do: `COBA(-80)`."""
    words = []
    for name, value in vars(x).items():
        if value is False:
            words.append(f"{name}=False")
        elif isinstance(value, Real) and value is not True:
            words.append(f"{value:g}")
    return f"{type(x).__name__}({', '.join(words)})" if words else type(x).__name__


def _block(noun: str, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """One section with its columns aligned; columns that are empty everywhere are left out."""
    if not rows:
        return ""
    columns = list(zip(*rows, strict=True))
    kept = [(h, c) for h, c in zip((noun, *head), columns, strict=True) if any(c)]
    widths = [max(map(len, (h, *c))) for h, c in kept]
    lines = zip(*((h, *c) for h, c in kept), strict=True)
    return "\n".join(
        "  ".join(f"{word:<{n}}" for word, n in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
