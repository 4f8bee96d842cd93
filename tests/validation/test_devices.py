"""Partition over the devices of one process: the same spikes, traces, states and synapses."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd
from distdyn.network.network import graph
from distdyn.parallel.parameters import Setting
from distdyn.parallel.shard import Sample, Shard
from partition import Decomposition


class ExponentialIF(dd.ODE):
    """C V' = g (E - V) + g D exp((V - V_T) / D) + I; a user's own model, not linear."""

    V_th: float = 0.0
    V_reset: float = -60.0
    E_L: float = -65.0
    tau: float = 10.0
    D: float = 2.0
    V_T: float = -50.0
    t_ref: float = 1.0
    I: float = 22.0

    class State(NamedTuple):
        V: jax.Array

    def init(self, id, key):
        return self.State(V=-65.0 + 14.0 * jax.random.uniform(key))

    def derivative(self, t, s, drive):
        upward = self.D * jnp.exp(jnp.minimum((s.V - self.V_T) / self.D, 10.0))
        return self.State(V=(self.E_L - s.V + upward + self.I + drive.current) / self.tau)

    def reset(self, s):
        return self.State(V=jnp.full_like(s.V, self.V_reset))


class Own(dd.Network):
    def __init__(self, n, **parameters):
        self.N = dd.Population(n, ExponentialIF(**parameters))
        self.syn = dd.Projection(
            self.N, self.N, dd.FixedProb(0.3), dd.Exponential(tau=3.0),
            weight=dd.Normal(0.8, 0.4), delay=dd.Uniform(0.2, 2.0),
        )  # fmt: skip


def run(network, devices, steps=400, precision="float32", **options):
    net = graph(network)
    with jax.enable_x64(True):
        setting = Setting(0.1, 3, precision, 0)
        shard = Shard(net, setting, devices=jax.devices()[:devices], **options)
        samples = [Sample("N", "V", np.array([7, 0, 3]) % net.populations["N"].size, 3)]
        shard.watch(list(net.populations), samples)
        results, done = [], 0
        while done < steps:
            results.append(shard.run(steps - done))
            done += results[-1].done
        spikes = {
            path: tuple(np.concatenate([r.spikes[path][k] for r in results]) for k in (0, 1))
            for path in net.populations
        }
        traces = np.concatenate([r.samples[0][2][:, np.argsort(r.samples[0][1])] for r in results])
        return shard, spikes, traces


def same(first, second):
    for path, columns in first.items():
        for a, b in zip(columns, second[path], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("devices", [2, 3, 8])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_users_model(devices, precision):
    network = Own(130, tau=dd.Uniform(8.0, 12.0), I=dd.Normal(22.0, 2.0))
    one, spikes, traces = run(network, 1, precision=precision)
    many, others, other_traces = run(network, devices, precision=precision)
    assert len(spikes["N"][0]) > 200
    same(spikes, others)
    np.testing.assert_array_equal(traces, other_traces)
    np.testing.assert_array_equal(one.read_state("N", "V"), many.read_state("N", "V"))
    assert one.synapse_count == many.synapse_count


class Beside(dd.Network):
    """n cells of interest, and 64 others in the same group."""

    def __init__(self, n):
        cell = ExponentialIF(I=dd.Normal(24.0, 2.0))
        self.N, self.M = dd.Population(n, cell), dd.Population(64, cell)
        self.syn = dd.Projection(
            (self.N, self.M), (self.M, self.N), dd.FixedProb(0.3), dd.Exponential(tau=3.0),
            weight=dd.Normal(0.8, 0.4), delay=dd.Uniform(0.2, 2.0),
        )  # fmt: skip


DEFAULT_SIZES = (1, 3, 16, 17, 33)


@pytest.mark.parametrize(
    "n",
    [n if n in DEFAULT_SIZES else pytest.param(n, marks=pytest.mark.slow) for n in range(1, 34)],
)
def test_parts_of_any_size(n):
    """A part that has nothing but n cells, between two that have the others."""
    owners = (np.full(-(-n // 16), 1), np.array([0, 2, 0, 2]))
    cut = Decomposition((n, 64), (16, 16), owners, 3)
    _, spikes, traces = run(Beside(n), 1)
    shard, others, other_traces = run(Beside(n), 3, decomposition=cut)
    assert shard.parts.cells[1][0].size == n
    assert len(spikes["M"][0]) > 50
    same(spikes, others)
    np.testing.assert_array_equal(traces, other_traces)


def test_synapses_are_those_of_one_part():
    network = Own(130)
    with jax.enable_x64(True):
        tables = []
        for devices in (1, 4):
            shard = Shard(
                graph(network), Setting(0.1, 3, "float32", 0), devices=jax.devices()[:devices]
            )
            columns = [np.concatenate(c) for c in zip(*shard.synapses("syn"), strict=True)]
            order = np.lexsort(columns[::-1])
            tables.append([column[order] for column in columns])
    for a, b in zip(*tables, strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(tables[0][0]) > 3000


@pytest.mark.parametrize("capacity", [1, 8, 1024])
@pytest.mark.parametrize("devices", [2, 3])
def test_collectives_instead_of_shared_memory(devices, capacity):
    network = Own(60, I=dd.Normal(24.0, 2.0))
    _, spikes, _ = run(network, 1, 150)
    shard, others, _ = run(network, devices, 150, kernels=False, capacity=capacity)
    assert shard.near.exchange == "mesh"
    assert len(spikes["N"][0]) > 30
    same(spikes, others)


class AllAtOnce(dd.Network):
    """After 10 ms of silence 400 cells spike in one step, and in every step after that."""

    def __init__(self):
        cell = dd.LIF(C_m=1.0, tau_m=10.0, E_L=0.0, V_th=0.5, V_reset=0.0, t_ref=0.0)
        self.source = dd.Population(1, dd.SpikeTimes(id=[0], time=[10.0]))
        self.N = dd.Population(400, cell, V=0.0)
        self.start = dd.Projection(
            self.source, self.N, dd.AllToAll(), dd.Delta(), weight=1.0, delay=0.1
        )
        self.ring = dd.Projection(
            self.N, self.N, dd.Edges(np.arange(400), (np.arange(400) + 201) % 400), dd.Delta(),
            weight=1.0, delay=0.1,
        )  # fmt: skip


@pytest.mark.parametrize(("kernels", "capacity"), [(None, 1), (False, 8)])
def test_a_burst_of_all_neurons_loses_nothing(kernels, capacity):
    for devices in (1, 2, 5):
        _, spikes, _ = run(AllAtOnce(), devices, 130, kernels=kernels, capacity=capacity)
        step, id = spikes["N"]
        np.testing.assert_array_equal(step, np.repeat(np.arange(101, 131), 400))
        np.testing.assert_array_equal(id, np.tile(np.arange(400), 30))


def test_setting_values_on_devices():
    network = Own(130)
    value = np.linspace(18.0, 26.0, 130)
    found = []
    for devices in (1, 4):
        shard, _, _ = run(network, devices, 50)
        with jax.enable_x64(True):
            shard.write_state("N", "V", np.linspace(-65.0, -51.0, 130))
            shard.write_parameter("N", "I", value)
            np.testing.assert_array_equal(shard.read_parameter("N", "I"), value)
            result = shard.run(200)
        found.append(result.spikes)
    assert len(found[0]["N"][0]) > 50
    same(*found)
