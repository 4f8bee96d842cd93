"""Networks of one or a few cells for which every number is known in closed form."""

from collections.abc import Callable

import numpy as np
import pytest

import distdyn as dd


class OneSpike(dd.Network):
    """A cell that receives one spike, at the end of the second step."""

    def __init__(self, cell, synapse, output, weight, dt, V):
        self.source = dd.Population(1, dd.SpikeTimes(id=[0], time=[dt]))
        self.N = dd.Population(1, cell, V=V)
        self.syn = dd.Projection(
            self.source, self.N, dd.OneToOne(), synapse, output, weight=weight, delay=dt
        )


@pytest.fixture
def response() -> Callable[..., np.ndarray]:
    """V of a cell that receives one spike: element k is V(k dt), time counted from the arrival."""

    def V_after_spike(
        cell, synapse, output=None, *, weight, dt, duration, V=0.0, precision="float64"
    ) -> np.ndarray:
        network = OneSpike(cell, synapse, output, weight, dt, V)
        steps = round(duration / dt) + 2
        runner = dd.DSRunner(network, dt=dt, record=[dd.every(dt, "N.V")], precision=precision)
        trace = runner.run(steps * dt).gather().traces["N.V"]
        return np.asarray(trace.value)[1:, 0]

    return V_after_spike


class Driven(dd.Network):
    """Cells without any connection."""

    def __init__(self, n, cell, **initial):
        self.N = dd.Population(n, cell, **initial)


@pytest.fixture
def driven() -> type[dd.Network]:
    """`driven(n, cell, V=...)`: a network of cells that nothing but their own current drives."""
    return Driven


class Relays(dd.Network):
    """Cells that spike in the step in which a spike reaches them; input from given spike times.

    An arriving spike lifts V by 1 mV; the threshold is 0.5 mV above rest.
    """

    def __init__(self, n, spikes, pre, post, delay, into=0):
        cell = dd.LIF(C_m=1.0, tau_m=10.0, E_L=0.0, V_th=0.5, V_reset=0.0, t_ref=0.0)
        self.source = dd.Population(1, dd.SpikeTimes(id=np.zeros(len(spikes), int), time=spikes))
        self.N = dd.Population(n, cell, V=0.0)
        self.start = dd.Projection(
            self.source, self.N[into], dd.OneToOne(), dd.Delta(), weight=1.0, delay=0.1
        )
        self.relay = dd.Projection(
            self.N, self.N, dd.Edges(pre, post), dd.Delta(), weight=1.0, delay=delay
        )


@pytest.fixture
def relays() -> type[dd.Network]:
    """`relays(n, spike_times, pre, post, delay)`: a network that only passes spikes on."""
    return Relays
