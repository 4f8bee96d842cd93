"""A continuous attractor written as a network, of 512 units and of 100,000: one ring.

    u' = -u + J r,  r = u^2 / (1 + k sum u^2),  J_0 = 4,  a = 0.5;  rho = n / 2 pi
    k_c = rho J_0^2 / (8 sqrt(2 pi) a),  u(x) = U_0 exp(-(x - z)^2 / (4 a^2))
    U_0 = (1 + sqrt(1 - k / k_c)) J_0 / (4 sqrt(pi) a k)

On the bump the Jacobian has the eigenvalues -1 + 2^-m and -sqrt(1 - k / k_c). That the ring is
round makes 2^-m - 1 differ a little from where the line would have it.

Source: Wu, Hamaguchi & Amari (2008), Neural Comput. 20, 994; Fung, Wong & Wu (2010), Neural Comput.
22, 752.
"""

import jax
import numpy as np
import pytest

import distdyn as dd
from tests.analysis.systems import CANN, Ring

A, J_0 = 0.5, 4.0
SPECTRUM = [0.0, -0.49999999, -0.75000003, -0.87499975, -0.9375008]  # found on the ring by numpy


def critical(n):
    """k_c."""
    return n / (2 * np.pi) * J_0**2 / (8 * np.sqrt(2 * np.pi) * A)


def height(n, k):
    """U_0."""
    return (1 + np.sqrt(1 - k / critical(n))) * J_0 / (4 * np.sqrt(np.pi) * A * k)


def places(n):
    return (np.arange(n) + 0.5) * 2 * np.pi / n


def near_bumps(n, k, count):
    """States about the ring, all around it."""
    rng = np.random.default_rng(0)
    z = 2 * np.pi * (np.arange(count) + rng.uniform(0.0, 0.5, count)) / count
    away = np.angle(np.exp(1j * (places(n) - z[:, None])))
    bumps = 1.1 * np.exp(-(away**2) / (4 * A**2)) + 0.02 * rng.normal(size=away.shape)
    return height(n, k) * bumps


def check_ring(n, k, count):
    found = dd.DSAnalyzer(CANN(n, k)).slow_points(near_bumps(n, k, count))
    assert [(m.kind, len(m.points)) for m in found.manifolds] == [("ring", count)]
    assert len(found) == count and found.is_fixed.all() and set(found.n_unstable) == {0}
    np.testing.assert_array_equal(found.n_marginal, 1)
    known = np.sort([*SPECTRUM, -np.sqrt(1 - k / critical(n))])[::-1]
    assert np.abs(found.eigenvalues[:, 0]).max() < 1e-13
    np.testing.assert_allclose(
        found.eigenvalues[:, :6].real, np.tile(known, (count, 1)), rtol=0, atol=3e-8
    )
    z = np.angle(found.x @ np.exp(1j * places(n)))
    away = np.angle(np.exp(1j * (places(n) - z[:, None])))
    bump = height(n, k) * np.exp(-(away**2) / (4 * A**2))
    # The line has no far side: there the ring has an overlap of exp(-pi^2 / (8 a^2)).
    np.testing.assert_allclose(found.x, bump, rtol=0, atol=2e-4 * height(n, k))


def test_the_numbers_of_the_closed_form():
    assert critical(512) == pytest.approx(130.034966, abs=1e-6)
    assert height(512, 8.1) == pytest.approx(0.27420363, abs=1e-8)
    assert height(512, 0.1) == pytest.approx(22.5632438, abs=1e-7)


def test_the_ring_of_512_units():
    check_ring(512, 8.1, 12)


@pytest.mark.slow  # some minutes
def test_the_ring_of_a_hundred_thousand_units():
    check_ring(100_000, 8.1 / critical(512) * critical(100_000), 12)


def test_it_is_the_ring_of_the_equations_and_of_the_simulator():
    n, k = 64, 1.0
    x, dt = near_bumps(n, k, 2), 0.1
    d = np.angle(np.exp(1j * (places(n)[:, None] - places(n))))
    model = Ring(J_0 * np.exp(-(d**2) / (2 * A**2)) / (np.sqrt(2 * np.pi) * A), k)
    network, equations = dd.vector_field(CANN(n, k)).flat(), dd.vector_field(model).flat()
    with jax.enable_x64(True):
        slope = np.array([network.f(u, network.p0) for u in x])
        np.testing.assert_allclose(slope, [equations.f(u, equations.p0) for u in x], atol=1e-12)
    runner = dd.DSRunner(CANN(n, k), dt=dt, precision="float64")
    runner["U"].u = x[0]
    runner.run(dt)
    np.testing.assert_allclose((runner["U"].u - x[0]) / dt, slope[0], atol=1e-6)
