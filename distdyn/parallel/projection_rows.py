"""One projection as a table of synapses sees it, and the tables of its delays and weights."""

from typing import Any, NamedTuple

import numpy as np

from distdyn.errors import DelayError, NetworkError, RuleError, WeightError
from distdyn.network.distributions import Distribution
from distdyn.network.ends import Ends
from distdyn.network.rule import Rule
from distdyn.network.rules import Edges
from distdyn.ops.values import (
    NO_KNOTS,
    Delays,
    check_significance,
    constant_delay,
    drawn_delays,
    drawn_weights,
)

NOTHING = np.zeros(0, np.int64)
NO_WEIGHTS = np.zeros(0, np.int32)


class ProjectionRows(NamedTuple):
    """One projection as seen by one table.

    Attributes:
        path: the projection's path, which keys its draws.
        rule: who connects to whom.
        ends: the two ends.
        weight: a number, a distribution or floats over the edges, in physical units; or integers
            over the edges, in the accumulator's units.
        delay: steps, a distribution in ms, or steps over the edges.
        pre_local: int[n_pre]; the place of each neuron of the pre end among the cells of the
            source group of all parts, part after part; -1 for those that are not in the group.
        post_local: int[n_post]; the place in the ring of each neuron of the post end; anything in
            blocks that are not asked for.
        blocks: the blocks of the post end that are asked for; None: all.
    """

    path: str
    rule: Rule
    ends: Ends
    weight: float | np.ndarray | Distribution
    delay: int | np.ndarray | Distribution
    pre_local: np.ndarray
    post_local: np.ndarray
    blocks: np.ndarray | None = None


class Values(NamedTuple):
    """How the synapses of a projection get their delays and weights; empty arrays: not so."""

    delays: Delays
    given_delay: np.ndarray
    knots: np.ndarray
    given_weight: np.ndarray
    unit: int

    @property
    def longest(self) -> int:
        """The longest delay, in steps."""
        return int(self.given_delay.max(initial=self.delays.last))


def check_places(local: np.ndarray, n: int, limit: int, what: str, *, least: int) -> None:
    """Refuse places beyond the table: a kernel that writes there does not look."""
    if len(local) != n or local.min(initial=0) < least or local.max(initial=-1) >= limit:
        raise NetworkError(
            f"{what}: {len(local)} places from {local.min(initial=0)} to {local.max(initial=-1)} "
            f"for {n} neurons. Give one each, {least} <= place < {limit}."
        )


def places(local: Any) -> np.ndarray:
    """Places as int32 or int64: an array, or pieces (start, stop, step) one after the other."""
    if isinstance(local, np.ndarray):
        is_kept = local.dtype == np.int32
        return np.ascontiguousarray(local, np.int32 if is_kept else np.int64)  # no needless copy
    return np.concatenate([np.zeros(0, np.int64), *(np.arange(*piece) for piece in local)])


def values_of(
    part: ProjectionRows,
    dt: float,
    unit_scale: float,
    accumulator: type[np.signedinteger],
    known: dict[Any, Any],
) -> Values:
    """The tables of a projection's delays and weights.

    Args:
        part: the projection.
        dt: the time step, in ms.
        unit_scale: the accumulator's integers per physical unit of weight.
        accumulator: the integers in which the ring sums.
        known: tables that were made before, which equal distributions share; added to.

    Raises:
        DelayError: a delay is shorter than a step.
        WeightError: weights that the accumulator cannot hold, or not with 8 significant bits.
    """
    where = f'projection "{part.path}"'
    delays, given_delay = constant_delay(1), NOTHING
    if isinstance(part.delay, Distribution):
        delays = _made_once(known, drawn_delays, part.delay, dt, f"{where}: delay")
    elif isinstance(part.delay, np.ndarray):
        given_delay = np.array(_over_edges(part, part.delay, "delay", "iu"), np.int64)
    else:
        delays = constant_delay(part.delay)
    if min(delays.first, given_delay.min(initial=1)) < 1:
        raise DelayError(f"{where}: a delay is shorter than one step. Use delay >= dt.")
    knots, given_weight, unit = NO_KNOTS, NO_WEIGHTS, 1
    if isinstance(part.weight, Distribution):
        knots, unit = _made_once(known, drawn_weights, part.weight, unit_scale, f"{where}: weight")
    elif isinstance(part.weight, np.ndarray):
        weight = _over_edges(part, part.weight, "weight", "iuf")
        given_weight, unit = _given_weights(weight, unit_scale, where)
    else:
        unit = round(part.weight * unit_scale)
        check_significance(abs(part.weight) * unit_scale, f"{where}: weight = {part.weight:g}")
    if abs(unit) > np.iinfo(accumulator).max:
        raise WeightError(
            f"{where}: weight = {part.weight} is {unit:.3g} units of the receptor's accumulator, "
            f'beyond {np.dtype(accumulator)}. Use precision="float64".'
        )
    return Values(delays, given_delay, knots, given_weight, unit)


def _made_once(
    known: dict[Any, Any], make: Any, what: Distribution, unit: float, where: str
) -> Any:
    """`make(what, unit, where)`, or what it gave before; thousands of projections share a few."""
    key = make, what, unit
    try:
        if key not in known:
            known[key] = make(what, unit, where)
        return known[key]
    except TypeError:  # a distribution that has no hash
        return make(what, unit, where)


def _given_weights(weight: np.ndarray, unit_scale: float, where: str) -> tuple[np.ndarray, int]:
    """Weights over the edges as int32, and their unit: the smallest power of two that fits."""
    exact = weight * unit_scale if weight.dtype.kind == "f" else weight.astype(np.float64)
    largest, unit = float(np.abs(exact).max(initial=0.0)), 1
    check_significance(largest, f"{where}: weight")
    while largest / unit > np.iinfo(np.int32).max:
        unit *= 2
    return np.rint(exact / unit).astype(np.int32), unit


def _over_edges(part: ProjectionRows, array: np.ndarray, name: str, kinds: str) -> np.ndarray:
    n = len(part.rule.pre) if isinstance(part.rule, Edges) else None
    if array.shape != (n,) or array.dtype.kind not in kinds:
        raise RuleError(
            f'projection "{part.path}": {name} is an array of shape {array.shape} and type '
            f"{array.dtype}. Give numbers over the edges of Edges (delays in whole steps)."
        )
    return array
