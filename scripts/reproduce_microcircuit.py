"""The cortical microcircuit at full density: size, memory, speed and rates against their limits.

Runs `distdyn run microcircuit` and prints ONE JSON object: what the run reported, and for each
criterion the value, the limit and whether it is met. The exit code is 0 if all are.

    python scripts/reproduce_microcircuit.py
    python scripts/reproduce_microcircuit.py --drive poisson --duration 10000

Rates must lie within max(0.15 Hz, 8 %) of the reference implementation after 500 ms. The limits
of time and memory are those of two cores and 24 GB at scale 1.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from distdyn.zoo.microcircuit import NAMES, PUBLISHED_RATES, synapse_numbers, tolerance

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    arguments = parse()
    report = run(arguments)
    checks = judge(report, arguments.scale)
    print(json.dumps({"checks": checks, "run": report}))
    sys.exit(0 if all(check["met"] for check in checks.values()) else 1)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--drive", choices=["dc", "poisson"], default="dc")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--duration", type=float, default=3000.0, help="ms, after the warm-up")
    parser.add_argument("--warmup", type=float, default=500.0, help="ms that do not count")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--devices", help="as in distdyn run")
    return parser.parse_args()


def run(arguments: argparse.Namespace) -> dict:
    command = [sys.executable, "-m", "distdyn", "run", "microcircuit", "--json"]
    command += ["--set", f"scale={arguments.scale}", "--set", f"drive={arguments.drive}"]
    command += ["--duration", str(arguments.duration), "--warmup", str(arguments.warmup)]
    command += ["--seed", str(arguments.seed), "--progress", "lines"]
    if arguments.devices:
        command += ["--devices", arguments.devices]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    return json.loads(output.stdout.splitlines()[-1])


def judge(report: dict, scale: float) -> dict[str, dict]:
    """Value, limit and verdict of each criterion."""
    expected = int(synapse_numbers(scale).sum())
    checks = {"synapses": (report["synapses"], expected, report["synapses"] == expected)}
    for name, published, allowed in zip(NAMES, PUBLISHED_RATES, tolerance(), strict=True):
        rate = report["rates"][name]
        bounds = [round(float(published + side * allowed), 3) for side in (-1, 1)]
        checks[f"rate {name} (Hz)"] = (rate, bounds, bounds[0] <= rate <= bounds[1])
    limits = {
        "bytes per synapse": (report["bytes_per_synapse"], 8),
        "peak memory (GB)": (report["peak_rss"] / 1e9, 6),
        "build (s)": (report["phases"]["build"], 90),
        "real-time factor": (report["rtf"], 5),
    }
    if scale == 1:
        checks |= {name: (value, limit, value <= limit) for name, (value, limit) in limits.items()}
    return {
        name: {"value": value, "limit": limit, "met": met}
        for name, (value, limit, met) in checks.items()
    }


if __name__ == "__main__":
    main()
