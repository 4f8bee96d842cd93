#!/usr/bin/env python
"""How much faster is a network on two devices, or two ranks, than on one device on one core?

    python scripts/bench_partition.py --repeats 5 > partition.json

Runs `distdyn run microcircuit` (full density unless --scale says otherwise) in turn on one device
pinned to one core, on N devices of a process, and on N ranks of a node, each pinned to as many
cores in all as there are parts; prints one JSON object with the medians of real-time factors and of
paired ratios, and the phase table of each. Only pairs of one round are compared: machines are
noisy.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

BIN = Path(sys.executable).parent


def command(options: argparse.Namespace, devices: int) -> list[str]:
    return [
        str(BIN / "distdyn") if (BIN / "distdyn").exists() else sys.executable,
        *([] if (BIN / "distdyn").exists() else ["-m", "distdyn"]),
        "run", "microcircuit", "--set", f"scale={options.scale}", "--set", f"drive={options.drive}",
        "--warmup", "200", "--duration", str(options.duration), "--seed", "1",
        "--devices", str(devices), "--record", "none", "--quiet", "--json",
    ]  # fmt: skip


def run(words: list[str], cores: int) -> dict:
    """One run on the first so many cores that we may use."""
    mine = sorted(os.sched_getaffinity(0))[:cores]
    ended = subprocess.run(
        words,
        capture_output=True,
        text=True,
        timeout=3600,
        preexec_fn=lambda: os.sched_setaffinity(0, mine),
    )
    if ended.returncode:
        sys.exit(f"{' '.join(words)}\n{ended.stdout}\n{ended.stderr}")
    return json.loads(ended.stdout.strip().split("\n")[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--drive", default="dc")
    parser.add_argument("--duration", type=float, default=1000.0, metavar="MS")
    parser.add_argument("--parts", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    n = options.parts
    roads = {
        "one": (command(options, 1), 1),
        "devices": (command(options, n), n),
        "ranks": ([str(BIN / "mpirun"), "-n", str(n), *command(options, 1)], n),
    }
    found: dict[str, list[dict]] = {name: [] for name in roads}
    for _ in range(options.repeats):
        for name, (words, cores) in roads.items():
            found[name].append(run(words, cores))
    rtf = {name: [each["rtf"] for each in of] for name, of in found.items()}
    ratio = {
        name: statistics.median(a / b for a, b in zip(rtf["one"], rtf[name], strict=True))
        for name in ("devices", "ranks")
    }
    print(
        json.dumps(
            {
                "network": f"microcircuit scale={options.scale:g} drive={options.drive}",
                "parts": n,
                "repeats": options.repeats,
                "rtf": {name: statistics.median(of) for name, of in rtf.items()},
                "rtf_best": {name: min(of) for name, of in rtf.items()},
                "speedup": ratio,
                "phases": {name: of[-1]["phases"] for name, of in found.items()},
                "peak_rss": {name: of[-1]["peak_rss"] for name, of in found.items()},
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
