#!/usr/bin/env python
"""distdyn and its peers on the conductance-based network, side by side, as one JSON object.

The network is `coba` of the zoo: Vogels & Abbott with constant drive, connections drawn pair by
pair with p = 80 / n, a delay of one step of 0.1 ms. It is run by

    distdyn     with --devices auto unless others are named: one device for 2,000 cells, at most one
                per core; every spike is recorded; a network of its own in each turn (seed = turn)
    Brian2      C++ standalone, 1 and 2 threads, single and double precision; counts spikes
    NEST        iaf_cond_exp (adaptive Runge-Kutta), 1 and 2 threads; counts spikes. As two ranks of
                MPI where its build allows that; the wheel of PyPI does not, and the JSON says so
    BrainPy     on CPU, compiled by its own jax; single precision; fixed out-degree of the same mean
    ANNarchy    C++ that CMake compiles, 1 and 2 threads, single precision; records every spike

all in turns. A turn gives one ratio for each peer: the fastest of its variants over the fastest of
ours, as real-time factors of the steps alone. The median is what counts; above 1 distdyn is faster.
Building and compiling are listed apart. A peer that cannot be installed or compiled is listed under
`missing`, with the reason.

No ratio is given, and the exit status is 1, unless the rates agree: the mean over the turns of E
and of I must lie within 20 % sqrt(4000 / n), at least 8 %, of ours. One network of 4,000 cells
differs from the next by 6 % (standard deviation), larger ones by less; 8 % is for the differences
between programs in when the conductances decay and the refractory time ends.

    python scripts/bench_coba.py                                              # about two hours
    python scripts/bench_coba.py --sizes 4000 --turns 2 --duration 500 --slow-duration 200
    python scripts/bench_coba.py --sizes 4000 --peers brian2 --threads 2      # Brian2 alone

Each peer gets a virtual environment of its own, `.venv-NAME`, made by pip when it is first needed.
"""

import argparse
import math
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack

from distdyn.zoo import by_name
from peers.command import add_duration, parser_of
from peers.machine import machine, report
from peers.nest_terms import nest_terms
from peers.turns import disagreements, listed, mean_rates, pair_ratio, summary, take_turns
from peers.workers import PeerError, Worker, run_distdyn

DT = 0.1  # ms
PEERS = ("brian2", "nest", "brainpy", "annarchy")


def main() -> None:
    options = parse()
    facts = machine()
    results = [compare(n, options) for n in options.sizes]
    report("coba", facts, dt=DT, options=vars(options), results=results)
    sys.exit(any(result["disagreements"] for result in results))


def parse() -> argparse.Namespace:
    parser = parser_of(__doc__, turns=5, warmup=200.0)
    parser.add_argument("--sizes", type=int, nargs="+", default=[4000, 40_000, 400_000])
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=PEERS)
    parser.add_argument("--devices", nargs="+", default=["auto"], help="of distdyn, each a variant")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="of the peers")
    precisions = ["float32", "float64"]
    parser.add_argument(
        "--brian2-precision", nargs="+", default=precisions, choices=precisions, metavar="FLOAT"
    )
    add_duration(parser, "distdyn and Brian2", "--duration", 2000.0)
    add_duration(parser, "the others", "--slow-duration", 500.0)
    return parser.parse_args()


def compare(n: int, options: argparse.Namespace) -> dict:
    """Builds all programs of one size, then lets them run in turns."""
    print(f"n = {n}: building", file=sys.stderr, flush=True)
    with ExitStack() as open_:
        workers, missing = started(n, options, open_)
        ours = {f"distdyn, {d} device(s)": distdyn(n, d, options) for d in options.devices}
        theirs: dict[str, Callable] = {
            name: (lambda _turn, of=of: of.run()) for name, of in workers.items()
        }
        turns = take_turns(ours | theirs, options.turns)
    rates = {name: mean_rates(turns, name) for name in theirs}
    allowed = max(0.08, 0.2 * math.sqrt(4000 / n))
    differing = disagreements(rates, mean_rates(turns, next(iter(ours))), allowed)
    ratios = {
        peer: pair_ratio(turns, [name for name in theirs if workers[name].peer == peer], [*ours])
        for peer in {worker.peer: None for worker in workers.values()}
    }
    last = turns[-1].of[next(iter(ours))]
    return {
        "n": n,
        "ratios": None if differing else ratios,
        "disagreements": differing,
        "missing": missing,
        "tolerance_of_rates": allowed,
        "programs": summary(turns, [*ours, *theirs]),
        "built": {name: of.built for name, of in workers.items()}
        | {name: built(turns[-1].of[name]) for name in ours},
        "nest_as_two_ranks": ranks_of_nest(workers),
        "synapses": last["synapses"],
        "turns": listed(turns),
    }


def started(
    n: int, options: argparse.Namespace, open_: ExitStack
) -> tuple[dict[str, Worker], dict[str, str]]:
    """The programs of the peers, and why some of them are not there."""
    workers, missing = {}, {}
    for peer in options.peers:
        for name, request in variants(peer, n, options).items():
            try:
                workers[name] = open_.enter_context(Worker(peer, **request))
            except (PeerError, subprocess.CalledProcessError) as error:
                missing[name] = str(error)
                print(f"{name} is left out: {error}", file=sys.stderr, flush=True)
    return workers, missing


def variants(peer: str, n: int, options: argparse.Namespace) -> dict[str, dict]:
    """What each program of a peer is asked to build."""
    common = {"n": n, "dt": DT, "seed": 1, "warmup": options.warmup}
    slow = common | {"duration": options.slow_duration}
    if peer == "brian2":
        return {
            f"Brian2, {precision}, {threads} thread(s)": common
            | {"duration": options.duration, "threads": threads, "precision": precision}
            for precision in options.brian2_precision
            for threads in options.threads
        }
    if peer == "nest":
        network = nest_terms(by_name("coba")(n=n), DT)
        return {
            f"NEST, {threads} thread(s)": slow | {"network": network, "threads": threads}
            for threads in options.threads
        }
    if peer == "annarchy":
        return {
            f"ANNarchy, {threads} thread(s)": slow | {"threads": threads, "precision": "float32"}
            for threads in options.threads
        }
    return {"BrainPy": slow}


def distdyn(n: int, devices: str, options: argparse.Namespace) -> Callable[[int], dict]:
    def run(turn: int) -> dict:
        return run_distdyn(
            "coba", set={"n": n}, duration=options.duration, warmup=options.warmup, seed=turn,
            devices=devices,
        )  # fmt: skip

    return run


def built(ours: dict) -> dict:
    """The times and sizes of distdyn that the others say in `built`."""
    kept = ("devices", "synapses", "bytes_per_synapse", "peak_rss")
    phases = {name: ours["phases"][name] for name in ("build", "compile")}
    return phases | {name: ours[name] for name in kept}


def ranks_of_nest(workers: dict[str, Worker]) -> str:
    of = next((worker.built for worker in workers.values() if worker.peer == "nest"), None)
    if of is None:
        return "NEST was not asked."
    if of["has_mpi"]:
        return "This build has MPI, but NEST was run with threads only."
    return f"The build of NEST {of['version']} that was installed has no MPI."


if __name__ == "__main__":
    main()
