"""Forecast: a network that this machine cannot hold is refused before anything of it is made.

    check_room(graph, world, devices, dt=.1, precision="float32")

What it costs must not be felt: a plan is made only where a glance at the numbers of neurons and
synapses leaves a doubt.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from distdyn.errors import CapacityError
from distdyn.network.network import Graph
from distdyn.parallel.plan.memory import memory_of_this_machine, shown_bytes
from distdyn.parallel.plan.plan import PROCESS_BYTES, Plan, make_plan
from partition import Topology

if TYPE_CHECKING:
    from distdyn.parallel.launch import World

# More than a network of ordinary cells and delays takes; rings of very long delays have a check of
# their own in the build.
PER_NEURON, PER_SYNAPSE = 4000.0, 32.0  # bytes


def check_room(
    graph: Graph, world: "World", devices: Sequence[Any], *, dt: float, precision: str
) -> None:
    """Refuse a network whose parts do not fit into this machine, or into its devices.

    Args:
        graph: the network.
        world: the ranks; those of one machine share its memory.
        devices: the local ones, each with one part.
        dt: of a step, ms.
        precision: of states.

    Raises:
        CapacityError: it does not fit; the message says how much is needed, and how much there is.
    """
    room = memory_of_this_machine() / world.host_size
    on_device = _device_bytes(devices[0])
    if _at_most(graph) < min(room - PROCESS_BYTES, on_device):
        return
    plan = make_plan(graph, Topology(world.node_of, len(devices)), dt=dt, precision=precision)
    plan.check(room)
    _check_devices(plan, on_device)


def _at_most(graph: Graph) -> float:
    """Bytes that all parts together will hardly exceed."""
    synapses = sum(projection.expected_synapses for projection in graph.projections.values())
    return PER_NEURON * graph.size + PER_SYNAPSE * synapses


def _device_bytes(device: Any) -> float:
    """The memory of a device of its own; without limit where it is that of the machine."""
    told = device.memory_stats() if device.platform != "cpu" else None
    return float((told or {}).get("bytes_limit", float("inf")))


def _check_devices(plan: Plan, room: float) -> None:
    needed = float(plan.total.max())
    if needed > room:
        raise CapacityError(
            f"a part of this network needs {shown_bytes(needed)}, but its device has "
            f"{shown_bytes(room)}. Use more devices, or a smaller network."
        )
