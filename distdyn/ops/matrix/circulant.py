"""Circulant: neurons on a ring or torus, connected by how far one is along from the other."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from distdyn.ops.matrix.dense import Dense
from distdyn.ops.matrix.matrix import By, Matrix, weights_of


class Circulant(Matrix):
    """All-to-all on a periodic grid, the same from everywhere: A_ij = w_(j - i mod the grid).

    Neurons are in C order. A product is a convolution, by fast Fourier transforms: n log n numbers
    are computed, whatever is silent, and none is exactly 0.

    Attributes:
        data: the weights of the synapses of neuron 0, of the shape of the grid.

    Args:
        weight: the same.

    Raises:
        ParameterError: weights that are no real numbers.
    """

    data: Float[Array, "*grid"]

    def __init__(self, weight: Any):
        array = jnp.asarray(weight)
        self.data = weights_of(array.reshape(-1), array.size, "Circulant").reshape(array.shape)

    @property
    def shape(self) -> tuple[int, int]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.data.size, self.data.size

    @property
    def dtype(self) -> Any:
        return self.data.dtype

    @property
    def T(self) -> Matrix:
        return Circulant(jnp.roll(jnp.flip(self.data), 1, tuple(range(self.data.ndim))))

    def vm(self, m: Any, x: Any) -> jax.Array:
        given = x.astype(self.dtype) if m is None else m * x
        return _convolved(given, self.data, False)

    def mv(self, m: Any, z: Any) -> jax.Array:
        y = _convolved(z, self.data, True)
        return y if m is None else m * y

    def todense(self) -> jax.Array:
        return _convolved(jnp.eye(self.data.size, dtype=self.dtype), self.data, False)

    def cut(self, n: int, by: By) -> Sequence[Matrix]:
        return Dense(self.todense()).cut(n, by)


def _convolved(x: Any, weight: Any, backwards: bool) -> jax.Array:
    """Of each row of x[trial, neuron] sum_i x_i w_(j - i), or sum_j w_(j - i) x_j."""
    if not weight.size:
        return x
    grid, axes = weight.shape, tuple(range(1, weight.ndim + 1))
    spectrum = jnp.fft.rfftn(weight)
    spectrum = spectrum.conj() if backwards else spectrum
    of_x = jnp.fft.rfftn(x.reshape(-1, *grid), axes=axes)
    return jnp.fft.irfftn(of_x * spectrum, s=grid, axes=axes).reshape(x.shape)
