"""Which integrator a model gets that names none."""

from distdyn.core.flow import Flow, is_linear
from distdyn.core.integrators.exact import Exact
from distdyn.core.integrators.exponential import ExpEuler
from distdyn.core.integrators.integrator import Integrator


def default_method(flow: Flow) -> Integrator:
    """Exact where the flow is linear and time-invariant, else exponential Euler."""
    return Exact() if is_linear(flow) else ExpEuler()
