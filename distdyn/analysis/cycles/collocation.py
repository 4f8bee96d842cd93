"""Cycles as solutions of a periodic boundary-value problem, by orthogonal collocation.

    u'(s) = T f(u(s), p),   u(0) = u(1),   integral of (u - u_ref) . u_ref' = 0

for u, the period T and one parameter p. Newton's linear system is condensed: the inner nodes of
every interval are eliminated, which leaves the states x_i at its ends, coupled by

    x_(i+1) = P_i x_i + a_i dT + b_i dp + g_i.

The P_i are the transfer matrices whose product has the Floquet multipliers as its eigenvalues.
`OnMesh` gives these equations to `continuation.arclength`.

Source: Doedel, Keller & Kernevez (1991), Int. J. Bifurcation Chaos 1, 745.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import scipy.sparse as sparse
from jaxtyping import Float64
from scipy.sparse.linalg import splu

from distdyn.analysis.continuation.arclength import Solve, Vector
from distdyn.analysis.cycles.mesh import (
    DEGREE,
    SLOPE,
    VALUE,
    WEIGHTS,
    adapted,
    interpolate,
    node_times,
    node_weights,
    pieces,
)


class Orbit(NamedTuple):
    """A closed curve, a guess or a solution.

    Attributes:
        mesh: ends of the intervals, from 0 to 1.
        nodes: u at the nodes of the mesh.
        period: T.
        value: of the parameter.
    """

    mesh: Float64[np.ndarray, "N+1"]
    nodes: Float64[np.ndarray, "Nm n"]
    period: float
    value: float

    def on(self, mesh: Float64[np.ndarray, "N+1"]) -> "Orbit":
        """The curve on another mesh."""
        return self._replace(mesh=mesh, nodes=self.at(node_times(mesh)))

    def at(self, s: Float64[np.ndarray, "k"]) -> Float64[np.ndarray, "k n"]:
        """The states at parts of the period, each in [0, 1]."""
        return interpolate(self.mesh, self.nodes, s)


class Linear(NamedTuple):
    """The equations at an orbit to first order, condensed.

    The nodes of an interval, but for its first, change by
    -(by_state x_i + by_period dT + by_value dp + residual).
    """

    by_state: Float64[np.ndarray, "N mn n"]
    by_period: Float64[np.ndarray, "N mn"]
    by_value: Float64[np.ndarray, "N mn"]
    residual: Float64[np.ndarray, "N mn"]

    @property
    def transfer(self) -> Float64[np.ndarray, "N n n"]:
        """P_i: how a change at the beginning of an interval arrives at its end."""
        return -self.by_state[:, -self.by_state.shape[2] :]


class Field:
    """f(u, p) and its derivatives at many states, for one parameter.

    Args:
        f: u (n,), p (1,) -> du / dt (n,); traceable by JAX.
        block: states that are evaluated at once; the function is compiled for this number only.
    """

    def __init__(self, f: Callable[[Any, Any], Any], block: int) -> None:
        self.f, self._block = f, block

        def at(u: Any, p: Any) -> tuple[Any, Any, Any]:
            by_u, by_p = jax.jacfwd(f, argnums=(0, 1))(u, p)
            return f(u, p), by_u, by_p[:, 0]

        self._at = jax.jit(jax.vmap(at, in_axes=(0, None)))

    def __call__(
        self, states: Float64[np.ndarray, "k n"], value: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """F (k, n), its derivative by the state (k, n, n), and by the parameter (k, n)."""
        count = len(states)
        n_blocks = -(-count // self._block)
        padding = np.repeat(states[:1], n_blocks * self._block - count, axis=0)
        blocks = np.split(np.concatenate([states, padding]), n_blocks)
        with jax.enable_x64(True):
            parts = [self._at(block, np.array([value])) for block in blocks]
        f, by_u, by_p = (np.concatenate(arrays)[:count] for arrays in zip(*parts, strict=True))
        return f, by_u, by_p


class OnMesh:
    """The equations of cycles on one mesh, for a vector u of unknowns in units of their size.

        u = (weight x the states at the nodes, T / T_0, p / width)

    A product of two changes of them is about the integral over the period of the mean over the
    variables, each in units of its extent along the reference: near a Hopf bifurcation a step is a
    part of the amplitude, and never leads through amplitude 0 to the mirrored cycles.

    Args:
        field: f and its derivatives.
        reference: of the phase, the extents and the period.
        width: a change of the parameter that counts as large.

    Attributes:
        weight: of the state at each node.
    """

    def __init__(self, field: Field, reference: Orbit, width: float) -> None:
        self.field, self.reference, self.width = field, reference, width
        scale = extents(reference)
        per_node = node_weights(reference.mesh)[:, None] / reference.nodes.shape[1]
        self.weight = np.sqrt(per_node) / scale
        slope = np.einsum("kj,ijn->ikn", SLOPE, pieces(reference.nodes)) / scale**2
        phase = np.einsum("k,kj,ikn->ijn", WEIGHTS, VALUE, slope)
        self._phase = phase / np.linalg.norm(phase)
        self._linear: tuple[Vector, Linear] | None = None  # the last, and where

    def unknowns(self, orbit: Orbit) -> Vector:
        """The vector of an orbit on this mesh."""
        of_nodes = (orbit.nodes * self.weight).ravel()
        return np.append(of_nodes, [orbit.period / self.reference.period, orbit.value / self.width])

    def orbit(self, u: Vector) -> Orbit:
        """The orbit, or the change of one, with these unknowns."""
        nodes = u[:-2].reshape(self.weight.shape) / self.weight
        period, value = u[-2] * self.reference.period, u[-1] * self.width
        return Orbit(self.reference.mesh, nodes, float(period), float(value))

    def residual(self, u: Vector) -> Vector:
        """What the equations miss, as the change of the nodes that would give it to them."""
        shift = pieces(self.orbit(u).nodes - self.reference.nodes)
        phase = np.sum(self._phase * shift)
        return np.append(self.linear(u).residual.ravel(), phase)

    def linear(self, u: Vector) -> Linear:
        """The equations to first order."""
        if self._linear is None or self._linear[0] is not u:
            self._linear = u, _linear(self.field, self.orbit(u))
        return self._linear[1]

    def bordered(self, u: Vector, row: Vector) -> Solve:
        """As `Equations` says."""
        linear = self.linear(u)
        if not all(np.isfinite(part).all() for part in linear):
            raise np.linalg.LinAlgError("not finite")
        change = self.orbit(row)  # the row's weights of a change in the units of the model
        of_nodes = np.zeros_like(self._phase)
        of_nodes[:, :-1] = (change.nodes * self.weight**2).reshape(
            -1, DEGREE, change.nodes.shape[1]
        )
        across = _Row(of_nodes, row[-2] / self.reference.period, row[-1] / self.width)
        solve = _condensed(linear, (_Row(self._phase, 0.0, 0.0), across))

        def scaled(right: Vector) -> Vector:
            nodes, period, value = solve(right)
            change = [period / self.reference.period, value / self.width]
            return np.append((nodes * self.weight).ravel(), change)

        return scaled

    def remeshed(
        self, u: Vector, tangent: Vector, n_intervals: int
    ) -> tuple["OnMesh", Vector, Vector]:
        """The equations on a mesh that is adapted to an orbit; the orbit and a tangent on it."""
        orbit = adapted_to(self.orbit(u), n_intervals)
        new = OnMesh(self.field, orbit, self.width)
        along = new.unknowns(self.orbit(tangent).on(orbit.mesh))
        return new, new.unknowns(orbit), along / np.linalg.norm(along)


def adapted_to(orbit: Orbit, n_intervals: int) -> Orbit:
    """An orbit on a mesh that is adapted to it."""
    return orbit.on(adapted(orbit.mesh, orbit.nodes, extents(orbit), n_intervals))


def extents(orbit: Orbit) -> Float64[np.ndarray, "n"]:
    """Of each variable, what a change of it is compared with: from its minimum to its maximum.

    A variable that (almost) stands still takes a thousandth of its size, or of the others'.
    """
    extent, size = np.ptp(orbit.nodes, axis=0), np.abs(orbit.nodes).max(axis=0)
    scale = np.maximum(extent, 1e-3 * size)
    return np.maximum(scale, max(1e-3 * scale.max(), 1e-300))


def _linear(field: Field, orbit: Orbit) -> Linear:
    n, h = orbit.nodes.shape[1], np.diff(orbit.mesh)
    values = pieces(orbit.nodes)
    at_gauss = np.einsum("kj,ijn->ikn", VALUE, values)
    f, by_u, by_p = (
        x.reshape(len(h), DEGREE, *x.shape[1:]) for x in field(at_gauss.reshape(-1, n), orbit.value)
    )
    time = orbit.period * h[:, None, None]
    own = np.einsum("kj,ab->kajb", SLOPE, np.eye(n))
    coupled = np.einsum("kj,ikab->ikajb", VALUE, by_u * time[..., None])
    blocks = (own - coupled).reshape(len(h), DEGREE * n, (DEGREE + 1) * n)
    missing = np.einsum("kj,ijn->ikn", SLOPE, values) - time * f
    columns = (-h[:, None, None] * f, -time * by_p, missing)
    right = np.stack([c.reshape(len(h), -1) for c in columns], axis=2)
    solved = np.linalg.solve(blocks[:, :, n:], np.concatenate([blocks[:, :, :n], right], axis=2))
    return Linear(solved[:, :, :n], *(solved[:, :, n + k] for k in range(3)))


class _Row(NamedTuple):
    """A linear condition: weights of the nodes (each piece its own), of T and of p."""

    pieces: Float64[np.ndarray, "N m+1 n"]
    period: float
    value: float


def _condensed(
    linear: Linear, rows: tuple[_Row, _Row]
) -> Callable[[Vector], tuple[np.ndarray, float, float]]:
    """Factorises the system for the states at the ends, T and p.

    Returns:
        A function of the residual and of the two conditions' right-hand sides, flat, that gives
        the changes of the nodes, of T and of p.
    """
    n_intervals, _, n = linear.by_state.shape
    size = n_intervals * n
    at = np.arange(size).reshape(n_intervals, n)
    inner = [row.pieces[:, 1:].reshape(n_intervals, -1) for row in rows]
    border = [
        np.append(
            row.pieces[:, 0] - np.einsum("iy,iyb->ib", weights, linear.by_state),
            [row.period - np.sum(weights * linear.by_period),
             row.value - np.sum(weights * linear.by_value)],
        )
        for row, weights in zip(rows, inner, strict=True)
    ]  # fmt: skip
    ends = [part[:, -n:].ravel() for part in linear[:3]]
    values = [np.ones(size), *ends, *border]
    of_row = [
        at.ravel(), np.repeat(at.ravel(), n), at.ravel(), at.ravel(),
        *(np.full(size + 2, size + k) for k in range(2)),
    ]  # fmt: skip
    of_column = [
        np.roll(at, -1, axis=0).ravel(), np.repeat(at, n, axis=0).ravel(),
        np.full(size, size), np.full(size, size + 1), *[np.arange(size + 2)] * 2,
    ]  # fmt: skip
    entries = np.concatenate(values), (np.concatenate(of_row), np.concatenate(of_column))
    try:
        factors = splu(sparse.csc_matrix(entries, shape=(size + 2, size + 2)))
    except RuntimeError as error:  # SuperLU: exactly singular
        raise np.linalg.LinAlgError(str(error)) from error

    def solve(right: Vector) -> tuple[np.ndarray, float, float]:
        of_nodes = right[:-2].reshape(n_intervals, -1)
        last = right[-2:] - [np.sum(weights * of_nodes) for weights in inner]
        found = factors.solve(np.append(of_nodes[:, -n:], last))
        x, (dT, dp) = found[:size].reshape(n_intervals, n), found[size:]
        by_x = np.einsum("iyb,ib->iy", linear.by_state, x)
        rest = of_nodes - by_x - linear.by_period * dT - linear.by_value * dp
        return np.concatenate([x, rest[:, :-n]], axis=1).reshape(-1, n), float(dT), float(dp)

    return solve
