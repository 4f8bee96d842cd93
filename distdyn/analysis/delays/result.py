"""Characteristic roots of an equilibrium: how fast what kind of difference grows.

    roots = an.characteristic_roots({"V": -1.2, "w": -0.62})
    roots.values                              # complex, the rightmost first, 1/ms
    roots.stability, roots.n_unstable

A system with delays has infinitely many; only finitely many lie to the right of any line.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Complex128, Float64

from distdyn.analysis.delays.linear import Linear, linear_at
from distdyn.analysis.delays.rightmost import rightmost
from distdyn.analysis.field import Flat
from distdyn.analysis.points.polish import refined
from distdyn.analysis.points.stability import RTOL, stability
from distdyn.errors import AnalysisError
from distdyn.run.store import write_arrays

MOST_VARIABLES = 100


@dataclass(frozen=True, eq=False)
class CharacteristicRoots:
    """The rightmost roots of det Delta(lambda) = 0 at an equilibrium; see `delays.linear`.

    Attributes:
        x: the equilibrium.
        values: the roots, the largest real part first, 1/ms; with their multiplicity.
        vectors: Delta v = 0, a row each: of the difference v exp(lambda t).
        stability: a label, by these roots, see `distdyn.analysis.points.stability`.
        n_unstable: how many roots grow: all of them are among `values`.
        linear: the matrices A_0, A_k and the delays.
        flat: whose equilibrium it is.
    """

    x: Float64[np.ndarray, "n"]
    values: Complex128[np.ndarray, "m"]
    vectors: Complex128[np.ndarray, "m n"]
    stability: str
    n_unstable: int
    linear: Linear = field(repr=False)
    flat: Flat = field(repr=False)

    @property
    def state(self) -> dict[str, Any]:
        """The equilibrium by variable."""
        return self.flat.unflatten(self.x)

    def __repr__(self) -> str:
        at = ", ".join(
            f"{name} = {value:.6g}" for name, value in zip(self.flat.names, self.x, strict=True)
        )
        shown = ", ".join(f"{z:.6g}" for z in self.values[:4])
        return f"{self.flat.about.name} at {at}: {self.stability}; rightmost {shown}"

    def plot(self, ax: Any = None) -> Any:
        """The roots in the complex plane; returns the figure."""
        from distdyn.plot.roots import characteristic_roots

        return characteristic_roots(self, ax)

    def save(self, path: str | Path) -> None:
        """Write all of it to an HDF5 file; complex numbers as pairs."""
        arrays = {
            "x": self.x,
            "values": _pairs(self.values),
            "vectors": _pairs(self.vectors),
            "now": self.linear.now,
            "past": self.linear.past,
            "delays": self.linear.delays,
        }
        write_arrays(
            Path(path), arrays, kind="characteristic roots", names=list(self.flat.names),
            system=self.flat.about.name, stability=self.stability,
        )  # fmt: skip


def characteristic_roots(
    flat: Flat, x: Float64[np.ndarray, "n"], p: Float64[np.ndarray, "p"], count: int
) -> CharacteristicRoots:
    """The rightmost characteristic roots of the equilibrium at a state.

    Args:
        flat: a flow, with delays or without.
        x: the equilibrium, or a state near it.
        p: the parameters.
        count: how many roots, at least; all that grow are among them.

    Raises:
        AnalysisError: it is a map, has too many variables, or there is no equilibrium near.
    """
    what = flat.about.name
    if not flat.is_continuous or flat.n > MOST_VARIABLES or count < 1:
        raise AnalysisError(
            f"characteristic_roots: {what} is a map: its multipliers are those of fixed_points."
            if not flat.is_continuous
            else f"characteristic_roots: {count} roots of {what} with {flat.n} variables. Ask for "
            f"1 or more, of at most {MOST_VARIABLES} variables."
        )
    unit = np.maximum(np.abs(x), 1.0)
    with jax.enable_x64(True):
        found = refined(flat.residual, x[None], p, unit)
    if not len(found) or np.abs((found[0] - x) / unit).max() > 0.5:
        raise AnalysisError(
            f"characteristic_roots: {what} has no equilibrium near {x}. Take one of "
            "an.fixed_points(box=...): their states are exact."
        )
    return roots_at(flat, found[0], p, count)


def roots_at(
    flat: Flat,
    x: Float64[np.ndarray, "n"],
    p: Float64[np.ndarray, "p"],
    count: int,
    rtol: float = RTOL,
) -> CharacteristicRoots:
    """The same at an equilibrium that is exact."""
    linear = linear_at(flat, x, p)
    while True:
        found = rightmost(linear, count)
        if np.real(found.values).min() < 0.0 or len(found.values) < count:
            break
        count *= 2  # all that grow are wanted, and the first that does not
    kind = stability(found.values, linear.norm, rtol=rtol)
    return CharacteristicRoots(
        x, found.values, found.vectors, kind.label, kind.n_unstable, linear, flat
    )


def _pairs(z: Complex128[np.ndarray, "..."]) -> Float64[np.ndarray, "... 2"]:
    return np.stack([np.real(z), np.imag(z)], axis=-1)
