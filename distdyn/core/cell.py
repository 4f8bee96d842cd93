"""A cell: the neuron and its receptors as one hybrid system, and the order of a step.

One step, from t to t + dt, on the grid (as in NEST, so that results compare to the last bit):

1. neuron and receptors advance from what they hold at t; while refractory, V is held; a coupling
   without a delay brings before that what the others emitted at t;
2. arrivals due at t + dt enter the receptors (a `Delta` arrival moves V; none while refractory),
   and a neuron whose variables have a range is confined to it;
3. a cell with V >= V_th, not refractory, spikes, is reset and refractory for t_ref / dt steps;
   where the threshold moves, the neuron's `threshold(state)` stands for V_th;
4. for each coupling through which it acts, it emits a value.

Source: Morrison, Straube, Plesser, Diesmann (2007), Neural Comput. 19, 47, for the grid.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from distdyn.core.coupling import Coupling
from distdyn.core.firing import Firing
from distdyn.core.flow import Flow
from distdyn.core.integrators import Method, Remembering, has_noise, has_past, method_of
from distdyn.core.integrators.delayed import check_delay, delays_of
from distdyn.core.ode import ODE, per_cell
from distdyn.core.parameters import fields_of
from distdyn.core.receptor import Receptor
from distdyn.core.system import Drive, DynamicalSystem, Tick
from distdyn.errors import DelayError


class CellState(NamedTuple):
    """State of a cell: neuron, receptors, how long it stays refractory, what it sends, its past."""

    neuron: Any
    receptors: tuple[Any, ...]
    refractory: Any  # int32, steps left; None where the model has no t_ref
    sent: tuple[Any, ...] = ()  # of each coupling through which it acts
    memory: Any = None  # what a method for delays or fractional orders keeps


class Prepared(NamedTuple):
    """What a step needs besides the state; computed once per set of parameters."""

    method: Any
    refractory: Any  # int32, steps


class Cell(DynamicalSystem):
    """A neuron model with receptors, thresholds and refractoriness."""

    neuron: Any  # an ODE; with V_th, reset and t_ref where it has them
    receptors: tuple[Receptor, ...] = ()
    couplings: tuple[Coupling, ...] = eqx.field(default=(), kw_only=True)  # by which it acts
    method: Method = eqx.field(kw_only=True)
    delays: tuple[float, float] | None = eqx.field(default=None, kw_only=True, static=True)

    @classmethod
    def of(cls, neuron: ODE, receptors: tuple[Receptor, ...] = ()) -> "Cell":
        """The cell of this neuron with these receptors, with the neuron's method or the default."""
        delays = delays_of(neuron) if has_past(neuron) else None
        return cls(neuron, receptors, method=method_of(Flow(neuron, receptors)), delays=delays)

    @property
    def flow(self) -> Flow:
        """The ODE between spikes."""
        return Flow(self.neuron, self.receptors)

    @property
    def is_spiking(self) -> bool:
        """Whether the neuron has a threshold."""
        return "V_th" in fields_of(self.neuron)

    @property
    def is_reset(self) -> bool:
        """Whether a spike resets the neuron."""
        return self.is_spiking and callable(getattr(self.neuron, "reset", None))

    @property
    def is_refractory(self) -> bool:
        """Whether the neuron has an absolute refractory period."""
        return self.is_reset and "t_ref" in fields_of(self.neuron)

    @property
    def has_noise(self) -> bool:
        """Whether its steps take random numbers."""
        return has_noise(self.neuron)

    def check(self, dt: float) -> None:
        """Raise a DelayError for a delay shorter than a step of dt ms."""
        if self.delays is not None:
            check_delay(self.neuron, self.delays[0], dt)

    def threshold(self, state: Any) -> Any:
        """Where the neuron spikes: V_th, or what its own `threshold(state)` says."""
        moving = getattr(self.neuron, "threshold", None)
        return moving(state) if callable(moving) else self.neuron.V_th

    def init(self, id: Any, key: Any) -> CellState:
        """The neuron's initial state; receptors empty, not refractory, no memory yet."""
        receptors = tuple(receptor.state() for receptor in self.receptors)
        refractory = jnp.zeros((), jnp.int32) if self.is_refractory else None
        neuron = jax.tree.map(jnp.asarray, self.neuron.init(id, key))
        return CellState(neuron, receptors, refractory, self.first_sent(neuron))

    def first_sent(self, neuron: Any) -> tuple[Any, ...]:
        """What the cell has sent that begins with this state of its neuron."""
        return tuple(coupling.first(self.neuron, neuron) for coupling in self.couplings)

    def settle(self, state: CellState) -> CellState:
        """The neuron settled."""
        neuron = self.neuron.settle(state.neuron)
        return state._replace(neuron=neuron, sent=self.first_sent(neuron))

    def remember(self, state: CellState, dt: float) -> CellState:
        """The state with which a run begins: with a memory of the past, if there must be one."""
        if not isinstance(self.method, Remembering):
            return state
        longest = self.delays[1] if self.delays else 0.0
        point = state.neuron, state.receptors
        return state._replace(memory=self.method.begin(self.flow, point, dt, longest))

    def prepare(self, dt: float) -> Prepared:
        """Coefficients for one cell, to be mapped over cells whose parameters differ."""
        steps = jnp.rint(self.neuron.t_ref / dt).astype(jnp.int32) if self.is_refractory else None
        return Prepared(self.method.prepare(self.flow, dt), steps)

    def step(self, state: CellState, drive: Drive, tick: Tick) -> tuple[CellState, Any]:
        """One step; the output says which cells spike."""
        prepared = per_cell(lambda cell: cell.prepare(tick.dt), self)
        return self.advance(state, drive, tick, prepared)

    def advance(
        self,
        state: CellState,
        drive: Drive,
        tick: Tick,
        prepared: Prepared,
        firing: Firing | None = None,
    ) -> tuple[CellState, Any]:
        """One step with coefficients at hand, in the order that the head of this file gives.

        With a `firing` the spike is a number, and has a derivative.
        """
        held = state.refractory > 0 if self.is_refractory else None
        before = state.neuron
        receptors = self._arrive(state.receptors, drive.arrivals, at_once=True)
        point, memory = (before, receptors), state.memory
        if isinstance(self.method, Remembering):
            point, memory = self.method.advance(
                self.flow, prepared.method, point, memory, drive.current, held, tick
            )
        else:
            point = self.method.advance(
                self.flow, prepared.method, point, drive.current, held, tick
            )
        neuron, receptors = point
        neuron = _as_before(neuron, before)
        neuron, receptors = self.arrive(neuron, receptors, drive.arrivals, held)
        neuron = _as_before(self.neuron.confine(neuron), neuron)
        neuron, refractory, spike, soft = self._fire(
            neuron, before, state.refractory, held, prepared, firing
        )
        sent = tuple(
            self._send(coupling, of, neuron, spike, soft, tick, firing)
            for coupling, of in zip(self.couplings, state.sent, strict=True)
        )
        new = CellState(neuron, receptors, refractory, sent, memory)
        return new, spike if firing is None else soft

    def _send(
        self,
        coupling: Coupling,
        sent: Any,
        neuron: Any,
        spike: Any,
        soft: Any,
        tick: Tick,
        firing: Firing | None,
    ) -> Any:
        """What a coupling sends at the end of a step."""

        def after(spike: Any) -> Any:
            return _as_before(coupling.send(sent, self.neuron, neuron, spike, tick.dt), sent)

        if firing is None or soft is None:
            return after(_is(spike))
        yes, no = (after(jnp.full_like(spike, is_spike)) for is_spike in (True, False))
        return firing.choose(soft, spike, yes, no)

    def _fire(
        self,
        neuron: Any,
        before: Any,
        refractory: Any,
        held: Any,
        prepared: Prepared,
        firing: Firing | None,
    ) -> tuple[Any, Any, Any, Any]:
        """The neuron after its spike, how long it is refractory, the spike, and it as a number."""
        if not self.is_spiking:
            return neuron, refractory, None, None
        threshold = self.threshold(neuron)
        is_above, is_possible, soft = neuron.V >= threshold, True, None
        if not self.is_reset:
            is_possible = before.V < self.threshold(before)
        elif held is not None:
            is_possible = ~held
        spike = is_above if is_possible is True else is_above & is_possible
        if firing is not None:
            soft = firing.spike(spike, neuron.V - threshold, is_possible)
        if not self.is_reset:
            return neuron, refractory, spike, soft
        after = _as_before(self.neuron.reset(neuron), neuron)
        if firing is None:
            neuron = jax.tree.map(lambda new, old: jnp.where(spike, new, old), after, neuron)
        else:
            neuron = firing.reset(soft, spike, after, neuron)
        if held is not None:
            left = refractory - held.astype(refractory.dtype)
            refractory = jnp.where(spike, prepared.refractory.astype(left.dtype), left)
        return neuron, refractory, spike, soft

    def arrive(
        self, neuron: Any, receptors: tuple[Any, ...], arrivals: tuple[Any, ...], held: Any
    ) -> tuple[Any, tuple[Any, ...]]:
        """What the spikes due at the end of the step change."""
        for receptor, weight in zip(self.receptors, arrivals, strict=False):
            if receptor.kinetics.moves_V:
                if held is not None:
                    weight = jnp.where(held, jnp.zeros_like(weight), weight)
                neuron = neuron._replace(V=neuron.V + weight)
        return neuron, self._arrive(receptors, arrivals, at_once=False)

    def _arrive(
        self, receptors: tuple[Any, ...], arrivals: tuple[Any, ...], *, at_once: bool
    ) -> tuple[Any, ...]:
        """What arrives in those receptors that act at once, or in the others."""
        return tuple(
            receptor.kinetics.arrive(state, arrivals[k])
            if k < len(arrivals) and receptor.at_once == at_once and not receptor.kinetics.moves_V
            else state
            for k, (receptor, state) in enumerate(zip(self.receptors, receptors, strict=True))
        )


def _is(spike: Any) -> Any:
    """Whether there is a spike, of cells that may have no threshold."""
    return jnp.zeros((), bool) if spike is None else spike


def _as_before(new: Any, old: Any) -> Any:
    """The same values with the dtypes and shapes that the state had."""
    return jax.tree.map(
        lambda x, like: jnp.broadcast_to(jnp.asarray(x).astype(like.dtype), like.shape), new, old
    )


def check_new_delays(system: Any, changed: Any, dt: float) -> None:
    """Raise a DelayError if a neuron with other parameters does not fit the past that is kept."""
    if not isinstance(system, Cell) or system.delays is None:
        return
    shortest, longest = delays_of(changed)
    check_delay(changed, shortest, dt)
    if longest > system.delays[1] * (1 + 1e-6):
        raise DelayError(
            f"{type(changed).__name__}: a delay of {longest:g} ms, but the last "
            f"{system.delays[1]:g} ms are kept. Begin with the longest delay, or give `longest`."
        )
