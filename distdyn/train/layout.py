"""Layout: where neurons and trials are on a mesh (data, neuron) of devices.

    mesh axis      what is dealt along it
    data           the trials of a batch
    neuron         the neurons of each population, in equal ranges of ids, the last one filled up

An array over the cells of a group is, on each device, its ranges of the group's populations one
after the other. An array over one population is its ranges along the axis: in order of ids.

Where ranks have a mesh each and share the neurons, the axis goes on from one rank to the next, and
what is placed on a mesh is the rank's own part.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from distdyn._jax import varying_over
from distdyn.errors import ParameterError
from distdyn.parallel.groups import Group
from distdyn.parallel.launch.team import Team
from distdyn.train.exchange import Parts
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
        mesh: the mesh of this program.
        parts: who has the neurons, in this program and on other ranks.
        group: of each population its group.
        size: how many neurons each population has.
        here: of each population the range of its cells within its group's array on a device.
        length: of each group the cells on a device, what fills up included.
        team: the ranks that share the neurons; None: there are none.
    """

    mesh: Mesh
    parts: Parts
    group: dict[str, int]
    size: dict[str, int]
    here: dict[str, slice]
    length: tuple[int, ...]
    team: Team | None = None

    @classmethod
    def of(cls, groups: Sequence[Group], mesh: Mesh, team: Team | None = None) -> "Layout":
        """The layout of groups on a mesh, or on those of a team of ranks. Collective."""
        own = mesh.shape[NEURON]
        parts = Parts(NEURON, own, None if team is None else team.line(mesh.size))
        m, home, size, here, length = parts.size, {}, {}, {}, []
        for group in groups:
            start = 0
            for path, population in zip(group.paths, group.populations, strict=True):
                if group.emitter is None:
                    stop = start + max(1, -(-population.size // m))
                    home[path], size[path] = group.index, population.size
                    here[path], start = slice(start, stop), stop
            length.append(start)
        return cls(mesh, parts, home, size, here, tuple(length), team)

    @property
    def devices(self) -> int:
        """Along the axis of neurons, those of all ranks."""
        return self.parts.size

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
        """An array on the mesh, its axes dealt along those of the mesh; of it our rank's part."""
        if is_key(array):
            words = self.place(jax.random.key_data(array))
            return jax.random.wrap_key_data(words, impl=jax.random.key_impl(array))
        array = np.asarray(array)
        if NEURON in axes and self.parts.ranks > 1:
            axis = axes.index(NEURON)
            array = np.split(array, self.parts.ranks, axis)[self.parts.rank]
        sharding = NamedSharding(self.mesh, P(*axes))
        with jax.enable_x64(True):
            return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    def fetched(self, array: Any, *axes: str | None) -> np.ndarray:
        """The inverse of `place`, on every rank; a key as words.

        Collective, if ranks share the neurons.
        """
        array = jax.random.key_data(array) if is_key(array) else array
        if isinstance(array, jax.Array) and not array.is_fully_addressable:
            with jax.enable_x64(True):
                array = _whole_of(self.mesh)(array)
        array = np.asarray(array)
        if NEURON in axes and self.team is not None:
            array = np.concatenate(self.team.allgather(array), axis=axes.index(NEURON))
        return array

    def shape_of(self, array: Any, *axes: str | None) -> tuple[int, ...]:
        """The shape of what is on the mesh, with the parts of all ranks."""
        ranks = self.parts.ranks
        along = (*axes, *(None,) * (array.ndim - len(axes)))
        return tuple(
            n * ranks if axis == NEURON else n for n, axis in zip(array.shape, along, strict=True)
        )

    def of_ranks(self, x: Any, after: Any = None) -> Any:
        """What all ranks have, [rank, ...], of what all devices of each have. Collective.

        In a traced program, outside of `shard_map`; `after` as in `ops.ranks`.
        """
        given = (x, x if after is None else after)

        def here(x: Any, after: Any) -> Any:
            x, after = varying(x), varying(after)
            return self.parts.together(x, after)[None, None]

        found = jax.shard_map(
            here, mesh=self.mesh, in_specs=P(), out_specs=P(DATA, NEURON), check_vma=True
        )
        return found(*given)[0, 0]

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


def is_key(x: Any) -> bool:
    """Whether it is a key of `jax.random`, and not the words of one."""
    return isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


@functools.cache
def _whole_of(mesh: Mesh) -> Any:
    """From an array on a mesh to the same with all of it on every device."""
    return jax.jit(lambda x: x, out_shardings=NamedSharding(mesh, P()))


def varying(x: Any) -> Any:
    """The same, for a sum of derivatives behind all steps and not within each."""
    return varying_over(jnp.asarray(x), (DATA, NEURON))
