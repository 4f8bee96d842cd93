"""Signals: what holds in which step; what noise is distributed like; trains that are drawn."""

import jax
import numpy as np
import pytest

import distdyn as dd
from distdyn.core.signal import value_at
from distdyn.errors import ParameterError

I = dd.inputs


def course(signal, n, dt=0.1, first=0):
    """The values in n steps."""
    with jax.enable_x64(True):
        at = jax.jit(lambda k: value_at(signal, dd.Tick(k, dt, k * dt)))
        return np.array([at(first + k) for k in range(n)])


def test_steps_hold_from_their_time_on_and_are_0_before_the_first():
    found = course(dd.Steps([0.2, 0.5], [3.0, -1.0]), 7)
    np.testing.assert_array_equal(found, [0.0, 0.0, 3.0, 3.0, 3.0, -1.0, -1.0])


def test_steps_on_a_grid_that_binary_numbers_miss():
    times = np.arange(1, 100) * 0.1
    found = course(dd.Steps(times, np.arange(1, 100)), 100)
    np.testing.assert_array_equal(found, np.arange(100))


def test_steps_with_a_row_of_values_per_time():
    found = course(dd.Steps([0.0, 0.1], [[1.0, 2.0], [3.0, 4.0]]), 3)
    np.testing.assert_array_equal(found, [[1.0, 2.0], [3.0, 4.0], [3.0, 4.0]])


def test_samples_hold_for_their_interval_and_the_last_stays():
    found = course(dd.Sampled([1.0, 2.0, 3.0], dt=0.2), 8)
    np.testing.assert_array_equal(found, [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 3.0, 3.0])


def test_late_steps_are_exact():
    first = 2**31 - 2
    found = course(dd.Steps([first * 0.1 + 0.2], [5.0]), 4, first=first)
    np.testing.assert_array_equal(found, [0.0, 0.0, 5.0, 5.0])


def test_numbers_and_functions_are_signals_too():
    np.testing.assert_array_equal(course(2.5, 2), [2.5, 2.5])
    np.testing.assert_allclose(course(lambda t: 2.0 * t, 3), [0.0, 0.2, 0.4])


def test_extremes_bound_the_values():
    assert dd.Steps([1.0], [5.0]).extremes() == (0.0, 5.0)
    assert dd.Steps([1.0], [-5.0]).extremes() == (-5.0, 0.0)
    assert dd.Sampled([3.0, 4.0], dt=1.0).extremes() == (3.0, 4.0)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: dd.Steps([1.0, 2.0], [1.0]), "2 times but 1 values"),
        (lambda: dd.Steps([2.0, 1.0], [1.0, 2.0]), "not ascending"),
        (lambda: dd.Steps([1.0, 1.0], [1.0, 2.0]), "not ascending"),
        (lambda: dd.Steps([], []), "at least one"),
        (lambda: dd.Steps([0.0], [np.nan]), "finite"),
        (lambda: dd.Sampled([1.0, 2.0], dt=0.0), "dt > 0"),
        (lambda: dd.Sampled(1.0, dt=0.1), "array of samples"),
        (lambda: dd.Sampled([1.0, np.inf], dt=0.1), "finite"),
        (lambda: I.Section([1.0, 2.0], [1.0]), "one duration for each"),
        (lambda: I.Section([1.0, 2.0], [1.0, 0.0]), "must be > 0"),
        (lambda: I.Pulses([1.0, 2.0], [1.0, 1.0, 1.0], 1.0), "one for all pulses"),
        (lambda: I.Pulses([1.0], -1.0, 1.0), "must be > 0"),
        (lambda: I.Ramp(0.0, 1.0, 2.0, 2.0), "must be after"),
        (lambda: I.Sinusoid(1.0, 0.0), "frequency = 0"),
        (lambda: I.Sinusoid(np.nan, 1.0), "amplitude = nan"),
        (lambda: I.Square(1.0, 10.0, duty=1.5), "between 0 and 1"),
        (lambda: I.OU(tau=0.0, sigma=1.0), "tau = 0"),
        (lambda: I.Sinusoid(1.0, 5.0).between(2.0, 1.0), "in order"),
        (lambda: I.Sinusoid(1.0, 5.0).clip(2.0, 1.0), "Swap"),
        (lambda: I.Sinusoid(1.0, 5.0) + np.nan, "cannot be added"),
        (lambda: I.OU(5.0, 1.0).at(dd.Tick(0, 0.1, 0.0)), "each target has its own"),
        (lambda: I.OU(5.0, 1.0, shared=True).at(dd.Tick(0, 0.1, 0.0)), "has no seed"),
        (lambda: (dd.Steps([0], [[1, 2]]) + dd.Steps([0], [[1, 2, 3]])).count, "2 and 3 targets"),
        (lambda: I.trains(2, [1.0, 2.0, 3.0], 10.0), "for 2 trains"),
        (lambda: I.trains(2, I.Sinusoid(1.0, 5.0), 200.0), "clip"),
        (lambda: I.trains(2, 5.0, 10.0, shape=0.0), "shape > 0"),
    ],
)
def test_impossible_signals_are_refused(make, words):
    with pytest.raises(ParameterError, match=words):
        make()


def test_a_section_holds_each_value_for_its_time():
    section = I.Section([1.0, 2.0, 3.0], [0.1, 0.2, 0.3], start=0.1)
    expected = [0.0, 1.0, 2.0, 2.0, 3.0, 3.0, 3.0, 0.0]
    np.testing.assert_array_equal(section.sample(0.8, 0.1), expected)
    many = I.Section(np.arange(1, 1001), 0.1)  # sums of 0.1 miss the grid
    np.testing.assert_array_equal(course(many, 1001), [*range(1, 1001), 0])
    rows = I.Section([[1.0, 2.0], [3.0, 4.0]], 0.1)
    np.testing.assert_array_equal(rows.sample(0.3, 0.1), [[1, 2], [3, 4], [0, 0]])


def test_pulses_add_up_where_they_overlap():
    pulses = I.Pulses([0.3, 0.1, 0.2], [0.2, 0.1, 0.3], [4.0, 1.0, 2.0])
    np.testing.assert_array_equal(course(pulses, 7), [0.0, 1.0, 2.0, 6.0, 6.0, 0.0, 0.0])
    one_for_all = I.Pulses([0.1, 0.4], 0.2, 3.0)
    np.testing.assert_array_equal(course(one_for_all, 7), [0, 3, 3, 0, 3, 3, 0])


def test_a_ramp_is_linear_and_keeps_its_ends():
    ramp = I.Ramp(10.0, 20.0, 1.0, 2.0)
    k = np.arange(30)
    expected = 10 + 10 * np.clip((k * 0.1 - 1) / 1, 0, 1)
    np.testing.assert_allclose(course(ramp, 30), expected, rtol=1e-14)
    assert course(ramp, 1, first=2**40)[0] == 20.0
    np.testing.assert_array_equal(course(ramp.between(1.0, 2.0), 30)[[9, 20]], [0.0, 0.0])


def test_a_sinusoid_and_its_millionth_period():
    wave = I.Sinusoid(2.0, frequency=8.0, phase=0.3, mean=1.0)
    k = np.arange(50) + 10**10
    phase = 2 * np.pi * ((k * 8 % 10000) / 10000) + 0.3  # 125 ms are 1250 steps
    found = course(wave, 50, first=10**10)
    np.testing.assert_allclose(found, 1 + 2 * np.sin(phase), atol=1e-8)  # 8e6 cycles in float64
    assert wave.extremes() == (-1.0, 3.0)


@pytest.mark.parametrize("first", [0, 10**9])
def test_edges_of_a_square_wave_are_on_the_grid(first):
    square = I.Square(3.0, frequency=1000 / 0.7, duty=3 / 7, mean=1.0)
    np.testing.assert_array_equal(
        course(square, 70, first=first - first % 7), 10 * [4, 4, 4, -2, -2, -2, -2]
    )


def test_signals_add_multiply_and_are_cut():
    a, b = dd.Steps([0.1], [2.0]), dd.Steps([0.2], [3.0])
    np.testing.assert_array_equal(course(a + b, 3), [0, 2, 5])
    np.testing.assert_array_equal(course(1 - a * b, 3), [1, 1, -5])
    np.testing.assert_array_equal(course(a + (lambda t: 10 * t), 3), [0, 3, 4])
    np.testing.assert_array_equal(course(np.array([1.0, 2.0]) * a - 1, 2), [[-1, -1], [1, 3]])
    np.testing.assert_array_equal(course((a + 5).between(0.1, 0.2), 3), [0, 7, 0])
    np.testing.assert_array_equal(course((-a).clip(-1.0), 3), [0, -1, -1])
    assert (a + b).extremes() == (0.0, 5.0)
    assert (2 * a - b).extremes() == (-3.0, 4.0)
    assert (-a).clip(low=-1.0).extremes() == (-1.0, 0.0)
    assert (0 * I.OU(5.0, 1.0)).extremes() == (0.0, 0.0)
    assert (np.array([1.0, 2.0]) * a).count == 2


# --- noise ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("tau, dt", [(10.0, 1.0), (5.0, 0.1), (0.5, 1.0), (0.01, 1.0)])
def test_an_ou_process_is_exact_on_the_grid(tau, dt, seed):
    """x(k + 1) = a x(k) + sqrt(1 - a^2) z: residuals of variance 1 - a^2 that know no past."""
    n, steps, sigma, mean = 2000, 60, 5**0.5, 3.0
    found = I.OU(tau, sigma, mean).sample(steps * dt, dt, targets=range(n), seed=seed)
    x, a = found - mean, np.exp(-dt / tau)
    residual = x[1:] - a * x[:-1]
    m = residual.size
    for values, expected in ((residual**2, sigma**2 * (1 - a * a)), (x[[0, -1]] ** 2, sigma**2)):
        assert values.mean() == pytest.approx(expected, abs=4 * expected * (2 / values.size) ** 0.5)
    if (tau, dt) == (10.0, 1.0):
        assert sigma**2 * (1 - a * a) == pytest.approx(0.90634623, abs=1e-8)
    assert abs(x.mean(0).mean()) < 4 * x.mean(0).std() / n**0.5
    scale = residual.std() * sigma
    for lag in (1, 2, 7, 32):  # no correlation with what was before, however long ago
        product = residual[lag - 1 :] * x[: steps - lag]
        assert abs(product.mean()) < 4 * scale / product.size**0.5
        apart = residual[lag:] * residual[:-lag]
        assert abs(apart.mean()) < 4 * residual.var() / m**0.5 * 1.5


def test_an_ou_process_decorrelates_over_anchors(seed):
    """Steps on both sides of a multiple of 2^13, where the process is drawn first."""
    tau = 10.0
    values = I.OU(tau, 1.0).sample(40.0, 0.1, start=819.2 - 20, targets=range(4000), seed=seed)
    before, after = values[150], values[250]  # 10 ms apart
    found = (before * after).mean()
    assert found == pytest.approx(np.exp(-1), abs=4 * (1 + np.exp(-2)) ** 0.5 / 4000**0.5)


def test_a_wiener_process_starts_at_0_and_spreads(seed):
    n = 4000
    x = I.Wiener(sigma=2.0).sample(6.4, 0.1, targets=range(n), seed=seed)
    assert (x[0] == 0).all()
    steps = np.array([1, 2, 3, 16, 31, 63])
    expected = 4 * 0.1 * steps
    np.testing.assert_allclose(x[steps].var(1), expected, rtol=4 * (2 / n) ** 0.5)
    covariance = (x[20] * x[50]).mean()  # var of the earlier one
    assert covariance == pytest.approx(4 * 2.0, abs=4 * (8 * 20 + 64) ** 0.5 / n**0.5)
    increments = np.diff(x, axis=0)
    assert increments.var() == pytest.approx(0.4, rel=4 * (2 / increments.size) ** 0.5)
    late = I.Wiener(sigma=1.0).sample(0.1, 0.1, start=1e6, targets=range(n), seed=seed)
    assert late.var() == pytest.approx(1e6, rel=4 * (2 / n) ** 0.5)


@pytest.mark.parametrize("dt", [0.1, 1.0])
def test_the_integral_of_white_noise_does_not_know_the_step(dt, seed):
    n = 4000
    x = I.WhiteNoise(sigma=3.0, mean=2.0).sample(10.0, dt, targets=range(n), seed=seed)
    integral = x.sum(0) * dt
    assert integral.mean() == pytest.approx(20.0, abs=4 * (90 / n) ** 0.5)
    assert integral.var() == pytest.approx(90.0, rel=4 * (2 / n) ** 0.5)


@pytest.mark.parametrize("noise", [I.OU(5.0, 1.0), I.Wiener(1.0), I.WhiteNoise(1.0)])
def test_noise_is_a_function_of_the_step_and_the_target(noise):
    whole = noise.sample(30.0, 0.1, targets=range(300), seed=4, path="a")
    part = noise.sample(7.0, 0.1, start=11.0, targets=[299, 3], seed=4, path="a")
    np.testing.assert_array_equal(part, whole[110:180][:, [299, 3]])
    assert (noise.sample(1.0, 0.1, seed=5, path="a") != whole[:10, 0])[1:].all()
    assert (noise.sample(1.0, 0.1, seed=4, path="b") != whole[:10, 0])[1:].all()


def test_one_object_is_one_noise_and_two_are_two():
    x, y = I.OU(5.0, 1.0), I.OU(5.0, 1.0)
    np.testing.assert_array_equal((x - x).sample(1.0, 0.1), np.zeros(10))
    assert (x - y).sample(1.0, 0.1).all()


class Noisy(dd.Network):
    """Cells that add up their currents: V' = I."""

    def __init__(self, n=700):
        cell = dd.LIF(C_m=1.0, tau_m=1e18, E_L=0.0, V_th=np.inf, V_reset=0.0, t_ref=0.0)
        self.A, self.B = dd.Population(n, cell, V=0.0), dd.Population(n, cell, V=0.0)
        ramp = I.Ramp(0.0, 50.0, 1.0, 2.0)
        own = I.OU(tau=5.0, sigma=10.0) + ramp
        self.own = dd.CurrentInput((self.A[: n - 1], self.B[::7]), own)
        self.shared = dd.CurrentInput((self.B, self.A), I.OU(2.0, 10.0, shared=True) * 2)
        rate = I.OU(5.0, 500.0, mean=2000.0).clip(0.0, 1e4)
        self.G = dd.Population(50, dd.Poisson(rate=rate))
        self.drive = dd.PoissonInput(self.A, rate, dd.Delta(), weight=1.0)


def run_noisy(durations=(4.0,), **options):
    runner = dd.DSRunner(
        Noisy(), dt=0.1, seed=3, precision="float64", record=["spikes", "A.V", "B.V"], **options
    )
    parts = [runner.run(T).gather() for T in durations]
    traces = {p: np.concatenate([r.traces[f"{p}.V"].value for r in parts]) for p in "AB"}
    spikes = [np.concatenate([getattr(r.spikes["G"], c) for r in parts]) for c in ("step", "id")]
    return traces, spikes, runner


@pytest.fixture(scope="module")
def noisy():
    return run_noisy()


def test_a_network_has_the_noise_of_its_seed_and_path(noisy):
    V, network = noisy[0]["B"], Noisy()
    received = np.diff(np.concatenate([np.zeros((1, 700)), V]), axis=0) / 0.1
    shared = network.shared.current.sample(4.0, 0.1, seed=3, path="shared")
    own = network.own.current.sample(4.0, 0.1, seed=3, path="own", targets=range(699, 799))
    np.testing.assert_allclose(received[:, 1], shared, atol=1e-10)
    np.testing.assert_allclose(received[:, ::7], shared[:, None] + own, atol=1e-10)
    assert own.std() > 5 and shared.std() > 5


def test_noise_is_the_same_on_any_devices_in_any_parts_of_the_run(noisy):
    traces, spikes, runner = noisy
    found = run_noisy((0.1, 1.6, 2.3), devices=3)
    for path in "AB":
        np.testing.assert_array_equal(found[0][path], traces[path])
    np.testing.assert_array_equal(found[1], spikes)
    assert len(spikes[0]) > 200
    runner.reset(seed=4)
    other = runner.run(4.0).gather().traces["B.V"].value
    assert not (other[:, 1] == traces["B"][:, 1]).any()
    runner.reset(seed=3)
    np.testing.assert_array_equal(runner.run(4.0).gather().traces["B.V"].value, traces["B"])


def test_a_rate_may_be_noise_that_is_clipped(seed):
    """An OU rate makes the counts of a second vary more than Poisson's: Cox (1955)."""

    class Doubly(dd.Network):
        def __init__(self):
            rate = I.OU(tau=50.0, sigma=10.0, mean=50.0).clip(0.0, 200.0)
            self.G = dd.Population(1000, dd.Poisson(rate=rate))

    spikes = dd.DSRunner(Doubly(), dt=1.0, seed=seed, record="spikes").run(1000.0).spikes["G"]
    counts = np.bincount(spikes.id, minlength=1000)
    # var of the integral of an OU process over T: 2 sigma^2 tau (T - tau (1 - exp(-T / tau)))
    extra = 2 * 10.0**2 * 50.0 * (1000.0 - 50.0) * 1e-6
    assert counts.mean() == pytest.approx(50.0, abs=4 * (59.5 / 1000) ** 0.5)
    variance = 50.0 * (1 - 0.05 * 1.04) + extra  # one spike per step at most: p (1 - p)
    assert counts.var() == pytest.approx(variance, rel=4 * (2 / 1000) ** 0.5)


@pytest.mark.parametrize(
    "rate, words", [(I.OU(5.0, 1.0, mean=9.0), "-inf Hz"), (I.Sinusoid(2.0, 5.0), "-2 Hz")]
)
def test_a_rate_that_can_be_negative_is_refused(rate, words):
    population = dd.Population(3, dd.LIF())
    with pytest.raises(ParameterError, match=words):
        dd.PoissonInput(population, rate, dd.Exponential(), weight=1.0)


def test_rows_for_another_number_of_targets_are_refused():
    population = dd.Population(3, dd.LIF())
    with pytest.raises(ParameterError, match="for 2 targets, but there are 3"):
        dd.CurrentInput(population, dd.Steps([0.0], [[1.0, 2.0]]))


# --- trains --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [0.5, 1.0, 4.0, np.inf])
def test_trains_have_their_rate_and_regularity(shape, seed):
    n, rate, duration = 400, 25.0, 4000.0
    id, time = I.trains(n, rate, duration, shape=shape, seed=seed)
    assert (np.diff(time) >= 0).all() and time.min() > 0 and time.max() <= duration
    counts = np.bincount(id, minlength=n)
    slack = 4 * (100 / min(shape, 50) / n) ** 0.5  # of many intervals: variance count CV^2
    assert counts.mean() == pytest.approx(100.0, abs=slack)
    order = np.lexsort((time, id))
    intervals = np.diff(time[order])[np.diff(id[order]) == 0]
    cv = intervals.std() / intervals.mean()
    # long intervals end beyond the 4 s now and then: 2 %
    assert cv == pytest.approx(shape**-0.5, abs=0.02 * max(shape**-0.5, 1e-9))
    early = (time < 20.0).sum() / n / 0.02  # in equilibrium from the first moment on
    assert early == pytest.approx(rate, abs=4 * (25 / 0.02 / n / min(shape, 1.0)) ** 0.5)


def test_trains_follow_a_rate_that_changes(seed):
    rate = I.Sinusoid(30.0, frequency=2.0, mean=30.0)
    for given in (rate, lambda t: 30.0 + 30.0 * np.sin(2 * np.pi * t / 500.0)):
        _, time = I.trains(200, given, 2000.0, seed=seed)
        found = np.histogram(time % 500.0, 10, (0, 500))[0] / (200 * 4 * 0.05)
        edges = np.linspace(0, 2 * np.pi, 11)
        expected = 30 - 30 * np.diff(np.cos(edges)) / np.diff(edges)
        np.testing.assert_allclose(found, expected, atol=4 * (60 / (200 * 4 * 0.05)) ** 0.5)


def test_a_train_depends_on_its_number_alone_and_can_be_played():
    id, time = I.trains(5, [10.0, 20.0, 0.0, 40.0, 80.0], 1000.0, dt=0.1, seed=2)
    more = I.trains(4, [10.0, 20.0, 0.0, 40.0], 1000.0, dt=0.1, seed=2)
    np.testing.assert_array_equal(time[id < 4], more.time)
    assert 2 not in id and len(set(id)) == 4

    class Played(dd.Network):
        def __init__(self):
            self.G = dd.Population(5, dd.SpikeTimes(id, time))

    spikes = dd.DSRunner(Played(), dt=0.1, record="spikes").run(1000.0).spikes["G"]
    np.testing.assert_array_equal(spikes.id, id)
    np.testing.assert_allclose(spikes.time, time, rtol=1e-12)
