"""Basins of attraction: to which attractor each start goes."""

from distdyn.analysis.basins.attractors import Attractor as Attractor
from distdyn.analysis.basins.basins import Basins as Basins
from distdyn.analysis.basins.basins import find_basins as find_basins
