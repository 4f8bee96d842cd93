"""Dense: an array as a matrix of synapses, whose rows are passed where nobody spiked."""

from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from distdyn.errors import ParameterError
from distdyn.ops.matrix.form import Form, form
from distdyn.ops.matrix.matrix import AbstractForm, By, Matrix, Transposed, weights_of
from distdyn.ops.matrix.plasticity import change_of, dense_on_post, dense_on_pre


def _scatter(x, data):
    return x.astype(data.dtype) @ data


def _gather(m, z, data):
    return m * (z @ data.T)


def _outer(x, z):
    return x.T @ z


FORM = form(
    "dense",
    scatter=_scatter,
    gather=_gather,
    outer=_outer,
    kernels="distdyn.ops.matrix.dense_kernels",
)
# What passes back to spikes is wanted of all rows: nothing can be passed over, and the product of
# dense arrays is faster than a loop that looks.
FORM.scatter.transpose(0)(lambda ct, x, data: ct @ data.T)


class Dense(AbstractForm):
    """An array [pre, post]: `spikes @ A` adds up the rows of those that spiked.

    For vectors without zeros `x @ array` is faster; for spikes this is, by the part that is silent.

    Raises:
        ParameterError: an array that has not two axes.
    """

    form: ClassVar[Form] = FORM
    data: Float[Array, "pre post"]

    def __init__(self, data: Any):
        array = jnp.asarray(data)
        if array.ndim != 2:
            raise ParameterError(f"Dense: the array has shape {list(array.shape)}. Give two axes.")
        self.data = weights_of(array.reshape(-1), array.size, "Dense").reshape(array.shape)

    @property
    def shape(self) -> tuple[int, int]:  # pyright: ignore[reportIncompatibleVariableOverride]
        m, n = self.data.shape
        return m, n

    @property
    def T(self) -> Matrix:
        return Transposed(self)

    def parts(self) -> Any:
        return self.data, (), {}

    def cut(self, n: int, by: By) -> Sequence[Matrix]:
        axis = 0 if by == "rows" else 1
        missing = -self.shape[axis] % n
        whole = jnp.pad(self.data, [(0, missing if a == axis else 0) for a in range(2)])
        return [Dense(piece) for piece in jnp.split(whole, n, axis)]

    def on_pre(
        self, spikes: Any, trace: Any, low: float = -jnp.inf, high: float = jnp.inf
    ) -> "Dense":
        """The matrix after spikes of pre: as `CSR.on_pre`, of all pairs."""
        change = change_of(self, "on_pre", spikes, trace, low, high)
        return Dense(dense_on_pre(self.data, *change))

    def on_post(
        self, trace: Any, spikes: Any, low: float = -jnp.inf, high: float = jnp.inf
    ) -> "Dense":
        """The matrix after spikes of post: as `CSR.on_post`, of all pairs."""
        change = change_of(self, "on_post", trace, spikes, low, high)
        return Dense(dense_on_post(self.data, *change))

    def todense(self) -> jax.Array:
        return self.data
