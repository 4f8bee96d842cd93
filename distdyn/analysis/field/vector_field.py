"""The vector field of a model: what analysis stands on.

    F, state, parameters = dd.vector_field(dd.FitzHughNagumo())
    F(state, {"I_e": 0.5})                        # {"V": dV/dt, "w": dw/dt}

State and parameters are dicts by name; names within a cell or network are paths ("INa.m", "E.r").
Numerical methods see a flat function of the variables x and of the parameters p that they move:

    flat = dd.vector_field(model).flat(("I_e",))
    flat.f(flat.x0, flat.p0)                      # float64[n] at float64[n], float64[k]
    flat.names, flat.unflatten(x)                 # ("V", "w"), {"V": x[0], "w": x[1]}

It is the field without noise; of a network with its constant inputs, each a parameter by its path.
What was trained, or is chosen otherwise, is given as to `DSRunner`:

    dd.vector_field(network, seed=1, parameters=trainer.parameters | {"drive": 0.})

Everything is in float64: call it inside `jax.enable_x64(True)`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from distdyn.analysis.field.flat import VectorField, check_name
from distdyn.analysis.field.model import field_of_ode, field_of_step
from distdyn.analysis.field.network import network_field
from distdyn.core.ode import ODE
from distdyn.core.system import DynamicalSystem
from distdyn.errors import AnalysisError
from distdyn.network.network import Network
from distdyn.parallel.launch.devices import local_devices
from distdyn.parallel.launch.ranks import World


def vector_field(
    system: DynamicalSystem | Network | VectorField,
    *,
    dt: float | None = None,
    seed: int = 0,
    parameters: Mapping[str, Any] | None = None,
    devices: int | None = None,
) -> VectorField:
    """The vector field of a model or network: F, state, parameters.

    An `ODE`, and a network of rate models without delays, give the derivative of their state. A
    model that is written as a `step`, and a network with delays, spikes or synapses with a state,
    give that of one step of dt: the state of a network is then also what is on its way. Noise is
    left out, and so are currents that change in time unless `parameters` gives them a value; of a
    single cell that is reset it is the field between two spikes.

    Args:
        system: a model, a network, or a vector field, which is returned as it is.
        dt: ms, of the step of what has no derivative.
        seed: of the connections and weights that a network draws, as in `DSRunner`.
        parameters: in the place of the system's own, by path as in `DSRunner`: numbers, weights of
            one for each synapse, such as `DSTrainer.parameters`; currents of `CurrentInput`.
        devices: how many local devices share the state of a network, and its weights: each has
            those of its own units. By default one has all.

    Raises:
        NameLookupError: there is no parameter of a name.
        ParameterError: a parameter outside its domain, or of another shape.
        WeightError: not as many weights as synapses.
        PlatformError: there are fewer devices.
        AnalysisError: it has fractional derivatives, an explicit time, or random or given spikes:
            there is no such function. Or it is a map, and dt is missing.
    """
    given = {} if parameters is None else parameters
    if devices is not None and not isinstance(system, Network):
        raise AnalysisError(
            "vector_field: devices share the state of a network, by its populations; this is "
            f"{type(system).__name__}. Leave `devices` out here: it may be given to fixed_points, "
            "where devices share the searches."
        )
    if isinstance(system, VectorField):
        return _changed(system, given) if given else system
    if isinstance(system, Network):
        shared = None if devices is None else local_devices(devices, None, World())
        return network_field(system, dt, seed, given, shared)
    if isinstance(system, ODE):
        return field_of_ode(system, given)
    if isinstance(system, DynamicalSystem):
        return field_of_step(system, dt, given)
    what = system.__name__ if isinstance(system, type) else type(system).__name__
    raise AnalysisError(
        f"vector_field: {what} is neither a model nor a network. Give an instance of an ODE or of "
        "a Network, such as dd.FitzHughNagumo(); for any other function F of a state, a "
        "distdyn.analysis.field.VectorField(F, state, parameters)."
    )


def _changed(field: VectorField, given: Mapping[str, Any]) -> VectorField:
    """A vector field with other parameters."""
    for name in given:
        check_name(name, field.parameters, f"{field.name} has no parameter")
    values = {name: np.asarray(value, np.float64) for name, value in given.items()}
    F = field.F
    return replace(
        field, F=lambda s, p: F(s, {**values, **p}), parameters={**field.parameters, **values}
    )
