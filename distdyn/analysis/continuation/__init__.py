"""Branches of equilibria under a parameter, their bifurcations, and curves of these in two.

arclength   curves of solutions of G(u) = 0, whatever G; tracks: both directions, known ones
family      a flat field with its parameters, and its derivatives
begin       equilibria to begin with
equilibria  their branches; special: bifurcations on them; normal_forms: their coefficients
codim2      curves of bifurcations in two parameters; augmented: their equations
branches    the results
"""

from distdyn.analysis.continuation.arclength import Steps as Steps
from distdyn.analysis.continuation.begin import beginnings as beginnings
from distdyn.analysis.continuation.branches import Branch as Branch
from distdyn.analysis.continuation.branches import Branches as Branches
from distdyn.analysis.continuation.branches import SpecialPoint as SpecialPoint
from distdyn.analysis.continuation.branches import load_branches as load_branches
from distdyn.analysis.continuation.codim2 import bifurcation_curves as bifurcation_curves
from distdyn.analysis.continuation.equilibria import equilibrium_branches as equilibrium_branches
from distdyn.analysis.continuation.family import Family as Family
