"""What a search for limit cycles gives: branches of cycles, and the special points on them.

cycles = an.limit_cycles("I_e", (0., 2.))
cycles.points("LPC")                      # folds of cycles: value, period, state
cycles[0].values, cycles[0].periods       # [t], with multipliers, minima and maxima, stable
cycles.at(0.6)                            # the cycles at a value of the parameter
cycles.plot(variable="V")                 # minima and maxima, solid where stable
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Complex128, Float64

from distdyn.analysis.cycles.branch import Cycle, Followed, Problem, Special
from distdyn.analysis.cycles.collocation import Orbit
from distdyn.analysis.cycles.doubling import doubled
from distdyn.analysis.cycles.mesh import DEGREE, extremes, node_times
from distdyn.analysis.field import Flat
from distdyn.errors import AnalysisError, suggestion
from distdyn.run.store import write_arrays

KINDS = {
    "LPC": "fold of cycles",
    "BPC": "branch point of cycles",
    "PD": "period doubling",
    "NS": "Neimark-Sacker bifurcation",
    "H": "Hopf bifurcation",
    "HOM": "homoclinic orbit to a saddle",
    "SNIC": "saddle-node on an invariant circle",
}


@dataclass(frozen=True, eq=False)
class LimitCycle:
    """A periodic solution.

    Attributes:
        value: of the parameter.
        period: ms.
        time: of the nodes of its mesh, ms, from 0 to the period.
        x: the state there, a row each; the last is the first.
        minimum, maximum: of each variable.
        multipliers: Floquet's; first what was found for the one that is 1, then the largest.
        flat: whose cycle it is.
    """

    value: float
    period: float
    time: Float64[np.ndarray, "k"]
    x: Float64[np.ndarray, "k n"]
    minimum: Float64[np.ndarray, "n"]
    maximum: Float64[np.ndarray, "n"]
    multipliers: Complex128[np.ndarray, "n"]
    flat: Flat = field(repr=False)

    @property
    def state(self) -> dict[str, Any]:
        """The states by variable: `state["V"][k]` is V at `time[k]`."""
        return self.flat.unflatten(self.x)

    @property
    def stable(self) -> bool:
        """Whether all multipliers but the one that is 1 lie within the unit circle."""
        return bool(np.all(np.abs(self.multipliers[1:]) < 1.0))

    def __repr__(self) -> str:
        which = "stable" if self.stable else "unstable"
        name = self.flat.parameters[0]
        return f"{which} cycle at {name} = {self.value:.10g}, period {self.period:.10g} ms"

    def plot(self, ax: Any = None) -> Any:
        """The variables over one period; returns the figure."""
        from distdyn.plot.cycles import cycle

        return cycle(self, ax)

    def save(self, path: str | Path) -> None:
        """Write it to an HDF5 file; complex numbers as pairs."""
        arrays = {
            "time": self.time, "x": self.x, "minimum": self.minimum, "maximum": self.maximum,
            "multipliers": _pairs(self.multipliers),
        }  # fmt: skip
        write_arrays(
            Path(path), arrays, kind="limit cycle", names=list(self.flat.names),
            system=self.flat.about.name, parameter=self.flat.parameters[0], value=self.value,
            period=self.period,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class SpecialCycle:
    """A bifurcation of cycles, or the end of a branch.

    Attributes:
        kind: see `KINDS`.
        value: of the parameter.
        x: a state on the cycle; of H, HOM and SNIC the equilibrium.
        state: the same by the names of variables.
        period: ms; of H that of what is born, of HOM and SNIC that of the last cycle before.
        cycle: the cycle; None at an end.
    """

    kind: str
    value: float
    x: Float64[np.ndarray, "n"]
    state: Mapping[str, Any]
    period: float
    cycle: LimitCycle | None = None

    def __repr__(self) -> str:
        state = ", ".join(f"{name} = {np.ravel(v)[0]:.6g}" for name, v in self.state.items())
        return f"{self.kind} at {self.value:.10g} ({state}), period {self.period:.6g} ms"


@dataclass(frozen=True, eq=False)
class CycleBranch:
    """A curve of cycles over one parameter.

    Attributes:
        values: of the parameter, [t].
        periods: ms.
        minima, maxima: of each variable along the cycle, [t, n].
        multipliers: [t, n], as in `LimitCycle`.
        cycles: the cycles themselves.
        special: the special points on it, in order.
        at: between which cycles they lie: after cycle at[k]; -1 is before the first.
        ends: why it ends, at its first and at its last cycle: "bound" (of the interval), "closed",
            "period" (longer than asked for), "steps" (too many), "stuck" (it could not be
            followed), or the kind of a special point.
    """

    values: Float64[np.ndarray, "t"]
    periods: Float64[np.ndarray, "t"]
    minima: Float64[np.ndarray, "t n"]
    maxima: Float64[np.ndarray, "t n"]
    multipliers: Complex128[np.ndarray, "t n"]
    cycles: tuple[LimitCycle, ...] = field(repr=False)
    special: tuple[SpecialCycle, ...]
    at: tuple[int, ...]
    ends: tuple[str, str]

    @property
    def stable(self) -> Bool[np.ndarray, "t"]:
        """Whether all multipliers but the one that is 1 lie within the unit circle."""
        return np.asarray(np.all(np.abs(self.multipliers[:, 1:]) < 1.0, axis=1))

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, eq=False)
class LimitCycles:
    """Branches of cycles that were found together.

    Attributes:
        branches: in the order in which they were found.
        parameter: the name of the parameter.
        names: of the variables.
        system: the name of the model.
        message: what a reader should know, "" if nothing.
    """

    branches: tuple[CycleBranch, ...]
    parameter: str
    names: tuple[str, ...]
    system: str
    message: str
    problem: Problem = field(repr=False)

    def __iter__(self) -> Iterator[CycleBranch]:
        return iter(self.branches)

    def __len__(self) -> int:
        return len(self.branches)

    def __getitem__(self, k: int) -> CycleBranch:
        return self.branches[k]

    def points(self, kind: str | None = None) -> list[SpecialCycle]:
        """The special points of a kind, or all, of all branches, sorted by value.

        Raises:
            AnalysisError: there is no such kind.
        """
        if kind is not None and kind not in KINDS:
            raise AnalysisError(f'points: there is no kind "{kind}". {suggestion(kind, KINDS)}')
        every = [point for branch in self.branches for point in branch.special]
        return sorted((p for p in every if kind in (None, p.kind)), key=lambda p: p.value)

    def at(self, value: float) -> list[LimitCycle]:
        """The cycles at a value of the parameter, branch by branch, in order.

        Raises:
            AnalysisError: a branch passes the value, and its cycle there cannot be computed.
        """
        found = []
        for branch in self.branches:
            for k in np.flatnonzero(_passes(branch.values, value)).tolist():
                a, b = (_orbit(branch.cycles[j]) for j in (k, k + 1))
                part = (value - a.value) / (b.value - a.value)
                nodes = a.nodes + part * (b.on(a.mesh).nodes - a.nodes)
                period = a.period + part * (b.period - a.period)
                guesses = [
                    Orbit(a.mesh, nodes, period, value),
                    *(o._replace(value=value) for o in (a, b)),
                ]
                cycle = next(filter(None, map(self.problem.at_value, guesses)), None)
                if cycle is None:
                    raise AnalysisError(
                        f"at: the branch passes {self.parameter} = {value:g} between cycles {k} "
                        f"and {k + 1}, and Newton's method does not converge there. Follow it with "
                        "shorter steps: limit_cycles(..., steps=)."
                    )
                found.append(_limit_cycle(cycle, self.problem.family.flat))
        return found

    def doubled(self, point: SpecialCycle) -> "LimitCycles":
        """The branch of cycles of twice the period that begins at a period doubling.

        Raises:
            AnalysisError: the point is none, or no doubled cycles are found.
        """
        if point.kind != "PD" or point.cycle is None:
            raise AnalysisError(f"doubled: {point!r} is no period doubling (PD).")
        mu = point.cycle.multipliers
        try:
            found = doubled(self.problem, Cycle(_orbit(point.cycle), mu[1:], float(mu[0].real)))
        except np.linalg.LinAlgError as error:
            raise AnalysisError(f"doubled: no doubled cycles were found near {point!r}.") from error
        branch = branch_of(found, self.problem.family.flat)
        return replace(self, branches=(branch,), message="")

    def __repr__(self) -> str:
        what = "branch" if len(self) == 1 else "branches"
        lines = [f"{len(self)} {what} of cycles of {self.system} over {self.parameter}"]
        for k, branch in enumerate(self.branches):
            first, last = branch.values[0], branch.values[-1]
            lines.append(
                f"  {k}: {len(branch)} cycles from {first:.6g} ({branch.ends[0]}) to {last:.6g} "
                f"({branch.ends[1]}), periods {branch.periods.min():.6g} to "
                f"{branch.periods.max():.6g} ms"
            )
        points = (f"  {point!r}" for point in self.points())
        return "\n".join([*lines, *points, *filter(None, [self.message])])

    def plot(self, ax: Any = None, variable: str | None = None) -> Any:
        """Minima and maxima of a variable, by default the first, over the parameter.

        Solid where the cycle is stable; returns the figure.
        """
        from distdyn.plot.cycles import branches

        return branches(self, ax, variable)

    def save(self, path: str | Path) -> None:
        """Write everything to an HDF5 file; complex numbers as pairs.

        A branch k has k/values, periods, minima, maxima, multipliers, at, and its cycles on their
        meshes, one after the other: k/time and k/x, those of cycle j from k/first[j] on.
        """
        arrays: dict[str, np.ndarray] = {}
        for k, branch in enumerate(self.branches):
            for name in ("values", "periods", "minima", "maxima"):
                arrays[f"{k}/{name}"] = getattr(branch, name)
            arrays[f"{k}/multipliers"] = _pairs(branch.multipliers)
            arrays[f"{k}/at"] = np.array(branch.at, np.int64)
            arrays[f"{k}/time"] = np.concatenate([cycle.time for cycle in branch.cycles])
            arrays[f"{k}/x"] = np.concatenate([cycle.x for cycle in branch.cycles])
            lengths = [len(cycle.time) for cycle in branch.cycles]
            arrays[f"{k}/first"] = np.cumsum([0, *lengths[:-1]])
            arrays[f"{k}/special"] = np.array(
                [[point.value, point.period, *point.x] for point in branch.special]
            ).reshape(len(branch.special), -1)
        about = {
            "parameter": self.parameter,
            "names": self.names,
            "system": self.system,
            "message": self.message,
            "branches": [
                {"ends": branch.ends, "special": [point.kind for point in branch.special]}
                for branch in self.branches
            ],
        }
        write_arrays(Path(path), arrays, kind="limit cycles", about=json.dumps(about))


def branch_of(followed: Followed, flat: Flat) -> CycleBranch:
    """A branch as a reader wants it."""
    cycles = tuple(_limit_cycle(cycle, flat) for cycle in followed.cycles)
    return CycleBranch(
        np.array([cycle.value for cycle in cycles]),
        np.array([cycle.period for cycle in cycles]),
        np.array([cycle.minimum for cycle in cycles]),
        np.array([cycle.maximum for cycle in cycles]),
        np.array([cycle.multipliers for cycle in cycles]),
        cycles,
        tuple(_special(special, flat) for special in followed.specials),
        tuple(special.after for special in followed.specials),
        followed.ends,
    )


def _special(special: Special, flat: Flat) -> SpecialCycle:
    cycle = None if special.cycle is None else _limit_cycle(special.cycle, flat)
    state = flat.unflatten(special.state)
    return SpecialCycle(special.kind, special.value, special.state, state, special.period, cycle)


def _limit_cycle(cycle: Cycle, flat: Flat) -> LimitCycle:
    mesh, nodes, period, value = cycle.orbit
    minimum, maximum = extremes(mesh, nodes)
    return LimitCycle(
        value, period, period * np.append(node_times(mesh), 1.0), np.vstack([nodes, nodes[:1]]),
        minimum, maximum, np.append(cycle.trivial + 0j, cycle.multipliers), flat,
    )  # fmt: skip


def _orbit(cycle: LimitCycle) -> Orbit:
    return Orbit(cycle.time[::DEGREE] / cycle.period, cycle.x[:-1], cycle.period, cycle.value)


def _passes(values: Float64[np.ndarray, "t"], value: float) -> Bool[np.ndarray, "t-1"]:
    """Between which neighbours a value lies; one that is met exactly, once."""
    below = values < value
    ends = (values[:-1] == value) & (np.arange(len(values) - 1) == 0) & ~below[1:]
    return np.asarray((below[:-1] != below[1:]) | ends)


def _pairs(z: Complex128[np.ndarray, "..."]) -> Float64[np.ndarray, "... 2"]:
    return np.stack([np.real(z), np.imag(z)], axis=-1)
