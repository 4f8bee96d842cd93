"""Layout: where neurons and trials are on a mesh (data, neuron) of devices.

    mesh axis      what is dealt along it
    data           the trials of a batch
    neuron         the neurons of each population, in equal ranges of ids, the last one filled up

An array over the cells of a group is, on each device, its ranges of the group's populations one
after the other. An array over one population is its ranges along the axis: in order of ids.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from distdyn._jax import varying_over
from distdyn.errors import ParameterError
from distdyn.parallel.groups import Group
from distdyn.units import shown

DATA, NEURON = "data", "neuron"


def mesh_of(devices: Sequence[Any], shape: tuple[int, int] | None) -> Mesh:
    """The mesh of some devices: (data, neuron) of this shape; None: all along `data`.

    Raises:
        ParameterError: the shape does not have as many places as there are devices.
    """
    data, neuron = shape or (len(devices), 1)
    if data * neuron != len(devices):
        raise ParameterError(
            f"mesh = {shown(shape)} has {data * neuron} places for {len(devices)} devices. Give "
            "(data, neuron) whose product is the number of devices."
        )
    places = np.array(devices, dtype=object).reshape(data, neuron)
    return Mesh(places, (DATA, NEURON), axis_types=(AxisType.Auto, AxisType.Auto))


@dataclass(frozen=True)
class Layout:
    """Who has which cells along the axis of neurons.

    Attributes:
        mesh: the mesh.
        group: of each population its group.
        size: how many neurons each population has.
        here: of each population the range of its cells within its group's array on a device.
        length: of each group the cells on a device, what fills up included.
    """

    mesh: Mesh
    group: dict[str, int]
    size: dict[str, int]
    here: dict[str, slice]
    length: tuple[int, ...]

    @classmethod
    def of(cls, groups: Sequence[Group], mesh: Mesh) -> "Layout":
        """The layout of groups on a mesh."""
        m, home, size, here, length = mesh.shape[NEURON], {}, {}, {}, []
        for group in groups:
            start = 0
            for path, population in zip(group.paths, group.populations, strict=True):
                if group.emitter is None:
                    stop = start + max(1, -(-population.size // m))
                    home[path], size[path] = group.index, population.size
                    here[path], start = slice(start, stop), stop
            length.append(start)
        return cls(mesh, home, size, here, tuple(length))

    @property
    def devices(self) -> int:
        """Along the axis of neurons."""
        return self.mesh.shape[NEURON]

    def width(self, path: str) -> int:
        """The cells of a population on a device."""
        return self.here[path].stop - self.here[path].start

    def ids(self, group: Group) -> np.ndarray:
        """int64[devices, length]: which cell of the group, counted over all, is at each place.

        A place that only fills up has the cell before it.
        """
        columns = []
        for k, path in enumerate(group.paths):
            width = self.width(path)
            at = np.arange(self.devices * width).reshape(self.devices, width)
            columns.append(group.bounds[k] + np.clip(at, 0, max(0, self.size[path] - 1)))
        return np.concatenate(columns, axis=1) if columns else np.zeros((self.devices, 0), int)

    def place(self, array: Any, *axes: str | None) -> jax.Array:
        """An array on the mesh, its axes dealt along those of the mesh."""
        array = np.asarray(array)
        sharding = NamedSharding(self.mesh, PartitionSpec(*axes))
        with jax.enable_x64(True):
            return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    def fetched(self, array: Any) -> np.ndarray:
        """The inverse of `place`, on every rank. Collective, if the mesh spans ranks."""
        if isinstance(array, jax.Array) and not array.is_fully_addressable:
            with jax.enable_x64(True):
                array = _whole_of(self.mesh)(array)
        return np.asarray(array)

    def filled(self, path: str, array: Any) -> np.ndarray:
        """Values over a population, with zeros up to the length that all devices share."""
        array = np.asarray(array)
        missing = self.devices * self.width(path) - array.shape[-1]
        if not missing:
            return array
        return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, missing)])

    def whole(self, path: str, pieces: Any) -> Any:
        """[trial, neuron] of a population from its pieces [device, trial, cell of the group]."""
        of = jnp.moveaxis(pieces[:, :, self.here[path]], 0, 1)
        return of.reshape(of.shape[0], -1)[:, : self.size[path]]


@functools.cache
def _whole_of(mesh: Mesh) -> Any:
    """From an array on a mesh to the same with all of it on every device."""
    return jax.jit(lambda x: x, out_shardings=NamedSharding(mesh, PartitionSpec()))


def varying(x: Any) -> Any:
    """The same, for a sum of derivatives behind all steps and not within each."""
    return varying_over(jnp.asarray(x), (DATA, NEURON))
