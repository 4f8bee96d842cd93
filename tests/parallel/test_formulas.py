"""Procedural projections: the synapses that are drawn again are those that would be stored."""

import jax
import numpy as np
import pytest

import distdyn as dd
from distdyn.errors import NetworkError
from distdyn.network.ends import block_size
from distdyn.network.network import graph
from distdyn.ops import formula, reach
from distdyn.ops.deliver import deliver
from distdyn.ops.formula import Formula
from distdyn.ops.kernels import cut_rows
from distdyn.ops.rows import Rows, synapse_count
from distdyn.ops.team import Team
from distdyn.parallel.connect import Parts, build_tables, connections
from distdyn.parallel.groups import group_populations
from distdyn.parallel.parameters import Setting
from distdyn.parallel.shard import Shard
from distdyn.parallel.shares import Shares
from distdyn.zoo import by_name
from partition import Decomposition, round_robin

SLOTS = 50

RULES = [
    dd.AllToAll(),
    dd.AllToAll(autapses=False),
    dd.FixedProb(0.0),
    dd.FixedProb(0.05),
    dd.FixedProb(0.3, autapses=False),
    dd.FixedProb(0.7, autapses=False),  # counts are kept
    dd.FixedTotal(6000),
    dd.FixedTotal(6000, multapses=False, autapses=False),
    dd.FixedTotal(40_000, multapses=False),
    dd.FixedOutdegree(3000),  # counts take two bytes, a cell is cut in pieces
    dd.FixedOutdegree(20, autapses=False),
    dd.FixedOutdegree(20, multapses=False),
]
VALUES = {
    "constant": (2.0, 1.5),
    "drawn delays": (2.0, dd.Uniform(0.3, 3.0)),
    "drawn weights": (dd.Normal(2.0, 1.0), 1.5),
    "drawn": (dd.Normal(2.0, 1.0), dd.Normal(1.5, 0.5)),
}


class Net(dd.Network):
    """Slices, two groups of targets and three of sources; stored and other rules beside."""

    def __init__(self, rule, storage="procedural", *, weight=2.0, delay=1.5, n=331):
        cell = dd.LIF(I_e=dd.Uniform(350.0, 500.0), t_ref=2.0)
        self.E = dd.Population(n, cell, V=dd.Uniform(-65.0, -50.0))
        self.I = dd.Population(100, cell, V=dd.Uniform(-65.0, -50.0))
        self.H = dd.Population(40, dd.LIF(I_e=450.0))
        self.P = dd.Population(70, dd.Poisson(rate=30.0))
        values = {"weight": weight, "delay": delay, "storage": storage}
        psc = dd.Exponential(tau=2.0)
        pre = self.E[:200], self.I[3:90:2], self.P, self.E[201::3]
        self.some = dd.Projection(pre, (self.I[50:], self.E[5:300:4], self.H), rule, psc, **values)
        self.all = dd.Projection(self.E, (self.E, self.I), rule, psc, **values)
        self.kept = dd.Projection(
            self.I, (self.E, self.H), dd.FixedIndegree(10), psc, weight=-20.0, delay=1.0
        )
        self.other = dd.Projection(
            self.P, self.H, dd.FixedIndegree(5), dd.Alpha(tau=1.0), weight=30.0, delay=1.0
        )


def run(network, steps=300, *, devices=1, precision="float32", **options):
    net = graph(network)
    with jax.enable_x64(True):
        shard = Shard(
            net, Setting(0.1, 3, precision, 0), devices=jax.devices()[:devices], **options
        )
        shard.watch(list(net.populations), ())
        results, done = [], 0
        while done < steps:
            results.append(shard.run(steps - done))
            done += results[-1].done
        spikes = {
            path: np.concatenate([np.stack(r.spikes[path]) for r in results], axis=1)
            for path in net.populations
        }
        return shard, spikes


def is_procedural(shard):
    return [isinstance(table.rows[0], Formula) for table in shard.built.tables]


def same(first, second):
    assert sum(x.shape[1] for x in first.values()) > 200
    for path, spikes in first.items():
        np.testing.assert_array_equal(spikes, second[path])


def edges(shard, path):
    with jax.enable_x64(True):
        found = [np.concatenate(column) for column in zip(*shard.synapses(path), strict=True)]
    order = np.lexsort(found[::-1])
    return [column[order] for column in found]


def tables(network, part, n_parts, *, procedural, accumulator="int32"):
    """The tables of one of so many parts, and the places of their rings."""
    g = graph(network)
    precision = "float32" if accumulator == "int32" else "float64"
    s, groups = Setting(0.1, 3, precision, 0), group_populations(g)
    sizes = [population.size for population in g.populations.values()]
    decomposition = round_robin(sizes, [block_size(size) for size in sizes], n_parts)
    shares = tuple(Shares.of(g, group, decomposition) for group in groups)
    cells = (tuple(group.owned(g, decomposition, part) for group in groups),)
    room = tuple(share.largest([part]) for share in shares)
    parts = Parts(decomposition, shares, (part,), cells, room)
    arguments = g, groups, parts, connections(g, groups, s), lambda *_: 2.0**10, s
    found = build_tables(*arguments, procedural=procedural)
    return [(t, parts.length(t.group), shares[t.source].bounds[:, -1]) for t in found]


def arrivals(rows, n_target, sizes, members, accumulator):
    """The ring after every cell of every part has spiked, and some of the last part once more."""
    ring = np.zeros((SLOTS, n_target), accumulator)
    if isinstance(rows, Rows):
        rows = cut_rows(rows, n_target, members)
    with Team(members) as team:
        for part, n in [*enumerate(sizes), (len(sizes) - 1, sizes[-1] // 3)]:
            events, count = np.arange(n + 3, dtype=np.int32), np.int32(n)
            where = np.int64(part), events, np.int64(0), count, np.int64(SLOTS - 2 + part)
            ring = deliver(ring, type(rows)(*map(jax.numpy.asarray, rows)), *where, team.operand)
        return np.asarray(ring)  # waits: the team must be there until the last spike is delivered


# By default every rule that holds what no other does, and values that are drawn with three of them.
BY_DEFAULT = {(k, "constant") for k in (0, 2, 3, 5, 6, 8, 9, 11)}
BY_DEFAULT |= {(k, "drawn") for k in (3, 6, 11)}


@pytest.mark.parametrize(
    "rule, values",
    [
        pytest.param(
            rule,
            values,
            marks=[] if (k, values) in BY_DEFAULT else [pytest.mark.slow],
            id=f"{rule!r}-{values}",
        )
        for k, rule in enumerate(RULES)
        for values in VALUES
    ],
)
def test_what_arrives_is_what_stored_rows_bring(rule, values):
    weight, delay = VALUES[values]
    accumulator = "int64" if values == "drawn" else "int32"
    with jax.enable_x64(True):
        for n_parts, part, members in ((1, 0, 1), (3, 1, 2), (2, 1, 3)):
            both = [
                tables(
                    Net(rule, weight=weight, delay=delay), part, n_parts, procedural=procedural,
                    accumulator=accumulator,
                )
                for procedural in (True, False)
            ]  # fmt: skip
            assert sum(isinstance(t.rows[0], Formula) for t, _, _ in both[0]) >= 4
            for (drawn, *shape), (stored, *_) in zip(*both, strict=True):
                assert drawn[:4] == stored[:4]
                if not isinstance(drawn.rows[0], Formula):
                    continue
                rings = [arrivals(t.rows[0], *shape, members, accumulator) for t in (drawn, stored)]
                np.testing.assert_array_equal(*rings)
                assert formula.synapse_count(drawn.rows[0]) == synapse_count(stored.rows[0])
                assert rings[0].any() or getattr(rule, "p", 1) == 0.0


@pytest.mark.parametrize(
    "rule, values",
    [
        (RULES[3], "drawn"),
        (RULES[7], "constant"),
        pytest.param(RULES[3], "constant", marks=pytest.mark.slow),
        pytest.param(RULES[7], "drawn", marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_the_same_spikes_and_edges_as_stored(rule, values):
    weight, delay = VALUES[values]
    stored, spikes = run(Net(rule, "stored", weight=weight, delay=delay))
    assert not any(is_procedural(stored))
    for devices, threads in ((1, 3), (2, 1), (3, 2)):
        network = Net(rule, weight=weight, delay=delay)
        shard, others = run(network, devices=devices, threads=threads)
        assert any(is_procedural(shard))
        same(spikes, others)
        assert shard.synapse_count == stored.synapse_count
        assert shard.built.scale(0, 0) == stored.built.scale(0, 0)
    for path in ("some", "all"):
        for a, b in zip(edges(stored, path), edges(shard, path), strict=True):
            np.testing.assert_array_equal(a, b)


def test_in_double_precision():
    values = {"weight": VALUES["drawn"][0], "delay": VALUES["drawn"][1]}
    _, spikes = run(Net(RULES[3], "stored", **values), precision="float64")
    _, others = run(Net(RULES[3], **values), precision="float64", devices=2)
    same(spikes, others)


def test_without_kernels_they_are_stored():
    _, spikes = run(Net(RULES[3], "stored"), 150)
    shard, others = run(Net(RULES[3]), 150, devices=2, kernels=False)
    assert not any(is_procedural(shard))
    same(spikes, others)


def test_one_receptor_may_have_both():
    network = Net(dd.FixedProb(0.1))
    network.beside = dd.Projection(
        network.E, network.E, dd.FixedProb(0.1), dd.Exponential(tau=2.0), weight=2.0, delay=1.5
    )
    shard, spikes = run(network)
    kinds = is_procedural(shard)
    assert any(kinds) and not all(kinds)
    changed = Net(dd.FixedProb(0.1), "stored")
    changed.beside = dd.Projection(
        changed.E, changed.E, dd.FixedProb(0.1), dd.Exponential(tau=2.0), weight=2.0, delay=1.5
    )
    same(spikes, run(changed)[1])


def test_weights_can_be_set():
    found = []
    for storage in ("stored", "procedural"):
        net = Net(dd.FixedTotal(6000), storage, weight=dd.Normal(2.0, 1.0))
        runner = dd.DSRunner(net, dt=0.1, seed=3, record=["E.spikes"], progress="off")
        runner.run(10.0)
        runner["all"].weight = dd.Normal(30.0, 10.0)
        runner["some"].weight = -5.0
        spikes = runner.run(20.0).gather().spikes["E"]
        found.append((spikes.step, spikes.id, *runner["all"].edges(), *runner["some"].edges()))
    assert len(found[0][0]) > 100
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("rule", [dd.FixedIndegree(3), dd.OneToOne(), dd.Edges([0], [1])], ids=repr)
def test_other_rules_are_stored_only(rule):
    cells = dd.Population(9, dd.LIF())
    with pytest.raises(NetworkError, match=r'not possible with .*Use storage="stored", or one of'):
        dd.Projection(
            cells, cells, rule, dd.Alpha(tau=1.0), weight=1.0, delay=1.0, storage="procedural"
        )


def test_counts_must_fit_into_sixteen_bits():
    net = Net(dd.FixedOutdegree(2_000_000), n=20)
    with pytest.raises(NetworkError, match=r'"some": a neuron may have .* Use storage="stored"'):
        run(net, 1)


# --- which sources reach a part ------------------------------------------------------------------


@pytest.mark.parametrize("rule", [RULES[3], RULES[6]], ids=repr)
def test_who_reaches_a_part_includes_those_that_do(rule):
    """The exchange sends to a part what may have synapses there, no later than it may be due."""
    values = {"weight": 2.0, "delay": dd.Uniform(0.4, 3.0)}
    with jax.enable_x64(True):
        drawn, kept = (tables(Net(rule, **values), 1, 3, procedural=p) for p in (True, False))
    for (table, length, _), (other, *_) in zip(drawn, kept, strict=True):
        (rows,), (stored,) = table.rows, other.rows
        assert (reach.shortest(rows, length) <= reach.shortest(stored, length)).all()
        for may, do in zip(reach.reaching(rows), reach.reaching(stored), strict=True):
            assert do.any() and (may | ~do).all()


def test_sources_that_no_view_names_do_not_reach():
    cells = dd.Population(64, dd.LIF(I_e=500.0))
    other = dd.Population(48, dd.LIF(I_e=500.0))

    class Two(dd.Network):
        def __init__(self):
            self.A, self.B = cells, other
            self.syn = dd.Projection(
                cells[10:60:5], other, dd.FixedProb(0.5), dd.Alpha(tau=1.0), weight=1.0,
                delay=1.0, storage="procedural",
            )  # fmt: skip

    cut = Decomposition((64, 48), (16, 16), (np.array([1, 0, 0, 1]), np.array([1, 1, 0])), 2)
    shard, _ = run(Two(), 1, devices=2, decomposition=cut)
    (table,) = shard.built.tables
    ids = [np.flatnonzero(x) for x in reach.reaching(table.rows[0])]
    named = [np.array([20, 25, 30, 35, 40, 45]), np.array([10, 15, 50, 55])]
    # part 0 has the neurons 16 ... 47 of A, part 1 those around; its cells of B are not named
    np.testing.assert_array_equal(ids[0], named[0] - 16)
    np.testing.assert_array_equal(ids[1], np.where(named[1] < 16, named[1], named[1] - 32))
    assert reach.shortest(table.rows[0], 48).tolist() == [10, 10]


def test_equal_tables_are_kept_once():
    """What is drawn alike in many projections costs memory, and cache, once."""
    shard, _ = run(by_name("microcircuit")(scale=0.02, storage="procedural"), 1)
    (table,) = shard.built.tables
    (rows,) = table.rows
    assert len(rows.projection) > 50
    assert len(rows.guide) == 2  # excitatory, inhibitory
    assert len(rows.knots) == 3 * 2  # those twice as strong are the same in twice the unit


@pytest.mark.parametrize("devices", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_the_microcircuit_at_a_tenth(devices):
    found = [
        run(
            by_name("microcircuit")(scale=0.1, drive="poisson", storage=storage),
            500,
            devices=devices,
        )
        for storage in ("stored", "procedural")
    ]
    same(found[0][1], found[1][1])
    assert found[1][0].connectivity_bytes < 0.15 * found[0][0].connectivity_bytes


def test_cells_that_share_a_target_are_one_members_turn():
    """Whatever their projections: no place of the ring belongs to two members of a team."""
    with jax.enable_x64(True):
        found = tables(Net(dd.FixedProb(0.1)), 1, 3, procedural=True)
    for table, n_target, _ in found:
        if not isinstance(table.rows[0], Formula):
            continue
        turn = np.full(n_target, -1)
        for block, first, last, local, stride, *_, mine in table.rows[0].cell.tolist():
            places = local + stride * np.arange(last - first)
            assert ((turn[places] == -1) | (turn[places] == mine)).all(), block
            turn[places] = mine
        assert (turn >= 0).any()
