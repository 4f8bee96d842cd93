"""Phase planes: nullclines, separatrices, slices, trajectories."""

import jax
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import fsolve

import distdyn as dd
from distdyn.analysis.field import VectorField
from distdyn.analysis.plane.contour import zero_lines
from distdyn.analysis.plane.phase_plane import PhaseLine
from distdyn.analysis.plane.slice import sliced
from distdyn.errors import AnalysisError, NameLookupError
from distdyn.run.store import read_arrays
from tests.analysis.systems import plane, wong_wang

UNIT = {"x": (-2.0, 2.0), "y": (-2.0, 2.0)}


def test_nullclines_are_where_a_derivative_is_zero():
    found = dd.DSAnalyzer(dd.FitzHughNagumo(I_e=0.5)).phase_plane(
        "V", "w", box={"V": (-2.5, 2.5), "w": (-1.0, 2.0)}
    )
    (cubic,), (line,) = found.nullclines["V"], found.nullclines["w"]
    V, w = cubic.T
    np.testing.assert_allclose(w, V - V**3 / 3 + 0.5, atol=1e-13)
    assert V.min() < -2 and V.max() > 2  # all of it, through both knees
    V, w = line.T
    np.testing.assert_allclose(0.8 * w, V + 0.7, atol=1e-13)
    np.testing.assert_allclose(w[[0, -1]].min(), -1.0)
    np.testing.assert_allclose(w[[0, -1]].max(), 2.0)
    assert found.fixed_points.stability == ("unstable focus",)


@pytest.mark.parametrize("turned", [False, True])
def test_a_nullcline_may_be_level_upright_or_closed(turned):
    def f(x, y):
        circle, level = x**2 + y**2 - 1.0, (x if turned else y)
        return (circle, level)

    found = dd.DSAnalyzer(plane(f)).phase_plane("x", "y", box=UNIT)
    (circle,), (level,) = found.nullclines["x"], found.nullclines["y"]
    np.testing.assert_allclose(np.hypot(*circle.T), 1.0, atol=1e-14)
    np.testing.assert_array_equal(circle[0], circle[-1])
    turn = np.diff(np.unwrap(np.arctan2(*circle.T)))
    assert turn.min() * turn.max() >= 0  # around it once, without going back
    np.testing.assert_allclose(abs(turn.sum()), 2 * np.pi)
    along, across = (1, 0) if turned else (0, 1)
    np.testing.assert_allclose(level[:, across], 0.0, atol=1e-14)
    np.testing.assert_allclose(np.sort(level[[0, -1], along]), [-2.0, 2.0])


def test_lines_that_cross_keep_their_ways():
    x = np.linspace(-1.0, 1.0, 20)  # the crossing lies within a cell
    lines = zero_lines(np.outer(x, x), x, x)
    assert sum(len(line) - 1 for line in lines) == 2 * 19
    for line in lines:
        np.testing.assert_allclose(line.prod(axis=1), 0.0, atol=1e-12)


def test_manifolds_of_a_saddle_divide_the_basins():
    found = dd.DSAnalyzer(plane(lambda x, y: (x - x**3, -y))).phase_plane("x", "y", box=UNIT)
    assert found.fixed_points.stability == ("stable node", "saddle", "stable node")
    stable = [line for line in found.separatrices if line.kind == "stable"]
    unstable = [line for line in found.separatrices if line.kind == "unstable"]
    for line in stable:
        np.testing.assert_allclose(line.x[:, 0], 0.0, atol=1e-8)
        assert line.end == -1
    assert sorted(np.sign(line.x[-1, 1]) for line in stable) == [-1, 1]
    assert all(abs(line.x[-1, 1]) > 2.0 for line in stable)
    assert sorted(line.end for line in unstable) == [0, 2]
    for line in unstable:
        np.testing.assert_allclose(line.x[:, 1], 0.0, atol=1e-8)


def test_a_loop_comes_back_to_its_saddle():
    # H = y^2 / 2 - x^2 / 2 + x^4 / 4 is constant: y = x sqrt(1 - x^2 / 2) on the loop.
    found = dd.DSAnalyzer(plane(lambda x, y: (y, x - x**3))).phase_plane("x", "y", box=UNIT)
    assert found.fixed_points.stability == ("center", "saddle", "center")
    assert len(found.separatrices) == 4
    for line in found.separatrices:
        x, y = line.x.T
        np.testing.assert_allclose(y**2 / 2 - x**2 / 2 + x**4 / 4, 0.0, atol=1e-6)
        assert line.end == line.saddle == 1


def test_the_choice_is_decided_at_the_diagonal():
    box = {"S1": (0.0, 1.0), "S2": (0.0, 1.0)}
    found = dd.DSAnalyzer(wong_wang(20.0)).phase_plane("S1", "S2", box=box)
    stable = [line for line in found.separatrices if line.kind == "stable"]
    for line in stable:
        np.testing.assert_allclose(line.x[:, 0], line.x[:, 1], atol=1e-6)
    assert sorted(line.end for line in found.separatrices if line.kind == "unstable") == [0, 2]
    end = found.trajectory({"S1": 0.31, "S2": 0.3}, 5000.0).x[-1]
    np.testing.assert_allclose(end, found.fixed_points.x[2], atol=1e-6)


def test_a_trajectory_is_that_of_another_method():
    found = dd.DSAnalyzer(dd.FitzHughNagumo(I_e=0.5)).phase_plane(
        "V", "w", box={"V": (-2.5, 2.5), "w": (-1.0, 2.0)}, resolution=21
    )
    course = found.trajectory((-1.0, 1.0), 100.0, points=11)

    def f(t, x):
        return [x[0] - x[0] ** 3 / 3 - x[1] + 0.5, 0.08 * (x[0] + 0.7 - 0.8 * x[1])]

    exact = solve_ivp(f, (0, 100), [-1.0, 1.0], method="DOP853", rtol=1e-12, atol=1e-12,
                      t_eval=course.time)  # fmt: skip
    np.testing.assert_allclose(course.x, exact.y.T, atol=1e-6)
    np.testing.assert_array_equal(course.state["w"], course.x[:, 1])
    there = found.trajectory((-1.0, 1.0), 1.0, points=2)
    back = found.trajectory(there.x[-1], -1.0, points=2)
    np.testing.assert_allclose(back.x[-1], [-1.0, 1.0], atol=1e-7)


def test_a_cell_is_reset_at_its_threshold():
    cell = dd.LIF(C_m=200.0, tau_m=20.0, E_L=-60.0, V_th=-50.0, V_reset=-60.0, I_e=200.0)
    line = dd.DSAnalyzer(cell).phase_plane("V", box={"V": (-70.0, -30.0)})
    assert isinstance(line, PhaseLine)
    np.testing.assert_allclose(line.velocity, (-60.0 - line.x) / 20.0 + 1.0, atol=1e-12)
    course = line.trajectory([-60.0], 200.0)
    period = 20.0 * np.log(20.0 / 10.0)
    np.testing.assert_allclose(course.spikes, period * np.arange(1, 15), rtol=1e-7)
    assert course.x.max() < -50.0 + 1e-6
    assert len(course.x) == len(course.time) == 1001 + 2 * len(course.spikes)
    at = np.searchsorted(course.time, course.spikes)
    np.testing.assert_allclose(course.x[at, 0], -50.0, atol=1e-6)
    np.testing.assert_array_equal(course.x[at + 1, 0], -60.0)


def test_what_is_quasi_steady_follows():
    line = dd.DSAnalyzer(dd.FitzHughNagumo(I_e=0.5)).phase_plane(
        "V", box={"V": (-3.0, 3.0)}, steady=("w",), resolution=31
    )
    V = line.x
    np.testing.assert_allclose(line.velocity, V - V**3 / 3 - (V + 0.7) / 0.8 + 0.5, atol=1e-13)
    V = line.fixed_points.x[0, 0]
    slope = line.fixed_points.eigenvalues[0, 0].real
    np.testing.assert_allclose(slope, 1 - V**2 - 1 / 0.8, rtol=1e-12)


def test_what_follows_together_has_the_slope_of_the_schur_complement():
    def F(state, parameters):
        x, y, z = (state[name] for name in "xyz")
        return {"x": y * z - x, "y": x - y**3 - z, "z": y + x**2 - 2 * z}

    field = VectorField(F, dict.fromkeys("xyz", np.float64(1.0)), {})
    flat, whole = sliced(field, ("x",), steady=("y", "z")).flat(), field.flat()
    with jax.enable_x64(True):
        f, slope = (float(g(np.array([0.8]), flat.p0).ravel()[0])
                    for g in (flat.f, jax.jacfwd(flat.f)))  # fmt: skip
        y, z = fsolve(lambda v: np.asarray(whole.f(np.array([0.8, *v]), flat.p0))[1:], [0.7, 0.7])
        J = np.asarray(jax.jacfwd(whole.f)(np.array([0.8, y, z]), flat.p0))
    np.testing.assert_allclose(f, y * z - 0.8, rtol=1e-9)
    schur = J[0, 0] - J[0, 1:] @ np.linalg.solve(J[1:, 1:], J[1:, 0])
    np.testing.assert_allclose(slope, schur, rtol=1e-9)


def test_what_is_held_is_a_parameter():
    an = dd.DSAnalyzer(dd.HodgkinHuxley()).slice(("V", "n"), fixed={"h": 0.6}, steady=("m",))
    assert an.field.parameters["h"] == 0.6
    assert tuple(an.field.state) == ("V", "n")
    flat = an.field.flat(("h", "I_e"))
    with jax.enable_x64(True):
        of_p = np.asarray(jax.jacfwd(flat.f, 1)(flat.x0, flat.p0))
    V = flat.x0[0]
    x = V + 40.0
    alpha, beta = 0.1 * x / (1 - np.exp(-x / 10)), 4 * np.exp(-(V + 65) / 18)
    m = alpha / (alpha + beta)
    np.testing.assert_allclose(of_p[0], [-120.0 * m**3 * (V - 50.0), 1.0], rtol=1e-9)


def test_wrong_questions():
    an = dd.DSAnalyzer(dd.HodgkinHuxley())
    with pytest.raises(AnalysisError, match="two variables"):
        an.phase_plane(box={"V": (0, 1), "m": (0, 1), "h": (0, 1)})
    with pytest.raises(AnalysisError, match='no range for "n"'):
        an.phase_plane("V", "n", box={"V": (-80.0, 40.0)})
    with pytest.raises(AnalysisError, match="named twice"):
        an.phase_plane("V", "n", box={"V": (0, 1), "n": (0, 1)}, fixed={"n": 0.3})
    with pytest.raises(NameLookupError, match='Did you mean "n"'):
        an.phase_plane("V", "N", box={"V": (0, 1), "N": (0, 1)})


def test_it_is_saved_and_drawn(tmp_path):
    found = dd.DSAnalyzer(plane(lambda x, y: (x - x**3, -y))).phase_plane(
        "x", "y", box=UNIT, resolution=41
    )
    found.save(tmp_path / "plane.h5")
    arrays, _ = read_arrays(tmp_path / "plane.h5")
    np.testing.assert_array_equal(arrays["nullclines/y/0"], found.nullclines["y"][0])
    np.testing.assert_array_equal(arrays["fixed_points/x"], found.fixed_points.x)
    course = found.trajectory((0.1, 1.5), 10.0)
    figure = found.plot(trajectories=[course])
    figure.savefig(tmp_path / "plane.png", dpi=50)
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x", "y")
    labels = {text.get_text() for text in axes.get_legend().get_texts()}
    assert {"x′ = 0", "y′ = 0", "saddle", "stable node", "stable manifold"} <= labels
    assert course.plot(ax=axes) is figure
