"""Systems with delays: how small differences from an equilibrium grow."""

from distdyn.analysis.delays.result import CharacteristicRoots as CharacteristicRoots
from distdyn.analysis.delays.result import characteristic_roots as characteristic_roots
