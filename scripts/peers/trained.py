"""The classifier of `peers.classifier` as a network of distdyn, and a trainer of it."""

from typing import Any

import numpy as np
import optax

import distdyn as dd
from peers.classifier import LEARNING_RATE, SLOPE, TAU, Sizes


class Classifier(dd.Network):
    """Generators, cells that are connected all with all, a readout for each class."""

    def __init__(self, sizes: Sizes, per_cell: int | None) -> None:
        cell = dd.LIF(C_m=TAU, tau_m=TAU, E_L=0.0, V_th=1.0, V_reset=0.0, t_ref=0.0)
        self.inp = dd.Population(sizes.inputs, dd.SpikeTimes([], []))
        self.E = dd.Population(sizes.cells, cell)
        self.out = dd.Population(sizes.classes, dd.LeakyIntegrator(C_m=TAU, tau_m=TAU, E_L=0.0))
        some = dd.AllToAll() if per_cell is None else dd.FixedIndegree(per_cell)
        ends = (
            ("enter", self.inp, self.E, dd.AllToAll()),
            ("recurrent", self.E, self.E, some),
            ("leave", self.E, self.out, dd.AllToAll()),
        )
        for (name, pre, post, rule), spread in zip(ends, sizes.spread, strict=True):
            weight = dd.Normal(0.0, spread)
            setattr(
                self, name, dd.Projection(pre, post, rule, dd.Delta(), weight=weight, delay=1.0)
            )


def made(sizes: Sizes, request: dict, loss: Any) -> dd.DSTrainer:
    return dd.DSTrainer(
        Classifier(sizes, request["per_cell"]),
        loss=loss,
        optimizer=optax.adam(LEARNING_RATE),
        where=["enter.weight", "recurrent.weight", "leave.weight"],
        rule=dd.BPTT(surrogate=dd.surrogate.SuperSpike(SLOPE)),
        dt=1.0,
        seed=request["seed"],
        devices=request.get("devices") or int(np.prod(request["mesh"])),
        mesh=tuple(request["mesh"]),
        platform=request["platform"],
        progress="off",
    )
