"""Rate models: published cycles, fixed points in closed form, exact responses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd

RK4 = dd.RK4()
DT = 0.01
PAPER = {"k_e": 1.0 - 1.0 / (1.0 + np.exp(5.2)), "k_i": 1.0 - 1.0 / (1.0 + np.exp(7.4))}


class Driven(dd.Network):
    """Rate models side by side, two of them with an input."""

    def __init__(self):
        self.cycle = dd.Population(1, dd.WilsonCowan(method=RK4))
        self.paper = dd.Population(1, dd.WilsonCowan(**PAPER, method=RK4))
        self.slow = dd.Population(1, dd.WilsonCowan(tau_e=8.0, tau_i=8.0, method=RK4))
        focus = focus_of(15.0, -5.0)
        mean_field = dd.QIFMeanField(method=RK4)
        self.ring = dd.Population(1, mean_field, r=focus[0] + 1e-5, v=focus[1])
        self.switched = dd.Population(1, mean_field)
        self.linear = dd.Population(2, dd.ThresholdLinear(theta=40.0))
        self.on = dd.CurrentInput(self.switched, dd.Steps([10.0, 40.0], [3.0, 0.0]))
        self.steps = dd.CurrentInput(self.linear, np.array([140.0, 30.0]))


def fixed_points(J, eta):
    """(r, v) of all fixed points (tau = Delta = 1): the roots of a polynomial in r."""
    roots = np.roots([-(np.pi**2), J, eta, 0.0, 1.0 / (4.0 * np.pi**2)])
    rates = np.sort(roots.real[(np.abs(roots.imag) < 1e-9) & (roots.real > 0.0)])
    return [(float(r), float(-1.0 / (2.0 * np.pi * r))) for r in rates]


def focus_of(J, eta):
    return fixed_points(J, eta)[-1]


@pytest.fixture(scope="module")
def recording():
    record = ["cycle.E", "paper.E", "slow.E", "ring.r", "switched.r", "linear.r"]
    return dd.DSRunner(Driven(), dt=DT, record=record, precision="float64").run(200.0)


def values(recording, name):
    return recording.traces[name].value[:, 0]


def period_of(E, level=0.2):
    """By the first and last upward crossing, interpolated."""
    up = np.flatnonzero((E[:-1] < level) & (E[1:] >= level))
    at = up + (level - E[up]) / (E[up + 1] - E[up])
    return DT * (at[-1] - at[0]) / (len(at) - 1)


def test_WilsonCowan_has_the_limit_cycle_of_the_paper(recording):
    late = values(recording, "cycle.E")[10_000:]
    assert late.min() == pytest.approx(0.101523, abs=2e-6)
    assert late.max() == pytest.approx(0.271487, abs=2e-6)
    assert period_of(late) == pytest.approx(5.00341, abs=2e-5)
    assert period_of(values(recording, "paper.E")[10_000:]) == pytest.approx(4.995894, abs=2e-5)
    slow, cycle = values(recording, "slow.E"), values(recording, "cycle.E")
    np.testing.assert_allclose(slow[7::8], cycle[:2500], atol=1e-6)  # 8 times as slow


def test_WilsonCowan_rests_at_zero_without_input():
    model = dd.WilsonCowan(P=0.0)
    rest = model.derivative(0.0, model.State(jnp.zeros(()), jnp.zeros(())), dd.Drive())
    assert [float(x) for x in rest] == [0.0, 0.0]
    driven = model.derivative(0.0, model.init(0, None), dd.Drive(1.25))
    given = dd.WilsonCowan().derivative(0.0, model.init(0, None), dd.Drive())
    np.testing.assert_array_equal(driven, given)


@pytest.mark.parametrize("J, eta, count", [(15.0, -5.0, 3), (15.0, -10.0, 1), (0.0, 2.0, 1)])
def test_QIFMeanField_has_its_fixed_points_and_eigenvalues(J, eta, count):
    points = fixed_points(J, eta)
    assert len(points) == count
    with jax.enable_x64(True):
        model = dd.QIFMeanField(J=J, eta=eta)

        def slope(y):
            return jnp.stack(model.derivative(0.0, model.State(*y), dd.Drive()))

        for r, v in points:
            np.testing.assert_allclose(slope(jnp.array([r, v])), 0.0, atol=1e-9)
            found = np.linalg.eigvals(jax.jacfwd(slope)(jnp.array([r, v])))
            split = np.emath.sqrt(2.0 * r * (J - 2.0 * np.pi**2 * r))
            exact = np.array([2.0 * v + split, 2.0 * v - split])
            np.testing.assert_allclose(np.sort_complex(found), np.sort_complex(exact), atol=1e-9)
    if J == 0.0:  # no coupling: the mean of Lorentzian rates sqrt(drive) / pi
        exact = np.sqrt(eta + np.hypot(eta, 1.0)) / (np.sqrt(2.0) * np.pi)
        assert points[0][0] == pytest.approx(exact, abs=1e-12)


def test_QIFMeanField_rings_with_its_eigenvalues(recording):
    r, v = focus_of(15.0, -5.0)
    omega = np.sqrt(2.0 * r * (2.0 * np.pi**2 * r - 15.0))
    t = recording.traces["ring.r"].time
    exact = 1e-5 * np.exp(2.0 * v * t) * np.cos(omega * t)
    early = t < 15.0
    np.testing.assert_allclose((values(recording, "ring.r") - r)[early], exact[early], atol=2e-8)
    assert 1000.0 * omega / (2.0 * np.pi) == pytest.approx(528.2, abs=0.1)  # Hz, for tau = 1 ms


def test_QIFMeanField_is_switched_by_an_input_and_stays(recording):
    low, _, high = (r for r, _ in fixed_points(15.0, -5.0))
    rate = values(recording, "switched.r")
    assert rate[900] == pytest.approx(low, abs=1e-6)
    driven = fixed_points(15.0, -2.0)
    assert len(driven) == 1
    assert rate[3990] == pytest.approx(driven[0][0], abs=5e-3)
    assert rate[-1] == pytest.approx(high, abs=1e-6)


def test_ThresholdLinear_follows_what_is_above_its_threshold(recording):
    trace = recording.traces["linear.r"]
    exact = 0.066 * 100.0 * -np.expm1(-trace.time / 20.0)
    np.testing.assert_allclose(trace.value[:, 0], exact, atol=1e-9)  # ExpEuler is exact here
    assert (trace.value[:, 1] == 0.0).all()
