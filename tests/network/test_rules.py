"""Rules: how many synapses between whom, who may not, and the same rows whoever asks."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from distdyn import random
from distdyn.errors import RuleError
from distdyn.network.edges import Edges
from distdyn.network.ends import Ends
from distdyn.network.population import View
from distdyn.network.rule import Rule
from distdyn.network.rules import (
    AllToAll,
    FixedIndegree,
    FixedOutdegree,
    FixedProb,
    FixedTotal,
    OneToOne,
)

P = 1e-3  # fixed seeds pass or fail for good; this is how bad luck may be
N = 1000

RULES = {
    "all": AllToAll(),
    "all, no autapses": AllToAll(autapses=False),
    "prob": FixedProb(0.1),
    "prob, no autapses": FixedProb(0.9, autapses=False),
    "in": FixedIndegree(40),
    "in, no multapses": FixedIndegree(40, multapses=False),
    "in, simple": FixedIndegree(70, autapses=False, multapses=False),
    "in, no autapses": FixedIndegree(40, autapses=False),
    "out": FixedOutdegree(40),
    "out, no multapses": FixedOutdegree(70, multapses=False),
    "out, simple": FixedOutdegree(40, autapses=False, multapses=False),
    "out, no autapses": FixedOutdegree(40, autapses=False),
    "total": FixedTotal(5000),
    "total, no multapses": FixedTotal(5000, multapses=False),
    "total, simple": FixedTotal(5000, autapses=False, multapses=False),
    "total, no autapses": FixedTotal(5000, autapses=False),
}


def ends(*views):
    """Ends from (pre, post), each a list of (population, start, stop, step)."""
    return Ends(*(tuple(View(*v) for v in end) for end in views))


def recurrent(n):
    population = SimpleNamespace(size=n)
    return ends([(population, 0, n, 1)], [(population, 0, n, 1)])


def sized(n_pre, n_post, n_self):
    """Ends of so many neurons, the last of the one being the first of the other."""
    both = SimpleNamespace(size=n_pre + n_post - n_self)
    return ends([(both, 0, n_pre, 1)], [(both, n_pre - n_self, n_pre + n_post - n_self, 1)])


def mixed():
    """120 pre and 90 post neurons of three populations, in tuples and slices with steps."""
    a, b, c = (SimpleNamespace(size=n) for n in (100, 300, 50))
    return ends(
        [(a, 10, 80, 1), (b, 0, 300, 10), (c, 5, 25, 1)],
        [(b, 0, 250, 5), (a, 60, 100, 1), (c, 0, 0, 1)],
    )


def key(seed, path="p"):
    low, high = random.stream_key(seed, "connectivity", path)
    return np.uint64(low), np.uint64(high)


def rows(rule, ends, seed=1, **asked):
    return rule.rows(ends, key(seed), **asked)


def own_rows(rule, pre, post):
    """The row number of each synapse."""
    return post if isinstance(rule, FixedIndegree | OneToOne) else pre


# --- the counts of W10 ---------------------------------------------------------------------------


def spread_p(counts, n_draws, correction=1.0):
    """Chi-squared of counts that expect to be equal; `correction` is that of finite sampling."""
    expected = n_draws / len(counts)
    statistic = ((counts - expected) ** 2).sum() / expected / correction
    return stats.chi2(len(counts) - 1).sf(statistic)


@pytest.mark.parametrize(
    "rule, correction_in, correction_out",
    [
        (FixedOutdegree(100), 1.0, None),
        (FixedOutdegree(100, multapses=False), (1 - 0.1) * N / (N - 1), None),
        (FixedIndegree(100), None, 1.0),
        (FixedIndegree(100, multapses=False), None, (1 - 0.1) * N / (N - 1)),
        (FixedTotal(10**5), 1.0, 1.0),
        (FixedTotal(10**5, multapses=False), 1 - 0.1, 1 - 0.1),
    ],
    ids=str,
)
def test_degrees_over_50_seeds(rule, correction_in, correction_out):
    """Two levels: chi-squared of the degrees of each seed, Kolmogorov-Smirnov over the seeds."""
    both, p_in, p_out = recurrent(N), [], []
    for seed in range(50):
        pre, post = rows(rule, both, seed)
        n_in, n_out = np.bincount(post, minlength=N), np.bincount(pre, minlength=N)
        assert len(pre) == 10**5
        if correction_in is None:
            assert (n_in == 100).all()
        else:
            p_in.append(spread_p(n_in, 10**5, correction_in))
        if correction_out is None:
            assert (n_out == 100).all()
        else:
            p_out.append(spread_p(n_out, 10**5, correction_out))
        if not rule.multapses:
            assert len(np.unique(pre * N + post)) == 10**5
    for p in filter(None, (p_in, p_out)):
        assert stats.kstest(p, "uniform").pvalue > P


@pytest.mark.parametrize("autapses", [True, False])
def test_bernoulli_pairs_over_50_seeds(autapses):
    rule, both = FixedProb(0.1, autapses=autapses), recurrent(N)
    pairs, n_others = N * (N - 1 + autapses), N - 1 + autapses
    totals, selves, p_in, p_out = [], [], [], []
    for seed in range(50):
        pre, post = rows(rule, both, seed)
        totals.append(len(pre))
        selves.append((pre == post).sum())
        assert len(np.unique(pre * N + post)) == len(pre)
        for place, p in ((post, p_in), (pre, p_out)):
            degree = np.bincount(place, minlength=N)
            binomial = stats.binom(n_others, 0.1)
            edges = binomial.ppf(np.linspace(0, 1, 26)[1:-1])
            expected = np.diff(np.concatenate([[0], binomial.cdf(edges), [1]])) * N
            observed = np.bincount(np.searchsorted(edges, degree), minlength=25)
            p.append(stats.chisquare(observed, expected, sum_check=False).pvalue)
    assert np.abs(np.array(totals) - 0.1 * pairs).max() < 4 * 300
    assert stats.kstest(stats.binom(pairs, 0.1).cdf(totals), "uniform").pvalue > P
    assert stats.kstest(p_in, "uniform").pvalue > P and stats.kstest(p_out, "uniform").pvalue > P
    assert abs(np.mean(selves) - 100 * autapses) < 4 * 9.5 / np.sqrt(50) * autapses + 1e-9


def test_distinct_sources_with_multapses():
    post_sources = [[] for _ in range(N)]
    for source, target in zip(*rows(FixedIndegree(100), recurrent(N)), strict=True):
        post_sources[target].append(source)
    distinct = [len(set(sources)) for sources in post_sources]
    pairs_repeated = sum(n == 100 for n in distinct)
    assert np.mean(distinct) == pytest.approx(95.208, abs=4 * 2.1 / np.sqrt(N))
    assert pairs_repeated / N == pytest.approx(0.00596, abs=4 * np.sqrt(0.00596 / N))


def test_empty_cells_of_a_fixed_total():
    empty = []
    for seed in range(20):
        pre, post = rows(FixedTotal(10**4), recurrent(100), seed)
        empty.append(10**4 - len(np.unique(pre * 100 + post)))
    assert np.mean(empty) == pytest.approx(3678.6, abs=4 * 31.2 / np.sqrt(20))


@pytest.mark.parametrize("name", [name for name in RULES if "all" not in name])
def test_every_allowed_pair_is_alike(name):
    """36 pairs over several blocks; rules without multapses take one at most once."""
    scale = {"in": 2, "ou": 2, "to": 9, "pr": None}[name[:2]]
    rule = RULES[name]
    if scale:
        rule = type(rule)(scale, autapses=rule.autapses, multapses=rule.multapses)
    population = SimpleNamespace(size=64)
    both = ends([(population, 0, 60, 10)], [(population, 0, 60, 10)])
    seen, n_seeds = np.zeros((6, 6)), 800
    for seed in range(n_seeds):
        pre, post = rows(rule, both, seed)
        np.add.at(seen, (pre, post), 1)
        if not rule.multapses:
            assert len(set(zip(pre, post, strict=True))) == len(pre)
    is_open = np.ones((6, 6), bool) if rule.autapses else ~np.eye(6, dtype=bool)
    assert not seen[~is_open].any()
    mean = rule.expected(both) / is_open.sum()
    sd = np.sqrt(mean * (1 - mean if not rule.multapses else 1) / n_seeds)
    z = (seen[is_open] / n_seeds - mean) / sd
    assert np.abs(z).max() < 4.2  # of 36 normal numbers: once in a thousand


def test_all_pairs_and_pairs_of_equals():
    everyone = mixed()
    for autapses in (True, False):
        pre, post = rows(AllToAll(autapses=autapses), everyone)
        is_self = everyone.self_of_pre()[pre] == post
        assert len(pre) == everyone.n_pre * everyone.n_post - (0 if autapses else everyone.n_self)
        assert len(set(zip(pre, post, strict=True))) == len(pre)
        assert is_self.sum() == (everyone.n_self if autapses else 0)
    pre, post = rows(OneToOne(), recurrent(50))
    assert pre.tolist() == post.tolist() == list(range(50))
    pre, post = rows(Edges([3, 1, 3], np.array([0, 2, 0], np.uint8)), recurrent(50))
    assert (pre.tolist(), post.tolist()) == ([3, 1, 3], [0, 2, 0])


# --- the promises of every rule ------------------------------------------------------------------


@pytest.mark.parametrize("name", [*RULES, "edges"])
def test_rows_do_not_depend_on_who_asks(name, seed):
    everyone = mixed()
    rule = RULES.get(name) or Edges(np.arange(200) % 120, np.arange(200)[::-1] % 90)
    pre, post = rows(rule, everyone, seed)
    row = np.arange(200) if name == "edges" else own_rows(rule, pre, post)
    start = everyone.block_start()
    block = np.searchsorted(start, post, side="right") - 1
    n_rows = row.max() + 1
    for some_rows in ([0], [n_rows - 1], [5, 6, 7, 33, 34, 80], np.arange(n_rows), []):
        for some_blocks in ([0], [len(start) - 2], [1, 2, 4], np.arange(len(start) - 1), []):
            is_asked = np.isin(row, some_rows) & np.isin(block, some_blocks)
            found = rows(rule, everyone, seed, rows=some_rows, blocks=some_blocks)
            assert np.array_equal(found, (pre[is_asked], post[is_asked]))


@pytest.mark.parametrize("name", RULES)
def test_another_seed_or_path_is_another_draw(name):
    if name.startswith("all"):
        return
    everyone = mixed()
    first = set(zip(*RULES[name].rows(everyone, key(1)), strict=True))
    for other in (key(2), key(1, "q")):
        assert set(zip(*RULES[name].rows(everyone, other), strict=True)) != first


@pytest.mark.parametrize("name", RULES)
def test_autapses_are_the_same_neuron(name, seed):
    everyone, rule = mixed(), RULES[name]
    pre, post = rows(rule, everyone, seed)
    n_self = (everyone.self_of_pre()[pre] == post).sum()
    assert (n_self > 0) == rule.autapses
    if not rule.multapses:
        assert len(set(zip(pre, post, strict=True))) == len(pre)


@pytest.mark.parametrize("name", RULES)
def test_the_expected_number_and_the_bound(name):
    rule, everyone = RULES[name], mixed()
    rule.check(everyone, "test")
    n = np.array([len(rows(rule, everyone, seed)[0]) for seed in range(20)])
    assert n.mean() == pytest.approx(rule.expected(everyone), rel=0.02)
    assert n.max() <= rule.bound(everyone)
    if not isinstance(rule, FixedProb):
        assert (n == rule.bound(everyone)).all()
    n_asked = int(np.diff(everyone.block_start())[:3].sum())
    part = [len(rows(rule, everyone, seed, blocks=[0, 1, 2])[0]) for seed in range(20)]
    assert max(part) <= rule.bound(everyone, (everyone.n_pre, n_asked)) <= rule.bound(everyone)


@pytest.mark.parametrize("n_pre, n_post", [(50, 50), (50, 20), (20, 50)])
@pytest.mark.parametrize("name", RULES)
def test_the_in_degree(name, n_pre, n_post):
    """Mean and sd of one post neuron over seeds: one of those that expect most."""
    rule = RULES[name]
    if hasattr(rule, "n"):
        n = 100 if isinstance(rule, FixedTotal) else 7
        rule = type(rule)(n, autapses=rule.autapses, multapses=rule.multapses)
    population = SimpleNamespace(size=50)
    both = ends([(population, 0, n_pre, 1)], [(population, 0, n_post, 1)])
    mean, sd = rule.in_degree(both)
    x = [np.bincount(rows(rule, both, s)[1], minlength=n_post)[-1] for s in range(400)]
    assert np.mean(x) == pytest.approx(mean, abs=4.5 * sd / 20 + 1e-9)
    assert np.std(x) == pytest.approx(sd, rel=0.2, abs=1e-9)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("n_pre, n_post", [(0, 50), (50, 0), (0, 0)])
def test_ends_without_neurons(name, n_pre, n_post):
    a, b = SimpleNamespace(size=50), SimpleNamespace(size=50)
    nobody = ends([(a, 0, n_pre, 1)], [(b, 0, n_post, 1)])
    rule = RULES[name]
    try:
        rule.check(nobody, "test")
    except RuleError:
        assert rule.expected(nobody) > 0
    else:
        assert rule.expected(nobody) == 0 == rule.bound(nobody, (n_pre, n_post))
        assert rule.in_degree(nobody)[0] in (0, rule.n if "in" in name else 0)
        assert [len(x) for x in rows(rule, nobody)] == [0, 0]


# --- requests that cannot be met -----------------------------------------------------------------


@pytest.mark.parametrize(
    "rule, sizes, message",
    [
        (FixedIndegree(11, multapses=False), (10, 5, 0), "11 among 10"),
        (FixedIndegree(10, multapses=False, autapses=False), (10, 10, 10), "10 among 9"),
        (FixedIndegree(1), (0, 5, 0), "1 among 0"),
        (FixedOutdegree(6, multapses=False), (10, 5, 0), "6 among 5"),
        (FixedOutdegree(1, autapses=False), (1, 1, 1), "1 among 0"),
        (FixedTotal(51, multapses=False), (10, 5, 0), "51 among 50"),
        (FixedTotal(50, multapses=False, autapses=False), (10, 5, 5), "50 among 45"),
        (FixedTotal(1), (0, 5, 0), "1 among 0"),
        (FixedTotal(1), (2**31, 2**31, 0), "2\\^62"),
        (OneToOne(), (10, 5, 0), "10 and 5"),
        (Edges([0, 10], [0, 0]), (10, 5, 0), r"pre\[1\] = 10"),
        (Edges([0, 9], [-1, 0]), (10, 5, 0), r"post\[0\] = -1"),
    ],
    ids=str,
)
def test_the_impossible_is_refused_at_once(rule, sizes, message):
    with pytest.raises(RuleError, match=f"^here: .*{message}.*Use|Split"):
        rule.check(sized(*sizes), "here")


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan"), float("inf"), True, "0.1", None, 1j])
def test_what_is_not_a_probability(p):
    with pytest.raises(RuleError, match=r"not a probability.*Give 0 <= p <= 1"):
        FixedProb(p)


@pytest.mark.parametrize("rule", [FixedIndegree, FixedOutdegree, FixedTotal])
@pytest.mark.parametrize("n", [-1, 1.5, float("nan"), float("inf"), True, "3", None, 2**62])
def test_what_is_not_a_number_of_synapses(rule, n):
    with pytest.raises(RuleError, match="not a number of synapses"):
        rule(n)
    assert rule(1e6).n == 10**6 and rule(np.int32(7)).n == 7


@pytest.mark.parametrize("pre", [[0.0, 1.0], [[0, 1]], [True, False], ["a", "b"], 3])
def test_what_is_not_a_list_of_indices(pre):
    with pytest.raises(RuleError, match="not a list of indices"):
        Edges(pre, [0, 1])


def test_edges_are_as_many_sources_as_targets():
    with pytest.raises(RuleError, match="3 indices, post 2"):
        Edges([0, 1, 2], [0, 1])
    assert repr(Edges([0, 1], [0, 1])) == "Edges(<2 pairs>)"


def test_extreme_probabilities():
    both = recurrent(100)
    assert len(rows(FixedProb(0), both)[0]) == 0
    assert len(rows(FixedProb(1), both)[0]) == 10**4
    n = sum(len(rows(FixedProb(1e-4), both, seed)[0]) for seed in range(200))
    assert abs(n - 200) < 4 * np.sqrt(200)


def test_rules_are_values():
    assert FixedProb(0.1) == FixedProb(0.1) and hash(FixedTotal(3)) == hash(FixedTotal(3))
    assert FixedIndegree(3) != FixedIndegree(3, autapses=False)
    assert all(isinstance(rule, Rule) for rule in RULES.values())
