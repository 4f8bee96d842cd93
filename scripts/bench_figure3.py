#!/usr/bin/env python
"""The speed comparison of the BrainPy paper (Wang et al. 2023, eLife 12, e86365), done again.

Three networks are run by five simulators, on one machine and in turns:

    coba        Vogels & Abbott with constant drive, 80 inputs for each cell at any size
    cobahh      cells of Traub & Miles that keep each other going, 80 inputs for each cell
    decision    Wang (2002), all connected with all; its trial of 1.6 s, from the start

    distdyn     on one device, and with --devices auto; single precision; records every spike
    NEURON      one compartment for each cell, backward Euler; one thread, for with more it wants
                delays of two steps; not in decision
    NEST        iaf_cond_exp, hh_cond_exp_traub (adaptive steps) and iaf_bw_2001
    Brian2      C++ standalone, exponential Euler
    BrainPy     compiled by its own jax; single precision

all with dt = 0.1 ms. In each turn every program has a network of its own. A turn gives one ratio
for each simulator: the fastest of its variants over the fastest of ours, as real-time factors of
the steps alone; the median is what counts; above 1 distdyn is faster. What building, compiling and
running took is listed apart. A simulator that cannot be installed or compiled, or does not fit, is
listed under `not_run`, with the reason.

Rates come first. A simulator gets a ratio only if the mean over the turns of E and of I lies within
20 % sqrt(4000 / n), at least 8 %, of ours (decision: within 20 % at any size, for trials differ);
otherwise it is listed under `disagreements`, and the exit status is 1. In cobahh the step itself
changes the rates, so NEST, whose steps adapt, and NEURON are compared with ours in steps of
0.01 ms, whose real-time factor is listed too.

    python scripts/bench_figure3.py --figure figure3.png                      # hours
    python scripts/bench_figure3.py --networks coba --sizes 4000 --turns 2 --duration 500 \\
        --slow-duration 100 > coba.json
    python scripts/bench_figure3.py --figure figure3.png --results coba.json more.json   # no run

Each simulator gets a virtual environment of its own, `.venv-NAME`, made by pip when it is first
needed. On a GPU (`--platform gpu`) only BrainPy is beside distdyn, for the others have none here.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import fmean, median

from peers import decision
from peers.machine import machine, report
from peers.side_by_side import (
    DT,
    at_other_rates,
    distdyn,
    in_fine_steps,
    in_turns,
    parser,
    started,
    tolerance,
)
from peers.turns import Turn, disagreements, listed, mean_rates, pair_ratio, summary, take_turns
from peers.workers import PeerError, Worker, run_distdyn

NETWORKS = ("coba", "cobahh", "decision")
NAMES = {"neuron": "NEURON", "nest": "NEST", "brian2": "Brian2", "brainpy": "BrainPy"}
ON_GPU = ("brainpy",)
FINE = {"coba": None, "cobahh": 0.01}  # ms, where 0.1 ms changes the rates
ALLOWED = 0.2  # of a rate, at 4,000 cells
NOT_FAIR = {
    "neuron": "a saturating NMDA synapse for each pair of cells, as its own mechanisms have it, "
    "would be all that is measured, and a sum of all cells is nothing that its users write"
}
# Cells of `decision`; a synapse for each pair takes NEST about 25 bytes, and there are three kinds.
LARGEST_DECISION = {"nest": 10_000}


def main() -> None:
    options = parse()
    if options.results:
        draw([result for path in options.results for result in reported(path)], options.figure)
        return
    facts = machine()
    results = [
        (compare_decision if network == "decision" else compare)(network, n, options)
        for network in options.networks
        for n in options.sizes
    ]
    if options.figure:
        draw(results, options.figure)
    shown = {name: str(x) if isinstance(x, Path) else x for name, x in vars(options).items()}
    report("figure3", facts, dt=DT, options=shown, results=results)
    sys.exit(any(result["disagreements"] for result in results))


def parse() -> argparse.Namespace:
    arguments = parser(__doc__, sizes=[4000, 20_000, 40_000], peers=list(NAMES))
    arguments.set_defaults(turns=3)
    arguments.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    arguments.add_argument("--platform", default="cpu", choices=["cpu", "gpu"])
    arguments.add_argument(
        "--figure", type=Path, metavar="PATH", help="draw run time against size with matplotlib"
    )
    arguments.add_argument(
        "--results", type=Path, nargs="+", metavar="JSON",
        help="draw what these runs have printed, in the place of a new one",
    )  # fmt: skip
    options = arguments.parse_args()
    if options.results and not options.figure:
        arguments.error("--results are drawn, and nothing is run: give --figure PATH, too")
    return options


def reported(path: Path) -> list[dict]:
    """What an earlier run, whose output was kept in a file, has found."""
    return json.loads(path.read_text())["results"]


def compare(network: str, n: int, options: argparse.Namespace) -> dict:
    """A network coupled by conductances, at one size."""
    print(f"{network}, n = {n}: building", file=sys.stderr, flush=True)
    fine = FINE[network]
    asked, not_run = on_platform(options)
    with ExitStack() as open_:
        workers, missing = started(network, n, asked, open_)
        ours = {
            f"distdyn, {devices} device(s)": distdyn(network, n, devices, options)
            for devices in options.devices
        }
        exact = {}
        if fine is not None:
            exact[f"distdyn, dt = {fine:g} ms"] = in_fine_steps(network, n, fine, options)
        theirs = {name: in_turns(worker, is_anew=True) for name, worker in workers.items()}
        turns = take_turns(ours | exact | theirs, options.turns)
    first, allowed = next(iter(ours)), tolerance(ALLOWED, n)
    differing = {
        name: at_other_rates(turns, {name: worker}, first, next(iter(exact), first), allowed)
        for name, worker in workers.items()
    }
    return {
        "network": network,
        "n": n,
        "synapses": turns[-1].of[first]["synapses"],
        "tolerance_of_rates": allowed,
        **compared(turns, [*ours], [*exact], workers, differing, options.warmup),
        "not_run": not_run | missing,
    }


def compare_decision(network: str, n: int, options: argparse.Namespace) -> dict:
    """A trial of the decision network in each turn, always from its start."""
    print(f"{network}, n = {n}: building", file=sys.stderr, flush=True)
    asked, not_run = on_platform(options)
    with ExitStack() as open_:
        workers: dict[str, Worker] = {}
        for peer in asked.peers:
            if peer in NOT_FAIR:
                not_run[NAMES[peer]] = NOT_FAIR[peer]
                continue
            if n > LARGEST_DECISION.get(peer, n):
                most = LARGEST_DECISION[peer]
                not_run[NAMES[peer]] = f"all pairs of more than {most} cells do not fit into memory"
                continue
            for name, request in variants_of_decision(peer, n, options).items():
                environment = f"{peer}_gpu" if options.platform == "gpu" else peer
                try:
                    worker = Worker(environment, program=f"{peer}_decision", **request)
                    workers[name] = open_.enter_context(worker)
                except (PeerError, subprocess.CalledProcessError) as error:
                    not_run[name] = str(error)
        ours = {
            f"distdyn, {devices} device(s)": of_decision(n, devices, options)
            for devices in options.devices
        }
        turns = take_turns(
            ours | {name: trials(worker) for name, worker in workers.items()}, options.turns
        )
    first = next(iter(ours))
    expected = excitatory_and_inhibitory(mean_rates(turns, first), n)
    differing = {
        name: disagreements(
            {name: excitatory_and_inhibitory(mean_rates(turns, name), n)}, expected, ALLOWED
        )
        for name in workers
    }
    return {
        "network": network,
        "n": n,
        "synapses": turns[-1].of[first]["synapses"],
        "tolerance_of_rates": ALLOWED,
        **compared(turns, [*ours], [], workers, differing, warmup=0.0),
        "not_run": not_run,
    }


def on_platform(options: argparse.Namespace) -> tuple[argparse.Namespace, dict[str, str]]:
    """The options with the peers that run there, and why the others do not."""
    if options.platform != "gpu":
        return options, {}
    left_out = [peer for peer in options.peers if peer not in ON_GPU]
    asked = argparse.Namespace(**vars(options))
    asked.peers = [peer for peer in options.peers if peer in ON_GPU]
    return asked, {NAMES[peer]: "it has no GPU here" for peer in left_out}


def variants_of_decision(peer: str, n: int, options: argparse.Namespace) -> dict[str, dict]:
    duration = min(decision.TRIAL, options.duration)
    common = {"n": n, "dt": DT, "seed": 1, "duration": duration}
    if peer == "brian2":
        return {
            f"Brian2, {precision}, {threads} thread(s)": common
            | {"threads": threads, "precision": precision}
            for precision in options.brian2_precision
            for threads in options.threads
        }
    if peer == "nest":
        return {
            f"NEST, {threads} thread(s)": common | {"threads": threads}
            for threads in options.threads
        }
    return {NAMES[peer]: common | {"platform": options.platform}}


def of_decision(n: int, devices: str, options: argparse.Namespace) -> Callable[[int], dict]:
    length = decision.END - decision.BEGIN
    return lambda turn: run_distdyn(
        "decision",
        set={"n": n, "start": decision.BEGIN, "duration": length, "trial": 1 + turn},
        dt=DT, duration=min(decision.TRIAL, options.duration), seed=1 + turn, devices=devices,
        platform=options.platform,
    )  # fmt: skip


def trials(worker: Worker) -> Callable[[int], dict]:
    """Trials of a peer, each with inputs of its own; its program takes the seed of the trial."""
    return lambda turn: worker.run(seed=1 + turn)


def excitatory_and_inhibitory(rates: Mapping[str, float], n: int) -> dict[str, float]:
    """Rates of all excitatory and all inhibitory cells: which of A and B wins differs by trial."""
    sizes = decision.sizes(n)
    of_E = [name for name in sizes if name != "I"]
    spikes = sum(rates[name] * sizes[name] for name in of_E)
    return {"E": spikes / sum(sizes[name] for name in of_E), "I": rates["I"]}


def compared(
    turns: list[Turn],
    ours: list[str],
    exact: list[str],
    workers: Mapping[str, Worker],
    differing: Mapping[str, list[str]],
    warmup: float,
) -> dict:
    """Ratios of those whose rates agree, and of every program what it took."""
    simulators = {name: worker.peer.removesuffix("_gpu") for name, worker in workers.items()}
    ratios = {}
    for peer in dict.fromkeys(simulators.values()):
        agreeing = [name for name, of in simulators.items() if of == peer and not differing[name]]
        ratios[NAMES[peer]] = pair_ratio(turns, agreeing, ours) if agreeing else None
    told = summary(turns, [*ours, *exact, *workers])
    for name, of in told.items():
        of["simulator"] = NAMES[simulators[name]] if name in simulators else "distdyn"
        of["is_compared"] = name not in exact and not differing.get(name)
        runs = [turn.of[name] for turn in turns]
        built = workers[name].built if name in workers else {}
        of["seconds"] = seconds(runs, built, of["simulator"], warmup)
        of |= {key: built[key] for key in ("version", "peak_rss") if key in built}
    return {
        "ratios": ratios,
        "disagreements": [words for found in differing.values() for words in found],
        "programs": told,
        "turns": listed(turns),
    }


def seconds(runs: list[dict], built: dict, simulator: str, warmup: float) -> dict[str, float]:
    """Wall time of building, compiling and running; of running the median over the turns.

    Brian2's program builds and warms up before the steps that it times, and BrainPy compiles when
    it first runs; what these steps take is known from those that are timed.
    """
    if simulator == "distdyn":
        found = {
            phase: median(run["phases"][phase] for run in runs)
            for phase in ("build", "compile", "run")
        }
        return found
    run = median(run["run"] for run in runs)
    if simulator == "Brian2":
        warming = fmean(run["rtf"] for run in runs) * warmup / 1000
        build = built["describe"] + median(run["build_and_warm_up"] for run in runs) - warming
        return {"build": max(0.0, build), "compile": built["compile"], "run": run}
    if simulator == "BrainPy":
        compiling = max(0.0, built["compile_and_first_run"] - run)
        return {"build": built["build"], "compile": compiling, "run": run}
    build = built["build"] + built.get("prepare", 0.0)
    return {"build": build, "compile": built.get("compile", 0.0), "run": run}


def draw(results: list[dict], path: Path) -> None:
    """Run time of a second of the model against the number of cells, a panel for each network.

    Of each simulator its fastest variant; hollow where the rates do not agree with ours.
    """
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    networks = list(dict.fromkeys(result["network"] for result in results))
    figure, panels = plt.subplots(
        1, len(networks), figsize=(3.6 * len(networks) + 1.2, 3.4), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for panel, network in zip(panels[0], networks, strict=True):
        of_network = sorted(
            (result for result in results if result["network"] == network),
            key=lambda result: result["n"],
        )
        for number, simulator in enumerate(("distdyn", *NAMES.values())):
            draw_line(panel, points(of_network, simulator), simulator, f"C{number}")
        panel.set(xscale="log", yscale="log", title=network, xlabel="cells")
        ticks = [result["n"] for result in of_network]
        panel.set_xticks(ticks, [f"{n:,}" for n in ticks], minor=False)
        panel.set_xticks([], minor=True)
        panel.axhline(1.0, color="0.8", lw=0.8, zorder=0)
    panels[0][0].set_ylabel("run time of 1 s (s)")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def points(results: list[dict], simulator: str) -> list[tuple[int, dict]]:
    """At each size the fastest variant of a simulator; one that agrees, if there is any."""
    found = []
    for result in results:
        programs = [
            of for name, of in result["programs"].items()
            if of["simulator"] == simulator and not name.startswith("distdyn, dt")
        ]  # fmt: skip
        if programs:
            best = min(programs, key=lambda of: (not of["is_compared"], of["rtf"]))
            found.append((result["n"], best))
    return found


def draw_line(panel, found: list[tuple[int, dict]], label: str, color: str) -> None:  # type: ignore[no-untyped-def]
    x, y = [n for n, _ in found], [of["rtf"] for _, of in found]
    low = [of["rtf"] - of["rtf_least"] for _, of in found]
    high = [of["rtf_most"] - of["rtf"] for _, of in found]
    panel.errorbar(x, y, [low, high], color=color, lw=1.2, label=label)
    for n, of in found:
        face = color if of["is_compared"] else "white"
        panel.plot(n, of["rtf"], "o", color=color, markerfacecolor=face, markersize=5)


if __name__ == "__main__":
    main()
