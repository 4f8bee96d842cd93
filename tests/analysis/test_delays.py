"""Characteristic roots, against Lambert's W, Hopf points in closed form, and runs of the model."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import lambertw

import distdyn as dd
from distdyn.analysis.delays.linear import Linear
from distdyn.analysis.delays.rightmost import rightmost


def scalar(a: float, b: float, tau: float) -> Linear:
    """x' = a x + b x(t - tau)."""
    return Linear(np.array([[a]]), np.array([[[b]]]), np.array([tau]))


class MackeyGlass(dd.ODE):
    """x' = beta x(t - tau) / (1 + x(t - tau)^10) - gamma x; at rest x = 1 with these numbers."""

    beta: float = 0.2
    gamma: float = 0.1
    tau: float = 17.0
    x_0: float = 0.9

    class State(NamedTuple):
        x: jax.Array

    def init(self, id, key):
        return self.State(x=jnp.asarray(self.x_0))

    def derivative(self, t, s, drive, past):
        x = past("x", self.tau)
        return self.State(x=self.beta * x / (1.0 + x**10) - self.gamma * s.x)


class Pair(dd.ODE):
    """r_i' = -r_i + tanh(w r_j(t - d_i)), with a delay that the state lengthens."""

    w: float = -2.0
    delay: Any = None
    longest: float = 10.0

    class State(NamedTuple):
        r: jax.Array

    def init(self, id, key):
        return self.State(r=jnp.zeros(2))

    def derivative(self, t, s, drive, past):
        return self.State(r=jnp.tanh(self.w * past("r", self.delay + s.r**2)[::-1]) - s.r)


@pytest.mark.parametrize(
    "a, b, tau, count",
    [(0.0, -1.0, 1.0, 10), (-1.0, 0.5, 20.0, 20), (0.3, 2.0, 3.0, 10), (0.0, -1.0, 1.0, 60),
     (-1.0, -5.0, 100.0, 10), (-2.0, 1.0, 0.01, 5)],
)  # fmt: skip
def test_roots_of_a_scalar_equation_are_those_of_lambert(a, b, tau, count):
    found = rightmost(scalar(a, b, tau), count).values
    z = a + lambertw(b * tau * np.exp(-a * tau), np.arange(-300, 300)) / tau
    z = z[np.lexsort((z.imag, np.round(-z.real, 10)))][: len(found)]
    assert len(found) >= count
    assert np.abs(found - z).max() <= 1e-12 * (1.0 + np.abs(z).max())


def test_a_delayed_negative_feedback_turns_at_a_quarter_period():
    found = rightmost(scalar(0.0, -1.0, np.pi / 2), 2).values
    assert np.abs(found - [-1j, 1j]).max() <= 1e-14


def test_a_double_root_counts_twice():
    found = rightmost(scalar(0.0, -np.exp(-1.0), 1.0), 4).values  # y' = -y(t - 1) / e
    assert np.abs(found[:2] + 1.0).max() <= 1e-6 and found[2].real < -3.0


def test_roots_of_a_system_are_zeros_of_its_determinant():
    """Three delays of very different lengths, four variables; compared with many more nodes."""
    rng = np.random.default_rng(0)
    linear = Linear(rng.normal(size=(4, 4)) - 2.0 * np.eye(4), rng.normal(size=(3, 4, 4)),
                    np.array([0.05, 0.7, 4.0]))  # fmt: skip
    found = rightmost(linear, 12)
    for z, v in zip(found.values, found.vectors, strict=True):
        assert np.linalg.norm(linear.delta(z) @ v) <= 1e-12 * linear.largest(z.real)
    more = rightmost(linear, 40).values
    assert np.abs(more[: len(found.values)] - found.values).max() <= 1e-12


def test_where_nothing_is_fed_back_there_are_as_many_roots_as_variables():
    linear = Linear(np.diag([-1.0, -2.0]), np.array([[[0.0, 3.0], [0.0, 0.0]]]), np.array([5.0]))
    assert np.allclose(rightmost(linear, 6).values, [-1.0, -2.0], atol=1e-13)


def test_the_equilibrium_of_mackey_and_glass_loses_its_stability_where_it_should():
    a, b = -0.1, -0.4  # of the linear equation at x = 1
    omega = np.sqrt(b**2 - a**2)
    at_hopf = np.arccos(-a / b) / omega
    an = dd.DSAnalyzer(MackeyGlass(tau=at_hopf))
    roots = an.characteristic_roots({"x": 0.95})
    assert roots.x[0] == pytest.approx(1.0, abs=1e-14)
    assert np.abs(roots.values[:2] - [-1j * omega, 1j * omega]).max() <= 1e-13
    for tau, label, unstable in ((4.6, "stable focus", 0), (17.0, "saddle-focus", 2)):
        roots = an.characteristic_roots(np.array([1.0]), parameters={"tau": tau})
        assert (roots.stability, roots.n_unstable) == (label, unstable)


def test_fixed_points_of_a_system_with_delays_have_characteristic_roots():
    an = dd.DSAnalyzer(MackeyGlass())
    points = an.fixed_points(box={"x": (-0.5, 1.5)})
    assert np.allclose(points.x[:, 0], [0.0, 1.0], atol=1e-12)
    assert points.eigenvalues[0, 0].imag == 0.0 and points.eigenvalues[0, 0].real > 0.0
    roots = an.characteristic_roots(points.x[1])
    assert np.allclose(points.eigenvalues[1, :2], roots.values[:2], atol=1e-13)
    stable = an.fixed_points(box={"x": (0.5, 1.5)}, parameters={"tau": 4.0})
    assert stable.stability == ("stable focus",)


def test_a_cell_that_its_own_past_drives_has_the_stability_that_its_page_says():
    an = dd.DSAnalyzer(dd.FeedbackFHN())
    rest = an.field.state
    for mu, period in ((-0.4944, 20.69), (0.6141, 11.33)):
        inside, outside = (
            an.characteristic_roots(rest, parameters={"mu": mu * part}) for part in (0.999, 1.001)
        )
        assert inside.n_unstable == 0 and outside.n_unstable == 2
        assert 2.0 * np.pi / outside.values[1].imag == pytest.approx(period, abs=0.01)


def test_growth_in_a_run_is_that_of_the_rightmost_root():
    model = MackeyGlass(tau=6.0, x_0=1.0 + 1e-7, method=dd.RK4())
    (z, *_) = dd.DSAnalyzer(model).characteristic_roots({"x": 1.0}).values
    runner = dd.DSRunner(model, dt=0.01, precision="float64", record=[dd.every(1.0, "x")])
    x = np.ravel(runner.run(200.0).traces["x"].value)[50:] - 1.0
    # y(t + 2) - 2 Re(e^z) y(t + 1) + |e^z|^2 y(t) = 0 of a pair that is alone
    (c, d), *_ = np.linalg.lstsq(np.stack([x[1:-1], x[:-2]], axis=1), x[2:], rcond=None)
    assert c == pytest.approx(2.0 * np.exp(z).real, abs=1e-6)
    assert -d == pytest.approx(abs(np.exp(z)) ** 2, abs=1e-6)


def test_every_entry_has_its_own_delay_and_one_of_the_state_is_taken_as_it_is():
    delay = np.array([1.0, 3.0])
    an = dd.DSAnalyzer(Pair(delay=delay))
    roots = an.characteristic_roots(np.zeros(2), count=6)
    # r_0 and r_1 form a loop: (z + 1)^2 = w^2 exp(-z (1 + 3)), as two scalar equations
    z = roots.values
    assert np.abs((z + 1.0) ** 2 - 4.0 * np.exp(-4.0 * z)).max() <= 1e-11
    assert np.allclose(roots.linear.delays, delay)


def test_roots_are_drawn_and_saved(tmp_path):
    roots = dd.DSAnalyzer(MackeyGlass()).characteristic_roots({"x": 1.0})
    assert roots.plot().axes[0].get_xlabel() == "real part (1/ms)"
    roots.save(tmp_path / "roots.h5")
    assert (tmp_path / "roots.h5").exists() and "MackeyGlass at x = 1" in repr(roots)


def test_what_knows_no_past_says_so():
    an = dd.DSAnalyzer(MackeyGlass())
    for question in (
        lambda: an.continuation("tau", (1.0, 20.0)),
        lambda: an.lyapunov_spectrum(100.0),
        lambda: an.phase_plane(box={"x": (0.0, 1.0)}),
        lambda: an.basins({"x": (0.0, 1.0)}),
        lambda: an.slow_points(np.ones((3, 1))),
    ):
        with pytest.raises(dd.DistDynError, match="MackeyGlass has delays"):
            question()
    with pytest.raises(dd.DistDynError, match="no equilibrium near"):
        dd.DSAnalyzer(MackeyGlass(gamma=-0.1)).characteristic_roots({"x": 5.0})


def test_without_delays_the_roots_are_eigenvalues():
    an = dd.DSAnalyzer(dd.FitzHughNagumo(I_e=0.5))
    point = an.fixed_points(box={"V": (-3, 3), "w": (-1, 3)})
    roots = an.characteristic_roots(point.x[0])
    assert np.allclose(roots.values, point.eigenvalues[0], atol=1e-13)
    assert roots.stability == point.stability[0]
