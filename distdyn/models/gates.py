"""Gates: what the rates at which they open and close are made of.

    x' = alpha(V) (1 - x) - beta(V) x,     steady state alpha / (alpha + beta)

Many published rates are A (V - V0) / (1 - exp(-(V - V0) / k)), which is 0 / 0 at V0.
"""

from typing import Any

import jax.numpy as jnp


def linoid(x: Any) -> Any:
    """X / (1 - exp(-x)), which is 1 + x / 2 + x^2 / 12 - x^4 / 720 + ... and has no pole at 0.

    The series stands in for |x| < 0.02, with an error of 2e-15; the quotient loses |x| / eps there
    in its derivative. Below -80 the quotient is 0.
    """
    is_small = jnp.abs(x) < 0.02
    square = x * x
    series = 1.0 + 0.5 * x + square * (1 / 12 - square / 720)
    safe = jnp.maximum(jnp.where(is_small, 1.0, x), -80.0)
    return jnp.where(is_small, series, safe / -jnp.expm1(-safe))


def kinetics(x: Any, alpha: Any, beta: Any) -> Any:
    """D x / dt of a gate that opens with rate alpha and closes with rate beta."""
    return alpha * (1.0 - x) - beta * x


def steady(alpha: Any, beta: Any) -> Any:
    """Where the gate rests."""
    return alpha / (alpha + beta)


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return 0.5 * (1.0 + jnp.tanh(0.5 * x))
