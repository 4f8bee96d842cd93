"""The exchange between parts that each have some neurons, and that of its derivatives.

    forwards      every part gets what all send: a bit of a spike, the bytes of a value
    backwards     every part gets the sum of what all found for its own neurons

Each is one collective in a step. The messages are what is kept of a pass that is computed again for
its derivatives: nothing is sent a second time.

The parts are the devices of one program, along an axis of its mesh: JAX's collectives reach them.
Or ranks have a program each, then MPI does, and a rank's part may be dealt to its devices.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from distdyn.ops import ranks
from distdyn.ops.ranks import Line

Lists = tuple[list[Any], list[Any]]


@dataclass(frozen=True)
class Parts:
    """The parts of the neurons, rank after rank, and of each rank device after device.

    Attributes:
        axis: of the mesh.
        devices: along it.
        line: to the other ranks; None: there are none.
    """

    axis: str
    devices: int
    line: Line | None = None

    @property
    def ranks(self) -> int:
        """How many ranks."""
        return 1 if self.line is None else self.line.size

    @property
    def rank(self) -> int:
        """Ours."""
        return 0 if self.line is None else self.line.rank

    @property
    def size(self) -> int:
        """How many parts."""
        return self.ranks * self.devices

    @property
    def own(self) -> slice:
        """Those of our rank."""
        return slice(self.rank * self.devices, (self.rank + 1) * self.devices)

    def index(self) -> Any:
        """Which part this device has, in a program of all devices."""
        return self.rank * self.devices + self._device()

    def gathered(self, x: Any, after: Any = None) -> Any:
        """What all parts have, [part, ...]; `after` as in `ops.ranks`. Collective."""
        whole = x[None]
        if self.line is not None:
            whole = ranks.gather(x, self.line, self._device(), after)
        if self.devices > 1:
            whole = jax.lax.all_gather(whole, self.axis, axis=1)
        return whole.reshape(self.size, *x.shape)

    def summed(self, x: Any) -> Any:
        """The sum of what all parts have for us, of what each has for each, x[part]. Collective."""
        x = x.reshape(self.ranks, self.devices, *x.shape[1:])
        if self.devices > 1:
            x = jax.lax.psum_scatter(x, self.axis, scatter_dimension=1)
        else:
            x = x[:, 0]
        return x[0] if self.line is None else ranks.swap(x, self.line, self._device()).sum(axis=0)

    def together(self, x: Any, after: Any = None) -> Any:
        """What all ranks have of what is then the same on all of them, [rank, ...]. Collective."""
        if self.line is None:
            return x[None]
        after = x if after is None else jax.lax.stop_gradient(after)
        return _together(x, after, self)

    def _device(self) -> Any:
        return 0 if self.devices == 1 else jax.lax.axis_index(self.axis)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _together(x: Any, after: Any, parts: Parts) -> Any:
    assert parts.line is not None
    return ranks.gather(x, parts.line, parts._device(), after)


def _together_forwards(x: Any, after: Any, parts: Parts) -> tuple[Any, None]:
    return _together(x, after, parts), None


def _together_backwards(parts: Parts, _: None, cotangent: Any) -> tuple[Any, None]:
    return cotangent[parts.rank], None  # of what follows all ranks have the whole derivative


_together.defvjp(_together_forwards, _together_backwards)


def gathered(
    spikes: Sequence[Any], values: Sequence[Any], parts: Parts, message: Any = None,
    after: Any = None,
) -> tuple[list[Any], list[Any], Any]:  # fmt: skip
    """What some groups send, of each [trial, cell] as [part, trial, cell].

    Args:
        spikes: of each group, 0 or 1.
        values: of each group that sends other numbers, of the same dtype.
        parts: among whom.
        message: what all have sent, if it is known.
        after: what must be there before, where that does not follow (`ops.ranks`).

    Returns:
        Of `spikes` and of `values` what all send, and the message, uint8[part, trial, byte].
    """
    of_groups = [*spikes, *values]
    if not of_groups:
        return [], [], None
    few = sum(x.shape[-1] for x in spikes)
    mine = jnp.concatenate(of_groups, axis=-1)
    if message is None:
        message = parts.gathered(_message(jax.lax.stop_gradient(mine), few), after)
    widths = [x.shape[-1] for x in spikes], [x.shape[-1] for x in values]
    # A part that is alone has no need to read what it wrote.
    whole = mine[None] if parts.size == 1 else _received(mine, message, few, parts)
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
def _received(mine: Any, message: Any, few: int, parts: Parts) -> Any:
    """The numbers of all parts that their messages hold, our own among them."""
    return _numbers(message, few, mine.shape[-1] - few, mine.dtype)


def _forwards(mine: Any, message: Any, few: int, parts: Parts) -> tuple[Any, None]:
    return _received(mine, message, few, parts), None


def _backwards(few: int, parts: Parts, _: None, cotangent: Any) -> tuple[Any, None]:
    return parts.summed(cotangent), None


_received.defvjp(_forwards, _backwards)
