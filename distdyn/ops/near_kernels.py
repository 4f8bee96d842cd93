"""Numba kernels that find neighbours in space, by cells: boxes in which the points are listed.

A box of d axes is cut into shape[0] * ... * shape[d - 1] cells with the sides `side`, numbered in C
order; cell c holds the points start[c]:start[c + 1]. Where an axis is periodic, its cells fill the
period. Distances are computed in float64, in the order of axes, and rounded once each.
"""

import math

import numpy as np

from distdyn.ops.draw import kernel


@kernel
def cell_of(points, low, side, shape, cell):
    """Write the number of the cell in which each point is."""
    for i in range(points.shape[0]):
        c = np.int64(0)
        for k in range(points.shape[1]):
            at = np.int64(math.floor((points[i, k] - low[k]) / side[k]))
            c = c * shape[k] + min(max(at, 0), shape[k] - 1)
        cell[i] = c


@kernel
def _window(point, low, side, shape, period, reach, first, n):
    """The cells that a ball meets: n[k] from first[k] on along each axis, if need be around it."""
    for k in range(point.size):
        at, wide = (point[k] - low[k]) / side[k], reach / side[k] + 1e-6  # more than rounding
        a, b = np.int64(math.floor(at - wide)), np.int64(math.floor(at + wide))
        if period[k] > 0:
            if b - a + 1 >= shape[k]:
                a, b = 0, shape[k] - 1
        else:
            a, b = min(max(a, 0), shape[k] - 1), min(max(b, 0), shape[k] - 1)
        first[k], n[k] = a, b - a + 1


@kernel
def _next_cell(turn, first, n, shape):
    """The number of the cell at this turn of the window."""
    c, stride, rest = np.int64(0), np.int64(1), turn
    for k in range(n.size - 1, -1, -1):
        at = (first[k] + rest % n[k]) % shape[k]
        rest //= n[k]
        c += at * stride
        stride *= shape[k]
    return c


@kernel
def count_near(points, low, side, shape, period, reach, start):
    """How many points lie in the cells that the balls around these points meet."""
    d = points.shape[1]
    first, n = np.empty(d, np.int64), np.empty(d, np.int64)
    total = np.int64(0)
    for i in range(points.shape[0]):
        _window(points[i], low, side, shape, period, reach, first, n)
        for turn in range(n.prod()):
            c = _next_cell(turn, first, n, shape)
            total += start[c + 1] - start[c]
    return total


@kernel
def list_near(
    points, low, side, shape, period, reach, start, others, places, index, place, distance
):  # fmt: skip
    """List all pairs of a point and one of the others no farther away than `reach`.

    Args:
        points: float64[n, d].
        low: float64[d]; the corner of the box.
        side: float64[d].
        shape: int64[d].
        period: float64[d]; 0 where an axis is not periodic.
        reach: how far to look.
        start: int64[cells + 1].
        others: float64[m, d]; the points in the cells, cell by cell.
        places: int64[m]; their numbers.
        index: written: the point of each pair, ascending.
        place: written: the number of the other.
        distance: written.

    Returns:
        How many pairs there are.
    """
    d = points.shape[1]
    first, n = np.empty(d, np.int64), np.empty(d, np.int64)
    to = np.int64(0)
    for i in range(points.shape[0]):
        _window(points[i], low, side, shape, period, reach, first, n)
        for turn in range(n.prod()):
            c = _next_cell(turn, first, n, shape)
            for j in range(start[c], start[c + 1]):
                square = 0.0
                for k in range(d):
                    along = points[i, k] - others[j, k]
                    if period[k] > 0:
                        along -= period[k] * np.rint(along / period[k])
                    square += along * along
                r = math.sqrt(square)
                index[to], place[to], distance[to] = i, places[j], r
                to += r <= reach
    return to
