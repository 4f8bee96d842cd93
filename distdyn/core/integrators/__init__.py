"""Integrators: from the flow of a cell to one step; one family of schemes per file."""

from distdyn.core.integrators.default import default_method as default_method
from distdyn.core.integrators.embedded import RKF12 as RKF12
from distdyn.core.integrators.embedded import RKF45 as RKF45
from distdyn.core.integrators.embedded import BogackiShampine as BogackiShampine
from distdyn.core.integrators.embedded import CashKarp as CashKarp
from distdyn.core.integrators.embedded import DormandPrince as DormandPrince
from distdyn.core.integrators.embedded import HeunEuler as HeunEuler
from distdyn.core.integrators.exact import Exact as Exact
from distdyn.core.integrators.exponential import ExpEuler as ExpEuler
from distdyn.core.integrators.implicit import BackwardEuler as BackwardEuler
from distdyn.core.integrators.implicit import CrankNicolson as CrankNicolson
from distdyn.core.integrators.integrator import Integrator as Integrator
from distdyn.core.integrators.runge_kutta import RK2 as RK2
from distdyn.core.integrators.runge_kutta import RK3 as RK3
from distdyn.core.integrators.runge_kutta import RK4 as RK4
from distdyn.core.integrators.runge_kutta import RK38 as RK38
from distdyn.core.integrators.runge_kutta import SSPRK3 as SSPRK3
from distdyn.core.integrators.runge_kutta import AbstractRungeKutta as AbstractRungeKutta
from distdyn.core.integrators.runge_kutta import Euler as Euler
from distdyn.core.integrators.runge_kutta import Heun as Heun
from distdyn.core.integrators.runge_kutta import Heun3 as Heun3
from distdyn.core.integrators.runge_kutta import Midpoint as Midpoint
from distdyn.core.integrators.runge_kutta import Ralston as Ralston
from distdyn.core.integrators.runge_kutta import Ralston3 as Ralston3
from distdyn.core.integrators.runge_kutta import Ralston4 as Ralston4
from distdyn.core.integrators.runge_kutta import RungeKutta as RungeKutta
