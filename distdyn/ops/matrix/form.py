"""A matrix as a trilinear form, and the three operators that are its partial derivatives.

    T(x, d, z) = sum_ij x_i A_ij(d) z_j            A is linear in its weights d

    vm(m, x, d)    = dT/dz at (m x, d)             x @ A     reads row i only where m_i x_i != 0
    mv(m, z, d)    = m dT/dx at (d, z)             A @ z     computes row i only where m_i != 0
    outer(x, z)    = dT/dd at (x, z)               weights   reads row i only where x_i != 0

The three are closed under transposition, so one written kernel for each gives derivatives of every
order, and no derivative touches the rows of neurons that were silent:

    vm^T   in x: mv(m, ct, d)     in m: mv(x, ct, d)     in d: outer(m x, ct)
    mv^T   in m: mv(ct, z, d)     in z: vm(m, ct, d)     in d: outer(m ct, z)
    outer^T      in x: mv(1, z, ct)      in z: vm(1, x, ct)

The mask m is where a product meets the derivative of a spike: the surrogate's value, which is zero
outside its support. Vectors have a leading axis of trials, over which d has no axis: `outer` sums.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from distdyn.ops.operator import Operator


class Form(NamedTuple):
    """The operators of a kind of matrix; behind the arguments above comes what it is made of."""

    scatter: Operator  # vm without a mask; x may be bool
    vm: Operator
    mv: Operator
    outer: Operator


def form(
    name: str,
    *,
    scatter: Callable[..., Any],
    gather: Callable[..., Any],
    outer: Callable[..., Any],
    kernels: str = "",
) -> Form:
    """The operators from their references.

    Args:
        name: of the kind of matrix.
        scatter: `scatter(x, d, *structure, **attributes)`: [trial, pre] to [trial, post]; x is of
            the dtype of d, or bool.
        gather: `gather(m, z, d, *structure, **attributes)`: to [trial, pre].
        outer: `outer(x, z, *structure, **attributes)`: to the shape of d.
        kernels: the module with CPU kernels of these three names; "" is none.
    """
    spread = Operator(f"{name}_scatter", scatter, linear=(0, 1))
    vm = Operator(
        f"{name}_vm", lambda m, x, *rest, **kw: spread(m * x, *rest, **kw), linear=(0, 1, 2)
    )
    mv = Operator(f"{name}_mv", gather, linear=(0, 1, 2))
    weights = Operator(f"{name}_outer", outer, linear=(0, 1))
    if kernels:
        for operator, kernel in ((spread, "scatter"), (mv, "gather"), (weights, "outer")):
            operator.kernel("cpu")(f"{kernels}:{kernel}")

    spread.transpose(0)(lambda ct, x, d, *rest, **kw: mv(_ones(x, d), ct, d, *rest, **kw))
    spread.transpose(1)(lambda ct, x, d, *rest, **kw: weights(_as(x, ct), ct, *rest, **kw))
    vm.transpose(0)(lambda ct, m, x, d, *rest, **kw: mv(x, ct, d, *rest, **kw))
    vm.transpose(1)(lambda ct, m, x, d, *rest, **kw: mv(m, ct, d, *rest, **kw))
    vm.transpose(2)(lambda ct, m, x, d, *rest, **kw: weights(m * x, ct, *rest, **kw))
    mv.transpose(0)(lambda ct, m, z, d, *rest, **kw: mv(ct, z, d, *rest, **kw))
    mv.transpose(1)(lambda ct, m, z, d, *rest, **kw: vm(m, ct, d, *rest, **kw))
    mv.transpose(2)(lambda ct, m, z, d, *rest, **kw: weights(m * ct, z, *rest, **kw))
    weights.transpose(0)(lambda ct, x, z, *rest, **kw: mv(_ones(x, ct), z, ct, *rest, **kw))
    weights.transpose(1)(lambda ct, x, z, *rest, **kw: vm(_ones(x, ct), x, ct, *rest, **kw))
    for operator in (vm, mv):
        operator.batch(_trials(operator))
    spread.batch(_trials(spread, 1))
    return Form(spread, vm, mv, weights)


def _ones(x: Any, like: jax.Array) -> jax.Array:
    return jnp.ones(x.shape, like.dtype)


def _as(x: jax.Array, like: jax.Array) -> jax.Array:
    return x.astype(like.dtype)


def _trials(operator: Operator, n_vectors: int = 2) -> Callable[..., Any]:
    """The rule of `vmap`: what is mapped are more trials, as long as it is the vectors alone."""

    def rule(arrays: Any, axes: Any, **attributes: Any) -> Any:
        if any(axis is not None for axis in axes[n_vectors:]):
            return None
        (size,) = {arrays[i].shape[axis] for i, axis in enumerate(axes) if axis is not None}
        merged, trials = [], 0
        for array, axis in zip(arrays[:n_vectors], axes[:n_vectors], strict=True):
            whole = (
                jnp.broadcast_to(array, (size, *array.shape))
                if axis is None
                else jnp.moveaxis(array, axis, 0)
            )
            trials = whole.shape[1]
            merged.append(whole.reshape(size * trials, whole.shape[-1]))
        result = operator(*merged, *arrays[n_vectors:], **attributes)
        return result.reshape(size, trials, result.shape[-1]), 0

    return rule
