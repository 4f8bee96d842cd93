"""Every road computes the same: CPU kernels, the kernels for GPUs, the plain reference.

Here the interpreter runs the kernels for GPUs. What is marked `gpu` needs a real one.
"""

import jax
import numpy as np
import pytest

import distdyn as dd
from distdyn.errors import PlatformError
from distdyn.parallel import shard
from distdyn.parallel.roads import VARIABLE, choose
from distdyn.zoo import by_name
from tests.validation.test_golden import FIRST_100_MS, WHOLE, Golden

ROADS = {
    "cpu": "CPU kernels",
    "gpu": "GPU kernels' references",
    "reference": "plain reference",
}


def has_gpu():
    try:
        return bool(jax.devices("gpu"))
    except RuntimeError:
        return False


class Mixed(dd.Network):
    """Two models, four populations, given spikes; all kinds of weights and delays."""

    def __init__(self):
        cell = dd.LIF(I_e=dd.Uniform(380.0, 500.0), t_ref=2.0)
        other = dd.LIF(C_m=200.0, tau_m=20.0, E_L=-60.0, V_th=-50.0, V_reset=-60.0, I_e=220.0)
        self.source = dd.Population(3, dd.SpikeTimes(id=[0, 1, 2, 1], time=[0.1, 0.5, 2.0, 9.0]))
        self.A = dd.Population(70, cell, V=dd.Uniform(-65.0, -50.0))
        self.B = dd.Population(23, cell, V=dd.Uniform(-65.0, -50.0))
        self.C = dd.Population(41, other, V=dd.Normal(-55.0, 4.0))
        e, slow = dd.Exponential(tau=2.0), dd.Exponential(tau=4.0)
        self.start = dd.Projection(
            self.source, (self.A, self.C), dd.AllToAll(), e, weight=300.0, delay=0.1
        )
        self.drawn = dd.Projection(
            (self.A, self.B), (self.B, self.A), dd.FixedProb(0.3), e,
            weight=dd.Normal(20.0, 20.0), delay=dd.Uniform(0.4, 1.5),
        )  # fmt: skip
        self.fixed = dd.Projection(
            self.A, self.C, dd.FixedIndegree(9), slow, dd.COBA(E=0.0), weight=2.0, delay=1.0
        )
        i = np.arange(41)
        self.given = dd.Projection(
            self.C, self.C, dd.Edges(i, (7 * i) % 41), slow, dd.COBA(E=0.0),
            weight=1.0 + i / 7, delay=0.1 * (1 + i % 5),
        )  # fmt: skip
        self.back = dd.Projection(
            self.C, (self.A, self.B), dd.FixedProb(0.2), e, weight=-30.0, delay=0.2
        )


def run(network, road, duration, monkeypatch, **options):
    """The runner and its recording, on a road."""
    monkeypatch.setenv(VARIABLE, road)
    runner = dd.DSRunner(network, dt=0.1, seed=3, progress="off", **options)
    return runner, runner.run(duration)


@pytest.mark.parametrize("road", ROADS)
def test_the_golden_network_on_every_road(road, monkeypatch):  # D22
    runner, recording = run(
        Golden(), road, 100.0, monkeypatch, record="N.spikes", precision="float64"
    )
    assert recording.spikes_sha256() == FIRST_100_MS
    names = {
        "cpu": "CPU kernels",
        "gpu": "GPU kernels' references",
        "reference": "plain reference",
    }
    assert repr(runner).split("\n")[2].endswith(f"device, {names[road]}")


def test_lists_that_fill_up(monkeypatch):
    """Chunks end early; the spikes stay."""
    monkeypatch.setattr(shard, "EVENT_ROOM", 0)
    chunks = []
    monkeypatch.setattr(shard.Shard, "_chunk", counted(shard.Shard._chunk, chunks))
    options = {"record": "N.spikes", "precision": "float64"}
    recording = run(Golden(), "gpu", 100.0, monkeypatch, **options)[1]
    assert recording.spikes_sha256() == FIRST_100_MS
    assert any(did < most for most, did in chunks), chunks


def counted(function, calls):
    """The method, with the steps asked for and done put down at each call."""

    def call(self, most):
        result = function(self, most)
        calls.append((most, result.done))
        return result

    return call


@pytest.mark.slow
@pytest.mark.parametrize("road", ROADS)
def test_the_whole_golden_run(road, monkeypatch):  # D22
    options = {"record": "N.spikes", "precision": "float64"}
    assert run(Golden(), road, 1000.0, monkeypatch, **options)[1].spikes_sha256() == WHOLE


@pytest.mark.parametrize("precision", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
def test_all_kinds_of_synapses_on_every_road(precision, monkeypatch):
    record = ["spikes", dd.every(0.5, "A.V")]
    hashes, traces = {}, {}
    for road in ROADS:
        _, recording = run(Mixed(), road, 25.0, monkeypatch, record=record, precision=precision)
        assert all(recording.counts()[path] > 3 for path in ("source", "A", "B", "C"))
        hashes[road] = recording.spikes_sha256()
        traces[road] = recording.traces["A.V"].value
    # The cells of both are XLA's; machine code rounds in a way of its own.
    assert hashes["gpu"] == hashes["reference"]
    np.testing.assert_array_equal(traces["gpu"], traces["reference"])
    if precision == "float64":
        assert hashes["cpu"] == hashes["reference"]


def test_devices_exchange_by_collectives(monkeypatch):
    options = {"record": "spikes", "precision": "float64"}
    alone = run(Golden(), "cpu", 20.0, monkeypatch, **options)[1]
    runner, recording = run(Golden(), "gpu", 20.0, monkeypatch, devices=3, **options)
    assert runner._shard.near.exchange == "mesh"
    assert sum(recording.counts().values()) > 50
    assert recording.spikes_sha256() == alone.spikes_sha256()


def test_the_platform_chooses_unless_one_asks():
    assert str(choose("cpu", {})) == str(choose("cpu", {VARIABLE: "cpu"})) == "CPU kernels"
    assert str(choose("cpu", {}, is_spanning=True)) == "plain reference"
    assert str(choose("gpu", {})) == str(choose("gpu", {VARIABLE: "gpu"})) == "GPU kernels"
    assert str(choose("gpu", {}, is_spanning=True)) == "GPU kernels"
    assert str(choose("gpu", {VARIABLE: "reference"})) == "plain reference"
    assert str(choose("tpu", {})) == "plain reference"


def test_a_road_that_there_is_not():
    with pytest.raises(PlatformError, match=r'DISTDYN_KERNELS="fast" is unknown\. Use cpu'):
        choose("cpu", {VARIABLE: "fast"})
    with pytest.raises(PlatformError, match='not run on devices of platform "gpu"'):
        choose("gpu", {VARIABLE: "cpu"})
    with pytest.raises(PlatformError, match="one program that spans all ranks"):
        choose("cpu", {VARIABLE: "cpu"}, is_spanning=True)


# --- on a GPU ------------------------------------------------------------------------------------


def on(platform, network, duration, **options):
    runner = dd.DSRunner(network, dt=0.1, seed=3, progress="off", platform=platform, **options)
    return runner, runner.run(duration)


@pytest.mark.gpu
@pytest.mark.skipif(not has_gpu(), reason="JAX finds no GPU on this machine")
class TestOnAGPU:
    def test_the_golden_network(self):  # D22
        runner, recording = on("gpu", Golden(), 1000.0, record="N.spikes", precision="float64")
        assert runner.devices[0].platform == "gpu"
        assert "GPU kernels" in repr(runner) and "interpreted" not in repr(runner)
        assert recording.spikes_sha256() == WHOLE

    def test_all_kinds_of_synapses(self):
        options = {"record": "spikes", "precision": "float64"}
        hashes = {p: on(p, Mixed(), 50.0, **options)[1].spikes_sha256() for p in ("cpu", "gpu")}
        assert hashes["gpu"] == hashes["cpu"]

    def test_edges_and_weights_are_those_of_the_cpu(self):
        columns = []
        for platform in ("cpu", "gpu"):
            runner, _ = on(platform, Mixed(), 1.0)
            edges = runner["drawn"].edges()
            columns.append([np.asarray(getattr(edges, c)) for c in ("pre", "post", "weight")])
        for cpu, gpu in zip(*columns, strict=True):
            np.testing.assert_array_equal(cpu, gpu)

    def test_a_tenth_of_the_microcircuit(self):
        options = {"record": "spikes", "precision": "float64"}
        network = by_name("microcircuit")
        runs = {p: on(p, network(scale=0.1), 200.0, **options)[1] for p in ("cpu", "gpu")}
        assert sum(runs["gpu"].counts().values()) > 100
        assert runs["gpu"].spikes_sha256() == runs["cpu"].spikes_sha256()

    def test_many_rounds_are_one(self):
        """All cells spike at once: more synapses than a round has lanes."""
        cell = dd.LIF(I_e=1000.0, t_ref=1.0)

        class Burst(dd.Network):
            def __init__(self):
                self.N = dd.Population(3000, cell, V=-51.0)
                self.loop = dd.Projection(
                    self.N, self.N, dd.FixedProb(0.1), dd.Exponential(tau=2.0), weight=0.1,
                    delay=1.0,
                )  # fmt: skip

        options = {"record": "spikes", "precision": "float64"}
        hashes = {p: on(p, Burst(), 20.0, **options)[1].spikes_sha256() for p in ("cpu", "gpu")}
        assert hashes["gpu"] == hashes["cpu"]
