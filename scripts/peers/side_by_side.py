"""A network coupled by conductances, run by distdyn and its peers side by side, in turns.

What `bench_coba.py`, `bench_cobahh.py` and `bench_figure3.py` share: a network of the zoo is built
by every program at each size; rates are compared before any ratio is given.
"""

import argparse
import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from distdyn.zoo import by_name
from peers.command import add_duration, parser_of
from peers.machine import machine, report
from peers.nest_terms import nest_terms
from peers.turns import Turn, disagreements, listed, mean_rates, pair_ratio, summary, take_turns
from peers.workers import PeerError, Worker, run_distdyn

DT = 0.1  # ms
LARGEST = {"annarchy": 40_000}  # cells; 400,000 were not built in five minutes
# Rates do not depend on the time step here: these adapt their steps or integrate implicitly.
EXACT = ("nest", "neuron")


def benchmark(
    network: str,
    description: str | None,
    *,
    sizes: Sequence[int],
    peers: Sequence[str],
    allowed: float,
    fine: float | None = None,
) -> None:
    """Compare as the command line says, print the one JSON object, and exit.

    Args:
        network: its name in the zoo.
        description: what `--help` says.
        sizes: the default of `--sizes`.
        peers: those that can run the network.
        allowed: the part by which rates may differ at 4,000 cells; of larger networks, which differ
            less from each other, sqrt(4000 / n) of it, but at least 8 %.
        fine: a time step (ms) of distdyn whose rates NEST, which adapts its steps, must have, in
            networks of its own in each turn, too; None if `DT` changes the rates by less than
            networks differ.
    """
    options = parser(description, sizes, peers).parse_args()
    facts = machine()
    results = [compare(network, n, allowed, fine, options) for n in options.sizes]
    report(network, facts, dt=DT, options=vars(options), results=results)
    sys.exit(any(result["disagreements"] for result in results))


def parser(
    description: str | None, sizes: Sequence[int], peers: Sequence[str]
) -> argparse.ArgumentParser:
    parser = parser_of(description, turns=5, warmup=200.0)
    parser.set_defaults(platform=None)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(sizes))
    parser.add_argument("--peers", nargs="*", default=list(peers), choices=peers)
    parser.add_argument(
        "--devices", nargs="+", default=["1", "auto"], help="of distdyn, each a variant"
    )
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="of the peers")
    precisions = ["float32", "float64"]
    parser.add_argument(
        "--brian2-precision", nargs="+", default=precisions, choices=precisions, metavar="FLOAT"
    )
    add_duration(parser, "distdyn and Brian2", "--duration", 2000.0)
    add_duration(parser, "the others", "--slow-duration", 500.0)
    return parser


def compare(
    network: str, n: int, allowed: float, fine: float | None, options: argparse.Namespace
) -> dict:
    """Builds all programs of one size, then lets them run in turns."""
    print(f"n = {n}: building", file=sys.stderr, flush=True)
    with ExitStack() as open_:
        workers, missing = started(network, n, options, open_)
        ours = {
            f"distdyn, {devices} device(s)": distdyn(network, n, devices, options)
            for devices in options.devices
        }
        exact = {}
        if fine is not None:
            exact[f"distdyn, dt = {fine:g} ms"] = in_fine_steps(network, n, fine, options)
        theirs = {
            name: in_turns(worker, is_anew=fine is not None) for name, worker in workers.items()
        }
        turns = take_turns(ours | exact | theirs, options.turns)
    allowed = tolerance(allowed, n)
    first = next(iter(ours))
    differing = at_other_rates(turns, workers, first, next(iter(exact), first), allowed)
    ratios = {
        peer: pair_ratio(turns, [name for name in theirs if workers[name].program == peer], [*ours])
        for peer in {worker.program: None for worker in workers.values()}
    }
    return {
        "n": n,
        "ratios": None if differing else ratios,
        "disagreements": differing,
        "missing": missing,
        "tolerance_of_rates": allowed,
        "programs": summary(turns, [*ours, *exact, *theirs]),
        "built": {name: of.built for name, of in workers.items()}
        | {name: built(turns[-1].of[name]) for name in ours},
        "nest_as_two_ranks": ranks_of_nest(workers),
        "synapses": turns[-1].of[first]["synapses"],
        "turns": listed(turns),
    }


def tolerance(allowed: float, n: int) -> float:
    """The part by which rates of `n` cells may differ where those of 4,000 may by `allowed`."""
    return max(0.08, allowed * math.sqrt(4000 / n))


def at_other_rates(
    turns: Sequence[Turn], workers: dict[str, Worker], ours: str, exact: str, allowed: float
) -> list[str]:
    """Which programs fire at other rates than ours, in words; `EXACT` ones than the fine steps."""
    found = []
    for name, worker in workers.items():
        expected = mean_rates(turns, exact if worker.program in EXACT else ours)
        found += disagreements({name: mean_rates(turns, name)}, expected, allowed)
    return found


def started(
    network: str, n: int, options: argparse.Namespace, open_: ExitStack
) -> tuple[dict[str, Worker], dict[str, str]]:
    """The programs of the peers, and why some of them are not there."""
    workers, missing = {}, {}
    for peer in options.peers:
        most = LARGEST.get(peer, n)
        environment = f"{peer}_gpu" if options.platform == "gpu" else peer
        for name, request in variants(network, peer, n, options).items():
            if n > most:
                missing[name] = f"its building takes too long with more than {most} cells"
                continue
            try:
                worker = Worker(environment, program=peer, **request)
                workers[name] = open_.enter_context(worker)
            except (PeerError, subprocess.CalledProcessError) as error:
                missing[name] = str(error)
                print(f"{name} is left out: {error}", file=sys.stderr, flush=True)
    return workers, missing


def in_turns(worker: Worker, *, is_anew: bool) -> Callable[[int], dict]:
    """Runs of a peer. It builds a network of its own for each turn, if that is asked for.

    Brian2's program does so without being asked.
    """

    def run(turn: int) -> dict:
        if is_anew and turn and worker.program != "brian2":
            worker.build_anew(seed=1 + turn)
        return worker.run()

    return run


def variants(network: str, peer: str, n: int, options: argparse.Namespace) -> dict[str, dict]:
    """What each program of a peer is asked to build."""
    common = {"n": n, "dt": DT, "seed": 1, "warmup": options.warmup}
    slow = common | {"duration": options.slow_duration}
    if peer == "brian2":
        # Without a seed its program draws another network whenever it is started.
        brian2 = common | {"network": network, "duration": options.duration, "seed": None}
        return {
            f"Brian2, {precision}, {threads} thread(s)": brian2
            | {"threads": threads, "precision": precision}
            for precision in options.brian2_precision
            for threads in options.threads
        }
    if peer == "nest":
        terms = nest_terms(by_name(network)(n=n), DT)
        return {
            f"NEST, {threads} thread(s)": slow | {"network": terms, "threads": threads}
            for threads in options.threads
        }
    if peer == "annarchy":
        return {
            f"ANNarchy, {threads} thread(s)": slow | {"threads": threads, "precision": "float32"}
            for threads in options.threads
        }
    if peer == "neuron":
        return {"NEURON, 1 thread": slow | {"network": network}}
    return {"BrainPy": slow | {"network": network, "platform": options.platform or "cpu"}}


def distdyn(
    network: str, n: int, devices: str, options: argparse.Namespace
) -> Callable[[int], dict]:
    """Runs of distdyn, each of a network of its own."""
    return lambda turn: run_distdyn(
        network, set={"n": n}, dt=DT, duration=options.duration, warmup=options.warmup, seed=turn,
        devices=devices, platform=options.platform,
    )  # fmt: skip


def in_fine_steps(
    network: str, n: int, dt: float, options: argparse.Namespace
) -> Callable[[int], dict]:
    """The same networks in shorter steps, as long as NEST runs."""
    return lambda turn: run_distdyn(
        network, set={"n": n}, dt=dt, duration=options.slow_duration, warmup=options.warmup,
        seed=turn, devices=options.devices[0], platform=options.platform,
    )  # fmt: skip


def built(ours: dict) -> dict:
    """The times and sizes of distdyn that the others say in `built`."""
    kept = ("devices", "synapses", "bytes_per_synapse", "peak_rss")
    phases = {name: ours["phases"][name] for name in ("build", "compile")}
    return phases | {name: ours[name] for name in kept}


def ranks_of_nest(workers: dict[str, Worker]) -> str:
    of = next((worker.built for worker in workers.values() if worker.program == "nest"), None)
    if of is None:
        return "NEST was not asked."
    if of["has_mpi"]:
        return "This build has MPI, but NEST was run with threads only."
    return f"The build of NEST {of['version']} that was installed has no MPI."
