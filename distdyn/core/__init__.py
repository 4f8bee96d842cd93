"""Core: what evolves, and how: contracts, cells, integrators."""

from distdyn.core.cell import Cell as Cell
from distdyn.core.cell import CellState as CellState
from distdyn.core.flow import Flow as Flow
from distdyn.core.integrators import RK4 as RK4
from distdyn.core.integrators import Euler as Euler
from distdyn.core.integrators import Exact as Exact
from distdyn.core.integrators import ExpEuler as ExpEuler
from distdyn.core.integrators import Integrator as Integrator
from distdyn.core.integrators import vector_field as vector_field
from distdyn.core.ode import ODE as ODE
from distdyn.core.parameters import param as param
from distdyn.core.receptor import CUBA as CUBA
from distdyn.core.receptor import Kinetics as Kinetics
from distdyn.core.receptor import Output as Output
from distdyn.core.receptor import Receptor as Receptor
from distdyn.core.system import Drive as Drive
from distdyn.core.system import DynamicalSystem as DynamicalSystem
from distdyn.core.system import Tick as Tick
from distdyn.core.system import emits_spikes as emits_spikes
from distdyn.core.system import receives_input as receives_input
from distdyn.core.system import takes_current as takes_current
