"""Diagonal and Constant: one-to-one and all-to-all, of which only the weights are kept."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from distdyn.errors import ParameterError
from distdyn.ops.matrix.matrix import Matrix, Transposed, shape_of, weights_of


class Diagonal(Matrix):
    """One-to-one: A_ij = w_i where i = j, else 0.

    Args:
        weight: one number for all, or one for each neuron.
        shape: (n, n).

    Raises:
        ParameterError: a shape that is not square, a number of weights that does not fit.
    """

    shape: tuple[int, int] = eqx.field(static=True)
    data: Float[Array, " weight"]

    def __init__(self, weight: Any, *, shape: tuple[int, int]):
        self.shape = m, n = shape_of(shape, "Diagonal")
        if m != n:
            raise ParameterError(f"Diagonal: shape = {self.shape} is not square. Give (n, n).")
        self.data = weights_of(weight, n, "Diagonal")

    @property
    def dtype(self) -> Any:
        return self.data.dtype

    @property
    def T(self) -> Matrix:
        return self

    def vm(self, m: Any, x: Any) -> jax.Array:
        return (x if m is None else m * x) * self.data

    def mv(self, m: Any, z: Any) -> jax.Array:
        return (z if m is None else m * z) * self.data

    def todense(self) -> jax.Array:
        return jnp.diag(jnp.broadcast_to(self.data, (self.shape[0],)))


class Constant(Matrix):
    """All-to-all with one weight: A_ij = w; without autapses, 0 where i = j.

    A product is one sum, whatever the numbers of neurons are.

    Args:
        weight: the one number.
        shape: (pre, post).
        autapses: whether neuron i is connected to itself.

    Raises:
        ParameterError: more than one weight; no autapses where the shape is not square.
    """

    shape: tuple[int, int] = eqx.field(static=True)
    data: Float[Array, "1"]
    autapses: bool = eqx.field(static=True)

    def __init__(self, weight: Any, *, shape: tuple[int, int], autapses: bool = True):
        self.shape = m, n = shape_of(shape, "Constant")
        if not autapses and m != n:
            raise ParameterError(
                f"Constant: shape = {self.shape}, and autapses=False says that both ends are one. "
                "Give (n, n)."
            )
        self.data = weights_of(weight, 1, "Constant")
        self.autapses = autapses

    @property
    def dtype(self) -> Any:
        return self.data.dtype

    @property
    def T(self) -> Matrix:
        return self if self.shape[0] == self.shape[1] else Transposed(self)

    def vm(self, m: Any, x: Any) -> jax.Array:
        given = x.astype(self.dtype) if m is None else m * x
        return self.data * self._others(given, self.shape[1])

    def mv(self, m: Any, z: Any) -> jax.Array:
        y = self.data * self._others(z, self.shape[0])
        return y if m is None else m * y

    def _others(self, x: Any, n: int) -> Any:
        total = jnp.broadcast_to(x.sum(axis=1, keepdims=True), (len(x), n))
        return total if self.autapses else total - x

    def todense(self) -> jax.Array:
        ones = jnp.broadcast_to(self.data, self.shape)
        return ones if self.autapses else ones * (1 - jnp.eye(self.shape[0], dtype=self.dtype))
