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
from distdyn.analysis.field.model import check_autonomous, check_can_be_field
from distdyn.analysis.field.network_step import NetworkStep, all_here
from distdyn.analysis.field.rates import check_has_no_past, refusal
from distdyn.analysis.field.sharded import spread_over
from distdyn.core.integrators.default import has_noise
from distdyn.core.ode import ODE
from distdyn.core.system import emits_spikes
from distdyn.errors import AnalysisError
from distdyn.network.network import Graph, Network, graph
from distdyn.network.projection import CurrentInput, PoissonInput
from distdyn.parallel.parameters import Setting
from distdyn.run.trained import with_parameters
from distdyn.units import check_dt


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
    is_flow = why_no_flow(members) is None
    members, left = _given(members, given, dt, seed)
    if left:
        raise AnalysisError(
            f'{what}: "{next(iter(left))}" cannot be given where devices share the state. Write it '
            "into the network."
        )
    spread = spread_over(members, seed, checked_step(what, members, dt, is_flow=is_flow), devices)
    follows, at_rest = spread.step.follows, spread.at_rest
    state = spread.first()
    with jax.enable_x64(True):
        check_autonomous(lambda t: list(spread.apply(state, {}, t).values()), what)
    return VectorField(
        spread.apply, state, spread.step.parameters, is_flow, what, notes_of(members),
        follows=follows, at_rest=at_rest if follows else None, spread=spread,
    )  # fmt: skip


def checked_step(
    what: str, members: Graph, dt: float | None, *, is_flow: bool = False
) -> float | None:
    """The step, if there is a map; None of a flow.

    Raises:
        AnalysisError: there is none, or dt is not given.
    """
    for path, population in members.populations.items():
        model = population.model
        if isinstance(model, ODE):
            check_can_be_field(model)
            check_has_no_past(what, path, model)
        if model.spiking and not isinstance(model, ODE):
            raise AnalysisError(
                f'{what}: population "{path}" is of {type(model).__name__}, whose spikes are '
                "random or given: the network has no fixed points. Leave it out, or put the mean "
                "of what it brings as a CurrentInput in its place."
            )
    for path, source in members.inputs.items():
        if isinstance(source, PoissonInput):
            raise AnalysisError(
                f'{what}: input "{path}" is random spikes. Use its mean as a CurrentInput.'
            )
    for path, projection in members.projections.items():
        if projection.plasticity is not None:
            raise AnalysisError(
                f'{what}: projection "{path}" has weights that change. Leave `plasticity` out: the '
                "map is that of the weights as they are."
            )
    if members.layers:
        raise AnalysisError(
            f'{what}: layer "{next(iter(members.layers))}": networks with layers cannot be '
            "analysed yet. Use projections."
        )
    if is_flow:
        return None
    if dt is None:
        raise AnalysisError(
            f"{what}: {why_no_flow(members)}: it is no flow. Its one-step map depends on the step: "
            f"give it, as to DSRunner, vector_field({what}(), dt=0.1)."
        )
    return check_dt(dt)


def why_no_flow(members: Graph) -> str | None:
    """Why the derivative of a network is no function of its state; None if it is."""
    for path, population in members.populations.items():
        model = population.model
        if not isinstance(model, ODE):
            return f'population "{path}" is of {type(model).__name__}, which is written as a step'
        if callable(getattr(model, "reset", None)):
            return f'population "{path}" is of {type(model).__name__}, which is reset at spikes'
    for path, projection in members.projections.items():
        why = refusal(projection)
        if why is not None and projection.plasticity is None:
            return f'projection "{path}" {why}'
    return None


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
