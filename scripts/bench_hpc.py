#!/usr/bin/env python
"""distdyn and NEST on hpc_benchmark, side by side, as one JSON object.

The network is `hpc_benchmark` of the zoo: alpha-shaped currents, 11,250 synapses for each neuron at
any size, all delays 1.5 ms, dt = 0.1 ms; 11,250 neurons for each unit of scale. The synapses
between excitatory neurons are static, unlike in NEST's own example, or with --plastic they learn by
a power law (`stdp_pl_synapse_hom`); static ones are `static_synapse_hom_w`, the fastest of NEST's.
distdyn runs on two devices and records no spike, NEST with two threads.

Real-time factors are those of the steps after the warm-up; build, compilation and NEST's own
preparation are listed apart. NEST gets less model time; it goes on where it was in the turn before,
unless it is built anew (`--rebuild`, where both do not fit into memory together). distdyn is built
anew in each turn, with the same seed and so the same spikes.

What learns changes while it runs. With --plastic all runs are therefore of the same window, after
--warmup and for --duration (--nest-duration is not used), and NEST is built anew in each turn; and
the distributions of the weights are told, of the synapses onto the first 20 neurons at the end of
the window. Ours are those of runs of their own, with as many seeds; the networks are other ones,
drawn alike.

Small networks of this kind drift between weak and strong synchrony, so their rates wander, and the
weights that are learned drive them: plastic, 11,250 neurons fire at 14 Hz after 0.1 s and at 100 Hz
after 0.3 s, 22,500 at 8 Hz. Rates of NEST, mean over its turns, must be within 20 % of those of a
run of distdyn that records. Otherwise no ratio is given, and the exit status is 1.

    python scripts/bench_hpc.py --rebuild                         # an hour, and 18 GB at 45,000
    python scripts/bench_hpc.py --scales 0.1 --turns 2 --duration 500 --nest-duration 500
    python scripts/bench_hpc.py --plastic --scales 2 --turns 2 --duration 100 --warmup 50   # 14 GB

NEST gets a virtual environment of its own, `.venv-nest`, made by pip when it is first needed.
"""

import argparse
import sys
from contextlib import ExitStack

from distdyn.zoo.hpc_benchmark import HPCBenchmark
from peers.command import add_duration, add_nest, parser_of
from peers.machine import machine, report
from peers.nest_terms import nest_terms
from peers.turns import Turn, disagreements, listed, mean_rates, pair_ratio, summary, take_turns
from peers.workers import Worker, program, run_distdyn

DT = 0.1  # ms
ALLOWED = 0.2  # of a rate


def main() -> None:
    options = parse()
    facts = machine()
    results = [compare(scale, options) for scale in options.scales]
    report("hpc_benchmark", facts, dt=DT, options=vars(options), results=results)
    sys.exit(any(result["disagreements"] for result in results))


def parse() -> argparse.Namespace:
    parser = parser_of(__doc__, turns=5, warmup=100.0)
    parser.add_argument(
        "--scales", type=float, nargs="+", default=[1.0, 4.0], help="11,250 neurons each"
    )
    parser.add_argument("--plastic", action="store_true", help="with synapses that learn")
    parser.add_argument("--devices", default="2", help="of distdyn (default 2)")
    add_nest(parser)
    add_duration(parser, "distdyn", "--duration", 2000.0)
    add_duration(parser, "NEST", "--nest-duration", 500.0)
    return parser.parse_args()


def compare(scale: float, options: argparse.Namespace) -> dict:
    """Rates first, then both in turns."""
    print(f"scale {scale:g}: rates of distdyn", file=sys.stderr, flush=True)
    recorded = distdyn(scale, options, "spikes")
    print(f"scale {scale:g}: NEST builds", file=sys.stderr, flush=True)
    network = HPCBenchmark(scale, options.plastic)
    with ExitStack() as open_:
        nest = program(
            "nest", open_, is_rebuilt=options.rebuild or options.plastic,
            network=nest_terms(network, DT), threads=options.threads, dt=DT, seed=1,
            warmup=options.warmup,
            duration=options.duration if options.plastic else options.nest_duration,
        )  # fmt: skip
        programs = {
            "distdyn": lambda _turn: distdyn(scale, options, "none") | {"rates": recorded["rates"]},
            "NEST": nest,
        }
        turns = take_turns(programs, options.turns)
    nests = {"NEST": mean_rates(turns, "NEST")}
    differing = disagreements(nests, recorded["rates"], ALLOWED)
    return {
        "scale": scale,
        "neurons": recorded["neurons"],
        "synapses": recorded["synapses"],
        "ratio": None if differing else pair_ratio(turns, ["NEST"], ["distdyn"]),
        "disagreements": differing,
        "programs": summary(turns, ["distdyn", "NEST"]),
        "distdyn": turns[-1].of["distdyn"],
        "nest": turns[-1].of["NEST"]["built"],
        **({"weights": weights(scale, turns, options)} if options.plastic else {}),
        "turns": listed(turns),
    }


def weights(scale: float, turns: list[Turn], options: argparse.Namespace) -> dict:
    """What NEST has learned in each turn, and ours in networks with the same seeds."""
    return {
        "distdyn": [learned(scale, 1 + turn, options) for turn in range(len(turns))],
        "NEST": [turn.of["NEST"]["weights"] for turn in turns],
    }


def learned(scale: float, seed: int, options: argparse.Namespace) -> dict:
    with Worker(
        "distdyn", program="learned", scale=scale, devices=options.devices, dt=DT, seed=seed,
        warmup=options.warmup, duration=options.duration,
    ) as worker:  # fmt: skip
        return worker.run()["weights"]


def distdyn(scale: float, options: argparse.Namespace, record: str) -> dict:
    return run_distdyn(
        "hpc_benchmark", set={"scale": scale, "plastic": options.plastic},
        duration=options.duration, warmup=options.warmup, seed=1,
        devices=options.devices, record=record,
    )  # fmt: skip


if __name__ == "__main__":
    main()
