"""Weights that change where spikes are: rows of those that fired, or columns.

    on_pre     w_ij <- clip(w_ij + x_i z_j)      x: spikes of pre, z: a trace of post
    on_post    w_ij <- clip(w_ij + x_i z_j)      x: a trace of pre, z: spikes of post

Each rule of pairs of spikes is made of the two. The weights are changed in place where nobody else
needs them, and only those at the spikes are touched: by `Incoming` a matrix of rows finds them from
the side of post. A clip is part of the change; where nobody fired, a weight stays what it is.

Source: Song, Miller & Abbott (2000), Nat. Neurosci. 3, 919 (both events, additive, with bounds).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from distdyn.errors import ParameterError
from distdyn.ops.matrix.matrix import wide
from distdyn.ops.matrix.rows import at, rows_of
from distdyn.ops.operator import Operator
from distdyn.units import shown


class Incoming(NamedTuple):
    """The synapses of a matrix of rows, one post neuron after the other; `A.incoming()`.

    Attributes:
        indptr: [post + 1]; where those of each post neuron begin.
        row: [synapse]; from which pre neuron.
        position: [synapse]; where the weight is.
    """

    indptr: Int[Array, " bound"]
    row: Int[Array, " synapse"]
    position: Int[Array, " synapse"]


def _moved(data: Any, change: Any, is_here: Any, low: Any, high: Any) -> Any:
    return jnp.where(is_here, jnp.clip(data + change, low, high), data)


@wide
def _rows_on_pre(data, x, z, low, high, indices, indptr, *, width):
    row = rows_of(indices, indptr, len(x), width)
    return _moved(data, at(x, row) * z[indices], at(x, row) != 0, low, high)


@wide
def _rows_on_post(data, x, z, low, high, indptr, row, position):
    column = rows_of(row, indptr, len(z), -1)
    old = data[position]
    new = _moved(old, x[row] * z[column], z[column] != 0, low, high)
    return data.at[position].set(new, unique_indices=True)


def _dense_on_pre(data, x, z, low, high):
    return _moved(data, x[:, None] * z, x[:, None] != 0, low, high)


def _dense_on_post(data, x, z, low, high):
    return _moved(data, x[:, None] * z, z != 0, low, high)


def _operator(name: str, reference: Any) -> Operator:
    operator = Operator(name, reference, aliases={0: 0})
    operator.kernel("cpu")(f"distdyn.ops.matrix.plasticity_kernels:{name}")
    return operator


rows_on_pre = _operator("rows_on_pre", _rows_on_pre)
rows_on_post = _operator("rows_on_post", _rows_on_post)
dense_on_pre = _operator("dense_on_pre", _dense_on_pre)
dense_on_post = _operator("dense_on_post", _dense_on_post)


def incoming_of(rows: Any, columns: Any, n_post: int) -> Incoming:
    """Order synapses by their columns.

    Args:
        rows: the row of each synapse; known, as `columns`.
        columns: the column of each synapse.
        n_post: how many columns there are.
    """
    rows, columns = np.asarray(rows), np.asarray(columns)
    position = np.argsort(columns, kind="stable")
    indptr = np.searchsorted(columns[position], np.arange(n_post + 1))
    narrow = np.int32 if len(rows) < 2**31 else np.int64
    with jax.enable_x64(True):
        return Incoming(
            jnp.asarray(indptr, jnp.int64),
            jnp.asarray(rows[position]),
            jnp.asarray(position.astype(narrow)),
        )


def check_incoming(incoming: Any, n_synapses: int, n_post: int) -> None:
    """Refuse what was made of another matrix, as far as its size tells.

    Raises:
        ParameterError: no `Incoming`, or one of other numbers of synapses or neurons.
    """
    if (
        not isinstance(incoming, Incoming)
        or len(incoming.row) != len(incoming.position)
        or len(incoming.row) > n_synapses
        or incoming.indptr.shape != (n_post + 1,)
    ):
        raise ParameterError(
            f"on_post: incoming is not that of this matrix, with {n_synapses} synapses onto "
            f"{n_post} neurons. Give A.incoming() of the same matrix."
        )


class Change(NamedTuple):
    """The operands of a change, checked."""

    x: Any
    z: Any
    low: Any
    high: Any


def change_of(matrix: Any, what: str, x: Any, z: Any, low: Any, high: Any) -> Change:
    """The vectors and bounds of a change in the dtype of the weights.

    Raises:
        ParameterError: lengths or dtypes that do not fit.
    """
    name = f"{type(matrix).__name__}{list(matrix.shape)}: {what}"

    def vector(given: Any, length: int, side: str) -> jax.Array:
        v = jnp.asarray(given)
        if v.shape != (length,):
            raise ParameterError(
                f"{name}: the vector of {side} has shape {list(v.shape)}. Give [{length}]; more "
                "networks by jax.vmap."
            )
        if v.dtype not in (jnp.dtype(bool), matrix.dtype):
            raise ParameterError(
                f"{name}: the vector of {side} is {v.dtype}, the weights are {matrix.dtype}. "
                "Convert one; spikes may be bool."
            )
        return v.astype(matrix.dtype)

    def bound(given: Any, side: str) -> jax.Array:
        number = jnp.asarray(given, matrix.dtype)
        if number.shape != ():
            raise ParameterError(f"{name}: {side} = {shown(given)}. Give one number.")
        return number

    m, n = matrix.shape
    return Change(vector(x, m, "pre"), vector(z, n, "post"), bound(low, "low"), bound(high, "high"))
