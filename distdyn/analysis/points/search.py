"""Candidates for fixed points: what searches from many starts end in.

Starts are cut into pieces that devices and ranks share (`roots`). Of few variables all candidates
are kept until they are compared. Of many, searches end a little earlier, each piece keeps only
those that differ, so that little is exchanged, and these are brought to the precision of the
numbers. Of those that agree the one is kept that is the first along a direction (`distinct`),
however they were cut.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from distdyn.analysis.field import Flat
from distdyn.analysis.points.polish import SAME, distinct
from distdyn.analysis.points.roots import (
    MOST_DENSE,
    SHARES,
    STEP,
    Roots,
    cut,
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
    n, count, g = flat.n, len(starts), flat.spread or flat.residual
    rows = row_units(g, starts, np.tile(p, (count, 1)), unit)
    lanes = lanes_for(n, count)
    room = cut(n, count, ranks.size)[0].stop  # one program for all pieces
    room = room if n <= MOST_DENSE else min(room, SHARES * lanes)

    def of_room(part: Any, still: float) -> Ended:
        padded = np.concatenate([part, np.repeat(part[:1], room - len(part), axis=0)])
        found = roots(
            g, padded, np.tile(p, (room, 1)), unit, devices,
            rows=rows, still=still, lanes=lanes,
        )  # fmt: skip
        return _ended(Roots(*(a[: len(part)] for a in found)), region)

    def of_piece(part: Any, still: float) -> Ended:
        rooms = [part[k : k + room] for k in range(0, len(part), room)]
        return _joined([of_room(x, still) for x in rooms], unit)

    def of_all(x: Any, still: float) -> list[Ended]:
        parts = [x[where] for where in cut(n, len(x), ranks.size)]
        return list(ranks.done([partial(of_piece, part, still) for part in parts]))

    found = _joined(of_all(starts, STEP if n <= MOST_DENSE else NEARLY), unit)
    if not np.isfinite(found.least):
        raise AnalysisError(
            f"{flat.about.name}: its derivative is finite at none of {count} starts. Begin where "
            "the equations hold."
        )
    if n <= MOST_DENSE:
        return found._replace(x=found.x[distinct(found.x / unit, SAME)])
    return found._replace(x=_joined(of_all(found.x, STEP), unit).x) if len(found.x) else found


def _joined(parts: Sequence[Ended], unit: Any) -> Ended:
    """What several came to; of many variables only the candidates that differ."""
    x = np.concatenate([each.x for each in parts])
    if x.shape[1] > MOST_DENSE:
        x = x[distinct(x / unit, SAME)]
    nearest = parts[int(np.argmin([each.least for each in parts]))]
    count, n_roots = sum(each.count for each in parts), sum(each.n_roots for each in parts)
    return Ended(x, count, n_roots, nearest.best, nearest.least)


def _ended(found: Roots, region: Region | None) -> Ended:
    near = found.x[found.is_root]
    if region is not None:
        near = near[region.contains(near, 1e-3)]
    size = np.where(np.isfinite(found.residual), found.residual, np.inf)
    n_roots, best = int(found.is_root.sum()), int(size.argmin())
    return Ended(near, len(found.x), n_roots, found.x[best], float(size[best]))
