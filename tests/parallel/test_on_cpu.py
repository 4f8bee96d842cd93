"""The road of CPUs: all steps of a chunk in one call, or a call per step; the same either way."""

import jax
import numpy as np
import pytest

import distdyn as dd
from distdyn.parallel import chunk
from distdyn.parallel.shard import Shard


class Net(dd.Network):
    """A schedule, Poisson input and recurrence, and a current that changes if it is asked for."""

    def __init__(self, current=None):
        steps = np.arange(5, 400, 5)
        self.given = dd.Population(3, dd.SpikeTimes(steps % 3, 0.1 * steps))
        self.E = dd.Population(50, dd.LIF(t_ref=2.0, I_e=300.0), V=dd.Normal(-60.0, 3.0))
        synapse = dd.Exponential(tau=2.0)
        self.first = dd.Projection(
            self.given, self.E, dd.FixedProb(0.5), synapse, weight=200.0, delay=0.5
        )
        self.loop = dd.Projection(
            self.E, self.E, dd.FixedProb(0.2), synapse, weight=-20.0, delay=dd.Normal(1.5, 0.5)
        )
        self.noise = dd.PoissonInput(self.E, 8000.0, synapse, weight=20.0, delay=0.1)
        if current is not None:
            self.drive = dd.CurrentInput(self.E, current)


def spikes(record, devices, current=None):
    runner = dd.DSRunner(Net(current), dt=0.1, seed=3, record=record, devices=devices)
    recording = runner.run(40.0).gather()
    pairs = recording.spikes["E"], recording.spikes["given"]
    return [np.concatenate([of.step, of.id]) for of in pairs], runner


def loops(runner):
    """How many loops XLA sees in the program of a chunk."""
    shard = runner._shard
    learned = tuple(shard.learning.learned)
    state = tuple(shard.states), tuple(shard.rings), shard.events, shard.traces, learned
    arguments = shard.plan, shard.data, chunk.Carry(np.int64(0), *state), np.int64(1)
    with jax.enable_x64(True):
        return str(chunk.run_chunk.trace(*arguments).jaxpr).count("while[")


@pytest.mark.parametrize("devices", [1, 2])
def test_one_call_for_all_steps_or_one_for_each(devices):
    at_once, runner = spikes("spikes", devices)
    assert loops(runner) == 0
    assert all(x.size > 100 for x in at_once)
    for record, current in ((["spikes", "E.V"], None), ("spikes", lambda t: 0.0 * t)):
        one_by_one, runner = spikes(record, devices, current)
        assert loops(runner) == 1
        for a, b in zip(at_once, one_by_one, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("devices", [1, 2])
def test_what_seldom_changes_is_held_for_a_chunk(devices, monkeypatch):
    pulse = dd.Steps([5.0, 10.1, 30.0], [50.0, -20.0, 90.0]) * 2.0
    held, runner = spikes("spikes", devices, pulse.between(7.3, 35.0))
    assert loops(runner) == 0
    monkeypatch.setattr(Shard, "_changes", lambda self: None)
    each_step, runner = spikes("spikes", devices, pulse.between(7.3, 35.0))
    assert loops(runner) == 1
    without, _ = spikes("spikes", devices)
    for a, b in zip(held, each_step, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(held[0], without[0])
