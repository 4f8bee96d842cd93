"""Assemble a group: the program that its code comes from, and the operands that it reads."""

import functools
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from distdyn.core.cell import Cell
from distdyn.network.network import Graph
from distdyn.network.projection import PoissonInput
from distdyn.parallel import scale as scales
from distdyn.parallel.groups import Group, reached
from distdyn.parallel.inputs import current_of, layer_operands, poisson_layers
from distdyn.parallel.operands import Entry, Values
from distdyn.parallel.parameters import GroupParameters, Setting, prepare, state_structure
from distdyn.parallel.program import GroupProgram, ReceptorInput


@dataclass
class Assembly:
    """A group ready to run.

    Attributes:
        program: what its code comes from.
        scales: accumulator units per unit of weight, of each receptor.
        operands: arrays, or `Values` that change in time, in the order of the program.
        per: "segment" or "cell" of each operand.
    """

    program: GroupProgram
    scales: tuple[float, ...]
    operands: list[Any] = field(default_factory=list)
    per: list[str] = field(default_factory=list)


def assemble(
    graph: Graph, group: Group, parameters: GroupParameters, ring_slots: tuple[int, ...], s: Setting
) -> Assembly:
    """The program and operands of a group; `ring_slots[r]` is 0 where receptor r has no ring."""
    layers = [poisson_layers(graph, group, r, s.dt) for r in range(len(group.receptors))]
    units = [_receptor_scale(graph, group, r, s) for r in range(len(group.receptors))]
    current = current_of(graph, group)
    is_cell = isinstance(group.systems[0], Cell)
    prepared = prepare(group, parameters, s.dt) if is_cell else None
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
    assembly = Assembly(program, tuple(units))
    put = functools.partial(_put, assembly, group)
    if current is not None:
        put(current, s.precision)
    for k in numeric:
        put(parameters.values[k], s.precision)
    for leaf in jax.tree.leaves(prepared):
        put(leaf, "int32" if np.issubdtype(leaf.dtype, np.integer) else s.precision)
    for r, of in enumerate(layers):
        put(np.full(len(group.paths), 1.0 / units[r]), s.precision)
        for layer in of:
            for operand, dtype in layer_operands(graph, group, r, layer, units[r], s):
                put(operand, dtype)
    if any(layers):
        ids = [np.arange(population.size) for population in group.populations]
        put(np.concatenate(ids), "uint32")
    return assembly


def _put(assembly: Assembly, group: Group, value: Any, dtype: str) -> None:
    """Append an operand, in its dtype."""
    if isinstance(value, Values):
        if not value.is_fixed:
            entries = tuple(Entry(jnp.asarray(e.where), _on_device(e.value)) for e in value.entries)
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


def _on_device(value: Any) -> Any:
    is_number = isinstance(value, int | float | np.ndarray | np.number | jax.Array)
    return jnp.asarray(value) if is_number else value


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


def _receptor_scale(graph: Graph, group: Group, receptor: int, s: Setting) -> float:
    """Accumulator units per unit of weight, the same for all populations of the group."""
    sums = dict.fromkeys(group.paths, 0.0)
    for projection in graph.projections.values():
        bound = scales.projection_bound(projection)
        for post in reached(graph, group, projection, receptor):
            sums[post] += bound
    for path, source in graph.inputs.items():
        if isinstance(source, PoissonInput):
            for post in reached(graph, group, source, receptor):
                sums[post] += scales.poisson_bound(source, s.dt, path)
    largest = scales.check_finite(max(sums.values()), ", ".join(group.paths))
    return scales.power_of_two(largest, s.accumulator)
