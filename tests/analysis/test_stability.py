"""Labels of fixed points."""

import numpy as np
import pytest

from distdyn.analysis.points.stability import spectrum, stability


@pytest.mark.parametrize(
    "eigenvalues, label",
    [
        ([-1.0], "stable node"),
        ([1e-3], "unstable node"),
        ([-1.0, -2.0], "stable node"),
        ([-1e-3 + 1j, -1e-3 - 1j], "stable focus"),
        ([1e-3 + 1j, 1e-3 - 1j], "unstable focus"),
        ([1.0, 2.0], "unstable node"),
        ([1.0, -1.0], "saddle"),
        ([0.1 + 10j, 0.1 - 10j, -13.0], "saddle-focus"),
        ([1e-9 + 1j, 1e-9 - 1j], "center"),
        ([0.0, -1.0], "degenerate"),
        ([1e-9, -1.0], "degenerate"),
        ([1j, -1j, -1.0], "degenerate"),
    ],
)
def test_of_a_flow(eigenvalues, label):
    values = np.array(eigenvalues, complex)
    assert stability(values, 1.0).label == label
    # Whatever the unit of time.
    assert stability(1e-6 * values, 1e-6).label == label
    assert stability(1e6 * values, 1e6).label == label


@pytest.mark.parametrize(
    "multipliers, label",
    [
        ([0.5, -0.9], "stable node"),
        ([0.6 + 0.6j, 0.6 - 0.6j], "stable focus"),
        ([-1.1], "unstable node"),
        ([0.8 + 0.8j, 0.8 - 0.8j], "unstable focus"),
        ([0.5, 1.5], "saddle"),
        ([0.6 + 0.8j, 0.6 - 0.8j], "center"),
        ([-1.0, 0.5], "degenerate"),
    ],
)
def test_of_a_map(multipliers, label):
    assert stability(np.array(multipliers, complex), 1.0, is_continuous=False).label == label


def test_it_counts_what_grows_and_what_is_on_the_border():
    kind = stability(np.array([2.0, 1.0, 0.0, -1.0], complex), 2.0)
    assert (kind.n_unstable, kind.n_marginal) == (2, 1)


def test_a_double_eigenvalue_that_rounding_splits_does_not_turn():
    jacobian = np.array([[-1.0, 1.0], [-1e-17, -1.0]])  # -1 +- 3e-9 i
    values, _ = spectrum(jacobian)
    assert np.abs(values.imag).max() > 1e-9
    assert stability(values, 1.6).label == "stable node"


def test_eigenvectors_belong_to_eigenvalues():
    jacobian = np.random.default_rng(1).normal(size=(5, 5))
    values, vectors = spectrum(jacobian)
    np.testing.assert_allclose(jacobian @ vectors, vectors * values, atol=1e-12)
    assert (np.diff(values.real) <= 1e-12).all()
