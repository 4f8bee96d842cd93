"""Noise as an input: white noise, Ornstein-Uhlenbeck and Wiener processes.

A signal has no memory, and the value of a process at step k depends on those before. So the process
is not followed from its beginning, but halved: it is drawn at steps that are far apart, then in the
middle between two of them, given both, and again, until step k is reached (Levy's construction).
For a Markov process each of these is one normal number, and the distribution is exact. The number
that belongs to step p is a function of (seed, path, target, p), so that the value at k is a pure
function of k: a run may be split, resumed and cut in any way.

A value costs some 14 normal numbers where tau = 100 dt, and 42 for a Wiener process. Where
thousands of cells each have their own noise, a model with `diffusion` costs one.

Source: Levy (1948), Processus stochastiques et mouvement brownien; of a given step at random access
with counter-based generators, Li et al. (2020), AISTATS, "Scalable gradients for SDEs".
"""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64, Int64

from distdyn.core.signal import Noise, finite
from distdyn.core.system import Tick
from distdyn.errors import ParameterError
from distdyn.ops.normal import Stream, normal_pair

APART = 37.0  # time constants, after which what is left of a correlation is no number: exp(-37)
LONGEST = 40  # a Wiener process is drawn first every 2^40 steps


def _positive(value: Any) -> float:
    if not finite(value, "OU: tau") > 0:
        raise ParameterError(f"OU: tau = {value:g} ms must be > 0.")
    return float(value)


class OU(Noise):
    """An Ornstein-Uhlenbeck process in its stationary state: noise with a correlation time.

        x' = (mean - x) / tau + sigma sqrt(2 / tau) xi,   xi white noise
        var x = sigma^2,   cov(x(t), x(t + s)) = sigma^2 exp(-|s| / tau)

    Exact on the grid, whatever dt / tau is. A current holds its value for a step.

    Args:
        tau: correlation time, in ms.
        sigma: standard deviation, in pA or Hz.
        mean: in pA or Hz.
        shared: whether all targets have the same; by default each has its own.

    Source: Uhlenbeck & Ornstein (1930), Phys. Rev. 36, 823; Gillespie (1996), Phys. Rev. E 54,
    2084.
    """

    tau: float = eqx.field(static=True, converter=_positive)
    sigma: float
    mean: float = 0.0

    def draw(self, tick: Tick, stream: Stream) -> Float[Array, "..."]:
        theta = _dt(tick) / self.tau
        levels = max(0, math.ceil(math.log2(APART / theta)))
        half = theta * 2.0 ** np.arange(levels)  # the distance from a middle to its ends
        unit = _halved(
            stream, tick.step, levels,
            ends=lambda p: _normal(stream, p),
            weight=0.5 / np.cosh(half), spread=np.sqrt(np.tanh(half)),
        )  # fmt: skip
        return self.mean + self.sigma * unit

    def extremes(self) -> tuple[float, float]:
        return (-math.inf, math.inf) if self.sigma else (self.mean, self.mean)


class Wiener(Noise):
    """A Wiener process (Brownian motion) that is 0 at 0 ms; its variance grows with time.

        x(t) = sigma W(t),   var x = sigma^2 t

    As a current it drifts away without limit; noise without a correlation time is `WhiteNoise`.

    Args:
        sigma: standard deviation after 1 ms, in pA per square root of ms.
        shared: whether all targets have the same; by default each has its own.

    Source: Wiener (1923), J. Math. Phys. 2, 131.
    """

    sigma: float

    def draw(self, tick: Tick, stream: Stream) -> Float[Array, "..."]:
        far = math.sqrt(2.0**LONGEST)
        unit = _halved(
            stream, tick.step, LONGEST,
            ends=lambda p: jnp.where(p == 0, 0.0, far * _normal(stream, p)),
            weight=np.full(LONGEST, 0.5), spread=np.sqrt(2.0 ** np.arange(LONGEST) / 2),
        )  # fmt: skip
        return self.sigma * math.sqrt(_dt(tick)) * unit

    def extremes(self) -> tuple[float, float]:
        return (-math.inf, math.inf) if self.sigma else (0.0, 0.0)


class WhiteNoise(Noise):
    """Gaussian white noise: in each step a normal number whose integral does not depend on dt.

        x = mean + sigma z / sqrt(dt),   z normal
        integral of (x - mean) from 0 to t: variance sigma^2 t

    Args:
        sigma: in pA sqrt(ms): the standard deviation of the integral over 1 ms.
        mean: in pA.
        shared: whether all targets have the same; by default each has its own.
    """

    sigma: float
    mean: float = 0.0

    def draw(self, tick: Tick, stream: Stream) -> Float[Array, "..."]:
        return self.mean + self.sigma / math.sqrt(_dt(tick)) * _normal(stream, tick.step)

    def extremes(self) -> tuple[float, float]:
        return (-math.inf, math.inf) if self.sigma else (self.mean, self.mean)


def _halved(
    stream: Stream,
    step: Any,
    levels: int,
    *,
    ends: Callable[[Any], Any],
    weight: Float64[np.ndarray, "levels"],
    spread: Float64[np.ndarray, "levels"],
) -> Float[Array, "..."]:
    """The value at a step of a Markov process that is halved so many times.

        x(middle) = weight[j] (x(left) + x(right)) + spread[j] z(middle),   right - left = 2^(j + 1)

    Args:
        stream: whose numbers.
        step: where.
        levels: the process is drawn first every 2^levels steps.
        ends: the value at such a step.
        weight: of both ends in the value between them.
        spread: standard deviation of that value, given the ends.
    """
    step = jnp.asarray(step, jnp.int64)
    left = (step >> levels) << levels
    bounds = left, ends(left), ends(left + np.int64(1 << levels))
    if not levels:
        return bounds[1]
    tables = jnp.asarray(weight), jnp.asarray(spread)

    def halve(turn: Any, bounds: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
        left, at_left, at_right = bounds
        level = levels - 1 - turn
        middle = left + (jnp.int64(1) << level)
        value = tables[0][level] * (at_left + at_right) + tables[1][level] * _normal(stream, middle)
        is_right = step >= middle
        return (
            jnp.where(is_right, middle, left),
            jnp.where(is_right, value, at_left),
            jnp.where(is_right, at_right, value),
        )

    return jax.lax.fori_loop(np.int64(0), np.int64(levels), halve, bounds)[1]


def _normal(stream: Stream, step: Int64[Array, ""]) -> Float[Array, "..."]:
    return normal_pair(stream, step, 0, np.float64)[0]


def _dt(tick: Tick) -> float:
    return float(tick.dt)
