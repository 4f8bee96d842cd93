"""Periodic functions as piecewise polynomials: a mesh over one period, 0 to 1, and its adaptation.

An interval carries a polynomial of degree m = 4 through m + 1 equidistant nodes; neighbours share
the node between them, and the last node is the first. `nodes` holds each once: (N m, n). The
equations are asked for at the m Gauss points of an interval, where the error of a mesh of N
intervals is of order N^-m, and at its ends of order N^-2m.

Source: de Boor & Swartz (1973), SIAM J. Numer. Anal. 10, 582; Russell & Christiansen (1978), ibid.
15, 59 (adaptation).
"""

from math import comb

import numpy as np
from jaxtyping import Float64

DEGREE = 4
_FLOOR = 0.2  # part of its mean below which the monitor of adaptation does not fall


def lagrange(t: Float64[np.ndarray, "k"]) -> Float64[np.ndarray, "k m+1"]:
    """Values at t of the polynomials that are 1 at one node of [0, 1] and 0 at the others."""
    nodes = np.arange(DEGREE + 1) / DEGREE
    values = np.ones((len(t), DEGREE + 1))
    for j, at in enumerate(nodes):
        for other in np.delete(nodes, j):
            values[:, j] *= (t - other) / (at - other)
    return values


def _slopes(t: Float64[np.ndarray, "k"]) -> Float64[np.ndarray, "k m+1"]:
    """Derivatives at t of the same polynomials."""
    nodes = np.arange(DEGREE + 1) / DEGREE
    slopes = np.zeros((len(t), DEGREE + 1))
    for j, at in enumerate(nodes):
        others = np.delete(nodes, j)
        for left_out in range(DEGREE):
            factors = (t[:, None] - np.delete(others, left_out)) / (
                at - np.delete(others, left_out)
            )
            slopes[:, j] += factors.prod(1) / (at - others[left_out])
    return slopes


_gauss, _weights = np.polynomial.legendre.leggauss(DEGREE)
GAUSS, WEIGHTS = (1.0 + _gauss) / 2.0, _weights / 2.0
VALUE, SLOPE = lagrange(GAUSS), _slopes(GAUSS)  # at the Gauss points, from the nodes


def pieces(nodes: Float64[np.ndarray, "Nm n"]) -> Float64[np.ndarray, "N m+1 n"]:
    """The nodes of each interval, with those that it shares."""
    own = nodes.reshape(-1, DEGREE, nodes.shape[1])
    return np.concatenate([own, np.roll(own[:, :1], -1, axis=0)], axis=1)


def node_times(mesh: Float64[np.ndarray, "N+1"]) -> Float64[np.ndarray, "Nm"]:
    """When the nodes are, from 0 to below 1."""
    return (mesh[:-1, None] + np.diff(mesh)[:, None] * np.arange(DEGREE) / DEGREE).ravel()


def node_weights(mesh: Float64[np.ndarray, "N+1"]) -> Float64[np.ndarray, "Nm"]:
    """What the value at each node counts in an integral over the period."""
    h = np.repeat(np.diff(mesh) / DEGREE, DEGREE)
    return (h + np.roll(h, 1)) / 2.0


def interpolate(
    mesh: Float64[np.ndarray, "N+1"],
    nodes: Float64[np.ndarray, "Nm n"],
    t: Float64[np.ndarray, "k"],
) -> Float64[np.ndarray, "k n"]:
    """The function at the times t, each in [0, 1]."""
    i = np.clip(np.searchsorted(mesh, t, side="right") - 1, 0, len(mesh) - 2)
    local = (t - mesh[i]) / (mesh[i + 1] - mesh[i])
    return np.einsum("kj,kjn->kn", lagrange(local), pieces(nodes)[i])


def adapted(
    mesh: Float64[np.ndarray, "N+1"],
    nodes: Float64[np.ndarray, "Nm n"],
    scale: Float64[np.ndarray, "n"],
    n_intervals: int,
) -> Float64[np.ndarray, "N+1"]:
    """A mesh on whose intervals the error of the function is about the same.

    The error of an interval of length h is like h^(m+1) |u^(m+1)|, so that h is chosen like
    |u^(m+1)|^(-1/(m+1)); the derivative comes from differences of neighbours' u^(m).
    """
    h = np.diff(mesh)
    signs = np.array([(-1.0) ** (DEGREE - j) * comb(DEGREE, j) for j in range(DEGREE + 1)])
    top = np.einsum("j,ijn->in", signs, pieces(nodes / scale)) * (DEGREE / h[:, None]) ** DEGREE
    jump = 2.0 * (top - np.roll(top, 1, axis=0)) / (h + np.roll(h, 1))[:, None]
    at_ends = np.linalg.norm(jump, axis=1) ** (1.0 / (DEGREE + 1))
    monitor = (at_ends + np.roll(at_ends, -1)) / 2.0
    mean = float(monitor @ h)
    if not mean > 0.0:  # a constant
        return np.linspace(0.0, 1.0, n_intervals + 1)
    mass = np.concatenate([[0.0], np.cumsum((monitor + _FLOOR * mean) * h)])
    new = np.interp(np.linspace(0.0, mass[-1], n_intervals + 1), mass, mesh)
    new[0], new[-1] = 0.0, 1.0
    return new


def extremes(
    mesh: Float64[np.ndarray, "N+1"], nodes: Float64[np.ndarray, "Nm n"]
) -> tuple[Float64[np.ndarray, "n"], Float64[np.ndarray, "n"]]:
    """Minimum and maximum of each variable: of a fine sampling, and of a parabola through it."""
    fine = 8
    t = (mesh[:-1, None] + np.diff(mesh)[:, None] * np.arange(fine) / fine).ravel()
    x = interpolate(mesh, nodes, t)
    minimum, maximum = x.min(axis=0), x.max(axis=0)
    for best, of in ((minimum, np.argmin(x, axis=0)), (maximum, np.argmax(x, axis=0))):
        for j, k in enumerate(of):
            at = t[k] + np.array([-1.0, 0.0, 1.0]) * np.diff(mesh).min() / fine
            a, b, c = interpolate(mesh, nodes, at % 1.0)[:, j]
            curvature = a - 2.0 * b + c
            if curvature != 0.0:
                best[j] = b - 0.125 * (c - a) ** 2 / curvature
    return minimum, maximum
