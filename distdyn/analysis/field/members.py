"""What a network must be to be analysed, and whether it is a flow or a map."""

from distdyn.analysis.field.model import check_can_be_field
from distdyn.core.coupling import Coupling
from distdyn.core.integrators.delayed import has_past
from distdyn.core.ode import ODE
from distdyn.errors import AnalysisError
from distdyn.network.network import Graph
from distdyn.network.projection import PoissonInput, Projection
from distdyn.units import check_dt


def check_members(what: str, members: Graph) -> None:
    """Raise an AnalysisError for what is random, given, or changes by itself."""
    for path, population in members.populations.items():
        model = population.model
        if isinstance(model, ODE):
            check_can_be_field(model)
            _check_has_no_past(what, path, model)
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
                "field is that of the weights as they are."
            )
    if members.layers:
        raise AnalysisError(
            f'{what}: layer "{next(iter(members.layers))}": networks with layers cannot be '
            "analysed yet. Use projections."
        )


def checked_step(what: str, members: Graph, dt: float | None) -> float | None:
    """The step of a map; None of a flow.

    Raises:
        AnalysisError: it is a map, and dt is not given; or a member cannot be analysed.
    """
    check_members(what, members)
    why = why_no_flow(members)
    if why is None:
        return None
    if dt is None:
        raise AnalysisError(
            f"{what}: {why}: it is no flow. Its one-step map depends on the step: "
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
        why = _why_late(projection)
        if why is not None:
            return f'projection "{path}" {why}'
    return None


def _check_has_no_past(what: str, path: str, model: ODE) -> None:
    """Raise an AnalysisError for a population whose cells have delays of their own."""
    if has_past(model):
        raise AnalysisError(
            f'{what}: population "{path}" is of {type(model).__name__}, which has delays, and '
            "the state of the network is not the present alone. Analyse a single cell."
        )


def _why_late(projection: Projection) -> str | None:
    """Why values do not travel through a projection at once; None if they do."""
    synapse = projection.synapse
    name = type(synapse).__name__
    if not isinstance(synapse, Coupling) or synapse.needs_spikes:
        return f"carries spikes ({name})"
    if synapse.begin() != ():
        return f"has a state that goes by steps ({name})"
    if not projection.is_at_once:
        return f"has a delay of {projection.delay} ms"
    return None
