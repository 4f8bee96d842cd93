"""Profiles: functions of distance by name, for `DistanceDependent` and `ByDistance`.

    dd.DistanceDependent(dd.profiles.Gaussian(sigma=200.), cutoff=600.)

Any function of an array of distances (um) is one; these know besides how far they reach.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import log, sqrt

import numpy as np

from distdyn.errors import ParameterError
from distdyn.units import real, shown

LEAST = 2.0**-63  # no draw shows a probability below: it is compared with 62 bits


class AbstractProfile(ABC):
    """A function of distance that is zero, as a probability, from some distance on."""

    @property
    @abstractmethod
    def reach(self) -> float:
        """A distance (um) beyond which its values are below 2^-63."""

    @abstractmethod
    def __call__(self, distance: np.ndarray) -> np.ndarray:
        """The value at each distance (um)."""


@dataclass(frozen=True)
class Gaussian(AbstractProfile):
    """peak exp(-d^2 / (2 sigma^2)).

    Args:
        sigma: um, > 0.
        peak: the value at the distance 0.
    """

    sigma: float
    peak: float = 1.0

    def __post_init__(self):
        _check(self, positive=("sigma",))

    @property
    def reach(self) -> float:
        return self.sigma * sqrt(2 * max(0.0, log(max(self.peak, LEAST) / LEAST)))

    def __call__(self, distance: np.ndarray) -> np.ndarray:
        return self.peak * np.exp(-0.5 * np.square(distance / self.sigma))


@dataclass(frozen=True)
class Exponential(AbstractProfile):
    """peak exp(-d / scale).

    Args:
        scale: um, > 0.
        peak: the value at the distance 0.
    """

    scale: float
    peak: float = 1.0

    def __post_init__(self):
        _check(self, positive=("scale",))

    @property
    def reach(self) -> float:
        return self.scale * max(0.0, log(max(self.peak, LEAST) / LEAST))

    def __call__(self, distance: np.ndarray) -> np.ndarray:
        return self.peak * np.exp(-distance / self.scale)


@dataclass(frozen=True)
class MexicanHat(AbstractProfile):
    """A difference of Gaussians: peak exp(-d^2 / (2 s_1^2)) - trough exp(-d^2 / (2 s_2^2)).

    Where it is negative, a probability is zero; so with s_1 < s_2 it connects the near, and with
    `-peak`, `-trough` the ring of those that are farther.

    Args:
        sigma: s_1, um, > 0.
        sigma_trough: s_2, um, > 0.
        peak: the height of the first.
        trough: that of the second.
    """

    sigma: float
    sigma_trough: float
    peak: float = 1.0
    trough: float = 0.5

    def __post_init__(self):
        _check(self, positive=("sigma", "sigma_trough"))

    @property
    def reach(self) -> float:
        both = abs(self.peak) + abs(self.trough)
        return max(Gaussian(s, both).reach for s in (self.sigma, self.sigma_trough))

    def __call__(self, distance: np.ndarray) -> np.ndarray:
        near, far = (
            np.exp(-0.5 * np.square(distance / s)) for s in (self.sigma, self.sigma_trough)
        )
        return self.peak * near - self.trough * far


def _check(profile: AbstractProfile, positive: tuple[str, ...]) -> None:
    for name, value in list(vars(profile).items()):
        what = f"{type(profile).__name__}: {name}"
        number = real(value, what)
        is_number = isinstance(number, float) and np.isfinite(number)
        if not is_number or (name in positive and number <= 0):
            sign = " > 0" if name in positive else ""
            raise ParameterError(
                f"{what} = {shown(value)} is not possible. Give a finite number{sign}."
            )
        vars(profile)[name] = number
