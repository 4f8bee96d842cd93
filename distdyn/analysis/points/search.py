"""Candidates for fixed points: what searches from many starts end in.

Starts are cut into pieces that devices and ranks share (`roots`). Of few variables all candidates
are kept until they are compared. Of many, searches end a little earlier, each piece keeps only
those that differ, and these are then brought to the precision of the numbers.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from distdyn.analysis.field import Flat
from distdyn.analysis.points.roots import (
    MOST_DENSE,
    SAME,
    STEP,
    Roots,
    cut,
    distinct,
    lanes_for,
    roots,
    row_units,
)
from distdyn.analysis.points.starts import Region
from distdyn.analysis.sharing import Ranks
from distdyn.errors import AnalysisError

NEARLY = 1e-7  # of the unit: a step as short ends a search in many variables, at first


class Ended(NamedTuple):
    """What searches came to."""

    x: Float64[np.ndarray, "k n"]  # candidates, near the region
    count: int  # searches
    n_roots: int  # that ended in a root, wherever
    best: Float64[np.ndarray, "n"]  # where one came nearest to a root
    least: float  # |r| there


def searched(
    flat: Flat,
    starts: Float64[np.ndarray, "m n"],
    p: Float64[np.ndarray, "p"],
    unit: Float64[np.ndarray, "n"],
    region: Region | None,
    devices: Sequence[Any],
    ranks: Ranks,
) -> Ended:
    """The candidates that differ. Call it inside `jax.enable_x64(True)`. Collective.

    Args:
        flat: the field.
        starts: where searches begin.
        p: the parameters.
        unit: by how much the variables change.
        region: only candidates near it are kept.
        devices: of this rank.
        ranks: that share the starts.

    Raises:
        AnalysisError: F is finite at no start.
    """
    n, count = flat.n, len(starts)
    rows = row_units(flat.residual, starts, np.tile(p, (count, 1)), unit)
    room = cut(n, count, ranks.size)[0].stop  # one program for all pieces
    lanes = lanes_for(n, count)

    def of_piece(part: Any, still: float) -> Ended:
        padded = np.concatenate([part, np.repeat(part[:1], room - len(part), axis=0)])
        found = roots(
            flat.residual, padded, np.tile(p, (room, 1)), unit, devices,
            rows=rows, still=still, lanes=lanes,
        )  # fmt: skip
        return _ended(Roots(*(a[: len(part)] for a in found)), region, unit)

    def of_all(x: Any, still: float) -> list[Ended]:
        parts = [x[where] for where in cut(n, len(x), ranks.size)]
        return list(ranks.done([partial(of_piece, part, still) for part in parts]))

    found = of_all(starts, STEP if n <= MOST_DENSE else NEARLY)
    nearest = found[int(np.argmin([each.least for each in found]))]
    if not np.isfinite(nearest.least):
        raise AnalysisError(
            f"{flat.about.name}: its derivative is finite at none of {count} starts. Begin where "
            "the equations hold."
        )
    x = np.concatenate([each.x for each in found])
    x = x[distinct(x / unit, SAME)]
    if n > MOST_DENSE and len(x):
        x = np.concatenate([each.x for each in of_all(x, STEP)])
    n_roots = sum(each.n_roots for each in found)
    return Ended(x, count, n_roots, nearest.best, nearest.least)


def _ended(found: Roots, region: Region | None, unit: Any) -> Ended:
    """The candidates of a piece; of many variables only those that differ."""
    near = found.x[found.is_root]
    if region is not None:
        near = near[region.contains(near, 1e-3)]
    if near.shape[1] > MOST_DENSE:
        near = near[distinct(near / unit, SAME)]
    size = np.where(np.isfinite(found.residual), found.residual, np.inf)
    n_roots, best = int(found.is_root.sum()), int(size.argmin())
    return Ended(near, len(found.x), n_roots, found.x[best], float(size[best]))
