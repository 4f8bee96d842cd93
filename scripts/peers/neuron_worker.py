"""NEURON runs `coba` or `cobahh` of the zoo. Started in NEURON's own Python.

A cell is a section with one compartment of 20,000 um2: C_m = 200 pF, leak 10 nS. Mechanisms that
NEURON does not have (`neuron_mechanisms`) are compiled by its nrnivmodl, which needs a C++ compiler
and make. NEURON integrates v by backward Euler in fixed steps, gates and conductances exactly while
v is held. It has one thread: with more it wants delays of two steps.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from peers.answering import answer, peak_rss

os.environ["NEURON_MODULE_OPTIONS"] = "-nogui"  # else it looks for a display
import neuron
from neuron import h

MECHANISMS = Path(__file__).parent / "neuron_mechanisms"
SIDE = 79.788456  # um, length and diameter of a cylinder with a side of 20,000 um2
DRIVE = 20.0  # mV, of `coba`


class Cell(NamedTuple):
    """A section, its receptors, what sends its spikes, and its reset if it has one."""

    section: object
    exc: object
    inh: object
    source: object
    reset: object = None


def prepare(request: dict) -> Iterator[dict]:
    """Compile, build, warm up, and then go on for a duration each time.

    Args:
        request: `network`, its name in the zoo; `n`, `dt`, `seed`, `warmup`, `duration`.
    """
    n, seconds = request["n"], request["duration"] / 1000
    with tempfile.TemporaryDirectory(prefix="bench_neuron") as directory:
        began = time.perf_counter()
        compile_mechanisms(Path(directory))
        compiled = time.perf_counter()
        context = h.ParallelContext()
        cells, synapses = build(request, context)
        times, ids = h.Vector(), h.Vector()
        context.spike_record(-1, times, ids)
        start(request, cells)
        built = time.perf_counter()
        context.set_maxstep(10)
        context.psolve(request["warmup"])
        found = {
            "compile": compiled - began,
            "build": built - compiled,
            "synapses": len(synapses),
            "peak_rss": peak_rss(),
            "version": neuron.__version__,
            "threads": 1,
        }
        n_E = round(0.8 * n)
        while True:
            yield found
            times.resize(0)
            ids.resize(0)
            began = time.perf_counter()
            context.psolve(h.t + request["duration"])
            run = time.perf_counter() - began
            fired = np.asarray(ids)
            E = int((fired < n_E).sum())
            rates = {"E": E / n_E / seconds, "I": (len(fired) - E) / (n - n_E) / seconds}
            found = {"run": run, "rtf": run / seconds, "rates": rates}


def compile_mechanisms(directory: Path) -> None:
    """Compile and load them."""
    for file in MECHANISMS.glob("*.mod"):
        shutil.copy(file, directory)
    compiler = Path(sys.executable).with_name("nrnivmodl")
    subprocess.run([compiler], cwd=directory, check=True, stdout=sys.stderr)
    (library,) = directory.glob("*/libnrnmech.*")
    h.nrn_load_dll(os.fspath(library))


def build(request: dict, context) -> tuple[list[Cell], list]:  # type: ignore[no-untyped-def]
    """The cells, the excitatory ones first, and all connections."""
    n, rng = request["n"], np.random.default_rng(request["seed"])
    make: Callable[[], Cell] = {"coba": integrate_and_fire, "cobahh": traub}[request["network"]]
    cells = [make() for _ in range(n)]
    for gid, cell in enumerate(cells):
        context.set_gid2node(gid, 0)
        context.cell(gid, cell.source)
    synapses, n_E, p = [], round(0.8 * n), min(1.0, 80 / n)
    for pre in range(n):
        is_exc = pre < n_E
        weight = 0.006 if is_exc else 0.067  # uS
        for post in rng.choice(n, rng.binomial(n, p), replace=False).tolist():
            cell = cells[post]
            synapse = context.gid_connect(pre, cell.exc if is_exc else cell.inh)
            synapse.weight[0], synapse.delay = weight, request["dt"]
            synapses.append(synapse)
    return cells, synapses


def start(request: dict, cells: list[Cell]) -> None:
    mean = {"coba": -55.0, "cobahh": -65.0}[request["network"]]
    V = np.random.default_rng([request["seed"], 1]).normal(mean, 5.0, len(cells))
    h.dt = request["dt"]
    for cell, V_0 in zip(cells, V, strict=True):
        cell.section.v = V_0  # type: ignore[attr-defined]
    h.finitialize()  # keeps v


def integrate_and_fire() -> Cell:
    """The drive is part of the leak, which costs nothing."""
    section, exc, inh = membrane(E_L=-60.0 + DRIVE)
    reset = h.Reset(section(0.5))
    reset.V_th, reset.V_reset, reset.t_ref = -50.0, -60.0, 5.0
    return Cell(section, exc, inh, source=h.NetCon(reset, None), reset=reset)


def traub() -> Cell:
    section, exc, inh = membrane(E_L=-60.0)
    section.insert("traub")
    spikes = h.NetCon(section(0.5)._ref_v, None, sec=section)
    spikes.threshold = -20.0
    return Cell(section, exc, inh, source=spikes)


def membrane(E_L: float) -> tuple:
    """A section with a leak and both receptors."""
    section = h.Section()
    section.L = section.diam = SIDE
    section.cm = 1.0  # uF / cm2
    section.insert("pas")
    section.g_pas, section.e_pas = 5e-5, E_L  # S / cm2
    exc, inh = h.ExpSyn(section(0.5)), h.ExpSyn(section(0.5))
    exc.tau, exc.e = 5.0, 0.0
    inh.tau, inh.e = 10.0, -80.0
    return section, exc, inh


if __name__ == "__main__":
    answer(prepare)
