"""Networks whose tables are packed: the same spikes as through rings."""

import jax
import numpy as np
import pytest

import distdyn as dd
from distdyn.network.network import graph
from distdyn.ops import packed
from distdyn.ops.packed import Packed
from distdyn.parallel import snapshot
from distdyn.parallel.parameters import Setting
from distdyn.parallel.shard import Shard


class Dense(dd.Network):
    """Rows of 375 synapses over 11 delays; without a refractory period if `t_ref` is zero."""

    def __init__(self, t_ref=1.0, I_e=900.0, weight=30.0):
        cell = dd.LIF(C_m=200.0, tau_m=20.0, E_L=-60.0, V_th=-50.0, V_reset=-60.0, t_ref=t_ref)
        self.E = dd.Population(400, cell, V=dd.Normal(-55.0, 5.0))
        self.I = dd.Population(100, cell, V=dd.Normal(-55.0, 5.0))
        self.drive = dd.CurrentInput((self.E, self.I), I_e)
        delay = dd.Normal(1.0, 0.3, low=0.5, high=1.5)
        everyone, fast = (self.E, self.I), dd.Exponential(tau=2.0)
        for name, post, factor in (("EE", self.E, 1.0), ("EI", self.I, 2.5)):
            projection = dd.Projection(
                self.E, post, dd.FixedTotal(300 * post.size), fast,
                weight=dd.Normal(factor * weight, 0.1 * factor * weight), delay=delay,
            )  # fmt: skip
            setattr(self, name, projection)
        self.inh = dd.Projection(
            self.I, everyone, dd.FixedProb(0.6), fast, weight=-3.0 * weight, delay=1.0
        )


def shard_of(network, devices=1, threads=1, precision="float32"):
    with jax.enable_x64(True):
        setting = Setting(0.1, 5, precision, 0)
        shard = Shard(graph(network), setting, devices=jax.devices()[:devices], threads=threads)
        shard.watch(list(shard.graph.populations), [])
    return shard


def run(shard, steps=300):
    results, start = [], shard.step
    while shard.step - start < steps:
        results.append(shard.run(steps - (shard.step - start)))
    return [
        np.concatenate([r.spikes[path][k] for r in results])
        for path in shard.graph.populations
        for k in (0, 1)
    ]


@pytest.fixture
def rings(monkeypatch):
    """Makes shards whose tables are not packed."""

    def make(*arguments, **options):
        with monkeypatch.context() as patch:
            patch.setattr(packed, "is_worth_packing", lambda tables, delays: False)
            return shard_of(*arguments, **options)

    return make


def same(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("devices", "threads"), [(1, 1), (1, 3), (2, 1), (2, 2)])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_same_spikes_as_through_rings(rings, devices, threads, precision):
    through_rings = rings(Dense(), precision=precision)
    assert not any(isinstance(table, Packed) for table in through_rings.placed.tables)
    expected = run(through_rings)
    assert len(expected[0]) > 500 and len(expected[2]) > 100
    shard = shard_of(Dense(), devices, threads, precision)
    assert all(isinstance(table, Packed) for table in shard.placed.tables)
    assert all(ring.shape[0] == devices for of in shard.rings for ring in of)  # a slot on each
    same(run(shard), expected)


@pytest.mark.parametrize("devices", [1, 2])
def test_everybody_spikes_at_every_step(rings, devices):
    wild = {"t_ref": 0.0, "I_e": 30_000.0}
    expected = run(rings(Dense(**wild)), 60)
    assert len(expected[0]) > 20_000
    same(run(shard_of(Dense(**wild), devices), 60), expected)


def test_runs_in_pieces_and_after_a_reset():
    shard = shard_of(Dense(), 2)
    expected = run(shard, 200)
    shard.start()
    with jax.enable_x64(True):
        shard.watch(list(shard.graph.populations), [])
    pieces = [run(shard, steps) for steps in (1, 3, 96, 100)]
    same([np.concatenate(columns) for columns in zip(*pieces, strict=True)], expected)


@pytest.mark.parametrize(("devices", "threads"), [(1, 1), (1, 2), (2, 1)])
def test_a_weight_that_is_set_on_the_way_spares_what_is_in_flight(rings, devices, threads):
    found = []
    for make in (rings, shard_of):
        shard = make(Dense(), devices=devices, threads=threads)
        before = run(shard, 150)
        old = shard.graph.projections["inh"]
        new = dd.Projection(old.pre, old.post, old.rule, old.synapse, weight=-45.0, delay=old.delay)
        with jax.enable_x64(True):
            shard.write_weight("inh", new)
        found.append([before, run(shard, 100)])
    for rings_, packed_ in zip(*found, strict=True):
        same(packed_, rings_)
    assert not np.array_equal(
        found[0][1][0], run(shard_of(Dense()), 250)[0][-len(found[0][1][0]) :]
    )


@pytest.mark.parametrize("devices", [1, 2])
def test_rings_are_short_again_once_what_a_restart_has_put_there_has_landed(devices):
    whole, again = shard_of(Dense(), devices), shard_of(Dense(), devices)
    run(whole, 200)
    tables = dict(snapshot.take(whole))

    def read(name, key):
        of = tables[name]
        return {field: x[np.searchsorted(of.key, key)] for field, x in of.fields.items()}

    with jax.enable_x64(True):
        snapshot.put(again, whole.step, read)
        again.watch(list(again.graph.populations), [])
    lengths = [lengths_of(again)]
    for steps in (5, 200, 95):
        same(run(whole, steps), run(again, steps))
        lengths.append(lengths_of(again))
    assert lengths == [{16}, {16}, {16}, {1}]  # a run of steps keeps the rings it began with


def lengths_of(shard):
    return {ring.shape[0] // len(shard.stack.devices) for of in shard.rings for ring in of}


def test_bytes_per_synapse():
    shard = shard_of(Dense())
    for table in shard.placed.tables:
        n = int(table.base[-1]) + int(table.start[-1])
        size = 4 if table.synapse.dtype == np.uint32 else 2
        assert n <= len(table.synapse) <= 1.1 * n + 1000
        assert table.synapse.nbytes == size * len(table.synapse)
    assert {str(table.synapse.dtype) for table in shard.placed.tables} == {"uint16", "uint32"}


def test_edges_are_what_the_packed_tables_hold():
    shard = shard_of(Dense())
    edges = [columns for path in ("EE", "EI", "inh") for columns in shard.synapses(path)]
    targets, delays = np.zeros(500, int), np.zeros(40, int)
    for table in shard.placed.tables:
        form, batch, word = (np.asarray(x) for x in (table.form, table.batch, table.synapse))
        n = int(table.base[-1]) + int(table.start[-1])
        np.add.at(targets, word[:n].astype(int) & 0xFFFF, 1)
        sizes = np.diff(batch[:, :-1].astype(int), axis=1).sum(axis=0)
        delays[form[0] : form[0] + form[1]] += sizes
    assert len(shard.placed.tables) == 2 and targets.sum() == sum(len(e[0]) for e in edges)
    of_edges = np.concatenate([np.rint(delay * 10).astype(int) for *_, delay in edges])
    np.testing.assert_array_equal(np.bincount(of_edges, minlength=40), delays)
    post = [edges[0][1], edges[1][1] + 400, edges[2][1]]
    np.testing.assert_array_equal(np.bincount(np.concatenate(post), minlength=500), targets)
