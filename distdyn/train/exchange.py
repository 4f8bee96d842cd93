"""The exchange of spikes between devices that each have some neurons, and of their derivatives.

    forwards      every device gets the spikes of all: a bit per neuron and trial
    backwards     every device gets the sum of what all found for its own neurons

The bits have a name, SPIKES: where a pass is computed again for its derivatives, they are what is
kept of it, and nothing is sent a second time.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

SPIKES = "spikes"


def gathered_spikes(spikes: Any, axis: str, n: int) -> Any:
    """Spikes [trial, cell] of n devices as [device, trial, cell], in the dtype of the spikes."""
    bits = jnp.packbits(jax.lax.stop_gradient(spikes) != 0, axis=-1)
    bits = bits[None] if n == 1 else jax.lax.all_gather(bits, axis)
    return _unpacked(spikes, checkpoint_name(bits, SPIKES), axis, n)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _unpacked(spikes: Any, bits: Any, axis: str, n: int) -> Any:
    """The spikes that the bits say: of all devices, our own among them."""
    return jnp.unpackbits(bits, axis=-1, count=spikes.shape[-1]).astype(spikes.dtype)


def _forwards(spikes: Any, bits: Any, axis: str, n: int) -> tuple[Any, None]:
    return _unpacked(spikes, bits, axis, n), None


def _backwards(axis: str, n: int, _: None, cotangent: Any) -> tuple[Any, None]:
    if n == 1:
        return cotangent[0], None
    return jax.lax.psum_scatter(cotangent, axis), None


_unpacked.defvjp(_forwards, _backwards)


def gathered_values(values: Any, axis: str, n: int) -> Any:
    """Values [trial, cell] of n devices as [device, trial, cell]."""
    return values[None] if n == 1 else jax.lax.all_gather(values, axis)
