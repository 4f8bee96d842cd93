"""Linear cells on the grid are integrated exactly: closed forms, for every step."""

import numpy as np
import pytest

import distdyn as dd

C, TAU_M, W = 250.0, 10.0, 100.0  # pF, ms, pA

# Potentials of a current of 100 pA with tau_syn = 2 ms; Rotter & Diesmann (1999), Biol. Cybern. 81,
# 381. The alpha function at 5.7 ms after the arrival is that of NEST's test_iaf_psp.
ALPHA = {
    0.1: 0.0026205333259779,
    1.0: 0.189241665220962,
    2.7: 0.761661726323997,
    5.0: 1.22416348781855,
    10.0: 1.13552725694541,
    20.0: 0.458460941168328,
}
ALPHA_PEAK = 6.65099764615921, 1.30006624761737
EXPONENTIAL = {
    1.0: 0.298306758323326,
    5.0: 0.524445661088735,
    10.0: 0.361141494172357,
    20.0: 0.135289883306850,
}
EXPONENTIAL_PEAK = 4.02359478108525, 0.534992243981138
EXACT = 1e-12  # rounding of some hundred steps in double precision
SINGLE = 2e-6  # the same in single precision


def passive():
    return dd.LIF(C_m=C, tau_m=TAU_M, E_L=0.0, V_th=np.inf, V_reset=0.0, t_ref=0.0)


def on_grid(table, dt):
    return {round(t / dt): V for t, V in table.items() if abs(t / dt - round(t / dt)) < 1e-9}


@pytest.mark.parametrize(
    "dt, precision, tolerance",
    [
        *((dt, "float64", EXACT) for dt in (0.1, 0.2, 0.5, 1.0)),
        (0.1, "float32", SINGLE),
        *(pytest.param(dt, "float32", SINGLE, marks=pytest.mark.slow) for dt in (0.2, 0.5, 1.0)),
    ],
)
@pytest.mark.parametrize(
    "synapse, table", [(dd.Alpha(tau=2.0), ALPHA), (dd.Exponential(tau=2.0), EXPONENTIAL)]
)
def test_potential_of_one_spike(response, synapse, table, dt, precision, tolerance):
    V = response(passive(), synapse, weight=W, dt=dt, duration=20.0, precision=precision)
    expected = on_grid(table, dt)
    assert len(expected) >= 4
    assert V[0] == 0.0
    for k, value in expected.items():
        np.testing.assert_allclose(V[k], value, rtol=tolerance, err_msg=f"t = {k * dt} ms")


@pytest.mark.parametrize(
    "synapse, peak", [(dd.Alpha(tau=2.0), ALPHA_PEAK), (dd.Exponential(tau=2.0), EXPONENTIAL_PEAK)]
)
def test_peak_of_the_potential(response, synapse, peak):
    time, height = peak
    V = response(passive(), synapse, weight=W, dt=time / 64, duration=2 * time)
    assert np.argmax(V) == 64
    np.testing.assert_allclose(V[64], height, rtol=EXACT)


def test_equal_rise_and_decay_is_the_alpha_function(response):
    arguments = {"weight": W, "dt": 0.1, "duration": 20.0}
    double = response(passive(), dd.DualExponential(tau_rise=2.0, tau_decay=2.0), **arguments)
    alpha = response(passive(), dd.Alpha(tau=2.0), **arguments)
    np.testing.assert_allclose(double, alpha, rtol=1e-9, atol=1e-12)


def exponential_potential(t, tau_syn):
    """w / C e^(-t / tau_m) (1 - e^(-a t)) / a, a = 1 / tau_syn - 1 / tau_m; no digit is lost."""
    x = (1 / tau_syn - 1 / TAU_M) * t
    return W / C * np.exp(-t / TAU_M) * t * (-np.expm1(-x) / x if x else 1.0)


def alpha_potential(t, tau_syn):
    """w e / (C tau_syn) e^(-t / tau_m) (1 - (1 + x) e^-x) / a^2, x = a t; as a series in x."""
    x = (1 / tau_syn - 1 / TAU_M) * t
    series = 1 / 2 - x / 3 + x**2 / 8 - x**3 / 30 + x**4 / 144
    return W * np.e / (C * tau_syn) * np.exp(-t / TAU_M) * t**2 * series


@pytest.mark.parametrize("precision, tolerance", [("float64", 1e-9), ("float32", 1e-5)])
@pytest.mark.parametrize("shift", [0.0, 1e-10, -1e-10, 1e-6, -1e-6, 1e-3, -1e-3])
@pytest.mark.parametrize(
    "synapse, potential",
    [(dd.Exponential, exponential_potential), (dd.Alpha, alpha_potential)],
)
def test_time_constants_that_nearly_coincide(
    response, synapse, potential, shift, precision, tolerance
):
    tau = TAU_M + shift
    V = response(passive(), synapse(tau=tau), weight=W, dt=0.1, duration=20.0, precision=precision)
    assert np.isfinite(V).all()
    for t in (10.0, 20.0):
        expected = potential(t, tau)
        np.testing.assert_allclose(V[round(t / 0.1)], expected, rtol=tolerance)


def test_closed_forms_of_the_singular_case():
    """The forms above against numbers of 50 digits arithmetic."""
    assert exponential_potential(10.0, 10.0) == pytest.approx(1.47151776468577, rel=1e-14)
    assert exponential_potential(10.0, 10.0 + 1e-6) == pytest.approx(1.471517838261653, rel=1e-14)
    assert alpha_potential(10.0, 10.0) == pytest.approx(2.0, rel=1e-14)
    assert alpha_potential(20.0, 10.0) == pytest.approx(2.94303552937154, rel=1e-14)
    assert alpha_potential(10.0, 10.0 + 1e-6) == pytest.approx(1.999999933333332, rel=1e-14)


@pytest.mark.parametrize(
    "halvings", [pytest.param(k, marks=[pytest.mark.slow] if k % 2 else []) for k in range(14)]
)
def test_constant_current_does_not_depend_on_the_step(driven, halvings):
    """V(t) = R I (1 - e^(-t / tau_m)), R I = 40 mV, for dt = 1, 1/2, ..., 2^-13 ms."""
    dt = 2.0**-halvings
    cell = dd.LIF(C_m=C, tau_m=TAU_M, E_L=0.0, V_th=np.inf, V_reset=0.0, t_ref=0.0, I_e=1000.0)
    runner = dd.DSRunner(driven(1, cell, V=0.0), dt=dt, precision="float64")
    # Each step rounds; the propagator keeps the sum of the errors below 1e-13 at 5 ms, 1e-9 later.
    runner.run(5.0)
    assert abs(runner["N"].V[0] + 40 * np.expm1(-0.5)) < 1e-13
    runner.run(495.0)
    assert abs(runner["N"].V[0] + 40 * np.expm1(-50.0)) < 1e-9


# Current (pA): steps between spikes and spikes in one second, from the closed form of the interval
# t_ref + tau_m ln(R I / (R I - theta)), rounded up to the grid after the refractory steps.
FIRING = {
    374.0: (None, 0),
    380.0: (454, 22),
    400.0: (298, 33),
    450.0: (200, 50),
    500.0: (159, 63),
    750.0: (90, 111),
    1000.0: (68, 147),
    1450.0: (50, 200),
    3000.0: (34, 294),
}


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_rate_against_current(driven, precision):
    cell = dd.LIF(
        C_m=C, tau_m=TAU_M, E_L=0.0, V_th=15.0, V_reset=0.0, t_ref=2.0, I_e=np.array([*FIRING])
    )
    runner = dd.DSRunner(
        driven(len(FIRING), cell, V=0.0), dt=0.1, record="N.spikes", precision=precision
    )
    spikes = runner.run(1000.0).gather().spikes["N"]
    for i, (current, (interval, count)) in enumerate(FIRING.items()):
        steps = spikes.step[spikes.id == i]
        assert len(steps) == count, f"{current} pA"
        assert (np.diff(steps) == interval).all(), f"{current} pA"
    # The train of NEST's regression test ticket 80: 4.8 ms + k 6.8 ms.
    train = spikes.step[spikes.id == [*FIRING].index(1000.0)]
    np.testing.assert_array_equal(train, 48 + 68 * np.arange(147))
