"""The signal that reaches prefrontal cortex, or does not: Joglekar et al. (2018), figs 2 and 3."""

import numpy as np
import pytest

import distdyn as dd
from distdyn.errors import NameLookupError
from distdyn.zoo import by_name
from distdyn.zoo.joglekar import Joglekar, areas


def rates(network, duration=2500.0):
    # The weakest response is 0.006 Hz on top of 10 Hz.
    record = [dd.every(1.0, "E.r"), dd.every(1.0, "I.r")]
    runner = dd.DSRunner(network, dt=0.2, precision="float64", record=record)
    recording = runner.run(duration)
    return recording.traces["E.r"].value, recording.traces["I.r"].value


def test_the_matrix_is_the_published_one():
    """536 of 812 connections exist, with strengths over five orders of magnitude."""
    names, hierarchy, fln = areas()
    assert (names[0], names[-1], len(names)) == ("V1", "24c", 29)
    assert (np.diff(hierarchy) > 0).all()
    assert (fln > 0).sum() == 536 and np.diag(fln).max() == 0.0
    assert fln.sum(1).max() < 1.0 and fln.max() / fln[fln > 0].min() > 1e5


def test_strong_balanced_amplification_carries_a_signal_up_the_hierarchy():
    """With pulses that raise V1 by 100 Hz: 24c by 1e-4 of that or less, and 100 times more."""
    ratio = {}
    for balance in ("weak", "strong"):
        r_E, r_I = rates(by_name("joglekar")(balance))
        np.testing.assert_allclose(r_E[:490], 10.0, atol=1e-3)  # at rest, before
        np.testing.assert_allclose(r_I[:490], 35.0, atol=1e-3)
        peak = r_E.max(0) - 10.0
        assert peak[0] == pytest.approx(100.0, abs=0.5)
        ratio[balance] = peak[-1] / peak[0]
        # And after: the slowest mode of either has a time constant of 0.8 or 1.1 s.
        assert np.abs(r_E[-1] - 10.0).max() < 3.0 < np.abs(r_E[750] - 10.0).max()
    assert 3e-5 < ratio["weak"] < 1e-4
    assert 0.005 < ratio["strong"] < 0.02
    assert ratio["strong"] > 100 * ratio["weak"]


@pytest.mark.parametrize(
    "mu_EE, w_EI, runs_away",
    [
        pytest.param(33.7, 19.7, False, id="weak"),
        pytest.param(36.0, 19.7, True, id="stronger excitation between areas alone"),
        pytest.param(36.0, 25.2, False, id="with stronger inhibition within them"),
    ],
)
def test_excitation_needs_the_balance(mu_EE, w_EI, runs_away):
    """The largest eigenvalues are -0.0013, 0.0070 and -0.0165 per ms."""
    r_E, _ = rates(Joglekar("weak", mu_EE=mu_EE, w_EI=w_EI, pulse=1.0))
    before, last = (np.abs(r_E[k] - 10.0).max() for k in (2399, 2499))
    if runs_away:
        assert np.log(last / before) / 100.0 == pytest.approx(0.0070, abs=1e-4)
    else:
        assert last < 0.01


def test_another_matrix():
    """Two areas of which the second hears nothing stays at rest."""
    fln = np.array([[0.0, 0.1], [0.0, 0.0]])
    network = Joglekar("weak", fln=fln, hierarchy=0.0)
    r_E, _ = rates(network, 800.0)
    np.testing.assert_allclose(r_E[:, 1], 10.0, atol=1e-3)
    assert r_E[740, 0] > 30.0
    with pytest.raises(NameLookupError, match='"weak" or "strong"'):
        Joglekar("medium")
