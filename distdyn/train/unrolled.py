"""The network as a function that has derivatives: of its parameters and of its inputs.

    net = Unrolled(graph, setting, mesh, firing, watch=["out.V"])
    outputs = net(net.parameters, inputs, trial)          # {"out.V": [trial, step, neuron]}

It is the step of the simulator, with floats in the place of integers where arrivals are summed, and
spikes that have a derivative; forwards a spike is exactly what it is there. All trials of a batch
run side by side, each with random numbers of its own. Per step, stamped s = step + 1:

    update(g, s)      every group g takes what is due at s, and spikes
    exchange(s)       every device gets the spikes of all neurons of its trials
    deliver(s)        every projection adds what they bring to its own cells, at s + delay

Trials and neurons are dealt to the devices of a mesh (`layout`). A weight is where its post neuron
is; between neurons travel spikes forwards and their derivatives backwards; between trials nothing,
but for one sum of all derivatives behind the last step.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from distdyn.core.cell import Cell
from distdyn.core.coupling import Coupling
from distdyn.core.firing import Firing
from distdyn.core.system import Tick
from distdyn.network.network import Graph
from distdyn.parallel import connect
from distdyn.parallel.assemble import Assembly, assemble
from distdyn.parallel.built import Built
from distdyn.parallel.groups import Group
from distdyn.parallel.operands import Fixed
from distdyn.parallel.parameters import Setting, chosen_states, initial_state
from distdyn.parallel.program import GroupProgram
from distdyn.run.record import resolve
from distdyn.train.exchange import gathered, read
from distdyn.train.inputs import Given
from distdyn.train.layout import DATA, NEURON, Layout, varying
from distdyn.train.parameters import Parameter, coefficients, first_states, trained
from distdyn.train.remat import chunk_length, scan
from distdyn.train.synapses import Synapses, synapses, with_weight

GOLDEN = np.uint32(0x9E3779B9)  # odd, near 2^32 / phi: the random streams of trials are far apart


@dataclass(frozen=True)
class GroupPlan:
    """What the code of one group depends on.

    Attributes:
        program: the step of its cells; None: a schedule of given spikes, or an emitter.
        per: of each operand "segment" or "cell".
        functions: of each operand what of it is no array.
        words: the operands that key random numbers.
        first_parameter: the operand that is the first of the parameters.
        slots: the longest delay of each ring.
        rings: of each receptor which ring it has; None: nothing arrives.
        value: the group and the leaf whose values an emitter lists.
    """

    program: GroupProgram | None
    per: tuple[str, ...] = ()
    functions: tuple[Any, ...] = ()
    words: frozenset[int] = frozenset()
    slots: tuple[int, ...] = ()
    rings: tuple[int | None, ...] = ()
    value: tuple[int, int] | None = None


class Held(NamedTuple):
    """What a run reads besides parameters and inputs."""

    operands: tuple[tuple[Any, ...], ...]  # by group; of what changes in time the arrays
    ids: tuple[Any, ...]  # int64[cell], by group: which cell of the whole group each one is
    segments: tuple[Any, ...]  # int32[cell], by group: of which population
    states: tuple[tuple[Any, ...], ...]  # by group, before the first step
    schedules: tuple[Any, ...]  # by group: (step, cell) of given spikes, or None
    matrices: tuple[tuple[Any, ...], ...]  # by projection


class Carry(NamedTuple):
    """What a step changes; along the first axis of states trials, of rings slots."""

    step: Any
    states: tuple[list[Any], ...]
    rings: tuple[list[Any], ...]


Added = Mapping[str, Any]  # [trial, column], by path of a projection


class Advanced(NamedTuple):
    """What a step of one device comes to."""

    carry: Carry
    spikes: list[Any]  # [trial, cell], by group; None where there are none
    gathered: list[Any]  # what all devices have sent, [device, trial, cell], by group
    message: Any  # the same as it was sent


# From the states of a group and what is due at its receptors to its new states and its spikes.
Cells = Callable[[list[Any], list[Any]], tuple[list[Any], Any]]


class Unrolled:
    """A network as a function of its parameters.

    Args:
        graph: the network.
        setting: dt, seed, precision, first step.
        mesh: of axes `data` and `neuron`.
        firing: how derivatives pass a spike.
        watch: what is returned: `"out.spikes"`, `"out.V"`, as in `DSRunner(record=...)`.
        where: the paths of what is a parameter, as `"exc.weight"`, `"E.tau_m"`.

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
    ) -> None:
        self.graph, self.setting = graph, dataclasses.replace(setting, is_exact=False)
        self.built = Built(
            graph, dataclasses.replace(setting, precision="float64"), 0, 1, 1, None, None
        )
        self.groups = self.built.groups
        self.layout = Layout.of(self.groups, mesh)
        self.names: list[list[str]] = []
        self.chosen: list[list[tuple[int, Any, Any]]] = []  # by group: leaf, whose, values given
        held, self.plans = self._groups(firing)
        self.synapses = tuple(
            synapses(self.built, path, self.layout, setting.precision) for path in graph.projections
        )
        self.held = held._replace(matrices=tuple(s.matrices for s in self.synapses))
        self.watch = tuple(dict.fromkeys(watch))
        self.found = tuple(self._find(name) for name in self.watch)
        self.where: dict[str, Parameter] = {
            path: trained(self, path) for path in dict.fromkeys(where)
        }

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
        return Held(operands, cells, segments, states, schedules, ()), tuple(plans)

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
        array = np.asarray(value)
        parameter = self.where[path]
        for s in self.synapses:
            if path == f"{s.path}.weight" and s.edges is not None:
                assert s.place is not None
                found = np.zeros(s.edges.shape[1], array.dtype)
                is_one = s.place.reshape(-1) >= 0
                found[s.place.reshape(-1)[is_one]] = array.reshape(-1)[is_one]
                return found
        if parameter.group is None:
            return array.reshape(()) if array.shape == (1,) else array
        population = self.groups[parameter.group].paths[parameter.segment]
        return array[: self.layout.size[population]] if array.ndim else array

    def laid(self, path: str, canonical: np.ndarray) -> jax.Array:
        """The inverse of `canonical`, on the mesh."""
        parameter, array = self.where[path], np.asarray(canonical)
        old = parameter.first
        spec = parameter.spec
        for s in self.synapses:
            if path == f"{s.path}.weight" and s.edges is not None:
                assert s.place is not None
                whole = np.concatenate([array, np.zeros(1, array.dtype)])[s.place]
                return self.layout.place(whole.reshape(old.shape).astype(old.dtype), *spec)
        if parameter.group is not None and array.ndim:
            missing = old.shape[0] - len(array)
            array = np.pad(array, (0, missing), mode="edge" if len(array) else "constant")
        return self.layout.place(array.reshape(old.shape).astype(old.dtype), *spec)

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
        """
        again = chunk_length(steps, self.longest_delay) if chunk == "auto" else chunk
        held = self.with_parameters(held, parameters)

        found = jax.shard_map(
            lambda *x: self._run(jax.tree.map(varying, x), steps, again, window),
            mesh=self.layout.mesh,
            in_specs=(self.specs(held), P(DATA), given.specs()),
            out_specs=[P(None, DATA, NEURON)] * len(self.found),
            check_vma=True,
        )(held, trial, given)
        return {
            name: jnp.moveaxis(y, 0, 1)[:, :, : self.layout.size[path]]
            for name, y, (path, _, _) in zip(self.watch, found, self.found, strict=True)
        }

    def _run(
        self, read: tuple[Held, Any, Given], steps: int, chunk: int | None, window: int | None
    ) -> list[Any]:
        """What is watched, [step, trial, cell], of one device."""
        held, trial, given = read
        begin = Local(self, held, trial).begin()
        return scan(_Steps(self, window), (held, trial), begin, given, steps, chunk)

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
        )

    def with_parameters(self, held: Held, parameters: Mapping[str, Any]) -> Held:
        """What a run reads, with these parameters in it, and what follows from them."""
        operands, states = [list(of) for of in held.operands], list(held.states)
        changed = set()
        for path, value in parameters.items():
            parameter = self.where[path]
            if parameter.group is not None:
                parameter.put(operands[parameter.group], value)
                changed.add(parameter.group)
        for k in changed:
            coefficients(self, k, operands[k], held.segments[k])
            states[k] = tuple(first_states(self, k, operands[k], held))
        matrices = tuple(
            with_weight(of, parameters[f"{s.path}.weight"])
            if f"{s.path}.weight" in parameters
            else of
            for s, of in zip(self.synapses, held.matrices, strict=True)
        )
        return held._replace(
            operands=tuple(map(tuple, operands)), states=tuple(states), matrices=matrices
        )


class Local:
    """The steps of what one device has."""

    def __init__(self, net: Unrolled, held: Held, trial: Any) -> None:
        self.net, self.held = net, held
        self.matrices = [tuple(matrix.local() for matrix in of) for of in held.matrices]
        self.trials = trial.shape[0]
        self.trial = trial * GOLDEN
        self.n = net.layout.devices
        self.dtype = net.setting.precision

    def begin(self) -> Carry:
        """The state before the first step, of each trial the same."""
        states = tuple(
            [jnp.broadcast_to(x, (self.trials, *x.shape)) for x in of] for of in self.held.states
        )
        rings = tuple(
            [jnp.zeros((slots, self.trials, length), self.dtype) for slots in plan.slots]
            for plan, length in zip(self.net.plans, self.net.layout.length, strict=True)
        )
        carry = Carry(jnp.int64(self.net.setting.origin), states, rings)
        return jax.tree.map(varying, self._coupled(carry))

    def _coupled(self, carry: Carry) -> Carry:
        """Everything has been emitted for ever as it is at the start; see `parallel.couplings`."""
        states = tuple(list(of) for of in carry.states)
        rings = tuple(list(of) for of in carry.rings)
        gathered, _ = self._gathered([None] * len(self.net.plans), carry.states, None)
        for s, matrices in zip(self.net.synapses, self.matrices, strict=True):
            for part in range(len(s.targets)):
                if self.net.plans[s.sources[part][0].group].value is None:
                    continue
                x = s.sent(part, gathered, self.net.layout)
                here, ones = (
                    s.brought(part, s.product(of, matrices), self.net.layout)
                    for of in (x, jnp.ones_like(x))
                )
                for (target, y), (_, w) in zip(here, ones, strict=True):
                    self._begin_at(target, s, y, w, carry.step, states, rings)
        return Carry(carry.step, states, rings)

    def _begin_at(
        self, target: Any, s: Synapses, y: Any, w: Any, step: Any, states: Any, rings: Any
    ) -> None:
        net = self.net
        system = net.groups[target.group].systems[0]
        assert isinstance(system, Cell)
        at, names = net.layout.here[target.path], net.names[target.group]

        def add(name: str, value: Any) -> None:
            leaf = names.index(f"receptors.{target.receptor}.{name}")
            of = states[target.group]
            of[leaf] = of[leaf].at[:, at].add(value.astype(of[leaf].dtype))

        add("g", y.sum(axis=1))
        kinetics = system.receptors[target.receptor].kinetics
        if isinstance(kinetics, Coupling) and kinetics.needs_sum:
            add("w", w.sum(axis=1))
        ring = net.plans[target.group].rings[target.receptor]
        of = rings[target.group]
        longest = s.slots
        if s.delay is not None:
            later = jnp.repeat(y, longest, axis=1)
        else:
            later = jnp.flip(jnp.cumsum(jnp.flip(y, 1), axis=1), 1)
        slots = (step + 1 + np.arange(longest)) % of[ring].shape[0]
        of[ring] = of[ring].at[slots, :, at].add(jnp.moveaxis(later, 1, 0))

    def advance(
        self, carry: Carry, given: Given, message: Any = None, added: Added | None = None
    ) -> Advanced:
        """One step; what all have sent may be known, and something be added to products."""
        stamp = carry.step + 1
        tick = Tick(
            carry.step, self.net.setting.dt, carry.step.astype(jnp.float64) * self.net.setting.dt
        )
        states, rings, spikes = [], [], []
        for k, plan in enumerate(self.net.plans):
            if plan.program is None:
                states.append([])
                rings.append([])
                spikes.append(None if plan.value is not None else self._scheduled(k, stamp, given))
                continue
            new, left, spike = self._update(k, plan, carry, given, tick)
            states.append(new)
            rings.append(left)
            spikes.append(spike)
        gathered, message = self._gathered(spikes, states, message)
        self._deliver(gathered, rings, stamp, added or {})
        carry = Carry(stamp, tuple(states), tuple(rings))
        return Advanced(carry, spikes, gathered, message)

    def watched(self, step: Advanced) -> list[Any]:
        """What is watched, after a step."""
        return [
            (step.spikes[k] if leaf is None else step.carry.states[k][leaf])[
                :, self.net.layout.here[path]
            ]
            for path, k, leaf in self.net.found
        ]

    def _update(
        self, k: int, plan: GroupPlan, carry: Carry, given: Given, tick: Tick
    ) -> tuple[list[Any], list[Any], Any]:
        program, segment = plan.program, self.held.segments[k]
        assert program is not None
        operands: list[Any] = [tick.step]
        axes: list[int | None] = [None]
        for index, (x, per, functions) in enumerate(
            zip(self.held.operands[k], plan.per, plan.functions, strict=True)
        ):
            if functions is not None:
                whole = eqx.combine(x, functions).at(tick)
                x = whole[self.held.ids[k]] if per == "cell" else whole[segment]
            elif per == "segment":
                x = x[segment]
            is_word = index in plan.words
            operands.append(x ^ self.trial[:, None] if is_word else x)
            axes.append(0 if is_word else None)
        current = given.current(self.net, k)
        if current is not None:
            if program.has_current:
                operands[1], axes[1] = operands[1] + current, 0
            else:
                program = dataclasses.replace(program, has_current=True)
                operands.insert(1, current)
                axes.insert(1, 0)
        slots = [tick.step + 1, *plan.slots]
        due = [ring[slots[0] % n] for ring, n in zip(carry.rings[k], plan.slots, strict=True)]
        left = [
            jnp.zeros_like(ring) if n == 1 else ring.at[slots[0] % n].set(0)
            for ring, n in zip(carry.rings[k], plan.slots, strict=True)
        ]
        shape = (self.trials, self.net.layout.length[k])

        def cells(state: list[Any], due: list[Any]) -> tuple[list[Any], Any]:
            new, spike = jax.vmap(program, in_axes=(axes, 0, 0))(operands, state, due)
            new = [
                jnp.broadcast_to(jnp.asarray(x).astype(old.dtype), old.shape)
                for x, old in zip(new, state, strict=True)
            ]
            if not jnp.issubdtype(jnp.result_type(spike), jnp.floating):
                spike = spike.astype(self.dtype)
            return new, jnp.broadcast_to(spike if spike.ndim == 2 else spike[:, None], shape)

        new, spike = self.stepped(k, cells, list(carry.states[k]), due)
        return new, left, spike

    def stepped(
        self, k: int, cells: Cells, state: list[Any], due: list[Any]
    ) -> tuple[list[Any], Any]:
        """The cells of a group one step later, and who spikes."""
        return cells(state, due)

    def _scheduled(self, k: int, stamp: Any, given: Given) -> Any:
        """The spikes of a group that are given."""
        step, cell = self.held.schedules[k]
        at = self.held.ids[k]
        due = jnp.zeros(int(self.net.groups[k].bounds[-1]) + 1, self.dtype)
        due = due.at[jnp.where(step == stamp, cell, due.shape[0])].set(1, mode="drop")
        mine = jnp.broadcast_to(due[at], (self.trials, at.shape[0]))
        return given.spikes(self.net, k, mine)

    def _senders(self) -> tuple[list[int], list[int]]:
        """The groups whose spikes somebody asks for, and those whose values."""
        asked = {source.group for s in self.net.synapses for of in s.sources for source in of}
        plans = self.net.plans
        values = [k for k in sorted(asked) if plans[k].value is not None]
        return [k for k in sorted(asked) if plans[k].value is None], values

    def _gathered(
        self, spikes: Sequence[Any], states: Sequence[Any], message: Any
    ) -> tuple[list[Any], Any]:
        """What all devices sent, [device, trial, cell], by group, None where nobody asks; and how.

        Before the first step nobody has spiked: then there are values alone.
        """
        spiking, valued = self._senders()
        spiking = [k for k in spiking if spikes[k] is not None]
        values = [states[group][leaf] for group, leaf in (self._value(k) for k in valued)]
        bits, values, message = gathered(
            [spikes[k] for k in spiking], values, NEURON, self.n, message
        )
        return self._by_group(spiking, bits, valued, values), message

    def _value(self, k: int) -> tuple[int, int]:
        value = self.net.plans[k].value
        assert value is not None
        return value

    def _by_group(
        self, spiking: Sequence[int], bits: Any, valued: Sequence[int], values: Any
    ) -> list[Any]:
        found: list[Any] = [None] * len(self.net.plans)
        for k, whole in zip([*spiking, *valued], [*bits, *values], strict=True):
            # Spikes that are given depend on nothing: what passes back to them is not computed.
            is_given = self.net.plans[k].program is None and k in spiking
            found[k] = jax.lax.stop_gradient(whole) if is_given else whole
        return found

    def received(self, message: Any) -> list[Any]:
        """What is in a message, as `_gathered`."""
        spiking, valued = self._senders()
        length = self.net.layout.length
        widths = [length[k] for k in spiking], [length[self._value(k)[0]] for k in valued]
        bits, values = read(message, *widths, self.dtype)
        return self._by_group(spiking, bits, valued, values)

    def _deliver(
        self, gathered: Sequence[Any], rings: list[list[Any]], stamp: Any, added: Added
    ) -> None:
        layout = self.net.layout
        for s, matrices in zip(self.net.synapses, self.matrices, strict=True):
            if s.path in added:
                matrices = jax.lax.stop_gradient(matrices)
            for part in range(len(s.targets)):
                y = s.product(s.sent(part, gathered, layout), matrices)
                y = y + added[s.path] if s.path in added else y
                for target, of_target in s.brought(part, y, layout):
                    ring = self.net.plans[target.group].rings[target.receptor]
                    assert ring is not None  # something arrives
                    of, at = rings[target.group], layout.here[target.path]
                    of[ring] = _added(of[ring], s, of_target, at, stamp)


@dataclass(frozen=True)
class _Steps:
    """The steps of a device for `scan`; what they read is (held, trial)."""

    net: Unrolled
    window: int | None

    def step(
        self, held: Any, carry: Carry, x: Given, message: Any = None, added: Any = None
    ) -> tuple[Carry, list[Any], Any]:
        if self.window is not None:
            is_cut = (carry.step - self.net.setting.origin) % self.window == 0
            carry = jax.tree.map(lambda x: _cut(x, is_cut), carry)
        local = Local(self.net, *held)
        step = local.advance(carry, x, message, added)
        return step.carry, local.watched(step), step.message

    def _are_late(self) -> list[bool]:
        """Of each projection whether the derivatives of its weights come late.

        With several delays what is added would be as long as a ring for each step.
        """
        return [
            s.delay is not None and len(s.targets) == 1 and f"{s.path}.weight" in self.net.where
            for s in self.net.synapses
        ]

    def late(self, held: Any) -> Any:
        none = jax.tree.map(lambda _: False, held[0])
        matrices = tuple(
            with_weight(matrix, True) if is_late else matrix
            for matrix, is_late in zip(none.matrices, self._are_late(), strict=True)
        )
        return none._replace(matrices=matrices), False

    def zeros(self, held: Any) -> Added:
        layout, trials = self.net.layout, len(held[1])
        return {
            s.path: jnp.zeros(
                (trials, sum(layout.width(t.path) for t in s.targets[0])),
                self.net.setting.precision,
            )
            for s, is_late in zip(self.net.synapses, self._are_late(), strict=True)
            if is_late
        }

    def weights(self, held: Any, messages: Any, derivatives: Added) -> Any:
        of, trial = held

        def merged(x: Any) -> Any:
            return x.reshape(-1, *x.shape[2:])  # steps are as good as trials

        sent = None
        if messages is not None:
            sent = Local(self.net, of, trial).received(jax.vmap(merged, 1)(messages))
        found = []
        for s, matrices in zip(self.net.synapses, of.matrices, strict=True):
            if s.path not in derivatives:
                found.append(matrices)
                continue
            assert sent is not None
            x = s.sent(0, sent, self.net.layout)
            _, pull = jax.vjp(
                lambda of, x=x, s=s: s.product(x, tuple(matrix.local() for matrix in of)), matrices
            )
            found.append(pull(merged(derivatives[s.path]))[0])
        return of._replace(matrices=tuple(found)), trial


def _added(ring: Any, s: Synapses, y: Any, at: slice, stamp: Any) -> Any:
    """The ring with what has been sent at `stamp` in the slots in which it is due."""
    n = ring.shape[0]
    if s.delay is not None:
        slot = 0 if n == 1 else (stamp + s.delay) % n
        return ring.at[slot, :, at].add(y[:, 0])
    slots = (stamp + 1 + np.arange(s.slots)) % n
    return ring.at[slots, :, at].add(jnp.moveaxis(y, 1, 0))


def _cut(x: Any, is_cut: Any) -> Any:
    """The same, through which no derivative passes if it is cut."""
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return x
    return jnp.where(is_cut, jax.lax.stop_gradient(x), x)
