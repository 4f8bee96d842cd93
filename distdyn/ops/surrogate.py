"""Surrogate derivatives of the spike function, by the names of the literature.

    spike(v) = 1 if v >= 0 else 0,        d spike / dv := g(v)

    spikes = surrogate.Sigmoid(alpha=4.0)(v)

v is the distance of a membrane potential from its threshold, in whatever unit its author scales
it to; the parameters of g are in (or per) that unit. Every class is one g, with the parameters of
its paper as defaults where the paper fixes them. What a class does not say otherwise holds for
all: g is even, positive and finite for every v (+-inf too; 0 there by underflow at most), and its
parameters are above 0. `is_step` says that g integrates to 1.

A g of one's own is a frozen dataclass with a `derivative`:

    @dataclass(frozen=True)
    class Cosine(Surrogate):
        width: float = 1.0

        def derivative(self, v):
            return jnp.where(abs(v) < self.width, jnp.cos(v * (math.pi / 2 / self.width)), 0.0)
"""

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from distdyn.ops.spike import ABOVE_1, AT_LEAST_0, COUNT, EVERYWHERE, within
from distdyn.ops.spike import Surrogate as Surrogate


def _squarable(x: Any) -> Any:
    """X, but for what is so large that its square is inf anyway: then derivatives stay finite."""
    most = float(jnp.finfo(jnp.result_type(x)).max)
    bound = min(1e3 * math.sqrt(most), most / 4)
    return jnp.clip(x, -bound, bound)


def _bell(x: Any) -> Any:
    """Return exp(-x^2 / 2)."""
    return jnp.exp(-0.5 * jnp.square(_squarable(x)))


def _normal(v: Any, mean: float, sd: float) -> Any:
    """The density of a normal distribution."""
    return _bell((v - mean) / sd) / (sd * math.sqrt(2 * math.pi))


def _hyperbola(v: Any, steepness: float) -> Any:
    """Return 1 / (1 + steepness |v|)."""
    return 1.0 / (1.0 + jnp.abs(_squarable(v)) * steepness)


def _triangle(v: Any, width: float) -> Any:
    """max(0, width - |v|): by a difference, which is exact at the ends as a quotient is not."""
    return jnp.maximum(width - jnp.abs(v), 0.0)


def _either(condition: Any, yes: float, no: float, v: Any) -> Any:
    """One of two numbers, in the dtype of v."""
    return jnp.where(condition, yes, no).astype(jnp.result_type(v))


@dataclass(frozen=True)
class Sigmoid(Surrogate):
    """Logistic function: g = alpha s (1 - s), s = 1 / (1 + exp(-alpha v)); integral 1.

    Source: Zenke & Vogels (2021), Neural Comput. 33, 899 (sigmoid').
    """

    alpha: float = 4.0
    is_step = True

    def derivative(self, v: Any) -> Any:
        x = self.alpha * _squarable(v)
        return self.alpha * jax.nn.sigmoid(x) * jax.nn.sigmoid(-x)


@dataclass(frozen=True)
class PiecewiseQuadratic(Surrogate):
    """A step of two parabolas: g = alpha max(0, 1 - alpha |v|); integral 1.

    Support: |v| < 1 / alpha.

    Source: Esser et al. (2016), PNAS 113, 11441.
    """

    alpha: float = 1.0
    is_step = True

    def derivative(self, v: Any) -> Any:
        return self.alpha**2 * _triangle(v, 1.0 / self.alpha)

    @property
    def support(self) -> tuple[float, float]:
        return -1.0 / self.alpha, 1.0 / self.alpha


@dataclass(frozen=True)
class PiecewiseExponential(Surrogate):
    """A step of two exponentials: g = alpha / 2 exp(-alpha |v|); integral 1.

    Source: Shrestha & Orchard (2018), NeurIPS 31 (their window, normalised).
    """

    alpha: float = 1.0
    is_step = True

    def derivative(self, v: Any) -> Any:
        return self.alpha / 2 * jnp.exp(-self.alpha * jnp.abs(_squarable(v)))


@dataclass(frozen=True)
class SoftSign(Surrogate):
    """Fast sigmoid: g = alpha / (2 (1 + alpha |v|)^2); integral 1.

    The derivative of (1 + x / (1 + |x|)) / 2, x = alpha v.

    Source: Neftci, Mostafa & Zenke (2019), IEEE Signal Process. Mag. 36(6), 51.
    """

    alpha: float = 1.0
    is_step = True

    def derivative(self, v: Any) -> Any:
        return self.alpha / 2 * jnp.square(_hyperbola(v, self.alpha))


@dataclass(frozen=True)
class Arctan(Surrogate):
    """Inverse tangent: g = alpha / (2 (1 + (pi alpha v / 2)^2)); integral 1.

    Source: Fang et al. (2021), ICCV, 2661; there alpha = 2.
    """

    alpha: float = 2.0
    is_step = True

    def derivative(self, v: Any) -> Any:
        x = _squarable(math.pi / 2 * self.alpha * _squarable(v))
        return self.alpha / 2 / (1.0 + jnp.square(x))


@dataclass(frozen=True)
class NonzeroSignLog(Surrogate):
    """The derivative of sign(v) log(1 + alpha |v|): g = alpha / (1 + alpha |v|); integral inf.

    Source: Fang et al. (2023), Sci. Adv. 9, eadi1480 (SpikingJelly).
    """

    alpha: float = 1.0

    def derivative(self, v: Any) -> Any:
        return self.alpha * _hyperbola(v, self.alpha)


@dataclass(frozen=True)
class ERF(Surrogate):
    """Error function: g = alpha / sqrt(pi) exp(-(alpha v)^2); integral 1.

    A `Gaussian` of standard deviation 1 / (alpha sqrt(2)).

    Source: Esser et al. (2015), NeurIPS 28; Wu et al. (2018), Front. Neurosci. 12, 331 (h4).
    """

    alpha: float = 1.0
    is_step = True

    def derivative(self, v: Any) -> Any:
        return _normal(v, 0.0, 1.0 / (self.alpha * math.sqrt(2)))


@dataclass(frozen=True)
class PiecewiseLeakyReLU(Surrogate):
    """A rectangle: g = 1 / (2 width) for |v| < width, else leak; integral 1 if leak = 0, else inf.

    Support: |v| < width if leak = 0.

    Source: Wu et al. (2018), Front. Neurosci. 12, 331 (h1, a1 = 2 width); leak: Fang et al.
    (2023), Sci. Adv. 9, eadi1480.
    """

    width: float = 1.0
    leak: float = within(AT_LEAST_0, 0.01)

    def derivative(self, v: Any) -> Any:
        return _either(jnp.abs(v) < self.width, 0.5 / self.width, self.leak, v)

    @property
    def support(self) -> tuple[float, float]:
        return EVERYWHERE if self.leak else (-self.width, self.width)


@dataclass(frozen=True)
class SquarewaveFourier(Surrogate):
    """First n terms of a square wave: g = 4 / period sum_{i=1..n} cos((2 i - 1) 2 pi v / period).

    Periodic, with negative parts and without an integral; 0 at v = +-inf.

    Source: Fang et al. (2023), Sci. Adv. 9, eadi1480 (SpikingJelly).
    """

    n: int = within(COUNT, 2)
    period: float = 8.0

    def derivative(self, v: Any) -> Any:
        is_finite = jnp.isfinite(v)
        angle = 2 * math.pi / self.period * jnp.where(is_finite, v, 0.0)
        waves = sum(jnp.cos((2 * i - 1) * _squarable(angle)) for i in range(1, self.n + 1))
        return jnp.where(is_finite, 4 / self.period * waves, 0.0)


@dataclass(frozen=True)
class S2NN(Surrogate):
    """Logistic below, logarithmic above: g = alpha s (1 - s), v < 0; beta / (1 + v), v >= 0.

    s = 1 / (1 + exp(-alpha v)). Not even; integral inf.

    Source: Suetake et al. (2023), Neural Netw. 159, 208 (S3NN).
    """

    alpha: float = 4.0
    beta: float = 1.0

    def derivative(self, v: Any) -> Any:
        below = Sigmoid(self.alpha).derivative(v)
        return jnp.where(v < 0, below, self.beta * _hyperbola(jnp.maximum(v, 0.0), 1.0))


@dataclass(frozen=True)
class QPseudo(Surrogate):
    """A tail of chosen weight: g = (1 + 2 |v| / (alpha - 1))^(-alpha), alpha > 1; integral 1.

    Source: Herranz-Celotti & Rouat (2022), arXiv:2202.00282 (q-PseudoSpike).
    """

    alpha: float = within(ABOVE_1, 2.0)
    is_step = True

    def derivative(self, v: Any) -> Any:
        return jnp.power(_hyperbola(v, 2.0 / (self.alpha - 1.0)), self.alpha)


@dataclass(frozen=True)
class LeakyReLU(Surrogate):
    """Two slopes: g = alpha for v < 0, beta for v >= 0. Not even; integral inf.

    Source: Maas, Hannun & Ng (2013), ICML workshop on deep learning for audio.
    """

    alpha: float = within(AT_LEAST_0, 0.1)
    beta: float = 1.0

    def derivative(self, v: Any) -> Any:
        return _either(jnp.greater_equal(v, 0), self.beta, self.alpha, v)


@dataclass(frozen=True)
class LogTailedReLU(Surrogate):
    """Linear, then logarithmic: g = alpha for v <= 0, 1 for 0 < v <= 1, 1 / v beyond.

    Not even; integral inf. Support: v > 0 if alpha = 0.

    Source: Cai et al. (2017), CVPR, 5918.
    """

    alpha: float = within(AT_LEAST_0, 0.0)

    def derivative(self, v: Any) -> Any:
        return jnp.where(v > 0, 1.0 / jnp.maximum(_squarable(v), 1.0), self.alpha)

    @property
    def support(self) -> tuple[float, float]:
        return EVERYWHERE if self.alpha else (0.0, math.inf)


@dataclass(frozen=True)
class ReLU(Surrogate):
    """A triangle: g = alpha max(0, width - |v|); integral alpha width^2.

    Support: |v| < width. alpha is the factor by which e-prop damps; v there is
    (V - V_th) / V_th.

    Source: Bellec et al. (2018), NeurIPS 31; (2020), Nat. Commun. 11, 3625.
    """

    alpha: float = 0.3
    width: float = 1.0

    def derivative(self, v: Any) -> Any:
        return self.alpha * _triangle(v, self.width)

    @property
    def support(self) -> tuple[float, float]:
        return -self.width, self.width


@dataclass(frozen=True)
class Gaussian(Surrogate):
    """A normal density: g = exp(-v^2 / (2 sigma^2)) / (sigma sqrt(2 pi)); integral 1.

    Source: Yin, Corradi & Bohté (2021), Nat. Mach. Intell. 3, 905.
    """

    sigma: float = 0.5
    is_step = True

    def derivative(self, v: Any) -> Any:
        return _normal(v, 0.0, self.sigma)


@dataclass(frozen=True)
class MultiGaussian(Surrogate):
    """Three normal densities, negative at the flanks; integral scale (1 - h).

        g = scale ((1 + h) N(v | 0, sigma) - h N(v | sigma, s sigma) - h N(v | -sigma, s sigma))

    N(v | mean, standard deviation); g changes sign twice.

    Source: Yin, Corradi & Bohté (2021), Nat. Mach. Intell. 3, 905.
    """

    h: float = within(AT_LEAST_0, 0.15)
    s: float = 6.0
    sigma: float = 0.5
    scale: float = 1.0

    def derivative(self, v: Any) -> Any:
        flanks = sum(_normal(v, mean, self.s * self.sigma) for mean in (self.sigma, -self.sigma))
        return self.scale * ((1 + self.h) * _normal(v, 0.0, self.sigma) - self.h * flanks)


@dataclass(frozen=True)
class SuperSpike(Surrogate):
    """Fast sigmoid, not normalised: g = 1 / (1 + beta |v|)^2; integral 2 / beta.

    Source: Zenke & Ganguli (2018), Neural Comput. 30, 1514; beta = 10 for v in units of the
    threshold: Zenke & Vogels (2021), Neural Comput. 33, 899.
    """

    beta: float = 10.0

    def derivative(self, v: Any) -> Any:
        return jnp.square(_hyperbola(v, self.beta))


@dataclass(frozen=True)
class InverseSquare(Surrogate):
    """`SuperSpike` by its other name, and as steep as with it: g = 1 / (1 + alpha |v|)^2.

    Integral 2 / alpha.

    Source: Zenke & Ganguli (2018), Neural Comput. 30, 1514.
    """

    alpha: float = 100.0

    def derivative(self, v: Any) -> Any:
        return jnp.square(_hyperbola(v, self.alpha))


@dataclass(frozen=True)
class Slayer(Surrogate):
    """Density of a spike changing state: g = exp(-beta |v|) / alpha; integral 2 / (alpha beta).

    Source: Shrestha & Orchard (2018), NeurIPS 31.
    """

    alpha: float = 1.0
    beta: float = 1.0

    def derivative(self, v: Any) -> Any:
        return jnp.exp(-self.beta * jnp.abs(_squarable(v))) / self.alpha
