"""The gamma network: as coherent, and as fast, as the published equations solved in numpy.

By the classical Runge-Kutta scheme with the paper's saturating synapse, in two draws: at 3 % of
difference in the drive 38.7 to 39.3 Hz and a coherence of 0.49 to 0.51, without 40 Hz and 1.0; with
10 synapses for each cell 33.3 to 33.9 Hz and 0.085. In the paper 39 Hz.
"""

import numpy as np
import pytest

import distdyn as dd
from distdyn.zoo import by_name


def coherence(spikes, n, begin, end, bin_ms=2.5):
    """The paper's measure: the mean over pairs of cells of sum(X Y) / sqrt(sum X sum Y) in bins."""
    edges = np.arange(begin, end + bin_ms / 2, bin_ms)
    trains = np.zeros((n, len(edges) - 1))
    late = (spikes.time > begin) & (spikes.time < end)
    trains[spikes.id[late], np.searchsorted(edges, spikes.time[late]) - 1] = 1.0
    common = trains @ trains.T
    norm = np.sqrt(np.outer(np.diag(common), np.diag(common)))
    return np.mean((common / np.maximum(norm, 1.0))[np.triu_indices(n, 1)])


@pytest.mark.parametrize(
    "arguments, rate, kappa",
    [
        pytest.param({}, 38.5, (0.35, 0.65), id="published"),
        pytest.param({"I_sd": 0.001}, 39.0, (0.95, 1.0), id="equal cells"),
        pytest.param({"M_syn": 10.0}, 33.0, (0.05, 0.15), id="few synapses"),
    ],
)
def test_coherence_and_rate(arguments, rate, kappa, seed):
    network = by_name("gamma")(**arguments)
    recording = dd.DSRunner(network, dt=0.05, seed=seed, record="spikes").run(500.0)
    spikes = recording.spikes["I"]
    low, high = kappa
    assert low <= coherence(spikes, 100, 250.0, 500.0) <= high + 1e-9
    # A volley more or less in 250 ms is 4 Hz.
    assert np.sum(spikes.time > 250.0) / 100 / 0.25 == pytest.approx(rate, abs=4.0)
