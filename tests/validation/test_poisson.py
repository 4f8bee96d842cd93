"""Poisson input and Poisson populations have the statistics of Poisson processes."""

import numpy as np
import pytest
from scipy import stats

import distdyn as dd


class Noise(dd.Network):
    """Cells that each receive a Poisson train of their own."""

    def __init__(self, n, cell, rate, synapse, weight):
        self.N = dd.Population(n, cell, V=0.0)
        self.noise = dd.PoissonInput(self.N, rate, synapse, weight=weight)


@pytest.mark.parametrize(
    "synapse, mean, variance",
    [(dd.Exponential(tau=2.0), 28.8, 4.32), (dd.Alpha(tau=2.0), 78.28651666, 29.26066215)],
)
def test_mean_and_variance_by_campbells_theorem(synapse, mean, variance, seed):
    """r = 8000 / s, w = 45 pA: mean r w int f dt, variance r w^2 int f^2 dt of the potential f."""
    cell = dd.LIF(C_m=250.0, tau_m=10.0, E_L=0.0, V_th=np.inf, V_reset=0.0, t_ref=2.0)
    network = Noise(200, cell, 8000.0, synapse, 45.0)
    runner = dd.DSRunner(network, dt=0.1, seed=seed, record=dd.every(1.0, "N.V"))
    runner.run(200.0)  # twenty membrane time constants, until V is stationary
    V = np.asarray(runner.run(5000.0).gather().traces["N.V"].value, float)
    # The 200 cells are independent, so that their scatter gives the standard error itself.
    for found, expected in ((V.mean(0), mean), (((V - mean) ** 2).mean(0), variance)):
        standard_error = found.std(ddof=1) / np.sqrt(200)
        assert abs(found.mean() - expected) < 3 * standard_error
        assert standard_error < 0.02 * expected


@pytest.mark.parametrize("per_step", [0.002, 0.8, 2.5, 40.0])
def test_events_of_one_step_are_counted(per_step, seed):
    """Mean and variance of the events per step are both r dt; one event at most would be fewer."""
    cell = dd.LIF(C_m=1.0, tau_m=1e18, E_L=0.0, V_th=np.inf, V_reset=0.0, t_ref=0.0)
    network = Noise(1000, cell, per_step / 1e-4, dd.Delta(), 1.0)
    record = dd.every(0.1, "N.V")
    runner = dd.DSRunner(network, dt=0.1, seed=seed, record=record, precision="float64")
    runner.run(1.0)  # the first events are one delay away
    V = np.asarray(runner.run(20.0).gather().traces["N.V"].value)
    counts = np.diff(V, axis=0)  # without a leak V is the number of events so far
    assert (counts == np.rint(counts)).all()
    n = counts.size
    assert abs(counts.mean() - per_step) < 3 * np.sqrt(per_step / n)
    # var of the sample variance of Poisson numbers: (m + 2 m^2) / n
    assert abs(counts.var() - per_step) < 3 * np.sqrt((per_step + 2 * per_step**2) / n)
    # neither the next step nor the next cell knows the number: correlations are 0 +- 1 / sqrt(n)
    scaled = (counts - counts.mean()) / counts.std()
    assert abs((scaled[1:] * scaled[:-1]).mean()) < 4 / np.sqrt(n)
    assert abs((scaled[:, 1:] * scaled[:, :-1]).mean()) < 4 / np.sqrt(n)


class Sources(dd.Network):
    """Generators alone."""

    def __init__(self, n, rate):
        self.P = dd.Population(n, dd.Poisson(rate=rate))


@pytest.fixture(scope="module")
def trains():
    """Ten seconds of 1000 Poisson neurons of 20 Hz."""
    runner = dd.DSRunner(Sources(1000, 20.0), dt=0.1, seed=20230901, record="P.spikes")
    return runner.run(10_000.0).gather().spikes["P"]


def test_number_of_spikes_of_a_population(trains):
    assert abs(len(trains) - 200_000) < 3 * 447  # sqrt(200000) = 447
    per_neuron = np.bincount(trains.id, minlength=1000)
    assert abs(per_neuron.var(ddof=1) / per_neuron.mean() - 1) < 4 * np.sqrt(2 / 1000)


def test_intervals_are_exponential(trains):
    order = np.lexsort((trains.step, trains.id))
    step, id = trains.step[order], trains.id[order]
    intervals = np.diff(step)[np.diff(id) == 0]
    # An event lies anywhere in its step: the difference of two places in a step is triangular.
    dither = np.random.default_rng(1).triangular(-1, 0, 1, len(intervals))
    intervals = np.abs(intervals + dither) * 1e-4
    # 10 s cut off the long intervals; 0.05 s / 10 s of the mass, which a train from 0 corrects.
    assert abs(intervals.std() / intervals.mean() - 1) < 0.01
    assert stats.kstest(intervals, stats.expon(scale=intervals.mean()).cdf).pvalue > 1e-3


def test_neurons_are_independent(trains):
    bins = np.histogram2d(trains.id, trains.step, bins=(1000, 1000))[0]
    summed = bins.sum(axis=0)  # a common cause would widen the distribution of the sum
    assert abs(summed.var() / summed.mean() - 1) < 4 * np.sqrt(2 / 1000)
    neighbours = [np.corrcoef(bins[i], bins[i + 1])[0, 1] for i in range(0, 1000, 2)]
    assert abs(np.mean(neighbours)) < 4 / np.sqrt(500 * 1000)


def test_rate_that_changes_in_time():
    network = Sources(2000, lambda t: 20.0 * (t > 500.0))
    runner = dd.DSRunner(network, dt=0.1, seed=3, record="P.spikes")
    spikes = runner.run(1000.0).gather().spikes["P"]
    assert (spikes.time > 500.0).all()
    assert abs(len(spikes) - 20_000) < 3 * np.sqrt(20_000)
