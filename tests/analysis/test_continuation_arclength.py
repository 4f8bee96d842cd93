"""Curves whose equations are known: a circle, a cubic, a helix."""

from dataclasses import replace

import numpy as np
import pytest

from distdyn.analysis.continuation.arclength import Curve, Dense, Steps, trace

FREE = np.array([np.inf, np.inf])


def circle(**given):
    equations = Dense(lambda u: np.array([u @ u - 1.0]), lambda u: 2.0 * u[None])
    given = {"lower": -FREE, "upper": FREE, "weight": np.ones(2)} | given
    return Curve(equations, **given)


def test_a_closed_curve_is_followed_once_and_its_folds_are_located():
    curve = circle(monitor=lambda u, tangent: (tangent[-1:], float(u[0])))
    path = trace(curve, np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    assert path.end == "closed"
    assert path.points[-1] is path.points[0]
    angle = np.unwrap([np.arctan2(p.u[1], p.u[0]) for p in path.points])
    assert angle[-1] - angle[0] == pytest.approx(2 * np.pi)
    assert np.all(np.diff(angle) > 0)
    folds = [crossing.point.u for crossing in path.crossings]
    np.testing.assert_allclose(folds, [[0.0, 1.0], [0.0, -1.0]], atol=1e-10)
    assert [p.seen for p in path.points] == [p.u[0] for p in path.points]


def test_a_curve_ends_exactly_at_the_end_of_its_interval():
    path = trace(
        circle(upper=np.array([np.inf, 0.625])), np.array([1.0, 0.0]), np.array([0.0, 1.0])
    )
    assert path.end == "bound"
    assert path.points[-1].u[1] == 0.625
    assert path.points[-1].u[0] == pytest.approx(np.sqrt(1 - 0.625**2), abs=1e-12)


def test_a_step_that_is_not_understood_is_made_shorter():
    rules = Steps(first=0.05, largest=0.05, smallest=1e-6)
    curve = circle(
        steps=rules, accept=lambda a, b: np.linalg.norm(b.u - a.u) < 0.02, patience=1e2,
        upper=np.array([np.inf, 0.9]),
    )  # fmt: skip
    path = trace(curve, np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    assert path.end == "bound"
    assert max(np.linalg.norm(np.diff([p.u for p in path.points], axis=0), axis=1)) < 0.02


def test_equations_may_change_from_step_to_step():
    # The same curve, x^2 + y^2 = 1 and z = y, whatever the factor of the second equation.
    def equations(factor):
        def residual(u):
            return np.array([u[0] ** 2 + u[1] ** 2 - 1.0, factor * (u[2] - u[1])])

        def jacobian(u):
            return np.array([[2 * u[0], 2 * u[1], 0.0], [0.0, -factor, factor]])

        return Dense(residual, jacobian)

    seen = []

    def adapt(old, point):
        seen.append(point)
        return replace(old, equations=equations(1.0 + len(seen))), point

    free = np.full(3, np.inf)
    curve = Curve(equations(1.0), np.ones(3), -free, free, adapt=adapt)
    path = trace(curve, np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0]))
    assert path.end == "closed"
    assert seen == path.points[1:-1]


def test_the_reason_to_stop_and_the_number_of_steps_are_reported():
    start, up = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    stopped = trace(circle(stop=lambda p: "high" if p.u[1] > 0.5 else None), start, up)
    assert stopped.end == "high"
    assert 0.5 < stopped.points[-1].u[1] < 0.56
    few = trace(circle(steps=Steps(number=7)), start, up)
    assert (few.end, len(few.points)) == ("steps", 8)


def test_a_curve_that_leaves_the_domain_of_its_equations_is_stuck_at_its_edge():
    def residual(u):
        return np.array([np.sqrt(u[1]) - u[0]]) if u[1] >= 0 else np.array([np.nan])

    equations = Dense(residual, lambda u: np.array([[-1.0, 0.5 / np.sqrt(u[1])]]))
    path = trace(
        Curve(equations, np.ones(2), -FREE, FREE), np.array([1.0, 1.0]), np.array([0.0, -1.0])
    )
    assert path.end == "stuck"
    assert 0 <= path.points[-1].u[1] < 1e-6


def test_a_start_that_is_no_solution_is_an_error():
    equations = Dense(lambda u: np.array([u @ u + 1.0]), lambda u: 2.0 * u[None])
    with pytest.raises(np.linalg.LinAlgError, match="does not converge"):
        trace(Curve(equations, np.ones(2), -FREE, FREE), np.ones(2), np.array([0.0, 1.0]))
