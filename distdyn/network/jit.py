"""JITBernoulli and JITFixedNumber: drawn matrices that are never stored."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from distdyn.errors import ParameterError
from distdyn.network.distributions import Distribution, Normal, Uniform
from distdyn.network.rule import check_words
from distdyn.ops.matrix.jit import NORMAL, ONE, UNIFORM, JITMatrix, bernoulli, fixed_number
from distdyn.ops.matrix.matrix import shape_of, weights_of
from distdyn.ops.values import is_tabulated
from distdyn.random import stream_key
from distdyn.units import shown

MOST_SEED = 1 << 64
LEAST_BLOCK, MOST_BLOCK = 1 << 4, 1 << 16  # columns; of more, not every one is equally likely


def JITBernoulli(
    p: float, weight: Any, shape: tuple[int, int], seed: int = 0, *, dtype: Any = None
) -> JITMatrix:
    """A matrix in which every pair is connected with probability p, drawn and never stored.

        A = dd.JITBernoulli(0.01, 0.5, shape=(m, n))
        spikes @ A     A @ z     A.T     A.part(rows=(0, 100))     A.todense()     A.tocsr()

    Args:
        p: 0 <= p <= 1.
        weight: a number, which JAX may trace, or `Uniform(low, high)` or `Normal(mean, sd)` without
            limits. Derivatives are with respect to `A.data`: [w], [low, high] or [mean, sd].
        shape: (pre, post).
        seed: 0 <= seed < 2^64; which of all such matrices. It is known when the matrix is made, and
            `A.draws.key` is made of it: another key is another matrix in the same compiled program.
        dtype: of the weights and of products; None is that of the weight.

    Raises:
        ParameterError: p is no probability, or another argument outside its domain.
    """
    what = "JITBernoulli"
    (m, n), law, data = shape_of(shape, what), *weight_law(weight, what, dtype)
    is_number = isinstance(p, int | float | np.integer | np.floating) and not isinstance(p, bool)
    if not is_number or not 0 <= p <= 1:  # NaN too
        raise ParameterError(
            f"{what}: p = {shown(p)} is not a probability. Give 0 <= p <= 1, known outside jit."
        )
    key, block_start = connectivity_key(seed, "", what), _blocks(m, n, _cell_size(float(p)))
    return bernoulli(float(p), data, law=law, shape=(m, n), key=key, block_start=block_start)


def JITFixedNumber(
    k: int, weight: Any, shape: tuple[int, int], seed: int = 0, *, dtype: Any = None
) -> JITMatrix:
    """A matrix in which every row has k synapses, onto distinct columns, drawn and never stored.

    Args:
        k: 0 <= k <= shape[1].
        weight: as for `JITBernoulli`.
        shape: (pre, post).
        seed: as for `JITBernoulli`.
        dtype: the same.

    Raises:
        ParameterError: more synapses than columns, or another argument outside its domain.
    """
    what = "JITFixedNumber"
    (m, n), law, data = shape_of(shape, what), *weight_law(weight, what, dtype)
    is_number = isinstance(k, int | np.integer) and not isinstance(k, bool)
    if not is_number or not 0 <= k <= n:
        raise ParameterError(
            f"{what}: k = {shown(k)} is not a number of synapses onto distinct columns of {n}. "
            f"Give an integer 0 <= k <= {n}, known outside jit."
        )
    key, block_start = connectivity_key(seed, "", what), _blocks(m, n, MOST_BLOCK)
    return fixed_number(int(k), data, law=law, shape=(m, n), key=key, block_start=block_start)


def is_linear(weight: Any) -> bool:
    """Whether weights are a number, or drawn so that they are linear in what describes them."""
    if isinstance(weight, Normal):
        return weight.low is None and weight.high is None
    return not isinstance(weight, Distribution) or isinstance(weight, Uniform)


def weight_law(weight: Any, what: str, dtype: Any = None) -> tuple[int, jax.Array]:
    """The law of weights that are a number or drawn, and the numbers that describe it.

    Raises:
        ParameterError: anything else, or a distribution that is not linear in its numbers.
    """
    if not is_linear(weight):
        raise ParameterError(
            f"{what}: weight = {weight!r} is not linear in its numbers. Give a number, "
            "Uniform(low, high), or Normal(mean, sd) without limits."
        )
    if isinstance(weight, Uniform):
        law, data = UNIFORM, [weight.low, weight.high]
    elif isinstance(weight, Normal):
        law, data = NORMAL, [weight.mu, weight.sd]
    else:
        return ONE, weights_of(weight if dtype is None else jnp.asarray(weight, dtype), 1, what)
    return law, jnp.stack([jnp.asarray(x, dtype or jnp.result_type(float)) for x in data])


def _cell_size(p: float) -> int:
    """The largest block in which a number of synapses is looked up: the fewest draws of numbers."""
    size = MOST_BLOCK
    while size > LEAST_BLOCK and not is_tabulated(size, min(p, 0.5)):
        size //= 2
    return size


def _blocks(m: int, n: int, size: int) -> np.ndarray:
    """Where the blocks of n columns begin."""
    check_words(m, n)
    return np.append(np.arange(0, n, size), n)


def connectivity_key(seed: Any, path: str, what: str) -> tuple[int, int]:
    """The stream of the synapses at a path.

    Raises:
        ParameterError: the seed is no integer that fits into 64 bits.
    """
    is_number = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    if not is_number or not 0 <= seed < MOST_SEED:
        raise ParameterError(
            f"{what}: seed = {shown(seed)}. Give an integer 0 <= seed < 2^64, known outside jit."
        )
    return stream_key(int(seed), "connectivity", path)
