"""One projection as a table of synapses sees it, and the tables of its delays and weights."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from distdyn.errors import DelayError, NetworkError, RuleError, WeightError
from distdyn.network.distributions import Distribution
from distdyn.network.edges import Edges
from distdyn.network.ends import Ends
from distdyn.network.rule import Pairs, Rule
from distdyn.network.space import ByDistance
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
        weight: a number, a distribution, a function of distance or floats over the edges, in
            physical units; or integers over the edges, in the accumulator's units.
        delay: steps, a distribution or function of distance in ms, or steps over the edges.
        pre_local: int[n_pre]; the place of each neuron of the pre end among the cells of the
            source group of all parts, part after part; -1 for those that are not in the group.
        post_local: int[n_post]; the place in the ring of each neuron of the post end; anything in
            blocks that are not asked for.
        blocks: the blocks of the post end that are asked for; None: all.
    """

    path: str
    rule: Rule
    ends: Ends
    weight: float | np.ndarray | Distribution | ByDistance
    delay: int | np.ndarray | Distribution | ByDistance
    pre_local: np.ndarray
    post_local: np.ndarray
    blocks: np.ndarray | None = None


class Values(NamedTuple):
    """How the synapses of a projection get their delays and weights; empty arrays: not so.

    Given ones are arrays over the edges, or functions of the synapses that a rule lists.
    """

    delays: Delays
    given_delay: np.ndarray | Callable[[Pairs], np.ndarray]
    knots: np.ndarray
    given_weight: np.ndarray | Callable[[Pairs], np.ndarray]
    unit: int
    longest: int  # delay, in steps

    def delays_of(self, some: Pairs) -> np.ndarray:
        """The given delay of each of these synapses; empty where none is given."""
        return _given(self.given_delay, some)

    def weights_of(self, some: Pairs) -> np.ndarray:
        """The same of weights."""
        return _given(self.given_weight, some)


def _given(values: np.ndarray | Callable[[Pairs], np.ndarray], some: Pairs) -> np.ndarray:
    if not isinstance(values, np.ndarray):
        return values(some)
    return values[some.items] if values.size else values


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
    delays, given_delay, longest = _delays_of(part, dt, where, known)
    knots, given_weight, unit = _weights_of(part, unit_scale, where, known)
    if abs(unit) > np.iinfo(accumulator).max:
        raise WeightError(
            f"{where}: weight = {part.weight} is {unit:.3g} units of the receptor's accumulator, "
            f'beyond {np.dtype(accumulator)}. Use precision="float64".'
        )
    return Values(delays, given_delay, knots, given_weight, unit, longest)


def _delays_of(
    part: ProjectionRows, dt: float, where: str, known: dict[Any, Any]
) -> tuple[Delays, np.ndarray | Callable[[Pairs], np.ndarray], int]:
    """How delays are drawn, those that are given, and the longest."""
    delays, given, delay = constant_delay(1), NOTHING, part.delay
    if isinstance(delay, ByDistance):
        longest = int(delay.in_steps(delay.extremes()[1], dt))
        return delays, lambda x: delay.in_steps(delay.between(x.sources, x.targets), dt), longest
    if isinstance(delay, Distribution):
        delays = _made_once(known, drawn_delays, delay, dt, f"{where}: delay")
    elif isinstance(delay, np.ndarray):
        given = np.array(_over_edges(part, delay, "delay", "iu"), np.int64)
    else:
        delays = constant_delay(delay)
    if min(delays.first, given.min(initial=1)) < 1:
        raise DelayError(f"{where}: a delay is shorter than one step. Use delay >= dt.")
    return delays, given, int(given.max(initial=delays.last))


def _weights_of(
    part: ProjectionRows, unit_scale: float, where: str, known: dict[Any, Any]
) -> tuple[np.ndarray, np.ndarray | Callable[[Pairs], np.ndarray], int]:
    """How weights are drawn, those that are given, and their unit."""
    weight = part.weight
    if isinstance(weight, Distribution):
        knots, unit = _made_once(known, drawn_weights, weight, unit_scale, f"{where}: weight")
        return knots, NO_WEIGHTS, unit
    if isinstance(weight, ByDistance):
        unit = _unit(max(map(abs, weight.extremes())) * unit_scale, where)
        measured = weight.between
        return NO_KNOTS, lambda x: _in_units(measured(x.sources, x.targets), unit_scale, unit), unit
    if isinstance(weight, np.ndarray):
        weight = _over_edges(part, weight, "weight", "iuf")
        scale = unit_scale if weight.dtype.kind == "f" else 1.0
        unit = _unit(float(np.abs(weight).max(initial=0.0)) * scale, where)
        return NO_KNOTS, _in_units(weight, scale, unit), unit
    check_significance(abs(weight) * unit_scale, f"{where}: weight = {weight:g}")
    return NO_KNOTS, NO_WEIGHTS, round(weight * unit_scale)


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


def _unit(largest: float, where: str) -> int:
    """The unit of given weights: the smallest power of two with which int32 holds the largest."""
    check_significance(largest, f"{where}: weight")
    unit = 1
    while largest / unit > np.iinfo(np.int32).max:
        unit *= 2
    return unit


def _in_units(weight: np.ndarray, unit_scale: float, unit: int) -> np.ndarray:
    return np.rint(weight * unit_scale / unit).astype(np.int32)


def _over_edges(part: ProjectionRows, array: np.ndarray, name: str, kinds: str) -> np.ndarray:
    n = len(part.rule.pre) if isinstance(part.rule, Edges) else None
    if array.shape != (n,) or array.dtype.kind not in kinds:
        raise RuleError(
            f'projection "{part.path}": {name} is an array of shape {array.shape} and type '
            f"{array.dtype}. Give numbers over the edges of Edges (delays in whole steps)."
        )
    return array
