"""Delays and weights from random words: the tables against the distributions they stand for."""

import numpy as np
import pytest
from scipy import stats

from distdyn.errors import DelayError, WeightError
from distdyn.network.distributions import Exponential, LogNormal, Normal, Uniform
from distdyn.ops import draw, values

WORDS = 2.0**32


def delay_probabilities(delays: values.Delays) -> tuple[np.ndarray, np.ndarray]:
    steps = delays.first + np.arange(len(delays.threshold))
    return steps, np.diff(delays.threshold.astype(float), prepend=0) / WORDS


def test_delays_redraw_and_do_not_clip():
    steps, p = delay_probabilities(values.drawn_delays(Normal(1.5, 0.75, low=0.1), 0.001))
    assert (steps * p).sum() * 0.001 == pytest.approx(1.554075, abs=2e-6)  # clipped: 1.509037
    assert steps[0] == 100


def test_delays_round_to_the_nearest_step():
    steps, p = delay_probabilities(values.drawn_delays(Uniform(1.1, 1.9), 1.0))
    assert steps.tolist() == [1, 2]
    assert p == pytest.approx([0.5, 0.5], abs=1e-9)


def test_delays_are_at_least_one_step():
    steps, p = delay_probabilities(values.drawn_delays(Uniform(-1.0, 1.0), 0.5))
    assert steps.tolist() == [1, 2] and p == pytest.approx([0.875, 0.125], abs=1e-9)


@pytest.mark.parametrize(
    "distribution",
    [Normal(1.5, 0.75, low=0.05), Exponential(2.0), Uniform(0.1, 0.7), LogNormal(0, 1)],
)
def test_the_thresholds_of_delays_are_exact(distribution):
    delays = values.drawn_delays(distribution, 0.1)

    def steps(word):
        return np.maximum(1, np.rint(distribution.quantile((word + 0.5) / WORDS) / 0.1))

    cut = delays.threshold[:-1].astype(np.int64)
    wanted = delays.first + np.arange(len(cut))
    at = (cut > 0) & (cut < WORDS)
    assert (steps(cut[at] - 1.0) <= wanted[at]).all() and (steps(cut[at] * 1.0) > wanted[at]).all()
    assert delays.first == steps(0.0) and delays.last == steps(WORDS - 1)


def test_the_guide_leads_to_the_delay_of_every_word():
    delays = values.drawn_delays(Normal(1.5, 0.75, low=0.05), 0.1)
    words = np.random.default_rng(3).integers(0, 2**32, 3000, np.uint64)
    words = np.concatenate([words, delays.threshold[:-1], delays.threshold - np.uint64(1)])
    found = [draw.delay_index(word, delays.threshold, delays.guide) for word in words]
    assert np.array_equal(found, np.searchsorted(delays.threshold, words, side="right"))


def test_delays_without_a_limit_are_refused():
    with pytest.raises(DelayError, match=r"2\^20"):
        values.drawn_delays(LogNormal(0.0, 8.0), 0.1, 'projection "p": delay')


@pytest.mark.parametrize("n, p", [(1, 0.3), (512, 0.1), (1024, 1e-4), (128, 0.5), (100, 0.0)])
def test_binomial_thresholds(n, p):
    table = values.binomials(np.array([0, n, n + 1]), p)
    row = table.row[n]
    ours = table.threshold[row, : table.length[row]].astype(float) / 2.0**64
    assert ours == pytest.approx(stats.binom(n, p).cdf(np.arange(len(ours))), abs=1e-12)
    assert len(ours) == n or ours[-1] == 1
    assert table.row[0] == -1 and len(table.row) == n + 2


def test_binomial_numbers_are_tabulated_where_that_is_short():
    assert (values.binomials(np.array([600, 700]), 0.1).row[[600, 700]] == [0, -1]).all()
    assert (values.binomials(np.array([10]), 0.6).row == -1).all()


@pytest.mark.parametrize(
    "distribution",
    [
        *[Normal(87.8, 8.78, low=0.0), Normal(-351.2, 35.12, high=0.0), Normal(0.0, 1.0)],
        *[Uniform(-3.0, 8.0), LogNormal(1.0, 0.5), Exponential(2.0)],
    ],
)
def test_weights_have_the_mean_and_sd_of_the_distribution(distribution):
    table = values.drawn_weights(distribution, 2.0**12)
    scale = 2.0**12 / table.unit
    word = (np.arange(2**16) * 65536.0 + 32768).astype(np.uint64)
    x = np.array([draw.weight_of(w, table.knots) for w in word]) / scale
    exact = distribution.quantile((word + 0.5) / WORDS)
    assert np.abs(table.knots).max() / 2**values.UNIT_BITS <= values.INT16_MAX
    assert np.abs(table.knots).max() / 2**values.UNIT_BITS >= 1000
    assert x.mean() == pytest.approx(distribution.mean(), abs=3e-4 * exact.std())
    assert x.std() == pytest.approx(exact.std(), rel=1e-3)
    # In the cell before the last (p = 0.001) the chord of a skewed quantile is off by 7 % of an sd.
    assert np.abs(x - exact).max() < 0.08 * exact.std() + 0.6 / scale


def test_weights_of_a_symmetric_distribution_are_symmetric():
    knots = values.drawn_weights(Normal(0.0, 1.0), 2.0**10).knots
    words = np.random.default_rng(4).integers(0, 2**32, 5000, np.uint64)
    words = np.concatenate([words, np.arange(5000, dtype=np.uint64)])
    mirrored = np.uint64(2**32 - 1) - words
    x = np.array([draw.weight_of(w, knots) for w in words])
    assert np.array_equal(x, [-draw.weight_of(w, knots) for w in mirrored])
    shifted = values.drawn_weights(Normal(50.0, 5.0), 2.0**9).knots.astype(int)
    assert np.array_equal(
        shifted + shifted[[0, 2, 1], ::-1], np.full_like(shifted, 2 * shifted[0, 512])
    )


def test_weights_are_monotone_in_the_word():
    knots = values.drawn_weights(LogNormal(0.0, 1.0), 2.0**8).knots
    words = np.sort(np.random.default_rng(5).integers(0, 2**32, 5000, np.uint64))
    words = np.concatenate([np.arange(3000, dtype=np.uint64) * np.uint64(4096), words])
    x = np.array([draw.weight_of(w, knots) for w in np.sort(words)])
    assert (np.diff(x) >= 0).all()


def test_the_unit_is_the_smallest_that_fits():
    assert values.drawn_weights(Uniform(0.0, 32767.0), 1.0).unit == 1
    assert values.drawn_weights(Uniform(0.0, 32768.0), 1.0).unit == 2
    assert values.drawn_weights(Uniform(-5.0, 1.0), 2.0**20).unit == 2**8


def test_weights_with_too_few_bits_are_refused():
    with pytest.raises(WeightError, match=r"8 significant bits.*float64"):
        values.drawn_weights(Uniform(0.0, 1.0), 100.0)
    values.drawn_weights(Uniform(0.0, 1.28), 100.0)
