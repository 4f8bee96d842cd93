"""Cycles as solutions of a periodic boundary-value problem, by orthogonal collocation.

    u'(s) = T f(u(s), p),   u(0) = u(1),   integral of u . u_ref' = integral of u_ref . u_ref'

for u, the period T and one parameter, with one more linear condition: the parameter is given, or
the solution lies in a plane across a branch. Newton's method; the linear system is condensed: the
inner nodes of every interval are eliminated, which leaves the states x_i at its ends, coupled by

    x_(i+1) = P_i x_i + a_i dT + b_i dp + g_i.

The P_i are the transfer matrices whose product has the Floquet multipliers as its eigenvalues.

Source: Doedel, Keller & Kernevez (1991), Int. J. Bifurcation Chaos 1, 745.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import scipy.sparse as sparse
from jaxtyping import Float64
from scipy.sparse.linalg import splu

from distdyn.analysis.cycles.mesh import (
    DEGREE,
    SLOPE,
    VALUE,
    WEIGHTS,
    adapted,
    interpolate,
    node_times,
    pieces,
)

_ITERATIONS = 10  # of Newton's method, at most
_TOLERANCE = 1e-9  # of its last step, relative to the extent of the cycle; the step before is larger


class Orbit(NamedTuple):
    """A closed curve, a guess or a solution: u at the nodes of a mesh, its period, the parameter."""

    mesh: Float64[np.ndarray, "N+1"]
    nodes: Float64[np.ndarray, "Nm n"]
    period: float
    value: float


class Direction(NamedTuple):
    """A change of an orbit on its mesh."""

    nodes: Float64[np.ndarray, "Nm n"]
    period: float
    value: float


class Pin(NamedTuple):
    """The last condition: weights . (change of the nodes, period, value since `origin`) = distance."""

    pieces: Float64[np.ndarray, "N m+1 n"]
    period: float
    value: float
    origin: Orbit
    distance: float


class Linear(NamedTuple):
    """The equations of an orbit to first order, condensed.

    Inner and last nodes of interval i change by
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


class Collocation:
    """The equations of cycles of u' = f(u, p), in dependence of one parameter.

    Args:
        f: x (n,), p (k,) -> dx / dt (n,); traceable by JAX.
        p: values of all parameters.
        index: of the one that may change.
        width: a change of the parameter that counts as large.
    """

    def __init__(
        self, f: Callable[[Any, Any], Any], p: Float64[np.ndarray, "k"], index: int, width: float
    ) -> None:
        self.p, self.index, self.width = np.asarray(p, np.float64), index, width

        def at(u: Any, p: Any) -> tuple[Any, Any, Any]:
            return f(u, p), *jax.jacfwd(f, argnums=(0, 1))(u, p)

        self._at = jax.jit(jax.vmap(at, in_axes=(0, None)))
        self._f = jax.jit(jax.vmap(f, in_axes=(0, None)))

    def parameters(self, value: float) -> Float64[np.ndarray, "k"]:
        """All parameters, the one that may change with this value."""
        p = self.p.copy()
        p[self.index] = value
        return p

    def flow(self, states: Float64[np.ndarray, "k n"], value: float) -> Float64[np.ndarray, "k n"]:
        """f at some states."""
        with jax.enable_x64(True):
            return np.asarray(self._f(states, self.parameters(value)))

    def scale(self, orbit: Orbit) -> Float64[np.ndarray, "n"]:
        """The extent of each variable: what a change of it is compared with.

        A variable that (almost) stands still takes a thousandth of its size, or of the others'.
        """
        extent, size = np.ptp(orbit.nodes, axis=0), np.abs(orbit.nodes).max(axis=0)
        scale = np.maximum(extent, 1e-3 * size)
        return np.maximum(scale, max(1e-3 * scale.max(), 1e-300))

    def inner(self, orbit: Orbit, a: Direction, b: Direction) -> float:
        """Product of two changes of an orbit, each variable in units of its extent."""
        row = self.pin(orbit, a, 0.0)
        return float(
            np.sum(row.pieces * pieces(b.nodes)) + row.period * b.period + row.value * b.value
        )

    def pin(self, origin: Orbit, direction: Direction, distance: float) -> Pin:
        """The plane across a direction, so far from an orbit."""
        weight = np.diff(origin.mesh)[:, None, None] / self.scale(origin) ** 2 / origin.nodes.shape[1]
        at_gauss = np.einsum("kj,ijn->ikn", VALUE, pieces(direction.nodes)) * weight
        return Pin(
            np.einsum("k,kj,ikn->ijn", WEIGHTS, VALUE, at_gauss),
            direction.period / origin.period**2,
            direction.value / self.width**2,
            origin,
            distance,
        )

    def at_value(self, origin: Orbit, value: float) -> Pin:
        """The parameter has a given value."""
        none = np.zeros_like(pieces(origin.nodes))
        return Pin(none, 0.0, 1.0 / self.width, origin, (value - origin.value) / self.width)

    def moved(self, orbit: Orbit, direction: Direction, distance: float) -> Orbit:
        """The orbit with `distance` times a direction added."""
        return Orbit(
            orbit.mesh,
            orbit.nodes + distance * direction.nodes,
            orbit.period + distance * direction.period,
            orbit.value + distance * direction.value,
        )

    def remeshed(
        self, orbit: Orbit, n_intervals: int, *directions: Direction
    ) -> tuple[Orbit, *tuple[Direction, ...]]:
        """An orbit, and directions at it, on a mesh that is adapted to it."""
        mesh = adapted(orbit.mesh, orbit.nodes, self.scale(orbit), n_intervals)
        t = node_times(mesh)
        return (
            orbit._replace(mesh=mesh, nodes=interpolate(orbit.mesh, orbit.nodes, t)),
            *(d._replace(nodes=interpolate(orbit.mesh, d.nodes, t)) for d in directions),
        )

    def linear(self, orbit: Orbit) -> Linear:
        """The equations to first order at an orbit."""
        n, h = orbit.nodes.shape[1], np.diff(orbit.mesh)
        values = pieces(orbit.nodes)
        at_gauss = np.einsum("kj,ijn->ikn", VALUE, values)
        with jax.enable_x64(True):
            out = self._at(at_gauss.reshape(-1, n), self.parameters(orbit.value))
        f, jacobian, by_p = (np.asarray(x).reshape(len(h), DEGREE, n, *x.shape[2:]) for x in out)
        of_time = orbit.period * h[:, None, None]
        own = np.einsum("kj,ab->kajb", SLOPE, np.eye(n))
        coupled = np.einsum("kj,ikab->ikajb", VALUE, jacobian * of_time[..., None])
        blocks = (own - coupled).reshape(len(h), DEGREE * n, (DEGREE + 1) * n)
        columns = [
            -h[:, None, None] * f,
            -of_time * by_p[..., self.index],
            np.einsum("kj,ijn->ikn", SLOPE, values) - of_time * f,
        ]
        right = np.stack([c.reshape(len(h), -1) for c in columns], axis=2)
        solved = np.linalg.solve(
            blocks[:, :, n:], np.concatenate([blocks[:, :, :n], right], axis=2)
        )
        return Linear(solved[:, :, :n], *(solved[:, :, n + k] for k in range(3)))

    def correct(self, guess: Orbit, reference: Orbit, pin: Pin) -> tuple[Orbit, int] | None:
        """The cycle nearest to a guess under a condition, and how many steps it took.

        Args:
            guess: where Newton's method begins.
            reference: of the phase, on the same mesh.
            pin: the last condition, on the same mesh.

        Returns:
            The orbit and the number of steps, or None if the method does not converge.
        """
        orbit = guess
        with np.errstate(all="ignore"):
            for step in range(1, _ITERATIONS + 1):
                try:
                    change = self._change(self.linear(orbit), orbit, reference, pin)
                except (np.linalg.LinAlgError, RuntimeError):  # singular
                    return None
                size = np.sqrt(self.inner(orbit, change, change))
                if not size < 1e3:
                    return None
                orbit = self.moved(orbit, change, 1.0)
                if not orbit.period > 0.0:
                    return None
                if size < _TOLERANCE:
                    return orbit, step
        return None

    def tangent(self, linear: Linear, orbit: Orbit, along: Direction) -> Direction:
        """The direction of the branch at a cycle, of length 1, on the side of another direction."""
        system = _System(linear, [self._phase(orbit), self.pin(orbit, along, 0.0)])
        direction = system.solve(np.zeros_like(linear.residual), np.array([0.0, 1.0]))
        length = np.sqrt(self.inner(orbit, direction, direction))
        return Direction(*(part / length for part in direction))

    def _change(self, linear: Linear, orbit: Orbit, reference: Orbit, pin: Pin) -> Direction:
        """One step of Newton's method."""
        phase = self._phase(reference)
        missing = [row.distance - _product(row, orbit) for row in (phase, pin)]
        return _System(linear, [phase, pin]).solve(linear.residual, np.array(missing))

    def _phase(self, reference: Orbit) -> Pin:
        """No shift along the reference: the integral of (u - u_ref) . u_ref' is 0."""
        slope = np.einsum("kj,ijn->ikn", SLOPE, pieces(reference.nodes))
        row = np.einsum("k,kj,ikn->ijn", WEIGHTS, VALUE, slope / self.scale(reference) ** 2)
        return Pin(row / np.linalg.norm(row), 0.0, 0.0, reference, 0.0)


def _product(pin: Pin, orbit: Orbit) -> float:
    """Weights of a condition times the change of an orbit since its origin."""
    return float(
        np.sum(pin.pieces * pieces(orbit.nodes - pin.origin.nodes))
        + pin.period * (orbit.period - pin.origin.period)
        + pin.value * (orbit.value - pin.origin.value)
    )


class _System:
    """The condensed system for x_0, ..., x_(N-1), dT and dp, factorized."""

    def __init__(self, linear: Linear, rows: list[Pin]) -> None:
        self._linear, self._rows = linear, rows
        n_intervals, _, n = linear.by_state.shape
        size = n_intervals * n
        at = np.arange(size).reshape(n_intervals, n)
        after = np.roll(at, -1, axis=0)
        last = slice(-n, None)
        border_rows, border = [], []
        for k, row in enumerate(rows):
            inner = row.pieces[:, 1:].reshape(n_intervals, -1)
            x = row.pieces[:, 0] - np.einsum("iy,iyb->ib", inner, linear.by_state)
            dT = row.period - np.sum(inner * linear.by_period)
            dp = row.value - np.sum(inner * linear.by_value)
            border.append(np.concatenate([x.ravel(), [dT, dp]]))
            border_rows.append(np.full(size + 2, size + k))
        values = [
            np.ones(size), linear.by_state[:, last].ravel(), linear.by_period[:, last].ravel(),
            linear.by_value[:, last].ravel(), *border,
        ]  # fmt: skip
        of_row = [
            at.ravel(), np.repeat(at.ravel(), n), at.ravel(), at.ravel(), *border_rows,
        ]  # fmt: skip
        of_column = [
            after.ravel(), np.repeat(at, n, axis=0).ravel(), np.full(size, size),
            np.full(size, size + 1), *[np.arange(size + 2)] * len(rows),
        ]  # fmt: skip
        entries = (np.concatenate(values), (np.concatenate(of_row), np.concatenate(of_column)))
        self._solve = splu(sparse.csc_matrix(entries, shape=(size + 2, size + 2))).solve

    def solve(
        self, residual: Float64[np.ndarray, "N mn"], missing: Float64[np.ndarray, "2"]
    ) -> Direction:
        """The change that removes the residual and gives each row what it misses."""
        linear = self._linear
        n_intervals, _, n = linear.by_state.shape
        inner = [row.pieces[:, 1:].reshape(n_intervals, -1) for row in self._rows]
        right = [-residual[:, -n:].ravel(), missing + [np.sum(row * residual) for row in inner]]
        x, (dT, dp) = np.split(self._solve(np.concatenate(right)), [n_intervals * n])
        x = x.reshape(n_intervals, n)
        by_x = np.einsum("iyb,ib->iy", linear.by_state, x)
        rest = -(by_x + linear.by_period * dT + linear.by_value * dp + residual)
        nodes = np.concatenate([x, rest[:, :-n]], axis=1).reshape(-1, n)
        return Direction(nodes, float(dT), float(dp))
