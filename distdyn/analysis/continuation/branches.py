"""What continuation gives: branches of solutions and the special points on them.

    branches = an.continuation("I_e", (0., 2.))
    branches.points("H")                      # Hopf points: value, state, omega, lyapunov
    branches[0].values, branches[0].x         # [t], [t, n], with eigenvalues and `stable`
    branches.plot("V")                        # solid where stable

Of two parameters the branches are curves of bifurcations, and a value is a pair.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Complex128, Float64

from distdyn.errors import AnalysisError, suggestion
from distdyn.run.store import read_arrays, write_arrays

STILL = 1e-12  # relative: by what a branch changes that does not change

KINDS = {
    "LP": "fold (limit point)",
    "H": "Hopf bifurcation",
    "BP": "branch point",
    "BT": "Bogdanov-Takens point",
    "CP": "cusp",
    "GH": "generalised Hopf (Bautin) point",
    "ZH": "zero-Hopf point",
    "HH": "double Hopf point",
}


@dataclass(frozen=True, eq=False)
class SpecialPoint:
    """A bifurcation.

    Attributes:
        kind: see `KINDS`.
        value: of the parameter; of two parameters the pair.
        x: the state as a vector.
        state: the state by the names of variables.
        eigenvalues: of the Jacobian there.
        omega: rad/ms, of the pair +-i omega (H); the period of what is born is 2 pi / omega.
        coefficients: of the normal form: "a" (LP), "l1" (H), "a" and "b" (BT), "c" (CP), "l2"
            (GH); see `distdyn.analysis.continuation.normal_forms` and `bautin`.
    """

    kind: str
    value: Any
    x: Float64[np.ndarray, "n"]
    state: Mapping[str, Any]
    eigenvalues: Complex128[np.ndarray, "n"]
    omega: float | None = None
    coefficients: Mapping[str, float] = field(default_factory=dict)

    @property
    def lyapunov(self) -> float | None:
        """The first Lyapunov coefficient l1 of a Hopf point: > 0 subcritical, < 0 supercritical."""
        return self.coefficients.get("l1")

    def __repr__(self) -> str:
        value = ", ".join(f"{v:.10g}" for v in np.ravel(self.value))
        state = ", ".join(f"{name} = {np.ravel(v)[0]:.6g}" for name, v in self.state.items())
        more = "".join(f", {name} = {v:.6g}" for name, v in self.coefficients.items())
        return f"{self.kind} at {value} ({state}){more}"


@dataclass(frozen=True, eq=False)
class Branch:
    """A curve of equilibria, or of bifurcations of one kind.

    Attributes:
        kind: "equilibrium", or that of the bifurcations, "LP" or "H".
        values: of the parameter, [t]; of two parameters [t, 2].
        x: the states, a row per point.
        eigenvalues: of the Jacobian at each.
        special: the special points on it, in order.
        at: between which points they lie: after point at[k].
        ends: why it ends, at its first and at its last point: "bound" (of the interval), "closed",
            "steps" (too many), "stuck" (the equations end there, or it could not be followed), or
            the kind of a special point.
    """

    kind: str
    values: Float64[np.ndarray, "t ..."]
    x: Float64[np.ndarray, "t n"]
    eigenvalues: Complex128[np.ndarray, "t n"]
    special: tuple[SpecialPoint, ...]
    at: tuple[int, ...]
    ends: tuple[str, str]

    @property
    def stable(self) -> Bool[np.ndarray, "t"]:
        """Whether all eigenvalues have negative real parts."""
        return np.asarray((np.real(self.eigenvalues) < 0.0).all(axis=1))

    @property
    def is_closed(self) -> bool:
        """Whether it returns to its start."""
        return self.ends[1] == "closed"

    def __len__(self) -> int:
        return len(self.x)


def _is_still(branch: Branch) -> bool:
    """Whether the state and its eigenvalues are the same everywhere."""
    parts = branch.x, branch.eigenvalues
    return all(np.abs(a - a[0]).max() <= STILL * np.abs(a).max() for a in parts)


@dataclass(frozen=True, eq=False)
class Branches:
    """Branches that were found together.

    Attributes:
        branches: in the order in which they were found.
        parameters: the name of the parameter, or of the two.
        names: of the columns of x.
        system: the name of the model.
    """

    branches: tuple[Branch, ...]
    parameters: tuple[str, ...]
    names: tuple[str, ...]
    system: str

    def __iter__(self) -> Iterator[Branch]:
        return iter(self.branches)

    def __len__(self) -> int:
        return len(self.branches)

    def __getitem__(self, k: int) -> Branch:
        return self.branches[k]

    def points(self, kind: str | None = None) -> list[SpecialPoint]:
        """The special points of a kind, or all, of all branches: each once, sorted by value.

        Raises:
            AnalysisError: there is no such kind.
        """
        if kind is not None and kind not in KINDS:
            raise AnalysisError(f'points: there is no kind "{kind}". {suggestion(kind, KINDS)}')
        every = {id(p): p for branch in self.branches for p in branch.special}.values()
        chosen = [p for p in every if kind is None or p.kind == kind]
        return sorted(chosen, key=lambda p: (*np.ravel(p.value), *p.x))

    def __repr__(self) -> str:
        what = "branch" if len(self) == 1 else "branches"
        over = " and ".join(self.parameters)
        lines = [f"{len(self)} {what} of {self.system} over {over}"]
        for k, branch in enumerate(self.branches):
            first, last = branch.values[0], branch.values[-1]
            shown = [" ".join(f"{v:.6g}" for v in np.ravel(a)) for a in (first, last)]
            lines.append(
                f"  {k}: {branch.kind}, {len(branch)} points from {shown[0]} ({branch.ends[0]}) "
                f"to {shown[1]} ({branch.ends[1]})"
            )
        if all(_is_still(branch) for branch in self.branches):
            lines.append(f"  Nothing changes: {over} may not enter the equations.")
        return "\n".join([*lines, *(f"  {point!r}" for point in self.points())])

    def plot(self, ax: Any = None, variable: str | None = None) -> Any:
        """A bifurcation diagram; returns the figure.

        Args:
            ax: axes to draw into; by default those of a new figure.
            variable: what is drawn over the parameter, by default the first. Curves in two
                parameters are drawn in their plane.
        """
        from distdyn.plot.bifurcation import branches

        return branches(self, ax, variable)

    def save(self, path: str | Path) -> None:
        """Write everything to an HDF5 file, which `load_branches` reads."""
        arrays: dict[str, np.ndarray] = {}
        for k, branch in enumerate(self.branches):
            arrays[f"{k}/values"], arrays[f"{k}/x"] = branch.values, branch.x
            arrays[f"{k}/eigenvalues"] = _pairs(branch.eigenvalues)
            arrays[f"{k}/at"] = np.array(branch.at, np.int64)
        points = self.points()
        for k, point in enumerate(points):
            arrays[f"special/{k}/value"], arrays[f"special/{k}/x"] = (
                np.asarray(point.value),
                point.x,
            )
            arrays[f"special/{k}/eigenvalues"] = _pairs(point.eigenvalues)
            for name, value in point.state.items():
                arrays[f"special/{k}/state/{name}"] = np.asarray(value, np.float64)
        number = {id(point): k for k, point in enumerate(points)}
        about = {
            "parameters": self.parameters,
            "names": self.names,
            "system": self.system,
            "branches": [
                {"kind": b.kind, "ends": b.ends, "special": [number[id(p)] for p in b.special]}
                for b in self.branches
            ],
            "special": [
                {
                    "kind": p.kind,
                    "omega": p.omega,
                    "coefficients": dict(p.coefficients),
                    "state": list(p.state),
                }
                for p in points
            ],
        }
        write_arrays(Path(path), arrays, kind="branches", about=json.dumps(about))


def load_branches(path: str | Path) -> Branches:
    """What `Branches.save` wrote.

    Raises:
        RunDirectoryError: the file is missing or damaged.
        AnalysisError: it holds something else.
    """
    arrays, attributes = read_arrays(Path(path))
    if attributes.get("kind") != "branches":
        raise AnalysisError(
            f'"{path}" holds {attributes.get("kind", "something else")}, not branches. Give a file '
            "that Branches.save wrote."
        )
    try:
        return _branches(arrays, json.loads(str(attributes["about"])))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise AnalysisError(
            f'"{path}" is not what Branches.save writes ({type(error).__name__}: {error}).'
        ) from error


def _branches(arrays: Mapping[str, np.ndarray], about: Any) -> Branches:
    points = [
        SpecialPoint(
            of["kind"], _value(arrays[f"special/{k}/value"]), arrays[f"special/{k}/x"],
            {name: arrays[f"special/{k}/state/{name}"] for name in of["state"]},
            _complex(arrays[f"special/{k}/eigenvalues"]), of["omega"], of["coefficients"],
        )
        for k, of in enumerate(about["special"])
    ]  # fmt: skip
    branches = [
        Branch(
            of["kind"], arrays[f"{k}/values"], arrays[f"{k}/x"],
            _complex(arrays[f"{k}/eigenvalues"]), tuple(points[j] for j in of["special"]),
            tuple(arrays[f"{k}/at"].tolist()), tuple(of["ends"]),
        )
        for k, of in enumerate(about["branches"])
    ]  # fmt: skip
    names, parameters = tuple(about["names"]), tuple(about["parameters"])
    return Branches(tuple(branches), parameters, names, about["system"])


def _value(value: np.ndarray) -> Any:
    return tuple(value.tolist()) if value.ndim else float(value)


def _pairs(z: Complex128[np.ndarray, "..."]) -> Float64[np.ndarray, "... 2"]:
    return np.stack([np.real(z), np.imag(z)], axis=-1)


def _complex(pairs: Float64[np.ndarray, "... 2"]) -> Complex128[np.ndarray, "..."]:
    return pairs[..., 0] + 1j * pairs[..., 1]
