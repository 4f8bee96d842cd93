"""Measures: elephant's numbers, results known by hand, and spikes as recordings have them."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import distdyn as dd
from distdyn.errors import ParameterError
from tests.analysis import from_elephant

M = dd.measure
STORED = json.loads(Path(__file__).with_name("elephant.json").read_text())  # of from_elephant.py
WINDOW = (0.0, from_elephant.STOP)


def ours():
    """What from_elephant.py measures, by distdyn."""
    trains, signals = from_elephant.trains(), from_elephant.signals()
    frequency, power = M.power(signals, 1.0, 4.0)
    _, shared = M.coherence(signals[:, 0], signals[:, 1], 1.0, 4.0)
    pair = (*trains[:2], WINDOW, 5.0)
    return {
        "rates": M.rates(trains, WINDOW),
        "cv": M.cv(trains),
        "cv2": M.cv2(trains),
        "lv": M.lv(trains),
        "lvr": M.lvr(trains, 3.0),
        "fano": M.fano_factor(trains, WINDOW),
        "smooth": M.instantaneous_rate(trains, WINDOW, 1.0, 10.0)[:, 100::400],
        "correlation": M.count_correlation(trains, WINDOW, 20.0),
        "cch": M.cross_correlation(*pair, most=30.0)[1],
        "cch_normed": M.cross_correlation(*pair, most=30.0, normed=True)[1],
        "sttc": M.tiling_coefficient(trains, (0.0, 200.0), 5.0),
        "contrast": M.spike_contrast(trains, WINDOW),
        "van_rossum": M.van_rossum(trains, 12.0),
        "victor_purpura": M.victor_purpura(trains, 0.1),
        "power": power.T[:, 5:25:5],
        "frequency": frequency[5:25:5],
        "coherence": shared[5:25:5, 0],
    }


@pytest.fixture(scope="module")
def measured():
    return ours()


def test_nothing_is_left_out(measured):
    assert measured.keys() == STORED.keys()


@pytest.mark.parametrize("name", STORED)
def test_elephants_numbers(measured, name):
    """Stored with ten digits; zeros of matrices are rounding of either program."""
    np.testing.assert_allclose(measured[name], STORED[name], rtol=1e-9, atol=1e-6)


@pytest.mark.filterwarnings("ignore")  # of elephant's own libraries
def test_elephant_says_the_same_today(measured):
    pytest.importorskip("elephant", reason="elephant is not installed: its numbers are stored")
    now = from_elephant.measured()
    for name, value in now.items():
        np.testing.assert_allclose(measured[name], value, rtol=1e-9, atol=1e-6, err_msg=name)


# --- spikes as they are given --------------------------------------------------------------------


def recorded(id, time):
    return SimpleNamespace(id=np.asarray(id), time=np.asarray(time, float))


def test_spikes_with_ids_are_split_with_the_silent():
    spikes = recorded([2, 0, 2], [3.0, 1.0, 2.0])
    found = M.trains(spikes, 4)
    assert [x.tolist() for x in found] == [[1.0], [], [2.0, 3.0], []]
    assert [x.tolist() for x in M.trains([[3, 1], []])] == [[1.0, 3.0], []]
    assert [x.tolist() for x in M.trains([3.0, 1.0])] == [[1.0, 3.0]]
    np.testing.assert_array_equal(M.rates(spikes, (0, 4), n=4), [250, 0, 500, 0])
    assert np.isnan(M.cv(spikes, n=4)).all()


def test_a_spike_at_the_end_of_a_bin_is_in_it():
    """0.1 * 3 = 0.30000000000000004: spikes of a run sit on edges, or just beside them."""
    step = np.arange(1, 1001)
    spikes = recorded(np.zeros(1000, int), step * 0.1)
    np.testing.assert_array_equal(M.counts(spikes, (0, 100), 0.1), np.ones((1, 1000)))
    np.testing.assert_array_equal(M.counts(spikes, (0, 100), 0.3 * 10 / 3), np.full((1, 100), 10))
    np.testing.assert_array_equal(M.counts(spikes, (20, 50)), [[300]])


def test_measures_of_a_run():
    class Clocks(dd.Network):
        def __init__(self):
            time = [10, 20, 30, 40, 15, 40, 65, 90]
            self.G = dd.Population(3, dd.SpikeTimes(id=[0] * 4 + [2] * 4, time=time))

    recording = dd.DSRunner(Clocks(), dt=0.1, record="spikes").run(100)
    spikes = recording.spikes["G"]
    np.testing.assert_array_equal(M.rates(spikes, (0, 100), n=3), [40, 0, 40])
    assert M.rates(spikes, (0, 100), n=3).mean() == pytest.approx(recording.rates()["G"])
    np.testing.assert_allclose(M.cv(spikes)[[0, 2]], 0, atol=1e-12)
    time, rate = M.population_rate(spikes, (0, 100), 25, n=3)
    np.testing.assert_array_equal(time, [12.5, 37.5, 62.5, 87.5])
    np.testing.assert_allclose(rate, np.array([3, 3, 1, 1]) / 3 / 0.025)


@pytest.mark.parametrize("shape", [1.0, 4.0])
def test_long_gamma_trains_have_their_statistics(shape, seed):
    """Gamma intervals: CV = 1 / sqrt(k), LV = 3 / (2 k + 1), CV2 and Fano factor of Poisson 1."""
    spikes = dd.inputs.trains(50, 50.0, 40_000.0, shape=shape, seed=seed)
    assert M.cv(spikes).mean() == pytest.approx(shape**-0.5, rel=0.01)
    assert M.lv(spikes).mean() == pytest.approx(3 / (2 * shape + 1), rel=0.02)
    fano = M.fano_factor(spikes, (0, 40_000), 1000.0).mean()
    # 50 x 40 counts: 4 s.e. of a variance; for gamma F = 1/k + (1 - 1/k^2) / (6 mean)
    expected = 1 / shape + (1 - shape**-2) / (6 * 50)
    assert fano == pytest.approx(expected * 39 / 40, rel=4 * (2 / 2000) ** 0.5)
    if shape == 1.0:
        assert M.cv2(spikes).mean() == pytest.approx(1.0, rel=0.01)


def test_an_instantaneous_rate_has_as_much_area_as_spikes():
    rate = M.instantaneous_rate([[50.0, 120.0, 121.0]], (0, 200), 0.5, 5.0)[0]
    assert rate.sum() * 0.5e-3 == pytest.approx(3.0, abs=1e-4)
    peak = 1e3 / (5 * (2 * np.pi) ** 0.5)
    assert rate[99] == pytest.approx(peak)


# --- correlation and synchrony -------------------------------------------------------------------


def test_a_cross_correlation_has_its_peak_where_the_other_is_later():
    a = np.arange(10.0, 900.0, 37.0)
    lags, pairs = M.cross_correlation(a, a + 3.0, (0, 1000), 1.0, most=10)
    assert lags[pairs.argmax()] == 3.0 and pairs.max() == len(a)
    _, normed = M.cross_correlation(a, a, (0, 1000), 1.0, most=5, normed=True)
    assert normed[5] == pytest.approx(1.0)


def test_synchrony_of_the_same_and_of_independent_voltages(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(20_000, 1))
    assert M.chi(np.repeat(x, 5, axis=1) * [1.0] * 5) == pytest.approx(1.0)
    own = rng.normal(size=(20_000, 50))
    assert M.voltage_fluctuation(own) == pytest.approx(1 / 50, rel=0.04)
    # a common part of variance c: chi^2 = (c + (1 - c) / n)
    mixed = 0.6**0.5 * x + 0.4**0.5 * own
    assert M.chi(mixed) == pytest.approx((0.6 + 0.4 / 50) ** 0.5, rel=0.02)
    assert np.isnan(M.chi(np.ones((10, 3))))


def test_spike_contrast_of_the_same_trains_is_1_and_of_others_small(seed):
    spikes = dd.inputs.trains(20, 5.0, 20_000.0, seed=seed)
    assert M.spike_contrast(spikes, (0, 20_000)) < 0.2
    same = [np.arange(100.0, 19_000.0, 1000.0)] * 20
    assert M.spike_contrast(same, (0, 20_000)) == pytest.approx(1.0)


def test_correlations_by_hand():
    trains = from_elephant.trains()[:3]
    table = M.counts(trains, WINDOW, 50.0)
    np.testing.assert_allclose(M.count_correlation(trains, WINDOW, 50.0), np.corrcoef(table))
    # A at 10 and 50, B at 12: within 5 ms lies half of A, all of B; tiled are 20 and 10 of 100 ms
    found = M.tiling_coefficient([[10.0, 50.0], [12.0], []], (0, 100), 5.0)
    half = (0.5 - 0.1) / (1 - 0.5 * 0.1) / 2 + (1 - 0.2) / (1 - 0.2) / 2
    assert found[0, 1] == found[1, 0] == pytest.approx(half)
    assert found[0, 0] == 1 and np.isnan(found[2]).all()


def test_local_variation_by_hand():
    """Intervals 10, 30, 10: 1 - 4 I J / (I + J)^2 = 1 / 4; 4 R / (I + J) = 1 / 2."""
    train = [0.0, 10.0, 40.0, 50.0]
    assert M.lv(train)[0] == pytest.approx(0.75)
    assert M.lvr(train, 5.0)[0] == pytest.approx(0.75 * 1.5)


# --- distances -----------------------------------------------------------------------------------


def test_victor_and_purpura_by_hand():
    a, b = [10.0, 20.0, 30.0], [12.0, 31.0]
    d = M.victor_purpura([a, b, []], 0.1)
    assert d[0, 1] == pytest.approx(0.2 + 1 + 0.1)  # two are moved, one is taken away
    assert d[0, 2] == 3 and d[2, 1] == 2
    assert M.victor_purpura([a, b], 0.0)[0, 1] == 1
    assert M.victor_purpura([a, b], 100.0)[0, 1] == 5
    np.testing.assert_array_equal(d, d.T)


def test_van_rossum_by_its_integral():
    a, b, tau = [10.0, 20.0, 33.0], [12.0, 31.0], 7.0
    t = np.arange(0, 200, 1e-3)

    def trace(train):
        return sum((t >= s) * np.exp(-(t - s) / tau) for s in train)

    integral = 2 / tau * np.sum((trace(a) - trace(b)) ** 2) * 1e-3
    assert M.van_rossum([a, b], tau)[0, 1] ** 2 == pytest.approx(integral, rel=1e-3)
    assert M.van_rossum([[5.0], []], tau)[0, 1] == 1
    assert M.van_rossum([a, b], 1e9)[0, 1] == pytest.approx(1.0, abs=1e-3)  # counts: 3 - 2
    assert M.van_rossum([a, b], 1e-9)[0, 1] == pytest.approx(5**0.5)


# --- fields --------------------------------------------------------------------------------------


def test_the_field_of_a_spike_is_its_kernel():
    time, field = M.lfp_of_spikes([[20.0]], [[60.0]], (0, 100), 0.1, distances=(100.0, [200.0]))
    e = 0.48 * np.exp(-0.5) * np.exp(-0.5 * ((time - 20 - 10.4 - 0.5) / 3.15) ** 2)
    i = 3.0 * np.exp(-1) * np.exp(-0.5 * ((time - 60 - 10.4 - 1.0) / 2.1) ** 2)
    np.testing.assert_allclose(field, e + i, atol=1e-12)
    assert time[0] == 0.1 and time[-1] == pytest.approx(100.0)
    _, deep = M.lfp_of_spikes([[20.0]], [], (0, 100), 0.1, layer="deep")
    assert deep.min() == pytest.approx(-0.16, rel=1e-3)


def test_a_weighted_sum_of_currents():
    rng = np.random.default_rng(1)
    e, i = rng.random((500, 3)), -rng.random((500, 3))
    found = M.lfp_of_currents(e, i, 0.5)
    late = np.concatenate([np.repeat(e[:1], 12, axis=0), e[:-12]]).sum(1)
    expected = late - 1.65 * i.sum(1)
    np.testing.assert_allclose(found, (expected - expected.mean()) / expected.std())


# --- connectivity and spectra --------------------------------------------------------------------


def test_functional_connectivity_is_correlation(seed):
    x = np.random.default_rng(seed).normal(size=(300, 4)) @ np.array(
        [[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, -1], [0, 0, 0, 0.0]]
    )
    found = M.functional_connectivity(x[:, :3])
    np.testing.assert_allclose(found, np.corrcoef(x[:, :3].T), atol=1e-12)
    assert M.functional_connectivity(x)[2, 3] == pytest.approx(-1.0)
    assert np.isnan(M.functional_connectivity(np.c_[x[:, 0], np.full(300, 0.1)])[1]).all()
    A, B = np.arange(9.0).reshape(3, 3), np.arange(9.0).reshape(3, 3) * 2 - 5
    assert M.matrix_correlation(A, B) == pytest.approx(1.0)


def test_dynamics_of_a_connectivity_that_switches(seed):
    """Two states that take turns: FCD is high within, and low between them."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(2000, 2))
    one = np.stack([common[:1000, k] for k in (0, 0, 1, 1)], axis=1)
    two = np.stack([common[1000:, k] for k in (0, 1, 0, 1)], axis=1)
    values = np.concatenate([one, two]) + 0.3 * rng.normal(size=(2000, 4))
    fcd, each = M.connectivity_dynamics(values, 200, 100)
    assert fcd.shape == (19, 19) and each.shape == (19, 4, 4)
    np.testing.assert_allclose(each[3], np.corrcoef(values[300:500].T), atol=1e-12)
    assert fcd[:9, :9].min() > 0.9 and fcd[10:, 10:].min() > 0.9
    assert fcd[:9, 10:].max() < 0.2
    still, _ = M.connectivity_dynamics(values[:1000], 200, 100)
    np.testing.assert_allclose(still, fcd[:9, :9], atol=1e-12)


def test_power_of_a_sine_and_of_noise(seed):
    t = np.arange(20_000) * 0.5e-3
    frequency, density = M.power(3 * np.sin(2 * np.pi * 50 * t), 0.5, 2.0)
    near = np.abs(frequency - 50) <= 4
    assert density[near].sum() * 2.0 == pytest.approx(4.5, rel=1e-3)  # A^2 / 2
    noise = np.random.default_rng(seed).normal(0.0, 2.0, (20_000, 4))
    _, white = M.power(noise, 0.5, 2.0)
    assert white[2:-2].mean() == pytest.approx(4 * 2 / 2000, rel=0.03)  # var / (rate / 2)


def test_coherence_of_a_shared_part(seed):
    rng = np.random.default_rng(seed)
    common, own = rng.normal(size=(40_000, 1)), rng.normal(size=(40_000, 2))
    x = common + own
    _, found = M.coherence(x[:, 0], x[:, 1], 1.0, 10.0)
    assert found[2:-2].mean() == pytest.approx(0.25, abs=0.01)  # (1 / 2)^2
    _, same = M.coherence(common, 3 * common, 1.0, 10.0)
    np.testing.assert_allclose(same, 1.0)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: M.rates([[1.0]], (2, 1)), "window"),
        (lambda: M.rates([[np.nan]], (0, 1)), "no train"),
        (lambda: M.rates(recorded([3], [1.0]), (0, 2), n=3), "id 3"),
        (lambda: M.counts([[1.0]], (0, 10), 3.0), "does not divide"),
        (lambda: M.counts([[1.0]], (0, 10), 0.0), "does not divide"),
        (lambda: M.instantaneous_rate([[1.0]], (0, 10), 1.0, 0.0), "sigma"),
        (lambda: M.population_rate([], (0, 10), 1.0), "how many"),
        (lambda: M.cross_correlation([1.0], [1.0], (0, 10), 1.0, most=10), "less than the window"),
        (lambda: M.spike_contrast([[1.0], [2.0]], (0, 10)), "two spikes"),
        (lambda: M.van_rossum([[1.0]], 0.0), "tau"),
        (lambda: M.victor_purpura([[1.0]], -1.0), "cost"),
        (lambda: M.lfp_of_spikes([[1.0]], [], (0, 10), 1.0, layer="skin"), "skin"),
        (lambda: M.lfp_of_spikes([[1.0]], [], (0, 10), 1.0, distances=([1, 2], 0)), "2 distances"),
        (lambda: M.lfp_of_currents([1.0, 2.0], [1.0], 1.0), "as many"),
        (lambda: M.chi(np.zeros((3, 2, 1))), "row per time"),
        (lambda: M.functional_connectivity([1.0, np.inf]), "finite"),
        (lambda: M.connectivity_dynamics(np.zeros((9, 2)), 3, 1), "3 signals"),
        (lambda: M.matrix_correlation(np.eye(3), np.eye(4)), "square"),
        (lambda: M.power(np.zeros(100), 1.0, 1.0), "1000 rows; found 100"),
        (lambda: M.coherence(np.zeros(9), np.zeros(8), 1.0), "differ"),
    ],
)
def test_what_cannot_be_measured_is_refused(make, words):
    with pytest.raises(ParameterError, match=words):
        make()
