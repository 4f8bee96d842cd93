"""The phase plane of two variables: field, nullclines, fixed points, separatrices, trajectories.

    plane = dd.DSAnalyzer(model).phase_plane(x="V", y="w", box={"V": (-3, 3), "w": (-1, 3)})
    plane.nullclines["V"]                         # lines on which V' = 0, each [m, 2]
    plane.plot()

Of a larger system it is the plane of two variables with the others held, or quasi-steady
(`slice`). Of one variable it is the line: the derivative over the variable.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float64

from distdyn.analysis.field import Flat, State, VectorField
from distdyn.analysis.plane.contour import onto_zero, zero_lines
from distdyn.analysis.plane.separatrix import Separatrix, separatrices
from distdyn.analysis.plane.trajectory import Trajectory, trajectory
from distdyn.analysis.points.fixed_points import FixedPoints, find_fixed_points
from distdyn.analysis.points.starts import Box, Region
from distdyn.analysis.sharing import ALONE, Ranks
from distdyn.errors import AnalysisError
from distdyn.run.store import write_arrays

REACH = 2.0  # cells of the grid by which a point of a nullcline may be moved onto it


@dataclass(frozen=True, eq=False)
class PhasePlane:
    """Two variables of a system.

    Attributes:
        names: of the two.
        x, y: where the field was evaluated.
        velocity: [y, x, 2]: the derivatives of the two; of a map by how much they change.
        nullclines: by variable the lines on which its derivative is 0, each [m, 2].
        fixed_points: all in the box.
        separatrices: the stable and unstable manifolds of the saddles.
        flat: the field in the plane.
    """

    names: tuple[str, str]
    x: Float64[np.ndarray, "columns"]
    y: Float64[np.ndarray, "rows"]
    velocity: Float64[np.ndarray, "rows columns 2"]
    nullclines: dict[str, list[Float64[np.ndarray, "m 2"]]]
    fixed_points: FixedPoints
    separatrices: list[Separatrix]
    flat: Flat = field(repr=False)

    def __repr__(self) -> str:
        (a, b), (c, d) = self.box
        x, y = self.names
        return (
            f"Phase plane: {x} from {a:g} to {b:g}, {y} from {c:g} to {d:g}; "
            f"{len(self.separatrices)} separatrices\n{self.fixed_points}"
        )

    @property
    def box(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """What is shown: the range of x and that of y."""
        return (float(self.x[0]), float(self.x[-1])), (float(self.y[0]), float(self.y[-1]))

    def trajectory(
        self, start: State | Sequence[float], T: float, points: int = 1001
    ) -> Trajectory:
        """From a state in the plane for T ms (T < 0: back in time).

        Args:
            start: by name, or both values.
            T: ms; of a map the number of iterates.
            points: how many times are returned.

        Raises:
            AnalysisError: the start does not fit, or it cannot be followed to T.
        """
        return trajectory(self.flat, as_point(self.flat, start), T, points=points)

    def plot(self, ax: Any = None, *, trajectories: Sequence[Trajectory] = ()) -> Any:
        """Draw it, into these axes if they are given; returns the figure."""
        from distdyn.plot.phase import phase_plane

        return phase_plane(self, ax, trajectories)

    def save(self, path: str | Path) -> None:
        """Write all of it to an HDF5 file."""
        arrays = {"x": self.x, "y": self.y, "velocity": self.velocity}
        for name, lines in self.nullclines.items():
            arrays |= {f"nullclines/{name}/{k}": line for k, line in enumerate(lines)}
        for k, line in enumerate(self.separatrices):
            arrays[f"separatrices/{line.kind}/{k}"] = line.x
        arrays |= self.fixed_points.arrays("fixed_points/")
        write_arrays(Path(path), arrays, kind="phase plane", names=list(self.names))


@dataclass(frozen=True, eq=False)
class PhaseLine:
    """One variable of a system.

    Attributes:
        name: of it.
        x: where the field was evaluated.
        velocity: its derivative there; of a map by how much it changes.
        fixed_points: all in the box.
        flat: the field on the line.
    """

    name: str
    x: Float64[np.ndarray, "columns"]
    velocity: Float64[np.ndarray, "columns"]
    fixed_points: FixedPoints
    flat: Flat = field(repr=False)

    def __repr__(self) -> str:
        return f"Phase line: {self.name} from {self.x[0]:g} to {self.x[-1]:g}\n{self.fixed_points}"

    def trajectory(
        self, start: State | Sequence[float], T: float, points: int = 1001
    ) -> Trajectory:
        """From a state on the line for T ms, as in the plane."""
        return trajectory(self.flat, as_point(self.flat, start), T, points=points)

    def plot(self, ax: Any = None) -> Any:
        """Draw it, into these axes if they are given; returns the figure."""
        from distdyn.plot.phase import phase_line

        return phase_line(self, ax)

    def save(self, path: str | Path) -> None:
        """Write all of it to an HDF5 file."""
        arrays = {"x": self.x, "velocity": self.velocity}
        arrays |= self.fixed_points.arrays("fixed_points/")
        write_arrays(Path(path), arrays, kind="phase line", names=[self.name])


def phase_plane(
    about: VectorField, box: Box, resolution: int, devices: Sequence[Any], ranks: Ranks = ALONE
) -> PhasePlane:
    """The phase plane of a field of two variables. Collective.

    Raises:
        AnalysisError: the box does not give both ranges.
    """
    flat, region = _in_box(about, box, resolution)
    axes = [np.linspace(a, b, resolution) for a, b in zip(region.low, region.high, strict=True)]
    grid = np.stack(np.meshgrid(*axes), -1)
    with jax.enable_x64(True):
        g = flat.residual
        velocity = np.asarray(jax.jit(jax.vmap(jax.vmap(lambda x: g(x, flat.p0))))(grid))
        _check_finite(flat, velocity)
        unit = region.high - region.low
        lines = [zero_lines(velocity[..., k], *axes) for k in range(2)]
        lines = onto_zero(lambda x: g(x, flat.p0), lines, unit, REACH / resolution)
    nullclines = dict(zip(flat.names, lines, strict=True))
    starts = region.points(flat.x0, None, 0)
    points = find_fixed_points(flat, starts, region, devices=devices, ranks=ranks)
    manifolds = separatrices(flat, points, region, ranks) if flat.is_continuous else []
    names = flat.names[0], flat.names[1]
    return PhasePlane(names, axes[0], axes[1], velocity, nullclines, points, manifolds, flat)


def phase_line(
    about: VectorField, box: Box, resolution: int, devices: Sequence[Any], ranks: Ranks = ALONE
) -> PhaseLine:
    """The phase line of a field of one variable. Collective.

    Raises:
        AnalysisError: the box does not give the range.
    """
    flat, region = _in_box(about, box, resolution)
    x = np.linspace(region.low[0], region.high[0], resolution)
    with jax.enable_x64(True):
        velocity = np.asarray(jax.jit(jax.vmap(lambda x: flat.residual(x, flat.p0)))(x[:, None]))
    _check_finite(flat, velocity)
    starts = region.points(flat.x0, None, 0)
    points = find_fixed_points(flat, starts, region, devices=devices, ranks=ranks)
    return PhaseLine(flat.names[0], x, velocity[:, 0], points, flat)


def as_point(flat: Flat, state: State | Sequence[float]) -> Float64[np.ndarray, "n"]:
    """A state given by name, or as numbers in the order of the variables."""
    if hasattr(state, "keys"):
        return flat.flatten(state)  # pyright: ignore[reportArgumentType]
    return np.asarray(state, np.float64)


def _in_box(about: VectorField, box: Box, resolution: int) -> tuple[Flat, Region]:
    flat = about.flat()
    if resolution < 2:
        raise AnalysisError(
            f"phase_plane: resolution = {resolution} is no grid. Give the points along each "
            "variable, such as 201."
        )
    for name in flat.names:
        if not isinstance(box, dict) or name not in box:
            raise AnalysisError(
                f'phase_plane: the box has no range for "{name}". Give '
                f"box={{{', '.join(f'{chr(34)}{n}{chr(34)}: (low, high)' for n in flat.names)}}}."
            )
    return flat, Region.of(flat, {name: box[name] for name in flat.names})


def _check_finite(flat: Flat, velocity: Any) -> None:
    if not math.isfinite(np.nanmax(np.abs(velocity), initial=0.0)) or np.isnan(velocity).all():
        raise AnalysisError(
            f"{flat.about.name}: the field is not finite in the box. Choose a box within which the "
            "equations hold."
        )
