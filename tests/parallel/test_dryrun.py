"""A dry run builds exactly what a run of many ranks would, and measures it."""

import jax
import numpy as np
import pytest

import distdyn as dd
from distdyn.network.network import graph
from distdyn.parallel.parameters import Setting
from distdyn.parallel.plan.dryrun import dry_run
from distdyn.parallel.shard import Shard

SETTING = Setting(0.1, 1, "float32", 0)


class Benchmark(dd.Network):
    """The geometry of hpc_benchmark at a tenth of its in-degree; 80 % excitatory."""

    def __init__(self, n):
        cell = dd.LIF()
        self.E = dd.Population(n * 4 // 5, cell)
        self.I = dd.Population(n - n * 4 // 5, cell)
        everyone, alpha = (self.E, self.I), dd.Alpha(tau=0.3258)
        self.exc = dd.Projection(
            self.E, everyone, dd.FixedIndegree(900), alpha, weight=10.0, delay=1.5
        )
        self.inh = dd.Projection(
            self.I, everyone, dd.FixedIndegree(225), alpha, weight=-50.0, delay=1.5
        )


LOAD = 1280  # neurons of each part: five draw blocks


def test_bytes_of_a_part_do_not_grow_with_the_network():
    rest, per_source = [], []
    for ranks in (16, 1024):
        (report,) = dry_run(
            graph(Benchmark(LOAD * ranks)), SETTING, ranks=ranks, which=(ranks // 2,)
        )
        assert report.neurons == LOAD and report.synapses == LOAD * 1125
        assert report.between == 15  # the exchange follows the delay of 1.5 ms
        rest.append(sum(report.memory.values()) - report.memory["sources"])
        per_source.append(report.memory["sources"] / report.sources)
    assert max(rest) <= 1.05 * min(rest)
    assert max(per_source) <= 12


def test_parts_are_those_of_the_whole():
    network = graph(Benchmark(1280))
    found = list(dry_run(network, SETTING, ranks=3, which=(0, 1, 2)))
    assert sum(report.neurons for report in found) == 1280
    with jax.enable_x64(True):
        assert sum(r.synapses for r in found) == Shard(network, SETTING).synapse_count


def test_made_up_spikes_arrive():
    network = graph(Benchmark(1280))
    with jax.enable_x64(True):
        (report,) = dry_run(network, SETTING, ranks=4, which=(1,), steps=60, rate=30.0)
    assert report.seconds["step"] > 0


@pytest.mark.parametrize("ranks", [2, 5])
def test_devices_of_a_rank(ranks):
    network = graph(Benchmark(1280))
    (report,) = dry_run(network, SETTING, ranks=ranks, devices=jax.devices()[:2], which=(1,))
    assert 0 < report.neurons < 1280
    assert np.isfinite(report.seconds["build"])
