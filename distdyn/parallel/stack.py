"""Stack: arrays with a block for each device, one after the other along the first axis.

Every device runs the same program, so its blocks have the same shape: shorter ones are padded.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


class Stack:
    """The devices of this process in a mesh of one axis `part`.

    Args:
        devices: ours.
        everywhere: those of all processes, rank after rank, if one program spans them all
            (`jax.distributed`); None: our own.
    """

    def __init__(self, devices: Sequence[Any], everywhere: Sequence[Any] | None = None) -> None:
        self.devices = tuple(devices)
        self.is_spanning = everywhere is not None
        members = np.array(self.devices if everywhere is None else everywhere)
        self.mesh = Mesh(members, ("part",), axis_types=(AxisType.Auto,))
        self._own = NamedSharding(self.mesh, PartitionSpec("part"))
        self._same = NamedSharding(self.mesh, PartitionSpec())

    def own(self, blocks: Sequence[np.ndarray]) -> Any:
        """Blocks of equal shape, one per device; large ones that are aligned are not copied."""
        with jax.enable_x64(True):
            arrays = [
                jax.device_put(np.asarray(block), device, may_alias=True)
                for block, device in zip(blocks, self.devices, strict=True)
            ]
            first, *rest = arrays[0].shape
            shape = (first * self.mesh.size, *rest)
            return jax.make_array_from_single_device_arrays(shape, self._own, arrays)

    def zeros(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Zeros of this shape on each device."""
        return self.own([np.zeros(shape, dtype) for _ in self.devices])

    def same(self, value: Any) -> Any:
        """A value that all devices hold."""
        value = np.asarray(value)
        with jax.enable_x64(True):
            arrays = [jax.device_put(value, device) for device in self.devices]
            return jax.make_array_from_single_device_arrays(value.shape, self._same, arrays)

    def blocks(self, array: Any) -> list[np.ndarray]:
        """What each device holds of an array, without a copy where that is possible."""
        shards = {shard.device: shard.data for shard in array.addressable_shards}
        return [np.asarray(shards[device]) for device in self.devices]


def padded(array: np.ndarray, n: int, fill: Any = 0) -> np.ndarray:
    """The array made n long."""
    if len(array) == n:
        return array
    longer = np.full((n, *array.shape[1:]), fill, array.dtype)
    longer[: len(array)] = array
    return longer
