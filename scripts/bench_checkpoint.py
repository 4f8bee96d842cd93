#!/usr/bin/env python
"""What checkpoints cost a run, as one JSON object.

The microcircuit runs for a while, writes some checkpoints, and goes on from the last one in the
same process: how long each takes and how large it is, by how much memory grows, and how fast the
run is before, and after it has gone on (what is on its way then stands in longer rings).

    python scripts/bench_checkpoint.py --scale 0.2
    mpirun -n 2 python scripts/bench_checkpoint.py              # full density: 2 GB in all
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import jax

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import distdyn as dd
from distdyn.parallel import launch
from distdyn.run.checkpoint.writing import kept
from distdyn.run.provenance import peak_rss
from distdyn.zoo import by_name


def main() -> None:
    options = parse()
    with tempfile.TemporaryDirectory() as folder:
        folder = launch.world().bcast(options.directory or folder)  # that of rank 0
        found = measured(options, Path(folder) / "run")
        launch.world().barrier()
    if found:
        print(json.dumps({"benchmark": "checkpoint", "jax": jax.__version__, **found}, indent=1))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", type=float, default=1.0, help="of the microcircuit (default 1)")
    parser.add_argument("--checkpoints", type=int, default=5, help="how many (default 5)")
    parser.add_argument("--every", type=float, default=200.0, help="ms between them (default 200)")
    parser.add_argument("--directory", help="on the disk to be looked at")
    return parser.parse_args()


def measured(options: argparse.Namespace, out: Path) -> dict:
    network = by_name("microcircuit")(scale=options.scale, drive="poisson")
    common = {"dt": 0.1, "seed": 1, "record": ["spikes"], "progress": "off", "out": out}
    duration = options.every * options.checkpoints
    with dd.DSRunner(network, **common, checkpoint_every=options.every) as runner:
        runner.warm_up(options.every)
        before, cost = peak_rss(), []
        for _ in range(options.checkpoints):
            spent = runner.phases.get("checkpoint", 0.0)
            runner.run(options.every)
            cost.append(runner.phases["checkpoint"] - spent)
        rtf, grown, rank = speed(runner, duration), peak_rss() - before, runner.world.rank
        state = runner.world.sum(sum(runner._shard.memory().values()))
        description = runner.describe()
    size = sum(file.stat().st_size for file in kept(out / "checkpoints")[0][1].iterdir())
    began = time.perf_counter()
    with dd.DSRunner(network, **common, resume="auto") as again:
        restart = time.perf_counter() - began
        again.warm_up(options.every)
        again.run(2 * duration)
        rtf_after = speed(again, duration)
    if rank:
        return {}
    return {
        "ranks": description["ranks"], "neurons": description["neurons"],
        "synapses": description["synapses"], "first_seconds": cost[0],
        "seconds": median(cost[1:] or cost), "bytes": size, "bytes_of_state": state,
        "memory_grown": grown, "rtf": rtf, "rtf_after_restart": rtf_after,
        "build_and_restart_seconds": restart,
        "share_of_run_at_10min": median(cost[1:] or cost) / 600.0,
    }  # fmt: skip


def speed(runner: dd.DSRunner, duration: float) -> float:
    """Wall time of the steps for a second of the model."""
    return runner.phases["run"] / (duration * 1e-3)


if __name__ == "__main__":
    main()
