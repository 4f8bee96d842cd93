"""A spike stamped s with a delay of d steps acts in the step that ends at s + d, for every d."""

import numpy as np
import pytest

import distdyn as dd


def spikes_of(network, duration, **options):
    runner = dd.DSRunner(network, dt=0.1, record="N.spikes", **options)
    return runner.run(duration).gather().spikes["N"]


def test_chain_with_every_delay_from_1_to_50_steps(relays):
    steps = np.arange(1, 51)
    network = relays(51, [1.0], np.arange(50), np.arange(1, 51), 0.1 * steps)
    spikes = spikes_of(network, 140.0)
    np.testing.assert_array_equal(spikes.id, np.arange(51))
    np.testing.assert_array_equal(spikes.step, 11 + np.concatenate([[0], np.cumsum(steps)]))


def test_delays_of_one_source_that_differ_by_thousands_of_steps(relays):
    steps = np.array([1, 2, 3, 7, 49, 1000, 4999])
    network = relays(8, [1.0, 1.3], np.zeros(7, int), np.arange(1, 8), 0.1 * steps)
    spikes = spikes_of(network, 510.0)
    for i, d in enumerate([0, *steps]):
        np.testing.assert_array_equal(spikes.step[spikes.id == i], [11 + d, 14 + d])


def test_delay_in_a_ring(relays):
    """Spike k of a ring of n relays comes k delays after the first."""
    n, d = 20, 17
    network = relays(n, [0.5], np.arange(n), (np.arange(n) + 1) % n, 0.1 * d)
    spikes = spikes_of(network, 1000.0)
    k = np.arange(len(spikes.step))
    assert len(k) == (10_000 - 6) // d + 1
    np.testing.assert_array_equal(spikes.step, 6 + d * k)
    np.testing.assert_array_equal(spikes.id, k % n)


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("first_step", [2**31 - 5, 2**31 - 2, 10**8, 2**33])
def test_late_start(relays, first_step, precision):
    """Steps are counted in 64 bits: nothing drifts or wraps after a month of model time."""
    t0 = first_step * 0.1
    network = relays(1, [t0 + 0.3, t0 + 1.0], [], [], 0.1)
    runner = dd.DSRunner(
        network, dt=0.1, t0=t0, record=["source.spikes", "N.spikes"], precision=precision
    )
    everything = [runner.run(0.6).gather(), runner.run(0.6).gather()]
    source = np.concatenate([r.spikes["source"].step for r in everything])
    cell = np.concatenate([r.spikes["N"].step for r in everything])
    np.testing.assert_array_equal(source - first_step, [3, 10])
    np.testing.assert_array_equal(cell - first_step, [4, 11])
    time = np.concatenate([r.spikes["N"].time for r in everything])
    np.testing.assert_allclose(time, (first_step + np.array([4, 11])) * 0.1, rtol=1e-15)
