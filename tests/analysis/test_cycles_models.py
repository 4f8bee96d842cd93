"""Limit cycles of published neuron models: values by independent collocation, MatCont, papers."""

import time

import numpy as np
import pytest

import distdyn as dd
from distdyn.analysis.cycles.mesh import GAUSS, WEIGHTS, interpolate
from distdyn.analysis.field import VectorField


def values(cycles, kind):
    return [point.value for point in cycles.points(kind)]


def test_fitzhugh_nagumo():
    begin = time.process_time()
    cycles = dd.DSAnalyzer(dd.FitzHughNagumo()).limit_cycles("I_e", (0.0, 2.0))
    assert time.process_time() - begin < 30.0  # of the processor, equilibria and compilation too
    assert len(cycles) == 1
    assert [p.kind for p in cycles.points()] == ["LPC", "H", "H", "LPC"]
    assert values(cycles, "H") == pytest.approx([0.3312813375, 1.4187186625], abs=1e-8)
    assert values(cycles, "LPC") == pytest.approx([0.324179, 1.425821], abs=1e-4)
    assert sum(values(cycles, "LPC")) == pytest.approx(1.75, abs=1e-8)  # by symmetry
    (cycle,) = cycles.at(0.6)
    assert cycle.period == pytest.approx(37.8920, abs=1e-4)
    assert cycle.stable
    assert [found.stable for found in cycles.at(0.325)] == [False, True]


def test_a_coarse_mesh_adds_nothing_in_a_canard():
    cycles = dd.DSAnalyzer(dd.FitzHughNagumo()).limit_cycles("I_e", (0.0, 2.0), n_intervals=20)
    assert [p.kind for p in cycles.points()] == ["LPC", "H", "H", "LPC"]


def test_morris_lecar_between_its_hopf_points():
    cycles = dd.DSAnalyzer(dd.MorrisLecar()).limit_cycles("I_e", (50.0, 250.0))
    assert [p.kind for p in cycles.points()] == ["LPC", "H", "H", "LPC"]
    assert values(cycles, "H") == pytest.approx([93.857618, 212.018816], abs=1e-6)
    assert values(cycles, "LPC") == pytest.approx([88.2933, 216.91], abs=0.02)
    assert cycles.at(100.0)[0].period == pytest.approx(85.2906, abs=1e-4)


def test_morris_lecar_of_class_1_fires_from_rate_0():
    model = dd.MorrisLecar(g_Ca=4.0, phi=1.0 / 15.0, V3=12.0, V4=17.4, I_e=45.0)
    analyzer = dd.DSAnalyzer(model)
    cycles = analyzer.limit_cycles("I_e", (0.0, 150.0), start={"V": -20.0, "w": 0.1})
    assert [p.kind for p in cycles.points()] == ["SNIC", "H", "LPC"]
    assert values(cycles, "LPC") == pytest.approx([116.11], abs=0.01)
    (end,) = cycles.points("SNIC")
    assert end.value == pytest.approx(39.9632, abs=1e-4)
    # It is the fold of equilibria, found without any cycle.
    folds = analyzer.continuation("I_e", (0.0, 150.0)).points("LP")
    assert min(abs(end.value - fold.value) for fold in folds) < 1e-8


def test_lorenz_has_two_homoclinic_orbits():
    # 13.926557407...: Sparrow (1982), The Lorenz Equations.
    def F(s, p):
        x, y, z = s["x"], s["y"], s["z"]
        return {"x": 10.0 * (y - x), "y": x * (p["r"] - z) - y, "z": x * y - 8.0 / 3.0 * z}

    state = dict.fromkeys("xyz", np.array(1.0))
    cycles = dd.DSAnalyzer(VectorField(F, state, {"r": 20.0})).limit_cycles("r", (0.5, 30.0))
    assert [branch.ends for branch in cycles] == [("H", "HOM")] * 2
    assert values(cycles, "H") == pytest.approx([24.7368421053] * 2, abs=1e-8)
    assert values(cycles, "HOM") == pytest.approx([13.926557407] * 2, abs=1e-7)
    assert len(cycles.points()) == 4
    assert not np.any(cycles[0].stable)


@pytest.mark.slow
def test_jansen_rit():
    """Grimbert & Faugeras (2006): spikes between a saddle-node at 113.58 and a fold at 137.38."""
    analyzer = dd.DSAnalyzer(dd.JansenRit(p=120.0))
    alpha = analyzer.limit_cycles("p", (0.0, 400.0))
    assert [p.kind for p in alpha.points()] == ["H", "H"]
    assert values(alpha, "H") == pytest.approx([89.829, 315.696], abs=2e-3)
    spikes = analyzer.limit_cycles("p", (100.0, 400.0), start={}, transient=2000.0)
    assert values(spikes, "LPC")[-1] == pytest.approx(137.38, abs=5e-3)
    assert values(spikes, "SNIC") == pytest.approx([113.586], abs=1e-3)


def canard(s, p):
    return {"x": s["y"] - s["x"] ** 3 / 3.0 + s["x"], "y": 0.01 * (p["a"] - s["x"])}


def test_a_canard_explosion_has_no_fold():
    # Krupa & Szmolyan (2001): relaxation begins at a = 1 - epsilon / 8, after a Hopf point at 1.
    state = {"x": np.array(1.0), "y": np.array(-2.0 / 3.0)}
    analyzer = dd.DSAnalyzer(VectorField(canard, state, {"a": 1.2}))
    cycles = analyzer.limit_cycles("a", (0.5, 1.2))
    assert [p.kind for p in cycles.points()] == ["H"]
    assert cycles[0].ends == ("H", "bound")
    extent = cycles[0].maxima[:, 0] - cycles[0].minima[:, 0]
    middle = int(np.argmax(extent > 2.0))
    assert cycles[0].values[middle] == pytest.approx(1.0 - 0.01 / 8.0, abs=3e-5)
    beside = np.abs(cycles[0].values - cycles[0].values[middle]) > 1e-6
    assert np.all(cycles[0].stable[beside])


@pytest.mark.slow
def test_canards_that_are_not_resolved_are_given_up():
    cycles = dd.DSAnalyzer(dd.HindmarshRose()).limit_cycles("I_e", (0.0, 6.0))
    assert [branch.ends for branch in cycles] == [("H", "stuck")] * 2
    assert "canard" in cycles.message
    for point in cycles.points("PD"):  # none is an artefact of the mesh
        assert point.cycle is not None
        assert point.cycle.multipliers[:2] == pytest.approx([1.0, -1.0], abs=1e-5)
    assert {point.kind for point in cycles.points()} == {"H", "PD"}


@pytest.mark.slow
def test_hodgkin_huxley():
    """Beside the folds the doublings between which Guckenheimer & Oliva (2002) found chaos."""
    model = dd.HodgkinHuxley(E_L=-54.401)
    cycles = dd.DSAnalyzer(model).limit_cycles("I_e", (0.0, 180.0))
    assert [p.kind for p in cycles.points()] == ["LPC", "LPC", "PD", "PD", "LPC", "H", "H"]
    assert values(cycles, "H") == pytest.approx([9.77963799, 154.52663], abs=1e-5)
    assert values(cycles, "LPC") == pytest.approx([6.264, 7.85, 7.92], abs=5e-3)
    assert values(cycles, "PD")[1] == pytest.approx(7.92197768, abs=1e-7)
    (cycle,) = cycles.at(12.0)
    assert cycle.period == pytest.approx(13.71547, abs=1e-5)
    trivial, *others = cycle.multipliers.real
    assert trivial == pytest.approx(1.0, abs=1e-5)
    assert others[:2] == pytest.approx([0.0809, 2.8e-12], rel=5e-3)
    # The last is far below the rounding of a product: Liouville's formula knows it.
    mesh, field = cycle.time[::4] / cycle.period, cycles.problem.field
    h = np.diff(mesh)
    states = interpolate(mesh, cycle.x[:-1], (mesh[:-1, None] + h[:, None] * GAUSS).ravel())
    trace = np.trace(field(states, 12.0)[1], axis1=1, axis2=2)
    exponent = cycle.period * np.sum((h[:, None] * WEIGHTS).ravel() * trace)
    assert np.sum(np.log(cycle.multipliers.real)) == pytest.approx(exponent, abs=0.05)
    assert exponent == pytest.approx(-142.1, abs=0.5)
