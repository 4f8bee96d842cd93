"""The lines on which a function of the plane is zero, whichever way they run.

Marching squares: where the sign changes along an edge of a grid, the line crosses it; the crossings
of a cell are connected, and cell by cell they make lines. Each point is then moved onto the zero by
Newton's method along the gradient.

Source: Lorensen & Cline (1987), Comput. Graph. 21, 163, for the squares.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64, Int64

NEWTON_STEPS = 8
SIDES = ((0, 1), (1, 2), (3, 2), (0, 3))  # of a cell, by its corners, counted around it


def zero_lines(
    values: Float64[np.ndarray, "rows columns"],
    x: Float64[np.ndarray, "columns"],
    y: Float64[np.ndarray, "rows"],
) -> list[Float64[np.ndarray, "m 2"]]:
    """The lines in a grid; a closed one ends where it begins.

    Args:
        values: of the function at (x[column], y[row]).
        x: of the columns.
        y: of the rows.
    """
    segments = _segments(values)
    return [_places(values, x, y, chain) for chain in _chains(segments)]


def onto_zero(
    f: Callable[[Any], Any],
    lines: list[list[Float64[np.ndarray, "m 2"]]],
    unit: Float64[np.ndarray, "2"],
    reach: float,
) -> list[list[Float64[np.ndarray, "m 2"]]]:
    """The lines on which each component of f is zero, with each point moved onto the zero.

    A point that would go beyond `reach` units stays.
    """
    flat = [line for of_component in lines for line in of_component]
    if not flat:
        return lines
    points = np.concatenate(flat)
    component = np.repeat(np.arange(len(lines)), [sum(map(len, of)) for of in lines])

    def moved(u: Any, k: Any) -> Any:
        first = u

        def both(u: Any) -> tuple[Any, Any]:
            value = f(u * unit)[k]
            return value, value

        def step(_: Any, u: Any) -> Any:
            slope, value = jax.jacfwd(both, has_aux=True)(u)
            square = jnp.vdot(slope, slope)
            new = u - jnp.where(square > 0, value / jnp.where(square > 0, square, 1.0), 0.0) * slope
            return jnp.where(jnp.isfinite(new).all(), new, u)

        u = jax.lax.fori_loop(0, NEWTON_STEPS, step, u)
        return jnp.where(jnp.linalg.norm(u - first) < reach, u, first)

    points = np.asarray(jax.jit(jax.vmap(moved))(points / unit, component)) * unit
    pieces = iter(np.split(points, np.cumsum([len(line) for line in flat])[:-1]))
    return [[next(pieces) for _ in of_component] for of_component in lines]


def _segments(values: Any) -> Int64[np.ndarray, "s 2"]:
    """Pairs of edges that the line connects within a cell.

    Edges have numbers: first those along rows, then those along columns.
    """
    rows, columns = values.shape
    is_known = np.isfinite(values)
    up = values >= 0.0
    corners = [np.s_[:-1, :-1], np.s_[:-1, 1:], np.s_[1:, 1:], np.s_[1:, :-1]]
    sign = [up[c] for c in corners]
    complete = np.logical_and.reduce([is_known[c] for c in corners])
    crossed = np.stack([sign[a] != sign[b] for a, b in SIDES], -1) & complete[..., None]
    r, c = np.indices((rows - 1, columns - 1))
    along = rows * (columns - 1)
    edge = np.stack([
        r * (columns - 1) + c, along + r * columns + c + 1,
        (r + 1) * (columns - 1) + c, along + r * columns + c,
    ], -1)  # fmt: skip
    number = crossed.sum(-1)
    pairs = [edge[number == 2][crossed[number == 2]].reshape(-1, 2)]
    four = number == 4  # the sign of the middle says which corners hang together
    middle = np.mean([values[corner][four] for corner in corners], axis=0) >= 0.0
    with_first = middle == sign[0][four]
    e = edge[four]
    pairs += [e[with_first][:, [0, 1]], e[with_first][:, [2, 3]]]
    pairs += [e[~with_first][:, [0, 3]], e[~with_first][:, [1, 2]]]
    return np.concatenate(pairs)


def _chains(segments: Int64[np.ndarray, "s 2"]) -> list[list[int]]:
    """Segments put together: lists of edges."""
    beside: dict[int, list[int]] = {}
    for a, b in segments.tolist():
        beside.setdefault(a, []).append(b)
        beside.setdefault(b, []).append(a)
    ends = [edge for edge, others in beside.items() if len(others) == 1]
    chains: list[list[int]] = []
    for start in [*ends, *beside]:  # open lines first, then closed ones
        if not beside[start]:
            continue
        chain = [start]
        while beside[chain[-1]]:
            following = beside[chain[-1]].pop()
            beside[following].remove(chain[-1])
            chain.append(following)
        chains.append(chain)
    return chains


def _places(values: Any, x: Any, y: Any, chain: list[int]) -> Float64[np.ndarray, "m 2"]:
    """Where edges are crossed, by linear interpolation."""
    rows, columns = values.shape
    along = rows * (columns - 1)
    places = []
    for edge in chain:
        if edge < along:
            r, c = divmod(edge, columns - 1)
            a, b = values[r, c], values[r, c + 1]
            t = a / (a - b)
            places.append((x[c] + t * (x[c + 1] - x[c]), y[r]))
        else:
            r, c = divmod(edge - along, columns)
            a, b = values[r, c], values[r + 1, c]
            t = a / (a - b)
            places.append((x[c], y[r] + t * (y[r + 1] - y[r])))
    line = np.array(places)
    is_new = np.concatenate([[True], (line[1:] != line[:-1]).any(axis=1)])
    return line[is_new]  # a line through a point of the grid crosses two edges there
