"""What is measured of a model while it runs: sums that go along, in place of a trajectory.

A `Fold` is three functions: what to begin with, what a step adds, and what it comes to. All are
traced, for one point; numbers at the end are named.

    Fold(begin=lambda state: state.V, add=lambda V, t, state, spike: jnp.maximum(V, state.V),
         end=lambda V, duration: {"peak": V})
"""

from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

import jax.numpy as jnp

from distdyn.core.cell import Cell
from distdyn.core.system import state_fields
from distdyn.errors import AnalysisError, suggestion


class Fold(NamedTuple):
    """A measure that needs no trajectory.

    Attributes:
        begin: from the State before the first step to what is carried along: any pytree of arrays.
        add: from that, the time (ms) and the State after a step, and whether the cell spiked in it,
            to the same after the step.
        end: from that and the duration (ms) to numbers by name.
    """

    begin: Callable[[Any], Any]
    add: Callable[[Any, Any, Any, Any], Any]
    end: Callable[[Any, float], dict[str, Any]]


class _Times(NamedTuple):
    """Sums over the intervals between spikes."""

    count: Any  # of spikes
    last: Any  # time of the last one, ms
    mean: Any  # of the intervals
    squares: Any  # sum of squared deviations from the mean


def rate(cell: Cell) -> Fold:
    """Spikes per second: `rate`, Hz."""

    def add(count: Any, t: Any, state: Any, spike: Any) -> Any:
        return count + spike

    return Fold(
        lambda state: jnp.zeros((), jnp.int64),
        add,
        lambda count, duration: {"rate": count / duration * 1e3},
    )


def cv(cell: Cell) -> Fold:
    """The coefficient of variation of the intervals between spikes: `cv`; NaN of fewer than two."""

    def begin(state: Any) -> _Times:
        zero = jnp.zeros(())
        return _Times(jnp.zeros((), jnp.int64), zero, zero, zero)

    def add(sums: _Times, t: Any, state: Any, spike: Any) -> _Times:
        # Welford (1962), Technometrics 4, 419: no difference of large sums.
        intervals = jnp.maximum(sums.count, 1)
        deviation = (t - sums.last) - sums.mean
        mean = sums.mean + deviation / intervals
        squares = sums.squares + deviation * ((t - sums.last) - mean)
        is_interval = spike & (sums.count > 0)
        return _Times(
            sums.count + spike,
            jnp.where(spike, t, sums.last),
            jnp.where(is_interval, mean, sums.mean),
            jnp.where(is_interval, squares, sums.squares),
        )

    def end(sums: _Times, duration: float) -> dict[str, Any]:
        n = sums.count - 1
        deviation = jnp.sqrt(sums.squares / jnp.maximum(n, 1)) / sums.mean
        return {"cv": jnp.where(n >= 2, deviation, jnp.nan)}

    return Fold(begin, add, end)


def _of_states(name: str, begin: Callable, add: Callable, end: Callable) -> Callable[[Cell], Fold]:
    """The same of each state variable: `V.mean`, `INa.m.mean`."""

    def of(cell: Cell) -> Fold:
        paths = state_fields(cell.neuron)

        def each(state: Any) -> list[Any]:
            return [reduce(getattr, path.split("."), state) for path in paths]

        def last(sums: list[Any], duration: float) -> dict[str, Any]:
            return {f"{path}.{name}": end(x) for path, x in zip(paths, sums, strict=True)}

        return Fold(
            lambda state: [begin(x) for x in each(state)],
            lambda sums, t, state, spike: [
                add(a, x) for a, x in zip(sums, each(state), strict=True)
            ],
            last,
        )

    return of


def _welford(sums: tuple[Any, Any, Any], x: Any) -> tuple[Any, Any, Any]:
    count, mean, squares = sums
    count = count + 1
    new = mean + (x - mean) / count
    return count, new, squares + (x - mean) * (x - new)


def _nothing(x: Any) -> tuple[Any, Any, Any]:
    zero = jnp.zeros(jnp.shape(x))
    return jnp.zeros((), jnp.int64), zero, zero


NAMED: dict[str, Callable[[Cell], Fold]] = {
    "rate": rate,
    "cv": cv,
    "final": _of_states("final", lambda x: x, lambda _, x: x, lambda x: x),
    "mean": _of_states("mean", _nothing, _welford, lambda s: s[1]),
    "std": _of_states("std", _nothing, _welford, lambda s: jnp.sqrt(s[2] / s[0])),
    "min": _of_states("min", lambda x: jnp.full_like(x, jnp.inf), jnp.minimum, lambda x: x),
    "max": _of_states("max", lambda x: jnp.full_like(x, -jnp.inf), jnp.maximum, lambda x: x),
}
SPIKING = {"rate", "cv"}


def fold_of(measure: Any, cell: Cell) -> Fold:
    """The fold of a name, or the one that was given.

    Raises:
        AnalysisError: there is none of this name, or it is of spikes that the model has not.
    """
    if isinstance(measure, Fold):
        return measure
    if measure not in NAMED:
        raise AnalysisError(f'measure "{measure}" is unknown. {suggestion(measure, NAMED)}')
    if measure in SPIKING and not cell.is_spiking:
        raise AnalysisError(
            f'measure "{measure}": {type(cell.neuron).__name__} has no V_th and never spikes. Use '
            f"another of {', '.join(NAMED)}, or a function of the trajectory."
        )
    return NAMED[measure](cell)
