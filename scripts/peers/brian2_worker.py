"""Brian2 runs a network of the zoo as a C++ standalone program. Started in Brian2's own Python.

The program is written and compiled once and then started anew for each turn; without a seed it
draws another network each time. Spikes are counted, not kept, after the warm-up.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import brian2 as b2
import numpy as np

from peers.answering import answer, peak_rss


class Network(NamedTuple):
    """What its networks differ in: cells with conductances `g_e` and `g_i`, and their weights."""

    equations: str
    threshold: str
    reset: str | None
    refractory: object
    V: str
    w_e: float
    w_i: float


NETWORKS = {
    "coba": Network(
        equations="""
            drive = 20*mV - g_e*v - g_i*(v + 80*mV) : volt
            dv/dt = (-(v + 60*mV) + drive) / (20*ms) : volt (unless refractory)
        """,
        threshold="v >= -50*mV",
        reset="v = -60*mV",
        refractory=5 * b2.ms,
        V="-55*mV + 5*mV*randn()",
        w_e=0.6,  # of the leak
        w_i=6.7,
    ),
    # Numbers are mV, nS, pF; exprel, for the plain quotients are 0 / 0 where v meets their zero.
    "cobahh": Network(
        equations="""
            I_syn = -g_e*v - g_i*(v + 80) : 1
            I_Na = 20000*(m*m*m)*h*(v - 50) : 1
            I_K = 6000*(n_K*n_K*n_K*n_K)*(v + 90) : 1
            dv/dt = (-10*(v + 60) - I_Na - I_K + I_syn) / (200*ms) : 1
            dm/dt = (1.28/exprel((13 - u)/4)*(1 - m) - 1.4/exprel((u - 40)/5)*m) / ms : 1
            dh/dt = (0.128*exp((17 - u)/18)*(1 - h) - 4/(1 + exp((40 - u)/5))*h) / ms : 1
            dn_K/dt = (0.16/exprel((15 - u)/5)*(1 - n_K) - 0.5*exp((10 - u)/40)*n_K) / ms : 1
            u = v + 63 : 1
        """,
        threshold="v > -20",
        reset=None,
        refractory="v > -20",  # a spike is the upward crossing
        V="-65 + 5*randn()",
        w_e=6.0,
        w_i=67.0,
    ),
}


def prepare(request: dict) -> Iterator[dict]:
    """Write and compile, and then run each time.

    Args:
        request: `network`, its name in the zoo; `n`, `threads`, `precision`, `dt`, `seed`,
            `warmup`, `duration`.
    """
    with tempfile.TemporaryDirectory(prefix="bench_brian2") as directory:
        began = time.perf_counter()
        network, spikes, synapses = describe(request, directory)
        network.run(request["warmup"] * b2.ms)
        network.add(spikes)
        network.run(request["duration"] * b2.ms)
        described = time.perf_counter()
        b2.device.build(directory=directory, run=False, with_output=False)
        compiled = time.perf_counter()
        facts = {
            "describe": described - began,
            "compile": compiled - described,
            "version": b2.__version__,
            "threads": request["threads"],
            "precision": request["precision"],
            "peak_rss": peak_rss(),
        }
        while True:
            yield facts
            facts = run(request, Path(directory), spikes, synapses)


def describe(request: dict, directory: str) -> tuple:
    """The network without its spike counter, the counter, and both kinds of synapses."""
    n, threads = request["n"], request["threads"]
    b2.prefs.devices.cpp_standalone.openmp_threads = threads if threads > 1 else 0
    b2.prefs.core.default_float_dtype = getattr(np, request["precision"])
    b2.set_device("cpp_standalone", directory=directory, build_on_run=False)
    b2.defaultclock.dt = request["dt"] * b2.ms
    b2.seed(request["seed"])
    of = NETWORKS[request["network"]]
    decay = "dg_e/dt = -g_e / (5*ms) : 1\ndg_i/dt = -g_i / (10*ms) : 1"
    cells = b2.NeuronGroup(
        n,
        b2.Equations(of.equations) + b2.Equations(decay),
        threshold=of.threshold,
        reset=of.reset,
        refractory=of.refractory,
        method="exponential_euler",
    )
    cells.v = of.V
    n_E, delay = round(0.8 * n), request["dt"] * b2.ms
    exc = b2.Synapses(cells[:n_E], cells, on_pre=f"g_e_post += {of.w_e}", delay=delay)
    inh = b2.Synapses(cells[n_E:], cells, on_pre=f"g_i_post += {of.w_i}", delay=delay)
    exc.connect(p=min(1.0, 80 / n))
    inh.connect(p=min(1.0, 80 / n))
    return b2.Network(cells, exc, inh), b2.SpikeMonitor(cells, record=False), (exc, inh)


def run(request: dict, directory: Path, spikes, synapses) -> dict:  # type: ignore[no-untyped-def]
    """One run of the program; the time is that of the loop after the warm-up, as it says itself."""
    began = time.perf_counter()
    b2.device.run(directory=str(directory), with_output=False)
    whole = time.perf_counter() - began
    loop = float((directory / "results" / "last_run_info.txt").read_text().split()[0])
    n_E, seconds = round(0.8 * request["n"]), request["duration"] / 1000
    counts = np.asarray(spikes.count[:])
    return {
        "run": loop,
        "rtf": loop / seconds,
        "build_and_warm_up": whole - loop,
        "synapses": sum(len(of) for of in synapses),
        "rates": {
            "E": counts[:n_E].mean() / seconds,
            "I": counts[n_E:].mean() / seconds,
        },
    }


if __name__ == "__main__":
    answer(prepare)
