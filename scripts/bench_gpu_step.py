#!/usr/bin/env python
"""What a step of the microcircuit costs on the kernels for GPUs, as one JSON object.

    python scripts/bench_gpu_step.py                              # on a GPU: everything
    python scripts/bench_gpu_step.py --scale 0.1 --parts kernels  # anywhere

`kernels`: compiles a chunk and counts what the loop over steps launches, from XLA's optimized
program. Without a GPU that is XLA's program for the CPU with the references of the kernels.

`golden`: the hash of the golden network in float64 on every platform that is here.
`network`: the real-time factor, rates and hash of the network; in float64 on CPU, too, if asked.
`profile`: which kernels ran on the GPU in a few hundred steps, how often and how long.
"""

import argparse
import gzip
import json
import os
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import jax
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import distdyn as dd  # noqa: E402
from distdyn.network.network import graph  # noqa: E402
from distdyn.parallel import chunk  # noqa: E402
from distdyn.parallel.parameters import Setting  # noqa: E402
from distdyn.parallel.shard import Shard  # noqa: E402
from distdyn.zoo import by_name  # noqa: E402
from distdyn.zoo.microcircuit import NAMES, PUBLISHED_RATES, tolerance  # noqa: E402

PARTS = ("kernels", "golden", "network", "profile")
INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?(?P<name>[\w.\-]+) = .*? (?P<opcode>[a-z\-]+)\(")
COMPUTATION = re.compile(r"^(?:ENTRY )?%?(?P<name>[\w.\-]+) .*\{$")
WITHOUT_KERNEL = {
    "parameter", "constant", "get-tuple-element", "tuple", "bitcast", "while", "conditional",
    "after-all", "partition-id", "opt-barrier", "copy-done",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--drive", choices=["dc", "poisson"], default="dc")
    parser.add_argument("--precision", choices=["float32", "float64"], default="float32")
    parser.add_argument("--duration", type=float, default=10_000.0, help="ms (default 10000)")
    parser.add_argument("--warmup", type=float, default=500.0, help="ms before that (default 500)")
    parser.add_argument("--cpu", action="store_true", help="compare `network` with the CPU's hash")
    options = parser.parse_args()
    gpus = has("gpu")
    found: dict[str, Any] = {
        "jax": jax.__version__,
        "device": jax.devices("gpu")[0].device_kind if gpus else None,
        "scale": options.scale,
        "precision": options.precision,
    }
    measure = {
        "kernels": lambda: kernels(options),
        "golden": golden,
        "network": lambda: network(options),
        "profile": lambda: profile(options),
    }
    for part in options.parts:
        needs_gpu = part in ("network", "profile")
        found[part] = measure[part]() if gpus or not needs_gpu else "there is no GPU"
    print(json.dumps(found))


def has(platform: str) -> bool:
    try:
        return bool(jax.devices(platform))
    except RuntimeError:
        return False


def microcircuit(options: argparse.Namespace) -> dd.Network:
    return by_name("microcircuit")(scale=options.scale, drive=options.drive)


# --- kernels -------------------------------------------------------------------------------------


def kernels(options: argparse.Namespace) -> dict[str, Any]:
    """What one step launches, and how long it takes to compile a chunk."""
    with jax.enable_x64(True):
        setting = Setting(0.1, 1, options.precision, 0)
        devices = jax.devices("gpu" if has("gpu") else "cpu")[:1]
        os.environ["DISTDYN_KERNELS"] = "gpu"
        shard = Shard(graph(microcircuit(options)), setting, devices=devices)
        shard.watch(list(shard.graph.populations), ())
        began = time.perf_counter()
        text = compiled(shard)
    seconds = time.perf_counter() - began
    return {"for": str(devices[0]), "compile": seconds, **count(text)}


def compiled(shard: Shard) -> str:
    """XLA's optimized program of a chunk."""
    carry = chunk.Carry(
        np.int64(0), tuple(shard.states), tuple(shard.rings), shard.events, shard.traces
    )
    lowered = chunk.run_chunk.lower(shard.plan, shard.data, carry, np.int64(1))
    return lowered.compile().as_text()


def count(text: str) -> dict[str, Any]:
    """The kernels of the loop over steps, and of the loops inside it, outermost first."""
    bodies: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if begin := COMPUTATION.match(line):
            lines = bodies.setdefault(begin["name"], [])
        elif INSTRUCTION.match(line):
            lines.append(line)
    entry = re.search(r"^ENTRY %?([\w.\-]+)", text, re.MULTILINE)
    assert entry is not None, "a program without an entry"
    loops: list[dict[str, Any]] = []

    def walk(name: str, depth: int) -> None:
        for line in bodies[name]:
            for which in re.findall(
                r"(?:body|true_computation|false_computation)=%?([\w.\-]+)", line
            ):
                launched = [launch(of) for of in bodies[which]]
                names = [of for of in launched if of]
                loops.append({"depth": depth, "kernels": len(names), "names": names})
                walk(which, depth + 1)

    walk(entry[1], 0)
    # The loop over steps is inside one over blocks of steps.
    steps = [loop for loop in loops if any("list_spikes" in name for name in loop["names"])]
    steps = steps or [loop for loop in loops if loop["depth"] == 1]
    step = max((loop["kernels"] for loop in steps), default=0)
    return {"per step": step, "loops": loops}


def launch(line: str) -> str | None:
    """What an instruction launches: its name, or that of a kernel of ours."""
    found = INSTRUCTION.match(line)
    assert found is not None
    if found["opcode"] in WITHOUT_KERNEL:
        return None
    ours = re.search(r"distdyn_cuda_(\w+)", line)
    return ours[1] if ours and found["opcode"] == "custom-call" else found["name"]


# --- on a GPU ------------------------------------------------------------------------------------


def golden() -> dict[str, Any]:
    from tests.validation.test_golden import WHOLE, Golden

    found: dict[str, Any] = {"expected": WHOLE}
    for platform in filter(has, ("cpu", "gpu")):
        runner = dd.DSRunner(
            Golden(), dt=0.1, record="N.spikes", precision="float64", platform=platform,
            progress="off",
        )  # fmt: skip
        found[platform] = runner.run(1000.0).spikes_sha256()
    return found


def network(options: argparse.Namespace) -> dict[str, Any]:
    result = {}
    for platform in ("gpu", "cpu") if options.cpu else ("gpu",):
        runner = dd.DSRunner(
            microcircuit(options), dt=0.1, seed=1, record="spikes", platform=platform,
            precision=options.precision, progress="off",
        )  # fmt: skip
        runner.warm_up(options.warmup)
        recording = runner.run(options.duration)
        rates = recording.rates()
        limits = zip(NAMES, PUBLISHED_RATES, tolerance(), strict=True)
        result[platform] = {
            "rtf": runner.phases["run"] / (options.duration * 1e-3),
            "phases": runner.phases,
            "rates": rates,
            "rates are right": all(abs(rates[name] - at) <= most for name, at, most in limits),
            "spikes_sha256": recording.spikes_sha256(),
        }
    return result


def profile(options: argparse.Namespace) -> dict[str, Any]:
    """Kernels of the GPU by name: how often per step, and how many microseconds of a step."""
    runner = dd.DSRunner(
        microcircuit(options), dt=0.1, seed=1, platform="gpu", precision=options.precision,
        progress="off",
    )  # fmt: skip
    runner.warm_up(options.warmup)
    steps = 500
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder, create_perfetto_trace=True):
            runner.run(0.1 * steps)
        [file] = Path(folder).glob("plugins/profile/*/perfetto_trace.json.gz")
        events = json.loads(gzip.decompress(file.read_bytes()))["traceEvents"]
    return {"steps": steps, **of_device(events, steps)}


def of_device(events: list[dict], steps: int) -> dict[str, Any]:
    """From a trace: what ran on the streams of a GPU."""
    named = [e for e in events if e.get("ph") == "M" and "name" in e.get("args", {})]
    processes = {e["pid"]: e["args"]["name"] for e in named if e["name"] == "process_name"}
    threads = {(e["pid"], e["tid"]): e["args"]["name"] for e in named if e["name"] == "thread_name"}
    often, long = Counter(), Counter()
    for event in events:
        where = threads.get((event.get("pid"), event.get("tid")), "")
        on_gpu = "GPU" in processes.get(event.get("pid"), "")
        if event.get("ph") == "X" and on_gpu and where.startswith("Stream"):
            often[event["name"]] += 1
            long[event["name"]] += event["dur"]
    return {
        "kernels per step": sum(often.values()) / steps,
        "busy us per step": sum(long.values()) / steps,
        "by name": {
            name: {"per step": often[name] / steps, "us per step": total / steps}
            for name, total in long.most_common(20)
        },
    }


if __name__ == "__main__":
    main()
