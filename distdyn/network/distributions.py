"""Distributions: values that are drawn per neuron or per synapse, described by a few numbers.

`low` and `high` mean "draw again until it fits", which is the truncated distribution; it is drawn
directly, through its quantile function, so that one uniform number makes one value.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from distdyn.errors import ParameterError
from distdyn.random import uniform
from distdyn.units import real, shown

_LEAST, _MOST = 2.0**-54, 1 - 2.0**-53  # the ends of the uniform numbers of `distdyn.random`
_TINY = float(np.finfo(np.float64).tiny)


class Distribution(ABC):
    """The base of all distributions; one of your own gives `quantile` and `mean`."""

    low: float | None = None
    high: float | None = None

    @abstractmethod
    def quantile(self, u: np.ndarray) -> np.ndarray:
        """The values (float64) below which the parts `u` of all draws lie, 0 < u < 1."""

    @abstractmethod
    def mean(self) -> float:
        """The mean of what is drawn."""

    def draw(self, key: tuple[int, int], ids: np.ndarray) -> np.ndarray:
        """One value (float64) for each id: a function of key and id alone."""
        return self.quantile(uniform(key, ids))

    def extremes(self) -> tuple[float, float]:
        """The smallest and the largest value that `draw` can give: finite, also without limits."""
        low, high = self.quantile(np.array([_LEAST, _MOST]))
        return float(low), float(high)

    def __repr__(self) -> str:
        given = [(name, value) for name, value in vars(self).items() if value is not None]
        words = [
            f"{name}={x:.12g}" if name in ("low", "high") else f"{x:.12g}" for name, x in given
        ]
        return f"{type(self).__name__}({', '.join(words)})"


@dataclass(frozen=True, init=False, repr=False)
class Normal(Distribution):
    """The normal distribution with mean `mu` and standard deviation `sd` >= 0 before the limits."""

    mu: float
    sd: float
    low: float | None
    high: float | None

    def __init__(
        self, mean: float, sd: float, *, low: float | None = None, high: float | None = None
    ):
        vars(self).update(
            mu=_number("Normal: mean", mean),
            sd=_number("Normal: sd", sd, least=0.0),
            low=_limit("Normal: low", low),
            high=_limit("Normal: high", high),
        )
        _check_limits(self)

    def quantile(self, u: np.ndarray) -> np.ndarray:
        return _normal_quantile(np.asarray(u), self.mu, self.sd, *_limits(self))

    def mean(self) -> float:
        low, high = _limits(self)
        if self.sd == 0:
            return self.mu
        a, b = (low - self.mu) / self.sd, (high - self.mu) / self.sd
        shift = (np.exp(-(a**2) / 2) - np.exp(-(b**2) / 2)) / np.sqrt(2 * np.pi) / _mass(a, b)
        return float(np.clip(self.mu + self.sd * shift, low, high))


@dataclass(frozen=True, init=False, repr=False)
class LogNormal(Distribution):
    """exp(x) with x normal, of mean `mu` and standard deviation `sd` (those of the logarithm).

    The median is exp(mu), the mean exp(mu + sd^2 / 2). `low` and `high` limit exp(x) itself.
    """

    mu: float
    sd: float
    low: float | None
    high: float | None

    def __init__(
        self, mean: float, sd: float, *, low: float | None = None, high: float | None = None
    ):
        vars(self).update(
            mu=_number("LogNormal: mean", mean),
            sd=_number("LogNormal: sd", sd, least=0.0),
            low=_limit("LogNormal: low", low),
            high=_limit("LogNormal: high", high, least=_TINY),
        )
        _check_limits(self)

    def quantile(self, u: np.ndarray) -> np.ndarray:
        low, high = _limits(self, floor=0.0)
        x = _normal_quantile(np.asarray(u), self.mu, self.sd, _log(low), _log(high))
        return np.clip(np.exp(x), low, high)

    def mean(self) -> float:
        low, high = _limits(self, floor=0.0)
        if self.sd == 0:
            return float(np.exp(self.mu))
        a, b = (_log(low) - self.mu) / self.sd, (_log(high) - self.mu) / self.sd
        whole = np.exp(self.mu + self.sd**2 / 2)
        return float(np.clip(whole * _mass(a - self.sd, b - self.sd) / _mass(a, b), low, high))


@dataclass(frozen=True, repr=False)
class Uniform(Distribution):
    """Every value from `low` to `high` alike."""

    low: float
    high: float

    def __post_init__(self):
        vars(self).update(
            low=_number("Uniform: low", self.low), high=_number("Uniform: high", self.high)
        )
        _check_limits(self)

    def quantile(self, u: np.ndarray) -> np.ndarray:
        return np.clip(self.low + (self.high - self.low) * np.asarray(u), self.low, self.high)

    def mean(self) -> float:
        return self.low + (self.high - self.low) / 2


@dataclass(frozen=True, init=False, repr=False)
class Exponential(Distribution):
    """The exponential distribution from 0 on, with mean `scale` > 0 before the limits."""

    scale: float
    low: float | None
    high: float | None

    def __init__(self, mean: float, *, low: float | None = None, high: float | None = None):
        vars(self).update(
            scale=_number("Exponential: mean", mean, least=_TINY),
            low=_limit("Exponential: low", low),
            high=_limit("Exponential: high", high, least=_TINY),
        )
        _check_limits(self)

    def quantile(self, u: np.ndarray) -> np.ndarray:
        low, high = _limits(self, floor=0.0)
        part = np.minimum(u, _MOST) * np.expm1((low - high) / self.scale)
        return np.clip(low - self.scale * np.log1p(part), low, high)

    def mean(self) -> float:
        low, high = _limits(self, floor=0.0)
        width = min((high - low) / self.scale, 700.0)  # beyond, exp(width) is beyond float64
        if width < 1e-4:  # the difference below would cancel; the next term is width^4 / 720
            return low + self.scale * (width / 2 - width**2 / 12)
        return float(low + self.scale * (1 - width / np.expm1(width)))


def _number(what: str, value: Any, least: float = -np.inf) -> float:
    number = real(value, what)
    if isinstance(number, np.ndarray) or not (np.isfinite(number) and number >= least):
        domain = {0.0: " >= 0", _TINY: " > 0"}.get(least, "")
        raise ParameterError(
            f"{what} = {shown(value)} is not possible. Give a finite number{domain}."
        )
    return number


def _limit(what: str, value: Any, least: float = -np.inf) -> float | None:
    return None if value is None else _number(what, value, least)


def _limits(distribution: Distribution, floor: float = -np.inf) -> tuple[float, float]:
    low, high = distribution.low, distribution.high
    return floor if low is None else max(low, floor), np.inf if high is None else high


def _check_limits(distribution: Distribution) -> None:
    """Refuse limits that nothing, or nothing finite, lies between."""
    low, high = _limits(distribution)
    if not low < high:
        raise ParameterError(f"{distribution!r}: low is not below high. Exchange or widen them.")
    with np.errstate(all="ignore"):
        possible = np.isfinite([*distribution.extremes(), distribution.mean()]).all()
    if not possible:
        raise ParameterError(f"{distribution!r} has no finite draw within its limits. Widen them.")


def _normal_quantile(u: np.ndarray, mu: float, sd: float, low: float, high: float) -> np.ndarray:
    """The quantiles of a truncated normal; with sd = 0 a constant, NaN if outside the limits."""
    if sd == 0:
        return np.full(np.shape(u), mu if low <= mu <= high else np.nan)
    z = _standard_quantile(u, (low - mu) / sd, (high - mu) / sd)
    return np.clip(mu + sd * z, low, high)


def _standard_quantile(u: np.ndarray, a: float, b: float) -> np.ndarray:
    if a > 0:  # the upper tail, by symmetry: there the distribution function is 1 to the last bit
        return -_standard_quantile(1 - u, -b, -a)
    if _mass(a, b) == 0:
        return np.full(np.shape(u), np.nan)
    from scipy.special import ndtr, ndtri  # here: it would double the time of `import distdyn`

    left = ndtr(a)
    return ndtri(np.clip(left + u * (ndtr(b) - left), _TINY, _MOST))


def _mass(a: float, b: float) -> float:
    """The probability that a standard normal number lies between a and b."""
    from scipy.special import ndtr

    return float(ndtr(-a) - ndtr(-b) if a > 0 else ndtr(b) - ndtr(a))


def _log(limit: float) -> float:
    return float(np.log(limit)) if limit > 0 else -np.inf
