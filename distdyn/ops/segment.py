"""From pre neurons to synapses to post neurons, over a list of edges in any order.

    y_e = x_pre(e),        z_j = reduction of { y_e : post(e) = j }

What is not a sum of spikes (rates, graded release, attention over inputs) goes this way; jax turns
both around for the derivative, a gather into a scatter. An edge that is padding has -1 at both
ends (or any index outside): it carries 0 and arrives nowhere. In numpy arrays any other index
outside is an error; in traced or jax arrays it cannot be seen, and is padding.
"""

import operator
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Num, Shaped

from distdyn.errors import ParameterError
from distdyn.units import shown

Reduction = Literal["sum", "mean", "max", "min"]
How = Literal["sum", "mean", "max", "min", "softmax"]


def pre_to_synapse(
    x: Shaped[ArrayLike, "pre *k"], pre: Int[ArrayLike, "synapse"]
) -> Shaped[Array, "synapse *k"]:
    """The value of each synapse's source: y_e = x_pre(e), 0 for padding.

    Args:
        x: one value, or row of values, per pre neuron, of any unit and type.
        pre: the source of each synapse.

    Raises:
        ParameterError: an index is not an integer, or outside 0, ..., n_pre - 1 (-1: padding).
    """
    if not np.ndim(x):
        raise ParameterError("x is one number. Use an array with one value per pre neuron.")
    return _at(jnp.asarray(x), _index(pre, "pre", np.shape(x)[0]), 0)


def synapse_to_post(
    y: Num[ArrayLike, "synapse *k"],
    post: Int[ArrayLike, "synapse"],
    n_post: int,
    how: How = "sum",
) -> Num[Array, "post *k"] | Float[Array, "synapse *k"]:
    """Reduce the values of the synapses that share a target.

        sum       z_j = sum_{e: post(e) = j} y_e
        mean      z_j = sum_{e: post(e) = j} y_e / n_j,   n_j the number of synapses of j
        max, min  z_j = max, min_{e: post(e) = j} y_e
        softmax   p_e = exp(y_e) / sum_{f: post(f) = post(e)} exp(y_f)

    A post neuron without synapses gets 0, whose derivative is 0. Where several synapses are the
    largest (smallest), they share the derivative evenly. Softmax subtracts the largest value
    first, so that nothing overflows; -inf takes a synapse out, unless it does so to all of a
    target, which gives NaN. Sums run in the order of the list, in the dtype of y.

    Args:
        y: one value, or row of values, per synapse, of any unit; floating-point for mean and
            softmax.
        post: the target of each synapse, in any order.
        n_post: number of post neurons; static.
        how: the reduction.

    Returns:
        One value (or row) per post neuron; of softmax one per synapse, 0 for padding.

    Raises:
        ParameterError: an unknown `how`; y and post of different lengths; y of a type that cannot
            be reduced so; an index not an integer or outside 0, ..., n_post - 1 (-1: padding).
    """
    if how not in get_args(How):
        names = ", ".join(f'"{name}"' for name in get_args(How))
        raise ParameterError(f"how = {shown(how)} is not a reduction. Use one of {names}.")
    values, n = jnp.asarray(y), _count(n_post)
    target = _index(post, "post", n)
    _check_values(values, target.shape[0], how)
    if how == "softmax":
        return _softmax(values, target, n)
    if how == "sum":
        return jax.ops.segment_sum(values, target, n)
    count = jax.ops.segment_sum(jnp.ones_like(target, dtype=jnp.int32), target, n)
    count = _like(count, values)
    if how == "mean":
        return jax.ops.segment_sum(values, target, n) / jnp.maximum(count, 1).astype(values.dtype)
    extreme = jax.ops.segment_max if how == "max" else jax.ops.segment_min
    return jnp.where(count > 0, extreme(values, target, n), jnp.zeros((), values.dtype))


def pre_to_post(
    x: Shaped[ArrayLike, "pre *k"],
    pre: Int[ArrayLike, "synapse"],
    post: Int[ArrayLike, "synapse"],
    n_post: int,
    weight: Num[ArrayLike, ""] | Num[ArrayLike, "synapse"] | Num[ArrayLike, "synapse *k"] = 1.0,
    how: Reduction = "sum",
) -> Num[Array, "post *k"]:
    """Carry values of pre neurons along weighted synapses: z_j = how_{e: post(e) = j} w_e x_pre(e).

    Args:
        x: one value, or row of values, per pre neuron; spikes (bool) count as 0 and 1.
        pre: the source of each synapse.
        post: the target of each synapse.
        n_post: number of post neurons; static.
        weight: one for all, one per synapse, or a row per synapse, in the dtype of x; the unit of
            the result is that of x times that of the weight.
        how: "sum", "mean", "max" or "min", as in `synapse_to_post`.

    Raises:
        ParameterError: as in `pre_to_synapse` and `synapse_to_post`; pre, post and weight of
            different lengths; `how` is "softmax", which has no value per post neuron.
    """
    if how == "softmax":
        raise ParameterError(
            'how = "softmax" gives one value per synapse, not per post neuron. '
            'Use synapse_to_post(scores, post, n_post, "softmax") as `weight` of a sum.'
        )
    y = pre_to_synapse(x, pre)
    weight = weight if isinstance(weight, int | float) else jnp.asarray(weight)
    shape = np.shape(weight)
    if shape not in ((), y.shape[:1], y.shape):
        raise ParameterError(
            f"weight has shape {shape}, but there are {y.shape[0]} synapses with values of shape "
            f"{y.shape[1:]}. Use one number, or an array of shape {y.shape[:1]} or {y.shape}."
        )
    y = y.astype(jnp.result_type(weight)) if y.dtype == bool else y
    weighted = y * (_like(weight, y) if len(shape) == 1 else weight)
    return synapse_to_post(weighted, post, n_post, how)


def _softmax(y: Any, post: Any, n_post: int) -> Any:
    is_real = _like((post >= 0) & (post < n_post), y)
    y = jnp.where(is_real, y, jnp.zeros((), y.dtype))  # before exp: no inf, so no NaN backwards
    largest = jax.ops.segment_max(jax.lax.stop_gradient(y), post, n_post)
    part = jnp.exp(y - _at(largest, post, 0))
    whole = jax.ops.segment_sum(part, post, n_post)
    return jnp.where(is_real, part / _at(whole, post, 1), jnp.zeros((), y.dtype))


def _at(x: Any, index: Any, outside: int) -> Any:
    if not x.shape[0]:  # all are outside; a gather from nothing is an error
        return jnp.full(index.shape + x.shape[1:], outside, x.dtype)
    return x.at[index].get(mode="fill", fill_value=outside, wrap_negative_indices=False)


def _like(per_synapse: Any, y: Any) -> Any:
    """With axes of length 1, as many as y has more."""
    return per_synapse.reshape(per_synapse.shape + (1,) * (y.ndim - 1))


def _count(n_post: Any) -> int:
    try:
        n = -1 if isinstance(n_post, bool) else operator.index(n_post)
    except TypeError:
        n = -1
    if n < 0:
        raise ParameterError(f"n_post = {shown(n_post)} is not a count. Use a whole number >= 0.")
    return n


def _index(index: Any, what: str, n: int) -> Any:
    """The list of indices as a jax array, checked where its values are known."""
    index = index if isinstance(index, jax.Array) else np.asarray(index)
    if index.ndim != 1 or not jnp.issubdtype(index.dtype, jnp.integer):
        raise ParameterError(
            f"{what} has shape {index.shape} and type {index.dtype}. "
            "Use one integer per synapse, in an array of one axis."
        )
    if isinstance(index, np.ndarray):
        outside = np.flatnonzero((index < -1) | (index >= n))
        if outside.size:
            first = outside[0]
            raise ParameterError(
                f"{what}[{first}] = {index[first]} is not one of {n} neurons. "
                f"Use 0 to {n - 1}, or -1 for padding."
            )
    return jnp.asarray(index)


def _check_values(y: Any, n_synapses: int, how: str) -> None:
    if y.ndim == 0 or y.shape[0] != n_synapses:
        raise ParameterError(
            f"y has shape {y.shape}, but post has {n_synapses} synapses. "
            "Use one value, or row of values, per synapse."
        )
    is_float = jnp.issubdtype(y.dtype, jnp.floating)
    if not (is_float or (jnp.issubdtype(y.dtype, jnp.integer) and how not in ("mean", "softmax"))):
        raise ParameterError(
            f'y is of type {y.dtype}, of which there is no "{how}". '
            "Use floating-point values, e.g. y.astype(jnp.float32)."
        )
