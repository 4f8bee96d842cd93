"""Models just large enough to describe networks with them."""

from typing import Any, ClassVar, NamedTuple

from distdyn.core.ode import ODE
from distdyn.core.parameters import param
from distdyn.core.receptor import Kinetics, Output
from distdyn.core.signal import Signal
from distdyn.core.system import DynamicalSystem


class Cell(DynamicalSystem):
    """A cell with a threshold."""

    tau_m: Any = param(20.0, "ms", positive=True)
    t_ref: Any = param(2.0, "ms", nonnegative=True)
    V_th: Any = param(-50.0, "mV")
    V_reset: Any = param(-60.0, "mV")
    I_e: Any = 0.0

    class State(NamedTuple):
        V: Any
        w: Any

    def init(self, id, key):
        return self.State(-60.0, 0.0)

    def step(self, state, drive, tick):
        return state, None


class Membrane(DynamicalSystem):
    """A cell without a threshold."""

    class State(NamedTuple):
        V: Any

    def init(self, id, key):
        return self.State(-60.0)

    def step(self, state, drive, tick):
        return state, None


class Generator(DynamicalSystem):
    """A source of spikes without a membrane."""

    spiking: ClassVar[bool] = True
    rate: Any = param(10.0, "Hz", nonnegative=True)

    class State(NamedTuple):
        next: Any

    def init(self, id, key):
        return self.State(0)

    def step(self, state, drive, tick):
        return state, None


class Rate(ODE):
    """A rate: no membrane, but a derivative."""

    class State(NamedTuple):
        r: Any

    def init(self, id, key):
        return self.State(r=0.0)

    def derivative(self, t, s, drive):
        return self.State(r=drive.current - s.r)


class Decay(Kinetics):
    """Exponential decay."""

    tau: Any = param(5.0, "ms", positive=True)

    class State(NamedTuple):
        g: Any

    def init(self):
        return self.State(0.0)

    def derivative(self, state):
        return self.State(-state.g / self.tau)

    def arrive(self, state, weight):
        return self.State(state.g + weight)


class Jump(Kinetics):
    """Arrivals move V."""

    moves_V: ClassVar[bool] = True

    class State(NamedTuple):
        pass

    def init(self):
        return self.State()

    def derivative(self, state):
        return state

    def arrive(self, state, weight):
        return state


class Conductance(Output):
    """g times the distance to E."""

    nonnegative: ClassVar[bool] = True
    unit: ClassVar[str] = "nS"
    E: Any = param(0.0, "mV")

    def current(self, g, V):
        return g * (self.E - V)


class Ramp(Signal):
    """From low to high in one second."""

    low: float
    high: float

    def at(self, tick):
        return self.low + (self.high - self.low) * tick.t / 1000.0

    def extremes(self):
        return self.low, self.high
