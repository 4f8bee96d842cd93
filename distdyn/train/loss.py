"""Losses: what training makes small, as a function of what is watched and of what is wanted.

    loss = dd.loss.cross_entropy("out.V") + 0.1 * dd.loss.rate("E.spikes", 10.)

A loss names the variables that it watches, and gives one number per trial; of those the mean is
trained. Sums and multiples of losses are losses. Where losses want different targets, the target of
a batch is a dict, and each takes what has its key:

    dd.loss.mse("out.V", key="trace") + dd.loss.cross_entropy("choice.V", key="label")

One of one's own is a `Loss` of the variables and a function of (outputs, target, dt).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from distdyn.errors import ParameterError, TrainError
from distdyn.units import real, shown

Outputs = Mapping[str, Float[Array, "trial step neuron"]]
Over = Literal["mean", "max", "last", "sum"]

_OVER: dict[str, Callable[[Any], Any]] = {
    "mean": lambda x: x.mean(axis=1),
    "max": lambda x: x.max(axis=1),
    "last": lambda x: x[:, -1],
    "sum": lambda x: x.sum(axis=1),
}


@dataclass(frozen=True)
class Loss:
    """A loss.

    Attributes:
        watch: the variables, as `"out.V"`.
        value: `value(outputs, target, dt)`: one number per trial.
        accuracy: the same of 1. where a trial is right and 0. where it is not; None: it is not
            asked.
        check: `check(widths, target)` raises TrainError unless the target of a batch fits; widths
            are the numbers of neurons of what is watched, by name. None: any does.
    """

    watch: tuple[str, ...]
    value: Callable[[Outputs, Any, float], Float[Array, " trial"]]
    accuracy: Callable[[Outputs, Any, float], Float[Array, " trial"]] | None = None
    check: Callable[[Mapping[str, int], Any], None] | None = None

    def __add__(self, other: "Loss") -> "Loss":
        if not isinstance(other, Loss):
            return NotImplemented
        return Loss(
            tuple(dict.fromkeys((*self.watch, *other.watch))),
            lambda *x: self.value(*x) + other.value(*x),
            self.accuracy or other.accuracy,
            _each_of(self.check, other.check),
        )

    def __mul__(self, factor: float) -> "Loss":
        if isinstance(factor, Loss):
            return NotImplemented
        by = float(np.float64(real(factor, "Loss: factor")))
        return Loss(self.watch, lambda *x: by * self.value(*x), self.accuracy, self.check)

    __rmul__ = __mul__


def cross_entropy(
    name: str, *, over: Over | None = None, last: float | None = None, key: str | None = None
) -> Loss:
    """Classes by the units of a population: softmax of what each has done in a trial.

        L = -log(exp(y_c) / sum_k exp(y_k)),    c the class of the trial

    Args:
        name: `"out.V"` or `"out.spikes"`.
        over: what y is over the steps of a trial: "mean", "max", "last" or "sum"; None: "sum" of
            spikes, "mean" of anything else.
        last: how much of the end of a trial counts, ms; None: all of it.
        key: of the target: int[trial], the class of each trial.
    """
    whole = _over(over or ("sum" if _is_spikes(name) else "mean"), "cross_entropy")
    end = None if last is None else _positive(last, "cross_entropy: last")

    def reduce(x: Any, dt: float) -> Any:
        return whole(x if end is None else x[:, -max(1, round(end / dt)) :])

    def value(outputs: Outputs, target: Any, dt: float) -> Any:
        return _entropy(reduce(outputs[name], dt), _labels(target, key))

    def accuracy(outputs: Outputs, target: Any, dt: float) -> Any:
        return _is_right(reduce(outputs[name], dt), _labels(target, key))

    return Loss((name,), value, accuracy, _classes_of(name, key))


def latency(name: str, *, tau: float = 10.0, key: str | None = None) -> Loss:
    """Classes by who spikes first: cross-entropy of y = sum of exp(-t / tau) over the spikes.

    Args:
        name: `"out.spikes"`.
        tau: in ms; the shorter, the more the first spike counts alone.
        key: of the target: int[trial].
    """
    tau = _positive(tau, "latency: tau")

    def score(outputs: Outputs, dt: float) -> Any:
        spikes = outputs[name]
        weight = np.exp(-dt * np.arange(spikes.shape[1]) / tau)
        return (spikes * weight[:, None].astype(spikes.dtype)).sum(axis=1)

    return Loss(
        (name,),
        lambda outputs, target, dt: _entropy(score(outputs, dt), _labels(target, key)),
        lambda outputs, target, dt: _is_right(score(outputs, dt), _labels(target, key)),
        _classes_of(name, key),
    )


def spike_count(name: str, right: float, wrong: float, *, key: str | None = None) -> Loss:
    """Classes by counts: mean of (n_k - wanted_k)^2 over the units, in spikes per trial.

    Args:
        name: `"out.spikes"`.
        right: the spikes that the unit of the class shall have.
        wrong: those of the others.
        key: of the target: int[trial].

    Source: Shrestha & Orchard (2018), NeurIPS 31.
    """

    def value(outputs: Outputs, target: Any, dt: float) -> Any:
        count = outputs[name].sum(axis=1)
        is_right = jax.nn.one_hot(_labels(target, key), count.shape[1], dtype=count.dtype)
        return jnp.square(count - wrong - (right - wrong) * is_right).mean(axis=1)

    def accuracy(outputs: Outputs, target: Any, dt: float) -> Any:
        return _is_right(outputs[name].sum(axis=1), _labels(target, key))

    return Loss((name,), value, accuracy, _classes_of(name, key))


def mse(name: str, *, key: str | None = None) -> Loss:
    """The mean square difference to a course that is wanted.

    Args:
        name: such as `"out.V"`.
        key: of the target: float[trial, step, neuron]; a NaN is a step that is not looked at.
    """

    def value(outputs: Outputs, target: Any, dt: float) -> Any:
        y, wanted = outputs[name], _part(target, key)
        if jnp.shape(wanted) != y.shape:
            raise TrainError(
                f"mse: the target has shape {list(jnp.shape(wanted))}, but {name} "
                f"{list(y.shape)}. Give [trial, step, neuron]."
            )
        is_wanted = ~jnp.isnan(wanted)
        apart = jnp.where(is_wanted, y - jnp.where(is_wanted, wanted, 0.0).astype(y.dtype), 0.0)
        n = jnp.maximum(is_wanted.sum(axis=(1, 2)), 1)
        return jnp.square(apart).sum(axis=(1, 2)) / n.astype(y.dtype)

    return Loss((name,), value)


def van_rossum(name: str, *, tau: float = 20.0, key: str | None = None) -> Loss:
    """The distance of spike trains: 1 / tau times the integral of (f - g)^2, mean over neurons.

    f and g are the trains that were fired and that are wanted, each spike a falling exponential.

    Args:
        name: `"out.spikes"`.
        tau: of the exponential, ms.
        key: of the target: bool[trial, step, neuron].

    Source: van Rossum (2001), Neural Comput. 13, 751.
    """
    tau = _positive(tau, "van_rossum: tau")

    def value(outputs: Outputs, target: Any, dt: float) -> Any:
        apart = outputs[name] - jnp.asarray(_part(target, key)).astype(outputs[name].dtype)
        left = apart.dtype.type(np.exp(-dt / tau))

        def filtered(x: Any, of_step: Any) -> Any:
            x = left * x + of_step
            return x, jnp.square(x)

        start = jnp.zeros_like(apart[:, 0])
        _, squares = jax.lax.scan(filtered, start, jnp.moveaxis(apart, 1, 0))
        return squares.sum(axis=0).mean(axis=1) * (dt / tau)

    return Loss((name,), value)


def rate(name: str, low: float, high: float | None = None) -> Loss:
    """How far the rate of each neuron lies outside of a range, squared, in (Hz)^2: mean over them.

    Args:
        name: `"E.spikes"`.
        low: Hz.
        high: Hz; None: the same, the one rate that all shall have.
    """
    top = low if high is None else high

    def value(outputs: Outputs, target: Any, dt: float) -> Any:
        spikes = outputs[name]
        hz = spikes.sum(axis=1) * (1e3 / (dt * spikes.shape[1]))
        return (
            jnp.square(jnp.maximum(low - hz, 0.0)) + jnp.square(jnp.maximum(hz - top, 0.0))
        ).mean(axis=1)

    return Loss((name,), value)


def _entropy(y: Any, label: Int[Array, " trial"]) -> Any:
    return optax.softmax_cross_entropy_with_integer_labels(y, label)


def _is_right(y: Any, label: Any) -> Any:
    return (y.argmax(axis=1) == label).astype(y.dtype)


def _labels(target: Any, key: str | None) -> Any:
    label = jnp.asarray(_part(target, key))
    if label.ndim != 1 or not jnp.issubdtype(label.dtype, jnp.integer):
        raise TrainError(
            f"loss: the target has shape {list(label.shape)} and type {label.dtype}. Give the "
            "class of each trial, int[trial]."
        )
    return label


def _classes_of(name: str, key: str | None) -> Callable[[Mapping[str, int], Any], None]:
    """The check that each trial has a class, and each class a unit."""

    def check(widths: Mapping[str, int], target: Any) -> None:
        label, n = np.asarray(_part(target, key)), widths[name]
        if label.size and np.issubdtype(label.dtype, np.integer):
            if label.min() < 0 or label.max() >= n:
                raise TrainError(
                    f"loss: classes from {label.min()} to {label.max()}, but {name} has {n} units. "
                    f"Give classes from 0 to {n - 1}."
                )

    return check


def _each_of(*checks: Any) -> Any:
    """Those that there are, one after the other."""

    def check(widths: Mapping[str, int], target: Any) -> None:
        for of in filter(None, checks):
            of(widths, target)

    return check


def _part(target: Any, key: str | None) -> Any:
    if key is None:
        return target
    if not isinstance(target, Mapping) or key not in target:
        raise TrainError(f'loss: the target has no "{key}". Give a dict that has it.')
    return target[key]


def _is_spikes(name: str) -> bool:
    return name.rpartition(".")[2] == "spikes"


def _over(over: str, what: str) -> Callable[[Any], Any]:
    if over not in _OVER:
        raise ParameterError(f"{what}: over = {shown(over)}. Use one of {', '.join(_OVER)}.")
    return _OVER[over]


def _positive(value: Any, what: str) -> float:
    number = float(np.float64(real(value, what)))
    if not 0 < number < np.inf:
        raise ParameterError(f"{what} = {shown(value)} is not possible. Give a number > 0.")
    return number
