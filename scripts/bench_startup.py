"""From the launch of a job to its first step, as one JSON object; times in seconds.

    python scripts/bench_startup.py
    python scripts/bench_startup.py --ranks 1 2 --network microcircuit --set scale=0.05

`cold` starts without compiled kernels, as the first job on a node does; `warm` with those that the
cold run left. Files of Python and of the libraries are in memory in both. Phases, one after the
other, each as min, mean and max over the ranks:

    launch    from the call of mpirun to the first line of Python
    import    import distdyn
    mpi       the ranks find each other
    build     DSRunner(...): connectivity, kernels
    compile   of the step
    step      the first step
    total     all of them

Of several turns, the one whose total is the median is given.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import fmean
from typing import Any

MPIRUN = Path(sys.executable).with_name("mpirun")  # of this environment, not the first on PATH
PHASES = ("launch", "import", "mpi", "build", "compile", "step", "total")
LIMIT = 600.0  # s for one job


def one_rank(options: argparse.Namespace) -> None:
    """What every rank does: go to the first step, and leave its times in a file."""
    marks = {"launch": time.time() - options.began}
    last = time.perf_counter()

    def mark(name: str) -> None:
        nonlocal last
        now = time.perf_counter()
        marks[name], last = now - last, now

    import distdyn as dd
    from distdyn.commands.named import network_of

    mark("import")
    from distdyn.parallel.launch import world

    us = world()
    mark("mpi")
    network = network_of(options.network, options.set)
    runner = dd.DSRunner(network, dt=0.1, seed=1, record="spikes", progress="off")
    mark("build")
    runner.run(0.1)
    mark("step")
    marks["compile"] = runner.phases["compile"]
    marks["step"] -= marks["compile"]
    marks["total"] = time.time() - options.began
    Path(options.times, f"{us.rank}.json").write_text(json.dumps(marks))


def job(ranks: int, cache: str, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Start a job; the times of each phase over its ranks."""
    with tempfile.TemporaryDirectory() as times:
        command = [str(MPIRUN), "-n", str(ranks), sys.executable, __file__, *options.words]
        command += ["--times", times, "--began", repr(time.time())]
        environment = os.environ | {"DISTDYN_CACHE": cache}
        subprocess.run(command, env=environment, check=True, timeout=LIMIT, stdout=sys.stderr)
        found = [json.loads(path.read_text()) for path in Path(times).glob("*.json")]
    if len(found) != ranks:
        raise SystemExit(f"{len(found)} of {ranks} ranks left their times: is MPI in order?")
    return {
        name: {
            "min": round(min(each[name] for each in found), 3),
            "mean": round(fmean(each[name] for each in found), 3),
            "max": round(max(each[name] for each in found), 3),
        }
        for name in PHASES
    }


def median_turn(turns: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """The turn with the median total."""
    return sorted(turns, key=lambda turn: turn["total"]["max"])[len(turns) // 2]


def measure(ranks: int, options: argparse.Namespace) -> dict[str, Any]:
    """Cold and warm starts with so many ranks."""
    found: dict[str, list[dict[str, dict[str, float]]]] = {"cold": [], "warm": []}
    for _ in range(options.turns):
        with tempfile.TemporaryDirectory() as cache:
            for name in found:
                found[name].append(job(ranks, cache, options))
    return {name: median_turn(turns) for name, turns in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="How long a job takes to come to its first step.")
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 8])
    parser.add_argument("--network", default="coba")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--times", help=argparse.SUPPRESS)  # of a rank: where it leaves them
    parser.add_argument("--began", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.times:
        one_rank(options)
        return
    options.words = sys.argv[1:]
    result = {
        "network": " ".join([options.network, *options.set]),
        "cores": len(os.sched_getaffinity(0)),
        "ranks": {str(n): measure(n, options) for n in options.ranks},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
