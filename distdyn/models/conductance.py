"""Conductance: a cell composed of a membrane, channels, and the ions that channels share.

    dd.Conductance(C_m=1., INa=dd.INa_HH1952(), IK=dd.IK_HH1952(), IL=dd.ILeak(g=.3, E=-54.387))

Every channel and ion is a member under the name that it is given, and so are its parameters and
its part of the state: `cell.INa.g`, `E.INa.m`.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from distdyn.core.integrators import Integrator
from distdyn.core.ode import ODE
from distdyn.core.parameters import param
from distdyn.core.system import Drive
from distdyn.errors import NameLookupError, ParameterError, suggestion
from distdyn.models.channels.channel import AbstractChannel
from distdyn.models.ions import Ion, Level
from distdyn.units import shown


class Conductance(ODE):
    """A conductance-based neuron: a membrane with the channels and ions that are given by name.

        C_m V' = I_e + 100 I / area - sum of the currents through the channels

    It spikes where V crosses V_th upward, and is not reset. Gates start at their steady state for
    the V at the start, also where this is a value per cell; ions start at rest.

    Quantities are per area: uF/cm2, mS/cm2, uA/cm2. Synapses and inputs bring I in pA, their
    weights are in pA or nS, and `area` (um2) is what they are divided by. At the default of
    100 um2 the numbers are the same per area and of the whole cell (1 uF/cm2 is 1 pF, 1 mS/cm2 is
    1 nS, 1 uA/cm2 is 1 pA), so a cell in pF, nS and pA leaves the area as it is.

    Args:
        C_m, V_th, V_0, I_e, area: parameters, see below.
        method: an integrator; by default exponential Euler.
        **members: channels (`INa=dd.INa_HH1952()`) and ions (`Ca=dd.CalciumDetailed()`).

    Raises:
        ParameterError: a member is neither a channel nor an ion.
        NameLookupError: a channel names an ion that the cell does not have.
    """

    C_m: float = param(1.0, "uF/cm2", "membrane capacitance", positive=True)
    V_th: float = param(0.0, "mV", "potential whose upward crossing is a spike")
    V_0: float = param(-65.0, "mV", "potential at the start")
    I_e: float = param(0.0, "uA/cm2", "constant input current")
    area: float = param(100.0, "um2", "membrane area, for currents that are not per area")
    members: Any = eqx.field(default=())

    def __init__(
        self,
        *,
        C_m: float = 1.0,
        V_th: float = 0.0,
        V_0: float = -65.0,
        I_e: float = 0.0,
        area: float = 100.0,
        method: Integrator | None = None,
        **members: AbstractChannel | Ion,
    ):
        self.C_m, self.V_th, self.V_0, self.I_e, self.area = C_m, V_th, V_0, I_e, area
        self.method = method
        ions = [name for name, member in members.items() if isinstance(member, Ion)]
        resolved = [_resolved(name, member, ions) for name, member in members.items()]
        self.members = _record("Members", tuple((name, Any) for name in members))(*resolved)

    def __getattr__(self, name: str) -> Any:
        """A channel or ion by its name."""
        members = object.__getattribute__(self, "members")
        if name in members._fields:
            return getattr(members, name)
        raise AttributeError(f'Conductance has no "{name}". {suggestion(name, members._fields)}')

    @property
    def State(self) -> type:
        """V, and the state of every member under its name."""
        members = zip(self.members._fields, self.members, strict=True)
        fields = [("V", jax.Array), *((name, type(member).State) for name, member in members)]
        return _record("State", tuple(fields))

    def init(self, id: Any, key: Any) -> Any:
        """V_0, ions at rest, gates at their steady state."""
        ions = {name: ion.init() for name, ion in self._of(Ion).items()}
        rest = {name: channel.State._make([0.0] * len(channel.State._fields))
                for name, channel in self._of(AbstractChannel).items()}  # fmt: skip
        return self.settle(self.State(V=jnp.asarray(self.V_0), **ions, **rest))

    def settle(self, s: Any) -> Any:
        """The state with all gates at their steady state for its V and ions."""
        channels = self._channels(self._levels(s))
        return s._replace(**{name: channel.steady(s.V) for name, channel in channels.items()})

    def derivative(self, t: Any, s: Any, drive: Drive) -> Any:
        channels = self._channels(self._levels(s))
        through, carried = 0.0, dict.fromkeys(self._of(Ion), 0.0)
        for name, channel in channels.items():
            current = channel.current(getattr(s, name), s.V)
            for ion, part in _shares(getattr(self, name), current):
                through = through + part
                if ion in carried:
                    carried[ion] = carried[ion] + part
        inflow = self.I_e + drive.current * (100.0 / self.area)
        slopes = {
            name: channel.derivative(getattr(s, name), s.V) for name, channel in channels.items()
        }
        for name, ion in self._of(Ion).items():
            slopes[name] = ion.derivative(getattr(s, name), carried[name])
        return self.State(V=(inflow - through) / self.C_m, **slopes)

    def currents(self, s: Any) -> dict[str, Any]:
        """The current through each channel at a state, positive outward, by name."""
        channels = self._channels(self._levels(s))
        through = {name: c.current(getattr(s, name), s.V) for name, c in channels.items()}
        return {
            name: sum(part for _, part in _shares(getattr(self, name), current))
            for name, current in through.items()
        }

    def _of(self, kind: type) -> dict[str, Any]:
        """The members of a kind, by name."""
        members = zip(self.members._fields, self.members, strict=True)
        return {name: member for name, member in members if isinstance(member, kind)}

    def _levels(self, s: Any) -> dict[str, Level]:
        return {name: ion.level(getattr(s, name)) for name, ion in self._of(Ion).items()}

    def _channels(self, levels: Mapping[str, Level]) -> dict[str, Any]:
        """The channels, with the values of ions in place of their names."""
        return {
            name: dataclasses.replace(channel, **{
                field: levels[ion.name].E if field == "E" else levels[ion.name]
                for field, ion in _named(channel).items()
            })
            for name, channel in self._of(AbstractChannel).items()
        }  # fmt: skip


class _Named(eqx.Module):
    """In place of a parameter: the ion of this name in the same cell."""

    name: str = eqx.field(static=True)


@functools.cache
def _record(name: str, fields: tuple[tuple[str, Any], ...]) -> Any:
    """A NamedTuple: the same class for the same fields, so that cells of one kind are one group."""
    return NamedTuple(name, fields)


def _resolved(name: str, member: Any, ions: list[str]) -> Any:
    """A member as the cell keeps it: names of ions are no leaves of the tree.

    Raises:
        ParameterError: it is neither a channel nor an ion.
        NameLookupError: it names an ion that the cell does not have.
    """
    if not isinstance(member, AbstractChannel | Ion):
        raise ParameterError(
            f"Conductance: {name} = {shown(member)} is neither a channel nor an ion. Give an "
            "instance, such as INa=INa_HH1952()."
        )
    if name == "V" or name in dir(Conductance) or name.startswith("_"):
        raise ParameterError(
            f'Conductance: a channel or ion cannot be called "{name}". Use a name such as INa.'
        )
    found = {}
    for field in dataclasses.fields(member):
        value = getattr(member, field.name)
        if isinstance(value, str):
            if value not in ions:
                kind = type(member).__name__
                raise NameLookupError(
                    f'Conductance: {name} = {kind}({field.name}="{value}") needs the ion '
                    f'"{value}", which the cell does not have. {suggestion(value, ions)} '
                    f"Or give it: {value}=CalciumFixed(), or another ion."
                )
            found[field.name] = _Named(value)
    return dataclasses.replace(member, **found) if found else member


def _named(channel: AbstractChannel) -> dict[str, _Named]:
    """The fields of a channel that name an ion."""
    values = {f.name: getattr(channel, f.name) for f in dataclasses.fields(channel)}
    return {name: value for name, value in values.items() if isinstance(value, _Named)}


def _shares(channel: AbstractChannel, current: Any) -> list[tuple[str, Any]]:
    """A channel's current by the ion that carries it, "" for none of the cell's."""
    named = _named(channel)
    if isinstance(current, Mapping):
        return [(named[field].name if field in named else "", x) for field, x in current.items()]
    return [(named["E"].name if "E" in named else "", current)]
