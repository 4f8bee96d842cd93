"""DSAnalyzer: the questions that one asks of the equations, and not of a run.

    an = dd.DSAnalyzer(dd.FitzHughNagumo(I_e=0.5))
    an.fixed_points(box={"V": (-3, 3), "w": (-1, 3)})
    an.phase_plane(x="V", y="w", box={"V": (-3, 3), "w": (-1, 3)}).plot()

Every answer is an object of arrays, with `plot(ax=None)` and `save(path)`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from distdyn.analysis.field import VectorField, vector_field
from distdyn.analysis.fixed_points import FixedPoints, find_fixed_points
from distdyn.analysis.phase_plane import PhaseLine, PhasePlane, phase_line, phase_plane
from distdyn.analysis.slice import sliced
from distdyn.analysis.starts import Box, Region, given_starts
from distdyn.errors import AnalysisError
from distdyn.parallel.launch.devices import local_devices
from distdyn.parallel.launch.ranks import World


class DSAnalyzer:
    """A model or network, to be analysed.

    Args:
        system: an ODE, a network of rate models, or a `VectorField`.
        dt: ms, of the step of a model that has no derivative.
        seed: of the connections and weights that a network draws, as in `DSRunner`.

    Attributes:
        field: its vector field.

    Raises:
        AnalysisError: it has no vector field; see `vector_field`.
    """

    def __init__(self, system: Any, *, dt: float | None = None, seed: int = 0) -> None:
        self.field: VectorField = vector_field(system, dt=dt, seed=seed)

    def fixed_points(
        self,
        box: Box | None = None,
        starts: Any = None,
        *,
        n_starts: int | None = None,
        seed: int = 0,
        devices: int | None = None,
    ) -> FixedPoints:
        """All fixed points in a box, with their eigenvalues and stability.

        Searches begin all over the box, or where `starts` says. A point is missed only if none
        ends there: `n_starts` says how sure one is.

        Args:
            box: ranges by variable, `{"V": (-3, 3), "w": (-1, 3)}`. Variables that it does not name
                begin as the model does and may end anywhere.
            starts: [m, n], or arrays by variable: begin there, and not in the box.
            n_starts: how many starts, at least; by default 1024 to 4096, by the dimension.
            seed: of starts in more than three dimensions.
            devices: how many local devices share the searches; one by default.

        Raises:
            NameLookupError: there is no variable of a name.
            AnalysisError: neither a box nor starts are given, or they do not fit the model.
        """
        flat = self.field.flat()
        if box is None and starts is None:
            raise AnalysisError(
                "fixed_points: where to look? Give a box, such as "
                f'box={{"{flat.names[0]}": (0, 1)}}, or starts=, an array [m, {flat.n}]. The '
                f"variables are {', '.join(flat.names[:20])}."
            )
        region = None if box is None else Region.of(flat, box)
        if starts is not None:
            x = given_starts(flat, starts)
        else:
            assert region is not None
            x = region.points(flat.x0, n_starts, seed)
        return find_fixed_points(flat, x, region, devices=local(devices))

    def phase_plane(
        self,
        x: str | None = None,
        y: str | None = None,
        *,
        box: Box,
        fixed: Mapping[str, Any] | None = None,
        steady: Sequence[str] = (),
        resolution: int = 201,
        devices: int | None = None,
    ) -> PhasePlane | PhaseLine:
        """The plane of two variables, or the line of one: field, nullclines, fixed points, flow.

        Args:
            x: a variable; by default those that the box names.
            y: the other one; None with x given: x alone.
            box: their ranges.
            fixed: values of other variables; those that are named nowhere are held at the values
                with which the model begins.
            steady: other variables that follow at once: their own derivative is 0.
            resolution: points of the grid along each variable.
            devices: how many local devices share the search for fixed points.

        Raises:
            NameLookupError: there is no variable of a name.
            AnalysisError: it is more than two variables, or a range is missing.
        """
        moving = tuple(box) if x is None else (x,) if y is None else (x, y)
        if len(moving) > 2:
            raise AnalysisError(
                f"phase_plane: a plane has two variables, not {len(moving)}: {', '.join(moving)}. "
                "Name two as x and y, and give values of the others: fixed={...}."
            )
        part = sliced(self.field, moving, fixed, steady)
        of = phase_line if len(moving) == 1 else phase_plane
        return of(part, box, resolution, local(devices))

    def slice(
        self, moving: Sequence[str], fixed: Mapping[str, Any] | None = None,
        steady: Sequence[str] = (),
    ) -> "DSAnalyzer":  # fmt: skip
        """The analyzer of some variables alone; those that are held become parameters.

        Args:
            moving: the variables that move.
            fixed: values of others.
            steady: which follow at once.
        """
        return DSAnalyzer(sliced(self.field, moving, fixed, steady))

    def __repr__(self) -> str:
        return f"DSAnalyzer({self.field!r})"


def local(devices: int | None) -> list[Any]:
    """So many devices of this process; None is one.

    Raises:
        PlatformError: there are fewer.
    """
    return local_devices(1 if devices is None else devices, None, World())
