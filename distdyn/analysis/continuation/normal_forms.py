"""Coefficients of normal forms of equilibria, on the centre manifold.

    LP   y' = beta + a y^2                              a = 1/2 <p, B(q, q)>
    CP   y' = beta1 + beta2 y + c y^3                   c = 1/6 <p, C(q, q, q) + 3 B(q, h)>
    H    r' = r (beta + l1 omega r^2), to scale         l1 < 0: stable cycles bifurcate
    BT   y' = z, z' = beta1 + beta2 y + a y^2 + b y z

A q = 0 (or A q = i omega q), A^T p = 0 (or -i omega p), |q| = 1, <p, q> = 1. B and C are the second
and third derivatives of f by the variables.

Source: Kuznetsov (2004), Elements of Applied Bifurcation Theory, 3rd ed., (5.62) for l1; Kuznetsov
(1999), SIAM J. Numer. Anal. 36, 1104 for the others.
"""

import numpy as np
from jaxtyping import Complex128, Float64

from distdyn.analysis.continuation.family import Family

Vector = Float64[np.ndarray, "m"]
Matrix = Float64[np.ndarray, "m m"]


def null_vectors(A: Matrix) -> tuple[Vector, Vector]:
    """Unit vectors q and p with A q = 0 and A^T p = 0, the best there are."""
    left, _, right = np.linalg.svd(A)
    return right[-1], left[:, -1]


def fold_coefficient(family: Family, u: Vector) -> float:
    """The coefficient a of a fold (LP); its sign is that of q and p, so |a| is what matters."""
    q, p = null_vectors(family.A(u))
    return float(0.5 * p @ family.B(u, q, q) / (p @ q))


def cusp_coefficient(family: Family, u: Vector) -> float:
    """The coefficient c of a cusp (CP)."""
    A = family.A(u)
    q, p = null_vectors(A)
    h = _bordered(A, p, q, -family.B(u, q, q))
    cubic = family.C(u, q, q, q) + 3.0 * family.B(u, q, h)
    return float(p @ cubic / (6.0 * (p @ q)))


def critical_vectors(A: Matrix, omega: float) -> tuple[Complex128[np.ndarray, "n"], ...]:
    """The eigenvectors: A q = i omega q, A^T p = -i omega p, with |q| = 1 and <p, q> = 1."""
    values, vectors = np.linalg.eig(A)
    q = vectors[:, np.argmin(abs(values - 1j * omega))]
    values, vectors = np.linalg.eig(A.T)
    p = vectors[:, np.argmin(abs(values + 1j * omega))]
    q = q / np.linalg.norm(q)
    return q, p / np.conj(np.vdot(p, q))


def lyapunov_coefficient(family: Family, u: Vector, omega: float) -> float:
    """The first Lyapunov coefficient l1 of a Hopf point with the eigenvalues +-i omega.

        l1 = 1 / (2 omega) Re <p, C(q, q, q*) - 2 B(q, A^-1 B(q, q*)) + B(q*, h)>
        h  = (2 i omega - A)^-1 B(q, q)

    MatCont prints omega l1. Positive: subcritical, unstable cycles on the stable side.
    """
    A = family.A(u)
    q, p = critical_vectors(A, omega)
    re, im = np.real(q), np.imag(q)

    def B(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The bilinear form of complex vectors."""
        of_re = family.second(u, family.padded(np.real(a)))[:, : family.n]
        of_im = family.second(u, family.padded(np.imag(a)))[:, : family.n]
        return of_re @ b + 1j * (of_im @ b)

    rrr, iii = family.C(u, re, re, re), family.C(u, im, im, im)
    rri, rii = family.C(u, re, re, im), family.C(u, re, im, im)
    cubic = rrr + rii + 1j * (rri + iii)  # C(q, q, q*)
    mean = np.linalg.solve(A, B(q, q.conj()))
    double = np.linalg.solve(2j * omega * np.eye(family.n) - A, B(q, q))
    total = cubic - 2.0 * B(q, mean) + B(q.conj(), double)
    return float(np.vdot(p, total).real / (2.0 * omega))


def bogdanov_takens_coefficients(family: Family, u: Vector) -> tuple[float, float]:
    """The coefficients (a, b) of a double zero (BT), a >= 0, with |q0| = 1.

    A q0 = 0, A q1 = q0, A^T p1 = 0, A^T p0 = p1, <p0, q0> = <p1, q1> = 1, <p0, q1> = 0:

        a = 1/2 <p1, B(q0, q0)>,   b = <p0, B(q0, q0)> + <p1, B(q0, q1)>
    """
    A = family.A(u)
    q0, p1 = null_vectors(A)
    q1 = _bordered(A, p1, q0, q0)
    p1 = p1 / (p1 @ q1)
    p0 = _bordered(A.T, q0, p1 / np.linalg.norm(p1), p1)
    p0 = p0 - (p0 @ q1) * p1
    squares = family.B(u, q0, q0)
    a = float(0.5 * p1 @ squares)
    b = float(p0 @ squares + p1 @ family.B(u, q0, q1))
    return abs(a), b if a >= 0 else -b


def _bordered(A: Matrix, column: Vector, row: Vector, right: Vector) -> Vector:
    """A solution x of a singular system: [[A, column], [row, 0]] (x, s) = (right, 0)."""
    matrix = np.block([[A, column[:, None]], [row[None], np.zeros((1, 1))]])
    return np.linalg.solve(matrix, np.append(right, 0.0))[:-1]
