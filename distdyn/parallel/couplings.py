"""Couplings between cells: how values are scaled, and what they have brought before the first step.

Before the run every cell has emitted what it emits at its start. So the rings begin with what is on
its way by then: of a synapse with the delay d, one value for each of the next d steps.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from distdyn.core.coupling import Coupling
from distdyn.errors import SimulationError
from distdyn.ops.coupled import Coupled, Pairs
from distdyn.ops.deliver import deliver
from distdyn.ops.totals import Masks, Totals
from distdyn.parallel.built import Built
from distdyn.parallel.groups import Group
from distdyn.parallel.launch import World
from distdyn.parallel.parameters import emitted
from distdyn.parallel.scale import reach_of
from distdyn.parallel.stack import Stack


class Couplings:
    """The couplings of our parts.

    Args:
        built: whose tables.
        stack: the devices.
        world: the ranks.
        kernels: whether machine code is used.

    Attributes:
        factors: of each emitter, by which the values of its populations are multiplied.
    """

    def __init__(self, built: Built, stack: Stack, world: World, *, kernels: bool) -> None:
        self.built, self.stack, self.world = built, stack, world
        self.team = jnp.array([0, 1]) if kernels else None
        self.emitters = [group for group in built.groups if group.emitter is not None]
        self.scales = {g.index: self._scales(g) for g in self.emitters}
        n = len(stack.devices)
        self.factors = {k: stack.own([1.0 / x] * n) for k, x in self.scales.items()}

    def _scales(self, group: Group) -> np.ndarray:
        of = self._speaker(group)
        k = group.emitter.coupling  # pyright: ignore[reportOptionalMemberAccess]
        return np.array([reach_of(system.couplings[k]) for system in of.systems])

    def _speaker(self, group: Group) -> Group:
        assert group.emitter is not None
        return self.built.groups[group.emitter.group]

    def leaf(self, group: Group, names: Sequence[Sequence[str]]) -> tuple[int, int] | None:
        """Where the values of an emitter are: the group, and the leaf of its state."""
        if group.emitter is None:
            return None
        of, k = group.emitter.group, group.emitter.coupling
        return of, names[of].index(f"sent.{k}.value")

    def failure(self, group: Group, population: int, k: int, neuron: int) -> SimulationError:
        """What is wrong with what a neuron emits."""
        coupling = group.systems[population].couplings[k]
        return SimulationError(
            f'population "{group.paths[population]}": what neuron {neuron} emits by '
            f"{type(coupling).__name__} is beyond {float(coupling.most):g}, or not a number. Give "
            "a larger `most`, use a smaller dt, or check parameters and weights."
        )

    # --- before the first step -------------------------------------------------------------------

    def weigh(self, states: list[list[Any]], names: Sequence[Sequence[str]]) -> None:
        """Tell the receptors that want it the sum of the weights onto each cell."""
        wants = {
            (group.index, r)
            for group in self.built.groups
            for r, receptor in enumerate(group.receptors)
            if isinstance(receptor.kinetics, Coupling) and receptor.kinetics.needs_sum
        }
        tables = [k for k, t in enumerate(self._tables()) if t and (t.group, t.receptor) in wants]
        ones = {
            g.index: [np.ones(int(n)) for n in self.built.parts.shares[g.index].bounds[:, -1]]
            for g in self.emitters
        }
        for (group, receptor), sums in self._sums(tables, ones).items():
            scale = self.built.scale(group, receptor)
            leaf = names[group].index(f"receptors.{receptor}.w")
            self._set(states[group], leaf, [of.sum(axis=0) / scale for of in sums])

    def begin(
        self, states: list[list[Any]], names: Sequence[Sequence[str]], rings: list[list[Any]]
    ) -> None:
        """Let everything have been as it is at the start, for ever. Collective."""
        tables = [k for k, table in enumerate(self._tables()) if table]
        if not self.emitters:
            return
        origin = self.built.setting.origin
        for (group, receptor), sums in self._sums(tables, self._values(states)).items():
            ring = self.built.ring(group, receptor)
            slots = len(sums[0])
            blocks = []
            for of in sums:
                later = of[::-1].cumsum(axis=0, dtype=of.dtype)[::-1]  # of this delay or longer
                block = np.zeros_like(of)
                block[(origin + np.arange(1, slots)) % slots] = later[1:]
                blocks.append(block)
            rings[group][ring] = self.stack.own(blocks)
            systems, scale = self.built.groups[group].systems, self.built.scale(group, receptor)
            reach = np.array([reach_of(system.receptors[receptor].kinetics) for system in systems])
            leaf = names[group].index(f"receptors.{receptor}.g")
            found = []
            for device, of in enumerate(sums):
                g, bounds = of.sum(axis=0) / scale, self.built.parts.cells[device][group].bounds
                g[: bounds[-1]] *= np.repeat(reach, np.diff(bounds))
                found.append(g)
            self._set(states[group], leaf, found)

    def _tables(self) -> list[Any]:
        """The tables of values; None for the others."""
        return [table if table.source in self.scales else None for table in self.built.tables]

    def _set(self, states: list[Any], leaf: int, blocks: Sequence[np.ndarray]) -> None:
        states[leaf] = self.stack.own([block.astype(states[leaf].dtype) for block in blocks])

    def _values(self, states: list[list[Any]]) -> dict[int, list[np.ndarray]]:
        """What all cells emit, by emitter and part, scaled. Collective."""
        mine: list[dict[int, np.ndarray]] = [{} for _ in self.stack.devices]
        parts, parameters = self.built.parts, self.built.parameters
        for speaker in sorted({self._speaker(g).index for g in self.emitters}):
            leaves = [self.stack.blocks(leaf) for leaf in states[speaker]]
            for device, own in enumerate(mine):
                cells = parts.cells[device][speaker]
                state = [leaf[device][: cells.size] for leaf in leaves]
                of = emitted(cells, parameters[device][speaker], state, self.built.setting.dt)
                for g in self.emitters:
                    if self._speaker(g).index == speaker:
                        scale = np.repeat(self.scales[g.index], np.diff(cells.bounds))
                        value = of[g.emitter.coupling]  # pyright: ignore[reportOptionalMemberAccess]
                        own[g.index] = value.astype(np.float64) / scale
        by_part = [of for rank in self.world.allgather(mine) for of in rank]
        return {g.index: [of[g.index] for of in by_part] for g in self.emitters}

    def _sums(
        self, tables: Sequence[int], values: dict[int, list[np.ndarray]]
    ) -> dict[tuple[int, int], list[np.ndarray]]:
        """What values bring to each receptor: by device an array [delay, cell] of integers."""
        found: dict[tuple[int, int], list[np.ndarray]] = {}
        dtype = self.built.setting.accumulator
        for k in tables:
            table = self.built.tables[k]
            key = table.group, table.receptor
            slots = self.built.slots[table.group][table.receptor]
            shape = slots, self.built.parts.length(table.group)
            sums = found.setdefault(key, [np.zeros(shape, dtype) for _ in self.stack.devices])
            for device, rows in enumerate(table.rows):
                with jax.enable_x64(True):
                    of_road: Any = rows
                    if isinstance(rows, Coupled) and self.team is None:
                        of_road = Pairs.of(rows)
                    elif isinstance(rows, Totals) and self.team is None:
                        of_road = Masks.of(rows)
                    ring, table_ = jnp.zeros(shape, dtype), jax.tree.map(jnp.asarray, of_road)
                    for part, of in enumerate(values[table.source]):
                        ring = _deliver(ring, table_, np.int64(part), _words(of), self.team)
                    sums[device] += np.asarray(ring)
        return found


def _words(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, np.float64).view(np.int32)


@jax.jit
def _deliver(ring: Any, rows: Any, part: Any, words: Any, team: Any) -> Any:
    given: Any = part, words, jnp.int64(0), jnp.int32(words.shape[0]), jnp.int64(0), team
    return deliver(ring, rows, *given)
