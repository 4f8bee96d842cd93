"""Synapse outputs: from g to a current. The current-based `CUBA` is the default and in core."""

from typing import Any, ClassVar

from distdyn.core.parameters import param
from distdyn.core.receptor import Output


class COBA(Output):
    """Conductance-based: I = g (E - V), weights in nS."""

    E: float = param(0.0, "mV", "reversal potential")

    nonnegative: ClassVar[bool] = True
    unit: ClassVar[str] = "nS"

    def current(self, g: Any, V: Any) -> Any:
        return g * (self.E - V)
