"""The field of a network: its derivative if it is a flow, else its one-step map.

    x_i' = f(x_i, I_i),    I_i = sum over receptors of I_r(g_i),    g_i = sum_j w_ij a(x_j)

is a flow where values act at once (`Additive`, `Diffusive`, `Sine`, `GapJunction` without delay).
Of all else F(state) is the state that the simulator has a step later: F(F(...)) goes where
`DSRunner` does. It jumps where a cell spikes, and is smooth elsewhere, with the derivatives of a
step on the grid: a spike moves by whole steps, and a reset forgets V. At a fixed point of cells
that spike nobody does.

States and parameters have paths: "E.r", "E.tau", "exc.weight" where a projection has one number for
all its synapses, and "drive" for the current of a `CurrentInput`. Connections, weights and first
values are those of `DSRunner` with the same seed and parameters; of a flow weights are as they are
before the simulator rounds them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax

from distdyn.analysis.field.flat import VectorField
from distdyn.analysis.field.members import checked_step
from distdyn.analysis.field.model import check_autonomous
from distdyn.analysis.field.network_step import NetworkStep, all_here, is_constant
from distdyn.analysis.field.sharded import spread_over
from distdyn.core.integrators.default import has_noise
from distdyn.core.system import emits_spikes
from distdyn.network.network import Graph, Network, graph
from distdyn.parallel.parameters import Setting
from distdyn.run.trained import with_parameters


def network_field(
    network: Network,
    dt: float | None,
    seed: int,
    given: Mapping[str, Any],
    devices: Sequence[Any] | None = None,
) -> VectorField:
    """The field of a network.

    Args:
        network: any, but for what is random, or changes by itself.
        dt: ms, of the step of a map.
        seed: of what is drawn.
        given: by path, in the place of the network's own numbers.
        devices: of this process, that share the state; None: it is in one piece.

    Raises:
        AnalysisError: dt is not given, or a member makes it no function of the state.
        DistDynError: what is given does not fit.
    """
    what, members = type(network).__name__, graph(network)
    dt = checked_step(what, members, dt)
    members, values = with_parameters(members, given, Setting(dt or 1.0, seed, "float64", 0))
    spread = None
    if devices is not None:
        spread = spread_over(members, seed, dt, values, devices)
        step, state, apply, at_rest = spread.step, spread.first(), spread.apply, spread.at_rest
    else:
        step = NetworkStep.of(members, seed, dt, values)
        held, state = step.held, step.first()

        def apply(given: Any, changed: Any, t: Any = 0.0) -> dict[str, Any]:
            return step(held, given, changed, all_here, t)

        def at_rest(given: Any, changed: Any) -> dict[str, Any]:
            return step.settled(held, given, changed, all_here)[1]

    with jax.enable_x64(True):
        check_autonomous(lambda t: list(apply(state, {}, t).values()), what)
    return VectorField(
        apply, state, step.parameters, dt is None, what, notes_of(members),
        follows=step.follows, at_rest=at_rest if step.follows else None, spread=spread,
    )  # fmt: skip


def notes_of(members: Graph) -> tuple[str, ...]:
    """What the field of a network leaves out, and where it jumps."""
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
    changing = [path for path, source in members.inputs.items() if not is_constant(source)]
    if changing:
        notes.append(f"What changes in time is left out: {', '.join(changing)}.")
    return tuple(dict.fromkeys(notes))
