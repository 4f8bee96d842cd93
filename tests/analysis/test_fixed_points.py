"""All fixed points in a box, none else, with their labels: cases with known answers."""

from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd
from distdyn.analysis.field import VectorField
from distdyn.analysis.points.fixed_points import distinct
from distdyn.errors import AnalysisError, NameLookupError
from distdyn.run.store import read_arrays
from tests.analysis.systems import Lorenz, Ring, plane, wells, wong_wang

FHN_BOX = {"V": (-3.0, 3.0), "w": (-2.0, 3.0)}
UNIT_SQUARE = {"S1": (0.0, 1.0), "S2": (0.0, 1.0)}
HOPF = 0.3312813375


@pytest.fixture(scope="module")
def fitzhugh_nagumo():
    return dd.DSAnalyzer(dd.FitzHughNagumo())


@pytest.fixture(scope="module")
def decisions():
    return dd.DSAnalyzer(wong_wang(0.0)).slice(("S1", "S2"))


@pytest.mark.parametrize(
    "I_e, label", [(0.3, "stable focus"), (0.4, "unstable focus"), (0.6, "unstable node")]
)
def test_fitzhugh_nagumo_has_one(fitzhugh_nagumo, I_e, label):
    found = fitzhugh_nagumo.fixed_points(FHN_BOX, parameters={"I_e": I_e})
    assert found.stability == (label,)
    V, w = found.x[0]
    assert abs(V - V**3 / 3 - w + I_e) < 1e-14
    assert abs(V + 0.7 - 0.8 * w) < 1e-14


def test_fitzhugh_nagumo_is_a_center_where_it_begins_to_oscillate(fitzhugh_nagumo):
    found = fitzhugh_nagumo.fixed_points(FHN_BOX, parameters={"I_e": HOPF})
    assert found.stability == ("center",)
    np.testing.assert_allclose(found.state["V"], -np.sqrt(1 - 0.8 / 12.5), atol=1e-9)
    np.testing.assert_allclose(found.state["w"], -0.3343386622, atol=1e-9)
    np.testing.assert_allclose(found.eigenvalues.imag.max(), 0.2755068057, atol=1e-9)


def chosen(decisions, mu_0, coherence=0.0):
    return decisions.fixed_points(UNIT_SQUARE, parameters=dict(mu_0=mu_0, coherence=coherence))


def test_wong_wang_with_a_choice(decisions):
    found = chosen(decisions, 20.0)
    assert found.stability == ("stable node", "saddle", "stable node")
    np.testing.assert_allclose(
        found.x, [[0.0080901, 0.68153985], [0.36038209] * 2, [0.68153985, 0.0080901]], atol=1e-8
    )
    per_second = 1e3 * found.eigenvalues[1].real
    np.testing.assert_allclose(per_second, [16.25795, -3.53323], atol=1e-5)


def test_wong_wang_with_a_choice_and_indecision(decisions):
    found = chosen(decisions, 40.0)
    assert found.stability == ("stable node", "saddle", "stable node", "saddle", "stable node")
    np.testing.assert_allclose(found.x[2], [0.55855765] * 2, atol=1e-8)
    np.testing.assert_allclose(found.x[:, 0], found.x[::-1, 1], atol=1e-12)


def test_wong_wang_with_a_clear_stimulus(decisions):
    found = chosen(decisions, 40.0, 100.0)
    assert found.stability == ("stable node",)
    np.testing.assert_allclose(found.x, [[0.7608953, 0.00247571]], atol=1e-8)


def test_lorenz():
    box = {"x": (-20.0, 20.0), "y": (-25.0, 25.0), "z": (-5.0, 50.0)}
    found = dd.DSAnalyzer(Lorenz()).fixed_points(box)
    c = 8.4852813742
    np.testing.assert_allclose(found.x, [[-c, -c, 27.0], [0.0] * 3, [c, c, 27.0]], atol=1e-9)
    assert found.stability == ("saddle-focus", "saddle", "saddle-focus")
    pair = 0.09395562 + 10.19450522j
    for k in (0, 2):
        values = np.sort_complex(found.eigenvalues[k])
        np.testing.assert_allclose(values, [-13.85457791, pair.conjugate(), pair], atol=1e-8)


def test_hodgkin_huxley_at_rest_is_unstable():
    found = dd.DSAnalyzer(dd.HodgkinHuxley(E_L=-54.401, I_e=10.0)).fixed_points(
        {"V": (-80.0, 40.0)}
    )
    assert found.stability == ("saddle-focus",)
    np.testing.assert_allclose(found.state["V"], -59.572141, atol=1e-6)
    np.testing.assert_allclose(found.eigenvalues[0, 0].real, 0.004123, atol=1e-6)
    np.testing.assert_allclose(abs(found.eigenvalues[0, 0].imag), 0.588328, atol=1e-6)


def check_wells(found, Q, k=3):
    y = found.x @ Q
    places = np.round(y[:, :k] / 0.9575040241)
    np.testing.assert_allclose(y[:, :k], 0.9575040241 * places, atol=1e-10)
    np.testing.assert_allclose(y[:, k:], 0.0, atol=1e-10)
    assert len(found) == len({tuple(row) for row in places}) == 3**k
    np.testing.assert_array_equal(found.n_unstable, (places == 0).sum(axis=1))
    np.testing.assert_allclose(found.eigenvalues[found.n_unstable > 0, 0].real, 1.0, atol=1e-10)


def test_27_in_100_dimensions():
    field, Q = wells(100)
    found = dd.DSAnalyzer(field).fixed_points({"x": (-2.0, 2.0)}, n_starts=40 * 27)
    check_wells(found, Q)
    assert Counter(found.n_unstable.tolist()) == {0: 8, 1: 12, 2: 6, 3: 1}
    assert Counter(found.stability) == {"stable node": 8, "saddle": 19}


@pytest.mark.slow
def test_27_in_1000_dimensions():
    field, Q = wells(1000)
    check_wells(dd.DSAnalyzer(field).fixed_points({"x": (-2.0, 2.0)}, n_starts=40 * 27), Q)


def test_any_number_of_devices_finds_the_same():
    field, Q = wells(6)
    an = dd.DSAnalyzer(field)
    one, *others = (an.fixed_points({"x": (-2.0, 2.0)}, n_starts=300, devices=d) for d in (1, 2, 4))
    check_wells(one, Q)
    for other in others:
        np.testing.assert_array_equal(other.x, one.x)
        np.testing.assert_array_equal(other.eigenvalues, one.eigenvalues)


def test_a_ring_of_fixed_points_is_one_family():
    n, a, J_0 = 64, 0.5, 4.0
    x = np.linspace(-np.pi, np.pi, n, endpoint=False)
    d = np.angle(np.exp(1j * (x[:, None] - x)))
    rho = n / (2 * np.pi)
    k_c = rho * J_0**2 / (8 * np.sqrt(2 * np.pi) * a)
    k = 0.5 * k_c
    J = J_0 * np.exp(-(d**2) / (2 * a**2)) / (np.sqrt(2 * np.pi) * a)
    U_0 = (1 + np.sqrt(0.5)) * J_0 / (4 * np.sqrt(np.pi) * a * k)
    places = np.random.default_rng(2).uniform(-np.pi, np.pi, 6)
    away = np.angle(np.exp(1j * (x - places[:, None])))
    bumps = U_0 * np.exp(-(away**2) / (4 * a**2))
    found = dd.DSAnalyzer(Ring(J, k)).fixed_points(
        starts=np.concatenate([1.1 * bumps, np.full((1, n), 1e-3 * U_0)])
    )
    assert Counter(found.stability) == {"degenerate": 6, "stable node": 1}
    of_ring = found.n_marginal == 1
    assert len(set(found.family[of_ring])) == 1
    assert "6 of the points lie on 1 line" in found.message
    np.testing.assert_allclose(found.x[of_ring].max(axis=1), U_0, rtol=2e-2)
    for values in found.eigenvalues[of_ring]:
        np.testing.assert_allclose(
            values[:6].real, [0, -1 / 2, -np.sqrt(0.5), -3 / 4, -7 / 8, -15 / 16], atol=2e-3
        )
        assert abs(values[0]) < 1e-9


def test_a_double_root_is_degenerate():
    found = dd.DSAnalyzer(plane(lambda x, y: (x**2, -y))).fixed_points(
        {"x": (-1.0, 1.5), "y": (-1.0, 1.0)}
    )
    assert found.stability == ("degenerate",)
    np.testing.assert_allclose(found.x, 0.0, atol=1e-6)


def test_equal_double_roots_are_no_line():
    found = dd.DSAnalyzer(plane(lambda x, y: ((x**2 - 1) ** 2, -y))).fixed_points(
        {"x": (-2.0, 1.9), "y": (-1.0, 1.0)}
    )
    assert found.stability == ("degenerate", "degenerate")
    np.testing.assert_allclose(found.x[:, 0], [-1.0, 1.0], atol=1e-6)
    assert found.family.tolist() == [0, 1]
    assert "line" not in found.message


class Pair(dd.Network):
    def __init__(self):
        self.E = dd.Population(3, dd.ThresholdLinear(I_e=100.0, beta=1.0))
        self.I = dd.Population(2, dd.ThresholdLinear(I_e=50.0, beta=1.0, tau=10.0))

        def connect(pre, post, weight):
            coupling = dd.Additive()
            return dd.Projection(pre, post, dd.AllToAll(), coupling, weight=weight, delay=0.0)

        self.exc = connect(self.E, (self.E, self.I), 0.2)
        self.inh = connect(self.I, self.E, -0.3)


def test_of_a_network_of_rates():
    found = dd.DSAnalyzer(Pair()).fixed_points(
        {"E.r": (0.0, 500.0), "I.r": (0.0, 500.0)}, n_starts=64
    )
    W = np.block([[np.full((3, 3), 0.2), np.full((3, 2), -0.3)],
                  [np.full((2, 3), 0.2), np.zeros((2, 2))]])  # fmt: skip
    r = np.linalg.solve(np.eye(5) - W, [100.0] * 3 + [50.0] * 2)
    assert (r > 0).all()
    np.testing.assert_allclose(found.x, [r], rtol=1e-12)
    np.testing.assert_allclose(found.state["I.r"], [r[3:]], rtol=1e-12)
    J = (W - np.eye(5)) / np.array([20.0] * 3 + [10.0] * 2)[:, None]
    np.testing.assert_allclose(
        np.sort(np.real(found.eigenvalues[0])), np.sort(np.linalg.eigvals(J).real), atol=1e-8
    )


def test_of_a_map():
    def F(state, parameters):
        return {"x": parameters.get("r", 3.2) * state["x"] * (1 - state["x"])}

    field = VectorField(F, {"x": np.float64(0.5)}, {"r": np.float64(3.2)}, is_continuous=False)
    found = dd.DSAnalyzer(field).fixed_points({"x": (-0.5, 1.0)})
    np.testing.assert_allclose(found.x[:, 0], [0.0, 1 - 1 / 3.2], atol=1e-14)
    np.testing.assert_allclose(found.eigenvalues[:, 0].real, [3.2, 2 - 3.2], atol=1e-12)
    assert found.stability == ("unstable node", "unstable node")


def test_what_lies_outside_of_the_box_is_not_returned_but_said():
    found = dd.DSAnalyzer(dd.FitzHughNagumo()).fixed_points({"V": (1.0, 3.0), "w": (-2.0, 3.0)})
    assert len(found) == 0
    assert "outside" in found.message
    assert found.eigenvalues.shape == (0, 2)


def test_where_there_is_none_it_says_where_the_field_is_slowest():
    found = dd.DSAnalyzer(plane(lambda x, y: (x**2 + 0.01, -y))).fixed_points(
        {"x": (-1.0, 1.5), "y": (-1.0, 1.0)}
    )
    assert len(found) == 0
    assert "slowest at x = " in found.message


def test_a_jump_through_zero_is_no_fixed_point():
    found = dd.DSAnalyzer(plane(lambda x, y: (jnp.where(x > 0, -1.0, 1.0), -y))).fixed_points(
        {"x": (-1.0, 1.5), "y": (-1.0, 1.0)}
    )
    assert len(found) == 0
    assert "jumps" in found.message


def test_beyond_the_threshold_a_cell_does_not_rest():
    box = {"V": (-100.0, 100.0)}
    below = dd.DSAnalyzer(dd.LIF(I_e=100.0)).fixed_points(box)
    assert below.stability == ("stable node",)
    above = dd.DSAnalyzer(dd.LIF(I_e=1000.0)).fixed_points(box)
    assert len(above) == 0
    assert "1 zero of the derivative at V >= -50" in above.message


def test_wrong_questions():
    an = dd.DSAnalyzer(dd.FitzHughNagumo())
    with pytest.raises(AnalysisError, match="where to look"):
        an.fixed_points()
    with pytest.raises(NameLookupError, match='Did you mean "V"'):
        an.fixed_points({"v": (0.0, 1.0)})
    with pytest.raises(AnalysisError, match="lower end"):
        an.fixed_points({"V": (1.0, -1.0), "w": (0.0, 1.0)})
    with pytest.raises(AnalysisError, match="no range"):
        an.fixed_points({"V": 1.0})
    with pytest.raises(AnalysisError, match=r"\[m, 2\]"):
        an.fixed_points(starts=np.zeros((5, 3)))
    with pytest.raises(AnalysisError, match="finite at none"):
        dd.DSAnalyzer(plane(lambda x, y: (jnp.log(x), y))).fixed_points(
            {"x": (-2.0, -1.0), "y": (0.0, 1.0)}
        )


def test_points_that_agree_are_one_wherever_a_grid_would_cut():
    rng = np.random.default_rng(3)
    centers = rng.normal(size=(40, 3))
    x = np.repeat(centers, 25, axis=0) + 1e-7 * rng.uniform(-1, 1, size=(1000, 3))
    kept = distinct(x[rng.permutation(1000)], 1e-6)
    assert len(kept) == 40


def test_it_is_saved(decisions, tmp_path):
    found = chosen(decisions, 20.0)
    found.save(tmp_path / "points.h5")
    arrays, attributes = read_arrays(tmp_path / "points.h5")
    np.testing.assert_array_equal(arrays["x"], found.x)
    np.testing.assert_array_equal(arrays["eigenvalues"][..., 0], found.eigenvalues.real)
    labels = [attributes["labels"][k] for k in arrays["stability"]]
    assert tuple(labels) == found.stability


def test_it_is_drawn(decisions):
    axes = chosen(decisions, 20.0).plot().axes[0]
    assert axes.get_xlabel() == "S1"
    assert {text.get_text() for text in axes.get_legend().get_texts()} == {"stable node", "saddle"}


def test_the_flag_of_jax_is_left_alone(fitzhugh_nagumo):
    fitzhugh_nagumo.fixed_points(FHN_BOX, parameters={"I_e": 0.5})
    assert not jax.config.jax_enable_x64
