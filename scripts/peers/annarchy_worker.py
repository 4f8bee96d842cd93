"""ANNarchy runs `coba` of the zoo. Started in ANNarchy's own Python.

Its C++ code is generated and compiled once, by exponential Euler, and runs with OpenMP. Spikes are
recorded by its monitor and forgotten after each turn.
"""

import os
import tempfile
import time
from collections.abc import Iterator

import ANNarchy as ann
import numpy as np

from peers.answering import answer, peak_rss


def prepare(request: dict) -> Iterator[dict]:
    """Build, compile, warm up, and then go on for a duration each time.

    Args:
        request: `n`, `threads`, `precision`, `dt`, `seed`, `warmup`, `duration`.
    """
    with tempfile.TemporaryDirectory(prefix="bench_annarchy") as directory:
        os.chdir(directory)  # where it writes its code
        began = time.perf_counter()
        net, synapses = describe(request)
        described = time.perf_counter()
        net.compile(directory=f"{directory}/code", silent=True)
        compiled = time.perf_counter()
        monitor = net.get_monitors()[0]
        net.simulate(request["warmup"])
        monitor.get("spike")  # forgets them
        found = {
            "describe": described - began,
            "compile_and_build": compiled - described,
            "synapses": sum(of.nb_synapses for of in synapses),
            "peak_rss": peak_rss(),
            "threads": request["threads"],
            "precision": request["precision"],
            "version": ann.__release__,
        }
        n, seconds = request["n"], request["duration"] / 1000
        n_E = round(0.8 * n)
        while True:
            yield found
            began = time.perf_counter()
            net.simulate(request["duration"])
            run = time.perf_counter() - began
            spikes = monitor.get("spike")
            E = sum(len(times) for rank, times in spikes.items() if rank < n_E)
            I = sum(len(times) for rank, times in spikes.items() if rank >= n_E)
            rates = {"E": E / n_E / seconds, "I": I / (n - n_E) / seconds}
            found = {"run": run, "rtf": run / seconds, "rates": rates}


def describe(request: dict) -> tuple:
    """The network, with the excitatory cells first, and both kinds of synapses."""
    n, delay = request["n"], request["dt"]
    net = ann.Network(dt=request["dt"], seed=request["seed"])
    net.config(num_threads=request["threads"], dtype=getattr(ann, request["precision"]))
    cell = ann.Neuron(
        equations=[
            ann.Variable(
                "20.0 * dv/dt = -60.0 - v + 20.0 - g_exc * v - g_inh * (v + 80.0)",
                method="exponential",
            ),
            ann.Variable("5.0 * dg_exc/dt = -g_exc", method="exponential"),
            ann.Variable("10.0 * dg_inh/dt = -g_inh", method="exponential"),
        ],
        spike="v >= -50.0",
        reset="v = -60.0",
        refractory=5.0,
    )
    cells = net.create(geometry=n, neuron=cell)
    cells.v = np.random.default_rng(request["seed"]).normal(-55.0, 5.0, n)
    n_E, p = round(0.8 * n), min(1.0, 80 / n)
    exc = net.connect(pre=cells[:n_E], post=cells, target="exc")
    inh = net.connect(pre=cells[n_E:], post=cells, target="inh")
    exc.fixed_probability(probability=p, weights=0.6, delays=delay, allow_self_connections=True)
    inh.fixed_probability(probability=p, weights=6.7, delays=delay, allow_self_connections=True)
    net.monitor(cells, ["spike"])
    return net, (exc, inh)


if __name__ == "__main__":
    answer(prepare)
