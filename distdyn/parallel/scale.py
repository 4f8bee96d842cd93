"""The integer scale of a ring: how many accumulator units one unit of weight is.

Sums of integers do not depend on their order. The scale is the largest power of two at which the
largest sum that the description allows still fits:

    bound = sum over connections of (mean in-degree + 8 sd) * largest |w|
          + sum over Poisson inputs of (mean count + 10 sd + 20) * |w|
          + sum over layers of the most that they may give

It depends on the description alone, never on what was drawn or on who holds which neurons.
"""

import math
from typing import Any

import numpy as np

from distdyn.core.coupling import Coupling
from distdyn.core.receptor import Kinetics
from distdyn.core.signal import Signal
from distdyn.errors import ParameterError, WeightError
from distdyn.network.distributions import Distribution
from distdyn.network.edges import Edges
from distdyn.network.projection import PoissonInput, Projection
from distdyn.network.space import ByDistance
from distdyn.ops.poisson import MOST_EXPECTED
from distdyn.ops.values import check_significance


def power_of_two(bound: float, accumulator: str) -> float:
    """The largest power of two by which `bound` can be multiplied within the accumulator."""
    most = float(np.iinfo(accumulator).max) / 2  # half: the other half is for what was not foreseen
    return 2.0 ** math.floor(math.log2(most / bound)) if bound > 0 else 1.0


def projection_bound(projection: Projection) -> float:
    """The largest sum of weights that the projection can bring to one neuron in one step."""
    weight, rule = projection.weight, projection.rule
    if isinstance(rule, Edges):
        each = largest(weight, each=True)
        if projection.plasticity is not None:
            each = largest_plastic(projection)
        sizes = np.abs(np.broadcast_to(np.asarray(each), rule.post.shape))
        return float(np.bincount(rule.post, weights=sizes).max(initial=0.0))
    mean, sd = rule.in_degree(projection.ends)
    return max(1.0, mean + 8 * sd) * largest_plastic(projection)


def largest_plastic(projection: Projection) -> float:
    """The largest |w| that can occur, and with plasticity that may."""
    initial = float(largest(projection.weight))
    return initial if projection.plasticity is None else projection.plasticity.largest(initial)


def largest(weight: Any, each: bool = False) -> Any:
    """The largest |w| that can occur, or that of each edge."""
    if isinstance(weight, Distribution | ByDistance):
        return max(abs(x) for x in weight.extremes())
    size = np.abs(np.asarray(weight, np.float64))
    return size if each else float(np.max(size, initial=0.0))


def reach_of(kinetics: Kinetics) -> float:
    """The power of two by which values are divided that arrive through kinetics; 1 for spikes."""
    if not isinstance(kinetics, Coupling):
        return 1.0
    return 2.0 ** math.ceil(math.log2(float(kinetics.most)))


def poisson_bound(source: PoissonInput, dt: float, path: str) -> float:
    """The largest sum that the input can bring to one neuron in one step."""
    expected = most_expected(source, dt, path)
    return (expected + 10 * math.sqrt(expected) + 20) * float(largest(source.weight))


def most_expected(source: PoissonInput, dt: float, path: str) -> float:
    """The largest expected count per step of an input.

    Raises:
        ParameterError: the rate has no known bound, or is too high for this dt.
    """
    rate = source.rate
    if isinstance(rate, Signal):
        low, most = rate.extremes()
        if low < 0:
            raise ParameterError(f'input "{path}": rate falls to {low:g} Hz. Give rates >= 0.')
    elif callable(rate):
        raise ParameterError(
            f'input "{path}": rate is a function of t, whose largest value is not known. Give '
            "Steps(times, values) or Sampled(values, dt)."
        )
    else:
        most = float(np.max(rate, initial=0.0))
    expected = most * dt * 1e-3
    if expected > MOST_EXPECTED:
        raise ParameterError(
            f'input "{path}": rate {most:g} Hz means {expected:g} spikes per step of {dt:g} ms, '
            f"more than {MOST_EXPECTED:g}. Use a smaller dt, or a current."
        )
    return expected


def to_units(weight: Any, scale: float, accumulator: str, what: str) -> np.ndarray:
    """Weights as numbers of the accumulator.

    Raises:
        WeightError: the largest weight keeps fewer than 8 significant bits.
    """
    values = np.asarray(weight, np.float64)
    if np.issubdtype(accumulator, np.floating):
        return (values * scale).astype(accumulator)
    check_significance(float(largest(values)) * scale, f"{what}: weight")
    return np.rint(values * scale).astype(accumulator)


def check_finite(bound: float, what: str) -> float:
    """The bound, if it is finite."""
    if not math.isfinite(bound):
        raise WeightError(f"{what}: the largest possible input is not finite. Use smaller weights.")
    return bound
