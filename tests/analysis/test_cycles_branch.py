"""Branches of cycles whose bifurcations and ends are known exactly, and nothing else on them."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.special import ellipk

import distdyn as dd
from distdyn.analysis.continuation import Family, SpecialPoint
from distdyn.analysis.cycles import cycles_from_hopf, cycles_from_simulation, cycles_problem
from distdyn.analysis.field import VectorField
from distdyn.errors import AnalysisError


def flat_of(F, state, parameter):
    field = VectorField(F, {k: np.array(v) for k, v in state.items()}, parameter, name="system")
    return field.flat(*parameter)


def from_simulation(F, state, parameter, interval, transient=40.0, **how):
    flat = flat_of(F, state, parameter)
    of = cycles_problem(Family(flat), interval, **{"n_intervals": 40, **how})
    return cycles_from_simulation(of, flat.x0, float(flat.p0[0]), transient)


def from_hopf(F, state, parameter, interval, omega, **how):
    flat = flat_of(F, state, parameter)
    of = cycles_problem(Family(flat), interval, **{"n_intervals": 40, **how})
    (value,) = parameter.values()
    point = SpecialPoint("H", value, flat.x0, state, np.array([1j, -1j]) * omega, omega)
    return cycles_from_hopf(of, [point])


def kinds(cycles):
    return [point.kind for point in cycles[0].special]


def energy(s, p):
    """H = y^2/2 - x^2/2 + x^3/3 is p on the cycle, between Hopf (-1/6) and homoclinic (0)."""
    H = s["y"] ** 2 / 2.0 - s["x"] ** 2 / 2.0 + s["x"] ** 3 / 3.0
    a, b = s["x"] ** 2 - s["x"], s["y"]
    return {"x": b - (H - p["h"]) * a, "y": -a - (H - p["h"]) * b}


def test_from_hopf_to_a_homoclinic_orbit():
    cycles = from_hopf(energy, {"x": 1.0, "y": 0.0}, {"h": -1.0 / 6.0}, (-1.0, 1.0), 1.0)
    assert kinds(cycles) == ["H", "HOM"]
    assert cycles[0].ends == ("H", "HOM")
    (end,) = cycles.points("HOM")
    assert end.value == pytest.approx(0.0, abs=1e-8)
    assert end.x == pytest.approx([0.0, 0.0], abs=1e-8)
    assert np.all(np.diff(cycles[0].values) > 0.0)
    assert np.all(cycles[0].stable)


def test_periods_on_the_way_to_a_homoclinic_orbit_are_elliptic_integrals():
    cycles = from_hopf(energy, {"x": 1.0, "y": 0.0}, {"h": -1.0 / 6.0}, (-1.0, 1.0), 1.0)
    for h in (-0.1, -1e-2, -1e-4):
        a, b, c = np.sort(np.roots([-2.0 / 3.0, 1.0, 0.0, 2.0 * h]).real)  # y = 0
        T = 4.0 / np.sqrt(2.0 / 3.0 * (c - a)) * ellipk((c - b) / (c - a))
        (cycle,) = cycles.at(h)
        assert cycle.period == pytest.approx(T, rel=1e-8)
        assert [cycle.minimum[0], cycle.maximum[0]] == pytest.approx([b, c], abs=1e-6)


def saddle_node_circle(s, p):
    r2, w = s["x"] ** 2 + s["y"] ** 2, p["w"] - s["x"]
    return {"x": s["x"] * (1.0 - r2) - s["y"] * w, "y": s["y"] * (1.0 - r2) + s["x"] * w}


def test_a_saddle_node_on_the_circle():
    cycles = from_simulation(saddle_node_circle, {"x": 1.0, "y": 0.1}, {"w": 2.0}, (0.0, 3.0))
    assert kinds(cycles) == ["SNIC"]
    assert cycles[0].ends == ("SNIC", "bound")
    (end,) = cycles.points("SNIC")
    assert end.value == pytest.approx(1.0, abs=1e-9)
    assert end.x == pytest.approx([1.0, 0.0], abs=1e-6)
    branch = cycles[0]
    assert branch.periods == pytest.approx(2.0 * np.pi / np.sqrt(branch.values**2 - 1.0), rel=1e-6)
    assert branch.values[-1] == 3.0


def test_the_branch_ends_at_the_longest_period():
    cycles = from_simulation(
        saddle_node_circle, {"x": 1.0, "y": 0.1}, {"w": 2.0}, (0.0, 3.0), longest=8.0
    )
    assert cycles[0].ends == ("period", "bound")
    assert 8.0 < cycles[0].periods.max() < 12.0


def test_a_torus_is_born():
    # In r and z a focus whose eigenvalues are mu / 2 +- i sqrt(2 - mu^2 / 4); T = 2 pi / 3.
    def F(s, p):
        x, y, z = s["x"], s["y"], s["z"]
        dz = 1.0 - x**2 - y**2 + p["mu"] * z - z**3
        return {"x": x * z - 3.0 * y, "y": y * z + 3.0 * x, "z": dz}

    cycles = from_simulation(F, {"x": 1.0, "y": 0.1, "z": 0.0}, {"mu": -0.5}, (-1.0, 1.0))
    assert kinds(cycles) == ["NS"]
    (point,) = cycles.points("NS")
    assert point.value == pytest.approx(0.0, abs=1e-9)
    assert point.period == pytest.approx(2.0 * np.pi / 3.0, rel=1e-9)
    assert point.cycle is not None
    angle = abs(np.angle(point.cycle.multipliers[1]))
    assert angle == pytest.approx(np.sqrt(2.0) * point.period, rel=1e-6)
    assert list(cycles[0].stable) == [value < 0.0 for value in cycles[0].values]


def test_neutral_saddles_are_no_tori():
    # Multipliers exp(T (+-1 + mu)): their product passes 1 at mu = 0, where both are real.
    def F(s, p):
        x, y, r2 = s["x"], s["y"], s["x"] ** 2 + s["y"] ** 2
        return {
            "x": x * (1.0 - r2) - 6.0 * y,
            "y": y * (1.0 - r2) + 6.0 * x,
            "u": (1.0 + p["mu"]) * s["u"],
            "v": (-1.0 + p["mu"]) * s["v"],
        }

    state = {"x": 1.0, "y": 0.1, "u": 0.0, "v": 0.0}
    assert kinds(from_simulation(F, state, {"mu": -0.5}, (-0.9, 0.9))) == []


def test_a_branch_point_is_no_fold():
    def F(s, p):
        x, y, r2 = s["x"], s["y"], s["x"] ** 2 + s["y"] ** 2
        dz = p["mu"] * s["z"] - s["z"] ** 3
        return {"x": x * (1.0 - r2) - 2.0 * y, "y": y * (1.0 - r2) + 2.0 * x, "z": dz}

    cycles = from_simulation(F, {"x": 1.0, "y": 0.1, "z": 0.0}, {"mu": -0.5}, (-1.0, 1.0))
    assert kinds(cycles) == ["BPC"]
    assert cycles.points()[0].value == pytest.approx(0.0, abs=1e-8)


def isola(s, p):
    """Cycles of radius r with (r - 1)^2 + p^2 = 1/4."""
    x, y = s["x"], s["y"]
    grow = 0.25 - (jnp.sqrt(x**2 + y**2) - 1.0) ** 2 - p["p"] ** 2
    return {"x": x * grow - 2.0 * y, "y": y * grow + 2.0 * x}


def test_an_isola_closes():
    cycles = from_simulation(isola, {"x": 1.4, "y": 0.1}, {"p": 0.1}, (-1.0, 1.0))
    assert cycles[0].ends == ("closed", "closed")
    assert [point.value for point in cycles.points("LPC")] == pytest.approx([-0.5, 0.5], abs=1e-9)
    assert len(cycles.points()) == 2
    assert cycles[0].values[0] == cycles[0].values[-1]
    r = cycles[0].maxima[:, 0]
    assert (r - 1.0) ** 2 + cycles[0].values ** 2 == pytest.approx(0.25, abs=1e-6)


def test_an_isola_that_begins_beside_its_fold_has_it_once():
    cycles = from_simulation(isola, {"x": 1.06, "y": 0.0}, {"p": 0.498}, (-1.0, 1.0), 200.0)
    assert [p.kind for p in cycles.points()] == ["LPC", "LPC"]


def bautin(s, p):
    """Cycles with p + r^2 - r^4 = 0: Hopf at 0, subcritical; a fold at -1/4, r^2 = 1/2."""
    x, y = s["x"], s["y"]
    r2 = x**2 + y**2
    grow = p["p"] + r2 - r2**2
    return {"x": x * grow - y, "y": y * grow + x}


def test_a_fold_of_cycles_of_the_normal_form():
    cycles = from_hopf(bautin, {"x": 0.0, "y": 0.0}, {"p": 0.0}, (-1.0, 1.0), 1.0)
    assert kinds(cycles) == ["H", "LPC"]
    assert cycles.points("LPC")[0].value == pytest.approx(-0.25, abs=1e-9)
    assert cycles[0].ends == ("H", "bound")
    assert [cycle.stable for cycle in cycles.at(-0.1)] == [False, True]
    (r2,) = {round(cycle.maximum[0] ** 2, 6) for cycle in cycles.at(0.5)}
    assert r2 == pytest.approx((1.0 + np.sqrt(3.0)) / 2.0, abs=1e-6)


def test_the_branch_ends_at_the_hopf_point_and_is_not_mirrored():
    # Reached from outside: the cycle shrinks into the Hopf point, beyond which is its mirror image.
    cycles = from_simulation(bautin, {"x": 1.0, "y": 0.0}, {"p": 0.5}, (-1.0, 1.0))
    assert kinds(cycles) == ["H", "LPC"]
    end = cycles.points("H")[0]
    assert end.value == pytest.approx(0.0, abs=1e-9)
    assert end.x == pytest.approx([0.0, 0.0], abs=1e-9)
    assert end.period == pytest.approx(2.0 * np.pi, rel=1e-6)
    amplitude = cycles[0].maxima[:, 0]
    assert np.all(np.diff(amplitude[amplitude < 0.5]) > 0.0) or np.all(
        np.diff(amplitude[amplitude < 0.5]) < 0.0
    )


def test_two_hopf_points_of_one_branch_give_it_once():
    def F(s, p):
        x, y, r2 = s["x"], s["y"], s["x"] ** 2 + s["y"] ** 2
        grow = 1.0 - p["p"] ** 2 - r2
        return {"x": x * grow - y, "y": y * grow + x}

    flat = flat_of(F, {"x": 0.0, "y": 0.0}, {"p": 0.0})
    of = cycles_problem(Family(flat), (-2.0, 2.0), n_intervals=20)
    ends = [
        SpecialPoint("H", p, flat.x0, {"x": 0.0, "y": 0.0}, np.array([1j, -1j]), 1.0)
        for p in (-1.0, 1.0)
    ]
    cycles = cycles_from_hopf(of, ends)
    assert len(cycles) == 1
    assert kinds(cycles) == ["H", "H"]
    assert [p.value for p in cycles.points()] == pytest.approx([-1.0, 1.0], abs=1e-8)


def roessler(s, p):
    return {
        "x": -s["y"] - s["z"],
        "y": s["x"] + 0.2 * s["y"],
        "z": 0.2 + s["z"] * (s["x"] - p["c"]),
    }


def multiplier_of_roessler(c):
    """The multiplier of largest size, by shooting: a return map to y = 0 and its derivative."""

    def f(t, u):
        x, y, z = u[:3]
        J = np.array([[0.0, -1.0, -1.0], [1.0, 0.2, 0.0], [z, 0.0, x - c]])
        flow = [-y - z, x + 0.2 * y, 0.2 + z * (x - c)]
        return np.append(flow, (J @ u[3:].reshape(3, 3)).ravel())

    def section(t, u):
        return u[1]

    section.direction = -1.0

    def crossings(u, time):
        u = np.concatenate([u, np.eye(3).ravel()])
        found = solve_ivp(f, (0.0, time), u, "DOP853", events=section, rtol=1e-11, atol=1e-12)
        return found.y_events[0][found.t_events[0] > 1.0]

    place = crossings([1.0, 1.0, 0.0], 300.0)[-1][[0, 2]]
    for _ in range(10):
        end = crossings([place[0], 0.0, place[1]], 8.0)[0]
        M, flow = end[3:].reshape(3, 3), f(0.0, end)[:3]
        P = (M - np.outer(flow, M[1]) / flow[1])[np.ix_([0, 2], [0, 2])]
        step = np.linalg.solve(P - np.eye(2), end[[0, 2]] - place)
        place = place - step
        if np.max(np.abs(step)) < 1e-9:
            return np.linalg.eigvals(P)
    raise AssertionError("shooting does not converge")


def test_period_doublings_of_roessler():
    cycles = from_simulation(roessler, {"x": 1.0, "y": 1.0, "z": 0.0}, {"c": 2.5}, (2.0, 5.0))
    assert kinds(cycles) == ["PD"]
    (first,) = cycles.points("PD")
    assert first.value == pytest.approx(2.8324450, abs=1e-6)
    assert np.min(np.abs(multiplier_of_roessler(first.value) + 1.0)) < 1e-5
    twice = cycles.doubled(first)
    assert kinds(twice) == ["PD", "PD"]
    assert twice.points()[1].value == pytest.approx(3.8373582, abs=1e-6)
    assert twice[0].periods[0] == pytest.approx(2.0 * first.period, rel=1e-3)
    assert twice.at(3.5)[0].stable
    assert not cycles.at(3.5)[0].stable
    with pytest.raises(AnalysisError, match="no period doubling"):
        twice.doubled(
            from_simulation(bautin, {"x": 1.0, "y": 0.0}, {"p": 0.5}, (-1, 1)).points()[0]
        )


def test_doubled_cycles_end_where_they_are_single_again():
    # A Moebius band: (a, b) = v (cos, sin)(half the angle), v' = (1/4 - p^2 - v^2) v / 2.
    def F(s, p):
        x, y, a, b = s["x"], s["y"], s["a"], s["b"]
        r2 = x**2 + y**2
        grow = 0.5 * (0.25 - p["p"] ** 2 - (a**2 + b**2))
        along = 0.5 * jnp.stack([a + a * x + b * y, b + a * y - b * x])
        da, db = grow * along - 2.0 * (jnp.stack([a, b]) - along)
        return {
            "x": x * (1.0 - r2) - y,
            "y": y * (1.0 - r2) + x,
            "a": da - 0.5 * b,
            "b": db + 0.5 * a,
        }

    state = {"x": 1.0, "y": 0.1, "a": 0.0, "b": 0.0}
    cycles = from_simulation(F, state, {"p": -0.9}, (-1.0, 1.0))
    assert [point.value for point in cycles.points("PD")] == pytest.approx([-0.5, 0.5], abs=1e-6)
    twice = cycles.doubled(cycles.points("PD")[0])
    assert twice[0].ends == ("PD", "PD")
    assert [point.value for point in twice.points()] == pytest.approx([-0.5, 0.5], abs=1e-6)
    assert kinds(twice) == ["PD", "PD"]


@pytest.mark.parametrize(
    "state, message",
    [
        ({"x": 0.0, "y": 0.0}, "comes to rest"),
        ({"x": 1.0, "y": 0.0, "z": 0.0}, "rest"),
    ],
)
def test_a_start_that_goes_to_no_cycle(state, message):
    def F(s, p):
        return {name: -p["p"] * value for name, value in s.items()}

    with pytest.raises(AnalysisError, match=message):
        from_simulation(F, state, {"p": 1.0}, (0.0, 2.0))


def test_what_is_asked_is_checked():
    flat = flat_of(bautin, {"x": 1.0, "y": 0.0}, {"p": 0.5})
    with pytest.raises(AnalysisError, match="empty"):
        cycles_problem(Family(flat), (1.0, -1.0))
    of = cycles_problem(Family(flat), (-1.0, 0.0))
    with pytest.raises(AnalysisError, match="interval"):
        cycles_from_simulation(of, flat.x0, 0.5, 10.0)
    large = flat_of(lambda s, p: s, {"x": np.zeros(201)}, {"p": 0.5})
    with pytest.raises(AnalysisError, match="201 variables"):
        cycles_problem(Family(large), (0.0, 1.0))
    step = VectorField(bautin, {"x": np.array(1.0), "y": np.array(0.0)}, {"p": 0.5}, False)
    with pytest.raises(AnalysisError, match="is a map"):
        cycles_problem(Family(step.flat("p")), (0.0, 1.0))
    with pytest.raises(AnalysisError, match="is reset"):
        dd.DSAnalyzer(dd.AdEx(I_e=1000.0)).limit_cycles("I_e", (0.0, 2000.0), start={})
    assert "no Hopf point" in cycles_from_hopf(of, []).message
    with pytest.raises(AnalysisError, match='no kind "LP"'):
        cycles_from_hopf(of, []).points("LP")


def test_results_are_drawn_and_saved(tmp_path):
    from distdyn.run.store import read_arrays

    cycles = from_hopf(bautin, {"x": 0.0, "y": 0.0}, {"p": 0.0}, (-1.0, 1.0), 1.0)
    figure = cycles.plot(variable="y")
    drawn = np.concatenate([line.get_ydata() for line in figure.axes[0].lines])
    assert np.nanmax(drawn) == pytest.approx(cycles[0].maxima[:, 1].max())
    with pytest.raises(dd.errors.NameLookupError, match='"z"'):
        cycles.plot(variable="z")
    cycles.save(tmp_path / "cycles.h5")
    arrays, attributes = read_arrays(tmp_path / "cycles.h5")
    assert attributes["kind"] == "limit cycles"
    assert np.array_equal(arrays["0/periods"], cycles[0].periods)
    first, count = arrays["0/first"][1], len(cycles[0].cycles[1].x)
    assert np.array_equal(arrays["0/x"][first : first + count], cycles[0].cycles[1].x)
    (cycle,) = cycles.at(0.5)
    cycle.save(tmp_path / "cycle.h5")
    assert np.array_equal(read_arrays(tmp_path / "cycle.h5")[0]["x"], cycle.x)
    assert len(cycle.plot().axes[0].lines) == 2
    assert "stable cycle at p = 0.5" in repr(cycle)
