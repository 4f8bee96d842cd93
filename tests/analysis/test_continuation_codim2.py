"""Curves of folds and Hopf points in two parameters: normal forms, and what MatCont prints."""

import numpy as np
import pytest

import distdyn as dd
from tests.analysis.families import analyzer, hodgkin_huxley, morris_lecar, scalar


def bogdanov_takens(s, p):
    x, y = s["x"], s["y"]
    return {"x": y, "y": p["b1"] + p["b2"] * x + x**2 - x * y}


def bautin(s, p):
    """r' = r (b1 + b2 r^2 - r^4), phi' = 1."""
    x, y = s["x"], s["y"]
    square = x**2 + y**2
    growth = p["b1"] + p["b2"] * square - square**2
    return {"x": growth * x - y, "y": growth * y + x}


def zero_hopf(s, p):
    """x' = b1 + x^2, r' = r (b2 + x - r^2), phi' = 1."""
    growth = p["b2"] + s["x"] - s["y"] ** 2 - s["z"] ** 2
    x = p["b1"] + s["x"] ** 2
    return {"x": x, "y": growth * s["y"] - s["z"], "z": growth * s["z"] + s["y"]}


def double_hopf(s, p):
    """r_1' = r_1 (b1 - r_1^2 - 2 r_2^2), and likewise r_2; frequencies 1 and sqrt(2)."""
    x, y, z, w = (s[name] for name in "xyzw")
    one, two = x**2 + y**2, z**2 + w**2
    first, second = p["b1"] - one - 2 * two, p["b2"] - two - 2 * one
    turn = 2**0.5
    return {
        "x": first * x - y, "y": first * y + x,
        "z": second * z - turn * w, "w": second * w + turn * z,
    }  # fmt: skip


SQUARE = (("b1", (-1.0, 1.0)), ("b2", (-1.0, 1.0)))


def by_kind(branches, kind):
    return [branch for branch in branches if branch.kind == kind]


def kinds(branches):
    found = [point.kind for point in branches.points()]
    return {kind: found.count(kind) for kind in found}


def test_the_curves_through_a_bogdanov_takens_point_are_those_of_its_normal_form():
    an = analyzer(bogdanov_takens, {"x": 0.1, "y": 0.0}, b1=0.0, b2=-0.5)
    curves = an.continuation2(*SQUARE, starts=[[0.0, 0.0], [0.5, 0.0]])
    (fold,), (hopf,) = by_kind(curves, "LP"), by_kind(curves, "H")
    b1, b2 = fold.values.T
    np.testing.assert_allclose(b1, b2**2 / 4, atol=1e-10)
    assert sorted(b2[[0, -1]]) == [-1, 1]
    b1, b2 = hopf.values.T
    np.testing.assert_allclose(b1, 0, atol=1e-10)
    assert np.all(b2 <= 1e-12)  # beyond, it is a neutral saddle
    assert "BT" in hopf.ends
    assert kinds(curves) == {"BT": 1}
    (point,) = curves.points()
    np.testing.assert_allclose(point.value, 0, atol=1e-9)
    assert point.coefficients["a"] == pytest.approx(1)
    assert point.coefficients["b"] == pytest.approx(-1)
    assert point in fold.special and point in hopf.special


def test_a_bautin_point_is_where_the_first_coefficient_changes_its_sign():
    an = analyzer(bautin, {"x": 0.0, "y": 0.0}, b1=-0.5, b2=-0.6)
    curves = an.continuation2(*SQUARE)
    (hopf,) = curves
    assert hopf.kind == "H"
    np.testing.assert_allclose(hopf.values[:, 0], 0, atol=1e-12)
    assert kinds(curves) == {"GH": 1}
    (point,) = curves.points("GH")
    np.testing.assert_allclose(point.value, 0, atol=1e-10)
    assert point.omega == pytest.approx(1)


def test_a_cusp_is_where_two_folds_meet():
    an = scalar(lambda x, p: p["a"] + p["b"] * x - x**3, b=0.6)
    curves = an.continuation2(("a", (-1.0, 1.0)), ("b", (-1.0, 1.0)))
    (fold,) = curves
    a, b = fold.values.T
    np.testing.assert_allclose(27 * a**2, 4 * b**3, atol=1e-10)
    assert kinds(curves) == {"CP": 1}
    (point,) = curves.points("CP")
    np.testing.assert_allclose(point.value, 0, atol=1e-10)
    assert point.coefficients["c"] == pytest.approx(-1)


def test_at_a_zero_hopf_point_the_other_curve_is_followed_too():
    an = analyzer(zero_hopf, {"x": -0.6, "y": 0.0, "z": 0.0}, b1=-0.4, b2=0.3)
    curves = an.continuation2(*SQUARE)
    (fold,), (hopf,) = by_kind(curves, "LP"), by_kind(curves, "H")
    np.testing.assert_allclose(fold.values[:, 0], 0, atol=1e-10)
    np.testing.assert_allclose(hopf.values[:, 0], -(hopf.values[:, 1] ** 2), atol=1e-10)
    assert kinds(curves) == {"ZH": 1}
    (point,) = curves.points("ZH")
    np.testing.assert_allclose(point.value, 0, atol=1e-9)
    assert point.omega == pytest.approx(1)


def test_at_a_double_hopf_point_the_other_curve_is_followed_too():
    an = analyzer(double_hopf, dict.fromkeys("xyzw", 0.0), b1=-0.5, b2=-0.6)
    curves = an.continuation2(*SQUARE)
    assert [branch.kind for branch in curves] == ["H", "H"]
    for branch, k in zip(curves, (0, 1), strict=True):
        np.testing.assert_allclose(branch.values[:, k], 0, atol=1e-12)
        assert sorted(branch.values[[0, -1], 1 - k]) == [-1, 1]
    assert kinds(curves) == {"HH": 1}
    (point,) = curves.points("HH")
    np.testing.assert_allclose(point.value, 0, atol=1e-10)
    assert point in curves[0].special and point in curves[1].special


def test_morris_lecar_has_the_points_of_matcont():
    an = analyzer(morris_lecar, {"V": -60.0, "w": 0.0}, I=0.0, V3=2.0)
    curves = an.continuation2(("I", (-300.0, 600.0)), ("V3", (-80.0, 80.0)))
    assert kinds(curves) == {"BT": 4, "CP": 2}
    expected = {
        "BT": [
            (-227.131888, 69.755737), (48.225939, 21.734143),
            (487.997703, -51.777429), (519.625365, -63.401902),
        ],
        "CP": [(92.105230, 6.418208), (457.907768, -37.108631)],
    }  # fmt: skip
    for kind, values in expected.items():
        found = [point.value for point in curves.points(kind)]
        np.testing.assert_allclose(found, values, rtol=0, atol=6e-7)
    point = curves.points("BT")[1]
    np.testing.assert_allclose(point.x, [-27.149904, 0.037007], atol=5e-7)
    assert point.coefficients["a"] == pytest.approx(2.766e-4, abs=5e-8)
    assert point.coefficients["b"] == pytest.approx(1.513e-2, abs=5e-6)
    assert curves.points("CP")[0].x[0] == pytest.approx(-10.103668, abs=5e-7)
    # Each Hopf curve joins two of the double zeros, and so do the points that it starts from.
    ends = sorted(branch.ends for branch in by_kind(curves, "H"))
    assert ends == [("BT", "BT"), ("BT", "BT")]


def test_hodgkin_and_huxley_with_slow_gates_has_the_double_zero_of_matcont():
    # Given for potentials of the other sign, from rest: (V_K, I) = (-4.977, -0.0619), with a leak
    # that reverses at +10.599 mV there, and gates that are ten times slower than those of 1952.
    an = analyzer(
        hodgkin_huxley, {"V": -65.0, "m": 0.05, "h": 0.6, "n": 0.32},
        I=0.0, E_K=-77.0, E_L=-75.599, phi=0.1,
    )  # fmt: skip
    curves = an.continuation2(("I", (-10.0, 100.0)), ("E_K", (-80.0, -50.0)))
    assert kinds(curves) == {"BT": 1, "CP": 1}
    (point,) = curves.points("BT")
    expected = (0.06185214966177632, -65 + 4.977020454108788)
    np.testing.assert_allclose(point.value, expected, rtol=0, atol=1e-10)
    V, m, n, h = -65 + 2.835463618170097, 0.07351498630356315, 0.361877602925177, 0.494859128785482
    np.testing.assert_allclose(point.x, [V, m, h, n], rtol=0, atol=1e-9)
    assert point.coefficients["a"] == pytest.approx(2.551541e-5, abs=5e-12)
    assert point.coefficients["b"] == pytest.approx(-7.458949e-3, abs=5e-10)


def test_points_that_are_known_may_be_followed():
    an = analyzer(bautin, {"x": 0.0, "y": 0.0}, b1=-0.5, b2=-0.6)
    points = an.continuation("b1", (-1.0, 1.0)).points("H")
    curves = an.continuation2(*SQUARE, points=points)
    assert kinds(curves) == {"GH": 1}


def test_nothing_to_follow_is_an_error():
    an = scalar(lambda x, p: p["a"] - x + 0 * p["b"], b=0.5)
    with pytest.raises(dd.DistDynError, match="of 0 points to begin with none is a fold"):
        an.continuation2(("a", (0.0, 1.0)), ("b", (0.0, 1.0)))
    with pytest.raises(dd.DistDynError, match=r"b is 0.5 in the model, outside of \(1, 2\)"):
        an.continuation2(("a", (0.0, 1.0)), ("b", (1.0, 2.0)))
    with pytest.raises(dd.DistDynError, match="two different parameters"):
        an.continuation2(("b", (0.0, 1.0)), ("b", (0.0, 1.0)))
