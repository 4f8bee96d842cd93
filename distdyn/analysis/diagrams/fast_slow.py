"""Fast-slow systems: the bifurcations of the fast part over what is slow, and what the whole does.

    x' = f(x, y)        fast
    y' = epsilon g(x, y)  slow: while x settles, y is nearly constant

To the fast variables a slow one is a parameter. A trajectory of the whole drifts along the stable
branches of their diagram, and jumps where these end: so cells burst.

    bursts = dd.FastSlow2D(dd.HindmarshRose(I_e=2.), fast={"V": (-3, 3), "y": (-25, 3)},
                           slow={"z": (1, 4)})
    bursts.diagram.equilibria.points("LP")    # a `Bifurcation2D`
    bursts.plot(trajectories=[bursts.trajectory(3000., transient=1000.)])

Source: Rinzel (1987), in Mathematical Topics in Population Biology, Lect. Notes Biomath. 71, 267.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np
from jaxtyping import Float64

from distdyn.analysis.continuation import Branch
from distdyn.analysis.diagrams.bifurcation import (
    AbstractBifurcation,
    Bifurcation1D,
    Bifurcation2D,
    Intervals,
)
from distdyn.analysis.field import State, VectorField, vector_field
from distdyn.analysis.field.flat import check_name
from distdyn.analysis.plane.slice import sliced
from distdyn.analysis.plane.trajectory import Trajectory, trajectory
from distdyn.analysis.points.starts import Box


class AbstractFastSlow:
    """A system with slow variables, over the bifurcation diagram of its fast ones.

    Args:
        system: an ODE, a network of rate models, or a `VectorField`.
        fast: the fast variables, with the ranges in which equilibria are searched for.
        slow: one slow variable or two, each with its smallest and largest value.
        fixed: values of other variables, which are held.
        steady: other variables that follow at once.
        slices, transient, n_starts: of the diagram, as in `Bifurcation2D`.

    Attributes:
        diagram: of the fast variables over the slow ones.
        field: fast and slow variables together.

    Raises:
        NameLookupError: there is no variable of a name.
        AnalysisError: it is not so many fast variables, or not one or two slow ones.
    """

    of_fast: ClassVar[type[AbstractBifurcation]]

    def __init__(
        self,
        system: Any,
        fast: Box,
        slow: Intervals,
        *,
        fixed: Mapping[str, Any] | None = None,
        steady: Sequence[str] = (),
        slices: int = 5,
        transient: float = 200.0,
        n_starts: int | None = None,
    ) -> None:
        whole = vector_field(system)
        for name in slow:
            check_name(name, whole.state, f"{whole.name} has no variable")
        self.diagram = self.of_fast(
            whole, fast, slow, fixed=fixed, steady=steady, slices=slices, transient=transient,
            n_starts=n_starts,
        )  # fmt: skip
        self.field: VectorField = sliced(whole, (*fast, *slow), fixed, steady)

    @property
    def slow(self) -> tuple[str, ...]:
        """The names of the slow variables."""
        return self.diagram.parameters

    def trajectory(
        self, T: float, *, start: State | None = None, transient: float = 0.0, points: int = 10001
    ) -> Trajectory:
        """What the whole system does, fast and slow.

        Args:
            T: ms.
            start: a state, by variable; where the model begins by default.
            transient: ms before that are left out.
            points: how many times are returned.

        Raises:
            NameLookupError: there is no variable of a name.
            AnalysisError: it cannot be followed.
        """
        flat = self.field.flat()
        x = flat.x0 if start is None else flat.flatten(start)
        if transient:
            x = trajectory(flat, x, transient, points=2).x[-1]
        return trajectory(flat, x, T, points=points)

    def drift(self, branch: Branch) -> Float64[np.ndarray, "t s"]:
        """The derivatives of the slow variables along a branch of equilibria of the fast ones.

        Where they are 0 the whole system stands still.
        """
        values = branch.values.reshape(len(branch), -1)
        state = dict(zip(self.slow, values.T, strict=False))
        if self.diagram.value is not None and len(state) == 1:
            state[self.slow[1]] = np.full(len(branch), self.diagram.value)
        state |= {name: branch.x[:, k] for k, name in enumerate(self.diagram.names)}
        with jax.enable_x64(True):
            found = jax.vmap(lambda state: self.field.F(state, {}))(state)
        return np.stack([np.asarray(found[name]) for name in self.slow], axis=1)

    def plot(
        self,
        ax: Any = None,
        variable: str | None = None,
        *,
        trajectories: Sequence[Trajectory] = (),
    ) -> Any:
        """Draw trajectories over the diagram; returns the figure.

        Args:
            ax: axes to draw into; by default those of a new figure.
            variable: a fast one, by default the first. Of two slow variables their plane is drawn
                unless it is given.
            trajectories: of the whole system.
        """
        from distdyn.plot.diagrams import fast_slow

        return fast_slow(self, ax, variable, trajectories)

    def save(self, directory: str | Path) -> None:
        """Write the diagram to a directory, as `Bifurcation2D.save` does."""
        self.diagram.save(directory)

    def __repr__(self) -> str:
        return f"fast {', '.join(self.diagram.names)} over slow {', '.join(self.slow)}: " + repr(
            self.diagram
        )


class FastSlow1D(AbstractFastSlow):
    """One fast variable, and one slow one or two."""

    of_fast = Bifurcation1D


class FastSlow2D(AbstractFastSlow):
    """Two fast variables, which may cycle, and one slow one or two."""

    of_fast = Bifurcation2D
