"""The spike function: the exact step forwards, a surrogate of its derivative backwards.

    spike(v) = 1 if v >= 0 else 0,        d spike / dv := g(v)

Forwards nothing is smoothed, so what is trained is what is simulated. The step goes through
jax.custom_jvp: jit, grad, vmap, scan and shard_map take it as any function; a second derivative is
that of g.

Source: Neftci, Mostafa & Zenke (2019), IEEE Signal Process. Mag. 36(6), 51.
"""

import abc
import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from distdyn.errors import ParameterError
from distdyn.units import real, shown


class Domain(NamedTuple):
    """What a parameter may be."""

    says: str
    holds: Callable[[float], bool]
    kind: type = float


ABOVE_0 = Domain("a finite number > 0", lambda x: x > 0)
AT_LEAST_0 = Domain("a finite number >= 0", lambda x: x >= 0)
ABOVE_1 = Domain("a finite number > 1", lambda x: x > 1)
COUNT = Domain("a whole number >= 1", lambda x: x >= 1 and x == int(x), int)

EVERYWHERE = -math.inf, math.inf


@dataclass(frozen=True)
class Surrogate(abc.ABC):
    """A spike function: called with v it gives the exact step; its derivative is `derivative`.

    Equal parameters make equal surrogates, with equal hashes. A surrogate has no array in it: it
    passes through jit, grad and vmap, alone or within a model, as part of the structure.

    Raises:
        ParameterError: a parameter is not a number, or outside its domain (above 0 by default).
    """

    is_step: ClassVar[bool] = False  # g integrates to 1: it is the derivative of a step 0 -> 1

    def __init_subclass__(cls) -> None:
        jax.tree_util.register_static(cls)

    def __post_init__(self) -> None:
        for parameter in fields(self):
            what = f"{type(self).__name__}: {parameter.name}"
            domain = parameter.metadata.get("domain", ABOVE_0)
            value = _number(getattr(self, parameter.name), what, domain)
            object.__setattr__(self, parameter.name, value)

    def __call__(self, v: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
        """Exactly 1 where v >= 0 (-0. too), else 0 (NaN too), in the dtype of v.

        Raises:
            ParameterError: v is not made of floating-point numbers.
        """
        self._check(v)
        return _spike(self, jnp.asarray(v))

    def _check(self, v: Any) -> None:
        dtype = jnp.result_type(v)
        if not jnp.issubdtype(dtype, jnp.floating):
            raise ParameterError(
                f"{type(self).__name__}: v is of type {dtype}, which has no derivative. "
                "Use floating-point v, e.g. v.astype(jnp.float32)."
            )

    def product(self, v: Float[ArrayLike, "*trial pre"], A: Any) -> Float[Array, "*trial post"]:
        """What the spikes bring: `self(v) @ A`, of a sparse matrix A.

        It reads the rows of A whose neurons spike, and the derivative with respect to v only those
        where g is not exactly zero, as `self(v) @ A` cannot know: outside of `support` nothing is
        read, nothing is computed.

        Raises:
            ParameterError: what `self(v)` or the product raises.
        """
        self._check(v)
        return _product(self, jnp.asarray(v), A)

    @abc.abstractmethod
    def derivative(self, v: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
        """g(v), of the shape and dtype of v."""

    @property
    def support(self) -> tuple[float, float]:
        """The open interval outside of which g is exactly 0: no cotangent passes there."""
        return EVERYWHERE


def _number(value: Any, what: str, domain: Domain) -> float | int:
    """The parameter as a plain number of its domain."""
    if isinstance(value, Tracer):
        raise ParameterError(
            f"{what} is traced, but parameters of surrogates are fixed when a program is traced. "
            f"Use {domain.says}."
        )
    number = real(value, what)
    if isinstance(number, float) and math.isfinite(number) and domain.holds(number):
        return domain.kind(number)
    raise ParameterError(f"{what} = {shown(value)} is outside its domain. Use {domain.says}.")


def within(domain: Domain, default: float | int) -> Any:
    """A parameter whose domain is not the usual one."""
    return field(default=default, metadata={"domain": domain})


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _spike(surrogate: Surrogate, v: Any) -> Any:
    # By the bits: CPUs that flush subnormals take -1e-45 for -0.
    integer = np.dtype(f"int{8 * v.dtype.itemsize}")
    bits = jax.lax.bitcast_convert_type(v, integer)
    is_signed_zero = bits == np.iinfo(integer).min
    return (((bits >= 0) | is_signed_zero) & (v == v)).astype(v.dtype)


@_spike.defjvp
def _spike_jvp(surrogate: Surrogate, primals: Any, tangents: Any) -> tuple[Any, Any]:
    (v,), (dv,) = primals, tangents
    return _spike(surrogate, v), surrogate.derivative(v) * dv


def stand_in(surrogate: Surrogate, spike: Any, v: Any) -> Any:
    """Whether there is a spike, as 0. or 1. of the dtype of v; its derivative is g(v)."""
    return _stand_in(surrogate, spike, v)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _stand_in(surrogate: Surrogate, spike: Any, v: Any) -> Any:
    return spike.astype(v.dtype)


@_stand_in.defjvp
def _stand_in_jvp(surrogate: Surrogate, primals: Any, tangents: Any) -> tuple[Any, Any]:
    (spike, v), (_, dv) = primals, tangents
    return _stand_in(surrogate, spike, v), surrogate.derivative(v) * dv


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _product(surrogate: Surrogate, v: Any, A: Any) -> Any:
    return (_spike(surrogate, v) != 0) @ A  # as bool, of which a kernel reads a byte each


def _product_jvp(surrogate: Surrogate, primals: Any, tangents: Any) -> tuple[Any, Any]:
    (v, A), (dv, dA) = primals, tangents
    y, along = _product(surrogate, v, A), []
    if not isinstance(dv, SymbolicZero):
        g = surrogate.derivative(v)
        # The mask of the product is g, so that its transpose computes rows where g is not 0.
        along.append(A.vm(g, dv) if v.ndim == 2 else A.vm(g[None], dv[None])[0])
    leaves, structure = jax.tree.flatten(A)
    moved = jax.tree.leaves(dA, is_leaf=lambda t: isinstance(t, SymbolicZero))
    # A is linear in its weights; what else it holds are indices, which have no derivative.
    is_weight = [jnp.issubdtype(leaf.dtype, jnp.inexact) for leaf in leaves]
    is_still = [isinstance(t, SymbolicZero) for t in moved]
    if any(w and not still for w, still in zip(is_weight, is_still, strict=True)):
        directions = [
            a if not w else jnp.zeros_like(a) if still else t
            for a, t, w, still in zip(leaves, moved, is_weight, is_still, strict=True)
        ]
        along.append(_spike(surrogate, v) @ jax.tree.unflatten(structure, directions))
    return y, sum(along[1:], along[0])


_product.defjvp(_product_jvp, symbolic_zeros=True)
