"""Generators: Poisson trains and given spike times."""

import jax
import numpy as np
import pytest

import distdyn as dd
from distdyn.errors import DistDynError, ParameterError


class Alone(dd.Network):
    """A generator, and nothing else."""

    def __init__(self, n, model):
        self.G = dd.Population(n, model)


def spikes(n, model, duration, **options):
    runner = dd.DSRunner(Alone(n, model), **{"dt": 0.1, "record": "spikes"} | options)
    return runner.run(duration).spikes["G"]


@pytest.mark.parametrize("rate", [50.0, 50, dd.Uniform(0.0, 100.0)], ids=repr)
def test_poisson_rate(rate, seed):
    found = spikes(200, dd.Poisson(rate=rate), 1000.0, seed=seed)
    spread = 410 if isinstance(rate, dd.Uniform) else 0  # 200 draws of sd 29 Hz
    assert abs(len(found) - 10_000) < 4 * np.hypot(100, spread)  # 4 standard deviations


def test_poisson_rate_per_neuron(seed):
    rate = np.repeat([0.0, 20.0, 2000.0], 50)
    found = spikes(150, dd.Poisson(rate=rate), 1000.0, seed=seed)
    counts = np.bincount(found.id, minlength=150).reshape(3, 50).sum(1)
    assert counts[0] == 0
    assert abs(counts[1] - 1000) < 4 * np.sqrt(1000)
    assert abs(counts[2] - 100_000) < 4 * np.sqrt(100_000)


def test_poisson_rate_that_changes_in_time(seed):
    rate = dd.Steps([0.0, 100.0, 200.0], [0.0, 200.0, 0.0])
    time = spikes(200, dd.Poisson(rate=rate), 300.0, seed=seed).time
    assert 100.0 < time.min() and time.max() <= 200.0
    assert abs(len(time) - 4000) < 4 * np.sqrt(4000)


def test_rate_that_is_a_signal_of_the_user(seed):
    class Ramp(dd.Signal):
        """From 0 to twice the mean in a second."""

        mean: float

        def at(self, tick):
            return 2.0 * self.mean * tick.t * 1e-3

        def extremes(self):
            return 0.0, 2.0 * self.mean

    time = spikes(200, dd.Poisson(rate=Ramp(50.0)), 1000.0, seed=seed).time
    assert abs(len(time) - 10_000) < 4 * 100
    assert abs(time.mean() - 2000.0 / 3.0) < 4 * 236.0 / 100  # of a triangular density


def test_trains_depend_on_the_seed_and_on_nothing_else():
    def train(**options):
        found = spikes(20, dd.Poisson(rate=100.0), 100.0, **options)
        return list(zip(found.step.tolist(), found.id.tolist(), strict=True))

    assert train(seed=1) == train(seed=1) == train(seed=1, precision="float64")
    assert train(seed=1) != train(seed=2)


def test_one_spike_per_step_is_the_most():
    assert len(spikes(3, dd.Poisson(rate=10_000.0), 1.0)) == 3 * 10
    with pytest.raises(ParameterError, match=r"rate = 20000 Hz .* dt = 0.1 ms"):
        spikes(3, dd.Poisson(rate=20_000.0), 1.0)


def test_given_times_are_the_spikes():
    model = dd.SpikeTimes(id=[2, 0, 2, 1], time=[0.3, 0.1, 2.0, 0.3])
    found = spikes(3, model, 1.5)
    np.testing.assert_array_equal(found.step, [1, 3, 3])
    np.testing.assert_array_equal(found.id, [0, 1, 2])
    np.testing.assert_allclose(found.time, [0.1, 0.3, 0.3], rtol=1e-12)


def test_no_spike_times_is_silence():
    assert len(spikes(3, dd.SpikeTimes(id=[], time=[]), 1.0)) == 0


@pytest.mark.parametrize(
    "id, time, words",
    [
        ([0.5], [1.0], "integers"),
        ([-1], [1.0], "integers"),
        ([0], [0.0], "> 0"),
        ([0], [np.nan], "finite"),
        ([0, 1], [1.0], "one id per time"),
    ],
)
def test_impossible_spike_times_are_refused(id, time, words):
    with pytest.raises(ParameterError, match=words):
        dd.SpikeTimes(id=id, time=time)


@pytest.mark.parametrize("id, time", [([3], [1.0]), ([0], [0.25])])
def test_spikes_of_no_neuron_or_off_the_grid_are_refused(id, time):
    with pytest.raises(DistDynError):
        spikes(3, dd.SpikeTimes(id=id, time=time), 1.0)


def test_a_poisson_cell_can_be_stepped_by_itself():
    model = dd.Poisson(rate=10_000.0)
    with jax.enable_x64(True):
        state = model.init(0, jax.random.key(1))
        state, spike = jax.jit(model.step)(state, dd.Drive(), dd.Tick(0, 0.1, 0.0))
    assert bool(spike)
