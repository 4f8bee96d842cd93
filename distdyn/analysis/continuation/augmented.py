"""Minimally augmented systems: curves of folds and of Hopf points in two parameters.

    LP   f = 0, g = 0          [[A, w], [v^T, 0]] (q, g) = (0, 1)
    H    f = 0, G_ij = 0       [[A^2 + kappa, W], [V^T, 0]] (Q, G) = (0, 1)       for two i, j

A border of one column (of two) makes a singular matrix regular; g (G, 2 x 2) vanishes where A
(A^2 + kappa) has a null space of one (two) dimensions. kappa = omega^2 is an unknown, so that the
curve passes regularly through kappa = 0, a Bogdanov-Takens point. Of the four entries of G two are
taken, those that make the system best conditioned; borders are renewed at each step.

Source: Govaerts (2000), Numerical Methods for Bifurcations of Dynamical Equilibria, ch. 4 and 5;
Kuznetsov (2004), sec. 10.3.
"""

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from jaxtyping import Float64

from distdyn.analysis.continuation.arclength import Solve, solver
from distdyn.analysis.continuation.family import Family
from distdyn.analysis.continuation.normal_forms import null_vectors

Vector = Float64[np.ndarray, "m"]
Matrix = Float64[np.ndarray, "m k"]


@dataclass(frozen=True, eq=False)
class FoldSystem:
    """Folds; the unknowns are u = (x, p) with two parameters."""

    family: Family
    v: Vector
    w: Vector

    @classmethod
    def at(cls, family: Family, u: Vector) -> "FoldSystem":
        """With the null vectors at a point as borders."""
        return cls(family, *null_vectors(family.A(u)))

    def renewed(self, u: Vector) -> "FoldSystem":
        """With borders of the present point, in the directions of those before."""
        q, p, _ = self.vectors(u)
        return FoldSystem(self.family, q / np.linalg.norm(q), p / np.linalg.norm(p))

    def vectors(self, u: Vector) -> tuple[Vector, Vector, float]:
        """Null vectors q and p, with v . q = w . p = 1, and g."""
        n, A = self.family.n, self.family.A(u)
        matrix = np.block([[A, self.w[:, None]], [self.v[None], np.zeros((1, 1))]])
        last = np.append(np.zeros(n), 1.0)
        right, left = np.linalg.solve(matrix, last), np.linalg.solve(matrix.T, last)
        return right[:n], left[:n], float(right[n])

    def residual(self, u: Vector) -> Vector:
        try:
            return np.append(self.family.field(u), self.vectors(u)[2])
        except np.linalg.LinAlgError:
            return np.full(self.family.n + 1, np.nan)

    def jacobian(self, u: Vector) -> Matrix:
        q, p, _ = self.vectors(u)
        gradient = -p @ self.family.second(u, self.family.padded(q))
        return np.vstack([self.family.jacobian(u), gradient])

    def bordered(self, u: Vector, row: Vector) -> Solve:
        return solver(np.vstack([self.jacobian(u), row]))


@dataclass(frozen=True, eq=False)
class HopfSystem:
    """Hopf points; the unknowns are (kappa, x, p) with two parameters.

    Attributes:
        family: the field.
        V, W: borders, (n, 2).
        chosen: the two entries of G that are zero, of 0 to 3 row by row.
    """

    family: Family
    V: Matrix
    W: Matrix
    chosen: tuple[int, int] = (0, 3)

    @classmethod
    def at(cls, family: Family, y: Vector) -> "HopfSystem":
        """With the null spaces at a point as borders."""
        A = family.A(y[1:])
        left, _, right = np.linalg.svd(A @ A + y[0] * np.eye(family.n))
        return cls(family, right[-2:].T, left[:, -2:])._well_chosen(y)

    def renewed(self, y: Vector) -> "HopfSystem":
        """With borders and entries of the present point."""
        return HopfSystem.at(self.family, y)

    def residual(self, y: Vector) -> Vector:
        try:
            G = self._solved(y)[2].ravel()
        except np.linalg.LinAlgError:
            return np.full(self.family.n + 2, np.nan)
        return np.append(self.family.field(y[1:]), G[list(self.chosen)])

    def jacobian(self, y: Vector) -> Matrix:
        return np.vstack([self._of_field(y), self._gradients(y)[list(self.chosen)]])

    def bordered(self, y: Vector, row: Vector) -> Solve:
        return solver(np.vstack([self.jacobian(y), row]))

    def _of_field(self, y: Vector) -> Matrix:
        J = self.family.jacobian(y[1:])
        return np.hstack([np.zeros((len(J), 1)), J])

    def _solved(self, y: Vector) -> tuple[Matrix, Matrix, Matrix]:
        """Q, P (n, 2) and G (2, 2)."""
        n, A = self.family.n, self.family.A(y[1:])
        matrix = np.block([[A @ A + y[0] * np.eye(n), self.W], [self.V.T, np.zeros((2, 2))]])
        last = np.vstack([np.zeros((n, 2)), np.eye(2)])
        right, left = np.linalg.solve(matrix, last), np.linalg.solve(matrix.T, last)
        return right[:n], left[:n], right[n:]

    def _gradients(self, y: Vector) -> Matrix:
        """The derivatives of the entries of G by (kappa, x, p), (4, n + 3)."""
        family, u = self.family, y[1:]
        A, (Q, P, _) = family.A(u), self._solved(y)
        rows = []
        for i in range(2):
            for j in range(2):
                q, p = Q[:, j], P[:, i]
                outer = p @ family.second(u, family.padded(A @ q))  # p^T (dA) A q
                inner = (A.T @ p) @ family.second(u, family.padded(q))  # p^T A (dA) q
                rows.append(np.concatenate([[-(p @ q)], -outer - inner]))
        return np.array(rows)

    def _well_chosen(self, y: Vector) -> "HopfSystem":
        """With the two entries whose gradients are best independent where f stays zero."""
        J, gradients = self._of_field(y), self._gradients(y)
        along = np.linalg.svd(J)[2][len(J) :]  # the directions in which f = 0 holds
        seen = gradients @ along.T
        pairs = list(combinations(range(4), 2))
        sizes = [np.linalg.svd(seen[list(pair)], compute_uv=False)[-1] for pair in pairs]
        return replace(self, chosen=pairs[int(np.argmax(sizes))])
