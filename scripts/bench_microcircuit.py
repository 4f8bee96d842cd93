#!/usr/bin/env python
"""distdyn and NEST on the cortical microcircuit, side by side, as one JSON object.

The network is `microcircuit` of the zoo (Potjans & Diesmann 2014), dt = 0.1 ms. distdyn runs it at
full density, with constant and with Poisson drive, without recording, on two devices; and, in the
same turns, at the scale that NEST is given. NEST runs with two threads. Both are compared at that
scale; 0.9 is the largest that NEST holds in 23 GB. `scale` means what it means in the zoo: neurons
and inputs of each neuron are thinned by that factor, weights and constant currents compensate; NEST
builds what the zoo describes (`peers/nest_terms.py`).

Real-time factors are those of the steps after the warm-up; build, compilation and NEST's own
preparation (it sorts its connections before the first step) are listed apart. NEST is sixty times
slower and gets less model time; its factor does not depend on that. It goes on where it was in the
turn before, unless it is built anew (`--rebuild`, where both do not fit into memory together).
distdyn is built anew in each turn, with the same seed and so the same spikes.

Rates come first: a run of distdyn that records, as long as the timed ones, must give the published
rates of the eight populations at full density, within max(0.15 Hz, 8 %), and the rates of NEST must
be within max(0.2 Hz, 10 %) of those of distdyn at the same scale: the model time that NEST is given
leaves L5E uncertain by 4 %. Otherwise no ratio is given, and the exit status is 1.

    python scripts/bench_microcircuit.py                                    # hours, and 20 GB
    python scripts/bench_microcircuit.py --no-nest --turns 3                # distdyn alone
    python scripts/bench_microcircuit.py --full 0.3 --scale 0.3 --duration 1000 \\
        --nest-duration 200 --drives dc --turns 2                           # two minutes

NEST gets a virtual environment of its own, `.venv-nest`, made by pip when it is first needed.
"""

import argparse
import sys
from collections.abc import Callable
from contextlib import ExitStack

from distdyn.zoo.microcircuit import NAMES, PUBLISHED_RATES, Microcircuit
from peers.command import add_duration, add_nest, parser_of
from peers.machine import machine, report
from peers.nest_terms import nest_terms
from peers.turns import Turn, disagreements, listed, mean_rates, pair_ratio, summary, take_turns
from peers.workers import program, run_distdyn

DT = 0.1  # ms
DRIVES = ("dc", "poisson")


def main() -> None:
    options = parse()
    facts = machine()
    results = [compare(drive, options) for drive in options.drives]
    report("microcircuit", facts, dt=DT, options=vars(options), results=results)
    sys.exit(any(result["disagreements"] for result in results))


def parse() -> argparse.Namespace:
    parser = parser_of(__doc__, turns=5, warmup=500.0)
    parser.add_argument("--scale", type=float, default=0.9, help="of NEST (default 0.9)")
    parser.add_argument(
        "--full", type=float, default=1.0, metavar="SCALE", help="of distdyn alone (default 1)"
    )
    parser.add_argument("--no-nest", dest="nest", action="store_false", help="distdyn alone")
    parser.add_argument("--drives", nargs="+", default=list(DRIVES), choices=DRIVES)
    parser.add_argument("--devices", default="2", help="of distdyn (default 2)")
    add_nest(parser)
    parser.add_argument("--nest-warmup", type=float, default=500.0, metavar="MS")
    add_duration(parser, "distdyn", "--duration", 10_000.0)
    add_duration(parser, "NEST", "--nest-duration", 1000.0)
    return parser.parse_args()


def compare(drive: str, options: argparse.Namespace) -> dict:
    """Rates first, then everybody in turns."""
    ours = {"full": options.full} | ({"as NEST": options.scale} if options.nest else {})
    names = {f"distdyn, scale {scale:g}": scale for scale in ours.values()}
    print(f"{drive}: rates of distdyn", file=sys.stderr, flush=True)
    recorded = {name: distdyn(scale, drive, options, "spikes") for name, scale in names.items()}
    rates = {name: of["rates"] for name, of in recorded.items()}
    programs: dict[str, Callable[[int], dict]] = {
        name: unrecorded(scale, drive, options, rates[name]) for name, scale in names.items()
    }
    with ExitStack() as open_:
        if options.nest:
            print(f"{drive}: NEST builds", file=sys.stderr, flush=True)
            programs["NEST"] = nest(drive, options, open_)
        turns = take_turns(programs, options.turns)
    differing = differences(turns, rates, options)
    ratio = None
    if options.nest and not differing:
        ratio = pair_ratio(turns, ["NEST"], [f"distdyn, scale {options.scale:g}"])
    return {
        "drive": drive,
        "ratio": ratio,
        "disagreements": differing,
        "published_rates": published(),
        "programs": summary(turns, list(programs)),
        "distdyn": {name: shown(turns[-1].of[name]) for name in names},
        "recording_costs": {
            name: of["rtf"] / turns[0].of[name]["rtf"] - 1 for name, of in recorded.items()
        },
        "nest": turns[-1].of["NEST"]["built"] if options.nest else None,
        "turns": listed(turns),
    }


def differences(
    turns: list[Turn], rates: dict[str, dict], options: argparse.Namespace
) -> list[str]:
    """Rates that are not those they should be, in words."""
    found = []
    if options.full == 1:  # smaller ones fire less, see the zoo
        found += disagreements({"distdyn": rates["distdyn, scale 1"]}, published(), 0.08, 0.15)
    if options.nest:
        ours = rates[f"distdyn, scale {options.scale:g}"]
        found += disagreements({"NEST": mean_rates(turns, "NEST")}, ours, 0.1, 0.2)
    return found


def published() -> dict[str, float]:
    return dict(zip(NAMES, map(float, PUBLISHED_RATES), strict=True))


def distdyn(
    scale: float, drive: str, options: argparse.Namespace, record: str, seed: int = 1
) -> dict:
    return run_distdyn(
        "microcircuit", set={"scale": scale, "drive": drive}, duration=options.duration,
        warmup=options.warmup, seed=seed, devices=options.devices, record=record,
    )  # fmt: skip


def unrecorded(
    scale: float, drive: str, options: argparse.Namespace, rates: dict[str, float]
) -> Callable[[int], dict]:
    """Runs that record nothing, with the rates of the one that did."""
    return lambda _turn: distdyn(scale, drive, options, "none") | {"rates": rates}


def nest(drive: str, options: argparse.Namespace, open_: ExitStack) -> Callable[[int], dict]:
    return program(
        "nest", open_, is_rebuilt=options.rebuild, seed=1, dt=DT, threads=options.threads,
        network=nest_terms(Microcircuit(options.scale, drive), DT), warmup=options.nest_warmup,
        duration=options.nest_duration,
    )  # fmt: skip


def shown(ours: dict) -> dict:
    kept = ("neurons", "synapses", "devices", "bytes_per_synapse", "peak_rss", "phases")
    return {name: ours[name] for name in kept}


if __name__ == "__main__":
    main()
