"""Memory of a cell: a ring of the last values of one of its variables, part of its state.

The ring is the last axis: [slot] of one cell, [cell, slot] of many. A step writes the value of its
beginning to slot `step mod slots` first and reads after that, so that the newest value is whatever
the state holds, set by hand or by a spike. Compiled cells (`ops.fuse`) read and write the ring
where it lies: these functions are known there by name. Everywhere else they are plain jax.numpy,
elementwise over cells, with derivatives.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


@functools.partial(jax.jit, inline=False)
def ring_read(ring: Any, slot: Any) -> Any:
    """The value in a slot: int32, one for all cells or one per cell; it must exist."""
    if not jnp.ndim(slot):
        return jax.lax.dynamic_index_in_dim(ring, slot, -1, keepdims=False)
    cells = ring.shape[:-1]
    shape = jnp.broadcast_shapes(jnp.shape(slot), cells)
    axes = range(len(cells))
    own = [  # the index of each cell along each of its axes
        jnp.arange(n, dtype=jnp.int32).reshape([n if axis == k else 1 for axis in axes])
        for k, n in enumerate(cells)
    ]
    place = ring.at[(*own, jnp.broadcast_to(slot, shape))]
    return place.get(mode="promise_in_bounds", wrap_negative_indices=False)


@functools.partial(jax.jit, inline=False)
def ring_write(ring: Any, slot: Any, value: Any) -> Any:
    """The ring with a value in a slot, int32[]; the ring before may not be used any more."""
    value = jnp.broadcast_to(value, ring.shape[:-1])
    return jax.lax.dynamic_update_index_in_dim(ring, value, slot, ring.ndim - 1)


def ring_sum(ring: Any, weights: np.ndarray, newest: Any) -> Any:
    """Sum over k of weights[k] times the value of k steps ago, `newest` being the slot of k = 0.

    The order of the sum does not depend on how many cells there are.
    """
    turned = weights[::-1].astype(ring.dtype)
    return _ring_sum(ring, np.concatenate([turned, turned[:-1]]), newest)


@functools.partial(jax.jit, inline=False)
def _ring_sum(ring: Any, weights: Any, newest: Any) -> Any:
    """`weights[slots - 1 - newest + i]` is the weight of slot i."""
    slots = ring.shape[-1]
    terms = ring * jax.lax.dynamic_slice_in_dim(weights, np.int32(slots - 1) - newest, slots)
    while terms.shape[-1] > 1:
        n = terms.shape[-1] // 2
        rest = terms[..., 2 * n :]
        terms = jnp.concatenate([terms[..., :n] + terms[..., n : 2 * n], rest], -1)
    return terms[..., 0]


def ring_slot(step: Any, ring: Any) -> Any:
    """The slot of a step, int32[]."""
    step = jnp.asarray(step)
    return jax.lax.rem(step, step.dtype.type(ring.shape[-1])).astype(jnp.int32)


READ, WRITE, SUM = "ring_read", "ring_write", "_ring_sum"
