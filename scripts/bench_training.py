#!/usr/bin/env python
"""distdyn and its peers train one recurrent classifier, side by side, as one JSON object.

512 LIF cells, all connected with all, read 700 inputs; 250 steps, 64 trials in a batch, all weights
learn by backpropagation through time with Adam, in single precision (`peers/classifier.py`). It is
trained by

    distdyn     DSTrainer as it comes: checkpoints, event-driven products. On a device bound to one
                core, on one device, and on two over trials (2, 1) and over neurons (1, 2)
    snnTorch    RLeaky between linear layers, on PyTorch with 1 and 2 threads
    Norse       LIFRecurrentCell, the same
    spyx        spyx.nn.run of RLIF, compiled by its own jax, on all cores

all in turns. A turn gives a ratio for each peer: the fastest of its variants over the fastest of
ours, by the median seconds of an update. The median over the turns is what counts; above 1 distdyn
is faster. `scaling` is the time on one core over that on two devices. Peak memory is that of the
whole process. No ratio is given, and the exit status is 1, unless the part of cells that spike in a
step is within 20 % of ours.

`--weak` adds the efficiency of a network twice as large on two devices, over
neurons, that of 256 synapses of each cell from other cells.

    python scripts/bench_training.py                                   # ten minutes, 6 GB of disk
    python scripts/bench_training.py --cells 128 --steps 50 --turns 2 --peers spyx

Each peer gets a virtual environment of its own, made by pip when it is first needed. With
`--platform gpu` all run on the first GPU, distdyn on that one device.
"""

import argparse
import sys
from contextlib import ExitStack
from statistics import median

from peers.classifier import Sizes
from peers.command import parser_of
from peers.machine import busy, machine, report
from peers.workers import PeerError, Worker

ENVIRONMENTS = {"snntorch": "torch", "norse": "torch", "spyx": "spyx"}
MESHES = {"one core": (1, 1), "one device": (1, 1), "(2, 1)": (2, 1), "(1, 2)": (1, 2)}
PER_CELL = 256  # synapses of a cell from other cells, where networks grow


def main() -> None:
    options = parse()
    facts = machine()
    sizes = Sizes(options.cells, options.inputs, options.classes, options.steps, options.trials)
    results = compare(sizes, options)
    if options.weak:
        results["weak"] = weak(sizes, options)
    report("training", facts, options=vars(options), **results)
    sys.exit(bool(results["disagreements"]))


def parse() -> argparse.Namespace:
    parser = parser_of(__doc__, turns=5)
    parser.add_argument("--cells", type=int, default=512)
    parser.add_argument("--inputs", type=int, default=700)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--updates", type=int, default=3, help="of each program in a turn")
    parser.add_argument("--seed", type=int, default=1)
    peers = list(ENVIRONMENTS)
    parser.add_argument("--peers", nargs="*", default=peers, choices=peers)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="of PyTorch")
    parser.add_argument("--platform", choices=("cpu", "gpu"), default="cpu", help="of all programs")
    parser.add_argument(
        "--installed", action="store_true", help="peers are where distdyn is, and not to be made"
    )
    parser.add_argument("--weak", action="store_true", help="networks that grow with the devices")
    return parser.parse_args()


def ours(sizes: Sizes, name: str, options: argparse.Namespace, **request: object) -> Worker:
    return Worker(
        "distdyn", "trainer", sizes=sizes, seed=options.seed, mesh=MESHES[name],
        core=0 if name == "one core" else None, platform=options.platform,
        **{"per_cell": None} | request,
    )  # fmt: skip


def compare(sizes: Sizes, options: argparse.Namespace) -> dict:
    """All programs in turns."""
    programs: dict[str, Worker] = {}
    missing: dict[str, str] = {}
    with ExitStack() as open_:
        for name in MESHES if options.platform == "cpu" else ["one device"]:
            say(f"distdyn, {name}: compiling")
            programs[f"distdyn, {name}"] = open_.enter_context(ours(sizes, name, options))
        for peer in options.peers:
            is_threaded = ENVIRONMENTS[peer] == "torch" and options.platform == "cpu"
            for threads in options.threads if is_threaded else [None]:
                name = peer if threads is None else f"{peer}, threads {threads}"
                say(f"{name}: building")
                try:
                    worker = Worker(
                        "distdyn" if options.installed else ENVIRONMENTS[peer], peer,
                        sizes=sizes, seed=options.seed, threads=threads, platform=options.platform,
                    )  # fmt: skip
                except (PeerError, OSError) as error:
                    missing[name] = str(error)
                    continue
                programs[name] = open_.enter_context(worker)
        turns = [turn(programs, k, options) for k in range(options.turns)]
        built = {name: worker.built["seconds"] for name, worker in programs.items()}
    return judged(turns, built, missing)


def turn(programs: dict[str, Worker], k: int, options: argparse.Namespace) -> dict:
    order = list(programs)[:: -1 if k % 2 else 1]
    others = busy()
    found = {name: programs[name].run(updates=options.updates) for name in order}
    say(", ".join(f"{name} {found[name]['seconds']:.3g} s" for name in programs))
    return {"busy": others, **{name: found[name] for name in programs}}


def judged(turns: list[dict], built: dict[str, float], missing: dict[str, str]) -> dict:
    """Ratios, where all do the same work."""
    spiking = {name: turns[0][name]["spiking"] for name in built}
    expected = spiking["distdyn, one device"]
    disagreements = [
        f"{name}: {of:.4f} of the cells spike in a step, not {expected:.4f} +- 20 %"
        for name, of in spiking.items()
        if not abs(of - expected) <= 0.2 * expected
    ]
    of_us = [name for name in built if name.startswith("distdyn")]
    ratios = {}
    for peer in ENVIRONMENTS:
        theirs = [name for name in built if name.split(",")[0] == peer]
        if theirs and not disagreements:
            ratios[peer] = median(fastest(t, theirs) / fastest(t, of_us) for t in turns)
    two = [name for name in of_us if name.startswith("distdyn, (")]
    return {
        "ratios": ratios,
        "scaling": {
            name: median(fastest(t, ["distdyn, one core"]) / fastest(t, [name]) for t in turns)
            for name in two
        },
        "programs": {
            name: {
                "update": median(t[name]["seconds"] for t in turns),
                "least": min(t[name]["seconds"] for t in turns),
                "most": max(t[name]["seconds"] for t in turns),
                "first": built[name],
                "peak_memory": turns[-1][name]["peak"],
                "spiking": spiking[name],
            }
            for name in built
        },
        "busy": [t["busy"] for t in turns],
        "missing": missing,
        "disagreements": disagreements,
    }


def fastest(of: dict, names: list[str]) -> float:
    return min(of[name]["seconds"] for name in names)


def weak(sizes: Sizes, options: argparse.Namespace) -> list[dict]:
    """Twice the cells on two devices, over neurons, with as many synapses for each."""
    found = []
    pair = [(sizes, "one core"), (sizes._replace(cells=2 * sizes.cells), "(1, 2)")]
    with ExitStack() as open_:
        workers = [
            open_.enter_context(ours(of, name, options, per_cell=PER_CELL)) for of, name in pair
        ]
        for _ in range(options.turns):
            seconds = [worker.run(updates=options.updates)["seconds"] for worker in workers]
            found.append(
                {"one": seconds[0], "two": seconds[1], "efficiency": seconds[0] / seconds[1]}
            )
    return found


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
