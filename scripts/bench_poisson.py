#!/usr/bin/env python
"""What does Poisson input cost, in nanoseconds per neuron and step?

    taskset -c 0 python scripts/bench_poisson.py
    taskset -c 0 python scripts/bench_poisson.py --rates 8000 --microcircuit 0.3

LIF cells with one exponential receptor, with Poisson input of some rates and without, run in turns;
`extra` is the median difference of a turn. Then the same for the microcircuit with Poisson and with
constant drive, whose activity differs, too. Processor time, so that other programs on the machine
disturb it less. Prints one JSON object.
"""

import argparse
import json
import time
from statistics import median

import distdyn as dd

DT = 0.1  # ms


class Cells(dd.Network):
    """Cells that do not spike, and a ring of arrivals that is always empty."""

    def __init__(self, n: int, rate: float) -> None:
        synapse = dd.Exponential(tau=0.5)
        self.cells = dd.Population(n, dd.LIF(V_th=1e6))
        if rate:
            self.noise = dd.PoissonInput(self.cells, rate, synapse, weight=87.8)
        self.source = dd.Population(1, dd.SpikeTimes(id=[0], time=[DT]))
        self.syn = dd.Projection(
            self.source, self.cells, dd.AllToAll(), synapse, weight=87.8, delay=1.5
        )


def in_turns(networks: dict[str, dd.Network], duration: float, turns: int) -> dict:
    """Nanoseconds per neuron and step of each, and what the others take beyond the first."""
    runners = {
        name: dd.DSRunner(network, dt=DT, seed=1, progress="off", devices=1)
        for name, network in networks.items()
    }
    for runner in runners.values():
        runner.run(100.0)
    spent: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(turns):
        for name, runner in runners.items():
            began = time.process_time()
            runner.run(duration)
            seconds = time.process_time() - began
            spent[name].append(seconds / (runner.graph.size * duration / DT) * 1e9)
    first, *others = spent
    extra = {
        name: median(b - a for a, b in zip(spent[first], spent[name], strict=True))
        for name in others
    }
    found = {"median": {name: median(x) for name, x in spent.items()}, "extra": extra}
    return {key: {k: round(x, 2) for k, x in of.items()} for key, of in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=20_000)
    parser.add_argument("--rates", type=float, nargs="+", default=[1000.0, 8000.0, 23200.0])
    parser.add_argument("--microcircuit", type=float, default=0.3, help="its scale; 0: not at all")
    parser.add_argument("--turns", type=int, default=9)
    options = parser.parse_args()
    networks: dict[str, dd.Network] = {"none": Cells(options.cells, 0.0)}
    networks |= {f"{rate:g} Hz": Cells(options.cells, rate) for rate in options.rates}
    found = {"cells": in_turns(networks, 50.0, options.turns)}
    if options.microcircuit:
        from distdyn.zoo.microcircuit import Microcircuit

        drives = {drive: Microcircuit(options.microcircuit, drive) for drive in ("dc", "poisson")}
        found["microcircuit"] = in_turns(drives, 200.0, options.turns)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
