"""DSAnalyzer: the questions that one asks of the equations, and not of a run.

    an = dd.DSAnalyzer(dd.FitzHughNagumo(I_e=0.5))
    an.fixed_points(box={"V": (-3, 3), "w": (-1, 3)})
    an.phase_plane(x="V", y="w", box={"V": (-3, 3), "w": (-1, 3)}).plot()

Every answer is an object of arrays, with `plot(ax=None)` and `save(path)`.
"""

from typing import Any

from distdyn.analysis.field import VectorField, vector_field
from distdyn.analysis.fixed_points import FixedPoints, find_fixed_points
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

    def __repr__(self) -> str:
        return f"DSAnalyzer({self.field!r})"


def local(devices: int | None) -> list[Any]:
    """So many devices of this process; None is one.

    Raises:
        PlatformError: there are fewer.
    """
    return local_devices(1 if devices is None else devices, None, World())
