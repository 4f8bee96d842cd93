"""The rightmost roots of det Delta(lambda) = 0: all of them, to the precision of the numbers.

Approximations are the eigenvalues of the infinitesimal generator, y -> y' on the past, whose
functions are polynomials through N + 1 Chebyshev nodes:

    rows of node 0     A_0 y(0) + sum_k A_k y(-tau_k)
    other rows         D y,     D the derivative of the polynomial

Each is refined by Newton's method for Delta(lambda) v = 0. That none is missing is not left to N:
det Delta has as many zeros to the right of a line as its argument turns around that region, and N
is doubled until the numbers agree.

Source: Breda, Maset & Vermiglio (2005), SIAM J. Sci. Comput. 27, 482; Trefethen (2000), Spectral
Methods in MATLAB, ch. 6, for D.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Complex128, Float64

from distdyn.analysis.delays.linear import Linear
from distdyn.errors import AnalysisError

FIRST_N = 16
MOST_ROWS = 4000  # of the matrix
NEAR = 1e-3  # relative: a root that is farther from its approximation is another one
DEEPEST = 40.0  # -Re lambda tau: beyond, exp(-lambda tau) leaves no digit of the rest
NEWTON_STEPS = 20
EXACT = 1e-10  # of the norm: the smallest singular value of Delta at a root
GAP = 1e-6  # between real parts, relative, in which the line may lie
MOST_POINTS = 2_000_000  # at which the argument is looked at


class Roots(NamedTuple):
    """The rightmost roots, the largest real part first."""

    values: Complex128[np.ndarray, "m"]
    vectors: Complex128[np.ndarray, "m n"]  # Delta v = 0, |v| = 1


def rightmost(linear: Linear, count: int) -> Roots:
    """At least so many of the rightmost roots, with their multiplicity; fewer if there are no more.

    Raises:
        AnalysisError: they cannot be told apart, or too many nodes are needed.
    """
    if not len(linear.delays):
        values, vectors = np.linalg.eig(linear.now.astype(complex))
        order = _order(values)
        return Roots(values[order], vectors.T[order])
    nodes = FIRST_N
    while (nodes + 1) * linear.n <= MOST_ROWS:
        found = _refined(linear, _approximate(linear, nodes, 2 * count + 8))
        chosen, real = _cut(linear, found.values, count)
        if chosen and _count_right_of(linear, real) == chosen:
            return Roots(found.values[:chosen], found.vectors[:chosen])
        nodes *= 2
    raise AnalysisError(
        f"characteristic_roots: the {count} rightmost roots cannot be told apart with {nodes} "
        f"nodes for {linear.n} variables and delays from {linear.delays.min():g} to "
        f"{linear.delays.max():g} ms. Ask for fewer: count={max(1, count // 2)}."
    )


def _approximate(linear: Linear, nodes: int, count: int) -> Complex128[np.ndarray, "m"]:
    """The rightmost eigenvalues of the discretised generator."""
    n, longest = linear.n, linear.delays.max()
    x = np.cos(np.pi * np.arange(nodes + 1) / nodes)
    D = _derivative(x) * 2.0 / longest
    generator = np.kron(D, np.eye(n))
    at_delays = _interpolation(x, 1.0 - 2.0 * linear.delays / longest)
    generator[:n] = np.einsum("kj,kab->ajb", at_delays, linear.past).reshape(n, -1)
    generator[:n, :n] += linear.now
    values = np.linalg.eigvals(generator).astype(complex)
    return values[_order(values)][:count]


def _refined(linear: Linear, guesses: Complex128[np.ndarray, "m"]) -> Roots:
    """The roots near some guesses, without guesses that are near none."""
    values, vectors = [], []
    for guess in guesses:
        if guess.imag < 0.0 or -guess.real * linear.delays.max() > DEEPEST:
            continue  # its conjugate is refined; it is none
        z, v = _newton(linear, guess)
        if abs(z - guess) <= NEAR * (linear.norm + abs(guess)) and _is_root(linear, z):
            is_real = abs(guess.imag) == 0.0
            z = complex(z.real, 0.0) if is_real else z
            values += [z] if is_real else [z, z.conjugate()]
            vectors += [v] if is_real else [v, v.conj()]
    order = _order(np.array(values, complex))
    return Roots(np.array(values, complex)[order],
                 np.array(vectors, complex).reshape(-1, linear.n)[order])  # fmt: skip


def _newton(linear: Linear, z: complex) -> tuple[complex, Complex128[np.ndarray, "n"]]:
    """Newton's method for Delta(z) v = 0, c* v = 1."""
    n = linear.n
    v = np.linalg.svd(linear.delta(z))[2][-1].conj()
    c, best = v.copy(), (np.inf, z, v)
    for _ in range(NEWTON_STEPS):
        delta = linear.delta(z)
        matrix = np.zeros((n + 1, n + 1), complex)
        matrix[:n, :n], matrix[:n, n], matrix[n, :n] = delta, linear.slope(z) @ v, c.conj()
        right = np.append(-delta @ v, 1.0 - c.conj() @ v)
        change = np.linalg.lstsq(matrix, right, rcond=None)[0]
        size = abs(change[n])
        if not (size < best[0] and np.isfinite(change).all()):
            break
        z, v = z + complex(change[n]), v + change[:n]
        best = (size, z, v)
    _, z, v = best
    return z, v / np.linalg.norm(v)


def _is_root(linear: Linear, z: complex) -> bool:
    if not np.isfinite(z):
        return False
    delta = linear.delta(z)
    size = max(linear.norm, float(np.abs(delta).max()), linear.largest(z.real))
    return bool(np.linalg.svd(delta, compute_uv=False)[-1] <= EXACT * size)


def _cut(linear: Linear, values: Complex128[np.ndarray, "m"], count: int) -> tuple[int, float]:
    """How many roots are kept, and a real part between the last of them and the next root."""
    real = np.real(values)
    for k in range(min(count, len(values)), len(values)):
        if k and real[k - 1] - real[k] > GAP * (linear.norm + abs(real[k])):
            return k, 0.5 * (real[k - 1] + real[k])
    if not len(values):
        return 0, 0.0
    return len(values), float(real[-1] - 0.5 / linear.delays.max())


def _count_right_of(linear: Linear, real: float) -> int:
    """The number of roots to the right of a line, by the argument principle.

    The region is bounded: |lambda| is at most |A_0| + sum |A_k| exp(-Re lambda tau_k). Its lower
    half is the mirror of the upper.
    """
    far = 1.01 * linear.largest(real) + 1e-9
    if real >= far:
        return 0
    corners = [complex(far, 0.0), complex(far, far), complex(real, far), complex(real, 0.0)]
    turn = sum(_turn(linear, a, b) for a, b in pairwise(corners))
    return round(turn / np.pi)


def _turn(linear: Linear, a: complex, b: complex) -> float:
    """By how much the argument of det Delta changes along a segment."""
    pieces = 16 + int(2.0 * linear.n * abs(b - a) * linear.delays.max())
    s = np.linspace(0.0, 1.0, min(pieces, MOST_POINTS // 4))
    phase = _phase(linear, a + s * (b - a))
    while True:
        steps = np.angle(phase[1:] / phase[:-1])
        (large,) = np.nonzero(np.abs(steps) > 0.5)
        if not len(large) or len(s) > MOST_POINTS or np.diff(s)[large].min() < 1e-13:
            return float(steps.sum())
        between = 0.5 * (s[large] + s[large + 1])
        s = np.insert(s, large + 1, between)
        phase = np.insert(phase, large + 1, _phase(linear, a + between * (b - a)))


def _phase(linear: Linear, z: Complex128[np.ndarray, "m"]) -> Complex128[np.ndarray, "m"]:
    each = max(1, 1_000_000 // linear.n**2)
    parts = [np.linalg.slogdet(linear.delta(z[k : k + each]))[0] for k in range(0, len(z), each)]
    return np.concatenate(parts)


def _order(values: Complex128[np.ndarray, "m"]) -> np.ndarray:
    """The largest real part first, as of eigenvalues elsewhere."""
    return np.lexsort((np.imag(values), np.round(-np.real(values), 12)))


def _derivative(x: Float64[np.ndarray, "m"]) -> Float64[np.ndarray, "m m"]:
    """The derivative at Chebyshev nodes of the polynomial through values there."""
    m = len(x)
    c = np.where((np.arange(m) == 0) | (np.arange(m) == m - 1), 2.0, 1.0) * (-1.0) ** np.arange(m)
    D = np.outer(c, 1.0 / c) / (x[:, None] - x[None] + np.eye(m))
    return D - np.diag(D.sum(axis=1))


def _interpolation(
    x: Float64[np.ndarray, "m"], at: Float64[np.ndarray, "k"]
) -> Float64[np.ndarray, "k m"]:
    """The values of the polynomial elsewhere, by those at Chebyshev nodes (barycentric)."""
    weights = (-1.0) ** np.arange(len(x))
    weights[[0, -1]] *= 0.5
    away = at[:, None] - x[None]
    with np.errstate(divide="ignore", invalid="ignore"):
        rows = weights / away
        rows /= rows.sum(axis=1, keepdims=True)
    is_node = np.abs(away) < 1e-15
    return np.where(is_node.any(axis=1, keepdims=True), is_node.astype(float), rows)
