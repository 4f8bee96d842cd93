"""The table of synapses: the rules' rows, sorted by delay, the same however they are drawn."""

import hashlib
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from distdyn import random
from distdyn.errors import DelayError, NetworkError, RuleError, WeightError
from distdyn.network.distributions import Normal, Uniform
from distdyn.network.ends import Ends
from distdyn.network.population import View
from distdyn.network.rules import (
    AllToAll,
    Edges,
    FixedIndegree,
    FixedOutdegree,
    FixedProb,
    FixedTotal,
    OneToOne,
)
from distdyn.parallel import drawing
from distdyn.parallel.build import build_table, longest_delay, storage_of
from distdyn.parallel.drawing import ProjectionRows

P = 1e-3  # fixed seeds pass or fail for good; this is how bad luck may be
A, B = SimpleNamespace(size=90), SimpleNamespace(size=260)
N = A.size + B.size  # sources are A then B; the ring holds B then A
SOURCE, TARGET = {id(A): 0, id(B): A.size}, {id(A): B.size, id(B): 0}
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
    return build_table(list(parts), N, N, seed=seed, dt=dt, unit_scale=unit_scale, **options)


def synapses(table):
    """One row per synapse, in the order of the table: source, target, delay, contribution."""
    n = np.diff(table.start)
    source = np.repeat(np.repeat(np.arange(N), np.diff(table.segments)), n)
    end = table.start[-1]
    delay, target = np.divmod(table.offset[:end].astype(np.int64), N)
    weight = table.weight[:end].astype(np.int64) if table.weight.size else 1
    return np.stack([source, target, delay, weight * np.repeat(table.unit, n)], axis=1)


def ordered(rows):
    return rows[np.lexsort(rows.T)]


def assert_sorted(table):
    delay = table.offset // N
    inside = np.ones(len(delay), bool)
    inside[table.start[table.start < len(delay)]] = False
    assert (np.diff(delay.astype(np.int64))[inside[1:]] >= 0)[: table.start[-1] - 1].all()


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
    assert table.segments.shape == (N + 1,) and table.segments[-1] == 165 == len(table.unit)
    assert all(array.ctypes.data % 64 == 0 for array in table)
    assert all(array.flags.c_contiguous for array in table)
    wide = table_of(part(RULES["total"], delay=2**25), accumulator=np.int64)
    assert (wide.offset.dtype, wide.unit.dtype, wide.weight.size) == ("u8", "i8", 0)
    assert (wide.offset // np.uint64(N) == 2**25).all()


@pytest.mark.parametrize("name", RULES)
def test_any_number_of_threads_draws_the_same(name, monkeypatch):
    one = table_of(part(RULES[name], **DRAWN), threads=1)
    monkeypatch.setattr(drawing, "TASK_ROWS", 16)
    monkeypatch.setattr(drawing, "TASK_PAIRS", 100)
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
    assert [len(table.unit) for table in tables] == [75, 90, 0]
    union = np.concatenate([synapses(table) for table in tables])
    assert np.array_equal(ordered(union), ordered(synapses(table_of(whole))))
    for table in tables:
        assert_sorted(table)


def test_a_part_has_the_order_of_the_whole():
    """What a ring row receives from one segment does not depend on the cut, nor does its order."""
    whole = part(RULES["total"], **DRAWN)
    everything, mine = synapses(table_of(whole)), synapses(table_of(whole._replace(blocks=[1, 4])))
    start = whole.ends.block_start()
    kept = np.concatenate([whole.post_local[start[b] : start[b + 1]] for b in (1, 4)])
    assert np.array_equal(everything[np.isin(everything[:, 1], kept)], mine)


@pytest.mark.parametrize("name", RULES)
def test_shapes_do_not_depend_on_the_seed(name):
    for blocks in (None, [0, 2]):
        tables = [table_of(part(RULES[name], blocks=blocks, **DRAWN), seed=s) for s in range(3)]
        assert len({tuple(array.shape for array in table) for table in tables}) == 1
        for table in tables:
            assert not table.offset[table.start[-1] :].any()
            assert not table.weight[table.start[-1] :].any()


def test_projections_do_not_disturb_each_other():
    """Segments of a source come in the order of the projections, each as if drawn alone."""
    views = (View(B, 0, 260, 1),), (View(A, 0, 90, 1), View(B, 0, 260, 1))
    parts = [
        part(FixedProb(0.1), path="a", **DRAWN),
        part(FixedIndegree(10), *views, path="b", weight=Normal(-9.0, 1.0), delay=4),
        part(FixedTotal(900), *views, path="c", **DRAWN),
    ]
    both = table_of(*parts)
    n_segments = np.bincount(np.concatenate([p.pre_local for p in parts]), minlength=N)
    assert np.array_equal(np.diff(both.segments), n_segments)
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
    assert (storage_of(weight), table.weight.dtype, set(table.unit)) == ("given", "i4", {1})
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
        assert (table.weight.dtype, set(table.unit)) == ("i4", {unit})
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
    assert not table.segments.any() and table.start.tolist() == [0] and table.offset.size == 0
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
    return parts, int(first[-1])


def test_a_microcircuit(seed):
    parts, n = microcircuit(0.05)
    table = build_table(parts, n, n, seed=seed, dt=0.1, unit_scale=2.0**9)
    total = sum(p.rule.n for p in parts)
    assert table.start[-1] == total == len(table.offset)
    assert sum(array.nbytes for array in table) / total < 6.5
    target = table.offset % n
    n_in = np.bincount(target, minlength=n)[: parts[0].ends.n_post]
    k = sum(p.rule.n for p in parts if p.path.endswith("_0"))
    e = k / len(n_in)
    assert stats.chi2(len(n_in) - 1).sf(((n_in - e) ** 2 / e).sum()) > P
    w = table.weight * np.repeat(table.unit, np.diff(table.start)) / 2.0**9
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
        "f498060244fc9db984bd89571a8d8f2cbbe5ee5fb4239484c7f8a80ef8511ff2"
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
