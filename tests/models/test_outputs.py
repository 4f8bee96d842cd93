"""Outputs: what a receptor does with its g."""

import numpy as np
import pytest
from scipy.integrate import quad

import distdyn as dd


class Divided(dd.Network):
    """One unit excites another, also driven from outside, whose input two others divide."""

    def __init__(self, divisors=(2.0, 4.0), external=5.0):
        unit = dd.ThresholdLinear(tau=1.0, beta=1.0)
        self.pre = dd.Population(1, dd.ThresholdLinear(tau=1.0, beta=1.0, I_e=3.0), r=3.0)
        self.post = dd.Population(1, unit)
        how = {"rule": dd.OneToOne(), "synapse": dd.Additive()}
        self.exc = dd.Projection(self.pre, self.post, weight=10.0, delay=0.1, **how)
        self.pools = [
            dd.Projection(self.pre, self.post, output=dd.Divisive(), weight=w, delay=delay, **how)
            for w, delay in zip(divisors, (0.0, 0.1), strict=False)
        ]
        self.drive = dd.CurrentInput(self.post, external)


@pytest.mark.parametrize("divisors", [(), (2.0,), (2.0, 4.0)])
def test_Divisive_divides_what_other_synapses_bring(divisors):
    runner = dd.DSRunner(Divided(divisors), dt=0.1, record=["post.r"])
    r = runner.run(20.0).traces["post.r"].value[-1, 0]
    assert r == pytest.approx(5.0 + 30.0 / (1.0 + 3.0 * sum(divisors)), rel=1e-5)


def test_Divisive_shunts_a_membrane():
    """Kinetics of spikes may divide, too: V jumps by less while g decays, as scipy has it."""

    class Shunted(dd.Network):
        def __init__(self, weight):
            cell = dd.LIF(C_m=200.0, tau_m=20.0, E_L=0.0, V_th=100.0, V_reset=0.0)
            self.E = dd.Population(1, dd.SpikeTimes([0, 0], [1.0, 3.0]))
            self.post = dd.Population(1, cell, V=0.0)
            how = {"rule": dd.OneToOne(), "delay": 1.0}
            fast, slow = dd.Exponential(tau=2.0), dd.Exponential(tau=10.0)
            self.exc = dd.Projection(self.E, self.post, synapse=fast, weight=500.0, **how)
            self.shunt = dd.Projection(
                self.E, self.post, synapse=slow, output=dd.Divisive(), weight=weight, **how
            )

    def theory(weight):
        spikes = 2.0, 4.0

        def current(t):
            g, i = (sum(np.exp((s - t) / tau) for s in spikes if s <= t) for tau in (10.0, 2.0))
            return 500.0 * i / (1.0 + weight * g) * np.exp((t - 12.0) / 20.0) / 200.0

        return quad(current, 2.0, 12.0, points=spikes)[0]

    V = dd.DSRunner(Shunted(3.0), dt=0.01, record=["post.V"]).run(12.0).traces["post.V"]
    assert theory(0.0) > 2.0 * theory(3.0)
    assert V.value[-1, 0] == pytest.approx(theory(3.0), rel=0.01)
    with pytest.raises(dd.errors.WeightError, match=r"weight = -1"):
        Shunted(-1.0)
