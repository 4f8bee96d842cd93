"""Poisson counts by inversion: a draw is a function of key, id and step.

    count = #{ k >= 0 : u > P(N <= k) },   N ~ Poisson(expected),   u uniform on the 2^-32 grid

The probabilities do not depend on the cell where the rate does not, so that a compiled step only
compares; 32 bits decide, and so many terms are compared that what is left out is below 2^-33. The
last of them are needed by few draws: compiled code looks at them only where one of its lanes does.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from distdyn.random import threefry

MOST_EXPECTED = 500.0  # per step; beyond, dt is far too long for the rate
RARE = 2.0**-9  # part of the draws that need more than the common terms


class Terms(NamedTuple):
    """How many probabilities are compared at most, and how many always."""

    all: int
    common: int


def terms_needed(expected: float) -> Terms:
    """How many probabilities to compare for at most this expected count."""
    from scipy.special import pdtrc

    k = common = max(1, math.ceil(expected))
    while pdtrc(k - 1, expected) > 2.0**-33:
        k += 1
        if pdtrc(common, expected) > RARE:
            common = k
    return Terms(k, common)


def poisson_count(id: Any, step: Any, key: tuple[Any, Any], expected: Any, terms: Terms) -> Any:
    """The count of one step, int32.

    Args:
        id: uint32, of the neuron in its population.
        step: int64, of the train.
        key: two uint32, of the stream.
        expected: float64, expected count per step.
        terms: from `terms_needed`.
    """
    low, high = step.astype(jnp.uint32), (step >> np.int64(32)).astype(jnp.uint32)
    word, _ = threefry((id, low), (key[0], key[1] ^ high))

    def compare(first: int, last: int, count: Any, probability: Any, below: Any) -> Any:
        """Count terms first, ..., last - 1; the probability of `last`, and that of all before."""
        for k in range(first, last):
            count = jnp.where(word > _last_word(below), jnp.int32(k + 1), count)
            probability = probability * expected / (k + 1)
            below = below + probability
        return count, probability, below

    zero, one = jnp.zeros_like(word, jnp.int32), jnp.exp(-expected)
    count, probability, below = compare(0, terms.common, zero, one, one)
    if terms.common == terms.all:
        return count

    def rest(count: Any) -> Any:
        return compare(terms.common, terms.all, count, probability, below)[0]

    if jnp.ndim(word):  # the same for whole arrays, where some draw always needs them
        return rest(count)
    return jax.lax.cond(word > _last_word(below), rest, lambda count: count, count)


def _last_word(below: Any) -> Any:
    """The last of all words for which u is not beyond this probability; P(u > c) = 1 - c."""
    return jnp.clip(below * 2.0**32 - 1.0, 0.0, 2.0**32 - 1.0).astype(jnp.uint32)
