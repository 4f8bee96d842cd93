"""Lines, rings and surfaces of slow points: attractors that are not a set of separate points.

Along such a set the flow nearly stands still, so that at each of its points the Jacobian has an
eigenvalue near 0 whose eigenvector v is tangent to the set. Points x_i, x_j with as many such
eigenvalues are neighbours if

    |v_i . c| and |v_j . c| > 0.5,    c = (x_j - x_i) / |x_j - x_i|,

and if a slow point is found near the middle between them. Points that hang together are one set: a
line, or a ring if it has no ends. Neighbours are looked for in a tree over the first principal
components, so that no n x n distances are needed. A set that is sampled thinly, with turns of more
than some 60 degrees between neighbours, comes in parts.

Source: Seung (1996), PNAS 93, 13339, for lines; Zhang (1996), J. Neurosci. 16, 2112, for rings.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import (
    connected_components,
    depth_first_order,
    minimum_spanning_tree,
    shortest_path,
)
from scipy.spatial import KDTree

ALIGNED = 0.5  # cosine between an eigenvector and the way to a neighbour
NEAR = 0.5  # of half the way between neighbours: how far from the middle a slow point may be
NEIGHBOURS = 32  # that are looked at
COMPONENTS = 8  # of the space in which they are looked for
LINKS = 3  # on each side
FEWEST = 4  # points of a line or ring


class Manifold(NamedTuple):
    """Slow points that hang together.

    Attributes:
        kind: "ring", "line", or "surface" of more dimensions.
        points: which they are; of a ring or line in their order along it.
        dimension: how many directions are marginal.
    """

    kind: str
    points: Int64[np.ndarray, "k"]
    dimension: int


def manifolds(
    x: Float64[np.ndarray, "k n"],
    tangents: Sequence[Float64[np.ndarray, "n d"]],
    settled: Callable[[Float64[np.ndarray, "e n"]], Float64[np.ndarray, "e n"]],
) -> tuple[Manifold, ...]:
    """The lines, rings and surfaces among some slow points, the largest first.

    Args:
        x: the points, in units in which all variables count alike.
        tangents: of each an orthonormal basis of its marginal eigenvectors; d = 0 if it has none.
        settled: the slow points to which searches from some places lead; nan where to none.
    """
    found: list[Manifold] = []
    dimensions = np.array([basis.shape[1] for basis in tangents], np.int64)
    for d in sorted({*dimensions.tolist()} - {0}):
        (chosen,) = np.nonzero(dimensions == d)
        if len(chosen) < FEWEST:
            continue
        basis = np.stack([tangents[k] for k in chosen.tolist()])
        pairs = _neighbours(x[chosen], basis)
        pairs = pairs[_is_filled(x[chosen], pairs, settled)]
        found += [
            Manifold(kind, chosen[points], int(d))
            for kind, points in _connected(x[chosen], basis, pairs)
        ]
    return tuple(sorted(found, key=lambda m: -len(m.points)))


def _neighbours(
    x: Float64[np.ndarray, "k n"], basis: Float64[np.ndarray, "k n d"]
) -> Int64[np.ndarray, "e 2"]:
    """Pairs along the tangents: of each point the nearest ones on both sides of each."""
    centered = x - x.mean(axis=0)
    axes = np.linalg.svd(centered, full_matrices=False)[2][:COMPONENTS]
    count = min(NEIGHBOURS + 1, len(x))
    near: Any = KDTree(centered @ axes.T).query(centered @ axes.T, count)[1]
    pairs = set()
    for i, others in enumerate(near):
        others = others[others != i]
        c = x[others] - x[i]
        c /= np.maximum(np.linalg.norm(c, axis=1, keepdims=True), 1e-300)
        along = c @ basis[i]
        back = np.linalg.norm(np.einsum("mn,mnd->md", c, basis[others]), axis=1)
        is_aligned = (np.linalg.norm(along, axis=1) > ALIGNED) & (back > ALIGNED)
        sides = 2 * np.abs(along).argmax(axis=1) + (along.max(axis=1) > -along.min(axis=1))
        for side in np.unique(sides[is_aligned]):  # the first are the nearest
            for j in others[is_aligned & (sides == side)][:LINKS].tolist():
                pairs.add((min(i, j), max(i, j)))
    return np.array(sorted(pairs), np.int64).reshape(-1, 2)


def _is_filled(x: Float64[np.ndarray, "k n"], pairs: Int64[np.ndarray, "e 2"], settled: Callable):
    """Of each pair whether a slow point is found near the middle between the two."""
    if not len(pairs):
        return np.zeros(0, bool)
    a, b = x[pairs[:, 0]], x[pairs[:, 1]]
    middle, half = (a + b) / 2, np.linalg.norm(b - a, axis=1) / 2
    return np.linalg.norm(settled(middle) - middle, axis=1) < NEAR * half  # false of nan


def _connected(
    x: Float64[np.ndarray, "k n"],
    basis: Float64[np.ndarray, "k n d"],
    pairs: Int64[np.ndarray, "e 2"],
) -> list[tuple[str, Int64[np.ndarray, "m"]]]:
    """What hangs together, and what it is."""
    i, j = pairs.T
    length = np.linalg.norm(x[i] - x[j], axis=1)
    graph = coo_array((length, (i, j)), shape=(len(x), len(x))).tocsr()
    label = connected_components(graph, directed=False)[1]
    found = []
    for k in np.flatnonzero(np.bincount(label) >= FEWEST):
        members = np.flatnonzero(label == k)
        kind = "surface"
        if basis.shape[2] == 1:
            kind = "ring" if _is_ring(members, x, basis[..., 0], pairs) else "line"
            members = _in_order(graph, int(members[0]))
        found.append((kind, np.asarray(members, np.int64)))
    return found


def _in_order(graph: Any, member: int) -> Int64[np.ndarray, "m"]:
    """The points that hang together with one, along their shortest tree from one end of it."""
    tree = minimum_spanning_tree(graph)
    away = shortest_path(tree, directed=False, indices=member)
    end = int(np.where(np.isfinite(away), away, -1.0).argmax())
    return depth_first_order(tree, end, directed=False, return_predecessors=False)


def _is_ring(
    members: Int64[np.ndarray, "m"],
    x: Float64[np.ndarray, "k n"],
    tangent: Float64[np.ndarray, "k n"],
    pairs: Int64[np.ndarray, "e 2"],
) -> bool:
    """Whether there are points left when those without a neighbour ahead or behind are taken off.

    They are taken off until none is: nothing is left of a line.
    """
    left = set(members.tolist())
    while True:
        among = pairs[np.isin(pairs, list(left)).all(axis=1)]
        ahead, behind = set(), set()
        for i, j in (*among, *among[:, ::-1]):
            (ahead if (x[j] - x[i]) @ tangent[i] > 0 else behind).add(int(i))
        if left == ahead & behind or not left:
            return bool(left)
        left &= ahead & behind
