"""The points of a sweep: which parameters have which values; and the time that each is run.

{"I_e": np.linspace(0, 2, 50), "E.tau_m": [10., 20.]}      all combinations, the last name fastest
[{"g": 4., "eta": 1.}, {"g": 5., "eta": 2.}]               these points and no others
np.rec.fromarrays([g, eta], names="g,eta")                 the same, as a structured array
"""

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Real

from distdyn.errors import AnalysisError
from distdyn.units import shown

NAME = r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*"  # a parameter's path
SEED = "seed"  # the one name that is no parameter
CURE = 'Give e.g. {"I_e": np.linspace(0, 2, 50)}, a list of points, or a structured array.'


@dataclass(frozen=True, eq=False, repr=False)
class Points:
    """The values of each parameter at each point.

    Attributes:
        columns: by name, a number for each point.
        shape: how many values each parameter of a grid has; of other points how many there are.
    """

    columns: Mapping[str, Real[np.ndarray, "n"]]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, grid: Any) -> "Points":
        """The points that a user gives.

        Raises:
            AnalysisError: they are none, or not made of numbers.
        """
        if isinstance(grid, Points):
            return grid
        if isinstance(grid, Mapping):
            axes = {_name(name): _numbers(name, values) for name, values in grid.items()}
            if not axes:
                raise AnalysisError(f"grid = {{}} has no parameter. {CURE}")
            meshes = np.meshgrid(*axes.values(), indexing="ij")
            columns = {name: mesh.ravel() for name, mesh in zip(axes, meshes, strict=True)}
            return cls(columns, tuple(len(axis) for axis in axes.values()))
        if isinstance(grid, np.ndarray) and grid.dtype.names:
            flat = grid.ravel()
            columns = {_name(name): _numbers(name, flat[name]) for name in grid.dtype.names}
            return cls(columns, (len(flat),))
        return cls._of_list(grid)

    @classmethod
    def _of_list(cls, grid: Any) -> "Points":
        if not _is_points(grid):
            raise AnalysisError(f"grid = {shown(grid)} gives no points. {CURE}")
        for k, point in enumerate(grid):
            if set(point) != set(grid[0]) or not point:
                raise AnalysisError(
                    f"grid: point {k} has the parameters {', '.join(map(str, point)) or 'none'}, "
                    f"point 0 has {', '.join(map(str, grid[0])) or 'none'}. Give all points the "
                    "same."
                )
        columns = {_name(name): _numbers(name, [point[name] for point in grid]) for name in grid[0]}
        return cls(columns, (len(grid),))

    def __len__(self) -> int:
        return math.prod(self.shape)

    def __getitem__(self, k: int) -> dict[str, int | float]:
        """One point: numbers by name."""
        return {name: column[k].item() for name, column in self.columns.items()}

    @property
    def sha256(self) -> str:
        """Equal for equal points."""
        digest = hashlib.sha256(repr(self.shape).encode())
        for name, column in self.columns.items():
            digest.update(f"{name}\0{column.dtype.str}\0".encode() + column.tobytes())
        return digest.hexdigest()

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.shape))
        return f"Points of {', '.join(self.columns)}: {size}"


class Span(NamedTuple):
    """The time of a run, in steps of dt ms."""

    dt: float
    warmup: int
    steps: int  # measured
    every: int  # between two samples of a trajectory

    @property
    def duration(self) -> float:
        """Of what is measured, ms."""
        return self.steps * self.dt


def _is_points(grid: Any) -> bool:
    is_list = isinstance(grid, Sequence) and not isinstance(grid, str)
    return is_list and len(grid) > 0 and all(isinstance(point, Mapping) for point in grid)


def _name(name: Any) -> str:
    if not isinstance(name, str) or not re.fullmatch(NAME, name):
        raise AnalysisError(f"grid: {shown(name)} is not the name of a parameter, as E.tau_m is.")
    return name


def _numbers(name: Any, values: Any) -> Real[np.ndarray, "n"]:
    """One axis, as float64 or int64."""
    try:
        array = np.atleast_1d(np.asarray(values))
    except ValueError:  # a ragged list
        array = np.empty(0, object)
    if array.ndim != 1 or not array.size or array.dtype.kind not in "iuf":
        raise AnalysisError(
            f"grid: {shown(name)} = {shown(values)} is no list of numbers. Give numbers, at least "
            "one."
        )
    return np.ascontiguousarray(array, np.float64 if array.dtype.kind == "f" else np.int64)
