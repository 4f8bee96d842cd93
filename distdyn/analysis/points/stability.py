"""What kind of fixed point it is, from the eigenvalues of the Jacobian J.

Of a flow an eigenvalue l decays if Re l < 0, of a map if |l| < 1. Numbers have errors in proportion
to the norm of J, so what is within `rtol` |J| of the border counts as on it, and what is within
that of the real axis as real:

    stable node, stable focus        all decay; a focus turns: some eigenvalue is complex
    unstable node, unstable focus    all grow
    saddle, saddle-focus             some decay, some grow
    center                           all turn without growing: pairs on the border
    degenerate                       some are on the border otherwise: linear stability says
                                     nothing; a bifurcation, or a line of fixed points

Source: Kuznetsov (2004), Elements of Applied Bifurcation Theory, 3rd ed., sec. 2.1 and 2.2.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Complex128, Float64

LABELS = (
    "stable node",
    "stable focus",
    "unstable node",
    "unstable focus",
    "saddle",
    "saddle-focus",
    "center",
    "degenerate",
)
RTOL = 1e-7  # an eigenvalue of multiplicity two is known to the root of the rounding error, 1.5e-8


class Stability(NamedTuple):
    """Of a fixed point."""

    label: str
    n_unstable: int  # eigenvalues that grow
    n_marginal: int  # eigenvalues on the border


def stability(
    eigenvalues: Complex128[np.ndarray, "n"],
    norm: float,
    *,
    is_continuous: bool = True,
    rtol: float = RTOL,
) -> Stability:
    """The kind of a fixed point.

    Args:
        eigenvalues: of the Jacobian; of a large one those that decay the least.
        norm: of the Jacobian.
        is_continuous: whether it is that of a flow, else of a map.
        rtol: relative to the norm, what counts as zero.
    """
    eigenvalues = np.asarray(eigenvalues)
    tolerance = rtol * max(norm, np.abs(eigenvalues).max(initial=0.0))
    growth = np.real(eigenvalues) if is_continuous else np.abs(eigenvalues) - 1.0
    grows, decays = growth > tolerance, growth < -tolerance
    is_marginal = ~grows & ~decays
    turns = np.abs(np.imag(eigenvalues)) > tolerance
    unstable, marginal = int(grows.sum()), int(is_marginal.sum())
    if marginal == len(eigenvalues) and turns.all():
        label = "center"
    elif marginal:
        label = "degenerate"
    elif grows.any() and decays.any():
        label = "saddle-focus" if turns.any() else "saddle"
    else:
        label = f"{'unstable' if unstable else 'stable'} {'focus' if turns.any() else 'node'}"
    return Stability(label, unstable, marginal)


def spectrum(
    jacobian: Float64[np.ndarray, "n n"],
) -> tuple[Complex128[np.ndarray, "n"], Complex128[np.ndarray, "n n"]]:
    """Eigenvalues, from the largest real part to the smallest, and eigenvectors as columns."""
    values, vectors = np.linalg.eig(jacobian)
    order = np.lexsort((np.imag(values), np.round(-np.real(values), 12)))
    return values[order].astype(complex), vectors[:, order].astype(complex)


def norm_of(jacobian: Float64[np.ndarray, "n n"]) -> float:
    """The spectral norm of a small Jacobian, and that of Frobenius of a large one."""
    return float(np.linalg.norm(jacobian, 2 if len(jacobian) <= 100 else "fro"))
