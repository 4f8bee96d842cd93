"""SmallWorld, ScaleFree and PowerLaw: degrees and clustering, by closed forms and naive code."""

from random import Random
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

import distdyn as dd
from distdyn import random
from distdyn.network.ends import Ends
from distdyn.network.population import View

P = 1e-3  # fixed seeds pass or fail for good; this is how bad luck may be


def graph(rule, n, seed):
    """Sources and targets of a graph with n nodes."""
    population = SimpleNamespace(size=n)
    both = (View(population, 0, n, 1),)
    low, high = random.stream_key(seed, "connectivity", "p")
    return rule.rows(Ends(both, both), (np.uint64(low), np.uint64(high)))


def matrix(rule, n, seed):
    found = np.zeros((n, n))
    np.add.at(found, graph(rule, n, seed), 1)
    return found


def clustering(A):
    """The mean over nodes of the closed part of the pairs of their neighbours."""
    k = A.sum(axis=0)
    triangles = np.diag(A @ A @ A)
    return np.mean(triangles / np.maximum(1, k * (k - 1)))


@pytest.mark.parametrize(
    "rule", [dd.SmallWorld(8, 0.4), dd.ScaleFree(3), dd.ScaleFree(5, 1, 0.3), dd.PowerLaw(4, 0.8)]
)
def test_edges_go_both_ways_and_join_two_nodes_once(rule):
    A = matrix(rule, 200, 1)
    assert (A == A.T).all() and A.max() == 1 and not np.diag(A).any()
    assert A.sum(axis=0).min() >= 1


# --- small worlds --------------------------------------------------------------------------------


@pytest.mark.parametrize("directed", [False, True])
def test_without_rewiring_it_is_a_ring(directed):
    A = matrix(dd.SmallWorld(6, 0.0, directed=directed), 40, 1)
    away = np.abs(np.subtract.outer(np.arange(40), np.arange(40)))
    away = np.minimum(away, 40 - away)
    assert ((A == 1) == ((away > 0) & (away <= 3))).all()
    assert clustering(A) == pytest.approx(3 * (6 - 2) / (4 * (6 - 1)))


@pytest.mark.parametrize("p", [0.05, 0.3, 1.0])
def test_degrees_and_clustering_of_a_small_world(p):
    """Barrat and Weigt (2000): C(p) = C(0) (1 - p)^3 up to 1 / n; degrees from k / 2 on."""
    n, k, seeds = 1000, 10, 12
    degrees, closed, kept = [], [], []
    away = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    is_near = np.minimum(away, n - away) <= k // 2
    for seed in range(seeds):
        A = matrix(dd.SmallWorld(k, p), n, seed)
        assert A.sum() == n * k
        degrees.append(A.sum(axis=0))
        closed.append(clustering(A))
        kept.append((A * is_near).sum())
    degrees = np.array(degrees)
    assert degrees.min() >= k // 2
    assert degrees.var() == pytest.approx(k * p * (2 - p) / 2, rel=0.08)
    assert np.mean(closed) == pytest.approx(2 / 3 * (1 - p) ** 3, rel=0.03, abs=0.012)
    again = p * k / (n - 1 - k)  # some come back to near nodes
    assert np.mean(kept) / (n * k) == pytest.approx(1 - p + again, abs=0.006)
    if p == 1.0:  # k / 2 own edges, and those of others: binomial, nearly Poisson
        x = np.minimum(degrees.ravel().astype(int) - k // 2, 12)
        law = stats.poisson(k // 2)
        expected = np.append(law.pmf(np.arange(12)), law.sf(11)) * x.size
        assert stats.chisquare(np.bincount(x, minlength=13), expected).pvalue > P


def test_a_directed_small_world():
    """In-degree k; a synapse is kept with 1 - p; else its source is any other, uniformly."""
    n, k, p = 500, 8, 0.3
    far, kept = np.zeros(n), []
    for seed in range(20):
        pre, post = graph(dd.SmallWorld(k, p, directed=True), n, seed)
        assert (np.bincount(post, minlength=n) == k).all() and (pre != post).all()
        assert len(set(zip(pre, post, strict=True))) == n * k
        offset = (pre - post) % n
        is_near = np.minimum(offset, n - offset) <= k // 2
        kept.append(is_near.sum())
        far += np.bincount(offset[~is_near], minlength=n)
    again = p * 1.0 * k * p / n  # of the places that are free again
    mean = n * k * (1 - p + again)
    assert np.mean(kept) == pytest.approx(mean, abs=4.5 * np.sqrt(n * k * p * (1 - p) / 20) + 2)
    assert stats.chisquare(far[k // 2 + 1 : n - k // 2]).pvalue > P


# --- grown graphs --------------------------------------------------------------------------------


def law_of_degrees(m, k):
    """P(degree = k), k >= m, of an infinite graph: Dorogovtsev et al. (2000), PRL 85, 4633."""
    return 2 * m * (m + 1) / (k * (k + 1) * (k + 2))


@pytest.mark.parametrize("rule", [dd.ScaleFree(4), dd.PowerLaw(4, 0.0), dd.PowerLaw(4, 0.7)])
def test_degrees_are_as_the_power_minus_three(rule):
    n, m = 40_000, 4
    pre, post = graph(rule, n, 3)
    assert len(pre) == 2 * (m + m * (n - m - 1))
    degree = np.bincount(post, minlength=n)
    k = np.arange(m, 60)
    observed = np.append(np.bincount(degree, minlength=60)[m:60], (degree >= 60).sum())
    expected = np.append(law_of_degrees(m, k), 1 - law_of_degrees(m, k).sum()) * n
    # degrees of one graph are not independent: its triangles make them a little more uneven
    assert stats.chi2(len(k)).sf(((observed - expected) ** 2 / expected).sum() / 1.3) > P
    slope, *_ = stats.linregress(
        np.log(np.arange(10, 300)), np.log([(degree >= k).mean() for k in range(10, 300)])
    )
    assert slope == pytest.approx(-2.0, abs=0.12)  # of the tail's distribution function


def test_the_oldest_nodes_have_the_most_edges():
    """Degree m sqrt(n / i) of node i; that of node 0 as the scale of receptors expects it."""
    n, m, rule = 4000, 3, dd.ScaleFree(3)
    degrees = np.array([np.bincount(graph(rule, n, s)[1], minlength=n) for s in range(60)])
    for i in (50, 200, 1000):
        around = degrees[:, i - i // 4 : i + i // 4]
        expected = (m * np.sqrt(n / np.arange(i - i // 4, i + i // 4))).mean()
        assert around.mean() == pytest.approx(expected, rel=0.06)
    population = SimpleNamespace(size=n)
    both = (View(population, 0, n, 1),)
    mean, sd = rule.in_degree(Ends(both, both))
    hub = degrees[:, 0]
    assert hub.mean() <= mean <= 1.4 * hub.mean()
    assert 0.7 * hub.std() <= sd <= 1.5 * hub.std()
    assert degrees.max() < mean + 8 * sd


def test_of_a_directed_graph_the_older_is_the_target():
    both_ways, one_way = (
        graph(dd.ScaleFree(3, directed=directed), 300, 1) for directed in (False, True)
    )
    assert (one_way[0] > one_way[1]).all() and 2 * len(one_way[0]) == len(both_ways[0])
    edges = set(zip(*one_way, strict=True))
    assert edges | {(b, a) for a, b in edges} == set(zip(*both_ways, strict=True))
    assert (np.bincount(one_way[0], minlength=300)[4:] == 3).all()


def test_the_dual_graph_mixes_two_numbers_of_edges():
    n, p = 2000, 0.3
    brought = []
    for seed in range(20):
        pre, _ = graph(dd.ScaleFree(1, 5, p, directed=True), n, seed)
        brought.append(np.bincount(pre, minlength=n)[6:])
    assert set(np.unique(brought)) == {1, 5}
    ones = (np.array(brought) == 1).sum(axis=1)
    assert stats.kstest(stats.binom(n - 6, p).cdf(ones), "uniform").pvalue > P


def holme_kim(n, m, p, seed):
    """The graph of Holme and Kim, naively: lists of neighbours and of the ends of all edges."""
    draw, joined = Random(seed), [set() for _ in range(n)]
    ends = []

    def join(a, b):
        joined[a].add(b)
        joined[b].add(a)

    for v in range(1, m + 1):
        join(0, v)
        ends += [0, v]
    for v in range(m + 1, n):
        new, chosen = [], None
        while len(new) < m:
            target, near = None, []
            if new and draw.random() < p:
                near = sorted(joined[chosen] - set(new))
            if near:
                target = draw.choice(near)
            else:
                while target is None or target in new:
                    target = draw.choice(ends)
                chosen = target
            new.append(target)
        for target in new:
            join(v, target)
            ends += [v, target]
    A = np.zeros((n, n))
    for a, others in enumerate(joined):
        A[a, list(others)] = 1
    return A


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
def test_triangles_of_a_power_law_graph(p):
    """Clustering, triangles and squared degrees, against graphs that naive code grows."""
    n, m, seeds = 250, 3, 25
    ours = [matrix(dd.PowerLaw(m, p), n, seed) for seed in range(seeds)]
    theirs = [holme_kim(n, m, p, seed) for seed in range(seeds)]
    for measure in (
        clustering,
        lambda A: np.trace(A @ A @ A) / 6,
        lambda A: np.mean(A.sum(axis=0) ** 2.0),
        lambda A: A.sum(axis=0).max(),
    ):
        a, b = np.array([measure(A) for A in ours]), np.array([measure(A) for A in theirs])
        assert abs(stats.ttest_ind(a, b, equal_var=False).statistic) < 3.7
    more = np.mean([clustering(A) for A in ours])
    assert {0.0: more < 0.12, 0.5: 0.25 < more < 0.45, 1.0: more > 0.5}[p]


def test_growing_is_quick():
    """A million edges: what each part of a network replays."""
    assert len(graph(dd.ScaleFree(10), 100_000, 1)[0]) == 2 * (10 + 10 * (100_000 - 11))
