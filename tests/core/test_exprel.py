"""exprel: precise everywhere, and so is its derivative."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd

X = np.array(
    [0.0, 1e-30, -1e-30, 1e-9, -1e-7, 1e-4, -0.01, 0.3, 0.49, 0.51, -0.51, 2.0, -3.0, 60.0]
)


def exact(x):
    """exprel and its derivative, by their power series in exact fractions of the number given."""
    from fractions import Fraction

    x, term, value, slope = Fraction(float(x)), Fraction(1), Fraction(0), Fraction(0)
    for k in range(1, 260):
        value += term / k  # x^(k-1) / k!
        slope += term * (k) / ((k + 1) * k)  # k x^(k-1) / (k + 1)!
        term = term * x / k
    return float(value), float(slope)


@pytest.mark.parametrize("dtype, roundings", [("float32", 8), ("float64", 16)])
def test_value_and_derivative(dtype, roundings):
    """In units of rounding; the derivative loses two bits where its two forms meet."""
    with jax.enable_x64(True):
        x = jnp.asarray(X, dtype)
        value, slope = jax.jvp(dd.exprel, (x,), (jnp.ones_like(x),))
        assert value.dtype == slope.dtype == dtype
        wanted = np.array([exact(each) for each in np.asarray(x, float)])
        tolerance = roundings * np.finfo(dtype).eps
        np.testing.assert_allclose(np.asarray(value, float), wanted[:, 0], rtol=tolerance)
        np.testing.assert_allclose(np.asarray(slope, float), wanted[:, 1], rtol=tolerance)


def test_second_derivative_at_0():
    with jax.enable_x64(True):
        assert float(jax.grad(jax.grad(dd.exprel))(0.0)) == pytest.approx(1 / 3, abs=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("x", [80.0, 100.0, 1000.0, -1000.0])
def test_reciprocal_is_finite_where_exp_overflows(dtype, x):
    """A rate far from its voltage is 0, with derivative 0."""
    with jax.enable_x64(True):
        value, slope = jax.value_and_grad(lambda x: 1 / dd.exprel(x))(jnp.asarray(x, dtype))
        assert np.isfinite(value) and np.isfinite(slope)
        assert abs(value) < 1e-20 or x < 0
