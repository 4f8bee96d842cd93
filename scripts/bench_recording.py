#!/usr/bin/env python
"""What does it cost to record all spikes, and to hash them?

    python scripts/bench_recording.py
    python scripts/bench_recording.py --networks microcircuit:scale=0.3 --turns 9

Each network is built twice, with and without recording, and the two run in turns; a turn gives one
ratio of processor times, and the median counts: other programs on the machine disturb it less than
wall time. `record` is the part of the time in which a chunk's spikes are handed over and kept,
`hash` the time that `spikes_sha256` takes afterwards, both as fractions of the time without
recording. Prints one JSON object.
"""

import argparse
import json
import sys
import time
from statistics import median

NETWORKS = ["microcircuit:scale=0.3", "coba:n=40000", "coba:n=4000"]


def measure(name: str, duration: float, turns: int, devices: str | None) -> dict:
    """The cost for one network."""
    import distdyn as dd
    from distdyn.commands.named import network_of

    path, _, assignments = name.partition(":")
    runners = {
        record: dd.DSRunner(
            network_of(path, assignments.split(",") if assignments else []),
            dt=0.1, seed=1, record=record, devices=devices, progress="off",
        )
        for record in ("spikes", ())
    }  # fmt: skip
    for runner in runners.values():
        runner.warm_up(200.0)
        runner.run(20.0)
    found: dict[str, list[float]] = {"ratio": [], "record": [], "hash": [], "rate": []}
    for _ in range(turns):
        spent = {}
        for record, runner in runners.items():
            before, began = runner.phases["record"], time.process_time()
            recording = runner.run(duration)
            spent[record] = time.process_time() - began
            if record:
                handed = runner.phases["record"] - before
                began = time.process_time()
                recording.spikes_sha256()
                hashed = time.process_time() - began
                count = sum(recording.counts().values())
        found["ratio"].append(spent["spikes"] / spent[()])
        found["record"].append(handed / spent[()])
        found["hash"].append(hashed / spent[()])
        found["rate"].append(count / (runner.graph.size * duration * 1e-3))
        print(f"{name}: {spent} s", file=sys.stderr)
    return {"network": name, **{key: round(median(x), 4) for key, x in found.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", default=NETWORKS, metavar="NAME:PARAMETER=VALUE")
    parser.add_argument("--duration", type=float, default=500.0, metavar="MS")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--devices", help="of each run; its default if not given")
    options = parser.parse_args()
    runs = [
        measure(name, options.duration, options.turns, options.devices) for name in options.networks
    ]
    print(json.dumps({"duration": options.duration, "runs": runs}, indent=2))


if __name__ == "__main__":
    main()
