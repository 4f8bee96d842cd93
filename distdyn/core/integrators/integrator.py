"""The contract of an integrator: from the flow of a cell to one step.

A method `prepare`s once per set of parameters (coefficients that do not depend on the state) and
`advance`s at every step, elementwise over cells. While a cell is refractory its V is held, and
everything else advances with that V.
"""

import abc
from typing import Any

import equinox as eqx

from distdyn.core.flow import Flow, Point
from distdyn.core.system import Tick


class Integrator(eqx.Module):
    """Advances a flow by one step."""

    @abc.abstractmethod
    def prepare(self, flow: Flow, dt: float) -> Any:
        """Coefficients that depend on parameters and dt alone; for one cell, to be vmapped."""

    @abc.abstractmethod
    def advance(
        self, flow: Flow, prepared: Any, y: Point, current: Any, held: Any, tick: Tick
    ) -> Point:
        """The point after one step; `held` marks cells whose V stays, None means no cell."""
