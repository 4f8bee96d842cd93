"""The network as a function that has derivatives: of its parameters and of its inputs.

    net = Unrolled(graph, setting, mesh, firing, watch=["out.V"])
    outputs = net(net.parameters, inputs, trial)          # {"out.V": [trial, step, neuron]}

It is the step of the simulator, with floats in the place of integers where arrivals are summed, and
spikes that have a derivative; forwards a spike is exactly what it is there. All trials of a batch
run side by side, each with random numbers of its own. What a device does in a step is in `local`.

Trials and neurons are dealt to the devices of a mesh (`layout`). A weight is where its post neuron
is; between neurons travel spikes forwards and their derivatives backwards; between trials nothing,
but for one sum of all derivatives behind the last step.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import equinox as eqx
import jax
import numpy as np
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from distdyn.core.cell import Cell
from distdyn.core.firing import Firing
from distdyn.network.layer import with_arrays
from distdyn.network.network import Graph
from distdyn.parallel import connect
from distdyn.parallel.assemble import Assembly, assemble
from distdyn.parallel.built import Built
from distdyn.parallel.groups import Group
from distdyn.parallel.launch.team import Team
from distdyn.parallel.operands import Fixed
from distdyn.parallel.parameters import Setting, chosen_states, initial_state
from distdyn.run.record import resolve
from distdyn.train.inputs import Given
from distdyn.train.layers import layer_plans
from distdyn.train.layout import DATA, NEURON, Layout, varying
from distdyn.train.local import GroupPlan, Held, Local, LocalSteps
from distdyn.train.parameters import (
    Parameter,
    coefficients,
    first_states,
    of_path,
    prepared,
    trained,
)
from distdyn.train.remat import chunk_length, scan
from distdyn.train.synapses import synapses, with_weight


class Unrolled:
    """A network as a function of its parameters.

    Args:
        graph: the network.
        setting: dt, seed, precision, first step.
        mesh: of axes `data` and `neuron`.
        firing: how derivatives pass a spike.
        watch: what is returned: `"out.spikes"`, `"out.V"`, as in `DSRunner(record=...)`.
        where: the paths of what is a parameter, as `"exc.weight"`, `"E.tau_m"`.
        team: ranks that share the neurons, each with such a mesh. Collective, then, as calls are.

    Attributes:
        parameters: by path, on the mesh.

    Raises:
        DistDynError: as `DSRunner`; TrainError: something has no derivative.
    """

    def __init__(
        self,
        graph: Graph,
        setting: Setting,
        mesh: Mesh,
        firing: Firing,
        watch: Sequence[str] = (),
        where: Sequence[str] = (),
        team: Team | None = None,
    ) -> None:
        self.graph, self.setting = graph, dataclasses.replace(setting, is_exact=False)
        self.built = Built(
            graph, dataclasses.replace(setting, precision="float64"), 0, 1, 1, None, None
        )
        self.groups = self.built.groups
        self.layout = Layout.of(self.groups, mesh, team)
        self.names: list[list[str]] = []
        self.chosen: list[list[tuple[int, Any, Any]]] = []  # by group: leaf, whose, values given
        held, self.plans = self._groups(firing)
        self.synapses = tuple(
            synapses(self.built, path, self.layout, setting.precision) for path in graph.projections
        )
        self.layers = layer_plans(self.built, setting.precision)
        self.held = held._replace(
            matrices=tuple(s.matrices for s in self.synapses),
            layers=tuple(jax.tree.map(self.layout.place, plan.arrays) for plan in self.layers),
        )
        self.watch = tuple(dict.fromkeys(watch))
        self.found = tuple(self._find(name) for name in self.watch)
        self.where: dict[str, Parameter] = trained(self, where)

    # --- what `resolve` asks ---------------------------------------------------------------------

    def group_of(self, path: str) -> Group:
        """The group in which a population runs."""
        return self.built.group_of(path)

    def state_names(self, path: str) -> list[str]:
        """The names of a population's state variables."""
        return [n for n in self.names[self.group_of(path).index] if not n.startswith("memory.")]

    def parameter_names(self, path: str) -> list[str]:
        """The names of a population's parameters."""
        return self.built.parameters[0][self.group_of(path).index].names

    # --- building --------------------------------------------------------------------------------

    def _groups(self, firing: Firing) -> tuple[Held, tuple[GroupPlan, ...]]:
        plans, columns = [], []
        for group in self.groups:
            ids = self.layout.ids(group) if group.emitter is None else np.zeros((1, 0), int)
            segment = np.searchsorted(group.bounds, ids, side="right") - 1
            cells = self.layout.place(ids.reshape(-1), NEURON)
            segments = self.layout.place(segment.reshape(-1).astype(np.int32), NEURON)
            if not group.has_state:
                self.names.append([])
                self.chosen.append([])
                given = None
                if group.is_schedule:
                    step, cell = connect.schedule(self._cells(group), self.setting)
                    given = self.layout.place(step), self.layout.place(cell.astype(np.int64))
                plans.append(GroupPlan(None, value=self._value(group)))
                columns.append(((), cells, segments, (), given))
                continue
            parameters = self.built.parameters[0][group.index]
            state, names = initial_state(self._cells(group), parameters, self.setting)
            self.names.append(names)
            self.chosen.append(self._chosen(group, names, ids.reshape(-1)))
            states = tuple(
                self.layout.place(leaf[ids.reshape(-1)], NEURON, *(None,) * (leaf.ndim - 1))
                for leaf in state
            )
            slots = self.built.slots[group.index]
            assembly = assemble(self.graph, self._cells(group), parameters, slots, self.setting)
            plan, operands = self._plan(group, assembly, firing, ids)
            plans.append(plan)
            columns.append((operands, cells, segments, states, None))
        operands, cells, segments, states, schedules = zip(*columns, strict=True)
        return Held(operands, cells, segments, states, schedules, (), ()), tuple(plans)

    def _chosen(self, group: Group, names: list[str], ids: np.ndarray) -> list[Any]:
        """The initial values that populations give, over the cells of a group."""
        found = []
        for leaf, mine, values in chosen_states(self._cells(group), names, self.setting.seed):
            whole = np.full(group.size, np.nan)
            whole[mine] = values
            of = whole[ids]
            placed = (self.layout.place(x, NEURON) for x in (~np.isnan(of), np.nan_to_num(of)))
            found.append((leaf, *placed))
        return found

    def _cells(self, group: Group) -> Any:
        return self.built.parts.cells[0][group.index]

    def _value(self, group: Group) -> tuple[int, int] | None:
        if group.emitter is None:
            return None
        of = group.emitter
        return of.group, self.names[of.group].index(f"sent.{of.coupling}.value")

    def _plan(
        self, group: Group, assembly: Assembly, firing: Firing, ids: np.ndarray
    ) -> tuple[GroupPlan, tuple[Any, ...]]:
        operands, functions = [], []
        for value, dtype in zip(assembly.operands, assembly.dtypes, strict=True):
            if isinstance(value, Fixed):
                array = np.asarray(value.array).astype(dtype)
                per_cell = value.per == "cell"
                placed = array[ids.reshape(-1)] if per_cell else array
                operands.append(self.layout.place(placed, *((NEURON,) if per_cell else (None,))))
                functions.append(None)
            else:
                arrays, rest = eqx.partition(value, eqx.is_array)
                operands.append(jax.tree.map(self.layout.place, arrays))
                functions.append(rest)
        per = tuple(value.per for value in assembly.operands)
        words = frozenset(
            k
            for k, (p, dtype) in enumerate(zip(per, assembly.dtypes, strict=True))
            if dtype == "uint32" and p == "segment"
        )
        slots = self.built.slots[group.index]
        rings = tuple(self.built.ring(group.index, r) if n else None for r, n in enumerate(slots))
        program = dataclasses.replace(
            assembly.program, firing=firing if isinstance(group.systems[0], Cell) else None
        )
        plan = GroupPlan(
            program, per, tuple(functions), words, tuple(n - 1 for n in slots if n), rings
        )
        return plan, tuple(operands)

    def _find(self, name: str) -> tuple[str, int, int | None]:
        """A watched variable: its population, group, and leaf; None are the spikes."""
        path, _, last = name.rpartition(".")
        if last == "spikes" and path in self.graph.populations:
            return path, self.group_of(path).index, None
        path, leaf, _ = resolve(self, name)  # pyright: ignore[reportArgumentType]
        k = self.group_of(path).index
        return path, k, self.names[k].index(leaf)

    # --- the function ----------------------------------------------------------------------------

    @property
    def parameters(self) -> dict[str, jax.Array]:
        """What is trained, as it is before."""
        return {path: parameter.first for path, parameter in self.where.items()}

    def canonical(self, path: str, value: Any) -> np.ndarray:
        """A parameter as its users know it: by neuron or by synapse, whatever the mesh is."""
        parameter = self.where[path]
        array = self.layout.fetched(value, *parameter.spec)
        for s in self.synapses:
            if path == f"{s.path}.weight" and s.edges is not None:
                assert s.place is not None
                found = np.zeros(s.edges.shape[1], array.dtype)
                is_one = s.place.reshape(-1) >= 0
                found[s.place.reshape(-1)[is_one]] = array.reshape(-1)[is_one]
                return found
        if parameter.is_whole:
            return array
        if parameter.population is None:
            return array.reshape(()) if array.shape == (1,) else array
        return array[: self.layout.size[parameter.population]] if array.ndim else array

    def laid(self, path: str, canonical: np.ndarray) -> jax.Array:
        """The inverse of `canonical`, on the mesh."""
        parameter, array = self.where[path], np.asarray(canonical)
        spec, dtype = parameter.spec, parameter.first.dtype
        shape = self.layout.shape_of(parameter.first, *spec)
        for s in self.synapses:
            if path == f"{s.path}.weight" and s.edges is not None:
                assert s.place is not None
                whole = np.concatenate([array, np.zeros(1, array.dtype)])[s.place]
                return self.layout.place(whole.reshape(shape).astype(dtype), *spec)
        if parameter.population is not None and array.ndim:
            missing = shape[0] - len(array)
            array = np.pad(array, (0, missing), mode="edge" if len(array) else "constant")
        return self.layout.place(array.reshape(shape).astype(dtype), *spec)

    @property
    def widths(self) -> dict[str, int]:
        """How many neurons what is watched has."""
        named = zip(self.watch, self.found, strict=True)
        return {name: self.layout.size[path] for name, (path, _, _) in named}

    @property
    def longest_delay(self) -> int:
        """In steps."""
        return max((s.slots for s in self.synapses), default=1)

    def __call__(
        self,
        parameters: Mapping[str, jax.Array],
        held: Held,
        given: Given,
        trial: jax.Array,
        *,
        steps: int,
        chunk: int | Literal["auto"] | None = "auto",
        window: int | None = None,
        is_training: bool = False,
    ) -> dict[str, jax.Array]:
        """What is watched, [trial, step, neuron].

        Args:
            parameters: by path.
            held: `self.held`, an argument so that programs do not contain it.
            given: what comes from outside (`given_to`).
            trial: uint32[trial], whose random numbers each trial has.
            steps: how many.
            chunk: the steps that are computed again backwards in one go; "auto": those that need
                the least memory; None: nothing is.
            window: steps after which derivatives are cut; None: they are not.
            is_training: whether layers drop out what is only dropped in training.
        """
        again = chunk_length(steps, self.longest_delay) if chunk == "auto" else chunk
        held = self.with_parameters(held, parameters)

        run = jax.shard_map(
            lambda *x: self._run(
                jax.tree.map(varying, x), LocalSteps(self, window, is_training), steps, again
            ),
            mesh=self.layout.mesh,
            in_specs=(self.specs(held), P(DATA), given.specs()),
            out_specs=[P(None, None, DATA, NEURON)] * len(self.found),
            check_vma=True,
        )
        found = jax.jit(run, inline=True)(held, trial, given)  # it has rules that are only traced
        return self.named(found)

    def named(self, watched: Sequence[Any]) -> dict[str, jax.Array]:
        """[trial, step, neuron] by name, of [rank, step, trial, cell] on the mesh."""
        whole = (y.transpose(2, 1, 0, 3).reshape(*y.shape[2:0:-1], -1) for y in watched)
        return {
            name: y[:, :, : self.layout.size[path]]
            for name, y, (path, _, _) in zip(self.watch, whole, self.found, strict=True)
        }

    def _run(
        self, read: tuple[Held, Any, Given], of: LocalSteps, steps: int, chunk: int | None
    ) -> list[Any]:
        """What is watched, [rank, step, trial, cell], of one device and those like it elsewhere."""
        held, trial, given = read
        begin = Local(self, held, trial).begin()
        return self.together(scan(of, (held, trial), begin, given, steps, chunk))

    def together(self, watched: Sequence[Any]) -> list[Any]:
        """Of [step, trial, cell] on one device those of all ranks. Collective."""
        found, after = [], None
        for y in watched:
            found.append(self.layout.parts.together(y, after))
            after = found[-1]
        return found

    def specs(self, held: Held) -> Held:
        per_cell = P(NEURON)
        return Held(
            operands=tuple(
                tuple(
                    jax.tree.map(lambda _: P(), x)
                    if functions is not None
                    else per_cell
                    if per == "cell"
                    else P()
                    for x, per, functions in zip(of, plan.per, plan.functions, strict=True)
                )
                for of, plan in zip(held.operands, self.plans, strict=True)
            ),
            ids=jax.tree.map(lambda _: per_cell, held.ids),
            segments=jax.tree.map(lambda _: per_cell, held.segments),
            states=jax.tree.map(lambda _: per_cell, held.states),
            schedules=jax.tree.map(lambda _: P(), held.schedules),
            matrices=tuple(tuple(matrix.specs() for matrix in of) for of in held.matrices),
            layers=jax.tree.map(lambda _: P(), held.layers),
        )

    def with_parameters(self, held: Held, parameters: Mapping[str, Any]) -> Held:
        """What a run reads, with these parameters in it, and what follows from them."""
        operands, states = [list(of) for of in held.operands], list(held.states)
        changed = set()
        for path, value in parameters.items():
            for place in self.where[path].places:
                place.put(operands[place.group], value)
                if place.operand < prepared(self, place.group).start:  # a parameter of the cells
                    changed.add(place.group)
        for k in changed:
            coefficients(self, k, operands[k], held.segments[k])
            states[k] = tuple(first_states(self, k, operands[k], held))
        matrices = tuple(
            with_weight(of, parameters[f"{s.path}.weight"])
            if f"{s.path}.weight" in parameters
            else of
            for s, of in zip(self.synapses, held.matrices, strict=True)
        )
        layers = tuple(
            with_arrays(arrays, of_path(parameters, plan.path))
            for plan, arrays in zip(self.layers, held.layers, strict=True)
        )
        return held._replace(
            operands=tuple(map(tuple, operands)), states=tuple(states), matrices=matrices,
            layers=layers,
        )  # fmt: skip
