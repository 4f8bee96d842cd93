"""Diagonal and Constant: one-to-one and all-to-all, of which only the weights are kept."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from distdyn.errors import ParameterError
from distdyn.ops.matrix.csr import CSR
from distdyn.ops.matrix.matrix import By, Matrix, Transposed, shape_of, weights_of
from distdyn.ops.matrix.rows import at


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

    def cut(self, n: int, by: By) -> Sequence[Matrix]:
        neuron = np.arange(self.shape[0])
        one_each = CSR((self.data, neuron, np.arange(len(neuron) + 1)), shape=self.shape)
        return one_each.cut(n, by)


class Constant(Matrix):
    """All-to-all with one weight: A_ij = w; without autapses, 0 where i = j.

    A product is one sum, whatever the numbers of neurons are.

    Attributes:
        own: which column is the neuron of row 0 itself, that of row i is i further; None where a
            neuron is connected to itself.

    Args:
        weight: the one number.
        shape: (pre, post).
        autapses: whether neuron i is connected to itself.

    Raises:
        ParameterError: more than one weight; no autapses where the shape is not square.
    """

    shape: tuple[int, int] = eqx.field(static=True)
    data: Float[Array, "1"]
    own: Int[Array, ""] | None

    def __init__(self, weight: Any, *, shape: tuple[int, int], autapses: bool = True):
        self.shape = m, n = shape_of(shape, "Constant")
        if not autapses and m != n:
            raise ParameterError(
                f"Constant: shape = {self.shape}, and autapses=False says that both ends are one. "
                "Give (n, n)."
            )
        self.data = weights_of(weight, 1, "Constant")
        self.own = None if autapses else jnp.zeros((), jnp.int32)

    @property
    def dtype(self) -> Any:
        return self.data.dtype

    @property
    def T(self) -> Matrix:
        return Transposed(self)

    def vm(self, m: Any, x: Any) -> jax.Array:
        given = x.astype(self.dtype) if m is None else m * x
        return self.data * self._others(given, self.shape[1], 1)

    def mv(self, m: Any, z: Any) -> jax.Array:
        y = self.data * self._others(z, self.shape[0], -1)
        return y if m is None else m * y

    def _others(self, x: Any, n: int, sign: int) -> Any:
        """For each of n neurons the sum over all others."""
        total = jnp.broadcast_to(x.sum(axis=1, keepdims=True), (len(x), n))
        if self.own is None:
            return total
        itself = jnp.arange(n) - sign * self.own
        return total - at(jnp.asarray(x), jnp.where(itself >= 0, itself, x.shape[1]))

    def todense(self) -> jax.Array:
        ones = jnp.broadcast_to(self.data, self.shape)
        if self.own is None:
            return ones
        row, column = jnp.ogrid[: self.shape[0], : self.shape[1]]
        return jnp.where(column == row + self.own, 0, ones)

    def cut(self, n: int, by: By) -> Sequence[Matrix]:
        m, k = self.shape
        size = -(-(m if by == "rows" else k) // n)
        piece = Constant(self.data, shape=(size, k) if by == "rows" else (m, size))
        if self.own is None:
            return [piece] * n
        step = size if by == "rows" else -size
        return [
            eqx.tree_at(lambda A: A.own, piece, self.own + p * step, is_leaf=lambda x: x is None)
            for p in range(n)
        ]
