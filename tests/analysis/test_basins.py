"""Basins of attraction, against separatrices known in closed form and unstable cycles."""

import numpy as np
import pytest

import distdyn as dd
from distdyn.analysis.field import VectorField
from tests.analysis.systems import Lorenz, plane, wong_wang


def double_well():
    """x' = x - x^3, y' = -y, z' = -2 z: what begins at x > 0 ends at x = 1."""

    def F(state, parameters):
        x, y, z = (state[name] for name in "xyz")
        return {"x": x - x**3, "y": -y, "z": -2.0 * z}

    return VectorField(F, dict.fromkeys("xyz", np.float64(0.0)), {})


def distance_to(line, points):
    """From each point to a closed line."""
    a, along = line, np.roll(line, -1, axis=0) - line
    away = points[:, None] - a
    part = np.clip((away * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-300), 0, 1)
    return np.linalg.norm(away - part[..., None] * along, axis=-1).min(axis=1)


@pytest.fixture(scope="module")
def wells():
    an = dd.DSAnalyzer(double_well())
    return an.basins({"x": (-2, 2), "y": (-1, 1)}, resolution=(20, 5), fixed={"z": 3.0})


def test_the_boundary_of_two_wells_is_the_stable_manifold_of_the_saddle(wells):
    assert [a.kind for a in wells.attractors] == ["fixed point"] * 2
    assert np.allclose([a.x[0] for a in wells.attractors], [[-1, 0, 0], [1, 0, 0]], atol=1e-12)
    assert np.array_equal(wells.labels, np.repeat((wells.axes[0] > 0)[:, None], 5, axis=1))
    assert np.array_equal(wells.fractions, [0.5, 0.5])
    edge = wells.boundary()
    assert edge.shape == (5, 2)
    assert np.abs(edge[:, 0]).max() < 4.0 / 19.0 * 2.0**-15 * 1.001  # a cell, halved
    assert wells.of({"x": [0.1, -0.1], "y": [9.0, 9.0]}).tolist() == [1, 0]


def test_what_begins_on_the_boundary_is_undecided(wells):
    assert wells.of({"x": [0.0], "y": [0.5]}).tolist() == [-1]


def test_basins_are_drawn_and_saved(wells, tmp_path):
    axes = wells.plot().axes[0]
    assert axes.get_xlabel() == "x" and axes.get_ylabel() == "y"
    assert "fixed point, 50.0%" in axes.get_legend_handles_labels()[1]
    wells.save(tmp_path / "basins.h5")
    assert (tmp_path / "basins.h5").exists()
    assert "20 x 5 starts" in repr(wells)


@pytest.mark.parametrize("count", [4, pytest.param(2, marks=pytest.mark.slow)])
def test_the_number_of_devices_changes_nothing(wells, count):
    an = dd.DSAnalyzer(wells.flat.about)
    found = an.basins(
        {"x": (-2, 2), "y": (-1, 1)}, resolution=(20, 5), fixed={"z": 3.0}, devices=count
    )
    assert np.array_equal(found.labels, wells.labels)
    assert np.array_equal(found.boundary(), wells.boundary())
    for a, b in zip(found.attractors, wells.attractors, strict=True):
        assert np.array_equal(a.x, b.x)


def test_between_rest_and_firing_lies_the_unstable_cycle():
    an = dd.DSAnalyzer(dd.FitzHughNagumo(I_e=0.3275))
    basins = an.basins({"V": (-1.25, -0.7), "w": (-0.42, -0.25)}, resolution=12)
    rest, firing = basins.attractors
    assert rest.kind == "fixed point" and firing.kind == "limit cycle"
    cycles = an.limit_cycles("I_e", (0.3, 0.34)).at(0.3275)
    (unstable,) = (c for c in cycles if not c.stable)
    (stable,) = (c for c in cycles if c.stable)
    assert firing.period == pytest.approx(stable.period, rel=1e-4)
    edge = basins.boundary(8)  # to 1e-4
    assert len(edge) > 20 and distance_to(unstable.x[:-1], edge).max() < 2e-4
    assert basins.undecided == 0.0


@pytest.mark.slow
def test_cycles_too_are_the_same_on_any_number_of_devices():
    an = dd.DSAnalyzer(dd.FitzHughNagumo(I_e=0.3275))
    one, two, four = (
        an.basins({"V": (-1.25, -0.7), "w": (-0.42, -0.25)}, resolution=8, devices=count)
        for count in (1, 2, 4)
    )
    for other in (two, four):
        assert np.array_equal(one.labels, other.labels)
        assert np.array_equal(one.boundary(3), other.boundary(3))
        for a, b in zip(one.attractors, other.attractors, strict=True):
            assert a.period == b.period and np.array_equal(a.x, b.x)


@pytest.mark.slow
def test_two_populations_that_compete_divide_along_the_diagonal():
    an = dd.DSAnalyzer(wong_wang(20.0))  # S1, S2, and the noise of each
    basins = an.basins({"S1": (0.0, 0.8), "S2": (0.0, 0.8)}, resolution=(6, 7))
    assert np.allclose(
        [a.x[0, :2] for a in basins.attractors],
        [[0.00809010, 0.68153985], [0.68153985, 0.00809010]], atol=1e-7,
    )  # fmt: skip
    x, y = np.meshgrid(*basins.axes, indexing="ij")
    is_apart = np.abs(x - y) > 1e-9
    assert np.array_equal(basins.labels[is_apart], (x > y)[is_apart])
    edge = basins.boundary()
    assert np.abs(edge[:, 0] - edge[:, 1]).max() < 1e-5


def test_an_attractor_outside_of_the_box_and_what_diverges():
    """x' = (x + 1) x (x - 1) (3 - x): 0 and 3 attract, from -1 down it diverges in finite time."""

    def F(state, parameters):
        x = state["x"]
        return {"x": (x + 1.0) * x * (x - 1.0) * (3.0 - x)}

    field = VectorField(F, {"x": np.float64(0.5)}, {})
    basins = dd.DSAnalyzer(field).basins({"x": (-1.9, 1.9)}, resolution=20)
    assert np.allclose([a.x[0, 0] for a in basins.attractors], [0.0, 3.0], atol=1e-9)
    x = basins.axes[0]
    expected = np.where(x > 1.0, 1, np.where(x > -1.0, 0, -2))
    assert np.array_equal(basins.labels, expected)
    assert basins.diverged == np.mean(x < -1.0)
    assert basins.plot().axes[0].get_xlabel() == "x"


@pytest.mark.slow
def test_a_chaotic_attractor_is_undecided():
    """It comes close to unstable cycles again and again, and none of them attracts."""
    an = dd.DSAnalyzer(Lorenz())
    basins = an.basins({"x": (-9.0, 9.0)}, fixed={"y": 8.0, "z": 27.0}, resolution=4, duration=40.0)
    assert basins.attractors == () and basins.undecided == 1.0


@pytest.mark.slow
def test_a_slow_spiral_is_no_cycle():
    """Below its Hopf bifurcation at rho = 24.74 the point attracts, by 0.01 per unit of time."""
    an = dd.DSAnalyzer(Lorenz(rho=24.2))
    basins = an.basins({"x": (7.5, 8.5)}, fixed={"y": 8.0, "z": 23.0}, resolution=3,
                       duration=400.0)  # fmt: skip
    assert [a.kind for a in basins.attractors] == ["fixed point"]
    assert np.array_equal(basins.fractions, [1.0])


def test_questions_that_do_not_fit():
    an = dd.DSAnalyzer(plane(lambda x, y: (-x, -y)))
    with pytest.raises(dd.DistDynError, match="resolution of 1 in 2"):
        an.basins({"x": (0, 1), "y": (0, 1)}, resolution=1)
    with pytest.raises(dd.DistDynError, match="one per variable"):
        an.basins({"x": (0, 1), "y": (0, 1)}, resolution=(5, 5, 5))
    with pytest.raises(dd.DistDynError, match='no variable "q"'):
        an.basins({"q": (0, 1)})
    with pytest.raises(dd.DistDynError, match="duration = -1"):
        an.basins({"x": (0, 1)}, duration=-1.0)
    with pytest.raises(dd.DistDynError, match="reset at its threshold"):
        dd.DSAnalyzer(dd.AdEx()).basins({"V": (-70, -50)})
