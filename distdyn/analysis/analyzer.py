"""DSAnalyzer: the questions that one asks of the equations, and not of a run.

    an = dd.DSAnalyzer(dd.FitzHughNagumo(I_e=0.5))
    an.fixed_points(box={"V": (-3, 3), "w": (-1, 3)})
    an.phase_plane(x="V", y="w", box={"V": (-3, 3), "w": (-1, 3)}).plot()

Every answer is an object of arrays, with `plot(ax=None)` and `save(path)`.
"""

from typing import Any

from distdyn.analysis.field import VectorField, vector_field


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

    def __repr__(self) -> str:
        return f"DSAnalyzer({self.field!r})"
