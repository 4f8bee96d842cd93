"""Brian2 runs the decision network (`decision`) as a C++ standalone program, in its own Python.

Where all cells are connected with all, what a cell receives is a sum over a population. So each
population has a relay: its spikes are added up there for AMPA and GABA, and its gating variables of
NMDA are summed in each step; a second relay for each population weighs these, and its cells look
there. No synapse for each pair is kept.
"""

import tempfile
import time
from collections.abc import Generator
from pathlib import Path

import brian2 as b2
import numpy as np

from peers import decision
from peers.answering import answer, peak_rss

# Numbers are mV, nS, pF. `g_*` are those of the population, of its relay.
CELL = """
    dv/dt = (-g_L*(v + 70) - (external*g_ext + g_AMPA)*v - g_NMDA*v/(1 + exp(-0.062*v)/3.57)
             - g_GABA*(v + 70)) / (C_m*ms) : 1 (unless refractory)
    dg_ext/dt = -g_ext / (2*ms) : 1
    g_AMPA : 1 (linked)
    g_NMDA : 1 (linked)
    g_GABA : 1 (linked)
    C_m : 1 (constant)
    g_L : 1 (constant)
    external : 1 (constant)
    t_ref : second (constant)
"""
GATE = """
    ds/dt = -s / (100*ms) + 0.5*x*(1 - s) / ms : 1
    dx/dt = -x / (2*ms) : 1
"""
RELAY = """
    dp/dt = -p / (2*ms) : 1
    dq/dt = -q / (5*ms) : 1
    s : 1
"""
WEIGHED = """
    g_AMPA : 1
    g_NMDA : 1
    g_GABA : 1
"""


def prepare(request: dict) -> Generator[dict, dict, None]:
    """Write and compile, and then run a trial each time.

    Args:
        request: `n`, `threads`, `precision`, `dt`, `duration`; of each trial: `seed`.
    """
    with tempfile.TemporaryDirectory(prefix="bench_brian2") as directory:
        began = time.perf_counter()
        network, counters, tables = describe(request, directory)
        network.run(request["duration"] * b2.ms)
        described = time.perf_counter()
        b2.device.build(directory=directory, run=False, with_output=False)
        found = {
            "describe": described - began,
            "compile": time.perf_counter() - described,
            "version": b2.__version__,
            "threads": request["threads"],
            "precision": request["precision"],
            "peak_rss": peak_rss(),
        }
        while True:
            trial = yield found
            found = run(request, trial["seed"], Path(directory), counters, tables)


def describe(request: dict, directory: str) -> tuple:
    """The network, a spike counter of each population, and the tables of the stimulus."""
    n, threads = request["n"], request["threads"]
    b2.prefs.devices.cpp_standalone.openmp_threads = threads if threads > 1 else 0
    b2.prefs.core.default_float_dtype = getattr(np, request["precision"])
    b2.set_device("cpp_standalone", directory=directory, build_on_run=False)
    b2.defaultclock.dt = request["dt"] * b2.ms
    b2.seed()  # another one whenever the program is started
    sizes, delay = decision.sizes(n), decision.DELAY * b2.ms
    names = list(sizes)
    ends = np.cumsum(list(sizes.values()))
    n_E = int(ends[2])
    which = np.repeat(np.arange(4), list(sizes.values()))
    cells = b2.NeuronGroup(
        n, CELL, threshold="v >= -50", reset="v = -55", refractory="t_ref",
        method="exponential_euler",
    )  # fmt: skip
    of = [decision.CELLS[name] for name in names]
    for field in ("C_m", "g_L", "external"):
        setattr(cells, field, np.array([getattr(cell, field) for cell in of])[which])
    cells.t_ref = np.array([cell.t_ref for cell in of])[which] * b2.ms
    cells.v = decision.V_L

    gates = b2.NeuronGroup(n_E, GATE, method="exponential_euler")
    relays = b2.NeuronGroup(4, RELAY, method="exact")
    weighed = b2.NeuronGroup(4, WEIGHED)
    for g in ("g_AMPA", "g_NMDA", "g_GABA"):
        setattr(cells, g, b2.linked_var(weighed, g, index=which))
    # Cells with linked variables have no subgroups: both ends of all synapses are listed.
    exc, inh = np.arange(n_E), np.arange(n_E, n)
    opens = b2.Synapses(cells, gates, on_pre="x_post += 1", delay=delay)
    opens.connect(i=exc, j=exc)
    excites = b2.Synapses(cells, relays, on_pre="p_post += 1", delay=delay)
    excites.connect(i=exc, j=which[:n_E])
    inhibits = b2.Synapses(cells, relays, on_pre="q_post += 1", delay=delay)
    inhibits.connect(i=inh, j=which[n_E:])
    sums = b2.Synapses(gates, relays, "s_post = s_pre : 1 (summed)")
    sums.connect(i=exc, j=which[:n_E])
    weighs = b2.Synapses(
        relays,
        weighed,
        """
        a : 1 (constant)
        b : 1 (constant)
        c : 1 (constant)
        g_AMPA_post = a*p_pre : 1 (summed)
        g_NMDA_post = b*s_pre : 1 (summed)
        g_GABA_post = c*q_pre : 1 (summed)
        """,
    )
    weighs.connect(True)
    a, b, c = weights(names, n / 2000)
    weighs.a, weighs.b, weighs.c = a, b, c

    # As in the original: 800 inputs of 3 Hz for each cell, in units of what one spike brings.
    background = b2.PoissonInput(cells, "g_ext", 800, decision.BACKGROUND / 800 * b2.Hz, weight=1)
    tables = {
        name: b2.TimedArray(rates * b2.Hz, dt=decision.HOLD * b2.ms, name=f"rate_{name}")
        for name, rates in decision.stimulus(0).items()
    }
    stimuli, first = [], 0
    for name, table in tables.items():
        size = sizes[name]
        source = b2.PoissonGroup(size, f"rate_{name}(t)", namespace={f"rate_{name}": table})
        reaches = b2.Synapses(source, cells, on_pre="g_ext_post += 1")
        reaches.connect(i=np.arange(size), j=first + np.arange(size))
        stimuli += [source, reaches]
        first += size
    counters = b2.SpikeMonitor(cells, record=False)
    network = b2.Network(
        cells,
        gates,
        relays,
        weighed,
        opens,
        excites,
        inhibits,
        sums,
        weighs,
        background,
        *stimuli,
        counters,
    )
    return network, counters, tables


def weights(names: list[str], scale: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of AMPA, NMDA and GABA, for each relay (major) and each population that it is weighed for."""
    of = np.zeros((3, 4, 4))
    for i, pre in enumerate(names):
        for j, post in enumerate(names):
            cell = decision.CELLS[post]
            if pre == "I":
                of[2, i, j] = cell.GABA / scale
            else:
                w = decision.weight(pre, post) / scale
                of[:2, i, j] = cell.AMPA * w, cell.NMDA * w
    return tuple(x.ravel() for x in of)  # type: ignore[return-value]


def run(request: dict, seed: int, directory: Path, counters, tables: dict) -> dict:  # type: ignore[no-untyped-def]
    """One run of the program; the time is that of its loop, as it says itself."""
    rates = decision.stimulus(seed)
    given = {tables[name]: rates[name] * b2.Hz for name in tables}
    began = time.perf_counter()
    b2.device.run(directory=str(directory), with_output=False, run_args=given)
    whole = time.perf_counter() - began
    loop = float((directory / "results" / "last_run_info.txt").read_text().split()[0])
    n, seconds = request["n"], request["duration"] / 1000
    spikes = np.asarray(counters.count[:])
    ends = np.cumsum([0, *decision.sizes(n).values()])
    counts = {
        name: float(spikes[first:last].sum())
        for name, first, last in zip(decision.sizes(n), ends, ends[1:], strict=False)
    }
    return {
        "run": loop,
        "rtf": loop / seconds,
        "build_and_warm_up": whole - loop,
        "rates": decision.rates(counts, n, seconds),
    }


if __name__ == "__main__":
    answer(prepare)
