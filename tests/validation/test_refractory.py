"""Refractory periods are counted in steps: no rounding of time can change one."""

import numpy as np
import pytest

import distdyn as dd

T_REF = np.array([0.0, 0.1, 0.3, 0.7, 1.0, 1.7, 2.0, 5.0])
STEPS = np.array([0, 1, 3, 7, 10, 17, 20, 50])


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_every_interval_is_the_refractory_period_and_one_step(driven, precision):
    """A current that reaches threshold in one step: t_ref held, then one step up."""
    cell = dd.LIF(C_m=250.0, tau_m=10.0, E_L=0.0, V_th=15.0, V_reset=0.0, t_ref=T_REF, I_e=1e6)
    network = driven(len(T_REF), cell, V=0.0)
    runner = dd.DSRunner(network, dt=0.1, record="N.spikes", precision=precision)
    spikes = runner.run(10_000.0).gather().spikes["N"]
    for i, held in enumerate(STEPS):
        expected = np.arange(1, 100_001, held + 1)
        np.testing.assert_array_equal(spikes.step[spikes.id == i], expected, f"{T_REF[i]} ms")


def test_potential_is_held_and_jumps_are_discarded(driven):
    """While refractory V stays at reset, whatever arrives."""

    class Bombarded(dd.Network):
        def __init__(self):
            cell = dd.LIF(C_m=250.0, tau_m=10.0, E_L=0.0, V_th=15.0, V_reset=-5.0, t_ref=1.0)
            times = np.arange(1, 40) / 10
            self.source = dd.Population(1, dd.SpikeTimes(id=np.zeros(39, int), time=times))
            self.N = dd.Population(1, cell, V=0.0)
            self.syn = dd.Projection(
                self.source, self.N, dd.OneToOne(), dd.Delta(), weight=20.0, delay=0.1
            )

    runner = dd.DSRunner(
        Bombarded(), dt=0.1, record=["N.spikes", dd.every(0.1, "N.V")], precision="float64"
    )
    everything = runner.run(4.0).gather()
    # The first jump arrives in step 2: spike; steps 3 ... 12 are refractory; step 13 jumps again
    # from about -5 mV, which reaches threshold exactly: spike.
    np.testing.assert_array_equal(everything.spikes["N"].step, [2, 13, 24, 35])
    V = np.asarray(everything.traces["N.V"].value)[:, 0]
    assert (V[1:] == -5.0).all()
