"""The squid axon by every kind of integrator: N10 of the table of checks.

Expected times are those at which DOP853 and Radau (rtol 1e-12) agree to 1e-11; a spike is stamped
with the end of the step in which V rises through 0 mV.
"""

import jax
import numpy as np
import pytest

import distdyn as dd
from tests.core.equations import HodgkinHuxley

CROSSINGS = np.array(
    [
        1.900971952,
        16.822582650,
        31.471826641,
        46.109001560,
        60.745283012,
        75.381498294,
        90.017708676,
    ]
)
EXPONENTIAL_EULER = [1.94, 16.94, 31.66, 46.37, 61.08, 75.79, 90.50]  # of order 1, on the grid


def spike_times(method, dt=0.01, precision="float64", n=1, **parameters):
    model = HodgkinHuxley(method=method, **parameters)

    class Axons(dd.Network):
        def __init__(self):
            self.A = dd.Population(n, model)

    options = {"dt": dt, "precision": precision, "record": "A.spikes", "progress": "off"}
    spikes = dd.DSRunner(Axons(), **options).run(100.0).spikes["A"]
    return [spikes.time[spikes.id == k] for k in range(n)]


@pytest.mark.parametrize(
    "method, late, precision",
    [
        (dd.RK4(), 0.01, "float64"),
        (dd.CrankNicolson(), 0.01, "float32"),
        pytest.param(dd.RK4(), 0.01, "float32", marks=pytest.mark.slow),
        pytest.param(dd.DormandPrince(), 0.01, "float32", marks=pytest.mark.slow),
        pytest.param(dd.BackwardEuler(), 0.03, "float64", marks=pytest.mark.slow),
    ],
    ids=["RK4", "CrankNicolson", "RK4-32", "DormandPrince", "BackwardEuler"],
)
def test_spike_times_of_the_squid_axon(method, late, precision):
    """At the first step after the crossing; of order 1, at most two steps beside it."""
    (times,) = spike_times(method, precision=precision)
    assert len(times) == 7
    beside = times - CROSSINGS
    assert (beside <= late).all() and (beside >= 0.01 - late).all()


@pytest.mark.parametrize("precision", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
def test_spike_times_by_exponential_euler(precision):
    """Step by step: V and gates from old values."""
    (times,) = spike_times(dd.ExpEuler(), precision=precision)
    np.testing.assert_allclose(times, EXPONENTIAL_EULER, atol=1e-9)


def test_number_of_spikes_by_current():
    found = spike_times(dd.RK4(), n=4, I=np.array([7.0, 10.0, 15.0, 20.0]))
    assert [len(times) for times in found] == [6, 7, 8, 9]


def test_state_of_the_squid_axon_in_chosen_steps():
    """To what is printed of the reference."""
    with jax.enable_x64(True):
        model = HodgkinHuxley()
        f = lambda t, y: model.derivative(t, y, dd.Drive(0.0))  # noqa: E731
        y = dd.integrate(f, model.init(0, None), [0.0, 5.0], rtol=1e-10, atol=1e-12)
        found = [float(x[-1]) for x in y]
    np.testing.assert_allclose(found, [-75.05820541, 0.02158112, 0.14422361, 0.68913376], atol=6e-9)
