"""The one-step map of a network that is no flow: what a step of dt makes of its state.

F(state) is the state that the simulator has a step later: F(F(...)) goes where `DSRunner` does. It
jumps where a cell spikes, and is smooth elsewhere, with the derivatives of a step on the grid: a
spike moves by whole steps, and a reset forgets V. At a fixed point of cells that spike nobody does.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from distdyn.analysis.field.flat import VectorField
from distdyn.analysis.field.members import checked_step
from distdyn.analysis.field.model import check_autonomous
from distdyn.analysis.field.network_step import NetworkStep, all_here
from distdyn.analysis.field.sharded import spread_over
from distdyn.core.integrators.default import has_noise
from distdyn.core.system import emits_spikes
from distdyn.errors import AnalysisError
from distdyn.network.network import Graph, Network, graph
from distdyn.network.projection import CurrentInput
from distdyn.parallel.parameters import Setting
from distdyn.run.trained import with_parameters


def map_field(
    network: Network, dt: float | None, seed: int, given: Mapping[str, Any]
) -> tuple[VectorField, dict[str, Any]]:
    """The one-step map of a network.

    Args:
        network: any, but for what is random, or changes by itself.
        dt: ms, of the step.
        seed: of what is drawn.
        given: by path, in the place of the network's own numbers.

    Returns:
        The field, and what of `given` is yet to be put in: parameters of populations.

    Raises:
        AnalysisError: dt is not given, or a member makes the step no function of the state.
    """
    what, members = type(network).__name__, graph(network)
    checked = checked_step(what, members, dt)
    members, left = _given(members, given, dt, seed)
    step = NetworkStep.of(members, seed, checked)
    state = step.first()
    with jax.enable_x64(True):
        check_autonomous(lambda t: list(step(step.held, state, {}, all_here, t).values()), what)
    field = VectorField(
        lambda given, changed: step(step.held, given, changed, all_here),
        state, step.parameters, False, what, notes_of(members),
        at_rest=lambda given, changed: step.settled(step.held, given, changed, all_here)[1],
        follows=step.follows,
    )  # fmt: skip
    return field, left


def _given(
    members: Graph, given: Mapping[str, Any], dt: float | None, seed: int
) -> tuple[Graph, dict[str, Any]]:
    """The network with these numbers of projections and inputs; those of populations are left."""
    members, values = with_parameters(members, given, Setting(dt or 1.0, seed, "float64", 0))
    return members, {f"{path}.{n}": x for path, of in values.items() for n, x in of.items()}


def spread_field(
    network: Network, dt: float | None, seed: int, devices: Sequence[Any], given: Mapping[str, Any]
) -> VectorField:
    """The field of a network, of either kind, with its state dealt to devices.

    Args:
        network: as for `map_field`, or a flow.
        dt: ms, of the step of a map.
        seed: of what is drawn.
        devices: of this process.
        given: as for `map_field`, but for parameters of populations.

    Raises:
        AnalysisError: there is no such function.
    """
    what, members = type(network).__name__, graph(network)
    step = checked_step(what, members, dt)
    members, left = _given(members, given, dt, seed)
    if left:
        raise AnalysisError(
            f'{what}: "{next(iter(left))}" cannot be given where devices share the state. Write it '
            "into the network."
        )
    spread = spread_over(members, seed, step, devices)
    follows, at_rest = spread.step.follows, spread.at_rest
    state = spread.first()
    with jax.enable_x64(True):
        check_autonomous(lambda t: list(spread.apply(state, {}, t).values()), what)
    return VectorField(
        spread.apply, state, spread.step.parameters, step is None, what, notes_of(members),
        follows=follows, at_rest=at_rest if follows else None, spread=spread,
    )  # fmt: skip


def notes_of(members: Graph) -> tuple[str, ...]:
    """What the map of a network leaves out, and where it jumps."""
    notes = []
    for population in members.populations.values():
        model, name = population.model, type(population.model).__name__
        if has_noise(model):
            notes.append(f"{name} has noise: this is its drift.")
        if emits_spikes(model):
            notes.append(
                f"{name} spikes: the map jumps at the threshold, and its derivative does not see "
                "that spikes move."
            )
    changing = [path for path, source in members.inputs.items()
                if isinstance(source, CurrentInput)
                and not isinstance(source.current, int | float | np.ndarray)]  # fmt: skip
    if changing:
        notes.append(f"What changes in time is left out: {', '.join(changing)}.")
    return tuple(dict.fromkeys(notes))
