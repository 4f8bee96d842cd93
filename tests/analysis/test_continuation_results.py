"""What continuation gives: special points once, files, figures; and what cannot be asked."""

from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd
from distdyn.analysis.continuation import (
    Branches,
    Family,
    equilibrium_branches,
    load_branches,
)
from distdyn.errors import AnalysisError, NameLookupError, RunDirectoryError
from tests.analysis.families import analyzer, scalar


@pytest.fixture(scope="module")
def hysteresis() -> Branches:
    return scalar(lambda x, p: p["a"] + x - x**3).continuation("a", (-1.0, 1.0))


def same(one: Branches, other: Branches) -> bool:
    """Whether all numbers and names are equal."""
    assert repr(one) == repr(other)
    for a, b in zip(one, other, strict=True):
        for name in ("values", "x", "eigenvalues"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name), strict=True)
        assert (a.kind, a.at, a.ends) == (b.kind, b.at, b.ends)
        assert [p.kind for p in a.special] == [p.kind for p in b.special]
    for p, q in zip(one.points(), other.points(), strict=True):
        assert (p.kind, p.value, p.omega) == (q.kind, q.value, q.omega)
        assert dict(p.coefficients) == dict(q.coefficients)
        np.testing.assert_array_equal(p.x, q.x)
        for name, value in p.state.items():
            np.testing.assert_array_equal(q.state[name], value)
    return True


def test_branches_are_read_as_they_were_written(hysteresis, tmp_path):
    hysteresis.save(tmp_path / "a.h5")
    assert same(load_branches(tmp_path / "a.h5"), hysteresis)


def test_a_point_that_branches_share_is_one_in_the_file_too(tmp_path):
    found = scalar(lambda x, p: p["a"] * x - x**3, a=-1.0).continuation("a", (-1.0, 1.0))
    found.save(tmp_path / "a.h5")
    again = load_branches(tmp_path / "a.h5")
    assert same(again, found)
    assert again[0].special[0] is again[1].special[0]


def test_curves_in_two_parameters_are_read_as_they_were_written(tmp_path):
    an = scalar(lambda x, p: p["a"] + p["b"] * x - x**3, b=0.6)
    found = an.continuation2(("a", (-1.0, 1.0)), ("b", (-1.0, 1.0)))
    found.save(tmp_path / "a.h5")
    assert same(load_branches(tmp_path / "a.h5"), found)
    (axes,) = found.plot().axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("a", "b")


def test_other_files_are_refused(tmp_path, hysteresis):
    with pytest.raises(RunDirectoryError, match="no such file"):
        load_branches(tmp_path / "nothing.h5")
    from distdyn.run.store import write_arrays

    write_arrays(tmp_path / "other.h5", {"x": np.zeros(2)}, kind="trajectory")
    with pytest.raises(AnalysisError, match="holds trajectory, not branches"):
        load_branches(tmp_path / "other.h5")


def test_points_are_sorted_and_chosen_by_kind(hysteresis):
    assert [p.kind for p in hysteresis.points()] == ["LP", "LP"]
    assert hysteresis.points("H") == []
    values = [p.value for p in hysteresis.points("LP")]
    assert values == sorted(values)
    with pytest.raises(AnalysisError, match='no kind "Hopf"'):
        hysteresis.points("Hopf")
    text = repr(hysteresis)
    assert "LP at 0.3849" in text and "from -1 (bound) to 1 (bound)" in text


def test_a_diagram_is_solid_where_it_is_stable(hysteresis):
    figure = hysteresis.plot()
    (axes,) = figure.axes
    lines = [line for line in axes.lines if len(line.get_xdata()) > 1]
    assert [line.get_linestyle() for line in lines] == ["-", "--", "-"]
    for a, b in pairwise(lines):  # they meet
        assert a.get_xdata()[-1] == b.get_xdata()[0]
    assert [text.get_text() for text in axes.texts] == ["LP", "LP"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("a", "x")
    assert hysteresis.plot(ax=axes) is figure
    with pytest.raises(NameLookupError, match='no variable "y"'):
        hysteresis.plot(variable="y")


@pytest.mark.parametrize(
    "interval, said",
    [
        ((1.0, 1.0), r"the interval \(1, 1\) is empty: its ends are equal"),
        ((1.0, 0.0), r"it is reversed. Give the smaller end first, such as \(0, 1\)"),
        ((0.0, np.inf), "is not an interval"),
        ((0.0,), "is not an interval"),
    ],
)
def test_an_interval_that_is_none(interval, said):
    with pytest.raises(AnalysisError, match=said):
        scalar(lambda x, p: p["a"] - x).continuation("a", interval)


def test_a_parameter_that_does_not_exist_is_named():
    with pytest.raises(NameLookupError, match=r'"i_e"\. Did you mean "I_e"'):
        dd.DSAnalyzer(dd.FitzHughNagumo()).continuation("i_e", (0.0, 1.0))


def test_where_there_is_no_equilibrium_it_is_said():
    an = scalar(lambda x, p: 1.0 + x**2 + p["a"] ** 2)
    with pytest.raises(AnalysisError, match=r"no equilibrium to begin with: .* at a = 0, 1 leads"):
        an.continuation("a", (0.0, 1.0))
    with pytest.raises(AnalysisError, match="there is none in the box"):
        an.continuation("a", (0.0, 1.0), box={"x": (-1.0, 1.0)})


def test_where_branches_cross_none_can_begin():
    family = Family(scalar(lambda x, p: p["a"] * x - x**3).field.flat("a"))
    with pytest.raises(AnalysisError, match="x = 0 at a = 0 is singular"):
        equilibrium_branches(family, (-1.0, 1.0), [(0.0, np.zeros(1))])
    found = equilibrium_branches(family, (-1.0, 1.0), [(0.0, np.zeros(1)), (-1.0, np.zeros(1))])
    assert len(found) == 2


def test_what_is_conserved_makes_equilibria_singular():
    def exchange(s, p):
        flow = p["a"] * s["x"] - s["y"]
        return {"x": -flow, "y": flow}

    with pytest.raises(AnalysisError, match="something is conserved"):
        analyzer(exchange, {"x": 1.0, "y": 0.5}, a=0.5).continuation("a", (0.0, 1.0))


def test_a_map_is_refused():
    class Logistic(dd.DynamicalSystem):
        r: float = 2.0

        class State(NamedTuple):
            x: jax.Array

        def init(self, id, key):
            return self.State(jnp.asarray(0.3))

        def step(self, state, drive, tick):
            return self.State(self.r * state.x * (1 - state.x)), None

    with pytest.raises(AnalysisError, match="is a map"):
        dd.DSAnalyzer(Logistic(), dt=1.0).continuation("r", (1.0, 3.5))


@pytest.mark.parametrize(
    "model, parameter, interval",
    [
        (dd.WilsonCowan(), "P", (-2.0, 6.0)),
        (dd.JansenRit(), "p", (-50.0, 400.0)),
        (dd.AdEx(), "I_e", (0.0, 1000.0)),
        (dd.WangBuzsaki(), "I_e", (-1.0, 5.0)),
    ],
    ids=lambda x: type(x).__name__,
)
def test_stability_changes_at_special_points_alone(model, parameter, interval):
    branches = dd.DSAnalyzer(model).continuation(parameter, interval)
    for branch in branches:
        unstable = np.sum(branch.eigenvalues.real > 0, axis=1)
        changes = {int(k): int(abs(unstable[k + 1] - unstable[k])) for k in np.flatnonzero(
            np.diff(unstable))}  # fmt: skip
        expected: dict[int, int] = {}
        for k, point in zip(branch.at, branch.special, strict=True):
            expected[k] = {"LP": 1, "H": 2}[point.kind]
        assert changes == expected
