"""What evolves: the contract of every model.

A `DynamicalSystem` is a frozen dataclass whose fields are its parameters, and at the same time a
pytree, so that `jax.jit`, `grad` and `vmap` of its functions work directly. Its state is a separate
pytree with the cells on the leading axis. Time, step and randomness are arguments, never looked up.
"""

import abc
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

from distdyn.core.parameters import Parameters, fields_of


class Tick(NamedTuple):
    """One step on the grid, from `t` to `t + dt`; steps are counted, ms derive from them."""

    step: Any  # int64, number of steps done before this one
    dt: float  # ms
    t: Any  # float64, ms, at the beginning of the step
    key: Any = None  # of the noise: of `jax.random`, one for all cells or one per cell; or a Stream
    origin: Any = 0  # int64, the step at which the run began: what was before is given


class Drive(NamedTuple):
    """What reaches a system from outside during a step."""

    current: Any = 0.0  # total input current at the state being evaluated, pA (or the model's unit)
    arrivals: tuple[Any, ...] = ()  # sums of weights due at the end of the step, one per receptor


class DynamicalSystem(Parameters):
    """Anything that evolves: a channel, a neuron, a synapse, a rate model.

    A subclass gives `State` (a NamedTuple of arrays), `init` and `step`; an `ODE` gives
    `derivative` in place of `step`. All are pure functions, elementwise over cells.
    """

    spiking: ClassVar[bool] = False  # True: the output of `step` says which cells spike

    @abc.abstractmethod
    def init(self, id: Any, key: Any) -> Any:
        """The state of one cell at the beginning, from its id and a random key of its own."""

    def check(self, dt: float) -> None:
        """Raise a ParameterError if the parameters do not fit a time step of dt ms."""

    def settle(self, state: Any) -> Any:
        """The state with all that follows from the rest of it; called at the beginning.

        A population's initial values come first: gates of channels go to their steady state for
        the V that was given. Values that are given stay.
        """
        return state

    @abc.abstractmethod
    def step(self, state: Any, drive: Drive, tick: Tick) -> tuple[Any, Any]:
        """Advance by one step; returns the new state and the output."""


def state_fields(model: Any) -> tuple[str, ...]:
    """The names of a model's state variables; of one within another, `INa.m`."""
    return tuple(_leaves(getattr(model, "State", None)))


def filled(State: Any, value: Any) -> Any:
    """A state, or composed state, with this value everywhere."""
    inner = _inner(State)
    return State(*[value if kind is None else filled(kind, value) for kind in inner.values()])


def _leaves(State: Any) -> Iterator[str]:
    for name, kind in _inner(State).items():
        if kind is None:
            yield name
        else:
            yield from (f"{name}.{leaf}" for leaf in _leaves(kind))


def _inner(State: Any) -> dict[str, Any]:
    """The fields of a State: None for an array, or the State of a part."""
    annotations = getattr(State, "__annotations__", {})
    kinds = {name: annotations.get(name) for name in getattr(State, "_fields", ())}
    return {name: kind if hasattr(kind, "_fields") else None for name, kind in kinds.items()}


def emits_spikes(model: Any) -> bool:
    """Whether cells of this model can be the pre end of a projection."""
    return bool(model.spiking) or "V_th" in fields_of(model)


def receives_input(model: Any) -> bool:
    """Whether cells of this model can be the post end of synapses: they have a membrane."""
    return "V" in state_fields(model)


def takes_current(model: Any) -> bool:
    """Whether units of this model can be given a current: they have a membrane, or a derivative."""
    return receives_input(model) or callable(getattr(model, "derivative", None))
