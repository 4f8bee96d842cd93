"""The manifolds of saddles in the plane: the lines on which the flow leaves and reaches them.

An unstable manifold begins along the eigenvector that grows, and follows the flow; a stable one
along the eigenvector that decays, and follows it back. They divide the basins of attraction. A line
ends where it leaves the box by far, comes close to a fixed point, or has a given length; it is
followed by its length, so that it takes no longer where the flow is slow.

Source: Kuznetsov (2004), Elements of Applied Bifurcation Theory, 3rd ed., sec. 2.2.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from scipy.integrate import solve_ivp

from distdyn.analysis.field import Flat
from distdyn.analysis.points.fixed_points import FixedPoints
from distdyn.analysis.points.starts import Region
from distdyn.analysis.sharing import ALONE, Ranks

FIRST = 1e-5  # of the box, from the saddle
NEAR = 1e-4  # of the box, from a fixed point: arrived
LENGTH = 30.0  # boxes
OUTSIDE = 0.5  # boxes beyond the box
SPACING = 2e-3  # boxes between two points


@dataclass(frozen=True, eq=False)
class Separatrix:
    """One half of a manifold of a saddle.

    Attributes:
        x: the line, from the saddle on.
        kind: "stable" or "unstable".
        saddle: which of the fixed points.
        end: the fixed point that it comes to; -1: none.
    """

    x: Float64[np.ndarray, "m 2"]
    kind: Literal["stable", "unstable"]
    saddle: int
    end: int


def separatrices(
    flat: Flat, points: FixedPoints, region: Region, ranks: Ranks = ALONE
) -> list[Separatrix]:
    """Both halves of both manifolds of every saddle in the plane. Ranks share them; collective."""
    unit = region.high - region.low
    saddles = [k for k, label in enumerate(points.stability) if label == "saddle"]
    if not saddles:
        return []
    with jax.enable_x64(True):
        direction = _along(flat, unit)
        halves = [
            partial(_followed, partial(direction, sign=sign), points, k, side * e, region, kind)
            for k in saddles
            for e, sign, kind in _directions(points.eigenvectors[k])
            for side in (1.0, -1.0)
        ]
        return list(ranks.done(halves))


def _directions(vectors: Any) -> list[tuple[Any, float, Literal["stable", "unstable"]]]:
    """Along what a saddle is left and reached, and with which sign of the flow."""
    leaving, reaching = np.real(vectors).T
    return [(leaving, 1.0, "unstable"), (reaching, -1.0, "stable")]


def _along(flat: Flat, unit: Any) -> Any:
    """The direction of the flow or of its reverse, in units of the box."""

    @jax.jit
    def direction(u: Any, sign: float) -> Any:
        v = sign * flat.f(u * unit, flat.p0) / unit
        return v / jnp.maximum(jnp.linalg.norm(v), 1e-300)

    return direction


def _followed(
    direction: Any,
    points: FixedPoints,
    saddle: int,
    vector: Any,
    region: Region,
    kind: Literal["stable", "unstable"],
) -> Separatrix:
    unit = region.high - region.low
    origin = points.x[saddle] / unit
    vector = vector / unit / np.linalg.norm(vector / unit)
    low, high = region.low / unit - OUTSIDE, region.high / unit + OUTSIDE

    def far(s: float, u: Any) -> float:
        return float(min((u - low).min(), (high - u).min()))

    def near(s: float, u: Any) -> float:
        """Above 0 until a fixed point is near; the saddle itself only once it was left."""
        away = np.linalg.norm(points.x / unit - u, axis=1)
        if s < 10 * NEAR:
            away[saddle] = 1.0
        return float(away.min()) - NEAR

    far.terminal = near.terminal = True  # pyright: ignore[reportFunctionMemberAccess]
    found = solve_ivp(
        lambda s, u: np.asarray(direction(u)), (0.0, LENGTH), origin + FIRST * vector,
        method="RK45", events=(far, near), rtol=1e-8, atol=1e-10, max_step=0.02, dense_output=True,
    )  # fmt: skip
    s = np.linspace(0.0, found.t[-1], max(2, int(found.t[-1] / SPACING)))
    u = found.sol(s).T
    end = -1
    if len(found.t_events[1]):
        end = int(np.linalg.norm(points.x / unit - u[-1], axis=1).argmin())
    arrived = points.x[[end] if end >= 0 else []]
    line = np.concatenate([points.x[[saddle]], u * unit, arrived])
    return Separatrix(line, kind, saddle, end)
