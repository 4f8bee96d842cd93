"""Bifurcation diagrams and fast-slow systems, against folds and Hopf points in closed form."""

from typing import NamedTuple

import jax
import numpy as np
import pytest

import distdyn as dd
from distdyn.analysis.continuation.branches import load_branches

BOX = {"V": (-3.0, 3.0), "w": (-1.0, 3.0)}


class Cusp(dd.ODE):
    """x' = b1 + b2 x - x^3, and both b drift: b1' = -x, b2' = 1 - b2."""

    epsilon: float = 0.01

    class State(NamedTuple):
        x: jax.Array
        b1: jax.Array
        b2: jax.Array

    def init(self, id, key):
        return self.State(x=0.5, b1=0.0, b2=1.0)

    def derivative(self, t, s, drive):
        e = self.epsilon
        return self.State(s.b1 + s.b2 * s.x - s.x**3, -e * s.x, e * (1.0 - s.b2))


def is_near(a, b, tolerance):
    return np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=0.0, atol=tolerance)


@pytest.fixture(scope="module")
def excitable():
    return dd.Bifurcation2D(dd.FitzHughNagumo(), box=BOX, over={"I_e": (0.2, 0.6)}, slices=1)


def test_the_diagram_of_two_variables_has_equilibria_and_cycles(excitable):
    assert [p.kind for p in excitable.equilibria.points()] == ["H"]
    assert is_near(excitable.equilibria.points("H")[0].value, 0.3312813375, 1e-8)
    assert [p.kind for p in excitable.cycles.points()] == ["LPC", "H"]
    assert is_near(excitable.cycles.points("LPC")[0].value, 0.3241785, 1e-6)
    assert len(excitable.cycles) == 1  # the simulated cycle is on the branch from the Hopf point
    assert is_near(excitable.cycles.at(0.6)[0].period, 37.8920, 1e-3)


def test_a_diagram_is_drawn_and_saved(excitable, tmp_path):
    axes = excitable.plot(variable="w").axes[0]
    assert axes.get_xlabel() == "I_e" and axes.get_ylabel() == "w"
    assert [t.get_text() for t in axes.texts] == ["H", "LPC"]
    excitable.save(tmp_path / "fhn")
    back = load_branches(tmp_path / "fhn" / "equilibria.h5")
    assert back.points("H")[0].value == excitable.equilibria.points("H")[0].value
    assert (tmp_path / "fhn" / "cycles.h5").exists()


def test_over_two_parameters_there_are_curves_and_a_surface():
    diagram = dd.Bifurcation1D(
        Cusp(), box={"x": (-2.0, 2.0)}, over={"b1": (-1.0, 1.0), "b2": (-0.5, 1.5)}, slices=3
    )
    assert [p.kind for p in diagram.curves.points()] == ["CP"]
    assert is_near(diagram.curves.points("CP")[0].value, (0.0, 0.0), 1e-8)
    b1, b2 = np.concatenate([branch.values for branch in diagram.curves]).T
    assert is_near(b1**2, b2**3 * 4 / 27, 1e-9) and b2.max() > 1.49
    assert [*diagram.surface] == [-0.5, 0.5, 1.0, 1.5]
    for value, branches in diagram.surface.items():
        fold = np.sqrt(max(value, 0.0) ** 3 * 4 / 27)
        assert is_near([p.value for p in branches.points()], [-fold, fold] if fold else [], 1e-9)
        x = branches[0].x[:, 0]
        assert is_near(branches[0].values, x**3 - value * x, 1e-9)
    assert diagram.plot().axes[0].get_ylabel() == "b2"
    assert diagram.plot(variable="x").axes[0].get_ylabel() == "x"


@pytest.mark.slow
def test_a_second_parameter_that_the_model_has_outside_is_taken_in_the_middle(tmp_path):
    over = {"b1": (-1.0, 1.0), "b2": (1.2, 1.4)}
    diagram = dd.Bifurcation1D(Cusp(), box={"x": (-2.0, 2.0)}, over=over, slices=2)
    assert diagram.value == pytest.approx(1.3)
    assert [*diagram.surface] == [1.2, diagram.value, 1.4]
    diagram.save(tmp_path)
    assert len(load_branches(tmp_path / "curves.h5")) == 2  # both folds, each alone
    assert load_branches(tmp_path / "surface" / "2.h5").points("LP")


def test_a_slow_variable_is_a_parameter_of_the_fast_ones():
    system = dd.FastSlow1D(Cusp(), fast={"x": (-2.0, 2.0)}, slow={"b1": (-1.0, 1.0)})
    folds = [p.value for p in system.diagram.equilibria.points("LP")]
    assert is_near(folds, (-np.sqrt(4 / 27), np.sqrt(4 / 27)), 1e-9)
    branch = system.diagram.equilibria[0]
    assert is_near(system.drift(branch)[:, 0], -0.01 * branch.x[:, 0], 1e-15)
    run = system.trajectory(600.0, transient=300.0, points=601)
    assert run.names == ("x", "b1")
    b1 = run.state["b1"]  # a relaxation oscillation jumps a little beyond the folds
    assert 0 < b1.max() - folds[1] < 0.1 and 0 < folds[0] - b1.min() < 0.1
    axes = system.plot(trajectories=[run]).axes[0]
    assert any(len(line.get_xdata()) == 601 for line in axes.lines)


@pytest.mark.slow
def test_two_slow_variables_span_a_plane():
    slow = {"b1": (-1.0, 1.0), "b2": (0.5, 1.5)}
    system = dd.FastSlow1D(Cusp(), fast={"x": (-2.0, 2.0)}, slow=slow, slices=2)
    run = system.trajectory(20.0, start={"b1": 0.4}, points=21)
    curve = system.diagram.curves[0]
    assert is_near(system.drift(curve)[:, 1], 0.01 * (1.0 - curve.values[:, 1]), 1e-12)
    assert system.plot(trajectories=[run]).axes[0].get_xlabel() == "b1"


def test_the_fast_part_of_a_burster():
    """Equilibria lie on z = c + I + (b - d) V^2 - a V^3; H where 1 = 2 b V - 3 a V^2."""
    model = dd.HindmarshRose(I_e=2.0)
    system = dd.FastSlow2D(
        model, fast={"V": (-2.5, 2.5), "y": (-25.0, 3.0)}, slow={"z": (1.6, 3.2)},
        slices=3, transient=50.0,
    )  # fmt: skip
    rest, cycles = system.diagram.equilibria, system.diagram.cycles
    assert is_near([p.value for p in rest.points("LP")], (3.0 - 32.0 / 27.0, 3.0), 1e-9)
    V = 1.0 - np.sqrt(2.0 / 3.0)
    assert is_near(rest.points("H")[0].value, 3.0 - 2.0 * V**2 - V**3, 1e-9)
    assert rest.points("H")[0].lyapunov < 0
    (branch,) = rest
    drift = 0.001 * (4.0 * (branch.x[:, 0] - model.V_rest) - branch.values)
    assert is_near(system.drift(branch)[:, 0], drift, 1e-14)
    # The cycles of spikes come from no Hopf point between: they are met by simulation at z = 2.
    small, spikes = cycles
    assert small.ends == ("H", "HOM") and small.values.min() > 2.8
    assert spikes.ends == ("bound", "HOM") and spikes.stable.all()
    assert is_near(cycles.points("HOM")[0].value, 2.0856, 1e-3)


def test_questions_that_do_not_fit():
    model = dd.FitzHughNagumo()
    with pytest.raises(dd.DistDynError, match=r"names 2 variables .* diagram of 1"):
        dd.Bifurcation1D(model, box=BOX, over={"I_e": (0, 1)})
    with pytest.raises(dd.DistDynError, match="over 3 parameters"):
        dd.Bifurcation2D(model, box=BOX, over=dict.fromkeys(("I_e", "a", "b"), (0, 1)))
    with pytest.raises(dd.DistDynError, match='no parameter "I"'):
        dd.Bifurcation2D(model, box=BOX, over={"I": (0, 1)})
    with pytest.raises(dd.DistDynError, match="has one parameter, I_e"):
        _ = dd.Bifurcation2D(model, box=BOX, over={"I_e": (0, 1)}).curves
    with pytest.raises(dd.DistDynError, match='no variable "z"'):
        dd.FastSlow2D(model, fast=BOX, slow={"z": (0, 1)})
    with pytest.raises(dd.DistDynError, match="one variable does not oscillate"):
        _ = dd.Bifurcation1D(model, box={"V": (-3, 3)}, over={"I_e": (0, 1)}).cycles
