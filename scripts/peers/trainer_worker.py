"""distdyn trains the classifier by `DSTrainer`, on some devices or bound to one core."""

import os
import time
from collections.abc import Generator

import distdyn as dd
from peers.answering import answer
from peers.classifier import Sizes, batch, timed
from peers.trained import made


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


answer(prepare)
