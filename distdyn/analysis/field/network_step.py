"""A network as a function of its state: one step of the simulator, or its derivative.

    E.V, E.exc.g, ...       [n]       the state of the cells and receptors (`units`)
    E.exc.due               [d, n]    what is on its way and due 1, 2, ..., d steps later

Delays make the state longer and nothing else: the next step depends on the present state alone. A
step, from t to t + dt, in double precision and with sums of floats in the place of integers:

1. a value that is emitted at t joins what is on its way (it is a function of the state at t);
2. what is due arrives, and the cells advance, spike and are reset (`Cell.step`);
3. spikes join what is on its way.

The derivative of a network without delays is that of its cells, with what is emitted at t.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np

from distdyn.analysis.field.flat import State
from distdyn.analysis.field.roads import Road, Target, roads_of
from distdyn.analysis.field.units import Units, connection_of, units_of
from distdyn.network.network import Graph
from distdyn.network.projection import CurrentInput
from distdyn.parallel.built import Built
from distdyn.parallel.parameters import Setting

REFRACTORY = "refractory"  # the steps for which a cell holds its V, as the simulator counts them

Sent = dict[tuple[str, int | None], Any]  # by population and coupling (None: spikes), values
Whole = Callable[[Sent], Sent]  # from those of the units that are here to those of all


@dataclass(frozen=True, eq=False)
class NetworkStep:
    """A network as a function of its state: its one-step map, or its derivative.

    Attributes:
        units: the populations.
        roads: the projections.
        longest: of each receptor at which something arrives the longest delay, in steps.
        names: of each receptor the path of its first projection.
        currents: of the inputs, by path: one number, or one for each unit that it reaches.
        dt: ms; None: it is the derivative of a network without delays.
    """

    units: dict[str, Units]
    roads: list[Road]
    longest: dict[Target, int]
    names: dict[Target, str]
    currents: dict[str, Any]
    dt: float | None

    @classmethod
    def of(
        cls, members: Graph, seed: int, dt: float | None, given: Mapping[str, Mapping[str, Any]],
        widths: Mapping[str, int] | None = None, devices: int = 1,
    ) -> "NetworkStep":  # fmt: skip
        """The function of a network.

        Args:
            members: of the network.
            seed: of what is drawn.
            dt: ms, or None.
            given: parameters of populations, in the place of their own.
            widths: how many units of each population each device has; by default all.
            devices: how many.
        """
        setting = Setting(1.0 if dt is None else dt, seed, "float64", 0)
        with jax.enable_x64(True):
            built = Built(members, setting, 0, 1, 1, None, None)
            units = units_of(built, given, is_continuous=dt is None)
            all_units = {path: of.size for path, of in units.items()}
            roads = roads_of(built, widths or all_units, devices, is_continuous=dt is None)
        longest: dict[Target, int] = {}
        for road in roads:
            for target in (t for of in road.targets for t in of):
                longest[target] = max(longest.get(target, 0), road.delays[-1])
        names = {t: f"{t.path}.{connection_of(built, *t)}.due" for t in longest}
        currents = {
            path: np.asarray(source.current if is_constant(source) else 0.0, np.float64)
            for path, source in members.inputs.items()
        }
        return cls(units, roads, longest, names, currents, dt)

    @cached_property
    def rows(self) -> dict[Target, int]:
        """Of each receptor how many rows of what is on its way are variables.

        A value that is emitted now follows from the state: it is in none.
        """
        takes_spikes = {t for r in self.roads if r.carries_spikes for of in r.targets for t in of}
        return {t: n if t in takes_spikes else n - 1 for t, n in self.longest.items()}

    @cached_property
    def follows(self) -> tuple[str, ...]:
        """The variables that follow from the others where all is as it was and nobody spikes."""
        counts = tuple(f"{path}.{REFRACTORY}" for path in self.units)
        known = {name for of in self.units.values() for name in of.variables}
        late = (self.names[target] for target, rows in self.rows.items() if rows)
        return (*(name for name in counts if name in known), *late)

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """By name."""
        found = {f"{p}.{n}": v for p, of in self.units.items() for n, v in of.parameters.items()}
        weights = ((r.path, r.weight) for r in self.roads if r.weight is not None)
        return found | {f"{path}.weight": np.float64(w) for path, w in weights} | self.currents

    @cached_property
    def held(self) -> tuple[Any, ...]:
        """What it reads: of each population what differs between units, the matrices, sums."""
        per_unit = {path: of.per_unit for path, of in self.units.items()}
        return per_unit, [r.matrix for r in self.roads], [self._totals(r) for r in self.roads]

    def _totals(self, road: Road) -> Any:
        asks = (self._asks(target) for of in road.targets for target in of)
        return road.totals if any(asks) else None

    def _asks(self, target: Target) -> bool:
        """Whether a receptor asks for the sum of the weights onto it."""
        receptor = self.units[target.path].receptors[target.receptor]
        return getattr(receptor.kinetics, "needs_sum", False)

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the variables, by name; the last axis is that of the units."""
        of_units = {name: (of.size,) for of in self.units.values() for name in of.variables if name}
        late = {self.names[t]: (n, self.units[t.path].size) for t, n in self.rows.items() if n}
        return of_units | late

    def first(self) -> dict[str, Any]:
        """The state with which the simulator begins."""
        with jax.enable_x64(True):
            begin = jax.jit(lambda held: self.begun(held, all_here))
            found = begin(self.held)
        return {name: np.asarray(found[name]) for name in self.shapes}

    def begun(self, held: Any, whole: Whole) -> dict[str, Any]:
        """The state with which the simulator begins: all has been as it is, for ever.

        Args:
            held: `held`, of the units that are here.
            whole: from what the units that are here send to what all do.
        """
        given = {
            name: held[0][path][f"first {k}"].astype(jnp.float64)
            for path, of in self.units.items()
            for k, name in enumerate(of.variables)
            if name is not None
        }
        arriving, settled = self.settled(held, given, {}, whole)
        for target, (_, y) in arriving:
            receptor = self.units[target.path].receptors[target.receptor]
            if not receptor.at_once and self.dt is not None:
                name = self.names[target].removesuffix("due") + "g"
                settled[name] = settled[name] + y.sum(axis=0)
        return settled

    def settled(
        self, held: Any, given: State, changed: State, whole: Whole
    ) -> tuple[list[Any], dict[str, Any]]:
        """What values bring, and the state if all has been as it is for ever and nobody spikes.

        Args:
            held: `held`, of the units that are here.
            given: the variables that are not in `follows`.
            changed: parameters in the place of the network's own, by name.
            whole: from what the units that are here send to what all do.
        """
        still = {
            name: jnp.zeros(len(held[0][path]["first 0"]))
            for path, of in self.units.items()
            for name in of.variables
            if name in self.follows
        }
        given = {**still, **given}
        _, states, arriving = self._values(held, given, changed, whole)
        due = {t: jnp.zeros((rows, _count(states[t.path]))) for t, rows in self.rows.items()}
        for target, (delays, y) in arriving:
            for delay, row in zip(delays, y, strict=True):
                due[target] = due[target].at[: delay - 1].add(row)
        late = {self.names[target]: rows for target, rows in due.items() if len(rows)}
        return arriving, {**given, **late}

    # --- the function ----------------------------------------------------------------------------

    def __call__(
        self, held: Any, given: State, changed: State, whole: Whole, t: Any = 0.0
    ) -> dict[str, Any]:
        """The variables one step later, or their derivatives.

        Args:
            held: `held`, of the units that are here.
            given: the variables, of the units that are here.
            changed: parameters in the place of the network's own, by name.
            whole: from what the units that are here send to what all do.
            t: ms.
        """
        systems, states, arriving = self._values(held, given, changed, whole)
        due = self._due(given, states)
        for target, (delays, y) in arriving:
            due[target] = _joined(due[target], delays, y)
        found, spikes = {}, {}
        for path, of in self.units.items():
            here = [due[Target(path, k)][0] for k in range(len(of.receptors))]
            outside = of.outside(held[0][path], {**self.currents, **changed})
            rest = systems[path], states[path], here, outside
            if self.dt is None:
                found |= of.slopes(*rest, t)
                continue
            new, spikes[path] = of.stepped(*rest, self.dt, t)
            found |= new
        later = {t: _moved_on(due[t], rows) for t, rows in self.rows.items() if rows}
        for target, (delays, y) in self._spiked(held, spikes, changed, whole):
            later[target] = _joined(later[target], delays, y)
        return found | {self.names[target]: rows for target, rows in later.items()}

    def _values(
        self, held: Any, given: State, changed: State, whole: Whole
    ) -> tuple[dict[str, Any], dict[str, Any], list[Any]]:
        """The systems, their states, and what the values of now bring to whom."""
        systems = {p: of.system(held[0][p], changed) for p, of in self.units.items()}
        sums = self._sums(held, changed)
        states = {}
        for path, of in self.units.items():
            mine = [sums.get(Target(path, k)) for k in range(len(of.receptors))]
            states[path] = of.state(held[0][path], given, mine)

        valued = [k for k, road in enumerate(self.roads) if not road.carries_spikes]
        sent: Sent = {
            (path, k): self.units[path].emitted(systems[path], states[path], k)
            for path, k in self._senders(valued)
            if k is not None
        }
        return systems, states, self._brought(held, changed, valued, whole(sent))

    def _spiked(self, held: Any, spikes: Any, changed: State, whole: Whole) -> list[Any]:
        """What spikes bring to whom."""
        asked = [k for k, road in enumerate(self.roads) if road.carries_spikes]

        sent: Sent = {
            (path, k): spikes[path].astype(jnp.float64) for path, k in self._senders(asked)
        }
        return self._brought(held, changed, asked, whole(sent))

    def _senders(self, asked: Sequence[int]) -> list[tuple[str, int | None]]:
        """Who sends into these roads, each once."""
        sources = (s for k in asked for of in self.roads[k].sources for s in of)
        return list(dict.fromkeys((source.path, source.coupling) for source in sources))

    def _brought(
        self, held: Any, changed: State, asked: Sequence[int], sent: Sent
    ) -> list[tuple[Target, tuple[tuple[int, ...], Any]]]:
        found = []
        for k in asked:
            road = self.roads[k]
            for part, sources in enumerate(road.sources):
                x = jnp.concatenate([sent[s.path, s.coupling][s.ids] for s in sources])
                y = _weight(road, changed) * (x @ held[1][k])
                found += [(target, (road.delays, of)) for target, of in road.brought(y, part)]
        return found

    def _sums(self, held: Any, changed: State) -> dict[Target, Any]:
        """The sum of the weights onto each unit, of receptors that ask for it."""
        found: dict[Target, Any] = {}
        for road, totals in zip(self.roads, held[2], strict=True):
            if totals is None:
                continue
            for part in range(len(road.targets)):
                for target, of in road.brought(_weight(road, changed) * totals, part):
                    if self._asks(target):
                        found[target] = found.get(target, 0.0) + of.sum(axis=0)
        return found

    def _due(self, given: State, states: Mapping[str, Any]) -> dict[Target, Any]:
        """What is on its way to each receptor, [delay, unit]."""
        found = {}
        for target, longest in self.longest.items():
            empty = jnp.zeros((0, _count(states[target.path])))
            known = given[self.names[target]] if self.rows[target] else empty
            found[target] = _moved_on(known, longest, first=0)
        return found


def is_constant(source: Any) -> TypeGuard[CurrentInput]:
    """Whether an input is a current that does not change in time."""
    return isinstance(source, CurrentInput) and isinstance(source.current, int | float | np.ndarray)


def _count(state: Any) -> int:
    return len(jax.tree.leaves(state)[0])


def _weight(road: Road, changed: State) -> Any:
    return changed.get(f"{road.path}.weight", 1.0 if road.weight is None else road.weight)


def _joined(due: Any, delays: Sequence[int], y: Any) -> Any:
    """What is on its way, [delay, unit], with what is sent."""
    if len(delays) == 1:
        return due.at[delays[0] - 1].add(y[0])
    return due.at[: len(delays)].add(y)


def _moved_on(due: Any, rows: int, first: int = 1) -> Any:
    """So many rows, from the first one on, filled up with zeros."""
    kept = due[first : first + rows]
    return jnp.concatenate([kept, jnp.zeros((rows - len(kept), due.shape[1]))])


def all_here(sent: Sent) -> Sent:
    """Where all units are here: their values are those of all."""
    return sent
