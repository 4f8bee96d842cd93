"""Layers of neural networks between the parts of a network, in turns with the chunks.

A chunk is no longer than the shortest delay of a layer. Behind it every rank gets the spikes that
the layers take, of all ranks, computes the layers whole, step by step, and adds what arrives at its
own cells to their rings:

    chunk(s .. s + d)  ->  x(s + 1) ... x(s + d)  ->  y(s + 1) ... y(s + d), due at + delay > s + d

All ranks run one program, of one step, on one core, so that they get the same bits whatever they
own; on a machine with GPUs it is the CPU that computes it.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from distdyn.errors import SimulationError
from distdyn.network.layer import Layer, applied, begin, cast
from distdyn.network.network import Graph
from distdyn.parallel.built import Built
from distdyn.parallel.chunk import MOST_STEPS
from distdyn.parallel.groups import receptor_index
from distdyn.parallel.launch import World
from distdyn.parallel.result import Emission, spikes_of
from distdyn.parallel.stack import Stack


@dataclass(frozen=True)
class Target:
    """A view of the post end: where it is in y, and our cells of it on each device."""

    group: int
    receptor: int
    cells: tuple[np.ndarray, ...]
    places: tuple[np.ndarray, ...]


class Layers:
    """The layers of a network, as one rank has them.

    Args:
        built: our parts.
        stack: our devices.
        world: the ranks.

    Attributes:
        sources: the populations whose spikes are taken.
        most: the steps of the longest chunk that is possible.
        is_over: whether something went wrong on any rank.
    """

    def __init__(self, built: Built, stack: Stack, world: World) -> None:
        self.built, self.stack, self.world = built, stack, world
        graph, setting = built.graph, built.setting
        self.delays = {p: x.steps(setting.dt, p) for p, x in graph.layers.items()}
        self.most = min(self.delays.values(), default=MOST_STEPS)
        self.sources = frozenset(
            graph.path(view.population) for layer in graph.layers.values() for view in layer.pre
        )
        self.modules, self._run, self._targets = {}, {}, {}
        for path, layer in graph.layers.items():
            module = layer.made(setting.seed, path, setting.precision)
            self.modules[path] = eqx.nn.inference_mode(module)
            self._targets[path] = _targets(built, layer)
            self._run[path] = _program(self.modules[path])
        self.clear()

    def clear(self) -> None:
        """Nothing has been sent yet."""
        self.is_over = False
        self.states = {p: cast(begin(x), self._precision) for p, x in self.modules.items()}

    def __bool__(self) -> bool:
        return bool(self.modules)

    @property
    def _precision(self) -> str:
        return self.built.setting.precision

    def take(
        self,
        start: int,
        done: int,
        emitted: Sequence[Sequence[Emission]],
        rings: list[list[Any]],
        failure: SimulationError | None,
    ) -> SimulationError | None:
        """Add what the spikes of the last steps bring; what went wrong here. Collective."""
        if not self.modules or not done:
            return failure
        mine = spikes_of(emitted, self.built.parts.cells, self.sources, start)
        every, failures = zip(*self.world.allgather((mine, failure is not None)), strict=True)
        for path, layer in self.built.graph.layers.items():
            x = _sent(self.built.graph, layer, every, start, done, self._precision)
            for k in range(done):
                y, self.states[path] = self._run[path](x[k], self.states[path])
                y = np.asarray(y, np.float64).reshape(-1)
                stamp = start + 1 + k
                bad = np.flatnonzero(~(np.abs(y) <= layer.most))
                if bad.size:
                    failure = failure or SimulationError(
                        f'layer "{path}": it gives {y[bad[0]]:g} to neuron {bad[0]} of its post '
                        f"end at step {stamp}, beyond most = {layer.most:g}. Give a larger `most`, "
                        "or check its weights."
                    )
                    y[bad] = 0.0
                self._add(path, y, stamp + self.delays[path], rings)
        self.is_over = any(failures) or failure is not None  # a layer fails on all ranks alike
        return failure

    def _add(self, path: str, y: np.ndarray, due: int, rings: list[list[Any]]) -> None:
        built, dtype = self.built, np.dtype(self.built.setting.accumulator)
        for target in self._targets[path]:
            units = np.rint(y * built.scale(target.group, target.receptor))
            length = built.parts.length(target.group)
            blocks = [np.zeros((1, length), dtype) for _ in self.stack.devices]
            for block, cells, places in zip(blocks, target.cells, target.places, strict=True):
                block[0, cells] = units[places]
            ring = built.ring(target.group, target.receptor)
            of = rings[target.group]
            slot = np.int64(due % built.slots[target.group][target.receptor])
            with jax.enable_x64(True):
                of[ring] = _added(self.stack.mesh, of[ring], self.stack.own(blocks), slot)


def _program(module: Any) -> Any:
    """One step of a module, compiled for one core of the CPU."""
    cpu = jax.local_devices(backend="cpu")[0]
    arrays, rest = eqx.partition(module, eqx.is_array)
    arrays = jax.device_put(arrays, cpu)

    @functools.partial(jax.jit, compiler_options={"xla_cpu_multi_thread_eigen": False})
    def step(arrays: Any, x: Any, state: Any) -> tuple[Any, Any]:
        return applied(eqx.combine(arrays, rest), x, state, None)

    def run(x: np.ndarray, state: Any) -> tuple[Any, Any]:
        with jax.enable_x64(True), jax.default_device(cpu):
            return step(arrays, x, state)

    return run


def _sent(
    graph: Graph, layer: Layer, every: Sequence[dict[str, Any]], start: int, done: int, dtype: str
) -> np.ndarray:
    """What a layer takes at each of these steps: [step, *shape]."""
    x, first = np.zeros((done, layer.ends.n_pre), dtype), 0
    for view in layer.pre:
        for spikes in every:
            step, id = spikes.get(graph.path(view.population), (np.zeros(0, int),) * 2)
            at = (id - view.start) // view.step
            here = (id >= view.start) & (id < view.stop) & ((id - view.start) % view.step == 0)
            x[step[here] - start - 1, first + at[here]] = 1
        first += view.size
    return x.reshape(done, *layer.shape)


def _targets(built: Built, layer: Layer) -> tuple[Target, ...]:
    found, first, (receptor,) = [], 0, layer.receptors
    for view in layer.post:
        path = built.graph.path(view.population)
        group = built.group_of(path)
        ids = np.asarray(view.ids, np.int64)
        pairs = [cells[group.index].find(path, ids) for cells in built.parts.cells]
        cells, places = zip(*pairs, strict=True)
        index = receptor_index(group, path, receptor)
        found.append(Target(group.index, index, cells, tuple(first + at for at in places)))
        first += view.size
    return tuple(found)


@functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
def _added(mesh: Any, ring: Any, block: Any, slot: Any) -> Any:
    """The ring with a row added at a slot, on each device its own."""
    own, same = PartitionSpec("part"), PartitionSpec()
    add = jax.shard_map(
        lambda ring, block, slot: ring.at[slot].add(block[0]),
        mesh=mesh, in_specs=(own, own, same), out_specs=own,
    )  # fmt: skip
    return add(ring, block, jnp.asarray(slot))
