"""Bifurcations on a branch of equilibria: where they are noticed, and where exactly they are.

    LP  fold: the parameter turns              t_p = 0
    BP  branch point: branches cross           det [J; t] = 0
    H   Hopf: a pair of eigenvalues +-i omega  prod_(i < j) (lambda_i + lambda_j) = 0

t is the tangent. The product is the determinant of the bialternate product of 2 A and 1; it is zero
at neutral saddles too, with a pair +-lambda that is real, which are no bifurcations: they are left
out. Each is noticed by a change of sign along the branch and then refined by Newton's method on a
system of its own, regular where the bifurcation is generic.

Source: Kuznetsov (2004), sec. 10.2; Govaerts (2000), Numerical Methods for Bifurcations, ch. 4.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Complex128, Float64

from distdyn.analysis.continuation.arclength import Monitor, Point
from distdyn.analysis.continuation.family import Family
from distdyn.analysis.continuation.normal_forms import critical_vectors

LP, BP, H = 0, 1, 2  # entries of the monitor
Vector = Float64[np.ndarray, "m"]


def equilibrium_monitor(family: Family, weight: Vector) -> Monitor:
    """The three test functions above, and the eigenvalues.

    Each has the sign of its determinant, and near its zero the size of what vanishes there: the
    smallest singular value, or the smallest sum of two eigenvalues.
    """
    scale = 1.0 / np.sqrt(weight)

    def monitor(u: Vector, tangent: Vector) -> tuple[Vector, Complex128[np.ndarray, "n"]]:
        J = family.jacobian(u)
        eigenvalues = np.linalg.eigvals(J[:, : family.n])
        matrix = np.vstack([J * scale, tangent / scale])
        sign, _ = np.linalg.slogdet(matrix)
        smallest = np.linalg.svd(matrix, compute_uv=False)[-1]
        values = [tangent[-1] / scale[-1], sign * smallest, signed_smallest_sum(eigenvalues)]
        return np.array(values), eigenvalues

    return monitor


def signed_smallest_sum(eigenvalues: Complex128[np.ndarray, "n"]) -> float:
    """The sign of prod_(i < j) (lambda_i + lambda_j), times its smallest factor in size.

    Factors of two different complex pairs, or of a pair and a real number, multiply to a square:
    what counts is each complex pair's own sum, and the sums of real ones.
    """
    sums = _sums(eigenvalues)
    if not len(sums):
        return 1.0
    return float(np.prod(np.sign(sums)) * np.min(abs(sums)))


def is_complex_pair(eigenvalues: Complex128[np.ndarray, "n"]) -> bool:
    """Whether the sum that is closest to zero is that of a complex pair: Hopf, else neutral."""
    pairs = eigenvalues[np.imag(eigenvalues) > 0]
    smallest = np.min(abs(_sums(eigenvalues)))
    return len(pairs) > 0 and bool(np.min(abs(2.0 * np.real(pairs))) <= smallest)


def is_understood(before: Point, after: Point) -> bool:
    """Whether the signs of the monitor tell all that happens in a step, as far as can be seen.

    An odd change of the number of unstable eigenvalues has its LP or BP in any case, as det A is
    t_p det [J; t] but for a positive factor. A pair that crosses without any sign, or more than
    that, needs a closer look; and so do two folds, between which the parameter goes back.
    """
    unstable = [int(np.sum(point.seen.real > 0.0)) for point in (before, after)]
    changed = before.monitor * after.monitor < 0.0
    most = int(changed[LP]) + int(changed[BP]) + 2 * int(changed[H])
    return abs(unstable[1] - unstable[0]) <= most and not (
        before.monitor[LP] * after.monitor[LP] > 0.0 and _turns_twice(before, after)
    )


def _turns_twice(before: Point, after: Point) -> bool:
    """Whether the parameter turns within a step, on the cubic through both points and tangents."""
    change = after.u - before.u
    size = float(np.linalg.norm(change))
    first, last = (p.tangent[-1] * size / np.linalg.norm(p.tangent) for p in (before, after))
    x = np.linspace(0.0, 1.0, 17)
    slope = 6 * x * (1 - x) * change[-1] + (1 - x) * (1 - 3 * x) * first + x * (3 * x - 2) * last
    return bool(np.min(slope * np.sign(first)) < -1e-12 * size)


def refine_fold(family: Family, u: Vector) -> Vector | None:
    """A fold close to u, or None: f = 0, A v = 0, c . v = 1."""
    n = family.n
    c = np.linalg.svd(family.A(u))[2][-1]

    def system(y: Vector) -> tuple[Vector, np.ndarray]:
        u, v = y[: n + 1], y[n + 1 :]
        J = family.jacobian(u)
        matrix = np.block(
            [
                [J, np.zeros((n, n))],
                [family.second(u, family.padded(v)), J[:, :n]],
                [np.zeros((1, n + 1)), c[None]],
            ]
        )
        return np.concatenate([family.field(u), J[:, :n] @ v, [c @ v - 1.0]]), matrix

    found = newton(system, np.concatenate([u, c]))
    return None if found is None else found[: n + 1]


def refine_hopf(family: Family, u: Vector) -> tuple[Vector, float] | None:
    """A Hopf point close to u and its omega > 0, or None.

    f = 0, A (q + i r) = i omega (q + i r), c . (q + i r) = 1.
    """
    n = family.n
    eigenvalues = np.linalg.eigvals(family.A(u))
    pairs = eigenvalues[np.imag(eigenvalues) > 0]
    if not len(pairs):
        return None
    omega = float(pairs[np.argmin(abs(np.real(pairs)))].imag)
    z = critical_vectors(family.A(u), omega)[0]
    z = z / np.exp(1j * np.angle(np.sum(z * z)) / 2.0)  # real and imaginary part orthogonal
    c = z.real / (z.real @ z.real)

    def system(y: Vector) -> tuple[Vector, np.ndarray]:
        u, q, r, omega = y[: n + 1], y[n + 1 : 2 * n + 1], y[2 * n + 1 : -1], y[-1]
        J = family.jacobian(u)
        A, eye, one, zero = J[:, :n], omega * np.eye(n), c[None], np.zeros((1, n))
        matrix = np.block(
            [
                [J, np.zeros((n, 2 * n + 1))],
                [family.second(u, family.padded(q)), A, eye, r[:, None]],
                [family.second(u, family.padded(r)), -eye, A, -q[:, None]],
                [np.zeros((1, n + 1)), one, zero, np.zeros((1, 1))],
                [np.zeros((1, n + 1)), zero, one, np.zeros((1, 1))],
            ]
        )
        parts = [family.field(u), A @ q + omega * r, A @ r - omega * q, [c @ q - 1.0, c @ r]]
        return np.concatenate(parts), matrix

    found = newton(system, np.concatenate([u, z.real, z.imag, [omega]]))
    if found is None or abs(found[-1]) <= 1e-6 * abs(omega):
        return None
    return found[: n + 1], abs(float(found[-1]))


def refine_branch_point(family: Family, u: Vector) -> Vector | None:
    """A branch point close to u, or None: f + b w = 0, J^T w = 0, w . w = 1; then b = 0."""
    n = family.n
    w = np.linalg.svd(family.jacobian(u))[0][:, -1]

    def system(y: Vector) -> tuple[Vector, np.ndarray]:
        u, b, w = y[: n + 1], y[n + 1], y[n + 2 :]
        J = family.jacobian(u)
        matrix = np.block(
            [
                [J, w[:, None], b * np.eye(n)],
                [family.hessian(u, w), np.zeros((n + 1, 1)), J.T],
                [np.zeros((1, n + 2)), 2.0 * w[None]],
            ]
        )
        return np.concatenate([family.field(u) + b * w, J.T @ w, [w @ w - 1.0]]), matrix

    found = newton(system, np.concatenate([u, [0.0], w]))
    if found is None or abs(found[n + 1]) > 1e-9 * max(1.0, float(np.max(abs(family.A(u))))):
        return None  # b != 0: branches that pass each other and do not cross
    return found[: n + 1]


def crossing_directions(family: Family, u: Vector, along: Vector, weight: Vector) -> list[Vector]:
    """The unit tangents of the branches through a branch point, that of the known branch first.

    With phi_1, phi_2 spanning the null space of J, and J^T w = 0, they are the directions
    phi = alpha phi_1 + beta phi_2 that solve  w . D^2 f[phi, phi] = 0.
    """
    scale = 1.0 / np.sqrt(weight)
    left, _, right = np.linalg.svd(family.jacobian(u) * scale)
    w, plane = left[:, -1], right[-2:]  # the plane in the scaled unknowns
    first = plane.T @ (plane @ (along / scale))
    first /= np.linalg.norm(first)
    other = plane.T @ (np.array([[0.0, -1.0], [1.0, 0.0]]) @ (plane @ first))
    phi = np.stack([first, other]) * scale
    form = phi @ family.hessian(u, w) @ phi.T
    if abs(form[0, 1]) <= 1e-8 * np.max(abs(form)):  # not generic: the best guess
        return [phi[0], phi[1]]
    # The branch that is known is a root, up to its error: of the two, the other one.
    ratio = -0.5 * form[1, 1] / form[0, 1]
    direction = ratio * first + other
    return [phi[0], scale * direction / np.linalg.norm(direction)]


def newton(
    system: Callable[[Vector], tuple[Vector, np.ndarray]], y: Vector, iterations: int = 25
) -> Vector | None:
    """A root of a square system, given as (values, Jacobian); None if Newton does not converge."""
    scale = np.maximum(abs(y), 1e-3)
    for _ in range(iterations):
        values, matrix = system(y)
        if not (np.isfinite(values).all() and np.isfinite(matrix).all()):
            return None
        try:
            change = np.linalg.solve(matrix, values)
        except np.linalg.LinAlgError:
            return None
        y = y - change
        if np.max(abs(change) / scale) <= 1e-11:
            return y
    return None


def _sums(eigenvalues: Complex128[np.ndarray, "n"]) -> Vector:
    real = np.real(eigenvalues[np.imag(eigenvalues) == 0])
    i, j = np.triu_indices(len(real), 1)
    return np.concatenate([2.0 * np.real(eigenvalues[np.imag(eigenvalues) > 0]), real[i] + real[j]])
