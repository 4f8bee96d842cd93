"""The exponential function of linear equations, and which of their variables reach which."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from distdyn.core.exprel import exprel

TERMS = 13  # of the series of phi_1, behind the first
MOST_DOUBLINGS = 20  # a norm of half a million: rates of 0.2 ns in a step of 0.1 ms


def phi1_matrix(z: Any) -> Any:
    """phi_1 of a square matrix, which may be singular: sum_k z^k / (k + 1)!

    NaN for a matrix whose 1-norm is above 2^19 or is not a number.

    The series of x = z / 2^s, whose norm is at most 1/2, and s times

        phi_1(2 x) = (phi_1(x) + exp(x) phi_1(x)) / 2,   exp(2 x) = exp(x)^2

    One loop each, because this is compiled for every network: the rational functions of
    `scipy.linalg.expm`, one for each range of norms, take a second.

    Source: Skaflestad & Wright (2009), Appl. Numer. Math. 59, 783, with the series in place of a
    rational function; its rest is below 1e-17.
    """
    if z.shape == (1, 1):
        return exprel(z)
    one = jnp.eye(z.shape[0], dtype=z.dtype)
    norm = jnp.max(jnp.sum(jnp.abs(jax.lax.stop_gradient(z)), axis=0))
    doublings = jnp.sum(norm > 0.5 * 2.0 ** np.arange(MOST_DOUBLINGS))
    z = jnp.where(norm <= 0.5 * 2.0**MOST_DOUBLINGS, z, jnp.nan)
    x = z * jnp.asarray(0.5 ** np.arange(MOST_DOUBLINGS + 1), z.dtype)[doublings]

    def add(k: Any, phi: Any) -> Any:
        return one + x @ phi / (TERMS - k + 1)

    def double(k: Any, both: Any) -> Any:
        exp, phi = both
        doubled = exp @ exp, 0.5 * (phi + exp @ phi)
        return jax.tree.map(lambda new, old: jnp.where(k < doublings, new, old), doubled, both)

    phi = jax.lax.fori_loop(0, TERMS, add, one)
    return jax.lax.fori_loop(0, MOST_DOUBLINGS, double, (one + x @ phi, phi))[1]


def scalars(vector: Any) -> tuple[Any, ...]:
    """The elements of a vector, each by itself."""
    return tuple(vector[k] for k in range(vector.shape[0]))


def closure(direct: np.ndarray) -> np.ndarray:
    """Influence along any path, and of each variable on itself."""
    reach = direct | np.eye(len(direct), dtype=bool)
    for _ in direct:
        reach = reach | (reach.astype(int) @ reach.astype(int) > 0)
    return reach
