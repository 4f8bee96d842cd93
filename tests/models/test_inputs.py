"""Signals: what holds in which step."""

import jax
import numpy as np
import pytest

import distdyn as dd
from distdyn.core.signal import value_at
from distdyn.errors import ParameterError


def course(signal, n, dt=0.1, first=0):
    """The values in n steps."""
    with jax.enable_x64(True):
        at = jax.jit(lambda k: value_at(signal, dd.Tick(k, dt, k * dt)))
        return np.array([at(first + k) for k in range(n)])


def test_steps_hold_from_their_time_on_and_are_0_before_the_first():
    found = course(dd.Steps([0.2, 0.5], [3.0, -1.0]), 7)
    np.testing.assert_array_equal(found, [0.0, 0.0, 3.0, 3.0, 3.0, -1.0, -1.0])


def test_steps_on_a_grid_that_binary_numbers_miss():
    times = np.arange(1, 100) * 0.1
    found = course(dd.Steps(times, np.arange(1, 100)), 100)
    np.testing.assert_array_equal(found, np.arange(100))


def test_steps_with_a_row_of_values_per_time():
    found = course(dd.Steps([0.0, 0.1], [[1.0, 2.0], [3.0, 4.0]]), 3)
    np.testing.assert_array_equal(found, [[1.0, 2.0], [3.0, 4.0], [3.0, 4.0]])


def test_samples_hold_for_their_interval_and_the_last_stays():
    found = course(dd.Sampled([1.0, 2.0, 3.0], dt=0.2), 8)
    np.testing.assert_array_equal(found, [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 3.0, 3.0])


def test_late_steps_are_exact():
    first = 2**31 - 2
    found = course(dd.Steps([first * 0.1 + 0.2], [5.0]), 4, first=first)
    np.testing.assert_array_equal(found, [0.0, 0.0, 5.0, 5.0])


def test_numbers_and_functions_are_signals_too():
    np.testing.assert_array_equal(course(2.5, 2), [2.5, 2.5])
    np.testing.assert_allclose(course(lambda t: 2.0 * t, 3), [0.0, 0.2, 0.4])


def test_extremes_bound_the_values():
    assert dd.Steps([1.0], [5.0]).extremes() == (0.0, 5.0)
    assert dd.Steps([1.0], [-5.0]).extremes() == (-5.0, 0.0)
    assert dd.Sampled([3.0, 4.0], dt=1.0).extremes() == (3.0, 4.0)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: dd.Steps([1.0, 2.0], [1.0]), "2 times but 1 values"),
        (lambda: dd.Steps([2.0, 1.0], [1.0, 2.0]), "not ascending"),
        (lambda: dd.Steps([1.0, 1.0], [1.0, 2.0]), "not ascending"),
        (lambda: dd.Steps([], []), "at least one"),
        (lambda: dd.Steps([0.0], [np.nan]), "finite"),
        (lambda: dd.Sampled([1.0, 2.0], dt=0.0), "dt > 0"),
        (lambda: dd.Sampled(1.0, dt=0.1), "array of samples"),
        (lambda: dd.Sampled([1.0, np.inf], dt=0.1), "finite"),
    ],
)
def test_impossible_signals_are_refused(make, words):
    with pytest.raises(ParameterError, match=words):
        make()
