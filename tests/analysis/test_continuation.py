"""Branches of equilibria and their bifurcations: normal forms, and models with known numbers.

Numbers without a formula beside them are those that MatCont prints, or of an independent
computation with scipy; the digits that are printed hold.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd
from distdyn.analysis.continuation import Steps
from tests.analysis.families import (
    analyzer,
    hodgkin_huxley,
    lorenz,
    morris_lecar,
    scalar,
    wong_wang,
)


class FitzHughNagumo(dd.ODE):
    """V' = V - V^3/3 - w + I ;  w' = (V + a - b w) / tau."""

    a: float = 0.7
    b: float = 0.8
    tau: float = 12.5
    I: float = 0.0

    class State(NamedTuple):
        V: jax.Array
        w: jax.Array

    def init(self, id, key):
        return self.State(V=jnp.asarray(0.0), w=jnp.asarray(0.0))

    def derivative(self, t, s, drive):
        V = s.V - s.V**3 / 3 - s.w + self.I + drive.current
        return self.State(V=V, w=(s.V + self.a - self.b * s.w) / self.tau)


def kinds(branches):
    """How many special points of each kind there are."""
    found = [point.kind for point in branches.points()]
    return {kind: found.count(kind) for kind in found}


def test_fitzhugh_nagumo_has_two_hopf_points_and_nothing_else():
    branches = dd.DSAnalyzer(FitzHughNagumo()).continuation("I", (0.0, 2.0))
    assert len(branches) == 1
    assert kinds(branches) == {"H": 2}
    V = np.sqrt(1 - 0.8 / 12.5) * np.array([-1, 1])  # the trace is 0
    w = (V + 0.7) / 0.8
    points = branches.points("H")
    np.testing.assert_allclose([p.value for p in points], w - V + V**3 / 3, rtol=0, atol=1e-11)
    np.testing.assert_allclose([p.x for p in points], np.stack([V, w], 1), atol=1e-11)
    assert sum(p.value for p in points) == pytest.approx(1.75, abs=1e-12)
    for p in points:
        assert p.omega == pytest.approx(0.2755068057, abs=1e-10)
        assert p.lyapunov == pytest.approx(0.971971, abs=1e-6)
        assert p.state["V"] == p.x[0]
    assert points[0].lyapunov == pytest.approx(points[1].lyapunov, rel=1e-9)
    (branch,) = branches
    between = (branch.values > points[0].value) & (branch.values < points[1].value)
    np.testing.assert_array_equal(branch.stable, ~between)
    assert branch.values[[0, -1]].tolist() == [0.0, 2.0]
    assert branch.ends == ("bound", "bound")
    V, w = branch.x.T
    np.testing.assert_allclose(V - V**3 / 3 - w + branch.values, 0, atol=1e-12)
    for k, p in zip(branch.at, branch.special, strict=True):
        assert branch.values[k] <= p.value <= branch.values[k + 1]


def test_morris_lecar_has_the_two_hopf_points_of_matcont():
    an = analyzer(morris_lecar, {"V": -60.0, "w": 0.0}, I=0.0, V3=2.0)
    branches = an.continuation("I", (0.0, 300.0))
    assert kinds(branches) == {"H": 2}
    first, second = branches.points("H")
    assert first.value == pytest.approx(93.857618, abs=1e-6)
    assert second.value == pytest.approx(212.018816, abs=1e-6)
    np.testing.assert_allclose(first.x, [-25.270105, 0.139673], atol=1e-6)
    np.testing.assert_allclose(second.x, [7.800664, 0.595491], atol=1e-6)
    assert first.omega == pytest.approx(0.0797798, abs=1e-7)
    assert second.omega == pytest.approx(0.1486022, abs=1e-7)
    # MatCont prints omega l1, at points that it knows to 4e-6.
    assert first.omega * first.lyapunov == pytest.approx(5.220142e-4, rel=1e-6)
    assert second.omega * second.lyapunov == pytest.approx(5.451161e-4, rel=1e-6)


def test_the_hopf_points_of_hodgkin_and_huxley_move_with_the_reversal_of_the_leak():
    found = {}
    for E_L in (-54.401, -54.387):
        an = analyzer(
            hodgkin_huxley, {"V": -65.0, "m": 0.05, "h": 0.6, "n": 0.32},
            I=0.0, E_K=-77.0, E_L=E_L, phi=1.0,
        )  # fmt: skip
        branches = an.continuation("I", (0.0, 200.0))
        assert kinds(branches) == {"H": 2}
        found[E_L] = branches.points("H")
    first, second = found[-54.401]
    assert first.value == pytest.approx(9.77963799, abs=1e-8)
    assert first.x[0] == pytest.approx(-59.6541436, abs=1e-7)
    assert first.omega == pytest.approx(0.5862338, abs=1e-7)
    assert first.lyapunov == pytest.approx(0.01479, abs=1e-5)
    assert second.value == pytest.approx(154.52663, abs=1e-5)
    assert second.x[0] == pytest.approx(-43.058092, abs=1e-6)
    assert second.omega == pytest.approx(1.0629218, abs=1e-7)
    assert second.lyapunov < 0
    for a, b in zip(*found.values(), strict=True):  # the current of the leak is -0.3 E_L
        assert (b.value - a.value) / 0.014 == pytest.approx(-0.3, abs=1e-8)


def test_the_models_of_the_package_are_analysed_as_they_are():
    jansen_rit = dd.DSAnalyzer(dd.JansenRit()).continuation("p", (-50.0, 400.0))
    assert kinds(jansen_rit) == {"LP": 2, "H": 3}  # Grimbert & Faugeras (2006), figure 5
    hopf = [p.value for p in jansen_rit.points("H")]
    np.testing.assert_allclose(hopf, [-12.15, 89.83, 315.70], atol=0.005)
    folds = [p.value for p in jansen_rit.points("LP")]
    np.testing.assert_allclose(folds, [-41.30, 113.59], atol=0.005)


def test_the_symmetric_decision_loses_its_symmetry_at_two_pitchforks():
    an = analyzer(wong_wang, {"s1": 0.1, "s2": 0.1}, mu=0.0, c=0.0)
    branches = an.continuation("mu", (0.0, 60.0), box={"s1": (0, 1), "s2": (0, 1)})
    assert kinds(branches) == {"BP": 2}
    first, second = branches.points("BP")
    # Where the derivative of s1 - s2 by itself is zero: by mpmath, with 30 digits.
    assert first.value == pytest.approx(5.590132167937, abs=1e-11)
    assert second.value == pytest.approx(37.800478712180, abs=1e-11)
    for point in (first, second):
        assert point.x[0] == pytest.approx(point.x[1], abs=1e-9)
    # The symmetric branch; two of a choice; one that turns at each pitchfork.
    assert len(branches) == 5
    turning = [b for b in branches if b.values[0] == b.values[-1]]
    assert sorted((b.values[0], b.special[0].value) for b in turning) == [
        (0.0, first.value), (60.0, second.value),
    ]  # fmt: skip
    for branch in turning:
        (k,) = branch.at
        away = np.linalg.norm(branch.x - branch.special[0].x, axis=1)
        assert min(away[k : k + 2]) < 0.03
        assert np.argmin(away) in (k, k + 1)
        np.testing.assert_allclose(branch.x[0], branch.x[-1][::-1], atol=1e-9)  # the mirror


def test_coherence_ends_the_wrong_choice_at_a_fold():
    an = analyzer(wong_wang, {"s1": 0.1, "s2": 0.1}, mu=40.0, c=0.0)
    branches = an.continuation("c", (-1.0, 1.0), box={"s1": (0, 1), "s2": (0, 1)})
    assert len(branches) == 1  # the five states at c = 0 lie on one curve
    (branch,) = branches
    assert kinds(branches) == {"LP": 4}
    values = np.array([p.value for p in branches.points("LP")])
    np.testing.assert_allclose(values, -values[::-1], atol=1e-9)
    assert values[-1] == pytest.approx(0.5585651, abs=1e-7)
    np.testing.assert_allclose(branches.points("LP")[-1].x, [0.1119005, 0.6524259], atol=1e-7)
    at_one = branch.x[branch.values == 1.0]
    np.testing.assert_allclose(at_one, [[0.76089530, 0.00247571]], atol=1e-8)


def test_lorenz_has_subcritical_hopf_points_where_the_formula_says():
    an = analyzer(lorenz, {"x": 1.0, "y": 0.5, "z": 0.0}, rho=0.0)
    branches = an.continuation("rho", (0.0, 30.0))
    assert kinds(branches) == {"BP": 1, "H": 2}
    (origin,) = branches.points("BP")
    assert origin.value == pytest.approx(1.0, abs=1e-12)
    b = 8 / 3
    rho = 10 * (10 + b + 3) / (10 - b - 1)
    x = np.sqrt(b * (rho - 1))
    for point in branches.points("H"):
        sign = np.sign(point.x[0])
        assert point.value == pytest.approx(rho, abs=1e-10)
        np.testing.assert_allclose(point.x, [sign * x, sign * x, rho - 1], atol=1e-9)
        assert point.omega == pytest.approx(np.sqrt(b * (10 + rho)), abs=1e-10)
        assert point.lyapunov > 0
    assert sum(p.x[0] for p in branches.points("H")) == pytest.approx(0, abs=1e-9)
    assert branches.points("H")[0].lyapunov == pytest.approx(branches.points("H")[1].lyapunov)


def test_a_fold_and_its_coefficient():
    branches = scalar(lambda x, p: p["a"] + x - x**3).continuation("a", (-1.0, 1.0))
    assert kinds(branches) == {"LP": 2}
    for point, sign in zip(branches.points("LP"), (-1, 1), strict=True):
        assert point.value == pytest.approx(sign * 2 / 27**0.5, abs=1e-12)
        assert point.x[0] == pytest.approx(-sign / 3**0.5, abs=1e-10)
        assert abs(point.coefficients["a"]) == pytest.approx(3**0.5, abs=1e-9)  # f'' / 2
    (branch,) = branches
    np.testing.assert_array_equal(branch.stable, abs(branch.x[:, 0]) > 3**-0.5)


@pytest.mark.parametrize("power", [2, 3], ids=["transcritical", "pitchfork"])
def test_branches_that_cross_are_followed(power):
    branches = scalar(lambda x, p: p["a"] * x - x**power, a=-1.0).continuation("a", (-1.0, 1.0))
    assert kinds(branches) == {"BP": 1}
    (point,) = branches.points("BP")
    assert abs(point.value) < 1e-12 and abs(point.x[0]) < 1e-12
    trivial, other = branches
    assert np.all(trivial.x == 0)
    np.testing.assert_allclose(other.x[:, 0] ** (power - 1), other.values, atol=1e-10)
    assert sorted(other.x[[0, -1], 0]) == pytest.approx([-1, 1])
    assert point is trivial.special[0] and point is other.special[0]
    stable = (other.x[:, 0] > 0) if power == 2 else np.ones(len(other), bool)
    np.testing.assert_array_equal(other.stable, stable & (other.values != 0))


def test_a_pitchfork_that_is_imperfect_is_a_fold():
    branches = scalar(lambda x, p: p["a"] * x - x**3 + 1e-3).continuation(
        "a", (-1.0, 1.0), box={"x": (-2, 2)}
    )
    assert kinds(branches) == {"LP": 1}
    assert branches.points("LP")[0].value == pytest.approx(3 * (1e-3 / 2) ** (2 / 3), abs=1e-12)
    assert len(branches) == 2


def test_a_closed_branch_is_followed_once():
    branches = scalar(lambda x, p: x**2 + p["a"] ** 2 - 1, x=0.9).continuation("a", (-2.0, 2.0))
    (branch,) = branches
    assert branch.is_closed
    assert kinds(branches) == {"LP": 2}
    np.testing.assert_allclose([p.value for p in branches.points()], [-1, 1], atol=1e-12)
    angle = np.unwrap(np.arctan2(branch.x[:, 0], branch.values))
    assert abs(angle[-1] - angle[0]) == pytest.approx(2 * np.pi)


def test_a_branch_may_begin_at_a_fold():
    an = scalar(lambda x, p: p["a"] - x**2, a=0.0)
    branches = an.continuation("a", (-1.0, 1.0), starts=[[0.0]])
    (branch,) = branches
    assert kinds(branches) == {"LP": 1}
    assert branches.points()[0].value == pytest.approx(0, abs=1e-15)
    assert sorted(branch.x[[0, -1], 0]) == pytest.approx([-1, 1])


def test_a_closed_branch_beside_the_ends_is_met_in_a_box():
    def ring_and_line(s, p):
        x, y = s["x"], s["y"]
        return {"x": (x**2 + (p["a"] - 0.3) ** 2 - 0.25) * (x - 2), "y": -y}

    an = analyzer(ring_and_line, {"x": 2.0, "y": 0.0}, a=-1.0)
    assert len(an.continuation("a", (-1.0, 1.0))) == 1
    branches = an.continuation("a", (-1.0, 1.0), box={"x": (-3, 3), "y": (-1, 1)})
    assert sorted(branch.is_closed for branch in branches) == [False, True]
    folds = [point.value for point in branches.points("LP")]
    np.testing.assert_allclose(folds, [-0.2, 0.8], atol=1e-10)


def hopf(s, p):
    """r' = r (a + sigma r^2), phi' = 2."""
    growth = p["a"] + p["sigma"] * (s["x"] ** 2 + s["y"] ** 2)
    return {"x": growth * s["x"] - 2 * s["y"], "y": growth * s["y"] + 2 * s["x"]}


@pytest.mark.parametrize("own", [-0.4, 0.0], ids=["beside", "begun-at-the-point"])
def test_a_hopf_point_and_its_coefficient(own):
    an = analyzer(hopf, {"x": 0.0, "y": 0.0}, a=own, sigma=-3.0)
    branches = an.continuation("a", (-1.0, 1.0))
    assert kinds(branches) == {"H": 1}
    (point,) = branches.points("H")
    assert point.value == pytest.approx(0.0, abs=1e-12)
    assert point.omega == pytest.approx(2.0)
    assert point.lyapunov == pytest.approx(2 * -3.0 / 2.0)  # with |q| = 1: 2 sigma / omega


def test_a_hopf_point_among_many_variables_is_found_in_any_coordinates():
    n = 24
    rng = np.random.default_rng(3)
    T = np.linalg.qr(rng.normal(size=(n, n)))[0]
    decay = np.linspace(-3, -0.5, n - 2)

    def mixed(s, p):
        z = T.T @ s["z"]
        growth = p["a"] - z[0] ** 2 - z[1] ** 2 - 0.3 * z[2] ** 2
        turn = jnp.stack([growth * z[0] - 2 * z[1], growth * z[1] + 2 * z[0]])
        return {"z": T @ jnp.concatenate([turn, decay * z[2:]])}

    an = analyzer(mixed, {"z": np.full(n, 0.01)}, a=-0.4)
    branches = an.continuation("a", (-1.0, 1.0))
    assert kinds(branches) == {"H": 1}
    (point,) = branches.points("H")
    assert point.value == pytest.approx(0.0, abs=1e-10)
    assert point.lyapunov == pytest.approx(-1.0, abs=1e-8)
    assert np.sum(point.eigenvalues.real < -0.4) == n - 2


def test_a_neutral_saddle_is_no_bifurcation():
    def saddle(s, p):
        return {"x": s["x"] - s["x"] ** 3 + 0.1 * s["y"], "y": (p["a"] - 1) * s["y"]}

    branches = analyzer(saddle, {"x": 0.0, "y": 0.0}, a=-0.4).continuation(
        "a", (-0.5, 0.5), starts=[[0.0, 0.0]]
    )
    assert len(branches) == 1
    values = np.prod(branches[0].eigenvalues.sum(axis=1)[[0, -1]].real)
    assert values < 0  # the sum passes zero
    assert branches.points() == []


def test_steps_may_be_chosen():
    an = scalar(lambda x, p: p["a"] - x)
    coarse = an.continuation("a", (0.0, 1.0))
    fine = an.continuation("a", (0.0, 1.0), steps=Steps(largest=0.005))
    few = an.continuation("a", (0.0, 1.0), steps=Steps(number=3))
    assert len(fine[0]) > 3 * len(coarse[0])
    assert few[0].ends[1] == "steps"


def test_a_cell_that_is_reset_is_followed_up_to_its_threshold():
    an = dd.DSAnalyzer(dd.LIF())
    cell = dd.LIF()
    (branch,) = an.continuation("I_e", (0.0, 1000.0))
    assert branch.ends[1] == "bound"
    assert branch.x[-1, 0] == pytest.approx(cell.V_th)
    rheobase = cell.C_m / cell.tau_m * (cell.V_th - cell.E_L)
    assert branch.values[-1] == pytest.approx(rheobase)
