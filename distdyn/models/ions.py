"""Ions: the concentration inside a cell, the reversal potential, and what currents change.

A cell has an ion under a name of its own, which its channels refer to:

    dd.Conductance(Ca=dd.CalciumDetailed(), ICaT=dd.ICaT_HM1992(E="Ca"), IAHP=dd.IAHP_De1994())
"""

import abc
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from distdyn.core.parameters import Parameters, param

FARADAY = 96485.33212  # C / mol
GAS = 8.31446261815324  # J / (mol K)
ZERO_CELSIUS = 273.15  # K


def nernst(inside: Any, outside: Any, z: int, T: Any) -> Any:
    """The reversal potential (mV) of an ion: E = R T / (z F) ln(outside / inside).

    Args:
        inside: concentration, in the unit of the other one.
        outside: concentration.
        z: valence.
        T: temperature, degrees Celsius.
    """
    return 1e3 * GAS / FARADAY / z * (T + ZERO_CELSIUS) * jnp.log(outside / inside)


class Level(NamedTuple):
    """What channels see of an ion."""

    C: Any  # concentration inside, mM
    E: Any  # reversal potential, mV


class Ion(Parameters):
    """An ion of a cell. Its state, if it has one, is changed by the currents that carry it."""

    State: ClassVar[type]

    @abc.abstractmethod
    def init(self) -> Any:
        """The state at the beginning."""

    @abc.abstractmethod
    def derivative(self, s: Any, current: Any) -> Any:
        """D state / dt when this current (positive outward, per area) carries the ion."""

    @abc.abstractmethod
    def level(self, s: Any) -> Level:
        """Concentration and reversal potential."""


class _Nothing(NamedTuple):
    """The state of what does not change."""


class _Concentration(NamedTuple):
    C: jax.Array  # inside, mM


class AbstractFixed(Ion):
    """An ion of which neither concentration nor reversal potential change."""

    State: ClassVar[type] = _Nothing

    C: eqx.AbstractVar[Any]
    E: eqx.AbstractVar[Any]

    def init(self) -> Any:
        return _Nothing()

    def derivative(self, s: Any, current: Any) -> Any:
        return s

    def level(self, s: Any) -> Level:
        return Level(self.C, self.E)


class SodiumFixed(AbstractFixed):
    """Sodium at a fixed concentration and reversal potential."""

    C: float = param(15.0, "mM", "concentration inside", positive=True)
    E: float = param(50.0, "mV", "reversal potential")


class PotassiumFixed(AbstractFixed):
    """Potassium at a fixed concentration and reversal potential."""

    C: float = param(140.0, "mM", "concentration inside", positive=True)
    E: float = param(-90.0, "mV", "reversal potential")


class CalciumFixed(AbstractFixed):
    """Calcium at a fixed concentration and reversal potential."""

    C: float = param(2.4e-4, "mM", "concentration inside", positive=True)
    E: float = param(120.0, "mV", "reversal potential")


class CalciumFirstOrder(Ion):
    """A calcium pool that decays at a constant rate.

        C' = alpha max(-I, 0) + (C_rest - C) / tau,     E = R T / (2 F) ln(C_out / C)

    I is the calcium current, negative inward; one that goes outward changes nothing. alpha is in
    mM per ms and uA/cm2, or per what else the cell's currents are in.

    Source: Wang (1998), J. Neurophysiol. 79, 1549, whose calcium decays to 0 and whose E is fixed.
    """

    alpha: float = param(2e-6, "", "mM of calcium per ms and unit of current", nonnegative=True)
    tau: float = param(80.0, "ms", "time constant of decay", positive=True)
    C_rest: float = param(2.4e-4, "mM", "concentration inside without current", positive=True)
    C_out: float = param(2.0, "mM", "concentration outside", positive=True)
    T: float = param(36.0, "degC", "temperature")

    State: ClassVar[type] = _Concentration

    def init(self) -> Any:
        return _Concentration(C=jnp.asarray(self.C_rest))

    def derivative(self, s: Any, current: Any) -> Any:
        inflow = -self.alpha * jnp.minimum(current, 0.0)
        return _Concentration(C=inflow + (self.C_rest - s.C) / self.tau)

    def level(self, s: Any) -> Level:
        return Level(s.C, nernst(s.C, self.C_out, 2, self.T))


class CalciumDetailed(Ion):
    """Calcium in a thin shell under the membrane, with a pump and with decay to rest.

        C' = max(-k I / (2 F d), 0) - K_T C / (C + K_d) + (C_rest - C) / tau
        E = R T / (2 F) ln(C_out / C)

    I is the calcium current in uA/cm2, negative inward; with d in um, k = 10 gives mM / ms. The
    pump is off by default, as in the later papers (in 1993, K_T = 1e-4 mM/ms and no decay).
    In a cell in absolute units, d stands for a shell of the 100 um2 that such a cell is.

    Source: Destexhe, Babloyantz, Sejnowski (1993), Biophys. J. 65, 1538; Destexhe et al. (1994),
    J. Neurophysiol. 72, 803.
    """

    d: float = param(1.0, "um", "depth of the shell", positive=True)
    tau: float = param(5.0, "ms", "time constant of decay", positive=True)
    C_rest: float = param(2.4e-4, "mM", "concentration inside without current", positive=True)
    C_out: float = param(2.0, "mM", "concentration outside", positive=True)
    K_T: float = param(0.0, "mM/ms", "the most that the pump removes", nonnegative=True)
    K_d: float = param(1e-4, "mM", "concentration at which it removes half of that", positive=True)
    T: float = param(36.0, "degC", "temperature")

    State: ClassVar[type] = _Concentration

    def init(self) -> Any:
        return _Concentration(C=jnp.asarray(self.C_rest))

    def derivative(self, s: Any, current: Any) -> Any:
        inflow = -10.0 / (2 * FARADAY * self.d) * jnp.minimum(current, 0.0)
        pump = self.K_T * s.C / (s.C + self.K_d)
        return _Concentration(C=inflow - pump + (self.C_rest - s.C) / self.tau)

    def level(self, s: Any) -> Level:
        return Level(s.C, nernst(s.C, self.C_out, 2, self.T))
