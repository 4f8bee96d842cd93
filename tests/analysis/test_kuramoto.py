"""Phases that pull each other, with Lorentzian frequencies: where they synchronise, and how much.

    theta_i' = omega_i + K / N sum_j sin(theta_j - theta_i)

Frequencies of half width gamma: below K_c = 2 gamma nothing, beyond r = sqrt(1 - K_c / K).

Source: Kuramoto (1975), Lect. Notes Phys. 39, 420; Ott & Antonsen (2008), Chaos 18, 037113.
"""

from typing import NamedTuple

import jax
import numpy as np
import pytest

import distdyn as dd

GAMMA, N = 0.5, 1000


class OttAntonsen(dd.ODE):
    """The order parameter of infinitely many: z' = -gamma z + K / 2 (z - |z|^2 z), here real."""

    gamma: float = GAMMA
    K: float = 2.0

    class State(NamedTuple):
        r: jax.Array

    def init(self, id, key):
        return self.State(r=0.1)

    def derivative(self, t, s, drive):
        return self.State(r=-self.gamma * s.r + 0.5 * self.K * (s.r - s.r**3))


class Phases(dd.Network):
    def __init__(self, K):
        quantile = (np.arange(N) + 0.5) / N
        omega = GAMMA * np.tan(np.pi * (quantile - 0.5))
        self.N = dd.Population(N, dd.Kuramoto(omega=omega), theta=dd.Uniform(-np.pi, np.pi))
        self.all = dd.Projection(self.N, self.N, dd.AllToAll(), dd.Sine(), weight=K / N, delay=0.0)


def test_synchrony_branches_off_at_twice_the_half_width():
    an = dd.DSAnalyzer(OttAntonsen())
    found = an.continuation("K", (0.5, 3.0), box={"r": (-1.0, 1.0)})
    (crossing,) = found.points("BP")
    assert crossing.value == pytest.approx(2 * GAMMA, abs=1e-8)
    at = an.fixed_points(box={"r": (-0.1, 1.0)})
    np.testing.assert_allclose(at.x[:, 0], [0.0, 0.5**0.5], atol=1e-12)
    assert at.stability == ("unstable node", "stable node")


@pytest.mark.parametrize(
    "K, r", [pytest.param(0.5, 0.0, marks=pytest.mark.slow), (2.0, 0.70710678)]
)
def test_so_many_phases_synchronise_as_infinitely_many_do(K, r):
    network = Phases(K)
    runner = dd.DSRunner(network, dt=0.05, seed=1, precision="float64")
    runner.run(40.0)
    found = []
    runner.run(20.0, every=0.5, call=lambda _: found.append(np.exp(1j * runner["N"].theta).mean()))
    assert abs(np.mean(np.abs(found)) - r) < 3.0 / N**0.5
    # Those that K r can hold turn with the others: the field of the network says so.
    F, _, parameters = dd.vector_field(network, seed=1)
    with jax.enable_x64(True):
        speed = np.abs(F({"N.theta": runner["N"].theta}, {})["N.theta"])
    omega = np.abs(parameters["N.omega"])
    np.testing.assert_array_equal(speed[omega < 0.9 * K * r] < 0.05, True)
    assert (speed[omega > 1.2 * max(K * r, 0.1)] > 0.01).all()
