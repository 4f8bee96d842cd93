"""DSAnalyzer: the questions that one asks of the equations, and not of a run.

    an = dd.DSAnalyzer(dd.FitzHughNagumo(I_e=0.5))
    an.fixed_points(box={"V": (-3, 3), "w": (-1, 3)})
    an.phase_plane(x="V", y="w", box={"V": (-3, 3), "w": (-1, 3)}).plot()
    an.continuation("I_e", (0.0, 2.0)).points("H")
    an.limit_cycles("I_e", (0.0, 2.0)).points("LPC")

Every answer is an object of arrays, with `plot(ax=None)` and `save(path)`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from distdyn.analysis.basins import Basins, find_basins
from distdyn.analysis.continuation import (
    Branches,
    Family,
    SpecialPoint,
    Steps,
    beginnings,
    bifurcation_curves,
    equilibrium_branches,
)
from distdyn.analysis.continuation.begin import checked_interval, inside, of_interval
from distdyn.analysis.cycles import (
    N_INTERVALS,
    STEPS,
    LimitCycles,
    cycles_from_hopf,
    cycles_from_simulation,
    cycles_problem,
)
from distdyn.analysis.delays import CharacteristicRoots, characteristic_roots
from distdyn.analysis.field import VectorField, vector_field
from distdyn.analysis.lyapunov import LyapunovSpectrum, lyapunov_spectrum
from distdyn.analysis.plane.phase_plane import PhaseLine, PhasePlane, phase_line, phase_plane
from distdyn.analysis.plane.slice import sliced
from distdyn.analysis.points.fixed_points import FixedPoints, find_fixed_points
from distdyn.analysis.points.slow_points import FAR, MARGINAL, SlowPoints, find_slow_points
from distdyn.analysis.points.starts import Box, given_starts, moved, starts_of, states_of
from distdyn.analysis.sharing import Ranks, collective, local
from distdyn.errors import AnalysisError


class DSAnalyzer:
    """A model or network, to be analysed.

    Args:
        system: an ODE, a network, or a `VectorField`.
        dt: ms, of the step of a model or network that has no derivative.
        seed: of the connections and weights that a network draws, as in `DSRunner`.
        parameters: in the place of the system's own, by path as in `DSRunner`: what was trained
            (`DSTrainer.parameters`), and the currents of inputs.
        devices: how many local devices share the state of a network, and its weights; by default
            one has all, and devices may share searches.

    Attributes:
        field: its vector field.

    Raises:
        AnalysisError: it has no vector field; see `vector_field`.
    """

    def __init__(
        self,
        system: Any,
        *,
        dt: float | None = None,
        seed: int = 0,
        parameters: Mapping[str, Any] | None = None,
        devices: int | None = None,
    ) -> None:
        self.field: VectorField = vector_field(
            system, dt=dt, seed=seed, parameters=parameters, devices=devices
        )
        self._families: dict[tuple[str, ...], Family] = {}  # each is compiled once

    @collective
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
        shared, (flat, p) = self._sharing(devices), moved(self.field, parameters)
        x, region = starts_of(flat, box, starts, n_starts, seed)
        return find_fixed_points(flat, x, region, p, devices=shared, ranks=Ranks.of_job())

    @collective
    def slow_points(
        self,
        states: Any,
        *,
        slow: float | None = None,
        parameters: Mapping[str, float] | None = None,
        n_states: int = 1024,
        marginal: float = MARGINAL,
        far: float = FAR,
        seed: int = 0,
        devices: int | None = None,
    ) -> SlowPoints:
        """The fixed and slow points near some states, and the lines and rings that they form.

        Args:
            states: [m, n], arrays by variable, or a recording of all variables: searches begin
                there.
            slow: the largest speed q = |F|^2 / 2 of a slow point (of a map |F - x|^2 / 2); by
                default 1e-6 of the largest of the states.
            parameters: values in the place of the model's, by name.
            n_states: of more states so many are drawn.
            marginal: how small an eigenvalue is, relative to the norm of the Jacobian, along a line
                or ring.
            far: points that are so many times farther from the centre of the states than any of
                them are left out.
            seed: of the states that are drawn.
            devices: how many local devices share the searches; one by default.

        Raises:
            NameLookupError: there is no variable or parameter of a name.
            AnalysisError: the states do not fit the model, or it is finite at none.
        """
        shared, (flat, p) = self._sharing(devices), moved(self.field, parameters)
        x = states_of(flat, states)
        if n_states < 1:
            raise AnalysisError(f"slow_points: n_states = {n_states} is none. Give one >= 1.")
        if len(x) > n_states:
            x = x[np.sort(np.random.default_rng(seed).choice(len(x), n_states, replace=False))]
        return find_slow_points(
            flat, x, p, slow=slow, marginal=marginal, far=far, devices=shared,
            ranks=Ranks.of_job(),
        )  # fmt: skip

    @collective
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
        shared = local(devices)
        moving = tuple(box) if x is None else (x,) if y is None else (x, y)
        if len(moving) > 2:
            raise AnalysisError(
                f"phase_plane: a plane has two variables, not {len(moving)}: {', '.join(moving)}. "
                "Name two as x and y, and give values of the others: fixed={...}."
            )
        part = sliced(self.field, moving, fixed, steady)
        of = phase_line if len(moving) == 1 else phase_plane
        return of(part, box, resolution, shared, Ranks.of_job())

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

    @collective
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
        family = self._family(parameter)
        ends = checked_interval(parameter, interval)
        ranks = Ranks.of_job()
        begin = beginnings(family, ends, box, starts, n_starts, seed, ranks)
        return equilibrium_branches(family, ends, begin, steps=steps, ranks=ranks)

    @collective
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
        (one, range_one), (two, range_two) = of_interval(first), of_interval(second)
        family = self._family(one, two)
        own = inside(two, range_two, float(family.flat.p0[1]), other=one)
        if points is None:
            points = self.continuation(one, range_one, **search).points()
        begin = [(point.kind, point.x, np.array([point.value, own])) for point in points]
        intervals = range_one, range_two
        return bifurcation_curves(family, intervals, begin, steps=steps, ranks=Ranks.of_job())

    @collective
    def limit_cycles(
        self,
        parameter: str,
        interval: tuple[float, float],
        *,
        points: Iterable[SpecialPoint] | None = None,
        start: Any = None,
        transient: float = 200.0,
        longest: float = np.inf,
        n_intervals: int = N_INTERVALS,
        steps: Steps = STEPS,
        **search: Any,
    ) -> LimitCycles:
        """The branches of cycles over a parameter, stable or not, with bifurcations and ends.

        They begin at the Hopf points that `continuation` finds in the interval, and end at others,
        at homoclinic orbits, or at the bounds. Cycles that are reached from none need a `start`.

        Args:
            parameter: its name.
            interval: its smallest and largest value.
            points: Hopf points to begin at, instead of searching for some.
            start: a state, by variable or as an array: begin at the cycle to which it goes, with
                the parameter as the model has it, instead.
            transient: ms until it is there.
            longest: period at which branches end, ms; by default where the end is understood.
            n_intervals: of the mesh over one period; doubled where it has to be.
            steps: along the branches; a length of 1 is about the amplitude.
            search: for equilibria, as in `continuation`.

        Raises:
            NameLookupError: there is no parameter or variable of a name.
            AnalysisError: the interval is empty, or does not hold the model's value with `start`;
                the start goes to no cycle; it is a map.
        """
        of = cycles_problem(
            self._family(parameter), interval, n_intervals=n_intervals, longest=longest, steps=steps
        )
        if start is not None:
            flat = of.family.flat
            x = flat.flatten(start) if isinstance(start, Mapping) else np.asarray(start, np.float64)
            return cycles_from_simulation(of, x, float(flat.p0[0]), transient, Ranks.of_job())
        if points is None:
            points = self.continuation(parameter, interval, **search).points("H")
        return cycles_from_hopf(of, points, Ranks.of_job())

    @collective
    def basins(
        self,
        box: Box,
        *,
        resolution: int | Sequence[int] = 101,
        fixed: Mapping[str, Any] | None = None,
        parameters: Mapping[str, float] | None = None,
        duration: float = 10000.0,
        devices: int | None = None,
    ) -> Basins:
        """To which fixed point or limit cycle each start of a grid goes.

        All variables move; `slice` holds some. A trajectory that neither comes to rest nor returns,
        such as a chaotic one, is undecided.

        Args:
            box: the variables along the axes of the grid, with their ranges.
            resolution: starts along each axis, or along all.
            fixed: with which the other variables start; by default as the model does.
            parameters: values in the place of the model's, by name.
            duration: ms until a start is undecided; most are caught by an attractor long before,
                and a tenth of it is enough to come close to one.
            devices: how many local devices share the starts; one by default.

        Raises:
            NameLookupError: there is no variable or parameter of a name.
            AnalysisError: it is a map, or is reset; the box or the resolution do not fit.
        """
        flat = self.field.at(parameters or {}).flat()
        return find_basins(
            flat, box, resolution=resolution, fixed=fixed, duration=duration,
            devices=local(devices),
        )  # fmt: skip

    @collective
    def characteristic_roots(
        self, at: Any, *, parameters: Mapping[str, float] | None = None, count: int = 10
    ) -> CharacteristicRoots:
        """How differences from an equilibrium of a system with delays grow and decay.

        Args:
            at: the equilibrium or a state near it, by variable or as an array.
            parameters: values in the place of the model's, by name.
            count: how many roots, the rightmost; all that grow are among them.

        Raises:
            NameLookupError: there is no variable or parameter of a name.
            AnalysisError: there is no equilibrium near; it is a map.
        """
        flat = self.field.at(parameters or {}).flat()
        x = flat.flatten(at) if isinstance(at, Mapping) else given_starts(flat, at)[0]
        return characteristic_roots(flat, x, flat.p0, count)

    @collective
    def lyapunov_spectrum(
        self,
        T: float,
        *,
        start: Any = None,
        k: int | None = None,
        transient: float | None = None,
        dt: float | None = None,
    ) -> LyapunovSpectrum:
        """The Lyapunov exponents of the trajectory from a state, and its Kaplan-Yorke dimension.

        Args:
            T: ms over which the mean is taken; of a map, iterates.
            start: a state, by variable or as an array; where the model begins by default.
            k: how many exponents, the largest; all by default.
            transient: ms before that are left out; by default a tenth of T.
            dt: ms, of a step of RK4; by default 0.2 over the largest rate along the trajectory.

        Raises:
            NameLookupError: there is no variable of a name.
            AnalysisError: a number does not fit, the model is reset, or the trajectory diverges.
        """
        flat = self.field.flat()
        x = flat.flatten(start) if isinstance(start, Mapping) else start
        return lyapunov_spectrum(flat, T, x, k=k, transient=transient, dt=dt)

    def _sharing(self, devices: int | None) -> list[Any]:
        """The devices that share searches."""
        if devices is not None and self.field.spread is not None:
            raise AnalysisError(
                f"devices = {devices}: the {self.field.spread.mesh.size} devices of this analyzer "
                f"share its state already. Leave it out here, or out of DSAnalyzer(...)."
            )
        return local(devices)

    def _family(self, *parameters: str) -> Family:
        if parameters not in self._families:
            self._families[parameters] = Family(self.field.flat(parameters))
        return self._families[parameters]

    def __repr__(self) -> str:
        return f"DSAnalyzer({self.field!r})"
