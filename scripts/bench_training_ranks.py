#!/usr/bin/env python
"""One recurrent classifier trained on ranks, as one JSON object: what an update costs, and why.

The classifier of `bench_training.py` (`peers/classifier.py`) is trained, turn by turn, on

    one            one device, bound to one core
    trials         two ranks, each with half of the trials
    neurons        two ranks, each with half of the neurons; MPI inside of the program
    neurons, jax   the same as one program of both ranks, with JAX's collectives (Gloo)
    devices        one process, two devices, each with half of the neurons
    twice, one / twice, neurons     256 synapses for each cell from other cells; on two ranks twice
                                    as many cells

Each is a job of its own in each turn. `speedup` is the time of one over that of two, `weak` the
time of half the network on one core over that of the whole on two ranks; medians over the turns.
`exchange` is the part of an update that a rank spends in MPI, waiting for the other included.

    python scripts/bench_training_ranks.py                        # six minutes
    python scripts/bench_training_ranks.py --cells 64 --steps 50 --turns 1
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

from peers.classifier import Sizes, batch
from peers.command import parser_of
from peers.machine import busy, machine, report

PER_CELL = 256
MESHES = {  # ranks, devices of each, (data, neuron), variables
    "one": (1, 1, (1, 1), {}),
    "trials": (2, 1, (1, 1), {}),
    "neurons": (2, 1, (1, 2), {}),
    "neurons, jax": (2, 1, (1, 2), {"DISTDYN_COLLECTIVES": "1"}),
    "devices": (1, 2, (1, 2), {}),
    "twice, one": (1, 1, (1, 1), {}),
    "twice, neurons": (2, 1, (1, 2), {}),
}


def main() -> None:
    options = parse()
    if options.job:
        work(options)
        return
    facts = machine()
    turns = []
    for k in range(options.turns):
        order = list(MESHES)[:: -1 if k % 2 else 1]
        found = {"busy": busy()} | {name: run(name, options) for name in order}
        say(", ".join(f"{name} {found[name]['seconds']:.3g} s" for name in MESHES))
        turns.append(found)
    report("training_ranks", facts, options=vars(options), **judged(turns))


def parse() -> argparse.Namespace:
    parser = parser_of(__doc__, turns=3)
    parser.add_argument("--cells", type=int, default=512)
    parser.add_argument("--inputs", type=int, default=700)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--updates", type=int, default=5, help="of each job")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--job", choices=list(MESHES), help=argparse.SUPPRESS)
    return parser.parse_args()


def run(name: str, options: argparse.Namespace) -> dict:
    """A job of its own; what its rank 0 says."""
    ranks, _, _, variables = MESHES[name]
    words = [sys.executable, __file__, "--job", name]
    for option in ("cells", "inputs", "classes", "steps", "trials", "updates", "seed"):
        words += [f"--{option}", str(getattr(options, option))]
    if ranks > 1:
        words = [str(Path(sys.executable).with_name("mpirun")), "-n", str(ranks), *words]
    ended = subprocess.run(
        words, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **variables}
    )
    return json.loads(ended.stdout.splitlines()[-1])


def work(options: argparse.Namespace) -> None:
    """One rank of a job."""
    import time

    import distdyn as dd
    from distdyn.parallel import launch
    from peers.trained import made

    _, devices, mesh, _ = MESHES[options.job]
    world = launch.world()
    if devices == 1:
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[world.local_rank % len(cores)]})
    is_twice, doubled = options.job.startswith("twice"), 1 + (options.job == "twice, neurons")
    sizes = Sizes(
        options.cells * doubled, options.inputs, options.classes, options.steps, options.trials
    )
    data, request = batch(sizes, options.seed), vars(options) | {"platform": "cpu"}
    request |= {"mesh": mesh, "devices": devices, "per_cell": PER_CELL if is_twice else None}
    trainer = made(sizes, request, dd.loss.cross_entropy("out.V"))
    batches = [({"inp": data[0]}, data[1])]
    trainer.fit(batches, 1)
    seconds, (waited, before) = [], trainer.exchanged()
    for _ in range(options.updates):
        world.barrier()
        began = time.perf_counter()
        trainer.fit(batches, 1)
        seconds.append(time.perf_counter() - began)
    after, count = trainer.exchanged()
    if world.rank == 0:
        total = sum(seconds)
        exchange = {
            "part": (after - waited) / total,
            "in an update": (count - before) / options.updates,
            "us each": 1e6 * (after - waited) / (count - before) if count > before else None,
        }
        print(json.dumps({"seconds": median(seconds), "exchange": exchange}), flush=True)


def judged(turns: list[dict]) -> dict:
    """Medians over the turns."""

    def ratio(first: str, second: str) -> float:
        return median(t[first]["seconds"] / t[second]["seconds"] for t in turns)

    return {
        "speedup": {name: ratio("one", name) for name in list(MESHES)[1:5]},
        "weak": ratio("twice, one", "twice, neurons"),
        "update": {name: median(t[name]["seconds"] for t in turns) for name in MESHES},
        "exchange": {
            name: {
                of: median(t[name]["exchange"][of] for t in turns)
                for of in ("part", "in an update", "us each")
            }
            for name in ("neurons", "twice, neurons")
        },
        "busy": [t["busy"] for t in turns],
    }


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
