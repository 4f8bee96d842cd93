"""CSR and FixedNumber: the columns of each row, one row after the other."""

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from distdyn.errors import ParameterError
from distdyn.ops.matrix import plasticity
from distdyn.ops.matrix.coo import COO, parts_of
from distdyn.ops.matrix.form import Form, form
from distdyn.ops.matrix.matrix import (
    AbstractForm,
    By,
    Matrix,
    Transposed,
    indices_of,
    shape_of,
    weights_of,
    wide,
)
from distdyn.ops.matrix.rows import at, rows_of


@wide
def _scatter(x, data, indices, indptr, *, n_post, width, n_weights):
    rows = rows_of(indices, indptr, x.shape[1], width)
    return jnp.zeros((len(x), n_post), data.dtype).at[:, indices].add(at(x, rows) * data)


@wide
def _gather(m, z, data, indices, indptr, *, n_post, width, n_weights):
    rows = rows_of(indices, indptr, m.shape[1], width)
    return m * jnp.zeros(m.shape, z.dtype).at[:, rows].add(z[:, indices] * data)


@wide
def _outer(x, z, indices, indptr, *, n_post, width, n_weights):
    rows = rows_of(indices, indptr, x.shape[1], width)
    each = (at(x, rows) * z[:, indices]).sum(axis=0)
    return each if n_weights == len(indices) else each.sum(keepdims=True)


FORM = form(
    "csr",
    scatter=_scatter,
    gather=_gather,
    outer=_outer,
    kernels="distdyn.ops.matrix.csr_kernels",
)


class AbstractRows(AbstractForm):
    """What `CSR` and `FixedNumber` share; how a row finds its synapses is in `indptr`, `width`."""

    form: ClassVar[Form] = FORM
    data: eqx.AbstractVar[Float[Array, " weight"]]
    indices: eqx.AbstractVar[Int[Array, " synapse"]]
    indptr: eqx.AbstractVar[Int[Array, " bound"]]
    width: eqx.AbstractVar[int]

    @property
    def nnz(self) -> int:
        """How many synapses there are."""
        return len(self.indices)

    @property
    def T(self) -> Matrix:
        return Transposed(self)

    def parts(self) -> Any:
        return (
            self.data,
            (self.indices, self.indptr),
            {"n_post": self.shape[1], "width": self.width, "n_weights": len(self.data)},
        )

    def rows(self) -> Int[Array, " synapse"]:
        """The row of each synapse; its column is in `indices`."""
        return rows_of(self.indices, self.indptr, self.shape[0], self.width)

    def cut(self, n: int, by: By) -> "Sequence[CSR]":
        if isinstance(self.indices, Tracer) or isinstance(self.indptr, Tracer):
            raise ParameterError(
                f"{type(self).__name__}: its synapses are not known inside jit. Split it before."
            )
        return _pieces(self, n, by)

    def on_pre(self, spikes: Any, trace: Any, low: float = -jnp.inf, high: float = jnp.inf) -> Self:
        """The matrix after spikes of pre: w_ij + spikes_i trace_j, clipped, in rows that spiked.

        Args:
            spikes: [pre], bool, or the size of each change.
            trace: [post].
            low: the least weight.
            high: the largest weight.

        Raises:
            ParameterError: one weight for all synapses, or a vector that does not fit.
        """
        self._check_each("on_pre")
        change = plasticity.change_of(self, "on_pre", spikes, trace, low, high)
        data = plasticity.rows_on_pre(
            self.data, *change, self.indices, self.indptr, width=self.width
        )
        return eqx.tree_at(lambda A: A.data, self, data)

    def on_post(
        self,
        trace: Any,
        spikes: Any,
        incoming: plasticity.Incoming,
        low: float = -jnp.inf,
        high: float = jnp.inf,
    ) -> Self:
        """The matrix after spikes of post: w_ij + trace_i spikes_j, clipped, where post spiked.

        Args:
            trace: [pre].
            spikes: [post], bool, or the size of each change.
            incoming: `A.incoming()`, once for all.
            low: the least weight.
            high: the largest weight.

        Raises:
            ParameterError: one weight for all synapses, or a vector that does not fit.
        """
        self._check_each("on_post")
        plasticity.check_incoming(incoming, self.nnz, self.shape[1])
        change = plasticity.change_of(self, "on_post", trace, spikes, low, high)
        data = plasticity.rows_on_post(self.data, *change, *incoming)
        return eqx.tree_at(lambda A: A.data, self, data)

    def incoming(self) -> plasticity.Incoming:
        """Where the synapses of each post neuron are; outside of jit."""
        if isinstance(self.indices, Tracer):
            raise ParameterError(
                f"{type(self).__name__}: incoming() sorts synapses, which are not known inside "
                "jit. Call it before, and pass the result."
            )
        return plasticity.incoming_of(self.rows(), self.indices, self.shape[1])

    def _check_each(self, what: str) -> None:
        if len(self.data) != self.nnz:
            raise ParameterError(
                f"{type(self).__name__}: {what} of a matrix with one weight for all "
                f"{self.nnz} synapses. Give one for each."
            )

    def todense(self) -> jax.Array:
        zeros = jnp.zeros(self.shape, self.dtype)
        return zeros.at[self.rows(), self.indices].add(self.data)

    def tocoo(self) -> COO:
        """The same with a row for each synapse."""
        n = self.nnz if self.width >= 0 or isinstance(self.indptr, Tracer) else self.indptr[-1]
        data = self.data[:n] if len(self.data) == self.nnz else self.data
        return COO((data, (self.rows()[:n], self.indices[:n])), shape=self.shape)

    def to_scipy(self) -> Any:
        """The same as a `scipy.sparse.csr_array`."""
        from scipy.sparse import csr_array

        data = np.broadcast_to(np.asarray(self.data), (self.nnz,))
        bounds = np.arange(self.shape[0] + 1) * self.width if self.width >= 0 else self.indptr
        return csr_array((data, np.asarray(self.indices), np.asarray(bounds)), shape=self.shape)

    def to_bcoo(self) -> Any:
        """The same as a `jax.experimental.sparse.BCOO`."""
        return self.tocoo().to_bcoo()


class CSR(AbstractRows):
    """A matrix by rows, as SciPy's: row i has columns indices[indptr[i] : indptr[i + 1]].

        dd.CSR((data, indices, indptr), shape=(m, n))     dd.CSR(scipy_matrix)     dd.CSR(bcoo)

    A column that stands twice in a row counts twice; the order within a row is free.

    Args:
        source: `(data, indices, indptr)`, or a sparse matrix of SciPy or JAX, or a `COO`. `data` is
            one number for all synapses, or one for each.
        shape: (pre, post); not needed for a sparse matrix.

    Raises:
        ParameterError: an index outside the shape, bounds that are not ascending, lengths that do
            not fit.
    """

    shape: tuple[int, int] = eqx.field(static=True)
    data: Float[Array, " weight"]
    indices: Int[Array, " synapse"]
    indptr: Int[Array, " bound"]
    width: int = eqx.field(static=True)

    def __init__(self, source: Any, shape: tuple[int, int] | None = None):
        if not isinstance(source, tuple):
            (data, row, col), shape = parts_of(source, "CSR", shape)
            order = np.argsort(np.asarray(row), kind="stable")
            data = data if len(data) == 1 else data[order]
            indptr = np.searchsorted(np.asarray(row)[order], np.arange(shape[0] + 1))
            source = data, np.asarray(col)[order], indptr
        data, indices, indptr = source
        self.shape = m, n = shape_of(shape, "CSR")
        self.indices = indices_of(indices, n, "CSR: indices")
        if self.indices.ndim != 1:
            raise ParameterError(f"CSR: indices have shape {list(self.indices.shape)}. Give [nnz].")
        self.data = weights_of(data, self.nnz, "CSR")
        self.indptr = _bounds_of(indptr, m, self.nnz)
        self.width = -1


class FixedNumber(AbstractRows):
    """A matrix whose rows have equally many synapses: row i has the columns indices[i].

        dd.FixedNumber((data, indices), shape=(m, n))          indices[m, k], data [] or [m, k]

    Args:
        source: `(data, indices)`.
        shape: (pre, post).

    Raises:
        ParameterError: an index outside the shape, lengths that do not fit.
    """

    shape: tuple[int, int] = eqx.field(static=True)
    data: Float[Array, " weight"]
    indices: Int[Array, " synapse"]
    indptr: Int[Array, " bound"]
    width: int = eqx.field(static=True)

    def __init__(self, source: tuple[Any, Any], *, shape: tuple[int, int]):
        data, indices = source
        self.shape = m, n = shape_of(shape, "FixedNumber")
        indices = indices_of(indices, n, "FixedNumber: indices")
        if indices.ndim != 2 or len(indices) != m:
            raise ParameterError(
                f"FixedNumber: indices have shape {list(indices.shape)}. Give [{m}, k]: for each "
                "row its columns."
            )
        self.indices, self.width = indices.reshape(-1), indices.shape[1]
        data = jnp.asarray(data)
        is_each = data.ndim == 2 and data.shape == indices.shape
        self.data = weights_of(data.reshape(-1) if is_each else data, self.nnz, "FixedNumber")
        self.indptr = jnp.zeros(0, jnp.int32)


def _pieces(matrix: AbstractRows, n: int, by: By) -> list[CSR]:
    """The synapses of each of n ranges of rows or columns, as many as the longest has, padded."""
    m, k = matrix.shape
    size = -(-(m if by == "rows" else k) // n)
    with jax.ensure_compile_time_eval():  # inside jit, of a matrix that is known
        row, column = np.asarray(matrix.rows()), np.asarray(matrix.indices)
    piece = (row if by == "rows" else column) // max(size, 1)
    piece[row == m] = n  # padding
    order = np.argsort(piece, kind="stable")  # and by row within
    start = np.searchsorted(piece[order], np.arange(n + 1))
    longest = int(np.diff(start).max(initial=0))
    pieces = []
    for p in range(n):
        mine = order[start[p] : start[p + 1]]
        rows, columns = row[mine], column[mine]
        if by == "rows":
            rows, shape = rows - p * size, (size, k)
        else:
            columns, shape = columns - p * size, (m, size)
        padding = 0, longest - len(mine)
        data = matrix.data
        if len(data) == matrix.nnz:
            data = at(data, np.pad(mine, padding, constant_values=matrix.nnz))
        indptr = np.searchsorted(rows, np.arange(shape[0] + 1))
        pieces.append(_with_padding((data, np.pad(columns, padding), indptr), shape))
    return pieces


def _with_padding(source: tuple[Any, Any, Any], shape: tuple[int, int]) -> CSR:
    """A matrix with synapses behind its last row, which are no part of it."""
    data, indices, indptr = source
    empty = CSR((data[:1], indices[:0], np.zeros(shape[0] + 1, int)), shape=shape)
    with jax.enable_x64(True), jax.ensure_compile_time_eval():
        arrays = data, jnp.asarray(indices), jnp.asarray(indptr, jnp.int64)
    return eqx.tree_at(lambda A: (A.data, A.indices, A.indptr), empty, arrays)


def _bounds_of(given: Any, m: int, nnz: int) -> jax.Array:
    if isinstance(given, Tracer):
        return given
    bounds = np.asarray(given)
    if bounds.shape != (m + 1,):
        raise ParameterError(
            f"CSR: indptr has shape {list(bounds.shape)}. Give [{m + 1}]: where each of {m} rows "
            "begins, and where the last ends."
        )
    if not np.issubdtype(bounds.dtype, np.integer):
        raise ParameterError(f"CSR: indptr is {bounds.dtype}. Give integers.")
    if bounds[0] != 0 or bounds[-1] != nnz or (np.diff(bounds) < 0).any():
        raise ParameterError(
            f"CSR: indptr goes from {bounds[0]} to {bounds[-1]}. It ascends from 0 to {nnz}, the "
            "number of synapses."
        )
    with jax.enable_x64(True), jax.ensure_compile_time_eval():
        return jnp.asarray(bounds, jnp.int64)
