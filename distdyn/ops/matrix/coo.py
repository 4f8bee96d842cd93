"""COO: a row and a column for each synapse, in any order."""

from collections.abc import Sequence
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from distdyn._jax import bcoo
from distdyn.errors import ParameterError
from distdyn.ops.matrix.form import Form, form
from distdyn.ops.matrix.matrix import (
    AbstractForm,
    By,
    Matrix,
    indices_of,
    shape_of,
    weights_of,
    wide,
)


@wide
def _scatter(x, data, row, col, *, n_post, n_weights):
    return jnp.zeros((len(x), n_post), data.dtype).at[:, col].add(x[:, row] * data)


@wide
def _gather(m, z, data, row, col, *, n_post, n_weights):
    return m * jnp.zeros(m.shape, z.dtype).at[:, row].add(z[:, col] * data)


@wide
def _outer(x, z, row, col, *, n_post, n_weights):
    each = (x[:, row] * z[:, col]).sum(axis=0)
    return each if n_weights == len(row) else each.sum(keepdims=True)


FORM = form(
    "coo",
    scatter=_scatter,
    gather=_gather,
    outer=_outer,
    kernels="distdyn.ops.matrix.coo_kernels",
)


class COO(AbstractForm):
    """A matrix by synapses, as SciPy's: synapse k leads from row[k] to col[k].

        dd.COO((data, (row, col)), shape=(m, n))     dd.COO(scipy_matrix)     dd.COO(bcoo)

    Two synapses at one place add up. Every product looks at the row of every synapse: where few
    neurons spike, `dd.CSR(coo)` is faster.

    Args:
        source: `(data, (row, col))`, or a sparse matrix of SciPy or JAX. `data` is one number for
            all synapses, or one for each.
        shape: (pre, post); not needed for a sparse matrix.

    Raises:
        ParameterError: an index outside the shape, lengths that do not fit.
    """

    form: ClassVar[Form] = FORM
    shape: tuple[int, int] = eqx.field(static=True)
    data: Float[Array, " weight"]
    row: Int[Array, " synapse"]
    col: Int[Array, " synapse"]

    def __init__(self, source: Any, shape: tuple[int, int] | None = None):
        if not isinstance(source, tuple):
            (data, row, col), shape = parts_of(source, "COO", shape)
            source = data, (row, col)
        data, (row, col) = source
        self.shape = m, n = shape_of(shape, "COO")
        self.row = indices_of(row, m, "COO: rows")
        self.col = indices_of(col, n, "COO: columns")
        if self.row.ndim != 1 or self.row.shape != self.col.shape:
            raise ParameterError(
                f"COO: rows have shape {list(self.row.shape)}, columns {list(self.col.shape)}. "
                "Give one of each for every synapse."
            )
        self.data = weights_of(data, self.nnz, "COO")

    @property
    def nnz(self) -> int:
        """How many synapses there are."""
        return len(self.row)

    @property
    def T(self) -> "COO":
        return COO((self.data, (self.col, self.row)), shape=(self.shape[1], self.shape[0]))

    def parts(self) -> Any:
        return (
            self.data,
            (self.row, self.col),
            {"n_post": self.shape[1], "n_weights": len(self.data)},
        )

    def todense(self) -> jax.Array:
        return jnp.zeros(self.shape, self.dtype).at[self.row, self.col].add(self.data)

    def cut(self, n: int, by: By) -> Sequence[Matrix]:
        from distdyn.ops.matrix.csr import CSR  # which is made from this

        if isinstance(self.row, Tracer) or isinstance(self.col, Tracer):
            raise ParameterError("COO: its synapses are not known inside jit. Split it before.")
        return CSR(self).cut(n, by)

    def to_scipy(self) -> Any:
        """The same as a `scipy.sparse.coo_array`."""
        from scipy.sparse import coo_array

        data = np.broadcast_to(np.asarray(self.data), (self.nnz,))
        return coo_array((data, (np.asarray(self.row), np.asarray(self.col))), shape=self.shape)

    def to_bcoo(self) -> Any:
        """The same as a `jax.experimental.sparse.BCOO`."""
        data = jnp.broadcast_to(self.data, (self.nnz,))
        return bcoo()((data, jnp.stack([self.row, self.col], axis=1)), shape=self.shape)


def parts_of(
    source: Any, what: str, shape: Any = None
) -> tuple[tuple[Any, Any, Any], tuple[int, int]]:
    """The weights, rows and columns of a sparse matrix of ours, SciPy's or JAX's; and its shape."""
    if shape is not None and tuple(shape) != getattr(source, "shape", tuple(shape)):
        raise ParameterError(
            f"{what}: shape = {shape}, but the matrix that is given has {source.shape}. Give none."
        )
    given = source.tocoo() if hasattr(source, "tocoo") else source
    if isinstance(given, bcoo()) and given.n_batch == given.n_dense == 0:
        places = np.asarray(given.indices)
        inside = (places < np.array(given.shape)).all(axis=1)  # the others are padding
        return (given.data[inside], *places[inside].T), given.shape
    if all(hasattr(given, name) for name in ("data", "row", "col", "shape")):
        return (given.data, given.row, given.col), given.shape
    raise ParameterError(
        f"{what}: cannot be made from {type(source).__name__}. Give arrays as the docstring says, "
        "a matrix of scipy.sparse, or a two-dimensional jax.experimental.sparse.BCOO."
    )
