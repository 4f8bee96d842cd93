"""Synapse outputs: from g to a current. The current-based `CUBA` is the default and in core."""

from typing import Any, ClassVar

import jax.numpy as jnp

from distdyn.core.parameters import param
from distdyn.core.receptor import Output


class COBA(Output):
    """Conductance-based: I = g (E - V), weights in nS."""

    E: float = param(0.0, "mV", "reversal potential")

    nonnegative: ClassVar[bool] = True
    unit: ClassVar[str] = "nS"

    def current(self, g: Any, V: Any) -> Any:
        return g * (self.E - V)


class Divisive(Output):
    """Divides what the other synapses of a cell bring:  I = sum of I_r / (1 + g).

    Normalisation by what a pool of cells does, or inhibition that shunts. Currents that
    `CurrentInput` gives, or the model itself, are not divided. Weights have no dimension and are
    >= 0; g of several receptors is added.

    Source: Carandini & Heeger (2012), Nat. Rev. Neurosci. 13, 51.
    """

    nonnegative: ClassVar[bool] = True
    unit: ClassVar[str] = ""
    divides: ClassVar[bool] = True

    def current(self, g: Any, V: Any) -> Any:
        return g


class MgBlock(Output):
    """A conductance that magnesium blocks at rest:  I = g B(V) (E - V), weights in nS.

        B(V) = 1 / (1 + [Mg] / beta exp(-alpha V))

    Source: Jahr & Stevens (1990), J. Neurosci. 10, 3178.
    """

    E: float = param(0.0, "mV", "reversal potential")
    Mg: float = param(1.0, "mM", "concentration of magnesium outside", nonnegative=True)
    alpha: float = param(0.062, "1/mV", "steepness")
    beta: float = param(3.57, "mM", "concentration that blocks half of it at 0 mV", positive=True)

    nonnegative: ClassVar[bool] = True
    unit: ClassVar[str] = "nS"

    def current(self, g: Any, V: Any) -> Any:
        return g * self.part(V) * (self.E - V)

    def part(self, V: Any) -> Any:
        """B(V), the part that is not blocked."""
        return 1.0 / (1.0 + self.Mg / self.beta * jnp.exp(-self.alpha * V))
