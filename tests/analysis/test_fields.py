"""EEG and LFP by proxies: sums by hand, and exact responses of the filters."""

import numpy as np
import pytest

import distdyn as dd

M = dd.measure


def test_eeg_is_the_lead_field_times_the_potentials_against_their_mean():
    potential = np.array([[1.0, 2.0], [3.0, -1.0]])
    lead_field = np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 3.0]])
    seen = np.array([[1.0, 1.5, 6.0], [3.0, 1.0, -3.0]])
    expected = seen - seen.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(M.eeg(potential, lead_field), expected, rtol=1e-15)
    np.testing.assert_array_equal(M.eeg(potential), potential)
    np.testing.assert_allclose(M.eeg(potential, lead_field).sum(axis=1), 0.0, atol=1e-14)


def test_eeg_of_JansenRit_shows_alpha():
    """The peak of its spectrum: 10.94 Hz at p = 220 Hz, as scipy's solution has it."""
    record = [dd.every(2.0, "y1"), dd.every(2.0, "y2")]
    traces = dd.DSRunner(dd.JansenRit(method=dd.RK4()), dt=1.0, record=record).run(12_000.0).traces
    v = M.eeg(traces["y1"].value - traces["y2"].value)[1000:, 0]
    power = np.abs(np.fft.rfft((v - v.mean()) * np.hanning(len(v)))) ** 2
    peak = np.fft.rfftfreq(len(v), 0.002)[power.argmax()]
    assert peak == pytest.approx(10.94, abs=0.11)


def test_lfp_of_rates_follows_steps_and_ramps_exactly():
    t = np.arange(0.0, 100.0, 0.5)
    ramp, none = np.maximum(t - 20.0, 0.0), np.zeros(len(t))
    late = np.maximum(t - 26.0, 0.0)  # by 6 ms
    excitation = late - 2.0 * -np.expm1(-late / 2.0)
    np.testing.assert_allclose(M.lfp_of_rates(ramp, none, 0.5)[:, 0], excitation, atol=1e-12)
    here = np.maximum(t - 20.0, 0.0)
    inhibition = 1.65 * (here - 5.0 * -np.expm1(-here / 5.0))
    np.testing.assert_allclose(M.lfp_of_rates(none, ramp, 0.5)[:, 0], inhibition, atol=1e-12)
    both = M.lfp_of_rates(np.stack([ramp, none], 1), np.stack([none, ramp], 1), 0.5)
    np.testing.assert_allclose(both, np.stack([excitation, inhibition], 1), atol=1e-12)
    constant = M.lfp_of_rates(none + 3.0, none + 2.0, 0.5, alpha=1.0)
    np.testing.assert_allclose(constant, 5.0, rtol=1e-14)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: M.eeg(np.zeros((3, 2)), np.zeros((4, 3))), "2 areas, the lead field 3"),
        (lambda: M.eeg(np.array([np.inf])), "finite"),
        (lambda: M.lfp_of_rates(np.zeros(3), np.zeros(4), 1.0), "one shape"),
        (lambda: M.lfp_of_rates(np.zeros(3), np.zeros(3), 1.0, tau=(0.0, 5.0)), "tau > 0"),
        (lambda: M.lfp_of_rates(np.zeros(3), np.zeros(3), -1.0), "dt = -1"),
    ],
)
def test_what_does_not_fit_is_refused(call, words):
    with pytest.raises(dd.DistDynError, match=words):
        call()
