"""What just-in-time connectivity costs: memory, and time per synaptic event, as one JSON object.

One population of neurons that fire irregularly at some Hz, connected pair by pair with probability
p, inhibitory and weak. Each case runs in a process of its own, so that peak memory is its own. The
events are those of the spikes of the timed run; the time of the same network without the projection
is taken off (its spikes differ, its update costs the same).

    python scripts/bench_procedural.py                                  # 1e9 synapses
    python scripts/bench_procedural.py --n 20000 --storage stored procedural --values constant drawn
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from typing import Any

RULES = ("FixedProb", "FixedTotal", "FixedOutdegree", "AllToAll")


def main() -> None:
    arguments = parse()
    if arguments.worker:
        print(json.dumps(measure(arguments)))
        return
    cases = [
        run(arguments, storage, values)
        for values in arguments.values
        for storage in arguments.storage
    ]
    machine = {"cores": len(os.sched_getaffinity(0)), "load": os.getloadavg()}
    print(json.dumps({"n": arguments.n, "p": arguments.p, "machine": machine, "cases": cases}))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=100_000, help="neurons")
    parser.add_argument("--p", type=float, default=0.1, help="probability of a connection")
    parser.add_argument("--rule", choices=RULES, default="FixedProb")
    parser.add_argument("--storage", nargs="+", default=["procedural"], metavar="S")
    parser.add_argument("--values", nargs="+", default=["constant"], help="constant, weight, drawn")
    parser.add_argument("--duration", type=float, default=50.0, help="timed model time, ms")
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def run(arguments: argparse.Namespace, storage: str, values: str) -> dict:
    """One case, in a new process."""
    command = [sys.executable, __file__, "--worker", "--storage", storage, "--values", values]
    for name in ("n", "p", "rule", "duration", "devices"):
        command += [f"--{name}", str(getattr(arguments, name))]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    case = json.loads(done.stdout.splitlines()[-1])
    print(case, file=sys.stderr)
    return case


def measure(arguments: argparse.Namespace) -> dict:
    """Build and run the network, then the same without its projection."""
    import distdyn as dd

    n, p, (storage,), (values,) = arguments.n, arguments.p, arguments.storage, arguments.values
    rule = {
        "FixedProb": dd.FixedProb(p),
        "FixedTotal": dd.FixedTotal(round(p * n * n)),
        "FixedOutdegree": dd.FixedOutdegree(round(p * n)),
        "AllToAll": dd.AllToAll(),
    }[arguments.rule]
    weight = -200.0 / (p * n)
    if values != "constant":
        weight = dd.Normal(weight, 0.1 * abs(weight), high=0.0)
    delay = dd.Normal(1.5, 0.75, low=0.1) if values == "drawn" else 1.5

    current: Any = dd.Normal(330.0, 40.0)  # pA

    class Net(dd.Network):
        def __init__(self, *, is_connected: bool):
            cell = dd.LIF(
                C_m=250.0, tau_m=10.0, E_L=-65.0, V_th=-50.0, V_reset=-65.0, t_ref=2.0, I_e=current
            )
            self.N = dd.Population(n, cell, V=dd.Uniform(-65.0, -50.0))
            if is_connected:
                self.syn = dd.Projection(
                    self.N, self.N, rule, dd.Exponential(tau=2.0), weight=weight, delay=delay,
                    storage=storage,
                )  # fmt: skip

    def run(*, is_connected: bool) -> tuple[dict, float, int]:
        began = time.perf_counter()
        runner = dd.DSRunner(
            Net(is_connected=is_connected), dt=0.1, seed=1, record=["N.spikes"], progress="off",
            devices=arguments.devices,
        )  # fmt: skip
        runner.run(20.0)
        built = time.perf_counter() - began
        began = time.perf_counter()
        recording = runner.run(arguments.duration)
        seconds = time.perf_counter() - began
        everything = recording.gather()
        assert everything is not None, "one rank"
        spikes = len(everything.spikes["N"].id)
        return facts_of(runner) | {"build_and_first_20_ms": built}, seconds, spikes

    facts, seconds, spikes = run(is_connected=True)
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    _, alone, _ = run(is_connected=False)
    steps = arguments.duration / 0.1
    events = spikes * facts["synapses"] / n
    return facts | {
        "rule": repr(rule),
        "storage": storage,
        "values": values,
        "devices": arguments.devices,
        "peak_rss": rss,
        "rate": spikes / n / arguments.duration * 1e3,
        "ms_per_step": seconds / steps * 1e3,
        "ms_per_step_unconnected": alone / steps * 1e3,
        "events_per_step": events / steps,
        "ns_per_event": (seconds - alone) / events * 1e9,
    }


def facts_of(runner) -> dict:
    """Synapses and bytes of the runner's parts."""
    shard = runner._shard
    return {
        "synapses": shard.synapse_count,
        "connectivity_bytes": shard.connectivity_bytes,
        "threads": shard.team[0].members if shard.team else 1,
    }


if __name__ == "__main__":
    main()
