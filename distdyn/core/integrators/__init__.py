"""Integrators: from the flow of a cell to one step; one family of schemes per file."""

from distdyn.core.integrators.default import default_method as default_method
from distdyn.core.integrators.exact import Exact as Exact
from distdyn.core.integrators.exponential import ExpEuler as ExpEuler
from distdyn.core.integrators.integrator import Integrator as Integrator
from distdyn.core.integrators.runge_kutta import RK4 as RK4
from distdyn.core.integrators.runge_kutta import Euler as Euler
from distdyn.core.integrators.runge_kutta import RungeKutta as RungeKutta
