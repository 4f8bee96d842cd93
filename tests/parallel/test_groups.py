"""Groups: populations of one model run together and keep what is their own."""

import numpy as np
import pytest

import distdyn as dd


class Uneven(dd.Network):
    """The receptor with tau = 5 is the second of A and the first of B, in one group."""

    def __init__(self, is_joint, is_poisson):
        cell = dd.LIF(V_th=np.inf)
        self.S = dd.Population(3, dd.SpikeTimes(id=[0, 1, 2], time=[1.0, 2.0, 3.0]))
        self.A, self.B = dd.Population(4, cell), dd.Population(5, cell)
        rule = dd.AllToAll()
        self.fast = dd.Projection(self.S, self.A, rule, dd.Exponential(2.0), weight=8.0, delay=0.5)
        self.slow = dd.Projection(self.S, self.B, rule, dd.Exponential(9.0), weight=4.0, delay=0.5)
        ends = [(self.A, self.B)] if is_joint else [self.A, self.B]

        def to(post):
            if is_poisson:
                return dd.PoissonInput(post, 5000.0, dd.Exponential(5.0), weight=16.0)
            synapse = dd.Exponential(5.0)
            return dd.Projection(self.S, post, rule, synapse, weight=16.0, delay=1.0)

        self.shared = [to(post) for post in ends]


def potentials(network):
    runner = dd.DSRunner(network, dt=0.1, seed=1, record=["A.V", "B.V"])
    recording = runner.run(20.0)
    assert len(runner._shard.groups) == 2  # the generator, and A with B
    return runner, recording.traces["A.V"].value, recording.traces["B.V"].value


def test_joint_projection_onto_receptors_at_different_indices_delivers_once():
    joint, *found = potentials(Uneven(is_joint=True, is_poisson=False))
    apart, *wanted = potentials(Uneven(is_joint=False, is_poisson=False))
    assert joint.synapses == apart.synapses == 3 * 4 + 3 * 5 + 3 * 9
    assert len(joint["shared.0"].edges().pre) == 3 * 9
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


def test_joint_poisson_input_onto_receptors_at_different_indices_arrives_once():
    _, A, B = potentials(Uneven(is_joint=True, is_poisson=True))
    # stationary mean: w tau rate tau_m / C_m = 16 pA * 5 ms * 5 / ms * 10 ms / 250 pF
    for V in (A, B):
        rise = 16.0 * 5.0 * 5.0 * 10.0 / 250.0
        assert (V[-1] + 65.0).mean() == pytest.approx(rise * 0.74, rel=0.25)  # after 20 ms


def test_refractory_period_that_is_set_must_be_on_the_grid():
    runner = dd.DSRunner(Uneven(is_joint=True, is_poisson=False), dt=0.1)
    with pytest.raises(dd.DistDynError, match=r"t_ref 0\.25 ms is not a multiple"):
        runner["A"].t_ref = 0.25
