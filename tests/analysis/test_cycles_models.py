"""Limit cycles of published neuron models: values by independent collocation, MatCont, papers."""

import time

import numpy as np
import pytest

import distdyn as dd
from distdyn.analysis.cycles.mesh import GAUSS, WEIGHTS, interpolate


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
