"""Groups: populations of one model run together and keep what is their own."""

from typing import NamedTuple

import jax
import numpy as np
import pytest

import distdyn as dd
from distdyn.ops import packed
from distdyn.parallel import chunk


class Uneven(dd.Network):
    """The receptor with tau = 5 is the second of A and the first of B, in one group."""

    def __init__(self, is_joint, is_poisson):
        cell = dd.LIF(V_th=np.inf)
        self.S = dd.Population(3, dd.SpikeTimes(id=[0, 1, 2], time=[1.0, 2.0, 3.0]))
        self.A, self.B = dd.Population(4, cell), dd.Population(5, cell)
        rule = dd.AllToAll()
        self.fast = dd.Projection(self.S, self.A, rule, dd.Exponential(2.0), weight=8.0, delay=0.5)
        self.slow = dd.Projection(self.S, self.B, rule, dd.Exponential(9.0), weight=4.0, delay=0.5)
        ends = [(self.A, self.B)] if is_joint else [self.A, self.B]

        def to(post):
            if is_poisson:
                return dd.PoissonInput(post, 5000.0, dd.Exponential(5.0), weight=16.0)
            synapse = dd.Exponential(5.0)
            return dd.Projection(self.S, post, rule, synapse, weight=16.0, delay=1.0)

        self.shared = [to(post) for post in ends]


def potentials(network):
    runner = dd.DSRunner(network, dt=0.1, seed=1, record=["A.V", "B.V"])
    recording = runner.run(20.0)
    assert len(runner._shard.groups) == 2  # the generator, and A with B
    return runner, recording.traces["A.V"].value, recording.traces["B.V"].value


def test_joint_projection_onto_receptors_at_different_indices_delivers_once():
    joint, *found = potentials(Uneven(is_joint=True, is_poisson=False))
    apart, *wanted = potentials(Uneven(is_joint=False, is_poisson=False))
    assert joint.synapses == apart.synapses == 3 * 4 + 3 * 5 + 3 * 9
    assert len(joint["shared.0"].edges().pre) == 3 * 9
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


def test_joint_poisson_input_onto_receptors_at_different_indices_arrives_once():
    _, A, B = potentials(Uneven(is_joint=True, is_poisson=True))
    # stationary mean: w tau rate tau_m / C_m = 16 pA * 5 ms * 5 / ms * 10 ms / 250 pF
    for V in (A, B):
        rise = 16.0 * 5.0 * 5.0 * 10.0 / 250.0
        assert (V[-1] + 65.0).mean() == pytest.approx(rise * 0.74, rel=0.25)  # after 20 ms


def test_refractory_period_that_is_set_must_be_on_the_grid():
    runner = dd.DSRunner(Uneven(is_joint=True, is_poisson=False), dt=0.1)
    with pytest.raises(dd.DistDynError, match=r"t_ref 0\.25 ms is not a multiple"):
        runner["A"].t_ref = 0.25


class Ring(dd.Network):
    """Populations that excite and inhibit the next ones; everything has numbers of its own."""

    def __init__(self, n):
        self.pop = [
            dd.Population(16 + k % 3, dd.LIF(I_e=10.0 * k), V=dd.Normal(-60.0, 1.0 + 0.1 * k))
            for k in range(n)
        ]
        self.proj = [self.project(k, distance) for k in range(n) for distance in (0, 1)]
        self.noise = [
            dd.PoissonInput(post, 50.0 + k, dd.Exponential(2.0), weight=9.0, delay=0.1 * (k + 1))
            for k, post in enumerate(self.pop)
        ]
        self.current = [dd.CurrentInput(post, 5.0 * k) for k, post in enumerate(self.pop)]
        self.stimulus = [
            dd.Population(2, dd.SpikeTimes(id=[0, 1], time=[0.1 * (k + 1), 7.0])) for k in range(n)
        ]
        self.drive = [
            dd.Projection(
                a, b, dd.AllToAll(), dd.Exponential(2.0), weight=20.0, delay=0.2 + 0.1 * k
            )
            for k, (a, b) in enumerate(zip(self.stimulus, self.pop, strict=True))
        ]

    def project(self, k, distance):
        return dd.Projection(
            self.pop[k],
            self.pop[(k + distance) % len(self.pop)],
            dd.FixedProb(0.2) if k % 2 else dd.FixedTotal(40 + k),
            dd.Exponential(5.0 if distance else 2.0),
            weight=dd.Normal(10.0 + k, 1.0),
            delay=dd.Normal(1.0 + 0.1 * k, 0.2),
        )


def program_size(n):
    """Equations of the chunk's jaxpr, instructions of what XLA compiles, and operands."""
    shard = dd.DSRunner(Ring(n), dt=0.1, record="spikes")._shard
    learned = tuple(shard.learning.learned)
    state = tuple(shard.states), tuple(shard.rings), shard.events, shard.traces, learned
    arguments = shard.plan, shard.data, chunk.Carry(np.int64(0), *state), np.int64(1)
    with jax.enable_x64(True):
        traced = chunk.run_chunk.trace(*arguments)
        lines = traced.lower().compile().as_text().splitlines()
    operands = len(jax.tree.leaves(shard.data)) + len(jax.tree.leaves(state))
    return count_equations(traced.jaxpr.jaxpr), sum(" = " in line for line in lines), operands


def count_equations(jaxpr):
    inner = (x for equation in jaxpr.eqns for x in jax.tree.leaves(list(equation.params.values())))
    inner = (getattr(x, "jaxpr", x) for x in inner)
    return len(jaxpr.eqns) + sum(count_equations(x) for x in inner if hasattr(x, "eqns"))


@pytest.mark.parametrize("is_packed", [True, False])
def test_program_does_not_grow_with_the_number_of_populations(monkeypatch, is_packed):
    # which tables are packed depends on how many synapses a row has for each delay
    monkeypatch.setattr(packed, "is_worth_packing", lambda tables, delays: is_packed)
    few, many = program_size(2), program_size(40)
    assert few[0] > 20
    assert many == few


def test_populations_with_other_switches_are_of_another_group():
    class Switched(dd.ODE):
        is_fast: bool = True

        class State(NamedTuple):
            x: jax.Array

        def init(self, id, key):
            return self.State(x=1.0)

        def derivative(self, t, s, drive):
            return self.State(x=-s.x / (1.0 if self.is_fast else 10.0))

    class Pair(dd.Network):
        def __init__(self):
            self.A = dd.Population(2, Switched())
            self.B = dd.Population(2, Switched(is_fast=False))

    runner = dd.DSRunner(Pair(), dt=0.1)
    runner.run(1.0)
    np.testing.assert_allclose(runner["A"].x, np.exp(-1.0), rtol=1e-5)
    np.testing.assert_allclose(runner["B"].x, np.exp(-0.1), rtol=1e-5)


class Delayed(dd.Network):
    """Populations of one group whose Poisson inputs, sure to spike, have delays of their own."""

    def __init__(self, delays):
        cell = dd.LIF(tau_m=1e9, E_L=0.0, V_th=np.inf, V_reset=-1.0)
        self.pop = [dd.Population(5, cell, V=0.0) for _ in delays]
        self.noise = [
            dd.PoissonInput(post, 5e5, dd.Delta(), weight=1.0, delay=delay)
            for post, delay in zip(self.pop, delays, strict=True)
        ]


def test_poisson_inputs_of_one_layer_keep_their_delays():
    delays = 0.1, 1.2, 0.5
    runner = dd.DSRunner(Delayed(delays), dt=0.1, record=[f"pop.{k}.V" for k in range(3)])
    recording = runner.run(2.0)
    for k, delay in enumerate(delays):
        trace = recording.traces[f"pop.{k}.V"]
        first = trace.time[np.argmax(trace.value > 0, axis=0)]
        np.testing.assert_allclose(first, delay)


class Stimuli(dd.Network):
    """Given spikes of three populations, and a cell of each that they drive."""

    def __init__(self, times):
        self.source = [dd.Population(4, dd.SpikeTimes(id=[3, 0, 1], time=t)) for t in times]
        self.cell = dd.Population(3, dd.LIF(V_th=np.inf))
        self.syn = [
            dd.Projection(
                source, self.cell[k : k + 1], dd.AllToAll(), dd.Delta(), weight=2.0 + k, delay=0.3
            )
            for k, source in enumerate(self.source)
        ]


@pytest.mark.parametrize("devices", [1, 2])
def test_populations_of_given_spikes_run_together_and_keep_their_spikes(devices):
    times = [1.0, 0.5, 1.0], [0.2, 0.2, 0.2], [1.0, 3.0, 0.1]
    record = ["spikes", "cell.V"]
    runner = dd.DSRunner(Stimuli(times), dt=0.1, record=record, devices=devices)
    recording = runner.run(4.0)
    assert len(runner._shard.groups) == 2
    V = recording.traces["cell.V"]
    for k, t in enumerate(times):
        found = recording.spikes[f"source.{k}"]
        expected = sorted(zip(t, (3, 0, 1), strict=True))
        np.testing.assert_allclose(found.time, [time for time, _ in expected])
        assert found.id.tolist() == [id for _, id in expected]
        jumps = np.diff(V.value[:, k], prepend=V.value[0, k]) > 1.0
        np.testing.assert_allclose(V.time[jumps], np.unique(np.array(t)) + 0.3)
