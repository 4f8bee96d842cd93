"""The linear dynamics about a point: eigenvalues, and eigenvectors from both sides.

    x' = J x,    J r_k = lambda_k r_k,    l_k* J = lambda_k l_k*,    l_k* r_k = 1

r_k is the pattern of a mode, l_k* x how much of it is in a perturbation x. Modes that decay the
least come first. Those whose eigenvalue is small relative to |J| are marginal: along their r_k
nothing moves (of a map: where the eigenvalue is near 1, relative to |J - 1|).
"""

from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
from jaxtyping import Complex128, Float64

from distdyn.analysis.field import Flat
from distdyn.analysis.points.krylov import leading_modes
from distdyn.analysis.points.roots import MOST_DENSE, linearised
from distdyn.analysis.points.stability import RTOL, Stability, norm_of, stability

MODES = 8  # whose eigenvectors are kept
WORST = 1e12  # condition of eigenvectors, beyond which some are missing


class Modes(NamedTuple):
    """The linear dynamics about a point."""

    values: Complex128[np.ndarray, "e"]
    right: Complex128[np.ndarray, "n m"]
    left: Complex128[np.ndarray, "n l"]
    marginal: Complex128[np.ndarray, "n d"]  # eigenvectors of eigenvalues that are nearly 0
    kind: Stability


def modes_about(flat: Flat, x: Float64[np.ndarray, "n"], p: Any, marginal: float) -> Modes:
    """Eigenvalues of the Jacobian, and eigenvectors from both sides."""
    still = 0.0 if flat.is_continuous else 1.0  # the eigenvalue of a direction where nothing moves
    if flat.n > MOST_DENSE:
        values, right, norm = leading_modes(
            flat.spread or flat.f, x, p, is_continuous=flat.is_continuous, tolerance=RTOL
        )
        left, scale = np.zeros((flat.n, 0)), norm
    else:
        _, (residual,) = linearised(flat.residual, x[None], p[None])
        J = residual + still * np.eye(flat.n)
        found: Any = scipy.linalg.eig(J, left=True)
        values, left, right = found
        growth = np.real(values) if flat.is_continuous else np.abs(values)
        order = np.lexsort((np.imag(values), np.round(-growth, 12)))
        values, right = values[order], right[:, order]
        left = _dual(left[:, order][:, :MODES], right[:, :MODES])
        norm, scale = norm_of(J), float(np.linalg.norm(residual, 2))
    kind = stability(values, norm, is_continuous=flat.is_continuous)
    is_marginal = np.abs(values - still) <= marginal * scale
    return Modes(values, right[:, :MODES], left, right[:, is_marginal], kind)


def _dual(left: Complex128[np.ndarray, "n m"], right: Complex128[np.ndarray, "n m"]) -> Any:
    """The left eigenvectors with left' right = 1, also where an eigenvalue is there repeatedly."""
    overlap = left.conj().T @ right
    if np.linalg.cond(overlap) > WORST:
        return np.full_like(left, np.nan)
    return left @ np.linalg.inv(overlap).conj().T


def orthonormal(vectors: Complex128[np.ndarray, "n d"]) -> Float64[np.ndarray, "n d"]:
    """A real basis of what some eigenvectors span, of pairs both."""
    parts = np.concatenate([np.real(vectors), np.imag(vectors)], axis=1)
    left, size, _ = np.linalg.svd(parts, full_matrices=False)
    return left[:, : vectors.shape[1]] if len(size) else np.zeros((len(vectors), 0))
