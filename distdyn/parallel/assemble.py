"""Assemble a group in a part: the program that its code comes from, and the operands it reads."""

from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from distdyn.core.cell import Cell
from distdyn.network.network import Graph
from distdyn.network.projection import PoissonInput
from distdyn.parallel import scale as scales
from distdyn.parallel.groups import Cells, Group, reached
from distdyn.parallel.inputs import current_of, layer_operands, poisson_layers
from distdyn.parallel.operands import Fixed, Values
from distdyn.parallel.parameters import (
    CellParameters,
    Setting,
    prepare,
    prepared_structure,
    state_structure,
)
from distdyn.parallel.program import GroupProgram, ReceptorInput
from distdyn.random import stream_key


@dataclass
class Assembly:
    """A group of a part, ready to run.

    Attributes:
        program: what its code comes from; the same on all parts.
        scales: accumulator units per unit of weight, of each receptor.
        operands: `Fixed`, or `Values` that change in time, in the order of the program.
        dtypes: of the operands.
    """

    program: GroupProgram
    scales: tuple[float, ...]
    operands: list[Any] = field(default_factory=list)
    dtypes: list[str] = field(default_factory=list)

    def put(self, value: Any, dtype: str) -> None:
        """Append an operand."""
        if isinstance(value, Values) and value.is_fixed:
            value = value.fixed()
        self.operands.append(value)
        self.dtypes.append(dtype)


def assemble(
    graph: Graph, cells: Cells, parameters: CellParameters, ring_slots: tuple[int, ...], s: Setting
) -> Assembly:
    """The program and operands of a group; `ring_slots[r]` is 0 where receptor r has no ring."""
    group = cells.group
    layers = [poisson_layers(graph, group, r, s.dt) for r in range(len(group.receptors))]
    units = [1.0] * len(group.receptors)
    if s.is_exact:
        units = [_receptor_scale(graph, group, r, s) for r in range(len(group.receptors))]
    current = current_of(graph, cells, s.seed)
    system = group.systems[0]
    is_cell = isinstance(system, Cell)
    has_noise = isinstance(system, Cell) and system.has_noise
    numeric = [k for k in range(len(parameters.values)) if parameters.is_numeric(k)]
    program = GroupProgram(
        system=_Structure(
            parameters.structure,
            tuple((k, v) for k, v in enumerate(parameters.values) if k not in numeric),
        ),
        prepared=prepared_structure(parameters, s.dt) if is_cell else None,
        state=state_structure(parameters, s.dt),
        receptors=tuple(
            ReceptorInput(slots > 0, tuple(layer.terms for layer in of))
            for slots, of in zip(ring_slots, layers, strict=True)
        ),
        has_current=current is not None,
        has_noise=has_noise,
        dt=s.dt,
        origin=s.origin,
        dtype=s.precision,
    )
    assembly = Assembly(program, tuple(units))
    if current is not None:
        assembly.put(current, s.precision)
    for k in numeric:
        assembly.put(parameters.values[k], s.precision)
    for leaf in prepare(cells, parameters, s.dt) if is_cell else ():
        is_integer = np.issubdtype(leaf.array.dtype, np.integer)
        assembly.put(leaf, "int32" if is_integer else s.precision)
    if has_noise:
        words = np.array([stream_key(s.seed, "noise", path) for path in group.paths], np.uint32)
        for word in words.T:
            assembly.put(Fixed("segment", word), "uint32")
    for r, of in enumerate(layers):
        reach = np.ones(len(group.systems))
        if s.is_exact:
            reach[:] = [scales.reach_of(system.receptors[r].kinetics) for system in group.systems]
        assembly.put(Fixed("segment", reach / units[r]), s.precision)
        for layer in of:
            for operand, dtype in layer_operands(graph, cells, r, layer, units[r], s):
                assembly.put(operand, dtype)
    if program.needs_id:
        assembly.put(Fixed("cell", np.concatenate(cells.ids)), "uint32")
    return assembly


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
        posts = reached(graph, group, projection, receptor)
        bound = scales.projection_bound(projection) if posts else 0.0
        for post in posts:
            sums[post] += bound
    for path, source in graph.inputs.items():
        if isinstance(source, PoissonInput):
            for post in reached(graph, group, source, receptor):
                sums[post] += scales.poisson_bound(source, s.dt, path)
    for layer in graph.layers.values():
        for post in reached(graph, group, layer, receptor):
            sums[post] += layer.most
    largest = scales.check_finite(max(sums.values()), ", ".join(group.paths))
    return scales.power_of_two(largest, s.accumulator)
