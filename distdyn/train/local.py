"""The steps of what one device has of an unrolled network, and what they read and change.

Per step, stamped s = step + 1:

    update(g, s)      every group g takes what is due at s, and spikes
    exchange(s)       every device gets the spikes of all neurons of its trials
    deliver(s)        every projection adds what they bring to its own cells, at s + delay
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from distdyn.core.cell import Cell
from distdyn.core.coupling import Coupling
from distdyn.core.system import Tick
from distdyn.parallel.program import GroupProgram
from distdyn.train.exchange import gathered, read
from distdyn.train.inputs import Given
from distdyn.train.layout import varying
from distdyn.train.synapses import Synapses, with_weight

if TYPE_CHECKING:
    from distdyn.train.unrolled import Unrolled

GOLDEN = np.uint32(0x9E3779B9)  # odd, near 2^32 / phi: the random streams of trials are far apart


@dataclass(frozen=True)
class GroupPlan:
    """What the code of one group depends on.

    Attributes:
        program: the step of its cells; None: a schedule of given spikes, or an emitter.
        per: of each operand "segment" or "cell".
        functions: of each operand what of it is no array.
        words: the operands that key random numbers.
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
    layers: tuple[Any, ...]  # the arrays of each layer


class Carry(NamedTuple):
    """What a step changes; along the first axis of states trials, of rings slots."""

    step: Any
    states: tuple[list[Any], ...]
    rings: tuple[list[Any], ...]
    layers: tuple[Any, ...]  # the state of each; along the first axis trials


Added = Mapping[str, Any]  # [trial, column], by path of a projection


class Advanced(NamedTuple):
    """What a step of one device comes to."""

    carry: Carry
    spikes: list[Any]  # [trial, cell], by group; None where there are none
    gathered: list[Any]  # what all devices have sent, [device, trial, cell], by group
    message: Any  # the same as it was sent


# From the states of a group and what is due at its receptors to its new states and its spikes.
Cells = Callable[[list[Any], list[Any]], tuple[list[Any], Any]]


def floats_of(net: "Unrolled", k: int) -> list[int]:
    """Which leaves of a group's state are numbers with derivatives."""
    states = net.held.states[k]
    return [i for i, x in enumerate(states) if jnp.issubdtype(x.dtype, jnp.floating)]


class Local:
    """The steps of what one device has."""

    def __init__(
        self, net: "Unrolled", held: Held, trial: Any, *, is_training: bool = False
    ) -> None:
        self.net, self.held, self.is_training = net, held, is_training
        self.matrices = [tuple(matrix.local() for matrix in of) for of in held.matrices]
        self.trials = trial.shape[0]
        self.trial = trial * GOLDEN
        self.dtype = net.setting.precision
        self.after: Any = None  # what must be there before an exchange that is not of a step

    def leaves(self, k: int) -> list[int]:
        """Which leaves of a group's state are numbers with derivatives."""
        return floats_of(self.net, k)

    def begin(self) -> Carry:
        """The state before the first step, of each trial the same."""
        states = tuple(
            [jnp.broadcast_to(x, (self.trials, *x.shape)) for x in of] for of in self.held.states
        )
        rings = tuple(
            [jnp.zeros((slots, self.trials, length), self.dtype) for slots in plan.slots]
            for plan, length in zip(self.net.plans, self.net.layout.length, strict=True)
        )
        layers = tuple(plan.begin(self.trials) for plan in self.net.layers)
        carry = Carry(jnp.int64(self.net.setting.origin), states, rings, layers)
        return jax.tree.map(varying, self._coupled(carry))

    def _coupled(self, carry: Carry) -> Carry:
        """Everything has been emitted for ever as it is at the start; see `parallel.couplings`."""
        states = tuple(list(of) for of in carry.states)
        rings = tuple(list(of) for of in carry.rings)
        gathered, _ = self._gathered([None] * len(self.net.plans), carry.states, None, self.after)
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
        return carry._replace(states=states, rings=rings)

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
        layers = self._pass_layers(gathered, carry.layers, rings, stamp)
        carry = Carry(stamp, tuple(states), tuple(rings), layers)
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
        due = self.arrived(k, due, slots[0])
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

    def arrived(self, k: int, due: list[Any], stamp: Any) -> list[Any]:
        """What is due at the receptors of a group, [trial, cell] by ring."""
        return due

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
        asked |= {source.group for plan in self.net.layers for source in plan.sources}
        plans = self.net.plans
        values = [k for k in sorted(asked) if plans[k].value is not None]
        return [k for k in sorted(asked) if plans[k].value is None], values

    def _gathered(
        self, spikes: Sequence[Any], states: Sequence[Any], message: Any, after: Any = None
    ) -> tuple[list[Any], Any]:
        """What all devices sent, [device, trial, cell], by group, None where nobody asks; and how.

        Before the first step nobody has spiked: then there are values alone.
        """
        spiking, valued = self._senders()
        spiking = [k for k in spiking if spikes[k] is not None]
        values = [states[group][leaf] for group, leaf in (self._value(k) for k in valued)]
        bits, values, message = gathered(
            [spikes[k] for k in spiking], values, self.net.layout.parts, message, after
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
                    of[ring] = _put(of[ring], s, of_target, at, stamp)

    def _pass_layers(
        self, gathered: Sequence[Any], states: Sequence[Any], rings: list[list[Any]], stamp: Any
    ) -> tuple[Any, ...]:
        """Add what layers give; their states afterwards."""
        layout, new = self.net.layout, []
        for plan, arrays, state in zip(self.net.layers, self.held.layers, states, strict=True):
            y, state = plan.step(
                arrays, gathered, layout, state, self.trial, stamp, is_training=self.is_training
            )
            new.append(state)
            for target, of_target in plan.brought(y, layout):
                ring = self.net.plans[target.group].rings[target.receptor]
                assert ring is not None  # something arrives
                of = rings[target.group]
                slot = (stamp + plan.delay) % of[ring].shape[0]
                of[ring] = of[ring].at[slot, :, layout.here[target.path]].add(of_target)
        return tuple(new)


@dataclass(frozen=True)
class LocalSteps:
    """The steps of a device as pure functions, for `scan`; what they read is (held, trial)."""

    net: "Unrolled"
    window: int | None
    is_training: bool = False

    def step(
        self, held: Any, carry: Carry, x: Given, message: Any = None, added: Any = None
    ) -> tuple[Carry, list[Any], Any]:
        if self.window is not None:
            is_cut = (carry.step - self.net.setting.origin) % self.window == 0
            carry = jax.tree.map(lambda x: _cut(x, is_cut), carry)
        local = Local(self.net, *held, is_training=self.is_training)
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


def _put(ring: Any, s: Synapses, y: Any, at: slice, stamp: Any) -> Any:
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
