"""Where a search begins: points that fill a box, or points that are given or recorded.

A box names variables with their ranges: {"V": (-3, 3), "w": (-1, 3)}. What it does not name begins
as the model does and may end anywhere. Up to three ranges are filled by a grid, more by Sobol's
sequence.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64
from scipy.stats import qmc

from distdyn.analysis.field import Flat, VectorField
from distdyn.errors import AnalysisError
from distdyn.run.recording import Recording
from distdyn.units import shown

Box = Mapping[str, tuple[Any, Any]]
MOST_GRID = 3  # dimensions
DEFAULT = {1: 1024, 2: 2304, 3: 4096}  # starts, by dimensions
MANY, FEW = 2048, 256  # also of so many dimensions, and of more
MOST_SOBOL = 21201  # dimensions that scipy has numbers for


@dataclass(frozen=True, eq=False)
class Region:
    """A box in the n variables of x.

    Attributes:
        low, high: its corners; infinite where it is open.
    """

    low: Float64[np.ndarray, "n"]
    high: Float64[np.ndarray, "n"]

    @classmethod
    def of(cls, flat: Flat, box: Box) -> "Region":
        """A box by names.

        Raises:
            NameLookupError: there is no variable of a name.
            AnalysisError: a range is none.
        """
        if not isinstance(box, Mapping) or not box:
            raise AnalysisError(
                f"box = {shown(box)} names no variable. Give ranges by name, such as "
                f'box={{"{flat.names[0]}": (0, 1)}}; variables: {", ".join(flat.names[:20])}.'
            )
        ends = []
        for side in (0, 1):
            state = {}
            for name, range_ in box.items():
                _check_range(name, range_)
                state[name] = np.asarray(range_[side], np.float64)
            ends.append(
                flat.flatten({n: np.full(s, np.nan) for n, s in flat.shapes.items()} | state)
            )
        low, high = ends
        wrong = ~(low < high) & ~np.isnan(low)
        if wrong.any():
            k = int(np.argmax(wrong))
            raise AnalysisError(
                f'box: "{flat.names[k]}" goes from {low[k]:g} to {high[k]:g}. Give the lower end '
                "first."
            )
        return cls(np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high))

    @property
    def is_bounded(self) -> Bool[np.ndarray, "n"]:
        """Of each variable whether the box has a range for it."""
        return np.isfinite(self.low)

    def unit(self, typical: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
        """By how much the variables change: the ranges, and where there is none, this."""
        return np.where(self.is_bounded, self.high - self.low, typical)

    def contains(
        self, x: Float64[np.ndarray, "m n"], margin: float = 1e-9
    ) -> Bool[np.ndarray, "m"]:
        """Which points lie in it, or outside by no more than this part of its size."""
        room = margin * np.where(self.is_bounded, self.high - self.low, 0.0)
        return np.all((x >= self.low - room) & (x <= self.high + room), axis=1)

    def points(
        self, x0: Float64[np.ndarray, "n"], count: int | None, seed: int
    ) -> Float64[np.ndarray, "m n"]:
        """Points that fill the box: at least `count`, the same for the same seed."""
        (chosen,) = np.nonzero(self.is_bounded)
        d = len(chosen)
        if count is None:
            count = DEFAULT.get(d, MANY if d <= MANY else FEW)
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
            raise AnalysisError(f"n_starts = {shown(count)} is no number of starts. Give one >= 1.")
        if d <= MOST_GRID:
            each = math.ceil(round(count ** (1 / d), 9))
            axis = (np.arange(each) + 0.5) / each
            unit = np.stack(np.meshgrid(*[axis] * d, indexing="ij"), -1).reshape(-1, d)
        elif d <= MOST_SOBOL:
            power = math.ceil(math.log2(count))
            unit = qmc.Sobol(d, rng=np.random.default_rng(seed)).random_base2(power)[:count]
        else:
            unit = np.random.default_rng(seed).random((count, d))
        x = np.tile(x0, (len(unit), 1))
        x[:, chosen] = self.low[chosen] + unit * (self.high - self.low)[chosen]
        return x


def starts_of(
    flat: Flat, box: Box | None, starts: Any, n_starts: int | None, seed: int
) -> tuple[Float64[np.ndarray, "m n"], Region | None]:
    """Where searches for fixed points begin: the given starts, else all over the box; and the box.

    Raises:
        NameLookupError: there is no variable of a name.
        AnalysisError: neither is given, or they do not fit the model.
    """
    if box is None and starts is None:
        raise AnalysisError(
            "fixed_points: where to look? Give a box, such as "
            f'box={{"{flat.names[0]}": (0, 1)}}, or starts=, an array [m, {flat.n}]. The '
            f"variables are {', '.join(flat.names[:20])}."
        )
    region = None if box is None else Region.of(flat, box)
    if starts is None and region is not None:
        return region.points(flat.x0, n_starts, seed), region
    return given_starts(flat, starts), region


def given_starts(flat: Flat, starts: Any) -> Float64[np.ndarray, "m n"]:
    """Starts as a user gives them: an array [m, n], or arrays by name.

    Raises:
        NameLookupError: there is no variable of a name.
        AnalysisError: the shape does not fit, or a number is not finite.
    """
    x = flat.flatten(starts) if isinstance(starts, Mapping) else np.asarray(starts, np.float64)
    x = np.atleast_2d(x)
    if x.ndim != 2 or x.shape[1] != flat.n or not len(x):
        raise AnalysisError(
            f"starts has the shape {x.shape}, and {flat.about.name} has {flat.n} "
            f"variables: {', '.join(flat.names[:20])}. Give an array [m, {flat.n}], or arrays by "
            "name."
        )
    if not np.isfinite(x).all():
        raise AnalysisError("starts has a number that is not finite. Give finite numbers.")
    return x


def states_of(flat: Flat, states: Any) -> Float64[np.ndarray, "s n"]:
    """States as a user gives them: an array [s, n], arrays by variable, or a recording of all.

    Raises:
        NameLookupError: there is no variable of a name.
        AnalysisError: a variable was not recorded, or the shape does not fit.
    """
    if not isinstance(states, Recording):
        return given_starts(flat, states)
    traces = {name: states.traces[name] for name in flat.shapes if name in states.trace_rows}
    sizes = {name: int(np.prod(shape, dtype=int)) for name, shape in flat.shapes.items()}
    missing = [name for name, size in sizes.items()
               if name not in traces or len(traces[name].id) != size]  # fmt: skip
    if missing:
        raise AnalysisError(
            f"states: the recording has not all of {', '.join(missing)}, and a state is all "
            f"variables. Run again with record={list(flat.shapes)}."
        )
    if len({tuple(trace.time) for trace in traces.values()}) > 1:
        raise AnalysisError(
            "states: the variables were recorded at different times. Record all with one `every`."
        )
    return given_starts(flat, {
        name: trace.value.reshape(-1, *flat.shapes[name]) for name, trace in traces.items()
    })  # fmt: skip


def moved(
    field: VectorField, parameters: Mapping[str, Any] | None
) -> tuple[Flat, Float64[np.ndarray, "k"]]:
    """The field with some parameters in the place of the model's, and their values.

    Raises:
        NameLookupError: there is no parameter of a name.
        AnalysisError: a value is not one finite number.
    """
    given = dict(parameters or {})
    flat = field.flat(tuple(given))
    for name, value in given.items():
        if np.ndim(value) or not _is_finite(value):
            raise AnalysisError(
                f'{field.name}: parameter "{name}" = {shown(value)} is no number. Give one finite '
                f"number, such as {float(field.parameters[name]):g}, which the model has."
            )
    return flat, np.array([*given.values()], np.float64)


def _is_finite(value: Any) -> bool:
    """Whether it is a finite number, or an array of some."""
    try:
        return bool(np.isfinite(np.asarray(value, np.float64)).all())
    except (TypeError, ValueError):
        return False


def _check_range(name: str, range_: Any) -> None:
    is_pair = isinstance(range_, tuple | list | np.ndarray) and len(range_) == 2
    if not is_pair or not all(map(_is_finite, range_)):
        raise AnalysisError(
            f'box: "{name}": {shown(range_)} is no range. Give two finite numbers, as (0, 1).'
        )
