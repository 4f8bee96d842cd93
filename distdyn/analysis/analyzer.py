"""DSAnalyzer: the questions that one asks of the equations, and not of a run.

    an = dd.DSAnalyzer(dd.FitzHughNagumo(I_e=0.5))
    an.fixed_points(box={"V": (-3, 3), "w": (-1, 3)})
    an.phase_plane(x="V", y="w", box={"V": (-3, 3), "w": (-1, 3)}).plot()
    an.continuation("I_e", (0.0, 2.0)).points("H")

Every answer is an object of arrays, with `plot(ax=None)` and `save(path)`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from distdyn.analysis.continuation import (
    Branches,
    Family,
    SpecialPoint,
    Steps,
    beginnings,
    bifurcation_curves,
    equilibrium_branches,
)
from distdyn.analysis.continuation.begin import checked_interval
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
        parameters: Mapping[str, float] | None = None,
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
            parameters: values in the place of the model's, by name.
            n_starts: how many starts, at least; by default 256 to 4096, by the dimension.
            seed: of starts in more than three dimensions.
            devices: how many local devices share the searches; one by default.

        Raises:
            NameLookupError: there is no variable or parameter of a name.
            AnalysisError: neither a box nor starts are given, or they do not fit the model.
        """
        moved = dict(parameters or {})
        flat, p = self.field.flat(tuple(moved)), np.array([*moved.values()], np.float64)
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
        return find_fixed_points(flat, x, region, p, devices=local(devices))

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

    def continuation(
        self,
        parameter: str,
        interval: tuple[float, float],
        *,
        box: Box | None = None,
        starts: Any = None,
        n_starts: int | None = None,
        seed: int = 0,
        steps: Steps | None = None,
    ) -> Branches:
        """The branches of equilibria over a parameter, with their folds, Hopf and branch points.

        Branches begin at the equilibria at both ends of the interval, and at the model's own value
        of the parameter if that lies inside. Where branches cross, all are followed. A closed
        branch that reaches none of these values and crosses no other is found only in a box, which
        is searched at some values between as well.

        Args:
            parameter: its name.
            interval: its smallest and largest value.
            box: ranges by variable where equilibria to begin with are searched for. Without it,
                and without `starts`, Newton's method begins where the model does and where it goes.
            starts: [m, n], or arrays by variable: states from which Newton's method begins.
            n_starts: how many starts in the box, at least.
            seed: of starts in more than three dimensions.
            steps: along the branches.

        Raises:
            NameLookupError: there is no parameter or variable of a name.
            AnalysisError: the interval is empty or reversed; no equilibrium is found to begin with;
                one is singular; it is a map.
        """
        family = Family(self.field.flat(parameter))
        ends = checked_interval(parameter, interval)
        begin = beginnings(family, ends, box, starts, n_starts, seed)
        return equilibrium_branches(family, ends, begin, steps=steps)

    def continuation2(
        self,
        first: tuple[str, tuple[float, float]],
        second: tuple[str, tuple[float, float]],
        *,
        points: Sequence[SpecialPoint] | None = None,
        steps: Steps | None = None,
        **search: Any,
    ) -> Branches:
        """The curves of folds and Hopf points in the plane of two parameters.

        They begin at the points that `continuation` finds over the first parameter, with the second
        as the model has it; curves that meet them are followed too.

        Args:
            first: name and interval of the parameter.
            second: of the other one.
            points: folds and Hopf points over the first parameter, instead of searching for some.
            steps: along the curves.
            search: for equilibria to begin with, as in `continuation`.

        Raises:
            NameLookupError: there is no parameter or variable of a name.
            AnalysisError: an interval is empty, or the model's value of the second parameter is
                outside of it; there is nothing to follow.
        """
        (one, range_one), (two, range_two) = first, second
        family = Family(self.field.flat((one, two)))
        low, high = checked_interval(two, range_two)
        own = float(family.flat.p0[1])
        if one == two or not low <= own <= high:
            raise AnalysisError(
                f"continuation2: give two different parameters, not {one} twice."
                if one == two
                else f"continuation2: {two} is {own:g} in the model, outside of ({low:g}, "
                f"{high:g}). Curves begin there: give the model a value inside, or a wider range."
            )
        if points is None:
            points = self.continuation(one, range_one, **search).points()
        begin = [(point.kind, point.x, np.array([point.value, own])) for point in points]
        return bifurcation_curves(family, (range_one, (low, high)), begin, steps=steps)

    def __repr__(self) -> str:
        return f"DSAnalyzer({self.field!r})"


def local(devices: int | None) -> list[Any]:
    """So many devices of this process; None is one.

    Raises:
        PlatformError: there are fewer.
    """
    return local_devices(1 if devices is None else devices, None, World())
