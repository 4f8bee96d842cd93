"""Readouts that follow step by step: recursive least squares and least mean squares; FORCE.

    e = y - x w                               the error before the change
    RLS    k = P x^T (1 + x P x^T)^-1,  P -= k x P,  w += k e          P begins as p0 times one
    LMS    w += rate x^T e

After T steps RLS has the weights of ridge regression with alpha = 1 / p0, without a bias. In FORCE
the readout feeds back into the network that it is learned from.

Source: Haykin (2002), Adaptive Filter Theory, ch. 9; Sussillo & Abbott (2009), Neuron 63, 544.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class RLS(NamedTuple):
    """Recursive least squares: `RLS.begin(n, m, p0)`, then `state.step(x, y)`.

    Attributes:
        weight: [feature, output].
        P: [feature, feature], the inverse of what has been seen; its rows can be dealt to devices.
    """

    weight: Float[Array, "feature output"]
    P: Float[Array, "feature feature"]

    @classmethod
    def begin(cls, features: int, outputs: int, p0: float, dtype: Any = None) -> "RLS":
        """Nothing seen: weights of 0, P = p0 times one."""
        weight = jnp.zeros((features, outputs), dtype)
        return cls(weight, p0 * jnp.eye(features, dtype=dtype))

    def step(self, x: Float[Array, " feature"], y: Float[Array, " output"]) -> "RLS":
        """After one step, or a batch of steps x[step, feature], y[step, output] at once."""
        if x.ndim == 1:
            x, y = x[None], jnp.atleast_1d(y)[None]
        along = self.P @ x.T
        left = jnp.eye(len(x), dtype=self.P.dtype) + x @ along
        gain = jnp.linalg.solve(left, along.T).T
        return RLS(self.weight + gain @ (y - x @ self.weight), self.P - gain @ along.T)


class LMS(NamedTuple):
    """Least mean squares.

    Attributes:
        weight: [feature, output].
        rate: of learning.
    """

    weight: Float[Array, "feature output"]
    rate: float

    @classmethod
    def begin(cls, features: int, outputs: int, rate: float, dtype: Any = None) -> "LMS":
        """Weights of 0."""
        return cls(jnp.zeros((features, outputs), dtype), rate)

    def step(self, x: Float[Array, " feature"], y: Float[Array, " output"]) -> "LMS":
        """After one step, or a batch of steps at once, by their mean."""
        if x.ndim == 1:
            x, y = x[None], jnp.atleast_1d(y)[None]
        return LMS(self.weight + self.rate * x.T @ (y - x @ self.weight) / len(x), self.rate)


def follow(learner: Any, x: Float[Array, "step feature"], y: Float[Array, "step output"]) -> Any:
    """The learner after all steps, one after the other."""
    return jax.lax.scan(lambda s, of: (s.step(*of), None), learner, (x, y))[0]
