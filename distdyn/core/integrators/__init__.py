"""Integrators: from the flow of a cell to one step; one family of schemes per file."""

from distdyn.core.integrators.default import Method as Method
from distdyn.core.integrators.default import default_method as default_method
from distdyn.core.integrators.default import has_noise as has_noise
from distdyn.core.integrators.default import method_of as method_of
from distdyn.core.integrators.delayed import Delayed as Delayed
from distdyn.core.integrators.delayed import has_past as has_past
from distdyn.core.integrators.exact import Exact as Exact
from distdyn.core.integrators.exponential import ExpEuler as ExpEuler
from distdyn.core.integrators.fractional import CaputoEuler as CaputoEuler
from distdyn.core.integrators.fractional import CaputoL1 as CaputoL1
from distdyn.core.integrators.fractional import GrunwaldLetnikov as GrunwaldLetnikov
from distdyn.core.integrators.integrator import Integrator as Integrator
from distdyn.core.integrators.integrator import Remembering as Remembering
from distdyn.core.integrators.ornstein_uhlenbeck import ExactOU as ExactOU
from distdyn.core.integrators.runge_kutta import RK4 as RK4
from distdyn.core.integrators.runge_kutta import Euler as Euler
from distdyn.core.integrators.runge_kutta import RungeKutta as RungeKutta
from distdyn.core.integrators.stochastic import SRK1W1 as SRK1W1
from distdyn.core.integrators.stochastic import SRK2W1 as SRK2W1
from distdyn.core.integrators.stochastic import EulerMaruyama as EulerMaruyama
from distdyn.core.integrators.stochastic import ExpEulerMaruyama as ExpEulerMaruyama
from distdyn.core.integrators.stochastic import KlPl as KlPl
from distdyn.core.integrators.stochastic import Milstein as Milstein
from distdyn.core.integrators.stochastic import StochasticHeun as StochasticHeun
from distdyn.core.integrators.stochastic import TamedEuler as TamedEuler
