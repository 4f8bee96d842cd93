"""Slow points: where a large system nearly stands still, and what it does there.

From each of many states, such as those of a recording, a search of its own goes down

    q(x) = |F(x)|^2 / 2   of a flow,        q(x) = |F(x) - x|^2 / 2   of a map

to a minimum (`roots`). If q is 0 there it is a fixed point, if q <= `slow` a slow point, about
which the linear dynamics are those of the Jacobian for as long as the state stays near. Both have
labels by their eigenvalues (`stability`). What lies along a direction in which nothing moves is a
line or ring of points, and not as many attractors as searches ended on it (`manifolds`).

Source: Sussillo & Barak (2013), Neural Comput. 25, 626; Golub & Sussillo (2018), JOSS 3, 1003.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Complex128, Float64, Int64

from distdyn.analysis.field import Flat
from distdyn.analysis.field.delayed import check_no_delays
from distdyn.analysis.points.descent import Descent, Ended, ended_of
from distdyn.analysis.points.manifolds import Manifold, manifolds
from distdyn.analysis.points.modes import MODES, modes_about, orthonormal
from distdyn.analysis.points.roots import MOST_DENSE
from distdyn.analysis.points.stability import LABELS
from distdyn.analysis.sharing import ALONE, Ranks
from distdyn.errors import AnalysisError
from distdyn.run.store import write_arrays

SLOW = 1e-6  # of the largest q of the states
MARGINAL = 1e-2  # of the norm of the Jacobian
FAR = 3.0  # times the largest distance of a state from their centre


@dataclass(frozen=True, eq=False)
class SlowPoints:
    """Fixed and slow points of a large system: first those that are fixed.

    Attributes:
        x: the points, a row each, in the order of `names`.
        names: of the columns of x.
        q: |F|^2 / 2 that is left, or |F - x|^2 / 2.
        is_fixed: whether q is 0, as far as numbers go; else it is a slow point.
        eigenvalues: of the Jacobian, those that decay the least first. Of more than 1000 variables
            the first 8, and the decaying ones among them are approximate.
        right: eigenvectors of the first 8 eigenvalues, as columns.
        left: the same from the left, with conj(left) . right = 1: how much of a perturbation goes
            into a mode. nan if eigenvectors are missing, empty of more than 1000 variables.
        stability: a label each, see `distdyn.analysis.points.stability`.
        n_unstable: how many eigenvalues grow.
        n_marginal: how many are small relative to the Jacobian: `marginal`, in `slow_points`.
        manifolds: the lines, rings and surfaces that points lie on.
        slow: the largest q of a slow point.
        n_starts: how many searches there were.
        n_fast: how many ended at a minimum of q above `slow`.
        n_outliers: how many ended far from all states, and were left out.
        states: where the searches began.
        message: what a reader should know, "" if nothing.
        flat: whose points they are.
        p: its parameters.
    """

    x: Float64[np.ndarray, "k n"]
    names: tuple[str, ...]
    q: Float64[np.ndarray, "k"]
    is_fixed: Bool[np.ndarray, "k"]
    eigenvalues: Complex128[np.ndarray, "k e"]
    right: Complex128[np.ndarray, "k n m"]
    left: Complex128[np.ndarray, "k n l"]
    stability: tuple[str, ...]
    n_unstable: Int64[np.ndarray, "k"]
    n_marginal: Int64[np.ndarray, "k"]
    manifolds: tuple[Manifold, ...]
    slow: float
    n_starts: int
    n_fast: int
    n_outliers: int
    states: Float64[np.ndarray, "s n"] = field(repr=False)
    message: str
    flat: Flat = field(repr=False)
    p: Float64[np.ndarray, "p"] = field(repr=False)

    @property
    def state(self) -> dict[str, Any]:
        """The points by variable: `state["r"][k]` is r of point k."""
        return self.flat.unflatten(self.x)

    @property
    def manifold(self) -> Int64[np.ndarray, "k"]:
        """Of each point the number of the line or ring that it lies on; -1: it is alone."""
        found = np.full(len(self), -1, np.int64)
        for k, one in enumerate(self.manifolds):
            found[one.points] = k
        return found

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        alone = np.flatnonzero(self.manifold < 0)
        lines = [f"slow points of {self.flat.about.name}, from {self.n_starts} states"]
        for kind, points, _ in self.manifolds:
            lines.append(
                f"  a {kind} of slow points, {len(points)} of them found, q <= "
                f"{self.q[points].max():.2g}: {_counted(self, points)}"
            )
        for what, chosen in (
            ("fixed", alone[self.is_fixed[alone]]), ("slow", alone[~self.is_fixed[alone]])
        ):  # fmt: skip
            if len(chosen):
                word = f"{what} point{'s' * (len(chosen) != 1)}"
                lines.append(f"  {len(chosen)} {word}: {_counted(self, chosen)}")
        return "\n".join([*lines, *filter(None, [self.message])])

    def plot(self, ax: Any = None) -> Any:
        """The points among the states, in the plane of their first two principal components."""
        from distdyn.plot.slow_points import slow_points

        return slow_points(self, ax)

    def save(self, path: str | Path) -> None:
        """Write all of it to an HDF5 file."""
        pairs = {
            name: np.stack([np.real(z), np.imag(z)], axis=-1)
            for name in ("eigenvalues", "right", "left")
            for z in [getattr(self, name)]
        }
        plain = {
            name: getattr(self, name)
            for name in ("x", "q", "n_unstable", "n_marginal", "manifold", "states")
        }
        plain["is_fixed"] = self.is_fixed.astype(np.int64)
        plain["stability"] = np.array([LABELS.index(label) for label in self.stability], np.int64)
        write_arrays(
            Path(path), plain | pairs, kind="slow points",
            names=list(self.names), labels=list(LABELS), system=self.flat.about.name,
            manifolds=[m.kind for m in self.manifolds], slow=self.slow, message=self.message,
        )  # fmt: skip


def find_slow_points(
    flat: Flat,
    states: Float64[np.ndarray, "s n"],
    p: Float64[np.ndarray, "p"] | None = None,
    *,
    slow: float | None = None,
    marginal: float = MARGINAL,
    far: float = FAR,
    devices: Sequence[Any] | None = None,
    ranks: Ranks = ALONE,
) -> SlowPoints:
    """The fixed and slow points to which searches from some states lead.

    Args:
        flat: the field.
        states: where the searches begin.
        p: the parameters; those of the model by default.
        slow: the largest q of a slow point; by default 1e-6 of the largest q of the states.
        marginal: relative to the norm of the Jacobian, the largest eigenvalue of a direction along
            which a line or ring may go.
        far: times the largest distance of a state from their centre: outliers lie beyond.
        devices: that share the searches; one by default.
        ranks: that share them too. Collective.

    Raises:
        AnalysisError: F is finite at no state, or a tolerance is negative.
    """
    check_no_delays(flat.about, "slow_points")
    for name, value in (("slow", slow), ("marginal", marginal), ("far", far)):
        if value is not None and not value >= 0.0:
            raise AnalysisError(f"slow_points: {name} = {value} is no tolerance. Give one >= 0.")
    p = flat.p0 if p is None else np.asarray(p, np.float64)
    with jax.enable_x64(True):
        search = Descent.of(flat, states, p, devices or jax.local_devices()[:1], ranks)
        q = search.q(states)
        if not np.isfinite(q).any():
            raise AnalysisError(
                f"{flat.about.name}: it is finite at none of {len(states)} states. Begin where the "
                "equations hold."
            )
        slow = SLOW * float(q[np.isfinite(q)].max()) if slow is None else float(slow)
        ended = ended_of(search, states, slow, far)
        modes = [*ranks.done([partial(modes_about, flat, x, p, marginal) for x in ended.x])]
        found = manifolds(
            ended.x / search.unit,
            [orthonormal(m.marginal / search.unit[:, None]) for m in modes],
            lambda u: search.settled(u * search.unit, slow) / search.unit,
        )
    on_any = np.isin(np.arange(len(ended.x)), [k for m in found for k in m.points])
    (kept,) = np.nonzero(ended.is_minimum | on_any)
    place = np.cumsum(ended.is_minimum | on_any) - 1
    found = tuple(m._replace(points=place[m.points]) for m in found)
    modes = [modes[k] for k in kept]
    kinds = [m.kind for m in modes]
    n_modes = min(MODES, flat.n)
    e, left = (flat.n, n_modes) if flat.n <= MOST_DENSE else (n_modes, 0)
    return SlowPoints(
        ended.x[kept], flat.names, ended.q[kept], ended.is_fixed[kept],
        np.array([m.values for m in modes], complex).reshape(len(modes), e),
        np.array([m.right for m in modes], complex).reshape(len(modes), flat.n, n_modes),
        np.array([m.left for m in modes], complex).reshape(len(modes), flat.n, left),
        tuple(kind.label for kind in kinds),
        np.array([kind.n_unstable for kind in kinds], np.int64),
        np.array([m.marginal.shape[1] for m in modes], np.int64),
        found, slow, len(states), ended.n_fast, ended.n_outliers, states,
        _message(flat, ended, len(kept), slow), flat, p,
    )  # fmt: skip


def _counted(found: SlowPoints, points: Any) -> str:
    """Their labels, each with its number."""
    count = Counter(found.stability[k] for k in points)
    return ", ".join(f"{n} {label}" for label, n in count.most_common())


def _message(flat: Flat, ended: Ended, count: int, slow: float) -> str:
    parts = list(flat.about.notes)
    if ended.n_fast:
        parts.append(
            f"{ended.n_fast} searches ended at a minimum of q above slow = {slow:.2g}: there it is "
            "not slow."
        )
    if ended.n_outliers:
        parts.append(f"{ended.n_outliers} searches ended far from all states: left out.")
    if not count:
        parts.append(
            f"No slow point: the least q was {ended.least:.2g}. If that is slow for the question, "
            "give a larger slow."
        )
    return " ".join(parts)
