"""The table of synapses: the rules' rows, sorted by delay, the same however they are drawn."""

import hashlib
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
from scipy import stats

from distdyn import random
from distdyn.errors import DelayError, NetworkError, RuleError, WeightError
from distdyn.network import rule
from distdyn.network.distributions import Normal, Uniform
from distdyn.network.edges import Edges
from distdyn.network.ends import Ends
from distdyn.network.population import View
from distdyn.network.rules import (
    AllToAll,
    FixedIndegree,
    FixedOutdegree,
    FixedProb,
    FixedTotal,
    OneToOne,
)
from distdyn.ops import reach
from distdyn.ops.kernels import cut_rows
from distdyn.ops.rows import equalize, source_bytes, synapse_count
from distdyn.parallel import drawing
from distdyn.parallel.build import (
    build_table,
    longest_delay,
    name_segments,
    storage_of,
    table_capacity,
)
from distdyn.parallel.projection_rows import ProjectionRows

P = 1e-3  # fixed seeds pass or fail for good; this is how bad luck may be
A, B = SimpleNamespace(size=90), SimpleNamespace(size=260)
N = A.size + B.size  # sources are A then B; the ring holds B then A
SOURCE, TARGET = {id(A): 0, id(B): A.size}, {id(A): B.size, id(B): 0}
BOUNDS = np.array([[0, A.size, N]])
EDGES = Edges(np.arange(700) * 7 % 165, np.arange(700) * 11 % 195)
RULES = {
    "all": AllToAll(autapses=False),
    "prob": FixedProb(0.2),
    "in": FixedIndegree(30),
    "in, simple": FixedIndegree(60, autapses=False, multapses=False),
    "out": FixedOutdegree(30),
    "out, simple": FixedOutdegree(60, autapses=False, multapses=False),
    "total": FixedTotal(4000),
    "total, simple": FixedTotal(4000, autapses=False, multapses=False),
    "edges": EDGES,
}


def places(views, first):
    return np.concatenate([first[id(v.population)] + np.asarray(v.ids) for v in views])


def part(rule, pre=None, post=None, *, path="p", weight=1.0, delay=1, blocks=None):
    pre = pre or (View(B, 0, 150, 2), View(A, 0, 90, 1))  # 165 neurons
    post = post or (View(A, 30, 75, 1), View(B, 10, 160, 1))  # 195
    where = places(pre, SOURCE), places(post, TARGET)
    return ProjectionRows(path, rule, Ends(pre, post), weight, delay, *where, blocks)


def table_of(*parts, seed=1, dt=0.1, unit_scale=2.0**10, **options):
    options = {"bounds": BOUNDS, "n_target": N} | options
    return build_table(list(parts), seed=seed, dt=dt, unit_scale=unit_scale, **options)


def starts(table):
    """Where each segment begins, and the last ends."""
    return table.base[np.arange(len(table.start)) >> 6] + table.start


def segments(table):
    """The source, as a place, of each segment, and its unit: one bit after the other."""
    found, first = [], 0
    for bounds, words in zip(table.bounds, table.word, strict=True):
        for s, word in enumerate(words):
            for i in range(bounds[s + 1] - bounds[s] if word >= 0 else 0):
                if int(table.bits[word + i // 64]) >> i % 64 & 1:
                    place = first + bounds[s] + i
                    found += [(place, table.unit[s, j]) for j in range(table.width[s])]
        first += bounds[-1]
    return np.array(found, np.int64).reshape(-1, 2).T


def synapses(table, n_target=N):
    """One row per synapse, in the order of the table: source, target, delay, contribution."""
    found = segments(table)
    n = np.diff(starts(table))[: len(found[0])]  # others have no synapse
    source, unit = (np.repeat(x, n) for x in found)
    end = synapse_count(table)
    delay, target = np.divmod(table.offset[:end].astype(np.int64), n_target)
    weight = table.weight[:end].astype(np.int64) if table.weight.size else 1
    return np.stack([source, target, delay, weight * unit], axis=1)


def ordered(rows):
    return rows[np.lexsort(rows.T)]


def assert_sorted(table):
    delay = table.offset // N
    inside = np.ones(len(delay), bool)
    begin = starts(table)
    inside[begin[begin < len(delay)]] = False
    assert (np.diff(delay.astype(np.int64))[inside[1:]] >= 0)[: begin[-1] - 1].all()


DRAWN = {"weight": Normal(87.8, 8.78, low=0.0), "delay": Normal(1.5, 0.75, low=0.05)}


@pytest.mark.parametrize("values", [{}, {"delay": 7}, DRAWN], ids=["constant", "delay", "drawn"])
@pytest.mark.parametrize("name", RULES)
def test_a_table_holds_the_rows_of_the_rule(name, values, seed):
    p = part(RULES[name], **values)
    table = table_of(p, seed=seed)
    low, high = random.stream_key(seed, "connectivity", "p")
    pre, post = RULES[name].rows(p.ends, (np.uint64(low), np.uint64(high)))
    found = synapses(table)
    assert np.array_equal(
        ordered(found[:, :2]), ordered(np.stack([p.pre_local[pre], p.post_local[post]], axis=1))
    )
    assert_sorted(table)
    if "weight" not in values:
        assert (found[:, 2] == values.get("delay", 1)).all() and (found[:, 3] == 2**10).all()
        assert table.weight.size == 0


def test_one_to_one_reaches_its_own():
    p = part(OneToOne(), pre=(View(B, 0, 45, 1),), post=(View(A, 0, 90, 2),), weight=-2.0, delay=3)
    found = synapses(table_of(p))
    assert np.array_equal(found[:, 0], A.size + np.arange(45))
    assert np.array_equal(found[:, 1], B.size + np.arange(0, 90, 2))
    assert (found[:, 2:] == [3, -2048]).all()


def test_shapes_and_types():
    table = table_of(part(RULES["total"], **DRAWN))
    assert (table.offset.dtype, table.weight.dtype, table.unit.dtype) == ("u4", "i2", "i4")
    assert table.offset.nbytes + table.weight.nbytes == 6 * 4000
    assert table.width.tolist() == [1, 1] and table.unit.shape == (2, 1)
    assert (table.bits.dtype, table.rank.dtype, table.bits.shape) == ("u8", "u4", (2 + 5,))
    assert (table.start.dtype, table.base.dtype, table.base.shape) == ("u4", "i8", (3,))
    assert len(table.start) == 165 + 1
    assert all(array.ctypes.data % 64 == 0 for array in table)
    assert all(array.flags.c_contiguous for array in table)
    wide = table_of(part(RULES["total"], delay=2**25), accumulator=np.int64)
    assert (wide.offset.dtype, wide.unit.dtype, wide.weight.size) == ("u8", "i8", 0)
    assert (wide.offset // np.uint64(N) == 2**25).all()


@pytest.mark.parametrize("name", RULES)
def test_any_number_of_threads_draws_the_same(name, monkeypatch):
    one = table_of(part(RULES[name], **DRAWN), threads=1)
    monkeypatch.setattr(drawing, "TASK_ROWS", 16)
    monkeypatch.setattr(rule, "HELD", 100)
    for threads in (2, 7):
        many = table_of(part(RULES[name], **DRAWN), threads=threads)
        assert all(np.array_equal(a, b) for a, b in zip(one, many, strict=True))


@pytest.mark.parametrize("name", RULES)
def test_parts_that_ask_for_their_blocks_make_up_the_whole(name):
    whole = part(RULES[name], **DRAWN)
    n_blocks = len(whole.ends.block_start()) - 1
    deal = [np.arange(n_blocks)[i::3] for i in range(3)]
    tables = [table_of(whole._replace(blocks=blocks)) for blocks in [*deal, np.arange(0)]]
    union = np.concatenate([synapses(table) for table in tables])
    assert np.array_equal(ordered(union), ordered(synapses(table_of(whole))))
    assert len(synapses(tables[-1])) == 0
    for table in tables:
        assert_sorted(table)


@pytest.mark.parametrize("name", RULES)
def test_tables_of_some_sources_make_up_the_whole(name):
    """A projection from two groups: each table is asked for its own sources."""
    whole = part(RULES[name], **DRAWN)
    is_mine = np.arange(165) < 75  # the neurons of B
    tables = [
        table_of(whole._replace(pre_local=np.where(mine, whole.pre_local, -1)))
        for mine in (is_mine, ~is_mine, np.zeros(165, bool))
    ]
    assert [table.width.tolist() for table in tables] == [[0, 1], [1, 0], [0, 0]]
    union = np.concatenate([synapses(table) for table in tables])
    assert np.array_equal(ordered(union), ordered(synapses(table_of(whole))))
    for table in tables:
        assert_sorted(table)


class Deal(NamedTuple):
    """The neurons of A and B dealt to parts in blocks; both ends are numbered by their parts."""

    n: int
    bounds: np.ndarray
    place: np.ndarray  # of each neuron, A then B, among the cells of all parts
    owner: np.ndarray
    local: np.ndarray  # its place in the ring of its owner
    n_target: int


def deal(n):
    """Blocks of 16 round-robin, as the ends cut them; many parts remain empty if n is large."""
    owner = np.concatenate([np.arange(x.size) // 16 % n for x in (A, B)])
    population = np.repeat([0, 1], [A.size, B.size])
    order = np.lexsort((np.arange(N), population, owner))  # part, then population, then id
    place, local = np.empty(N, np.int64), np.empty(N, np.int64)
    place[order] = np.arange(N)
    sizes = np.array([[np.sum(owner[population == s] == q) for s in (0, 1)] for q in range(n)])
    bounds = np.concatenate([np.zeros((n, 1), np.int64), np.cumsum(sizes, axis=1)], axis=1)
    local = place - (np.cumsum(bounds[:, -1]) - bounds[:, -1])[owner]
    return Deal(n, bounds, place, owner, local, int(bounds[:, -1].max()) + 3)


def share(whole, dealt, q):
    """What part q has of a projection."""
    post = places(whole.ends.post, SOURCE)
    start = whole.ends.block_start()
    blocks = np.flatnonzero(dealt.owner[post[start[:-1]]] == q)
    if whole.blocks is not None:
        blocks = np.intersect1d(blocks, whole.blocks)
    here = np.where(dealt.owner[post] == q, dealt.local[post], -99)
    pre = dealt.place[places(whole.ends.pre, SOURCE)]
    return whole._replace(pre_local=pre, post_local=here, blocks=blocks)


def dealt_tables(parts, dealt, **options):
    options = {"bounds": dealt.bounds, "n_target": dealt.n_target} | options
    return [table_of(*(share(p, dealt, q) for p in parts), **options) for q in range(dealt.n)]


def global_synapses(tables, dealt):
    """The synapses of all parts; source and target by their number in A then B."""
    target = {(q, k): i for i, (q, k) in enumerate(zip(dealt.owner, dealt.local, strict=True))}
    source = np.argsort(dealt.place)
    found = [synapses(table, dealt.n_target) for table in tables]
    for q, rows in enumerate(found):
        rows[:, 0] = source[rows[:, 0]]
        rows[:, 1] = [target[q, k] for k in rows[:, 1]]
    return ordered(np.concatenate(found))


def whole_synapses(*parts):
    """The synapses of one table for all; source and target by their number in A then B."""
    found = synapses(table_of(*parts))
    found[:, 1] = (found[:, 1] + A.size) % N  # the ring holds B then A
    return ordered(found)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 40])
@pytest.mark.parametrize("name", RULES)
def test_the_parts_of_a_network_make_up_the_whole(name, n):
    whole, dealt = part(RULES[name], **DRAWN), deal(n)
    tables = dealt_tables([whole], dealt)
    assert np.array_equal(global_synapses(tables, dealt), whole_synapses(whole))
    for table in tables:
        found = synapses(table, dealt.n_target)
        reached = np.concatenate(reach.reaching(table))
        assert np.array_equal(np.flatnonzero(reached), np.unique(found[:, 0]))
        assert len(table.start) == reached.sum() + 1
        owner = np.searchsorted(np.cumsum(dealt.bounds[:, -1]), found[:, 0], side="right")
        least = np.full(n, reach.NEVER)
        np.minimum.at(least, owner, found[:, 2])
        assert np.array_equal(reach.shortest(table, dealt.n_target), least)
        for bounds, word, bits in zip(dealt.bounds, table.word, reach.reaching(table), strict=True):
            assert [not x.any() for x in np.split(bits, bounds[1:2])] == (word == -1).tolist()
    assert len({table.unit.tobytes() for table in tables}) == 1


def several():
    views = (View(B, 0, 260, 1),), (View(A, 0, 90, 1), View(B, 0, 260, 1))
    return [
        part(FixedProb(0.1), path="a", **DRAWN),
        part(FixedIndegree(2), *views, path="b", weight=Normal(-9.0, 1.0), delay=4),
        part(FixedTotal(300), *views, path="c", weight=Normal(30.0, 1.0), delay=2),
        part(OneToOne(), *2 * ((View(A, 5, 80, 3),),), path="d", weight=Normal(7.0, 0.2)),
    ]


@pytest.mark.parametrize("n", [1, 3, 7])
def test_several_projections_are_dealt(n):
    dealt = deal(n)
    tables = dealt_tables(several(), dealt)
    assert np.array_equal(global_synapses(tables, dealt), whole_synapses(*several()))
    for table in tables:
        assert table.width.tolist() == [2, 3] and table.unit.shape == (2, 3)


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("members", [1, 3])
def test_where_the_synapses_of_a_projection_are(n, members):
    dealt = deal(n)
    for q, table in enumerate(dealt_tables(several(), dealt)):
        mine = [share(p, dealt, q) for p in several()]
        naming = name_segments(mine, dealt.bounds)
        assert np.array_equal(naming.width, table.width)
        cut = cut_rows(table, dealt.n_target, members)
        for p, first in zip(mine, naming.first, strict=True):
            alone = table_of(p, bounds=dealt.bounds, n_target=dealt.n_target)
            begin, end = reach.synapses_of(cut, p.pre_local, first, members)
            index = np.concatenate([np.arange(*span) for span in zip(begin, end, strict=True)])
            found = np.stack([np.repeat(p.pre_local, end - begin), table.offset[index]])
            target, weight = found[1] % dealt.n_target, table.weight[index]
            expected = synapses(alone, dealt.n_target)
            unit = alone.unit.max()
            found = np.stack([found[0], target, found[1] // dealt.n_target, weight * unit], axis=1)
            assert np.array_equal(ordered(found), ordered(expected))


def test_a_neuron_named_twice_has_two_segments(monkeypatch):
    """No projection of a network does so, for ends that overlap are refused; a table could."""
    views = (View(A, 0, 90, 1), View(B, 0, 20, 1), View(A, 10, 90, 2))
    p, q = part(FixedTotal(3000), pre=views, **DRAWN), part(FixedTotal(500), path="q", **DRAWN)
    table = table_of(p, q)
    assert table.width.tolist() == [3, 2] and table.unit.shape == (2, 3)
    naming = name_segments([p, q], BOUNDS)
    assert naming.first.tolist() == [[0, 0], [2, 1]]
    begin, end = reach.synapses_of(table, p.pre_local, naming.first[0])
    low, high = random.stream_key(1, "connectivity", "p")
    pre, post = p.rule.rows(p.ends, (np.uint64(low), np.uint64(high)))
    for i in range(p.ends.n_pre):  # each naming draws its own row
        targets = table.offset[begin[i] : end[i]] % N
        assert np.array_equal(np.sort(targets), np.sort(p.post_local[post[pre == i]]))
    expected = np.stack([p.pre_local[pre], p.post_local[post]], axis=1)
    found = synapses(table_of(p))
    assert np.array_equal(ordered(found[:, :2]), ordered(expected))
    monkeypatch.setattr(reach, "MOST_NAMED", 1)
    with pytest.raises(NetworkError, match="more than 1 times"):
        table_of(p)


def test_tables_of_equal_shape():
    dealt = deal(7)
    room = max(table_capacity([share(p, dealt, q) for p in several()], 1) for q in range(7))
    tables = dealt_tables(several(), dealt, capacity=room)
    equal = equalize(tables)
    assert len({tuple((x.shape, x.dtype) for x in table) for table in equal}) == 1
    for before, after in zip(tables, equal, strict=True):
        assert after.offset is before.offset and after.weight is before.weight
        assert all(x.ctypes.data % 64 == 0 for x in after)
        assert np.array_equal(synapses(after, dealt.n_target), synapses(before, dealt.n_target))
        n = np.diff(starts(after))
        assert not n[len(before.start) - 1 :].any() and n.sum() == synapse_count(before)
        assert np.array_equal(
            reach.shortest(after, dealt.n_target), reach.shortest(before, dealt.n_target)
        )
    without = equalize(dealt_tables(several(), dealt))
    assert len({tuple(x.shape for x in table) for table in without}) == 1
    assert np.array_equal(global_synapses(without, dealt), whole_synapses(*several()))


def test_no_room():
    with pytest.raises(NetworkError, match=r"p, q: .* synapses were drawn, but 700 are"):
        table_of(part(FixedTotal(600)), part(FixedTotal(101), path="q"), capacity=700)


def test_cursors_of_eight_bytes(monkeypatch):
    narrow = table_of(part(FixedIndegree(30), **DRAWN))
    monkeypatch.setattr(drawing, "NARROW", 1000)
    wide = table_of(part(FixedIndegree(30), **DRAWN))
    assert all(np.array_equal(a, b) for a, b in zip(narrow, wide, strict=True))


@pytest.mark.parametrize("n_parts", [8, 128])
def test_a_source_costs_at_most_twelve_bytes(n_parts):
    """One part of a network that grows with the parts: each neuron has 500 sources anywhere."""
    n = 1024, 256
    e, i = (SimpleNamespace(size=k * n_parts) for k in n)
    bounds = np.tile(np.cumsum([0, *n]), (n_parts, 1))
    parts = []
    for pre, first, k, source in ((e, 0, n[0], 400), (i, n[0], n[1], 100)):
        place = np.arange(pre.size) // k * sum(n) + first + np.arange(pre.size) % k
        for post, own in ((e, n[0]), (i, n[1])):
            ends = Ends((View(pre, 0, pre.size, 1),), (View(post, 0, post.size, 1),))
            blocks = np.flatnonzero(ends.block_start()[:-1] < own)
            path, local = f"{len(parts)}", np.arange(post.size) % 2048
            values = 20.0, 15, place, local, blocks
            parts.append(ProjectionRows(path, FixedIndegree(source), ends, *values))
    table = build_table(parts, bounds, 2048, seed=1, dt=0.1, unit_scale=2.0**10)
    sources = sum(x.sum() for x in reach.reaching(table))
    assert table.width.tolist() == [2, 2] and sources > 0.9 * n_parts * sum(n)
    assert source_bytes(table) < 9 * sources


def test_a_part_has_the_order_of_the_whole():
    """What a ring row receives from one segment does not depend on the cut, nor does its order."""
    whole = part(RULES["total"], **DRAWN)
    everything, mine = synapses(table_of(whole)), synapses(table_of(whole._replace(blocks=[1, 4])))
    start = whole.ends.block_start()
    kept = np.concatenate([whole.post_local[start[b] : start[b + 1]] for b in (1, 4)])
    assert np.array_equal(everything[np.isin(everything[:, 1], kept)], mine)


@pytest.mark.parametrize("name", RULES)
def test_the_room_does_not_depend_on_the_seed(name):
    for blocks in (None, [0, 2]):
        tables = [table_of(part(RULES[name], blocks=blocks, **DRAWN), seed=s) for s in range(3)]
        rooms = {(len(table.offset), len(table.weight)) for table in tables}
        assert rooms == {(table_capacity([part(RULES[name], blocks=blocks)], 0),) * 2}
        assert all(np.array_equal(table.unit, tables[0].unit) for table in tables)
        for table in tables:
            assert not table.offset[synapse_count(table) :].any()
            assert not table.weight[synapse_count(table) :].any()


def test_projections_do_not_disturb_each_other():
    """Segments of a source come in the order of the projections, each as if drawn alone."""
    views = (View(B, 0, 260, 1),), (View(A, 0, 90, 1), View(B, 0, 260, 1))
    parts = [
        part(FixedProb(0.1), path="a", **DRAWN),
        part(FixedIndegree(10), *views, path="b", weight=Normal(-9.0, 1.0), delay=4),
        part(FixedTotal(900), *views, path="c", **DRAWN),
    ]
    both = table_of(*parts)
    assert both.width.tolist() == [1, 3]
    alone = [synapses(table_of(p)) for p in parts]
    together = synapses(both)
    for source in range(N):
        expected = np.concatenate([a[a[:, 0] == source] for a in alone])
        assert np.array_equal(together[together[:, 0] == source], expected)


def test_places_may_be_pieces():
    p = part(RULES["total"], **DRAWN)
    pieces = p._replace(
        pre_local=[(90, 240, 2), (0, 90, 1)], post_local=[(290, 335, 1), (10, 160, 1)]
    )
    assert all(np.array_equal(a, b) for a, b in zip(table_of(p), table_of(pieces), strict=True))


@pytest.mark.parametrize("name", ["total", "in"])
def test_delays_and_weights_follow_their_distributions(name, seed):
    rule = FixedTotal(10**5) if name == "total" else FixedIndegree(500)
    weight, delay = Normal(87.8, 8.78, low=0.0), Normal(1.5, 0.75, low=0.05)
    found = synapses(table_of(part(rule, weight=weight, delay=delay), seed=seed))
    x = found[:, 3] / 2.0**10
    unit = np.diff(np.unique(x)).min()
    continuous = x + np.random.default_rng(seed).uniform(-0.5, 0.5, len(x)) * unit
    assert stats.kstest(continuous, "norm", (87.8, 8.78)).pvalue > P
    lattice = np.arange(1, 46)
    exact = stats.truncnorm((0.05 - 1.5) / 0.75, np.inf, 1.5, 0.75)
    p = np.diff(exact.cdf(np.concatenate([[0], (lattice[:-1] + 0.5) * 0.1, [np.inf]])))
    observed = np.bincount(np.minimum(found[:, 2], 45), minlength=46)[1:]
    assert stats.chisquare(observed, p * len(found)).pvalue > P
    assert abs(np.corrcoef(found[:, 2], x)[0, 1]) < 4 / np.sqrt(len(x))
    assert abs(np.corrcoef(found[:, 1], x)[0, 1]) < 4 / np.sqrt(len(x))
    assert abs(np.corrcoef(found[:, 1], found[:, 2])[0, 1]) < 4 / np.sqrt(len(x))


def test_delays_are_redrawn_and_rounded():
    uniform = synapses(table_of(part(FixedTotal(10**5), delay=Uniform(1.1, 1.9)), dt=1.0))[:, 2]
    assert set(uniform) == {1, 2} and abs(uniform.mean() - 1.5) < 4 * 0.5 / np.sqrt(10**5)
    redrawn = synapses(table_of(part(FixedTotal(10**5), delay=Normal(1.5, 0.75, low=0.1)), dt=0.01))
    assert redrawn[:, 2].mean() * 0.01 == pytest.approx(1.554075, abs=4 * 0.7 / np.sqrt(10**5))
    assert longest_delay(Uniform(1.1, 1.9), 1.0) == 2
    assert (longest_delay(5, 0.1), longest_delay(np.array([3, 9, 4]), 0.1)) == (5, 9)


def test_values_over_the_edges():
    weight = np.arange(700) * 1000 - 350_000
    delay = np.arange(700) % 13 + 1
    p = part(EDGES, weight=weight, delay=delay)
    table = table_of(p)
    assert (storage_of(weight), table.weight.dtype, set(table.unit.flat)) == ("given", "i4", {1})
    expected = np.stack([p.pre_local[EDGES.pre], p.post_local[EDGES.post], delay, weight], axis=1)
    assert np.array_equal(ordered(synapses(table)), ordered(expected))
    assert_sorted(table)
    part_of_it = synapses(table_of(p._replace(blocks=[2])))
    start = p.ends.block_start()
    assert np.array_equal(
        ordered(part_of_it), ordered(expected[(EDGES.post >= start[2]) & (EDGES.post < start[3])])
    )


def test_weights_over_the_edges_in_physical_units():
    weight = (np.arange(700) - 350) / 64
    for unit_scale, unit in ((2.0**20, 1), (2.0**40, 2**12)):
        table = table_of(part(EDGES, weight=weight), unit_scale=unit_scale, accumulator=np.int64)
        assert (table.weight.dtype, set(table.unit.flat)) == ("i4", {unit})
        assert sorted(synapses(table)[:, 3] / unit_scale) == weight.tolist()


def test_edges_of_one_source_keep_their_order():
    edges = Edges(np.zeros(500, int), np.arange(500) % 195)
    delay = np.arange(500)[::-1] // 100 + 1
    p = part(edges, weight=np.arange(500) + 1000, delay=delay)
    found = synapses(table_of(p))
    order = np.argsort(delay, kind="stable")
    assert np.array_equal(found[:, 3], 1000 + order)


def test_empty_tables():
    table = table_of()
    assert not table.bits.size and table.start.tolist() == [0] and table.offset.size == 0
    nobody = part(FixedProb(0.5), pre=(View(A, 0, 0, 1),))
    assert table_of(nobody).offset.size == 0
    assert len(synapses(table_of(part(FixedTotal(0), **DRAWN)))) == 0
    assert len(synapses(table_of(part(Edges([], []), **DRAWN)))) == 0


def microcircuit(scale):
    """The populations and the total numbers of five of its projections, scaled down."""
    n = [int(scale * size) for size in (20683, 5834, 21915)]
    total = {
        (0, 0): 45499806,
        (0, 1): 22323577,
        (0, 2): 20253647,
        (1, 0): 17443694,
        (2, 2): 24482849,
    }
    populations = [SimpleNamespace(size=size) for size in n]
    first = np.cumsum([0, *n])
    parts = []
    for (post, pre), k in total.items():
        weight = -351.2 if pre == 1 else 87.8
        limits = {"high": 0.0} if weight < 0 else {"low": 0.0}
        parts.append(
            ProjectionRows(
                f"{pre}_{post}",
                FixedTotal(int(k * scale**2)),
                Ends(
                    (View(populations[pre], 0, n[pre], 1),),
                    (View(populations[post], 0, n[post], 1),),
                ),
                Normal(weight, 0.1 * abs(weight), **limits),
                Normal(1.5, 0.75, low=0.05) if weight > 0 else Normal(0.75, 0.375, low=0.05),
                np.arange(first[pre], first[pre + 1]),
                np.arange(first[post], first[post + 1]),
            )
        )
    return parts, first


def test_a_microcircuit(seed):
    parts, bounds = microcircuit(0.05)
    n = int(bounds[-1])
    table = build_table(parts, bounds[None], n, seed=seed, dt=0.1, unit_scale=2.0**9)
    total = sum(p.rule.n for p in parts)
    assert synapse_count(table) == total == len(table.offset)
    assert sum(array.nbytes for array in table) / total < 6.25
    target = table.offset % n
    n_in = np.bincount(target, minlength=n)[: parts[0].ends.n_post]
    k = sum(p.rule.n for p in parts if p.path.endswith("_0"))
    e = k / len(n_in)
    assert stats.chi2(len(n_in) - 1).sf(((n_in - e) ** 2 / e).sum()) > P
    w = synapses(table, n)[:, 3] / 2.0**9
    excitatory = w[w > 0]
    assert excitatory.mean() == pytest.approx(87.8, abs=4 * 8.78 / np.sqrt(len(excitatory)))
    assert excitatory.std() == pytest.approx(8.78, rel=4 / np.sqrt(len(excitatory)))


def test_the_bits_of_a_small_table():
    """A changed draw changes every published result: this hash changes only on purpose.

    The distributions are uniform, so that no library's transcendental functions are in it.
    """
    values = {"weight": Uniform(-10.0, 30.0), "delay": Uniform(0.2, 3.0)}
    parts = [part(rule, path=name, **values) for name, rule in RULES.items()]
    digest = hashlib.sha256()
    for array in table_of(*parts, seed=1):
        digest.update(array.astype(f"<i{array.itemsize}").tobytes())
    assert digest.hexdigest() == (
        "3fb5fb4e0b1304f1de5f13fb02c753083b5029a76e451f9cccdf3a6ceb85fd98"
    )


# --- what cannot be built ------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [0.1, -0.1, Uniform(-0.1, 0.1), np.full(700, 100)])
def test_weights_with_too_few_bits(weight):
    with pytest.raises(WeightError, match=r'projection "p".*8 significant bits.*float64'):
        table_of(part(EDGES, weight=weight))
    table_of(part(EDGES, weight=0.0))


@pytest.mark.parametrize(
    "fault, error, message",
    [
        ({"weight": 1e9}, WeightError, "beyond int32"),
        ({"weight": np.full(699, 1000)}, RuleError, r"weight is an array of shape \(699,\)"),
        ({"delay": np.full(700, 1.0)}, RuleError, r"delay is an array .* float64"),
        ({"delay": np.full(700, 0)}, DelayError, "shorter than one step"),
        ({"delay": 0}, DelayError, "shorter than one step"),
    ],
)
def test_values_that_do_not_fit(fault, error, message):
    with pytest.raises(error, match=message):
        table_of(part(EDGES, **fault))


def test_arrays_need_edges():
    with pytest.raises(RuleError, match="over the edges"):
        table_of(part(FixedTotal(700), weight=np.full(700, 1000)))


def test_a_table_keeps_one_kind_of_weight():
    with pytest.raises(NetworkError, match="one kind"):
        table_of(part(FixedTotal(10)), part(FixedTotal(10), path="q", **DRAWN))


def test_the_impossible_names_its_projection():
    with pytest.raises(RuleError, match=r"^p: .*200 among 195"):
        table_of(part(FixedOutdegree(200, multapses=False)))


@pytest.mark.parametrize("field", ["pre_local", "post_local"])
@pytest.mark.parametrize("fault", [lambda x: x[1:], lambda x: x - 100, lambda x: x + 300])
def test_places_beyond_the_table(field, fault):
    p = part(FixedTotal(10))
    with pytest.raises(NetworkError, match=r'projection "p": .*_local.* places'):
        table_of(p._replace(**{field: fault(getattr(p, field))}))


def test_blocks_that_do_not_exist():
    with pytest.raises(RuleError, match="blocks"):
        table_of(part(FixedTotal(10), blocks=[0, 99]))
