"""The samplers of connectivity against their distributions; draws do not depend on who asks."""

import numpy as np
import pytest
from scipy import stats

from distdyn import random
from distdyn.ops import draw

P = 1e-3  # a fixed seed passes or fails for good; this is how bad luck may be


def stream(seed: int) -> np.ndarray:
    key = random.stream_key(seed, "test", "")
    return draw.new_stream((np.uint64(key[0]), np.uint64(key[1])))


def sample(seed: int, n: int, sampler, *arguments) -> np.ndarray:
    """Draws from n streams, one each, as rules use them."""
    s, out = stream(seed), np.empty(n, np.int64)
    for i in range(n):
        draw.start_stream(s, i, 0, 0)
        out[i] = sampler(s, *arguments)
    return out


def p_value(x: np.ndarray, distribution) -> float:
    """Chi-squared over bins of at least 10 expected draws."""
    edges = np.unique(distribution.ppf(np.linspace(0, 1, min(60, len(x) // 20) + 1)[1:-1]))
    expected = np.diff(np.concatenate([[0], distribution.cdf(edges), [1]])) * len(x)
    observed = np.bincount(np.searchsorted(edges, x), minlength=len(expected))
    is_kept = expected > 1e-9 * len(x)
    assert not observed[~is_kept].any()
    return stats.chisquare(observed[is_kept], expected[is_kept], sum_check=False).pvalue


def test_philox_equals_the_reference():
    word = np.random.default_rng(1).integers(0, 2**32, (6, 200), np.uint64)
    with np.errstate(over="ignore"):
        expected = random.philox(tuple(word[:4].astype("u4")), tuple(word[4:].astype("u4")))
    ours = [draw.philox(*words) for words in word.T]
    assert np.array_equal(np.array(ours, np.uint32).T, np.array(expected))


def test_words_of_a_stream_are_not_repeated(seed):
    s = stream(seed)
    words = set()
    for row in range(20):
        for purpose in range(5):
            draw.start_stream(s, row, 7, purpose)
            words.update(draw.next_word(s) for _ in range(20))
    assert len(words) == 20 * 5 * 20


@pytest.mark.parametrize(
    "n", [1, 2, 31, 63, 64, 65, 128, 200, 1000, 4096, 4097, 5001, 10**6, 2**50]
)
def test_heads(n, seed):
    x = sample(seed, 4000, draw.heads, n)
    if n < 2**50:
        assert p_value(x, stats.binom(n, 0.5)) > P
    else:
        z = (x - n // 2) / (np.sqrt(n) / 2)
        assert stats.kstest(z, "norm").pvalue > P


def test_successive_heads_are_independent(seed):
    s = stream(seed)
    draw.start_stream(s, 0, 0, 0)
    x = np.array([draw.heads(s, n) for n in [3, 60, 7, 100, 1] * 2000]).reshape(-1, 5)
    for i, n in enumerate([3, 60, 7, 100, 1]):
        assert p_value(x[:, i], stats.binom(n, 0.5)) > P
    assert np.abs(np.corrcoef(x.T) - np.eye(5)).max() < 4 / np.sqrt(2000)


@pytest.mark.parametrize(
    "n, a, b",
    [
        *[(1, 1, 3), (10, 1, 2), (10, 2, 3), (50, 1, 512), (512, 52, 512), (512, 511, 512)],
        *[(1024, round(0.1 * 2**62), 2**62), (5000, 3, 7), (10**6, 1, 10**5), (10**8, 41, 100)],
    ],
)
def test_binomial(n, a, b, seed):
    assert p_value(sample(seed, 4000, draw.binomial, n, a, b), stats.binom(n, a / b)) > P


def test_binomial_at_its_ends(seed):
    assert set(sample(seed, 9, draw.binomial, 77, 0, 5)) == {0}
    assert set(sample(seed, 9, draw.binomial, 77, 5, 5)) == {77}
    assert set(sample(seed, 9, draw.binomial, 0, 2, 5)) == {0}
    assert set(sample(seed, 9, draw.binomial, 2**61, 1, 1)) == {2**61}


@pytest.mark.parametrize(
    "k, a, n",
    [
        *[(1, 3, 10), (15, 9, 20), (20, 512, 1024), (109, 512, 1024), (900, 512, 1024)],
        *[(300, 50, 400), (3, 70000, 140001), (5000, 16384, 32768), (10**5, 10**6, 3 * 10**6)],
    ],
)
def test_hypergeometric(k, a, n, seed):
    n_draws = 4000 if n < 10**5 else 1500
    assert (
        p_value(sample(seed, n_draws, draw.hypergeometric, k, a, n), stats.hypergeom(n, a, k)) > P
    )


def test_hypergeometric_at_its_ends(seed):
    assert set(sample(seed, 9, draw.hypergeometric, 12, 5, 12)) == {5}
    assert set(sample(seed, 9, draw.hypergeometric, 0, 5, 12)) == {0}
    assert set(sample(seed, 9, draw.hypergeometric, 7, 0, 12)) == {0}
    assert set(sample(seed, 9, draw.hypergeometric, 7, 12, 12)) == {7}


@pytest.mark.parametrize("count, n", [(1, 5), (7, 50), (25, 50), (44, 50), (50, 50), (100, 1024)])
def test_distinct_numbers_are_ascending_and_uniform(count, n, seed):
    s, bitmap, out = stream(seed), np.empty(16, np.uint64), np.empty(count, np.int64)
    hits, n_draws = np.zeros(n), 2000
    for i in range(n_draws):
        draw.start_stream(s, i, 0, 1)
        draw.distinct(s, count, n, bitmap, out, 0)
        assert (np.diff(out) > 0).all() and 0 <= out[0] and out[-1] < n
        hits[out] += 1
    if count < n:  # simple random samples: the variance of a hit is that without replacement
        scale = n_draws * count / n * (1 - count / n) * n / (n - 1)
        assert stats.chi2(n - 1).sf(((hits - n_draws * count / n) ** 2).sum() / scale) > P


def test_distinct_numbers_of_many(seed):
    n, count = 10**6, 5000
    s, bitmap, out = stream(seed), np.empty(n // 64 + 1, np.uint64), np.empty(count, np.int64)
    draw.start_stream(s, 0, 0, 1)
    draw.distinct(s, count, n, bitmap, out, 0)
    assert (np.diff(out) > 0).all()
    assert stats.kstest(out / n, "uniform").pvalue > P


def split(seed, total, leaves, places, multapses, excluded=()):
    out = np.empty(len(leaves), np.int64)
    cum = np.concatenate([[0], np.cumsum(places)])
    excluded = np.array(excluded, np.int64)
    leaves = np.asarray(leaves, np.int64)
    draw.split(
        stream(seed), total, leaves, len(places), cum, 0, excluded, multapses, 5, 3, out
    )  # fmt: skip
    return out


@pytest.mark.parametrize("multapses", [True, False])
def test_a_split_keeps_the_total_whoever_asks(multapses, seed):
    places = np.random.default_rng(2).integers(0, 40, 77)
    whole = split(seed, 500, np.arange(77), places, multapses)
    assert whole.sum() == 500 and not whole[places == 0].any()
    if not multapses:
        assert (whole <= places).all()
    for leaves in ([0], [76], [3, 4, 5], [0, 17, 18, 64, 76], np.arange(20, 50), []):
        assert np.array_equal(split(seed, 500, leaves, places, multapses), whole[list(leaves)])


@pytest.mark.parametrize("multapses", [True, False])
def test_a_split_is_in_proportion_to_the_places(multapses, seed):
    places, excluded = np.array([10, 1, 25, 4, 30]), [2]
    open = places - np.isin(np.arange(5), excluded)
    x = np.array(
        [split(seed + i, 30, np.arange(5), places, multapses, excluded) for i in range(3000)]
    )
    for leaf in range(5):
        exact = (
            stats.binom(30, open[leaf] / open.sum())
            if multapses
            else stats.hypergeom(open.sum(), open[leaf], 30)
        )
        assert p_value(x[:, leaf], exact) > P


@pytest.mark.parametrize(
    ("size", "count", "own"),
    [(256, 25, -1), (64, 30, 7), (64, 60, 0), (16, 1, 15), (9, 9, -1), (9, 8, 3), (70_000, 40, 5)],
)
def test_targets_of_many_cells_are_those_of_one_stream_each(size, count, own):
    """However many words are drawn in advance, and in what order the targets are listed."""
    key = np.uint64(5), np.uint64(9)
    scratch = draw.new_scratch(key, 2 * count, 2, size)
    for row in range(100):
        for c, block in enumerate((3, 8)):
            draw.put_cell(scratch[0], c, block, 100, 100 + size, own + 100 * (own >= 0), count, 0)
        expected = np.empty((2, count), np.int64)
        for c, block in enumerate((3, 8)):
            s, bitmap = draw.new_stream(key), np.empty(size // 64 + 1, np.uint64)
            draw.start_stream(s, row, block, draw.TARGETS)
            draw.distinct(s, count, size - (own >= 0), bitmap, expected[c], 0)
        expected += (expected >= own) & (own >= 0)
        for in_order in (True, False):
            n = draw.draw_cells(key, row, 2, False, False, in_order, scratch)
            assert n == 2 * count
            found = scratch[5][:n].reshape(2, count)
            np.testing.assert_array_equal(found if in_order else np.sort(found), expected)
