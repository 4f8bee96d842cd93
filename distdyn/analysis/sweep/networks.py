"""Sweeps of whole networks: each point is a run of its own, by one rank.

A name of the grid is an argument of the network, if it is given as a class or function, else a path
of the network, as `runner["E"].tau_m` and `runner["exc"].weight` are; `seed` is that of the runner.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np

from distdyn.analysis import measure
from distdyn.analysis.sweep.grid import SEED, Points, Span
from distdyn.analysis.sweep.models import name_of
from distdyn.analysis.sweep.parameters import parameters_of
from distdyn.core.parameters import fields_of
from distdyn.core.system import DynamicalSystem, state_fields
from distdyn.errors import AnalysisError, NameLookupError, suggestion
from distdyn.network.network import Graph, Network, graph
from distdyn.parallel.launch import World
from distdyn.run.record import CELL
from distdyn.run.recording import Recording
from distdyn.run.runner import DSRunner

LOOKS = 20  # of a run, at which others are told that it goes on


def rate(recording: Recording) -> dict[str, float]:
    """Spikes per neuron and second of each recorded population: `E.rate`, Hz."""
    return {f"{path}.rate": value for path, value in recording.rates().items()}


def cv(recording: Recording) -> dict[str, float]:
    """The mean coefficient of variation of intervals in each recorded population: `E.cv`."""
    found = {}
    for path, spikes in recording.spikes.items():
        each = measure.cv(spikes, n=recording.sizes[path])
        known = each[np.isfinite(each)]
        found[f"{path}.cv"] = float(known.mean()) if len(known) else np.nan
    return found


NAMED: dict[str, Callable[[Recording], dict[str, float]]] = {"rate": rate, "cv": cv}


class NetworkWork:
    """The runs of a sweep of a network.

    Attributes:
        measures: the names of what is measured; None until a run has said them.
        units: how many runs there are.
    """

    width = capacity = size = 1  # runs at a time

    def __init__(
        self,
        system: Any,
        points: Points,
        measures: Sequence[Any],
        span: Span,
        *,
        world: World,
        seed: int,
        record: Any,
        **runner: Any,
    ) -> None:
        self.points, self.span, self._world, self._seed = points, span, world, seed
        self._system, self._record, self._runner = system, record, runner
        self._functions = [_function(m) for m in measures]
        self.measures: tuple[str, ...] | None = None
        self.units = len(points)
        known = inspect.signature(system).parameters if _is_factory(system) else {}
        takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in known.values())
        names = [name for name in points.columns if name != SEED]
        self._arguments = [n for n in names if n in known or (takes_any and "." not in n)]
        self._paths = [name for name in names if name not in self._arguments]
        if self._paths:
            self._check_paths(known)

    def points_of(self, unit: int) -> range:
        """The point of a run."""
        return range(unit, unit + 1)

    def do(self, units: Sequence[int]) -> list[tuple[dict[str, np.ndarray], list[str]]]:
        """What some runs come to: of each the values by name, and why it failed."""
        return [self._one(unit) for unit in units]

    def network(self, k: int) -> Any:
        """The network, or system, of a point."""
        point = self.points[k]
        if not _is_factory(self._system):
            return self._system
        return self._system(**{name: point[name] for name in self._arguments})

    def size_of_first(self) -> int:
        """How many neurons the first point has."""
        first = self.network(0)
        return graph(first).size if isinstance(first, Network) else 1

    def on(self, devices: int) -> "NetworkWork":
        """The same, with so many devices for each run."""
        self._runner["devices"] = devices
        return self

    def _one(self, k: int) -> tuple[dict[str, np.ndarray], list[str]]:
        try:
            found = self._run(k)
        except Exception as error:
            return {}, [f"{type(error).__name__}: {error}"]
        wrong = [name for name, value in found.items() if not np.isfinite(value)]
        reason = f"{wrong[0]} is {found[wrong[0]]:g}" if wrong else ""
        if self.measures is None:
            self.measures = tuple(found)
        elif set(found) != set(self.measures):
            return {}, [f"measures {', '.join(found)}, where others gave {self.measures}"]
        return {name: np.array([value]) for name, value in found.items()}, [reason]

    def _run(self, k: int) -> dict[str, float]:
        point, span = self.points[k], self.span
        with DSRunner(
            self.network(k),
            dt=span.dt,
            seed=int(point.get(SEED, self._seed)),
            record=self._record,
            progress="off",
            world=World(),
            **self._runner,
        ) as runner:
            for name in self._paths:
                _set(runner, name, point[name])
            runner.warm_up(span.warmup * span.dt)
            every = max(1, span.steps // LOOKS) * span.dt
            recording = runner.run(span.duration, every=every, call=self._tell)
        found: dict[str, float] = {}
        for function in self._functions:
            found |= _numbers(function(recording), name_of(function))
        return found

    def _tell(self, runner: DSRunner) -> None:
        """Let the ranks that wait for us know that we do not stand still."""
        self._world.watch.progress(runner.step)

    def _check_paths(self, arguments: Mapping[str, Any]) -> None:
        """Raise a NameLookupError for a name that the first point's network does not have."""
        system = self.network(0)
        members = graph(system) if isinstance(system, Network) else None
        for name in self._paths:
            known = _names_of(members, system)
            if name not in known:
                raise NameLookupError(
                    f'grid: there is no "{name}". {suggestion(name, [*arguments, *known, SEED])}'
                )


def _is_factory(system: Any) -> bool:
    """Whether it makes a network, and is none."""
    return callable(system) and not isinstance(system, Network | DynamicalSystem)


def _names_of(members: Graph | None, system: Any) -> list[str]:
    """What can be set, by path."""
    if members is None:
        return [*parameters_of(system), *fields_of(system), *state_fields(system)]
    names = [
        f"{path}.{name}"
        for path, population in members.populations.items()
        for name in _names_of(None, population.model)
    ]
    return names + [f"{path}.weight" for path in members.projections]


def _set(runner: DSRunner, name: str, value: float) -> None:
    """Set `E.INa.g` of a runner."""
    members = [*runner.graph.populations, *runner.graph.projections]
    inside = [path for path in members if name.startswith(f"{path}.")]
    path = max(inside, key=len) if inside else CELL
    *parts, last = name.removeprefix(f"{path}.").split(".")
    setattr(reduce(getattr, parts, runner[path]), last, value)


def _function(measure: Any) -> Callable[[Recording], Any]:
    if callable(measure):
        return measure
    if measure not in NAMED:
        raise AnalysisError(f'measure "{measure}" is unknown. {suggestion(measure, NAMED)}')
    return NAMED[measure]


def _numbers(found: Any, what: str) -> dict[str, float]:
    if not isinstance(found, Mapping) or not found or any(np.ndim(x) for x in found.values()):
        raise AnalysisError(
            f"measure {what} gives {found!r:.80}, not numbers by name. Return a dict such as "
            '{"rate": 5.1}.'
        )
    return {str(name): float(value) for name, value in found.items()}
