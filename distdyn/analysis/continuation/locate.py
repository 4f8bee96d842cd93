"""Where within a step of a curve an entry of its monitor is zero."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from distdyn.analysis.continuation.arclength import Curve, Point


def locate(
    curve: "Curve", before: "Point", after: "Point", length: float, which: int
) -> "Point | None":
    """The zero of an entry of the monitor within a step, by regula falsi (Illinois).

    None if the entry changes its sign by a jump or a pole. Close to a branch point Newton fails or
    finds the other branch: there the zero is interpolated.

    Args:
        curve: the curve.
        before: the point before the step.
        after: the one after it.
        length: of the step.
        which: entry of the monitor, whose sign differs at the two points.
    """
    a, b = (0.0, before), (length, after)
    fa, fb = float(before.monitor[which]), float(after.monitor[which])
    small = 1e-2 * max(abs(fa), abs(fb))
    best, side, last = before, 0, 0.0
    for _ in range(60):
        s = (a[0] * fb - b[0] * fa) / (fb - fa)
        found = curve.at(before, s)
        if found is None or turning(curve, before, found[0]) > curve.steps.turn:
            return _between(curve, before, a, b, s)
        best, fs = found[0], float(found[0].monitor[which])
        if fs == 0.0 or not np.isfinite(fs) or abs(s - last) <= 1e-12 * length:
            break
        last = s
        if np.sign(fs) == np.sign(fb):
            fa = 0.5 * fa if side == 1 else fa
            b, fb, side = (s, best), fs, 1
        else:
            fb = 0.5 * fb if side == -1 else fb
            a, fa, side = (s, best), fs, -1
    return best if abs(best.monitor[which]) <= small else None


def _between(
    curve: "Curve", start: "Point", a: "tuple[float, Point]", b: "tuple[float, Point]", s: float
) -> "Point":
    """The point at arclength s from a start, by the cubic through two points and their tangents."""
    (sa, pa), (sb, pb) = a, b
    h, x = sb - sa, (s - sa) / (sb - sa)
    slopes = [p.tangent / np.sum(curve.weight * start.tangent * p.tangent) for p in (pa, pb)]
    u = (
        (1 + 2 * x) * (1 - x) ** 2 * pa.u + x**2 * (3 - 2 * x) * pb.u
        + h * x * (1 - x) ** 2 * slopes[0] - h * x**2 * (1 - x) * slopes[1]
    )  # fmt: skip
    tangent = (1 - x) * pa.tangent + x * pb.tangent
    return curve.point(u, tangent / curve.length(tangent))


def turning(curve: "Curve", here: "Point", there: "Point") -> float:
    """The angle between two tangents, rad."""
    cosine = float(np.sum(curve.weight * here.tangent * there.tangent))
    return float(np.arccos(np.clip(cosine, -1.0, 1.0)))
