"""Steps and eigenvalues by products with a Jacobian, against matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd
from distdyn.analysis.points.krylov import damped_step, leading
from tests.analysis.systems import large_wells


def test_a_step_solves_the_damped_equations():
    rng = np.random.default_rng(1)
    J, r = rng.normal(size=(40, 40)) / 6.0, rng.normal(size=40)
    with jax.enable_x64(True):
        slope = jnp.asarray(J.T @ r)
        d = damped_step(lambda q: J @ q, lambda s: J.T @ s, slope, 0.3, 1e-12)
    np.testing.assert_allclose(d, np.linalg.solve(J.T @ J + 0.3 * np.eye(40), -J.T @ r), atol=1e-10)


@pytest.mark.parametrize("is_continuous", [True, False])
def test_leading_eigenvalues_are_found_as_often_as_they_are_there(is_continuous):
    rng = np.random.default_rng(2)
    values = -rng.uniform(0.1, 0.9, 300)
    values[:3], values[3], values[4] = 1.5, 1.0, 0.0  # one three times
    turn = np.array([[1.2, 2.0], [-2.0, 1.2]])
    whole = np.diag(values)
    whole[10:12, 10:12] = turn
    mixed = np.eye(300) + 0.3 * np.triu(rng.normal(size=(300, 300)), 1) / np.sqrt(300)
    A = mixed @ whole @ np.linalg.inv(mixed)  # not normal
    with jax.enable_x64(True):
        found, norm = leading(
            lambda x, p: A @ x, np.zeros(300), np.zeros(0), is_continuous=is_continuous,
            tolerance=1e-8,
        )  # fmt: skip
    exact = np.linalg.eigvals(A)
    size = exact.real if is_continuous else np.abs(exact)
    expected = exact[np.argsort(-size)][: 7 if is_continuous else 6]
    np.testing.assert_allclose(
        np.sort_complex(found[: len(expected)]), np.sort_complex(expected), atol=1e-6
    )
    assert 1.0 < norm <= np.linalg.norm(A, 2) * (1 + 1e-12)


def check(n, k, count, devices=1):
    field, back = large_wells(n, k)
    found = dd.DSAnalyzer(field).fixed_points({"x": (-2.0, 2.0)}, n_starts=count, devices=devices)
    y = back(found.x)
    places = np.round(y[:, :k] / 0.9575040241)
    assert len(found) == len({tuple(row) for row in places}) == 3**k
    np.testing.assert_allclose(y[:, :k], 0.9575040241 * places, atol=1e-9)
    np.testing.assert_allclose(y[:, k:], 0.0, atol=1e-9)
    np.testing.assert_array_equal(found.n_unstable, (places == 0).sum(axis=1))
    labels = [["stable node", "saddle"][int(m > 0)] for m in found.n_unstable]
    assert list(found.stability) == labels
    return found


def test_3_in_1500_dimensions_on_any_number_of_devices():
    one, other = (check(1500, 1, 40, devices) for devices in (1, 4))
    np.testing.assert_array_equal(one.x, other.x)
    np.testing.assert_array_equal(one.eigenvalues, other.eigenvalues)


@pytest.mark.slow
def test_27_in_100_000_dimensions_on_any_number_of_devices():
    one, other = (check(100_000, 3, 40 * 27, devices) for devices in (1, 8))  # 3 minutes each
    np.testing.assert_array_equal(one.x, other.x)
    np.testing.assert_array_equal(one.eigenvalues, other.eigenvalues)
