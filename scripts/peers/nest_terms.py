"""A network of distdyn said in the words of NEST, as plain data for `nest_worker`.

Both then run the same network: what is said here is read off the description that distdyn runs.
"""

from typing import Any

import distdyn as dd
from distdyn.network.distributions import Distribution
from distdyn.network.network import Graph, graph
from distdyn.network.population import View
from distdyn.network.projection import PoissonInput, Projection

MODELS = {
    (dd.LIF, dd.Exponential, type(None)): "iaf_psc_exp",
    (dd.LIF, dd.Alpha, type(None)): "iaf_psc_alpha",
    (dd.LIF, dd.Exponential, dd.COBA): "iaf_cond_exp",
    (dd.Conductance, dd.Exponential, dd.COBA): "hh_cond_exp_traub",
}
GATES = {"INa.m": "Act_m", "INa.h": "Inact_h", "IK.n": "Act_n"}


class NotInNEST(ValueError):
    """A network that has no counterpart among the words that are known here."""


def nest_terms(network: dd.Network, dt: float) -> dict:
    """Populations, projections and Poisson inputs with the names and arguments of NEST.

    Args:
        network: LIF neurons, or cells of Traub & Miles; exponential or alpha currents, or
            exponential conductances, at most one time constant of each sign; rules FixedProb,
            FixedIndegree and FixedTotal.
        dt: the time step in ms, the delay of an input that has none.

    Raises:
        NotInNEST: the network has anything else.
    """
    found = graph(network)
    model, receptors = _receptors(found)
    return {
        "model": model,
        "populations": {
            path: {
                "size": population.size,
                "parameters": {
                    **_neuron(population.model, model),
                    **receptors,
                    **_gates(population),
                    **_histories(found),
                },
                "V_m": _value(population.initial["V"]),
            }
            for path, population in found.populations.items()
        },
        "projections": {
            path: {
                "pre": _paths(found, projection.pre),
                "post": _paths(found, projection.post),
                "rule": _rule(projection),
                "weight": _value(projection.weight, sign=_sign(projection)),
                "delay": _value(projection.delay),
                "plasticity": _plasticity(projection),
            }
            for path, projection in found.projections.items()
        },
        "poisson": {
            path: {
                "post": _paths(found, source.post),
                "rate": source.rate,
                "weight": _value(source.weight, sign=_sign(source)),
                "delay": dt if source.delay is None else source.delay,
            }
            for path, source in found.inputs.items()
            if isinstance(source, PoissonInput)
        },
    }


def _receptors(found: Graph) -> tuple[str, dict[str, float]]:
    """The neuron model of NEST that has these receptors, and their parameters."""
    model, parameters = "", {}
    for projection in (*found.projections.values(), *found.inputs.values()):
        if not isinstance(projection, Projection | PoissonInput):
            raise NotInNEST(f"{projection!r} has no counterpart here.")
        (cell,) = {type(view.population.model) for view in projection.post}
        name = MODELS.get((cell, type(projection.synapse), type(projection.output)))
        if name is None or model not in ("", name):
            raise NotInNEST(f"{projection!r}: no model of NEST has all receptors of the network.")
        model = name
        which = _channel(projection)
        new = {f"tau_syn_{which}": projection.synapse.tau}
        if isinstance(projection.output, dd.COBA):
            new[f"E_{which}"] = projection.output.E
        for key, value in new.items():
            if parameters.setdefault(key, value) != value:
                raise NotInNEST(f"{projection!r}: {key} is {value}, elsewhere {parameters[key]}.")
    return model, parameters


def _channel(projection: Projection | PoissonInput) -> str:
    """NEST's name of a receptor: its sign decides."""
    if isinstance(projection.output, dd.COBA):
        (cell,) = {view.population.model for view in projection.post}
        return "ex" if projection.output.E > cell.V_th else "in"
    weight = projection.weight
    return "ex" if (weight.mean() if isinstance(weight, Distribution) else weight) >= 0 else "in"


def _sign(projection: Projection | PoissonInput) -> float:
    """NEST tells conductances apart by the sign of the weight."""
    is_inhibitory = isinstance(projection.output, dd.COBA) and _channel(projection) == "in"
    return -1.0 if is_inhibitory else 1.0


def _neuron(cell: Any, model: str) -> dict[str, float]:
    if model == "hh_cond_exp_traub":
        return _traub(cell)
    names = ("C_m", "E_L", "V_th", "V_reset", "t_ref", "I_e")
    parameters = {name: getattr(cell, name) for name in names}
    if model == "iaf_cond_exp":
        return parameters | {"g_L": cell.C_m / cell.tau_m}
    return parameters | {"tau_m": cell.tau_m}


def _traub(cell: dd.Conductance) -> dict[str, float]:
    """The cell of Traub & Miles, in pF, nS and pA.

    A spike of NEST's is a maximum above V_T + 30 mV, 2 ms or more after another: one for each
    upward crossing. With the 3 ms of Traub & Miles it misses those of bursts.
    """
    found = {name: type(member) for name, member in cell.members._asdict().items()}
    if found != {"INa": dd.INa_TM1991, "IK": dd.IK_TM1991, "IL": dd.ILeak}:
        raise NotInNEST(f"{cell!r} has no counterpart here.")
    if cell.INa.V_T != cell.IK.V_T:
        raise NotInNEST(f"{cell!r}: NEST has one V_T for both channels.")
    whole = cell.area / 100.0
    channels = {"Na": cell.INa, "K": cell.IK, "L": cell.IL}
    return {
        "C_m": cell.C_m * whole,
        "I_e": cell.I_e * whole,
        "V_T": cell.INa.V_T,
        "t_ref": 2.0,
        **{f"g_{name}": channel.g * whole for name, channel in channels.items()},
        **{f"E_{name}": channel.E for name, channel in channels.items()},
    }


def _gates(population: dd.Population) -> dict[str, float]:
    """Gates that start at a value of their own."""
    given = population.initial
    return {name: float(given[path]) for path, name in GATES.items() if path in given}


def _plasticity(projection: Projection) -> dict[str, float] | None:
    """The parameters of `stdp_pl_synapse_hom`."""
    rule = projection.plasticity
    if rule is None:
        return None
    if not isinstance(rule, dd.PowerLawSTDP):
        raise NotInNEST(f"{projection!r}: the rule {rule!r} has no counterpart here.")
    names = {"tau_plus": "tau_plus", "lambda": "lambda_", "alpha": "alpha", "mu": "mu"}
    return {theirs: float(getattr(rule, ours)) for theirs, ours in names.items()}


def _histories(found: Graph) -> dict[str, float]:
    """The time constant of a post neuron's trace, which NEST keeps with the neuron."""
    rules = [p.plasticity for p in found.projections.values() if p.plasticity is not None]
    taus = {float(rule.tau_minus) for rule in rules}  # pyright: ignore[reportAttributeAccessIssue]
    if len(taus) > 1:
        raise NotInNEST(f"tau_minus is one of {sorted(taus)} in different projections.")
    return {"tau_minus": taus.pop()} if taus else {}


def _paths(found: Graph, views: tuple[View, ...]) -> list[str]:
    for view in views:
        if len(view.ids) != view.population.size:
            raise NotInNEST(f"{view!r} is a slice.")
    return [found.path(view.population) for view in views]


def _rule(projection: Projection) -> dict[str, Any]:
    match projection.rule:
        case dd.FixedProb(p=p) as rule:
            return {"rule": "pairwise_bernoulli", "p": p, "allow_autapses": rule.autapses}
        case dd.FixedIndegree(n=n) as rule:
            count = {"rule": "fixed_indegree", "indegree": n}
        case dd.FixedTotal(n=n) as rule:
            count = {"rule": "fixed_total_number", "N": n}
        case rule:
            raise NotInNEST(f"{projection!r}: the rule {rule!r} has no counterpart here.")
    return count | {"allow_autapses": rule.autapses, "allow_multapses": rule.multapses}


def _value(value: Any, sign: float = 1.0) -> float | dict[str, float | None]:
    """A number, or a normal distribution that is drawn again until it fits."""
    if isinstance(value, dd.Normal):
        if sign != 1.0:
            raise NotInNEST("An inhibitory conductance that is drawn has no counterpart here.")
        return {"mean": value.mu, "std": value.sd, "min": value.low, "max": value.high}
    if isinstance(value, Distribution):
        raise NotInNEST(f"{value!r} has no counterpart here.")
    return sign * float(value)
