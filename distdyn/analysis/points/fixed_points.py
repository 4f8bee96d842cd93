"""Fixed points: where a flow stands still, F(x) = 0, or a map stays, F(x) = x.

Searches from many starts (`roots`) end in candidates. Those that agree are one; it is refined by
Newton's method to the precision of the numbers, and classified by its eigenvalues (`stability`).
What is found does not depend on how many devices search.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Complex128, Float64, Int64

from distdyn.analysis.delays.result import roots_at
from distdyn.analysis.field import Flat
from distdyn.analysis.points.krylov import leading
from distdyn.analysis.points.polish import SAME, distinct, polished, refined
from distdyn.analysis.points.roots import MOST_DENSE, linearised
from distdyn.analysis.points.search import Ended, searched
from distdyn.analysis.points.stability import LABELS, RTOL, norm_of, spectrum, stability
from distdyn.analysis.points.starts import Region
from distdyn.analysis.sharing import ALONE, Ranks
from distdyn.run.store import write_arrays

MOST_VECTORS = 200  # variables
MOST_SPECTRUM = 1000  # variables of which all eigenvalues are computed
FEW_ROOTS = 6  # characteristic roots of systems with delays
STEP_ASIDE = 1e-3  # of the unit: to see whether there is another fixed point


@dataclass(frozen=True, eq=False)
class FixedPoints:
    """Fixed points, sorted by their coordinates.

    Attributes:
        x: the points, a row each, in the order of `names`.
        names: of the columns of x.
        eigenvalues: of the Jacobian at each, the largest real part first. Of more than 1000
            variables those that decay the least; the decaying ones among them are approximate. Of a
            system with delays the rightmost characteristic roots.
        eigenvectors: the columns belong to the eigenvalues; none of more than 200 variables.
        stability: a label each, see `distdyn.analysis.points.stability`.
        n_unstable: how many eigenvalues grow: the index of the point.
        n_marginal: how many neither grow nor decay.
        family: equal for degenerate points with one spectrum that lie on a line or ring of fixed
            points, along the marginal eigenvector. Every other point is alone.
        speed: |F(x)|, or |F(x) - x|, that is left.
        message: what a reader should know, "" if nothing.
        flat: whose fixed points they are.
        p: its parameters.
    """

    x: Float64[np.ndarray, "k n"]
    names: tuple[str, ...]
    eigenvalues: Complex128[np.ndarray, "k e"]
    eigenvectors: Complex128[np.ndarray, "k n e"]
    stability: tuple[str, ...]
    n_unstable: Int64[np.ndarray, "k"]
    n_marginal: Int64[np.ndarray, "k"]
    family: Int64[np.ndarray, "k"]
    speed: Float64[np.ndarray, "k"]
    message: str
    flat: Flat = field(repr=False)
    p: Float64[np.ndarray, "p"] = field(repr=False)

    @property
    def state(self) -> dict[str, Any]:
        """The points by variable: `state["V"][k]` is V of point k."""
        return self.flat.unflatten(self.x)

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        lines = [f"{len(self)} fixed point{'s' * (len(self) != 1)} of {self.flat.about.name}"]
        for k in range(min(len(self), 20)):
            shown = [f"{name} = {value:.6g}" for name, value in self._shown(k)]
            shown += ["..."] * (len(self.names) > 6)
            lines.append(f"  {', '.join(shown)}: {self.stability[k]}")
        return "\n".join([*lines, *["  ..."] * (len(self) > 20), *filter(None, [self.message])])

    def _shown(self, k: int) -> list[tuple[str, float]]:
        return list(zip(self.names, self.x[k], strict=True))[:6]

    def plot(self, ax: Any = None, x: str | None = None, y: str | None = None) -> Any:
        """The points in the plane of two variables, by default the first; returns the figure."""
        from distdyn.plot.phase import fixed_points

        return fixed_points(self, ax, x, y)

    def save(self, path: str | Path) -> None:
        """Write all of it to an HDF5 file."""
        write_arrays(
            Path(path), self.arrays(), kind="fixed points", names=list(self.names),
            labels=list(LABELS), system=self.flat.about.name, message=self.message,
        )  # fmt: skip

    def arrays(self, before: str = "") -> dict[str, Any]:
        """What is written to files: complex numbers as pairs, labels by their place in LABELS."""
        labels = np.array([LABELS.index(label) for label in self.stability], np.int64)
        found = {
            "x": self.x,
            "eigenvalues": _pairs(self.eigenvalues),
            "eigenvectors": _pairs(self.eigenvectors),
            "stability": labels,
            "n_unstable": self.n_unstable,
            "n_marginal": self.n_marginal,
            "family": self.family,
            "speed": self.speed,
        }
        return {f"{before}{name}": array for name, array in found.items()}


def find_fixed_points(
    flat: Flat,
    starts: Float64[np.ndarray, "m n"],
    region: Region | None = None,
    p: Float64[np.ndarray, "p"] | None = None,
    *,
    devices: Sequence[Any] | None = None,
    ranks: Ranks = ALONE,
    rtol: float = RTOL,
) -> FixedPoints:
    """All fixed points that searches from these starts end in.

    Args:
        flat: the field.
        starts: where the searches begin.
        region: what lies outside is left out.
        p: the parameters; those of the model by default.
        devices: that share the searches; one by default.
        ranks: that share them too. Collective.
        rtol: relative to the norm of the Jacobian, what counts as zero in an eigenvalue.

    Raises:
        AnalysisError: F is finite at no start.
    """
    p = flat.p0 if p is None else np.asarray(p, np.float64)
    devices = jax.local_devices()[:1] if devices is None else devices
    unit, part, free = _unit(starts, region), flat.resting, flat.is_free
    near = None if region is None else Region(region.low[free], region.high[free])
    with jax.enable_x64(True):
        ended = searched(part, starts[:, free], p, unit[free], near, devices, ranks)
        if part.n > MOST_DENSE:
            x = polished(part.spread or part.residual, ended.x, p, unit[free])
        else:
            x = refined(part.residual, ended.x, p, unit[free])
    x = flat.at_rest(x[distinct(x / unit[free], SAME)], p)
    if region is not None:
        x = x[region.contains(x)]
    x, left_out = _without_spiking(flat, x)
    message = _message(part, ended, region, len(x), left_out)
    return described(flat, x, p, unit, rtol=rtol, message=message, ranks=ranks)


def described(
    flat: Flat,
    x: Float64[np.ndarray, "k n"],
    p: Float64[np.ndarray, "p"],
    unit: Float64[np.ndarray, "n"],
    *,
    rtol: float = RTOL,
    message: str = "",
    ranks: Ranks = ALONE,
) -> FixedPoints:
    """Known fixed points, sorted, with their spectra and labels; ranks share large ones."""
    x = x[np.lexsort(np.round(x / unit, 8).T[::-1])] if len(x) else x
    with jax.enable_x64(True):
        if flat.about.delayed is not None:
            of = _of_delays
        else:
            of = _of_matrices if flat.n <= MOST_SPECTRUM else _of_products
        speed, spectra = of(flat, x, p, rtol, ranks if flat.n > MOST_VECTORS else ALONE)
    kinds = [
        stability(values, norm, is_continuous=flat.is_continuous, rtol=rtol)
        for values, _, norm in spectra
    ]
    e = len(spectra[0][0]) if spectra else flat.n
    values = np.array([values for values, _, _ in spectra], complex).reshape(len(x), e)
    columns = e if flat.n <= MOST_VECTORS else 0
    vectors = np.zeros((len(x), flat.n, columns), complex)
    for k in range(len(x)):
        vectors[k] = spectra[k][1][:, :columns]
    marginal = np.array([kind.n_marginal for kind in kinds], np.int64)
    labels = tuple(kind.label for kind in kinds)
    is_on_line = [
        labels[k] == "degenerate" and _goes_on(flat, x[k], p, unit, values[k], spectra[k][1])
        for k in range(len(x))
    ]
    family = _families(values, is_on_line, rtol)
    if any(is_on_line):
        lines = len(set(family[is_on_line].tolist()))
        message = " ".join(filter(None, [
            message,
            f"{sum(is_on_line)} of the points lie on {lines} line(s) or ring(s) of fixed points "
            "(`family`), which go on along the eigenvector of the marginal eigenvalue.",
        ]))  # fmt: skip
    return FixedPoints(
        x, flat.names, values, vectors, labels,
        np.array([kind.n_unstable for kind in kinds], np.int64), marginal, family, speed,
        message, flat, p,
    )  # fmt: skip


def _of_matrices(flat: Flat, x: Any, p: Any, rtol: float, ranks: Ranks) -> tuple[Any, list[Any]]:
    """|F| of each point, and the eigenvalues, eigenvectors and norm of its Jacobian."""
    r, jacobians = linearised(flat.residual, x, np.tile(p, (len(x), 1)))
    jacobians = jacobians + (0.0 if flat.is_continuous else np.eye(flat.n))

    def of_one(j: Any) -> tuple[Any, Any, float]:
        return *spectrum(j), norm_of(j)

    return np.linalg.norm(r, axis=1), [*ranks.done([partial(of_one, j) for j in jacobians])]


def _of_delays(flat: Flat, x: Any, p: Any, rtol: float, _: Ranks) -> tuple[Any, list[Any]]:
    """The same with the rightmost characteristic roots in the place of eigenvalues."""
    g = jax.jit(flat.residual)
    speed = np.array([np.linalg.norm(g(a, p)) for a in x])
    found = [roots_at(flat, a, p, FEW_ROOTS, rtol) for a in x]
    most = min((len(r.values) for r in found), default=0)
    most = max([most, *(r.n_unstable + 1 for r in found)])
    found = [r if len(r.values) >= most else roots_at(flat, r.x, p, most, rtol) for r in found]
    return speed, [(r.values[:most], r.vectors[:most].T, r.linear.norm) for r in found]


def _of_products(flat: Flat, x: Any, p: Any, rtol: float, ranks: Ranks) -> tuple[Any, list[Any]]:
    """The same without matrices: the leading eigenvalues, and no eigenvectors."""
    if flat.spread is not None:
        speed = np.linalg.norm(flat.spread.values(x, p), axis=1) if len(x) else np.zeros(0)
    else:
        g = jax.jit(flat.residual)
        speed = np.array([np.linalg.norm(g(a, p)) for a in x])
    f = flat.spread or flat.f
    of_one = partial(leading, f, is_continuous=flat.is_continuous, tolerance=rtol)
    found = ranks.done([partial(of_one, x=a, p=p) for a in x])
    return speed, [(values, np.zeros((flat.n, 0)), norm) for values, norm in found]


def _without_spiking(
    flat: Flat, x: Float64[np.ndarray, "k n"]
) -> tuple[Float64[np.ndarray, "k n"], int]:
    """The points below the threshold of a cell that is reset, and how many others there were."""
    if flat.about.threshold is None:
        return x, 0
    name, value = flat.about.threshold
    is_below = x[:, flat.index(name)] < value
    return x[is_below], int((~is_below).sum())


def _goes_on(flat: Flat, x: Any, p: Any, unit: Any, values: Any, vectors: Any) -> bool:
    """Whether a degenerate point lies on a line of fixed points.

    From a step along the direction of the smallest eigenvalue Newton's method leads back to a
    double root, and to another point of a line.
    """
    if not vectors.size:
        return False
    along = np.real(vectors[:, np.abs(values).argmin()])
    aside = x + STEP_ASIDE / np.abs(along / unit).max() * along
    with jax.enable_x64(True):
        found = refined(flat.residual, aside[None], p, unit)
    return len(found) > 0 and np.abs((found[0] - x) / unit).max() > 0.5 * STEP_ASIDE


def _families(
    eigenvalues: Complex128[np.ndarray, "k e"], is_on_line: Sequence[bool], rtol: float
) -> Int64[np.ndarray, "k"]:
    """A number per point, the same for points on lines that have one spectrum."""
    family, known = [], []
    for values, goes_on in zip(eigenvalues, is_on_line, strict=True):
        values = np.sort_complex(values)
        near = 1e2 * rtol * np.abs(values).max(initial=0.0)
        same = [k for k, other in known if goes_on and np.abs(values - other).max() <= near]
        family.append(same[0] if same else 1 + max(family, default=-1))
        if goes_on and not same:
            known.append((family[-1], values))
    return np.array(family, np.int64)


def _message(flat: Flat, ended: Ended, region: Region | None, count: int, left_out: int) -> str:
    parts = list(flat.about.notes)
    if left_out:
        name, value = flat.about.threshold or ("V", np.nan)
        parts.append(
            f"{left_out} zero{'s' * (left_out > 1)} of the derivative at {name} >= {value:g}, "
            "where the cell is reset, left out."
        )
    if not count:
        at = ", ".join(f"{n} = {v:.4g}" for n, v in [*zip(flat.names, ended.best, strict=True)][:6])
        where = "" if region is None else " in the box"
        parts.append(
            f"No fixed point{where}, from {ended.count} starts. "
            + (
                f"{ended.n_roots} searches ended at one outside, as at {at}. Make the box larger."
                if ended.n_roots
                else f"The field was slowest at {at}: there it is no zero. If a parameter has just "
                "removed a pair of fixed points (a fold), move it back; if the field jumps there, "
                "it changes sign without being zero."
            )
        )
    return " ".join(parts)


def _pairs(z: Complex128[np.ndarray, "..."]) -> Float64[np.ndarray, "... 2"]:
    return np.stack([np.real(z), np.imag(z)], axis=-1)


def _unit(starts: Float64[np.ndarray, "m n"], region: Region | None) -> Float64[np.ndarray, "n"]:
    """By how much variables change: the box, or the spread of the starts, or their size."""
    spread, size = np.ptp(starts, axis=0), np.abs(starts).max(axis=0)
    typical = np.where(spread > 0, spread, np.maximum(size, 1.0))
    return typical if region is None else region.unit(typical)
