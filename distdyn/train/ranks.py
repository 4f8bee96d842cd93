"""Which ranks share the trials of a batch, and which share the neurons of the network.

    d devices of each of k ranks     mesh = (data, neuron)

    data * neuron = d                each rank has such a mesh of its own, and its share of trials
    data * neuron = k d, d | neuron  neuron / d ranks have the neurons together, data such teams
                                     have their share of trials each
    data * neuron = k d, neuron | d  each rank has all neurons; ranks share trials

Ranks of CPUs are programs of their own, which MPI connects. GPUs of all ranks are one mesh in one
program (`jax.distributed`); `DISTDYN_COLLECTIVES=1` asks for it on CPU, too.
"""

import os
from typing import Any, NamedTuple

from jax.sharding import Mesh

from distdyn.errors import ParameterError, PlatformError
from distdyn.ops.deliver import why_no_kernels
from distdyn.parallel.launch import World, distributed
from distdyn.parallel.launch.devices import local_devices
from distdyn.parallel.launch.team import Team
from distdyn.train.layout import mesh_of
from distdyn.units import shown


class Places(NamedTuple):
    """Where this rank stands.

    Attributes:
        devices: those of this rank.
        mesh: that of this rank's program.
        trials: the ranks among which batches are dealt.
        neurons: those among which the network is dealt; None: this program has it all.
    """

    devices: list[Any]
    mesh: Mesh
    trials: Team
    neurons: Team | None


def places(
    world: World,
    devices: int | str | None,
    mesh: tuple[int, int] | None,
    platform: str | None,
    *,
    size: int,
) -> Places:
    """Where the ranks of a job stand. Collective.

    Args:
        world: the ranks.
        devices: how many of each, or "auto".
        mesh: (data, neuron); None: all devices of a rank along `data`.
        platform: "cpu", "gpu", or None for that of JAX.
        size: how many neurons there are, for "auto".

    Raises:
        ParameterError: a mesh that does not fit the devices, or the ranks.
        PlatformError: the devices are not there.
    """
    own = int(devices or 1) if str(devices).isdecimal() else 1
    spans = world.size > 1 and mesh is not None and mesh[0] * mesh[1] == world.size * own
    is_asked = platform == "gpu" or os.environ.get("DISTDYN_COLLECTIVES") == "1"
    is_one = spans and (is_asked or bool(why_no_kernels()))
    if is_one:
        distributed.start(world)
    found = local_devices(devices, platform, world, neurons=size)
    if is_one:
        return Places(found, mesh_of(distributed.everywhere(found), mesh), World(), None)
    if mesh is None or not spans:
        return Places(found, mesh_of(found, mesh), world, None)
    if found[0].platform != "cpu":
        raise PlatformError(
            f'mesh = {shown(mesh)} spans ranks, whose devices are GPUs. Say platform="gpu", so '
            "that JAX starts as one program of all ranks."
        )
    neuron, own = mesh[1], len(found)
    if own % neuron == 0:
        return Places(found, mesh_of(found, (own // neuron, neuron)), world, None)
    if neuron % own:
        raise ParameterError(
            f"mesh = {shown(mesh)}: {neuron} parts of the neurons on ranks of {own} devices each. "
            "Give a number of parts that divides the devices of a rank, or a multiple of it."
        )
    team = neuron // own
    neurons, trials = (world.split(number) for number in divmod(world.rank, team))
    neurons.line(own)  # made here: later, errors of one rank may come between
    return Places(found, mesh_of(found, (1, own)), trials, neurons)
