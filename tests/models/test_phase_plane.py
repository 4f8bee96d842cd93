"""Cells without dimensions: their periods and bursts, and the onset of firing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq

import distdyn as dd
from tests.models import references
from tests.models.references import crossings
from tests.models.side_by_side import spike_times

DT = 0.02
CELLS = {
    "FitzHughNagumo": dd.FitzHughNagumo(I_e=0.5, method=dd.RK4()),
    "HindmarshRose": dd.HindmarshRose(I_e=2.0, method=dd.RK4()),
}


@pytest.fixture(scope="module")
def times():
    return spike_times(CELLS, dt=DT, duration=1400.0)


def test_FitzHughNagumo_has_its_period(times):
    """39.474414980, by many turns: the grid costs a step in all."""
    crossed = times["FitzHughNagumo"]
    assert len(crossed) == 36
    period = (crossed[-1] - crossed[5]) / (len(crossed) - 6)
    assert period == pytest.approx(39.474414980, abs=DT / 30)
    exact, _ = crossings(
        references.fitzhugh_nagumo, [-1.19940804, -0.62426004], V_th=1.0, duration=200.0, I=0.5
    )
    np.testing.assert_allclose(crossed[: len(exact)], np.ceil(exact / DT) * DT, atol=1e-9)


def test_FitzHughNagumo_rests_and_loses_its_rest_at_a_Hopf_bifurcation():
    with jax.enable_x64(True):
        model = dd.FitzHughNagumo()
        rest = model.derivative(0.0, model.init(0, None), dd.Drive())
        np.testing.assert_allclose(rest, 0.0, atol=1e-8)

        def derivative(y):
            return jnp.stack(model.derivative(0.0, model.State(*y), dd.Drive()))

        def trace(V):
            return float(jnp.trace(jax.jacfwd(derivative)(jnp.array([V, 0.0]))))

        V = brentq(trace, -1.2, -0.5)
        I = (V + 0.7) / 0.8 - V + V**3 / 3
        assert V == pytest.approx(-np.sqrt(1.0 - 0.08 * 0.8), abs=1e-9)
        assert pytest.approx(0.331, abs=5e-4) == I


def test_HindmarshRose_bursts_when_scipy_says(times):
    golden = (1.0 + np.sqrt(5.0)) / 2.0
    start = [-golden, 1.0 - 5.0 * golden**2, 0.0]
    exact, _ = crossings(references.hindmarsh_rose, start, V_th=1.0, duration=1400.0, I=2.0)
    found = times["HindmarshRose"]
    np.testing.assert_allclose(found, exact, atol=0.05)
    # After the first long one, bursts of a few spikes and pauses of hundreds of ms.
    later = found[found > 600.0]
    pauses = np.flatnonzero(np.diff(later) > 200.0)
    assert len(pauses) == 1
    first = later[: pauses[0] + 1]
    assert len(first) == 9 and 100.0 < first[-1] - first[0] < 200.0
