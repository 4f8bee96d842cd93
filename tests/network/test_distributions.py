"""Distributions against scipy.stats, their limits, and their errors."""

import numpy as np
import pytest
from scipy import stats

from distdyn.errors import ParameterError
from distdyn.network.distributions import (
    Distribution,
    Exponential,
    LogNormal,
    Normal,
    Uniform,
)
from distdyn.random import stream_key

U = np.concatenate([[2.0**-54, 1e-9], np.linspace(0.001, 0.999, 999), [1 - 1e-9, 1 - 2.0**-53]])

PAIRS = [
    (Normal(-55.0, 5.0), stats.norm(-55.0, 5.0)),
    (Normal(1.5, 0.75, low=0.1), stats.truncnorm((0.1 - 1.5) / 0.75, np.inf, 1.5, 0.75)),
    (Normal(0.0, 2.0, low=-1.0, high=3.0), stats.truncnorm(-0.5, 1.5, 0.0, 2.0)),
    (Normal(0.0, 1.0, low=8.0), stats.truncnorm(8.0, np.inf)),
    (Normal(0.0, 1.0, high=-20.0), stats.truncnorm(-np.inf, -20.0)),
    (LogNormal(1.0, 0.5), stats.lognorm(0.5, scale=np.e)),
    (Uniform(-70.0, -50.0), stats.uniform(-70.0, 20.0)),
    (Exponential(4.0), stats.expon(scale=4.0)),
    (Exponential(4.0, low=2.0, high=9.0), stats.truncexpon(7 / 4, loc=2.0, scale=4.0)),
]
NAMED = pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=[repr(ours) for ours, _ in PAIRS])


@NAMED
def test_quantiles_agree_with_scipy(ours, theirs):
    # scipy's own truncated tails are good to about 1e-9; the ends of U are left to the next test
    np.testing.assert_allclose(ours.quantile(U[2:-2]), theirs.ppf(U[2:-2]), rtol=1e-8)


@NAMED
def test_the_distribution_function_undoes_the_quantile(ours, theirs):
    # one unit in the last place of x = 8 (1.8e-15) is 8 times as much of the tail beyond it
    np.testing.assert_allclose(theirs.cdf(ours.quantile(U)), U, rtol=1e-8, atol=2e-14)


@NAMED
def test_means_agree_with_scipy(ours, theirs):
    assert ours.mean() == pytest.approx(theirs.mean(), rel=1e-7)


@NAMED
def test_quantiles_rise_and_stay_finite_and_within_the_limits(ours, theirs):
    values = ours.quantile(np.array([0.0, *U, 1.0])[1:])
    assert np.isfinite(values).all()
    assert (np.diff(values) >= 0).all()
    assert ours.low is None or values[0] >= ours.low
    assert ours.high is None or values[-1] <= ours.high
    assert ours.extremes() == (values[0], values[-2])


def test_the_delays_of_the_microcircuit_have_the_published_mean():
    assert Normal(1.5, 0.75, low=0.1).mean() == pytest.approx(1.554075, abs=5e-7)


def test_limits_mean_redraw():
    rng = np.random.default_rng(1)
    redrawn = rng.normal(1.5, 0.75, 400_000)
    redrawn = redrawn[(redrawn >= 0.1) & (redrawn <= 2.0)]
    drawn = Normal(1.5, 0.75, low=0.1, high=2.0).draw(
        stream_key(1, "delay", "exc"), np.arange(10**5)
    )
    assert stats.ks_2samp(redrawn, drawn).pvalue > 1e-3


def test_truncated_lognormal_has_the_mean_of_its_draws():
    distribution = LogNormal(0.0, 1.0, low=0.5, high=3.0)
    middle = (np.arange(100_000) + 0.5) / 100_000  # the midpoint rule: error of order 1e-9
    assert distribution.mean() == pytest.approx(distribution.quantile(middle).mean(), rel=1e-7)


def test_a_narrow_window_of_an_exponential_has_its_mean_in_the_middle():
    # the exact mean is lower than the middle by width^2 / (12 scale) = 8e-11
    assert Exponential(1e3, low=1.0, high=1.001).mean() == pytest.approx(1.0005, abs=1e-10)


def test_a_draw_depends_on_key_and_id_alone():
    key = stream_key(1, "initial", "E.V")
    whole = Normal(0.0, 1.0).draw(key, np.arange(1000))
    part = Normal(0.0, 1.0).draw(key, np.array([999, 7, 500]))
    np.testing.assert_array_equal(part, whole[[999, 7, 500]])
    assert whole.dtype == np.float64
    assert (whole != Normal(0.0, 1.0).draw(stream_key(2, "initial", "E.V"), np.arange(1000))).all()


def test_without_spread_every_draw_is_the_mean():
    assert Normal(3.0, 0.0, low=0.0).extremes() == (3.0, 3.0)
    assert Normal(3.0, 0.0).mean() == 3.0
    assert LogNormal(0.0, 0.0).extremes() == (1.0, 1.0)


def test_distributions_compare_and_hash_by_value():
    assert Normal(1, 2, low=0) == Normal(1.0, 2.0, low=0.0)
    assert len({Normal(1, 2), Normal(1.0, 2.0), Normal(1, 2, low=0), LogNormal(1, 2)}) == 3


def test_distributions_cannot_be_changed():
    with pytest.raises(AttributeError):
        Normal(1.0, 2.0).sd = 3.0


def test_distributions_read_as_they_were_written():
    for text in ("Normal(-55, 5)", "Normal(1.5, 0.75, low=0.1)", "Uniform(low=0, high=1)"):
        assert repr(eval(text)) == text


def test_a_distribution_of_ones_own_needs_quantile_and_mean():
    class Coin(Distribution):
        def quantile(self, u):
            return np.where(np.asarray(u) < 0.5, -1.0, 1.0)

        def mean(self):
            return 0.0

    assert Coin().extremes() == (-1.0, 1.0)
    assert set(Coin().draw((1, 2), np.arange(50))) == {-1.0, 1.0}


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: Normal(0.0, -1.0), "Normal: sd = -1.0 is not possible. Give a finite number >= 0"),
        (lambda: Normal(np.nan, 1.0), "Normal: mean = nan"),
        (lambda: Normal(0.0, np.inf), "Normal: sd = inf"),
        (lambda: Normal("0", 1.0), 'Normal: mean = "0"'),
        (lambda: Normal(0.0, True), "Normal: sd = True"),
        (lambda: Normal([1.0, 2.0], 1.0), "Normal: mean"),
        (lambda: Normal(0.0, 1.0, low=2.0, high=1.0), "low is not below high"),
        (lambda: Normal(0.0, 1.0, low=60.0), "no finite draw"),
        (lambda: Normal(0.0, 0.0, low=1.0), "no finite draw"),
        (lambda: Normal(0.0, 1.0, low=np.nan), "Normal: low = nan"),
        (lambda: LogNormal(0.0, 1.0, high=0.0), "LogNormal: high = 0.0"),
        (lambda: LogNormal(0.0, 500.0), "no finite draw"),
        (lambda: Uniform(1.0, 1.0), "low is not below high"),
        (lambda: Uniform(0.0, np.inf), "Uniform: high = inf"),
        (lambda: Exponential(0.0), "Exponential: mean = 0.0 is not possible. Give .* > 0"),
        (lambda: Exponential(1.0, low=3.0, high=2.0), "low is not below high"),
    ],
)
def test_impossible_parameters_are_refused(build, text):
    with pytest.raises(ParameterError, match=text):
        build()
