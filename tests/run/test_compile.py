"""Interactive use: what is changed between two runs does not compile again, and memory stays."""

import ctypes
import gc
import logging
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pytest

import distdyn as dd


class Small(dd.Network):
    """Two populations of one model that excite and inhibit each other, and noise."""

    def __init__(self, weight=6.0, I_e=200.0, rate=500.0):
        cell = dd.LIF(C_m=200.0, tau_m=20.0, E_L=-60.0, V_reset=-60.0, t_ref=5.0, I_e=I_e)
        self.E = dd.Population(80, cell, V=dd.Normal(-55.0, 5.0))
        self.I = dd.Population(20, cell, V=dd.Normal(-55.0, 5.0))
        everyone = (self.E, self.I)
        synapse, delay = dd.Exponential(tau=5.0), dd.Uniform(0.1, 2.0)
        self.exc = dd.Projection(
            self.E, everyone, dd.FixedProb(0.2), synapse, dd.COBA(E=0.0), weight=weight, delay=delay
        )
        self.inh = dd.Projection(
            self.I, everyone, dd.FixedProb(0.2), synapse, dd.COBA(E=-80.0), weight=30.0, delay=delay
        )
        self.noise = dd.PoissonInput(self.E, rate, synapse, dd.COBA(E=0.0), weight=1.0)


def build(network=None, **options) -> dd.DSRunner:
    record = ["spikes", dd.every(1.0, "E.V", ids=range(5))]
    return dd.DSRunner(network or Small(), **{"dt": 0.1, "record": record} | options)


@contextmanager
def compilations():
    """The list of what JAX compiles inside, by the names of the functions."""
    names, logger = [], logging.getLogger("jax")

    class Listener(logging.Handler):
        def emit(self, record):
            if "Compiling" in record.getMessage():
                names.append(record.getMessage()[:80])

    listener, propagates = Listener(logging.WARNING), logger.propagate
    logger.addHandler(listener)
    logger.propagate = False
    try:
        with jax.log_compiles():
            yield names
    finally:
        logger.removeHandler(listener)
        logger.propagate = propagates


@pytest.fixture(scope="module")
def used():
    """A runner that has done everything once."""
    runner = build(seed=1)
    change(runner, 13.0)
    runner.run(20.0)
    runner.reset(seed=2)
    runner.run(20.0)
    return runner


def change(runner, factor):
    runner["E"].I_e = 30.0 * factor
    runner["exc"].weight = factor
    runner["E"].V = -10.0 * factor


def test_compilations_are_counted():
    with compilations() as names:
        jax.jit(lambda x: x * 3.25 + 1.75)(np.float32(2.0))
    assert names


def test_values_and_seeds_that_change_compile_nothing(used):
    with compilations() as names:
        change(used, 5.0)
        used.run(20.0)
        used.reset(seed=3)
        used.run(20.0)
    assert not names


def test_same_network_built_again_compiles_nothing(used):
    with compilations() as names:
        for seed in (1, 2):
            build(seed=seed).run(20.0)
    assert not names


def test_network_with_other_numbers_compiles_nothing(used):
    with compilations() as names:
        build(Small(weight=5.0, I_e=210.0, rate=400.0), seed=1).run(20.0)
    assert not names


def test_number_that_becomes_an_array_compiles_once(used):
    runner = build(seed=1)
    with compilations() as names:
        runner["E"].tau_m = np.linspace(15.0, 25.0, 80)
        runner.run(5.0)
    assert names
    with compilations() as names:
        runner["E"].tau_m = np.linspace(10.0, 20.0, 80)
        runner.run(5.0)
    assert not names


CELL_OF_A_NOTEBOOK = """
class Leaky(dd.ODE):
    tau: float = 10.0

    class State(NamedTuple):
        V: jax.Array

    def init(self, id, key):
        return self.State(V=1.0)

    def derivative(self, t, s, drive):
        return self.State(V=-SIGN * s.V / self.tau)
"""


def test_model_class_that_is_written_again_is_the_new_one():
    namespace = {"dd": dd, "NamedTuple": NamedTuple, "jax": jax, "__name__": "notebook"}
    ends = []
    for sign in ("1.0", "(-1.0)", "1.0"):
        exec(CELL_OF_A_NOTEBOOK.replace("SIGN", sign), namespace)
        runner = dd.DSRunner(namespace["Leaky"](), dt=0.1, record="V")
        ends.append(runner.run(10.0).traces["V"].value[-1, 0])
    np.testing.assert_allclose(ends, np.exp([-1.0, 1.0, -1.0]), rtol=1e-5)


RUN = """
import distdyn as dd
from distdyn.zoo import by_name

runner = dd.DSRunner(by_name("coba")(n=500), dt=0.1, seed=1, record="spikes", progress="off")
print(runner.run(100.0).spikes_sha256())
"""


@pytest.mark.slow
def test_programs_that_jax_keeps_on_disk_give_the_same_spikes(tmp_path):
    cache = {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    found = []
    for environment in ({}, cache, cache):
        ended = subprocess.run(
            [sys.executable, "-c", RUN],
            env=os.environ | environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        found.append(ended.stdout.split()[-1])
        entries = len(list(tmp_path.glob("*run_chunk*-cache")))
        assert entries == bool(environment)  # the second time it is found
    assert found[0] == found[1] == found[2]


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_fifty_builds_and_runs_do_not_grow_the_memory(used):
    def resident():
        gc.collect()
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim:  # what is free and kept by the allocator is another amount in each run
            trim(0)
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    after = {}
    for n in range(1, 51):
        build(seed=n).run(10.0)
        if n in (5, 50):
            after[n] = resident()
    assert after[50] < 1.05 * after[5], f"{after[5] / 2**20:.0f} MiB, {after[50] / 2**20:.0f} MiB"
