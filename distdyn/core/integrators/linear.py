"""The exponential function of linear equations, and which of their variables reach which."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def phi1(z: Any) -> Any:
    """(exp(z) - 1) / z, 1 at z = 0, with a finite gradient there."""
    is_zero = z == 0
    safe = jnp.where(is_zero, jnp.ones_like(z), z)
    return jnp.where(is_zero, jnp.ones_like(z), jnp.expm1(safe) / safe)


def phi1_matrix(z: Any) -> Any:
    """phi_1 of a square matrix, by the exponential of [[z, 1], [0, 0]]: z may be singular."""
    n = z.shape[0]
    block = jnp.block([[z, jnp.eye(n)], [jnp.zeros((n, 2 * n))]])
    return jax.scipy.linalg.expm(block)[:n, n:]


def scalars(vector: Any) -> tuple[Any, ...]:
    """The elements of a vector, each by itself."""
    return tuple(vector[k] for k in range(vector.shape[0]))


def closure(direct: np.ndarray) -> np.ndarray:
    """Influence along any path, and of each variable on itself."""
    reach = direct | np.eye(len(direct), dtype=bool)
    for _ in direct:
        reach = reach | (reach.astype(int) @ reach.astype(int) > 0)
    return reach
