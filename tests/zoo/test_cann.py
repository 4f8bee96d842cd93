"""The continuous attractor: bumps of the height and width of theory, anywhere, that track."""

import numpy as np
import pytest
from scipy.optimize import brentq

import distdyn as dd
from distdyn.errors import ParameterError
from distdyn.zoo import by_name
from distdyn.zoo.cann import CANN, height, positions


class Several(dd.Network):
    """Rings beside each other, to be run at once."""

    def __init__(self, *rings):
        self.at = rings


def potentials(rings, duration, **arguments):
    """The u of each ring, every ms: [time, unit]."""
    paths = [f"at.{k}.U.u" for k in range(len(rings))]
    record = [dd.every(1.0, path) for path in paths]
    runner = dd.DSRunner(Several(*rings), dt=0.5, record=record, **arguments)
    recording = runner.run(duration)
    return [recording.traces[path].value for path in paths]


def center(u):
    """Where the bump is, radians, without jumps."""
    return np.unwrap(np.angle(np.maximum(u, 0.0) ** 2 @ np.exp(1j * positions(u.shape[-1]))))


def test_a_bump_stays_where_the_stimulus_was():
    """Without inhibition that is too strong, at any place, of the height and width of theory."""
    places = [(0.5, 1.0), (0.5, -3.1), (0.95, 0.3)]
    rings = [by_name("cann")(k=k, z=z, A=2.0, stop=300.0) for k, z in places]
    x = positions(128)
    for (k, z), u in zip(places, potentials(rings, 2300.0), strict=True):
        assert center(u)[-1] == pytest.approx(z, abs=0.01)
        np.testing.assert_allclose(u[-1], u[-300], atol=1e-3)  # it has come to rest
        away = (x - z + np.pi) % (2 * np.pi) - np.pi
        theory = height(k) * np.exp(-(away**2) / (4 * 0.5**2))
        np.testing.assert_allclose(u[-1], theory, atol=0.005 * height(k))


def test_above_the_critical_inhibition_no_bump_stays():
    """k = 1.05; so near to 1 it takes some 30 time constants to go."""
    (u,) = potentials([CANN(k=1.05, A=5.0, stop=300.0)], 1300.0)
    assert u[299].max() > 5.0
    assert u[-1].max() < 1e-3


def theory_of_tracking(speed, A, a=0.5, k=0.5, tau=10.0):
    """By how much a bump is behind (None: it loses the stimulus), to the first order in A.

    tau speed = (A / u_0) s exp(-s^2 / (8 a^2)),   u_0 = u_0^2 / (sqrt(2) B) + A exp(-s^2 / (8 a^2))
    B = 1 + k u_0^2 / 8
    """

    def follows(s):
        pull = A * np.exp(-s * s / (8 * a * a))

        def excess(u):
            return u * u / np.sqrt(2) / (1 + k * u * u / 8) + pull - u

        return pull * s / brentq(excess, 5.0, 60.0) / tau

    lags = np.linspace(0.0, 1.2, 1201)
    able = np.flatnonzero([follows(s) >= speed for s in lags])
    return lags[able[0]] if able.size else None


def test_a_bump_tracks_a_stimulus_up_to_a_speed():
    """The limit for A = 0.5 is 0.00301 radians / ms."""
    speeds = [0.0005, 0.001, 0.002, 0.0025, 0.0033, 0.004]
    rings = [CANN(A=0.5, speed=v, start=1000.0) for v in speeds]
    for speed, u in zip(speeds, potentials(rings, 5000.0), strict=True):
        z = center(u)
        lag, expected = speed * 4000.0 - z[-1], theory_of_tracking(speed, 0.5)
        if expected is None:
            assert speed > 0.003 and lag > 3.0
        else:
            assert speed < 0.003 and lag == pytest.approx(expected, rel=0.06)
            assert (z[-1] - z[-1001]) / 1000.0 == pytest.approx(speed, rel=1e-3)
            assert u[-1].max() > height(0.5)


def test_two_devices_give_the_same_states():
    one, two = (potentials([CANN(n=64, speed=0.002)], 700.0, devices=d)[0] for d in (1, 2))
    assert one[-1].max() > 10.0
    np.testing.assert_array_equal(one, two)


def test_there_must_be_inhibition():
    with pytest.raises(ParameterError, match="Give k > 0"):
        CANN(k=0.0)
