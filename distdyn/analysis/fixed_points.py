"""Fixed points: where a flow stands still, F(x) = 0, or a map stays, F(x) = x.

Searches from many starts (`roots`) end in candidates. Those that agree are one; it is refined by
Newton's method to the precision of the numbers, and classified by its eigenvalues (`stability`).
What is found does not depend on how many devices search.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Complex128, Float64, Int64

from distdyn.analysis.field import Flat
from distdyn.analysis.roots import Roots, roots
from distdyn.analysis.stability import LABELS, RTOL, norm_of, spectrum, stability
from distdyn.analysis.starts import Region
from distdyn.errors import AnalysisError
from distdyn.run.store import write_arrays

SAME = 1e-6  # of the unit: candidates as near are one
NEWTON_STEPS = 20
CORRECTION = 1e-7  # of the unit: a root that Newton's method would still move by more is none
SINGULAR = 1e-10  # singular values, relative to the largest, along which nothing is refined
MOST_DENSE = 2000  # variables


@dataclass(frozen=True, eq=False)
class FixedPoints:
    """Fixed points, sorted by their coordinates.

    Attributes:
        x: the points, a row each, in the order of `names`.
        names: of the columns of x.
        eigenvalues: of the Jacobian at each, the largest real part (of a map: modulus) first.
        eigenvectors: the columns belong to the eigenvalues.
        stability: a label each, see `distdyn.analysis.stability`.
        n_unstable: how many eigenvalues grow: the index of the point.
        n_marginal: how many neither grow nor decay.
        family: equal for degenerate points that belong together: points with the same spectrum, of
            a line or ring of fixed points along the marginal eigenvector. Isolated ones are alone.
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
            shown = [f"{name} = {value:.6g}" for name, value in zip(self.names, self.x[k])][:6]
            shown += ["..."] * (len(self.names) > 6)
            lines.append(f"  {', '.join(shown)}: {self.stability[k]}")
        return "\n".join([*lines, *["  ..."] * (len(self) > 20), *filter(None, [self.message])])

    def plot(self, ax: Any = None, x: str | None = None, y: str | None = None) -> Any:
        """The points in the plane of two variables, by default the first two; returns the figure."""
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
    rtol: float = RTOL,
) -> FixedPoints:
    """All fixed points that searches from these starts end in.

    Args:
        flat: the field.
        starts: where the searches begin.
        region: what lies outside is left out.
        p: the parameters; those of the model by default.
        devices: that share the searches; one by default.
        rtol: relative to the norm of the Jacobian, what counts as zero in an eigenvalue.

    Raises:
        AnalysisError: there are too many variables, or F is finite at no start.
    """
    if flat.n > MOST_DENSE:
        raise AnalysisError(
            f"{flat.about.name} has {flat.n} variables: a Jacobian of more than {MOST_DENSE} "
            "variables is too large here. Analyse a smaller network of the same kind."
        )
    p = flat.p0 if p is None else np.asarray(p, np.float64)
    devices = jax.local_devices()[:1] if devices is None else devices
    unit = _unit(starts, region)
    with jax.enable_x64(True):
        g = flat.residual
        found = roots(g, starts, np.tile(p, (len(starts), 1)), unit, devices)
        if not np.isfinite(found.residual).any():
            raise AnalysisError(
                f"{flat.about.name}: its derivative is finite at none of {len(starts)} starts. "
                "Begin where the equations hold."
            )
        near = found.x[found.is_root]
        if region is not None:
            near = near[region.contains(near, 1e-3)]
        refined = [_refined(g, x, p, unit) for x in near[distinct(near / unit, SAME)]]
    x = np.array([x for x in refined if x is not None]).reshape(-1, flat.n)
    x = x[distinct(x / unit, SAME)]
    if region is not None:
        x = x[region.contains(x)]
    x, left_out = _without_spiking(flat, x)
    return described(
        flat, x, p, unit, rtol=rtol, message=_message(flat, found, region, len(x), left_out)
    )


def described(
    flat: Flat,
    x: Float64[np.ndarray, "k n"],
    p: Float64[np.ndarray, "p"],
    unit: Float64[np.ndarray, "n"],
    *,
    rtol: float = RTOL,
    message: str = "",
) -> FixedPoints:
    """Known fixed points, sorted, with their spectra and labels."""
    x = x[np.lexsort(np.round(x / unit, 8).T[::-1])] if len(x) else x
    with jax.enable_x64(True):
        found = [_value_and_jacobian(flat.residual, a, p) for a in x]
    speed = np.array([np.linalg.norm(r) for r, _ in found])
    one = 0.0 if flat.is_continuous else np.eye(flat.n)
    jacobians = [np.asarray(J) + one for _, J in found]
    spectra = [spectrum(j) for j in jacobians]
    kinds = [
        stability(values, norm_of(j), is_continuous=flat.is_continuous, rtol=rtol)
        for (values, _), j in zip(spectra, jacobians, strict=True)
    ]
    n, shape = flat.n, (len(x), flat.n)
    values = np.array([values for values, _ in spectra], complex).reshape(shape)
    marginal = np.array([kind.n_marginal for kind in kinds], np.int64)
    labels = tuple(kind.label for kind in kinds)
    family = _families(values, labels, rtol)
    lines = sum(np.bincount(family) > 1) if len(x) else 0
    if lines:
        message = " ".join(filter(None, [
            message,
            f"{lines} line{'s' * (lines > 1)} or ring{'s' * (lines > 1)} of fixed points, of which "
            f"{int(sum(c for c in np.bincount(family) if c > 1))} points were met: see `family`; "
            "they go on along the eigenvector of the marginal eigenvalue.",
        ]))  # fmt: skip
    return FixedPoints(
        x, flat.names, values,
        np.array([vectors for _, vectors in spectra], complex).reshape(len(x), n, n),
        labels, np.array([kind.n_unstable for kind in kinds], np.int64), marginal, family, speed,
        message, flat, p,
    )  # fmt: skip


def distinct(x: Float64[np.ndarray, "m n"], tolerance: float) -> Int64[np.ndarray, "k"]:
    """The first of each group of points that agree, coordinate by coordinate.

    Points are sorted along a random direction: only neighbours there can agree.
    """
    if not len(x):
        return np.zeros(0, np.int64)
    direction = np.random.default_rng(0).normal(size=x.shape[1])
    along = x @ direction / np.abs(direction).sum()  # points that agree are as near along it
    order = np.argsort(along, kind="stable")
    kept: list[int] = []  # in the order of `along`
    for k in order:
        near = reversed(kept)
        for other in near:
            if along[k] - along[other] > tolerance:
                kept.append(k)
                break
            if np.abs(x[k] - x[other]).max() <= tolerance:
                break
        else:
            kept.append(k)
    return np.sort(np.array(kept, np.int64))


def _refined(
    g: Any, x: Float64[np.ndarray, "n"], p: Any, unit: Float64[np.ndarray, "n"]
) -> Float64[np.ndarray, "n"] | None:
    """A candidate as exact as numbers can be, or None if there is no root.

    Along what the Jacobian does not see, nothing is changed.
    """
    best, step = np.inf, np.zeros_like(x)
    for _ in range(NEWTON_STEPS):
        r, J = (np.asarray(a) for a in _value_and_jacobian(g, x, p))
        rows = np.maximum(np.linalg.norm(J * unit, axis=1), 1e-300)
        new = np.linalg.lstsq(J * unit / rows[:, None], -r / rows, rcond=SINGULAR)[0]
        size = np.abs(new).max()
        if not size < best:
            break
        best, step = size, new
        x = x + unit * step
    return x if best <= CORRECTION else None


@functools.partial(jax.jit, static_argnames=("g",))
def _value_and_jacobian(g: Any, x: Any, p: Any) -> tuple[Any, Any]:
    def both(x: Any) -> tuple[Any, Any]:
        r = g(x, p)
        return r, r

    J, r = jax.jacfwd(both, has_aux=True)(x)
    return r, J


def _without_spiking(
    flat: Flat, x: Float64[np.ndarray, "k n"]
) -> tuple[Float64[np.ndarray, "k n"], int]:
    """The points below the threshold of a cell that is reset, and how many others there were."""
    if flat.about.threshold is None:
        return x, 0
    name, value = flat.about.threshold
    is_below = x[:, flat.index(name)] < value
    return x[is_below], int((~is_below).sum())


def _families(
    eigenvalues: Complex128[np.ndarray, "k e"], labels: Sequence[str], rtol: float
) -> Int64[np.ndarray, "k"]:
    """A number per point, the same for degenerate ones of one spectrum."""
    family, known = [], []
    for k, label in enumerate(labels):
        size = np.abs(eigenvalues[k]).max(initial=0.0)
        same = [
            number for number, other in known
            if label == "degenerate"
            and np.abs(np.sort_complex(eigenvalues[k]) - other).max() <= 1e2 * rtol * size
        ]  # fmt: skip
        family.append(same[0] if same else len(known))
        if not same:
            known.append((len(known), np.sort_complex(eigenvalues[k])))
    return np.array(family, np.int64)


def _message(
    flat: Flat, found: Roots, region: Region | None, count: int, left_out: int
) -> str:
    parts = list(flat.about.notes)
    if left_out:
        name, value = flat.about.threshold or ("V", np.nan)
        parts.append(
            f"{left_out} zero{'s' * (left_out > 1)} of the derivative at {name} >= {value:g}, "
            "where the cell is reset, left out."
        )
    if not count:
        best = int(np.nanargmin(found.residual))
        at = ", ".join(f"{n} = {v:.4g}" for n, v in list(zip(flat.names, found.x[best]))[:6])
        where = "" if region is None else " in the box"
        outside = int(found.is_root.sum())
        parts.append(
            f"No fixed point{where}, from {len(found.x)} starts. "
            + (
                f"{outside} searches ended at one outside, as at {at}. Make the box larger."
                if outside
                else f"The field was slowest at {at}: there it is no zero. If a parameter has just "
                "removed a pair of fixed points (a fold), move it back; if the field jumps there, "
                "it changes sign without being zero."
            )
        )
    return " ".join(parts)


def _pairs(z: Complex128[np.ndarray, "..."]) -> Float64[np.ndarray, "... 2"]:
    return np.stack([z.real, z.imag], axis=-1)


def _unit(
    starts: Float64[np.ndarray, "m n"], region: Region | None
) -> Float64[np.ndarray, "n"]:
    """By how much variables change: the box, or the spread of the starts, or their size."""
    spread, size = np.ptp(starts, axis=0), np.abs(starts).max(axis=0)
    typical = np.where(spread > 0, spread, np.maximum(size, 1.0))
    return typical if region is None else region.unit(typical)
