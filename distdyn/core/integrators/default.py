"""Which method advances a model: the one it names, if that fits the equations, or the default."""

from typing import Any

import jax

from distdyn.core.flow import Flow, Function, is_linear
from distdyn.core.integrators.delayed import Delayed, has_past
from distdyn.core.integrators.exact import Exact
from distdyn.core.integrators.exponential import ExpEuler
from distdyn.core.integrators.fractional import CaputoL1, Fractional, orders_of
from distdyn.core.integrators.integrator import Integrator, Remembering
from distdyn.core.integrators.ornstein_uhlenbeck import ExactOU, is_additive
from distdyn.core.integrators.stochastic import (
    ITO,
    ExpEulerMaruyama,
    Stochastic,
    StochasticHeun,
    calculus_of,
    check_diffusion,
)
from distdyn.errors import MethodError, ParameterError

Method = Integrator | Remembering


def check_method(asked: Any) -> None:
    """Raise a ParameterError for what is no integrator; None asks for a default."""
    if asked is not None and not isinstance(asked, Method):
        cure = f"{asked.__name__}()" if isinstance(asked, type) else "dd.RK4()"
        raise ParameterError(f"method = {asked!r} is no integrator. Give one: method={cure}.")


def default_method(flow: Flow) -> Integrator:
    """Exact where the flow is linear and time-invariant, else exponential Euler."""
    return Exact() if is_linear(flow) else ExpEuler()


def method_of(flow: Flow, asked: Method | None = None) -> Method:
    """The method of a flow: the one asked for, its neuron's, or a default.

        exact, or exponential Euler     ordinary equations
        exact (`ExactOU`)               linear, with additive noise
        exponential Euler-Maruyama      with other noise (Stratonovich: stochastic Heun)
        exponential Euler, delayed      with delays; with noise one of the last two, delayed
        L1                              of fractional order

    Raises:
        MethodError: the method is for other equations.
    """
    model = flow.neuron
    what = type(model).__name__ if flow.is_elementwise else "the equation"
    asked = getattr(model, "method", None) if asked is None else asked
    check_method(asked)
    is_noisy, is_delayed, orders = has_noise(model), has_past(model), orders_of(flow)
    if orders and (is_noisy or is_delayed):
        raise MethodError(
            f"{what} is of fractional order and has {'noise' if is_noisy else 'delays'}: there is "
            "no scheme for both. Leave one out."
        )
    if orders:
        return _fitting(asked or CaputoL1(), Fractional, what, "is of fractional order")
    if isinstance(asked, Fractional):
        raise MethodError(
            f"{what}: {_name(asked)} is for fractional orders, but all of its equations are of "
            f'order 1. Give order={{"{flow.names[0]}": 0.9}}, or another method.'
        )
    scheme = asked.scheme if isinstance(asked, Delayed) else asked
    if is_noisy:
        calculus = calculus_of(model)
        check_diffusion(flow)
        is_of_numbers = all(x.ndim == 0 for x in jax.tree.leaves(flow.example()))
        is_exact = is_of_numbers and not is_delayed and is_linear(flow) and is_additive(flow)
        if scheme is None and is_exact:
            return ExactOU()
        if isinstance(scheme, ExactOU) and not is_exact:
            raise MethodError(
                f"{what}: ExactOU is for linear equations of numbers, with additive noise and "
                "without delays. Use ExpEulerMaruyama()."
            )
        scheme = scheme or (ExpEulerMaruyama() if calculus == ITO else StochasticHeun())
        scheme = _fitting(scheme, Stochastic, what, "has noise")
        if calculus not in scheme.calculus:
            raise MethodError(
                f'{what}: its noise is meant in the sense of "{calculus}", {_name(scheme)} is for '
                f'"{" and ".join(scheme.calculus)}". The solutions differ: use another method, or '
                "write the equations in the other sense."
            )
    elif isinstance(scheme, Stochastic):
        raise MethodError(f"{what}: {_name(scheme)} is for noise, but it has no `diffusion`.")
    if not is_delayed:
        if isinstance(asked, Delayed):
            raise MethodError(f"{what}: its derivative takes no `past`: Delayed is not for it.")
        return scheme or default_method(flow)
    scheme = scheme or ExpEuler()
    if isinstance(scheme, Exact) or not isinstance(scheme, Integrator):
        raise MethodError(
            f"{what} has delays: {_name(scheme)} is for equations without. Use another."
        )
    return asked if isinstance(asked, Delayed) else Delayed(scheme)


def has_noise(model: Any) -> bool:
    """Whether a model has a diffusion term."""
    if isinstance(model, Function):
        return model.strength is not None
    return callable(getattr(model, "diffusion", None))


def _fitting(method: Any, kind: type, what: str, why: str) -> Any:
    if isinstance(method, kind):
        return method
    examples = {Stochastic: "EulerMaruyama()", Fractional: "CaputoL1()"}
    raise MethodError(f"{what} {why}: {_name(method)} is not for it. Use e.g. {examples[kind]}.")


def _name(method: Any) -> str:
    return type(method).__name__
