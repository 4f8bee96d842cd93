"""Perceptual decision, learned by rates that excite or inhibit: they add up what they see.

Task and network: Song, Yang & Wang (2016), PLoS Comput. Biol. 12, e1004792; here cells have no
noise of their own, and a weight stays nonnegative by being cut off at 0.
"""

from dataclasses import replace
from typing import Any, ClassVar

from distdyn.core.parameters import param
from distdyn.core.receptor import Output
from distdyn.models.couplings import Additive
from distdyn.models.integrate_and_fire import LeakyIntegrator
from distdyn.models.rates import ThresholdLinear
from distdyn.network.distributions import Normal, Uniform
from distdyn.network.network import Network
from distdyn.network.population import Population
from distdyn.network.projection import CurrentInput, Projection
from distdyn.network.rules import AllToAll
from distdyn.train import loss
from distdyn.train.recipes.recipe import Recipe, decaying_adam
from distdyn.train.rules import BPTT
from distdyn.train.tasks.perceptual_decision import PerceptualDecision


class Signed(Output):
    """Of cells that all excite, or all inhibit (Dale's law): I = sign * g, weights >= 0."""

    sign: float = param(1.0, "", "1 excites, -1 inhibits")

    nonnegative: ClassVar[bool] = True
    unit: ClassVar[str] = ""

    def current(self, g: Any, V: Any) -> Any:
        return self.sign * g


class Decider(Network):
    """Three units that pass on what is given; n rates, a fifth of which inhibit; two readouts.

    All rates are connected with all; before training what excites one and what inhibits it are as
    strong. Only those that excite are read out.
    """

    def __init__(self, n: int = 50, dt: float = 20.0):
        every, n_E = AllToAll(), n * 4 // 5
        self.seen = Population(3, ThresholdLinear(tau=20.0, beta=1.0))
        self.inp = CurrentInput(self.seen, 0.0)
        self.cells = Population(n, ThresholdLinear(tau=100.0, beta=1.0))
        self.out = Population(2, LeakyIntegrator(C_m=20.0, tau_m=20.0, E_L=0.0))
        E, I = self.cells[:n_E], self.cells[n_E:]
        self.w_in = Projection(
            self.seen, self.cells, every, Additive(), weight=Normal(0.0, 3**-0.5), delay=dt
        )
        self.exc = Projection(
            E, self.cells, every, Additive(), Signed(1.0), weight=Uniform(0.0, 1 / n_E), delay=dt
        )
        self.inh = Projection(
            I, self.cells, every, Additive(), Signed(-1.0), weight=Uniform(0.0, 1 / (n - n_E)),
            delay=dt,
        )  # fmt: skip
        self.w_out = Projection(
            E, self.out, every, Additive(), weight=Normal(0.0, n_E**-0.5), delay=dt
        )


def perceptual_decision(seed: int = 0) -> Recipe:
    """Which of two noisy streams was larger; tested where that can be known: with coherence."""
    task, epochs = PerceptualDecision(seed=seed, dt=20.0, updates=100), 8
    can_be_known = tuple(c for c in task.coherences if c)
    return Recipe(
        network=Decider(dt=task.dt),
        loss=loss.cross_entropy("out.V", last=task.decision),
        optimizer=decaying_adam(2e-3, epochs * task.updates),
        where=("w_in.weight", "exc.weight", "inh.weight", "w_out.weight"),
        rule=BPTT(),
        task=task,
        testing=replace(task, coherences=can_be_known, test=1024).testing,
        epochs=epochs,
        goal=0.95,
        seed=seed,
        dt=task.dt,
    )
