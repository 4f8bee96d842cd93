"""exprel(x) = (exp(x) - 1) / x, which rates of ion channels and exponential integrators need.

The rates of Hodgkin and Huxley have the form a (V - V_1) / (1 - exp(-(V - V_1) / k)), which is
0 / 0 at V = V_1. It is a k / exprel(-(V - V_1) / k), and this has a value everywhere. Exponential
integrators call the function phi_1.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

NEAR = 0.5  # below, the derivative is summed as a series; above, it cancels no more than 2 bits
TINY = 1e-30  # in place of 0: exprel of both is 1
TERMS = 14  # of the series: the next one is below the rounding of float64


@jax.custom_jvp
def exprel(x: Any) -> Any:
    """(exp(x) - 1) / x, and 1 at x = 0.

    Precise to a few roundings for all x, and so is its derivative: near 0, too, where the plain
    formulas are 0 / 0 or lose all digits.
    """
    return distdyn_exprel(jnp.asarray(x))


@functools.partial(jax.jit, inline=False)
def distdyn_exprel(x: Any) -> Any:
    """What compiled cells (`ops.lanes`) know by its name, and have code of their own for."""
    x = jnp.where(x == 0, jnp.asarray(TINY, x.dtype), x)
    return jnp.expm1(x) / x


@exprel.defjvp
def _exprel_jvp(primals: tuple[Any], tangents: tuple[Any]) -> tuple[Any, Any]:
    (x,), (dx,) = primals, tangents
    value = exprel(x)
    return value, _slope(jnp.asarray(x), value) * dx


def _slope(x: Any, value: Any) -> Any:
    """The derivative: (exp(x) - exprel(x)) / x, with the series sum_k k x^(k-1) / (k+1)! near 0.

    It stops at the largest finite number: 1 / exprel(x) has derivative 0 where exprel overflows,
    and not 0 times infinity.
    """
    is_near = jnp.abs(x) < NEAR
    series = jnp.zeros_like(x)
    for coefficient in reversed(_coefficients()):
        series = series * x + jnp.asarray(coefficient, x.dtype)
    safe = jnp.where(is_near, jnp.ones_like(x), x)
    most = jnp.asarray(np.finfo(x.dtype).max, x.dtype)
    slope = jnp.where(value <= most, (jnp.exp(safe) - value) / safe, most)
    return jnp.where(is_near, series, slope)


def _coefficients() -> list[float]:
    """K / (k + 1)! for k = 1, 2, ..."""
    factorial = np.cumprod(np.arange(1.0, TERMS + 2))
    return [k / factorial[k] for k in range(1, TERMS + 1)]
