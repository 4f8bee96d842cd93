"""Whole brains: their functional connectivity is what theory says, and fits their structure."""

from typing import Any

import numpy as np
import pytest

import distdyn as dd
from distdyn.errors import NameLookupError, ParameterError
from distdyn.zoo import by_name
from distdyn.zoo.whole_brain import WholeBrain, generated


class Several(dd.Network):
    """Brains beside each other, to be run at once."""

    def __init__(self, *brains):
        self.at = brains


def linear_theory(W, a, omega, delays):
    """The functional connectivity of x of linear Stuart-Landau regions with noise in x.

    The covariance is the integral of |T|^2 over frequency, T the response of x to noise in x:

        (i w - a + G_i + omega^2 / (i w - a)) x_i - sum_j W_ji exp(-i w d_ji) x_j = noise_i
    """
    n, u = len(W), np.linspace(-7.0, 7.0, 4001)
    covariance = np.zeros((n, n))
    for w, dw in zip(0.02 * np.sinh(u), np.cosh(u), strict=True):  # up to 11 radians / ms
        own = 1j * w - a + W.sum(0) + omega**2 / (1j * w - a)
        T = np.linalg.inv(np.diag(own) - (W * np.exp(-1j * w * delays)).T)
        covariance += (T @ T.conj().T).real * dw
    scale = np.sqrt(np.diag(covariance))
    return covariance / np.outer(scale, scale)


def test_connectivity_of_hopf_regions_is_that_of_the_linear_theory():
    """Below the bifurcation, with delays up to 14 ms: 100 s are about 1000 independent values.

    So that each correlation is known to 0.03. Without delays the theory says 0.45 on average.
    """
    G, n = 0.3, 30
    brain = by_name("whole_brain")(G=G, regions=n, connectome=3)
    runner = dd.DSRunner(brain, dt=0.5, seed=1, record=[dd.every(5.0, "regions.x")])
    x = runner.run(102_000.0).traces["regions.x"].value[400:]
    found = dd.measure.functional_connectivity(x)
    C, L = generated(n, 3)
    W = C * G * n / C.sum()
    upper = np.triu_indices(n, 1)
    theory, instant = (
        linear_theory(W, -0.005, 2 * np.pi * 0.01, d)[upper] for d in (np.rint(L / 10.0), 0.0 * L)
    )
    assert instant.mean() > 0.4 and theory.std() > 0.04  # there is something to find
    assert found[upper].mean() == pytest.approx(theory.mean(), abs=0.01)
    assert np.sqrt(np.mean((found[upper] - theory) ** 2)) < 0.03
    assert np.corrcoef(found[upper], theory)[0, 1] > 0.9


def test_bold_fits_structure_best_below_the_critical_coupling():
    """Deco et al. (2013): near the coupling at which the low activity is lost, and not beyond.

    Linear theory of slow fluctuations, with 400 s of BOLD, says 0.1, 0.7 and 0.25.
    """
    n = 20
    C, _ = generated(n, 2)
    brains = {
        G: WholeBrain("ReducedWongWang", G, speed="inf", noise=3e-4, regions=n, connectome=2)
        for G in (0.1, 0.6, 1.2)
    }
    paths = [f"at.{k}.regions.S" for k in range(3)]
    record = [dd.every(10.0, path) for path in paths]
    runner = dd.DSRunner(Several(*brains.values()), dt=2.0, seed=1, record=record)
    recording = runner.run(420_000.0)
    fit, open_channels = [], []
    for path in paths:
        S = recording.traces[path].value
        bold = dd.measure.bold(S, dt=10.0, every=1000.0)[20:]  # the hemodynamics have settled
        fit.append(dd.measure.matrix_correlation(dd.measure.functional_connectivity(bold), C))
        open_channels.append(S[2000:].mean(0))
    low, critical, high = open_channels
    assert low.max() < 0.045 and critical.max() < 0.1 and high.min() > 0.5
    assert fit[1] > 0.5
    assert fit[1] > fit[0] + 0.2 and fit[1] > fit[2] + 0.2


def test_wilson_cowan_regions_rest_or_oscillate_together():
    """By their eigenvalues regions rest at E = 0.0239 with G = 2, and cannot rest with G = 3.

    At rest linear theory says a fit to structure of 0.99, which 100 s of noise bring down to 0.86.
    """
    C, _ = generated(20, 2)
    brains = [
        WholeBrain("WilsonCowan", G, speed="inf", noise=0.01, regions=20, connectome=2)
        for G in (2.0, 3.0)
    ]
    record = [dd.every(5.0, f"at.{k}.regions.E") for k in range(2)]
    recording = dd.DSRunner(Several(*brains), dt=1.0, seed=1, record=record).run(101_000.0)
    rest, rhythm = (recording.traces[f"at.{k}.regions.E"].value[200:] for k in range(2))
    assert rest.mean() == pytest.approx(0.02389, rel=0.005)
    fc = dd.measure.functional_connectivity(rest)
    assert dd.measure.matrix_correlation(fc, C) > 0.75
    assert rest.std(0).max() < 0.002 and rhythm.std(0).max() > 0.05


def test_a_given_connectome_and_a_model_of_ones_own(tmp_path):
    """A chain of three units: one drives the next, 5 ms later."""
    C, L = np.zeros((3, 3)), np.full((3, 3), 50.0)
    C[0, 1] = C[1, 2] = 1.0
    np.save(tmp_path / "C.npy", C)
    np.savetxt(tmp_path / "L.txt", L)
    drive: Any = np.array([1.0, 0.0, 0.0])
    unit = dd.ThresholdLinear(tau=1.0, beta=1.0, I_e=drive)
    brain = WholeBrain(unit, 1.5, weights=str(tmp_path / "C.npy"), lengths=tmp_path / "L.txt")
    r = (
        dd.DSRunner(brain, dt=0.1, record=[dd.every(0.1, "regions.r")])
        .run(60.0)
        .traces["regions.r"]
    )
    # G is the mean of the sums of weights: 2 of 3 regions have one, of 1.5 * 3 / 2.
    np.testing.assert_allclose(r.value[-1], [1.0, 2.25, 2.25**2], rtol=1e-4)
    begin = [r.time[np.argmax(x > 0)] for x in r.value.T]
    np.testing.assert_allclose(np.diff(begin), 5.0, atol=0.11)


def test_two_devices_give_the_same_states():
    def states(devices):
        brain = WholeBrain(regions=30)
        runner = dd.DSRunner(brain, dt=0.5, seed=3, devices=devices, record=["regions.x"])
        return runner.run(200.0).traces["regions.x"].value

    np.testing.assert_array_equal(states(1), states(2))


def test_what_is_wrong_is_said():
    with pytest.raises(NameLookupError, match="StuartLandau, WilsonCowan, ReducedWongWang"):
        WholeBrain("Kuramoto")
    with pytest.raises(ParameterError, match=r"Give a square matrix"):
        WholeBrain(weights=np.ones((2, 3)))
    with pytest.raises(ParameterError, match=r"weights without lengths"):
        WholeBrain(weights=np.ones((3, 3)))
