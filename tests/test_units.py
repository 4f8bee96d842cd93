"""Times in steps, and what counts as a number."""

from fractions import Fraction

import numpy as np
import pytest

from distdyn.errors import DelayError, ParameterError, TimeError
from distdyn.units import UNITS, check_dt, real, shown, to_steps


def test_the_table_names_the_units_of_the_design():
    assert {"ms", "mV", "pA", "nS", "pF", "Hz", "um", "uA/cm2", "mS/cm2", "uF/cm2"} < set(UNITS)


@pytest.mark.parametrize(
    ("time", "dt", "steps"),
    [(0, 0.1, 0), (0.3, 0.1, 3), (1000.0, 0.1, 10_000), (2, 0.5, 4), (np.float32(1.7), 0.1, 17)],
)
def test_a_time_on_the_grid_is_a_number_of_steps(time, dt, steps):
    assert to_steps(time, dt, "duration") == steps
    assert type(to_steps(time, dt, "duration")) is int


def test_long_times_are_exact():
    assert to_steps(86_400_000.1, 0.1, "duration") == 864_000_001


def test_an_array_of_times_becomes_int64():
    steps = to_steps([0.1, 1.5, 30.0], 0.1, "delay")
    assert steps.dtype == np.int64
    np.testing.assert_array_equal(steps, [1, 15, 300])


@pytest.mark.parametrize("miss", [0.5e-6, -0.5e-6])
def test_a_miss_of_less_than_a_millionth_is_forgiven(miss):
    assert to_steps(3.0 * (1 + miss), 0.1, "duration") == 30


def test_a_long_time_may_not_miss_the_grid_by_half_a_step():
    with pytest.raises(TimeError, match=r"Use 100000 or 100000\.1"):
        to_steps(100_000.05, 0.1, "duration")


def test_the_message_names_the_time_dt_and_the_two_nearest_legal_values():
    text = r"every 0\.25 ms is not a multiple of dt = 0\.1 ms\. Use 0\.2 or 0\.3\."
    with pytest.raises(TimeError, match=text):
        to_steps(0.25, 0.1, "every")
    with pytest.raises(DelayError, match=r"delay\[1\] 0\.05 ms .* Use 0 or 0\.1\."):
        to_steps([0.1, 0.05], 0.1, "delay", error=DelayError)


@pytest.mark.parametrize("time", [-1.0, np.nan, np.inf, 1e30, 10**400])
def test_a_time_that_is_negative_or_not_finite_is_refused(time):
    with pytest.raises(TimeError, match="is not a finite time >= 0"):
        to_steps(time, 0.1, "duration")


@pytest.mark.parametrize("time", ["10", True, 1j, None, [True], [[1], [1, 2]], np.array("a")])
def test_a_time_that_is_not_a_number_is_refused(time):
    with pytest.raises(TimeError, match=r"duration = .* is not a real number"):
        to_steps(time, 0.1, "duration")


@pytest.mark.parametrize("dt", [0, -0.1, np.nan, np.inf, "0.1", True, None, [0.1], 1j])
def test_dt_is_a_positive_finite_number(dt):
    with pytest.raises(TimeError, match="dt = "):
        check_dt(dt)


def test_dt_becomes_a_float():
    assert type(check_dt(np.float32(0.5))) is float
    assert check_dt(1) == 1.0


@pytest.mark.parametrize("value", [1, 1.0, np.int8(1), np.float32(1), np.array(1), Fraction(1)])
def test_every_scalar_becomes_a_float(value):
    assert type(real(value, "x")) is float


def test_an_array_is_copied():
    given = np.arange(3.0)
    taken = real(given, "x")
    given[0] = 9.0
    assert taken[0] == 0.0


@pytest.mark.parametrize("value", [np.array([1, "a"], object), np.array([1j]), [True, False], {}])
def test_what_is_not_real_is_refused(value):
    with pytest.raises(ParameterError, match=r"x = .* is not a real number"):
        real(value, "x")


def test_a_message_stays_short_however_large_the_value():
    for value in ("x" * 10**7, np.zeros(10**6), list(range(10**6)), {i: i for i in range(10**5)}):
        assert len(shown(value)) < 100
