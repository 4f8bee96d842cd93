"""Poisson counts by inversion: a draw is a function of key, id and step.

    count = #{ k >= 0 : u > P(N <= k) },   N ~ Poisson(expected),   u uniform on the 2^-32 grid

The probabilities do not depend on the cell where the rate does not, so that a compiled step only
compares; 32 bits decide, and so many terms are compared that what is left out is below 2^-33.
"""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from distdyn.random import threefry

MOST_EXPECTED = 500.0  # per step; beyond, dt is far too long for the rate


def terms_needed(expected: float) -> int:
    """How many probabilities to compare for at most this expected count."""
    from scipy.special import pdtrc

    k = max(1, math.ceil(expected))
    while pdtrc(k - 1, expected) > 2.0**-33:
        k += 1
    return k


def poisson_count(id: Any, step: Any, key: tuple[Any, Any], expected: Any, terms: int) -> Any:
    """The count of one step, int32.

    Args:
        id: uint32, of the neuron in its population.
        step: int64, of the train.
        key: two uint32, of the stream.
        expected: float64, expected count per step.
        terms: how many probabilities are compared, from `terms_needed`.
    """
    low, high = step.astype(jnp.uint32), (step >> np.int64(32)).astype(jnp.uint32)
    word, _ = threefry((id, low), (key[0], key[1] ^ high))
    probability = jnp.exp(-expected)
    below = probability
    count = jnp.zeros_like(word, jnp.int32)
    for k in range(1, terms + 1):
        # P(u > c) = 1 - c: compare with the last integer that is not beyond c
        last = jnp.clip(below * 2.0**32 - 1.0, 0.0, 2.0**32 - 1.0).astype(jnp.uint32)
        count = count + (word > last).astype(jnp.int32)
        probability = probability * expected / k
        below = below + probability
    return count
