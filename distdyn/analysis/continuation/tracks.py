"""Curves as they were followed: two directions joined, and whether a solution lies on one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import Float64

from distdyn.analysis.continuation.arclength import Crossing, Curve, Path, Point, trace

Vector = Float64[np.ndarray, "m"]
Of = TypeVar("Of")


@dataclass(eq=False)
class Track(Generic[Of]):
    """A curve: points in order, what is special between them, and why it ends at either end.

    Attributes:
        points: in order.
        special: after which point, and what.
        ends: reasons, as those of a `Path`.
    """

    points: list[Point]
    special: list[tuple[int, Of]]
    ends: tuple[str, str]


def followed(curve: Curve, start: Vector, towards: Vector) -> Path | None:
    """The curve from a solution in a direction; None if Newton's method finds none there."""
    try:
        return trace(curve, start, towards)
    except np.linalg.LinAlgError:
        return None


def ways(curve: Curve, u: Vector, direction: Vector) -> list[Callable[[], Path | None]]:
    """The pieces of the work of `both_ways`: the directions that do not leave at once."""
    inside = [sign for sign in (1.0, -1.0) if _leads_inside(curve, u, sign * direction)]
    return [partial(followed, curve, u, sign * direction) for sign in inside]


def both_ways(
    curve: Curve, u: Vector, direction: Vector, paths: Iterator[Path | None]
) -> Track[Crossing] | None:
    """The curve through a solution; only one way if that closes it, or if u is where it ends.

    Args:
        curve: what was followed.
        u: the solution.
        direction: along the curve.
        paths: what `ways` come to. None: it has failed.
    """
    forward, backward = None, None
    if _leads_inside(curve, u, direction):
        forward = next(paths)
        if forward is None:
            return None
    is_closed = forward is not None and forward.end == "closed"
    if not is_closed and _leads_inside(curve, u, -direction):
        backward = next(paths)
        if backward is None:
            return None
    if forward is None:
        forward, backward = backward, None
    if forward is None:
        return Track([curve.point(u, direction)], [], ("bound", "bound"))
    if backward is None:
        first = "closed" if forward.end == "closed" else "bound"
        return Track(forward.points, located(forward), (first, forward.end))
    track, start = joined(backward, forward), len(backward.points) - 1
    at_start = [(start, Crossing(k, start, forward.points[0])) for k in _zeros(curve, track, start)]
    track.special = sorted([*track.special, *at_start], key=lambda pair: pair[0])
    return track


def joined(
    backward: Path, forward: Path, between: tuple[Point, ...] | None = None
) -> Track[Crossing]:
    """One curve of two that begin at the same point, or on both sides of what lies between."""
    first = backward.points[::-1]
    last = forward.points[1:] if between is None else [*(between or ()), *forward.points]
    shift = len(first) - 1 if between is None else len(first) + len(between)
    special = [(len(first) - 2 - k, c) for k, c in located(backward)][::-1]
    special += [(k + shift, c) for k, c in located(forward)]
    return Track([*first, *last], special, (backward.end, forward.end))


def located(path: Path) -> list[tuple[int, Crossing]]:
    """The crossings of a path and after which point they lie."""
    return [(crossing.after, crossing) for crossing in path.crossings]


def lies_on(curve: Curve, track: Track, u: Vector) -> bool:
    """Whether a solution lies on a curve that was followed: it is the solution beside it there."""
    if len(track.points) < 2:
        return False
    points = np.array([point.u for point in track.points])
    chord, away = np.diff(points, axis=0), u - points[:-1]
    squares = np.maximum(np.sum(curve.weight * chord**2, axis=1), 1e-300)
    part = np.sum(curve.weight * chord * away, axis=1) / squares
    off = away - np.clip(part, 0.0, 1.0)[:, None] * chord
    near = np.sqrt(np.sum(curve.weight * off**2, axis=1)) <= 0.5 * np.sqrt(squares) + 1e-9
    for k in np.flatnonzero(near & (part > -0.01) & (part < 1.01)):
        found = curve.correct(points[k] + part[k] * chord[k], curve.weight * chord[k])
        if found is not None and curve.length(found[0] - u) <= 1e-4 * np.sqrt(squares[k]):
            return True
    return False


def _zeros(curve: Curve, track: Track[Crossing], k: int) -> list[int]:
    """The entries of the monitor that change their signs at a point, and are zero there."""
    if not 0 < k < len(track.points) - 1:
        return []
    before, here, after = track.points[k - 1 : k + 2]
    reverse, _ = curve.monitor(before.u, -before.tangent)  # it was followed the other way
    return np.flatnonzero((here.monitor == 0.0) & (reverse * after.monitor < 0.0)).tolist()


def _leads_inside(curve: Curve, u: Vector, direction: Vector) -> bool:
    """Whether a direction does not leave the intervals of the unknowns at once."""
    low = (u <= curve.lower) & (direction < 0.0)
    high = (u >= curve.upper) & (direction > 0.0)
    return not (low | high).any()
