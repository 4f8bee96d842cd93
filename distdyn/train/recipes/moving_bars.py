"""Moving bars, told apart by a convolutional network: detectors of motion, the same everywhere.

    events -> convolution, and another that is later -> LIF -> mean of each map -> readout

Two convolutions of the same events reach a cell one after the other, so that it can tell what was
here before from what is here now (Hassenstein & Reichardt, 1956, Z. Naturforsch. 11b, 513).

Method: Neftci, Mostafa & Zenke (2019), IEEE Signal Process. Mag. 36(6), 51.
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp

from distdyn.models.integrate_and_fire import LIF, LeakyIntegrator
from distdyn.models.sources import SpikeTimes
from distdyn.models.synapses import Delta
from distdyn.network.layer import Layer
from distdyn.network.network import Network
from distdyn.network.population import Population
from distdyn.ops.surrogate import SuperSpike
from distdyn.train import loss
from distdyn.train.recipes.recipe import Recipe, decaying_adam
from distdyn.train.rules import BPTT
from distdyn.train.tasks.moving_bars import SIZE, MovingBars


class Convolutional(Network):
    """Pixels of two polarities, maps of cells at every other pixel, and a unit per class.

    Args:
        classes: how many units read out.
        maps: how many.
        later: how much the second convolution is later than the first, ms.
    """

    def __init__(self, classes: int, maps: int = 16, later: float = 3.0):
        def convolution(key: Any) -> eqx.nn.Conv2d:
            return eqx.nn.Conv2d(2, maps, 5, stride=2, padding=2, use_bias=False, key=key)

        def readout(key: Any) -> eqx.nn.Sequential:
            mean = eqx.nn.AvgPool2d(SIZE // 2)
            return eqx.nn.Sequential(
                [mean, eqx.nn.Lambda(jnp.ravel), eqx.nn.Linear(maps, classes, key=key)]
            )

        cell = LIF(C_m=20.0, tau_m=5.0, E_L=0.0, V_th=0.3, V_reset=0.0, t_ref=0.0)
        self.inp = Population((2, SIZE, SIZE), SpikeTimes([], []))
        self.E = Population((maps, SIZE // 2, SIZE // 2), cell)
        self.out = Population(classes, LeakyIntegrator(C_m=20.0, tau_m=20.0, E_L=0.0))
        self.early = Layer(self.inp, self.E, convolution, Delta(), delay=1.0)
        self.late = Layer(self.inp, self.E, convolution, Delta(), delay=1.0 + later)
        self.readout = Layer(self.E, self.out, readout, Delta(), delay=1.0)


def moving_bars(seed: int = 0) -> Recipe:
    """Which of eight ways a bar moves, in the events of 16 x 16 pixels."""
    task, epochs = MovingBars(train=2000, test=1000, batch=50, seed=seed), 8
    return Recipe(
        network=Convolutional(task.classes),
        loss=loss.cross_entropy("out.V"),
        optimizer=decaying_adam(1e-2, epochs * (task.train // task.batch)),
        where=(
            "early.weight", "late.weight", "readout.layers.2.weight", "readout.layers.2.bias",
        ),
        rule=BPTT(surrogate=SuperSpike(10.0)),
        task=task,
        testing=task.testing,
        epochs=epochs,
        goal=0.9,
        seed=seed,
    )  # fmt: skip
