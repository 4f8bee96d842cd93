"""The exchange between devices that each have some neurons, and that of its derivatives.

    forwards      every device gets what all send: a bit of a spike, the bytes of a value
    backwards     every device gets the sum of what all found for its own neurons

Each is one collective in a step. The messages are what is kept of a pass that is computed again for
its derivatives: nothing is sent a second time.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Lists = tuple[list[Any], list[Any]]


def gathered(
    spikes: Sequence[Any], values: Sequence[Any], axis: str, n: int, message: Any = None
) -> tuple[list[Any], list[Any], Any]:
    """What some groups send on n devices, of each [trial, cell] as [device, trial, cell].

    Args:
        spikes: of each group, 0 or 1.
        values: of each group that sends other numbers, of the same dtype.
        axis: of the mesh.
        n: the devices along it.
        message: what all have sent, if it is known.

    Returns:
        Of `spikes` and of `values` what all send, and the message, uint8[device, trial, byte].
    """
    parts = [*spikes, *values]
    if not parts:
        return [], [], None
    few = sum(x.shape[-1] for x in spikes)
    mine = jnp.concatenate(parts, axis=-1)
    if message is None:
        message = _message(jax.lax.stop_gradient(mine), few)
        message = message[None] if n == 1 else jax.lax.all_gather(message, axis)
    widths = [x.shape[-1] for x in spikes], [x.shape[-1] for x in values]
    # A device that is alone has no need to read what it wrote.
    whole = mine[None] if n == 1 else _received(mine, message, few, axis)
    return *_split(whole, *widths), message


def read(message: Any, spikes: Sequence[int], values: Sequence[int], dtype: Any) -> Lists:
    """What is in a message: of groups of so many cells each spikes, and values."""
    return _split(_numbers(message, sum(spikes), sum(values), dtype), spikes, values)


def _split(whole: Any, spikes: Sequence[int], values: Sequence[int]) -> Lists:
    ends = np.cumsum([*spikes, *values])
    found = jnp.split(whole, ends[:-1], axis=-1)
    return found[: len(spikes)], found[len(spikes) :]


def _message(mine: Any, few: int) -> Any:
    """uint8[trial, byte]: a bit for each of the first `few` numbers, then the others."""
    bits = jnp.packbits(mine[:, :few] != 0, axis=-1)
    rest = jax.lax.bitcast_convert_type(mine[:, few:], jnp.uint8)
    return jnp.concatenate([bits, rest.reshape(len(mine), -1)], axis=-1)


def _numbers(message: Any, few: int, others: int, dtype: Any) -> Any:
    """The inverse of `_message`."""
    n_bytes = -(-few // 8)
    bits, rest = message[..., :n_bytes], message[..., n_bytes:]
    spikes = jnp.unpackbits(bits, axis=-1, count=few).astype(dtype)
    rest = rest.reshape(*rest.shape[:-1], others, np.dtype(dtype).itemsize)
    return jnp.concatenate([spikes, jax.lax.bitcast_convert_type(rest, dtype)], axis=-1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _received(mine: Any, message: Any, few: int, axis: str) -> Any:
    """The numbers of all devices that their messages hold, our own among them."""
    return _numbers(message, few, mine.shape[-1] - few, mine.dtype)


def _forwards(mine: Any, message: Any, few: int, axis: str) -> tuple[Any, None]:
    return _received(mine, message, few, axis), None


def _backwards(few: int, axis: str, _: None, cotangent: Any) -> tuple[Any, None]:
    return jax.lax.psum_scatter(cotangent, axis), None


_received.defvjp(_forwards, _backwards)
