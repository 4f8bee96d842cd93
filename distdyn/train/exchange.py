"""The exchange between devices that each have some neurons, and that of its derivatives.

    forwards      every device gets what all send: a bit of a spike, the bytes of a value
    backwards     every device gets the sum of what all found for its own neurons

Each is one collective in a step. The message has a name, SENT: where a pass is computed again for
its derivatives, messages are what is kept of it, and nothing is sent a second time.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name

SENT = "sent"


def gathered(
    spikes: Sequence[Any], values: Sequence[Any], axis: str, n: int
) -> tuple[list[Any], list[Any]]:
    """What some groups send on n devices, of each [trial, cell] as [device, trial, cell].

    Args:
        spikes: of each group, 0 or 1.
        values: of each group that sends other numbers, of the same dtype.
        axis: of the mesh.
        n: the devices along it.
    """
    parts = [*spikes, *values]
    if not parts:
        return [], []
    few = sum(x.shape[-1] for x in spikes)
    mine = jnp.concatenate(parts, axis=-1)
    message = _message(jax.lax.stop_gradient(mine), few)
    message = message[None] if n == 1 else jax.lax.all_gather(message, axis)
    whole: Any = _read(mine, checkpoint_name(message, SENT), few, axis, n)
    ends = np.cumsum([x.shape[-1] for x in parts])
    found = jnp.split(whole, ends[:-1], axis=-1)
    return found[: len(spikes)], found[len(spikes) :]


def _message(mine: Any, few: int) -> Any:
    """uint8[trial, byte]: a bit for each of the first `few` numbers, then the others."""
    bits = jnp.packbits(mine[:, :few] != 0, axis=-1)
    rest = jax.lax.bitcast_convert_type(mine[:, few:], jnp.uint8)
    return jnp.concatenate([bits, rest.reshape(len(mine), -1)], axis=-1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _read(mine: Any, message: Any, few: int, axis: str, n: int) -> Any:
    """The numbers of all devices that their messages hold, our own among them."""
    n_bytes = -(-few // 8)
    bits, rest = message[..., :n_bytes], message[..., n_bytes:]
    spikes = jnp.unpackbits(bits, axis=-1, count=few).astype(mine.dtype)
    rest = rest.reshape(*rest.shape[:-1], mine.shape[-1] - few, mine.dtype.itemsize)
    return jnp.concatenate([spikes, jax.lax.bitcast_convert_type(rest, mine.dtype)], axis=-1)


def _forwards(mine: Any, message: Any, few: int, axis: str, n: int) -> tuple[Any, None]:
    return _read(mine, message, few, axis, n), None


def _backwards(few: int, axis: str, n: int, _: None, cotangent: Any) -> tuple[Any, None]:
    if n == 1:
        return cotangent[0], None
    return jax.lax.psum_scatter(cotangent, axis), None


_read.defvjp(_forwards, _backwards)
