#!/usr/bin/env python
"""How long does it take to describe, build and compile networks of many populations?

    python scripts/bench_compile.py
    python scripts/bench_compile.py --sizes 254/10000 --neurons 40

The network is made up in the manner of a multi-area model: LIF populations with exponential
synapses, excitatory and inhibitory in turn, each with its own current and Poisson input; each gets
projections from equally many of the others, of a fixed total or pairwise probability, with drawn
weights and one of 1,000 distributions of delays. Each size is measured in a process of its own; the
kernels that are compiled once per machine are there before. Prints one JSON object; times in
seconds, `run` is 10 ms of model time.
"""

import argparse
import json
import subprocess
import sys
import time

SIZES = ["8/64", "64/1000", "254/10000"]


def network(populations: int, projections: int, neurons: int):
    """The network, as a function of how many of what."""
    import distdyn as dd

    class Areas(dd.Network):
        """Populations in a ring; projections go to the next, the next but one, ..."""

        def __init__(self):
            self.pop = [self.population(k) for k in range(populations)]
            self.proj = [
                self.project(k % populations, k // populations) for k in range(projections)
            ]
            self.noise = [
                dd.PoissonInput(
                    post, 8000.0 + 10.0 * k, dd.Exponential(tau=2.0), weight=80.0, delay=1.5
                )
                for k, post in enumerate(self.pop)
            ]

        def population(self, k):
            return dd.Population(neurons + k % 7, dd.LIF(I_e=float(k)), V=dd.Normal(-58.0, 10.0))

        def project(self, post, distance):
            pre = (post + distance) % populations
            sign = 1.0 if pre % 2 == 0 else -4.0
            limit = {"low": 0.0} if sign > 0 else {"high": 0.0}
            pairs = self.pop[pre].size * self.pop[post].size
            rule = dd.FixedTotal(pairs // 10) if distance % 2 else dd.FixedProb(0.1)
            return dd.Projection(
                self.pop[pre],
                self.pop[post],
                rule,
                dd.Exponential(tau=2.0 if sign > 0 else 5.0),
                weight=dd.Normal(20.0 * sign, 2.0, **limit),
                delay=dd.Normal(1.5 + 0.01 * ((37 * pre + 101 * post) % 1000), 0.5, low=0.1),
            )

    return Areas()


def measure(populations: int, projections: int, neurons: int) -> dict:
    """Times of one network, in this process."""
    import distdyn as dd

    dd.DSRunner(network(2, 4, 16), dt=0.1, record="spikes", progress="off")  # loads the kernels
    began = time.perf_counter()
    described = network(populations, projections, neurons)
    seconds = time.perf_counter() - began
    runner = dd.DSRunner(described, dt=0.1, seed=1, record="spikes", progress="off")
    recording = runner.run(10.0)
    return {
        "populations": populations,
        "projections": projections,
        "neurons": runner.graph.size,
        "synapses": runner.synapses,
        "spikes": sum(recording.counts().values()),
        "describe": round(seconds, 3),
        "build": round(runner.phases["build"], 3),
        "compile": round(runner.phases["compile"], 3),
        "run": round(runner.phases["run"], 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="POPULATIONS/PROJECTIONS")
    parser.add_argument("--neurons", type=int, default=40, help="of a population, about")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        (size,) = options.sizes
        print(json.dumps(measure(*map(int, size.split("/")), options.neurons)))
        return
    found = []
    for size in options.sizes:
        words = [sys.executable, __file__, "--worker", "--sizes", size]
        ended = subprocess.run(
            [*words, "--neurons", str(options.neurons)],
            stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        found.append(json.loads(ended.stdout.splitlines()[-1]))
    print(json.dumps({"runs": found}, indent=2))


if __name__ == "__main__":
    main()
