"""Questions that have no answer, or not the one that was expected: what is said of them."""

import re

import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd
from distdyn.analysis.field import VectorField


def analyzer(F, state, parameters=None, **more):
    """Of a function that is given all parameters."""
    known = {name: np.float64(value) for name, value in (parameters or {}).items()}
    state = {name: np.asarray(value, np.float64) for name, value in state.items()}
    return dd.DSAnalyzer(
        VectorField(lambda s, p: F(s, {**known, **p}), state, known, name="toy", **more)
    )


FHN = dd.DSAnalyzer(dd.FitzHughNagumo(I_e=0.5))
ONE = analyzer(lambda s, p: {"x": p["a"] - s["x"]}, {"x": 0.1}, {"a": 1.0})
NONE = analyzer(lambda s, p: {"x": 1.0 + s["x"] ** 2 + p["a"]}, {"x": 0.0}, {"a": 0.0})
LINE = analyzer(
    lambda s, p: {"x": s["y"] - s["x"], "y": s["x"] - s["y"]}, {"x": 0.0, "y": 0.0}, {"a": 1.0}
)
CUBE = analyzer(lambda s, p: {"x": -(s["x"] ** 3), "y": -s["y"]}, {"x": 0.3, "y": 0.0})
STEP = analyzer(
    lambda s, p: {"x": jnp.where(s["x"] > 0.25, -1.0, 1.0) + p["a"] - s["x"]}, {"x": 0.0},
    {"a": 0.0},
)  # fmt: skip
THREE = analyzer(lambda s, p: {n: -s[n] for n in "xyz"}, {"x": 0.0, "y": 0.0, "z": 0.0})
MAP = analyzer(
    lambda s, p: {"x": p["r"] * s["x"] * (1.0 - s["x"])}, {"x": 0.3}, {"r": 3.2},
    is_continuous=False,
)  # fmt: skip
LOG = analyzer(lambda s, p: {"x": jnp.log(s["x"])}, {"x": 1.0})

NAN, INF = float("nan"), float("inf")
BOX = {"V": (-3, 3), "w": (-1, 3)}

# What is asked, and some words of the answer.
ERRORS = {
    "nowhere": (lambda: FHN.fixed_points(), "Give a box"),
    "unknown variable": (lambda: FHN.fixed_points(box={"z": (0, 1)}), "Known: V, w"),
    "reversed": (lambda: FHN.fixed_points(box={"V": (3, -3)}), "lower end first"),
    "no volume": (lambda: FHN.fixed_points(box={"V": (1, 1)}), "lower end first"),
    "NaN in the box": (lambda: FHN.fixed_points(box={"V": (NAN, 3)}), "two finite numbers"),
    "infinite box": (lambda: FHN.fixed_points(box={"V": (-INF, INF)}), "two finite numbers"),
    "words in the box": (lambda: FHN.fixed_points(box={"V": ("a", "b")}), "two finite numbers"),
    "three ends": (lambda: FHN.fixed_points(box={"V": (0, 1, 2)}), "two finite numbers"),
    "box without names": (lambda: FHN.fixed_points(box=[(-3, 3), (-1, 3)]), "ranges by name"),
    "empty box": (lambda: FHN.fixed_points(box={}), "ranges by name"),
    "starts of another model": (lambda: FHN.fixed_points(starts=np.zeros((3, 5))), "[m, 2]"),
    "starts that are none": (lambda: FHN.fixed_points(starts=np.zeros((0, 2))), "[m, 2]"),
    "starts that are NaN": (lambda: FHN.fixed_points(starts=[[NAN, 0.0]]), "finite numbers"),
    "no starts": (lambda: FHN.fixed_points(box=BOX, n_starts=0), "n_starts = 0"),
    "unknown parameter": (lambda: FHN.fixed_points(box=BOX, parameters={"J": 1.0}), "Known: a"),
    "parameter NaN": (
        lambda: FHN.fixed_points(box=BOX, parameters={"I_e": NAN}),
        "Give one finite number, such as 0.5",
    ),
    "parameter in words": (
        lambda: FHN.fixed_points(box=BOX, parameters={"I_e": "a"}), "Give one finite number"
    ),
    "parameter array": (
        lambda: FHN.fixed_points(box=BOX, parameters={"I_e": np.zeros(3)}), "one finite number"
    ),
    "not finite anywhere": (lambda: LOG.fixed_points(box={"x": (-2, -1)}), "finite at none"),
    "plane of three": (
        lambda: THREE.phase_plane(box={n: (-1, 1) for n in "xyz"}), "has two variables, not 3"
    ),
    "plane of none": (lambda: FHN.phase_plane(box={}), "no variable moves"),
    "plane of one twice": (lambda: FHN.phase_plane("V", "V", box=BOX), "named twice"),
    "plane without a range": (lambda: FHN.phase_plane("V", "w", box={"V": (0, 1)}), "no range"),
    "plane without a grid": (lambda: FHN.phase_plane(box=BOX, resolution=1), "resolution = 1"),
    "plane that is not finite": (lambda: LOG.phase_plane(box={"x": (-1, 1)}), "not finite"),
    "held at NaN": (lambda: THREE.slice("xy", {"z": NAN}), "cannot be held"),
    "held and moving": (lambda: FHN.slice("V", {"V": 0.0}), "named twice"),
    "a slice of nothing": (lambda: FHN.slice([]), "no variable moves"),
    "interval reversed": (lambda: FHN.continuation("I_e", (2, 0)), "such as (0, 2)"),
    "interval empty": (lambda: FHN.continuation("I_e", (1, 1)), "its ends are equal"),
    "interval infinite": (lambda: FHN.continuation("I_e", (0, INF)), "two numbers"),
    "interval in words": (lambda: FHN.continuation("I_e", ("a", "b")), "two numbers"),
    "interval of one number": (lambda: FHN.continuation("I_e", 2.0), "two numbers"),
    "over a variable": (lambda: FHN.continuation("V", (0, 1)), "no parameter"),
    "no equilibrium": (lambda: NONE.continuation("a", (0, 1)), "no equilibrium to begin with"),
    "equilibria not isolated": (lambda: LINE.continuation("a", (0, 1)), "something is conserved"),
    "bifurcations of a map": (lambda: MAP.continuation("r", (0, 1)), "is a map"),
    "one parameter twice": (
        lambda: FHN.continuation2(("I_e", (0, 1)), ("I_e", (0, 1))), "two different parameters"
    ),
    "a parameter without interval": (
        lambda: FHN.continuation2("I_e", "b"), 'such as ("I_e", (0, 1))'
    ),
    "second parameter elsewhere": (
        lambda: FHN.continuation2(("I_e", (0, 1)), ("b", (2, 3))), "a wider range"
    ),
    "cycle of one variable": (
        lambda: ONE.limit_cycles("a", (0, 2), start={"x": 0.0}), "comes to rest"
    ),
    "start that goes away": (
        lambda: NONE.limit_cycles("a", (-0.5, 2), start={"x": 0.0}), "without bound"
    ),
    "start that is NaN": (
        lambda: FHN.limit_cycles("I_e", (0, 1), start={"V": NAN}), "finite numbers"
    ),
    "start of another model": (
        lambda: FHN.limit_cycles("I_e", (0, 1), start=np.zeros(5)), "has 2 variables"
    ),
    "no time to settle": (
        lambda: FHN.limit_cycles("I_e", (0, 1), start={"V": 2.0}, transient=0.0), "some ms > 0"
    ),
    "no mesh": (lambda: FHN.limit_cycles("I_e", (0, 1), n_intervals=0), "n_intervals >= 1"),
    "periods below 0": (lambda: FHN.limit_cycles("I_e", (0, 1), longest=-1.0), "longest > 0"),
    "exponents of no time": (lambda: FHN.lyapunov_spectrum(0.0), "T > 0"),
    "more exponents than variables": (lambda: FHN.lyapunov_spectrum(9.0, k=5), "1 <= k <= 2"),
    "exponents of what is reset": (
        lambda: dd.DSAnalyzer(dd.LIF()).lyapunov_spectrum(9.0), "is reset"
    ),
    "exponents of what goes away": (lambda: NONE.lyapunov_spectrum(99.0), "without bound"),
    "slow points of no states": (
        lambda: FHN.slow_points(np.zeros((3, 2)), n_states=0), "n_states = 0"
    ),
    "a class": (lambda: dd.DSAnalyzer(dd.FitzHughNagumo), "Give an instance"),
    "a function": (lambda: dd.DSAnalyzer(lambda x: x), "VectorField(F, state, parameters)"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_what_cannot_be_asked_is_told_with_a_cure(name):
    ask, words = ERRORS[name]
    with pytest.raises(dd.DistDynError, match=re.escape(words)):
        ask()


# What is asked, how many points there are, and some words of what is said of them.
POINTS = {
    "none": (lambda: NONE.fixed_points(box={"x": (-1, 1)}), 0, "slowest at x = "),
    "one outside": (lambda: ONE.fixed_points(box={"x": (-1, 0)}), 0, "Make the box larger"),
    "where the sign changes without a zero": (
        lambda: STEP.fixed_points(box={"x": (-1, 1)}), 0, "without being zero"
    ),
    "a third-order zero": (
        lambda: CUBE.fixed_points(box={"x": (-1, 1), "y": (-1, 1)}), 1, "degenerate"
    ),
    "beyond the threshold": (
        lambda: dd.DSAnalyzer(dd.LIF(I_e=1000.0)).fixed_points(box={"V": (-80, 0)}), 0,
        "where the cell is reset, left out",
    ),
    "box far too large": (
        lambda: ONE.fixed_points(box={"x": (-1e30, 1e30)}), 1, "x = 1: stable node"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", POINTS)
def test_fixed_points_that_are_not_there_are_not_invented(name):
    ask, count, words = POINTS[name]
    found = ask()
    assert len(found) == count
    assert words in repr(found)


def test_a_line_of_fixed_points_is_said_to_be_one():
    found = LINE.fixed_points(box={"x": (-1, 1), "y": (-1, 1)})
    assert set(found.stability) == {"degenerate"}
    np.testing.assert_allclose(found.x[:, 0], found.x[:, 1], atol=1e-9)
    assert "1 line(s) or ring(s) of fixed points" in repr(found)


def test_a_branch_ends_where_the_field_jumps():
    branches = STEP.continuation("a", (-2.0, 2.0))
    for branch in branches:
        jump = 1.0 * (branch.x[:, 0] > 0.25) * -2.0 + 1.0
        np.testing.assert_allclose(branch.x[:, 0], branch.values + jump, atol=1e-8)


def test_a_parameter_without_effect_is_told():
    assert "V_th may not enter" in repr(FHN.continuation("V_th", (0.0, 1.0)))
    assert "may not enter" not in repr(FHN.continuation("I_e", (0.0, 0.1)))


def test_no_hopf_point_leaves_no_cycles_and_says_what_to_do():
    found = ONE.limit_cycles("a", (0.0, 2.0))
    assert len(found) == 0 and "limit_cycles(..., start=)" in repr(found)


def test_a_phase_line_says_what_it_is():
    assert "Phase line: x from 0 to 2\n1 fixed point" in repr(ONE.phase_plane(box={"x": (0, 2)}))
