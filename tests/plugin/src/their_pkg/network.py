"""A network of all of them: neighbours on a ring that tire, and cells that learn to listen."""

import numpy as np

import distdyn as dd
from their_pkg.cell import Tiring
from their_pkg.channel import ISlow
from their_pkg.integrator import Taylor2
from their_pkg.plasticity import Reward
from their_pkg.rule import Near
from their_pkg.synapse import Gamma


class Net(dd.Network):
    """n cells with a drive from 300 to 400 pA, and a tenth as many that hear them."""

    def __init__(self, n=200, weight=15.0):
        cell = Tiring(I_e=np.linspace(300.0, 400.0, n), method=Taylor2())
        channels = {"INa": dd.INa_TM1991(), "IK": dd.IK_TM1991(), "IL": dd.ILeak(g=0.05)}
        self.N = dd.Population(n, cell, V=np.linspace(-65.0, -51.0, n))
        self.L = dd.Population(n // 10, dd.Conductance(**channels, slow=ISlow(), area=20_000))
        self.near = dd.Projection(
            self.N, self.N, Near(10, sigma=5.0), Gamma(tau=2.0), weight=weight, delay=1.5
        )
        self.learned = dd.Projection(
            self.N, self.L, dd.FixedIndegree(40), dd.Exponential(tau=5.0),
            weight=20.0, delay=1.0, plasticity=Reward(),
        )  # fmt: skip


if __name__ == "__main__":
    print(dd.DSRunner(Net(), dt=0.1, seed=1, record="spikes").run(100).rates())
