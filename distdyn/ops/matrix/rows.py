"""Which row each synapse of a matrix of rows has, and what is read and added up there."""

from typing import Any

import jax.numpy as jnp

from distdyn.ops.matrix.matrix import wide


@wide
def rows_of(indices: Any, indptr: Any, m: int, width: int) -> Any:
    """The row of each synapse, of m rows; m where one is padding behind the last row.

    Args:
        indices: [synapse]; one for each, in whatever dtype the rows shall have.
        indptr: [m + 1]; where each row begins; not read where all have `width` synapses.
        m: how many rows there are.
        width: the synapses of a row; -1 says that `indptr` tells.
    """
    rows = jnp.arange(m, dtype=indices.dtype)
    if width >= 0:
        return jnp.repeat(rows, width, total_repeat_length=len(indices))
    counts = jnp.append(jnp.diff(indptr), len(indices) - indptr[-1])
    rows = jnp.append(rows, jnp.asarray(m, rows.dtype))
    return jnp.repeat(rows, counts, total_repeat_length=len(indices))


def at(x: Any, row: Any) -> Any:
    """The values of rows along the last axis, 0 for padding."""
    return x.at[..., row].get(mode="fill", fill_value=0)
