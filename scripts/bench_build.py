#!/usr/bin/env python
"""How long distdyn and NEST take to build the microcircuit, and what it takes in memory, as JSON.

distdyn runs one step of `microcircuit` of the zoo at each scale, in turns over the scales, with the
kernels of an earlier run at hand (a first run of a small network sees to that). Given are medians:

    build               seconds from the description to arrays on the devices, all synapses drawn
    compile             seconds for the step
    bytes_per_synapse   all arrays that hold connectivity, over the synapses
    peak                bytes of memory at most, of the whole process
    peak_beyond         the same without what a network of 100 cells needs, the interpreter and XLA

and `seconds_per_million` synapses of build. NEST builds the same network once, with two threads, at
a scale of its own (`--nest-scale`; 0.9 needs about 13 GB and minutes): `build` until everything is
connected, `prepare` until its first step is done, before which it sorts its connections; its bytes
per synapse are what its process grew by, at the most.

    python scripts/bench_build.py --nest-scale 0.9                       # ten minutes, and 13 GB
    python scripts/bench_build.py --scales 0.1 --nest-scale 0.1 --turns 1           # half a minute

NEST gets a virtual environment of its own, `.venv-nest`, made by pip when it is first needed.
"""

import argparse
import sys
from statistics import median

from distdyn.zoo.microcircuit import Microcircuit
from peers.command import parser_of
from peers.machine import busy, machine, report
from peers.nest_terms import nest_terms
from peers.workers import Worker, run_distdyn

DT = 0.1  # ms


def main() -> None:
    options = parse()
    facts = machine()
    interpreter = one_step("coba", options, n=100)["peak_rss"]
    runs: dict[float, list[dict]] = {scale: [] for scale in options.scales}
    others = []
    for turn in range(options.turns):
        others.append(busy())
        for scale, of in runs.items():
            of.append(one_step("microcircuit", options, scale=scale, drive=options.drive))
            print(f"turn {turn}, scale {scale:g}: {of[-1]['phases']}", file=sys.stderr, flush=True)
    report(
        "build", facts, options=vars(options), busy=others, interpreter=interpreter,
        distdyn=[figures(scale, of, interpreter) for scale, of in runs.items()],
        nest=nest(options) if options.nest_scale else None,
    )  # fmt: skip


def parse() -> argparse.Namespace:
    parser = parser_of(__doc__, turns=3)
    parser.add_argument("--scales", type=float, nargs="+", default=[0.1, 0.3, 1.0])
    parser.add_argument("--drive", choices=["dc", "poisson"], default="dc")
    parser.add_argument("--devices", default="2", help="of distdyn (default 2)")
    parser.add_argument(
        "--nest-scale", type=float, default=0.3, help="of NEST; 0 leaves it out (default 0.3)"
    )
    parser.add_argument("--threads", type=int, default=2, help="of NEST (default 2)")
    return parser.parse_args()


def one_step(network: str, options: argparse.Namespace, **arguments: object) -> dict:
    return run_distdyn(
        network, set=arguments, duration=DT, devices=options.devices, record="none", seed=1
    )


def figures(scale: float, runs: list[dict], interpreter: int) -> dict:
    """Medians over the runs of one scale."""
    synapses = runs[0]["synapses"]
    build = median(run["phases"]["build"] for run in runs)
    peak = median(run["peak_rss"] for run in runs)
    return {
        "scale": scale,
        "neurons": runs[0]["neurons"],
        "synapses": synapses,
        "devices": runs[0]["devices"],
        "build": build,
        "build_of_each": [run["phases"]["build"] for run in runs],
        "compile": median(run["phases"]["compile"] for run in runs),
        "seconds_per_million": 1e6 * build / synapses,
        "bytes_per_synapse": runs[0]["bytes_per_synapse"],
        "peak": peak,
        "peak_beyond": peak - interpreter,
        "peak_beyond_per_synapse": (peak - interpreter) / synapses,
    }


def nest(options: argparse.Namespace) -> dict:
    network = nest_terms(Microcircuit(options.nest_scale, options.drive), DT)
    print(f"NEST builds at scale {options.nest_scale:g}", file=sys.stderr, flush=True)
    with Worker(
        "nest", network=network, threads=options.threads, dt=DT, seed=1, warmup=0.0, duration=DT
    ) as worker:
        built = worker.built
    seconds = built["build"] + built["prepare"]
    per_million = 1e6 * seconds / built["synapses"]
    return {"scale": options.nest_scale, **built, "seconds_per_million": per_million}


if __name__ == "__main__":
    main()
