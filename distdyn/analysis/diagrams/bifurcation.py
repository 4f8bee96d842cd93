"""The bifurcation diagram of one or two variables over one or two parameters, in one call.

    diagram = dd.Bifurcation2D(model, box={"V": (-3, 3), "w": (-1, 3)}, over={"I_e": (0, 2)})
    diagram.equilibria.points("H")            # `Branches` over I_e
    diagram.cycles.points("LPC")              # `LimitCycles`
    diagram.plot()

Over two parameters it is the curves of bifurcations in their plane, and the surface of equilibria:

    diagram = dd.Bifurcation2D(model, box, over={"I_e": (0, 2), "b": (0.5, 1.5)})
    diagram.curves.points("BT")
    diagram.surface[0.5]                      # `Branches` over I_e at b = 0.5

Nothing is a grid: all of it is continuation, computed when it is first asked for.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from distdyn.analysis.continuation import (
    Branches,
    Family,
    bifurcation_curves,
    equilibrium_branches,
)
from distdyn.analysis.continuation.begin import checked_interval, values_between
from distdyn.analysis.cycles import LimitCycles
from distdyn.analysis.diagrams.cycles import cycles_over
from distdyn.analysis.field import VectorField, vector_field
from distdyn.analysis.field.flat import check_name
from distdyn.analysis.plane.slice import sliced
from distdyn.analysis.points.fixed_points import find_fixed_points
from distdyn.analysis.points.starts import Box, Region
from distdyn.errors import AnalysisError

Intervals = Mapping[str, tuple[float, float]]


class AbstractBifurcation:
    """Equilibria and cycles of some variables over parameters.

    Args:
        system: an ODE, a network of rate models, or a `VectorField`.
        box: the variables, with the ranges in which equilibria to begin with are searched for.
        over: one parameter or two, each with its smallest and largest value.
        fixed: values of other variables; those named nowhere are held at the values with which the
            model begins. What is held is a parameter too, by the name of the variable.
        steady: other variables that follow at once.
        slices: at how many values of the first parameter simulations look for cycles, and of the
            second one equilibria are followed.
        transient: ms that a simulation takes to reach a cycle.
        n_starts: of the searches in the box, at least.

    Attributes:
        field: the variables that move.
        names: of them.
        over: the parameters with their intervals.

    Raises:
        NameLookupError: there is no variable or parameter of a name.
        AnalysisError: it is not so many variables, not one or two parameters, or an interval is
            empty.
    """

    n_variables: ClassVar[int]

    def __init__(
        self,
        system: Any,
        box: Box,
        over: Intervals,
        *,
        fixed: Mapping[str, Any] | None = None,
        steady: Sequence[str] = (),
        slices: int = 5,
        transient: float = 200.0,
        n_starts: int | None = None,
    ) -> None:
        whole, what = vector_field(system), type(self).__name__
        if len(box) != self.n_variables:
            raise AnalysisError(
                f"{what}: the box names {len(box)} variables ({', '.join(box)}), and this is the "
                f"diagram of {self.n_variables}. Name {self.n_variables} of "
                f"{', '.join(whole.state)}; of more variables use DSAnalyzer.continuation."
            )
        if not 1 <= len(over) <= 2:
            raise AnalysisError(
                f"{what}: over {len(over)} parameters. Give one or two with their intervals: "
                'over={"I_e": (0, 2)}.'
            )
        self.field: VectorField = sliced(whole, tuple(box), fixed, steady)
        for name in over:
            check_name(name, self.field.parameters, f"{whole.name} has no parameter")
        self.over = {name: checked_interval(name, interval) for name, interval in over.items()}
        self.names = self.field.flat().names
        self._box, self._slices, self._n_starts = dict(box), slices, n_starts
        self._transient = transient
        self._families: dict[float | None, Family] = {}  # each is compiled once

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters."""
        return tuple(self.over)

    @cached_property
    def value(self) -> float | None:
        """The second parameter where it does not move: as the model has it, or in the middle."""
        if len(self.over) == 1:
            return None
        name, (low, high) = [*self.over.items()][1]
        own = float(self.field.parameters[name])
        return own if low <= own <= high else 0.5 * (low + high)

    @cached_property
    def equilibria(self) -> Branches:
        """The branches of equilibria over the first parameter."""
        return self._branches(self.value)

    @cached_property
    def cycles(self) -> LimitCycles:
        """The branches of limit cycles over the first parameter, stable or not.

        From all Hopf points, and from what leaves unstable equilibria; see `diagrams.cycles`.

        Raises:
            AnalysisError: of one variable.
        """
        if self.n_variables == 1:
            raise AnalysisError("cycles: one variable does not oscillate. Take two.")
        name = self.parameters[0]
        low, high = self.over[name]
        values = np.linspace(low, high, self._slices + 2)[1:-1].tolist()
        extent = np.array([np.ptp(range_) for range_ in self._box.values()], np.float64)
        return cycles_over(
            self.equilibria, self._family(self.value), (low, high), values, extent, self._transient
        )

    @cached_property
    def surface(self) -> dict[float, Branches]:
        """Of two parameters: the equilibria over the first, by values of the second.

        Raises:
            AnalysisError: there is one parameter.
        """
        name = self._second("surface")
        values = np.linspace(*self.over[name], self._slices)
        assert self.value is not None
        every = {float(value) for value in values} | {self.value}
        return {
            value: self.equilibria if value == self.value else self._branches(value)
            for value in sorted(every)
        }

    @cached_property
    def curves(self) -> Branches:
        """Of two parameters: the folds and Hopf points of all slices, followed in their plane.

        Raises:
            AnalysisError: there is one parameter, or no slice has a fold or Hopf point.
        """
        self._second("curves")
        points = [
            (point.kind, point.x, np.array([point.value, value]))
            for value, branches in self.surface.items()
            for point in branches.points()
        ]
        family = Family(self.field.flat(self.parameters))
        return bifurcation_curves(family, [*self.over.values()], points)

    def plot(self, ax: Any = None, variable: str | None = None) -> Any:
        """Draw it; returns the figure.

        Args:
            ax: axes to draw into; by default those of a new figure.
            variable: what is drawn over the first parameter, by default the first variable. Of two
                parameters the curves are drawn in their plane, and the surface if it is given.
        """
        from distdyn.plot.diagrams import bifurcation

        return bifurcation(self, ax, variable)

    def save(self, directory: str | Path) -> None:
        """Write what the diagram consists of to a directory, each part to an HDF5 file.

        They are `equilibria.h5` and `curves.h5`, and `surface/K.h5` by the values in order, which
        `load_branches` reads, and `cycles.h5`.
        """
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        self.equilibria.save(directory / "equilibria.h5")
        if self.n_variables > 1:
            self.cycles.save(directory / "cycles.h5")
        if len(self.over) == 2:
            self.curves.save(directory / "curves.h5")
            (directory / "surface").mkdir(exist_ok=True)
            for k, branches in enumerate(self.surface.values()):
                branches.save(directory / "surface" / f"{k}.h5")

    def __repr__(self) -> str:
        if len(self.over) == 2:
            return f"{self.curves!r}"
        return f"{self.equilibria!r}" + (f"\n{self.cycles!r}" if self.n_variables > 1 else "")

    def _second(self, what: str) -> str:
        if len(self.over) == 1:
            raise AnalysisError(
                f"{what}: this diagram has one parameter, {self.parameters[0]}. Give two: "
                f'over={{"{self.parameters[0]}": ..., "b": (low, high)}}.'
            )
        return self.parameters[1]

    def _family(self, value: float | None) -> Family:
        """The variables over the first parameter, with the second at a value."""
        if value not in self._families:
            moved = {} if value is None else {self.parameters[1]: value}
            self._families[value] = Family(self.field.at(moved).flat(self.parameters[0]))
        return self._families[value]

    def _branches(self, value: float | None) -> Branches:
        """As `DSAnalyzer.continuation`; the search in the box is one program for all slices."""
        flat, family = self.field.flat(self.parameters), self._family(value)
        region = Region.of(flat, self._box)
        x, interval = region.points(flat.x0, self._n_starts, 0), self.over[self.parameters[0]]
        begin = [
            (first, point)
            for first in values_between(float(family.flat.p0[0]), interval)
            for point in find_fixed_points(
                flat, x, region, np.array([first, *([] if value is None else [value])])
            ).x
        ]
        return equilibrium_branches(family, interval, begin)


class Bifurcation1D(AbstractBifurcation):
    """The bifurcation diagram of one variable: its equilibria over one or two parameters."""

    n_variables = 1


class Bifurcation2D(AbstractBifurcation):
    """The bifurcation diagram of two variables: equilibria and limit cycles."""

    n_variables = 2
