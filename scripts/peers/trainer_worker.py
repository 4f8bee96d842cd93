"""distdyn trains the classifier by `DSTrainer`, on some devices or bound to one core."""

import os
import time
from collections.abc import Generator
from typing import Any

import numpy as np
import optax

import distdyn as dd
from peers.answering import answer
from peers.classifier import LEARNING_RATE, SLOPE, TAU, Sizes, batch, timed


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


def prepare(request: dict) -> Generator[dict, dict, None]:
    if request["core"] is not None:
        os.sched_setaffinity(0, {request["core"]})
    sizes, began = Sizes(*request["sizes"]), time.perf_counter()
    spikes, target = batch(sizes, request["seed"])
    data = [({"inp": spikes}, target)]
    trainer = made(sizes, request, dd.loss.cross_entropy("out.V"))
    trainer.fit(data, 1)
    first = time.perf_counter() - began
    watching = made(sizes, request, dd.loss.rate("E.spikes", 0.0, 1000.0))
    spiking = float(watching.predict(data[0][0])["E.spikes"].mean())
    yield from timed(first, spiking, lambda: trainer.fit(data, 1))


def made(sizes: Sizes, request: dict, loss: Any) -> dd.DSTrainer:
    return dd.DSTrainer(
        Classifier(sizes, request["per_cell"]),
        loss=loss,
        optimizer=optax.adam(LEARNING_RATE),
        where=["enter.weight", "recurrent.weight", "leave.weight"],
        rule=dd.BPTT(surrogate=dd.surrogate.SuperSpike(SLOPE)),
        dt=1.0,
        seed=request["seed"],
        devices=int(np.prod(request["mesh"])),
        mesh=tuple(request["mesh"]),
        platform=request["platform"],
        progress="off",
    )


answer(prepare)
