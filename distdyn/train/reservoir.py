"""Reservoirs: what is read out of signals that are remembered; only the readout learns.

    nvar(x, taps=2, skip=1)              the next generation: products of some values of the past
    EchoState(A, B).states(u)            a network of rates that are driven and never change

Source: Jaeger (2001), GMD Report 148; Gauthier, Bollt, Griffith & Barbosa (2021), Nat. Commun. 12,
5564.
"""

from itertools import combinations_with_replacement
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from distdyn.errors import ParameterError, TrainError
from distdyn.ops.matrix.matrix import Matrix


def nvar(
    x: Any, taps: int, skip: int = 1, *, degree: int = 2, constant: bool = True
) -> Float[np.ndarray, "step feature"]:
    """Features of a signal's past: values at `taps` times, and all their products up to a degree.

    O(t) = [1, x(t), x(t - s), ..., x(t - (k - 1) s), products of two of these, ...]

    Args:
        x: float[step, variable].
        taps: k, how many times.
        skip: s, steps between two of them.
        degree: 1 are the values themselves, 2 also products of two, ...
        constant: whether the first feature is 1.

    Returns:
        One row for each step from (k - 1) s on.

    Raises:
        TrainError: the signal is too short.
    """
    x = np.asarray(x, np.float64)
    x = x[:, None] if x.ndim == 1 else x
    first = (taps - 1) * skip
    if len(x) <= first:
        raise TrainError(
            f"nvar: {len(x)} steps, but {taps} taps of {skip} steps reach back {first}."
        )
    linear = np.concatenate([x[first - k * skip : len(x) - k * skip] for k in range(taps)], axis=1)
    columns = [np.ones((len(linear), 1))] if constant else []
    for d in range(1, degree + 1):
        chosen = combinations_with_replacement(range(linear.shape[1]), d)
        columns.append(np.stack([linear[:, of].prod(axis=1) for of in map(list, chosen)], axis=1))
    return np.concatenate(columns, axis=1)


class EchoState(eqx.Module):
    """Rates that are driven: x(t + 1) = (1 - leak) x(t) + leak tanh(x(t) A + u(t + 1) B + bias).

        A = dd.JITBernoulli(0.01, dd.Normal(0., sd), shape=(n, n), seed=1)     # takes no memory

    Attributes:
        A: a matrix [unit, unit] of any kind: stored, drawn again, split over devices.
        B: [input, unit].
        leak: of a step, > 0 and <= 1.
        bias: of each unit.
    """

    A: Matrix
    B: Any
    leak: float
    bias: Any

    def __init__(self, A: Matrix, B: Any, *, leak: float = 1.0, bias: Any = 0.0):
        if A.shape[0] != A.shape[1] or B.shape[1] != A.shape[0]:
            raise ParameterError(
                f"EchoState: A has shape {A.shape}, B {B.shape}. Give [n, n] and [input, n]."
            )
        if not 0 < leak <= 1:
            raise ParameterError(f"EchoState: leak = {leak:g}. Give 0 < leak <= 1.")
        self.A, self.B, self.leak, self.bias = A, B, float(leak), bias

    def step(self, x: Float[Array, "*trial unit"], u: Float[Array, "*trial input"]) -> jax.Array:
        """The next state."""
        drive = x @ self.A + u @ self.B + self.bias
        return (1.0 - self.leak) * x + self.leak * jnp.tanh(drive)

    @eqx.filter_jit
    def states(
        self, u: Float[Array, "step *trial input"], x: Any = None
    ) -> Float[Array, "step *trial unit"]:
        """The states behind each step, from x (or from rest) on."""
        u = jnp.asarray(u, self.A.dtype)
        start = jnp.zeros((*u.shape[1:-1], self.A.shape[0]), u.dtype) if x is None else x

        def step(x: Any, u: Any) -> tuple[Any, Any]:
            new = self.step(x, u)
            return new, new

        return jax.lax.scan(step, start, u)[1]


def spectral_radius(A: Matrix, iterations: int = 200, seed: int = 0) -> float:
    """The largest absolute eigenvalue of a matrix, from how fast powers of it grow.

    The growth of |v A^k| over the second half of the iterations; of a random matrix of n units it
    is right to about 1 / sqrt(n).
    """
    v = jax.random.normal(jax.random.key(seed), (A.shape[0],), A.dtype)

    def step(v: Any, _: Any) -> tuple[Any, Any]:
        v = v @ A
        size = jnp.linalg.norm(v)
        return v / size, jnp.log(size)

    _, grown = jax.lax.scan(step, v / jnp.linalg.norm(v), length=iterations)
    return float(jnp.exp(grown[iterations // 2 :].mean()))
