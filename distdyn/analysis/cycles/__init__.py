"""Limit cycles over a parameter: stable and unstable ones, their bifurcations and their ends.

mesh         piecewise polynomials over one period; collocation: the equations of a cycle
floquet      multipliers
branch       branches of cycles and bifurcations on them; ends: how they end; doubling
start        where they begin: at a Hopf point, at a simulated cycle; search: both
result       the results
"""

from distdyn.analysis.cycles.branch import N_INTERVALS as N_INTERVALS
from distdyn.analysis.cycles.branch import STEPS as STEPS
from distdyn.analysis.cycles.result import CycleBranch as CycleBranch
from distdyn.analysis.cycles.result import LimitCycle as LimitCycle
from distdyn.analysis.cycles.result import LimitCycles as LimitCycles
from distdyn.analysis.cycles.result import SpecialCycle as SpecialCycle
from distdyn.analysis.cycles.search import cycles_from_hopf as cycles_from_hopf
from distdyn.analysis.cycles.search import cycles_from_simulation as cycles_from_simulation
from distdyn.analysis.cycles.search import cycles_problem as cycles_problem
