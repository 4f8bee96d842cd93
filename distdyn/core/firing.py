"""Firing: the derivative of a spike, for those who train. What is computed forwards is the same.

    spike = V >= V_th          exactly, always
    d spike / d(V - V_th) := g(V - V_th)          a surrogate, by which gradients pass a spike

A step of a cell that is given a `Firing` says which cells spike by 0. and 1. instead of truth
values, and gradients pass the reset, too, unless it is detached.

Source: Neftci, Mostafa & Zenke (2019), IEEE Signal Process. Mag. 36(6), 51; detached resets:
Zenke & Vogels (2021), Neural Comput. 33, 899.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from distdyn.ops.spike import Surrogate, stand_in


@dataclass(frozen=True)
class Firing:
    """How gradients pass a spike.

    Attributes:
        surrogate: g, a function of V - V_th in mV.
        is_reset_detached: whether the reset is taken for a constant.
    """

    surrogate: Surrogate
    is_reset_detached: bool = False

    def spike(self, spike: Any, distance: Any, is_possible: Any) -> Any:
        """The spike as a number; its derivative is 0 where none was possible.

        Args:
            spike: whether there is one.
            distance: V - V_th.
            is_possible: whether the cell could spike at this V.
        """
        soft = stand_in(self.surrogate, spike, distance)
        return jnp.where(is_possible, soft, jax.lax.stop_gradient(soft))

    def choose(self, soft: Any, spike: Any, yes: Any, no: Any) -> Any:
        """`yes` where there is a spike, `no` elsewhere: a tree."""
        return jax.tree.map(lambda a, b: _along(jnp.where(spike, a, b), soft, a, b), yes, no)

    def reset(self, soft: Any, spike: Any, after: Any, before: Any) -> Any:
        """The neuron after its spike, if it has one."""
        if self.is_reset_detached:
            soft = jax.lax.stop_gradient(soft)
        return self.choose(soft, spike, after, before)


def _along(chosen: Any, soft: Any, yes: Any, no: Any) -> Any:
    """The chosen value; its derivative with respect to the spike is how far apart the two are."""
    if not jnp.issubdtype(jnp.result_type(chosen), jnp.floating):
        return chosen
    apart = jax.lax.stop_gradient(jnp.asarray(yes - no, chosen.dtype))
    return chosen + (soft - jax.lax.stop_gradient(soft)).astype(chosen.dtype) * apart
