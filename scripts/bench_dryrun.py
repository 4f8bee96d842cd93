#!/usr/bin/env python
"""What a rank of a large run holds and how fast it is, played by one process.

    python scripts/bench_dryrun.py --load 11250 --ranks 8 64 1024 > dryrun.json

The geometry is that of hpc_benchmark: every cell gets 9,000 excitatory and 2,250 inhibitory
synapses with 1.5 ms of delay. The load of a rank stays the same, so its bytes should, too, but for
the source table, which grows with the sources that reach it. Prints one JSON object.
"""

import argparse
import json

import distdyn as dd
from distdyn.network.network import graph
from distdyn.parallel.parameters import Setting
from distdyn.parallel.plan.dryrun import dry_run


class Benchmark(dd.Network):
    """Cells and connections of hpc_benchmark, without plasticity."""

    def __init__(self, n: int) -> None:
        cell = dd.LIF()
        self.E = dd.Population(n * 4 // 5, cell)
        self.I = dd.Population(n - n * 4 // 5, cell)
        everyone, alpha = (self.E, self.I), dd.Alpha(tau=0.3258)
        self.exc = dd.Projection(
            self.E, everyone, dd.FixedIndegree(9000), alpha, weight=10.0, delay=1.5
        )
        self.inh = dd.Projection(
            self.I, everyone, dd.FixedIndegree(2250), alpha, weight=-50.0, delay=1.5
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--load", type=int, default=11250, help="neurons of each rank")
    parser.add_argument("--ranks", type=int, nargs="+", default=[8, 64, 1024])
    parser.add_argument("--steps", type=int, default=150, help="to time")
    parser.add_argument("--rate", type=float, default=8.0, help="of the made-up spikes, Hz")
    options = parser.parse_args()
    found = []
    for ranks in options.ranks:
        network = graph(Benchmark(options.load * ranks))
        (report,) = dry_run(
            network, Setting(0.1, 1, "float32", 0), ranks=ranks, which=(ranks // 2,),
            steps=options.steps, rate=options.rate,
        )  # fmt: skip
        rest = sum(report.memory.values()) - report.memory["sources"]
        found.append(
            {
                "ranks": ranks,
                "neurons": report.neurons,
                "synapses": report.synapses,
                "sources": report.sources,
                "bytes_without_sources": rest,
                "bytes_per_neuron": rest / report.neurons,
                "bytes_per_source": report.memory["sources"] / max(1, report.sources),
                "seconds": report.seconds,
                "between": report.between,
            }
        )
    print(json.dumps({"load": options.load, "runs": found}, indent=2))


if __name__ == "__main__":
    main()
