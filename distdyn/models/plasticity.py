"""Rules by which synapses follow spikes: spike-timing dependent plasticity, and short-term."""

import jax.numpy as jnp

from distdyn.core.parameters import param
from distdyn.core.plasticity import Plasticity, ShortTerm, Trace


class STDP(Plasticity):
    """Pairs of spikes: every post spike potentiates, every pre spike depresses.

        post spike:   w = w + A_plus w_max (1 - w / w_max)^mu_plus x,       at most w_max
        pre spike:    w = w - A_minus w_max (w / w_max)^mu_minus y,         at least 0

    mu = 0 is additive (Song, Miller & Abbott 2000), mu = 1 multiplicative (van Rossum, Bi &
    Turrigiano 2000).

    Source: Guetig, Aharonov, Rotter & Sompolinsky (2003), J. Neurosci. 23, 3697.
    """

    A_plus: float = param(0.01, "", "potentiation by a pair, of w_max", nonnegative=True)
    A_minus: float = param(0.0105, "", "depression by a pair, of w_max", nonnegative=True)
    tau_plus: float = param(20.0, "ms", "time constant of potentiation", positive=True)
    tau_minus: float = param(20.0, "ms", "time constant of depression", positive=True)
    mu_plus: float = param(0.0, "", "how potentiation depends on the weight", nonnegative=True)
    mu_minus: float = param(0.0, "", "how depression depends on the weight", nonnegative=True)
    w_max: float = param(100.0, "", "the largest weight, in its own unit", positive=True)
    nearest: bool = param(False, "", "whether spikes pair with the nearest one before alone")

    def pre(self):
        return (Trace(self.tau_plus, self.nearest),)

    def post(self):
        return (Trace(self.tau_minus, self.nearest),)

    def potentiate(self, w, x, y):
        grown = w + self.A_plus * self.w_max * _power(1.0 - w / self.w_max, self.mu_plus) * x[0]
        return jnp.minimum(grown, self.w_max)

    def depress(self, w, x, y):
        shrunk = w - self.A_minus * self.w_max * _power(w / self.w_max, self.mu_minus) * y[0]
        return jnp.maximum(shrunk, 0.0)


class PowerLawSTDP(Plasticity):
    """Potentiation grows with a power of the weight, depression with the weight itself.

        post spike:   w = w + lambda w^mu x
        pre spike:    w = w - lambda alpha w y,         at least 0

    w is in units of 1 pA (nS), so that lambda is too. There is no largest weight; one that grows
    beyond `headroom` times the largest at the start is an error.

    Source: Morrison, Aertsen & Diesmann (2007), Neural Comput. 19, 1437.
    """

    lambda_: float = param(0.1, "", "step of learning", nonnegative=True)
    alpha: float = param(0.0513, "", "depression over potentiation", nonnegative=True)
    mu: float = param(0.4, "", "exponent of potentiation", nonnegative=True)
    tau_plus: float = param(15.0, "ms", "time constant of potentiation", positive=True)
    tau_minus: float = param(30.0, "ms", "time constant of depression", positive=True)
    headroom: float = param(8.0, "", "largest weight over that at the start", positive=True)

    def pre(self):
        return (Trace(self.tau_plus),)

    def post(self):
        return (Trace(self.tau_minus),)

    def potentiate(self, w, x, y):
        return w + self.lambda_ * w**self.mu * x[0]

    def depress(self, w, x, y):
        return jnp.maximum(w - self.lambda_ * self.alpha * w * y[0], 0.0)


class TripletSTDP(Plasticity):
    """Triplets of spikes: potentiation is stronger the more the post cell has fired.

        post spike:   w = w + x1 (A2_plus + A3_plus y2),     at most w_max
        pre spike:    w = w - y1 (A2_minus + A3_minus x2),   at least 0

    The amplitudes are in the unit of the weight; by default those of the minimal all-to-all model
    for visual cortex, for a weight of about 1.

    Source: Pfister & Gerstner (2006), J. Neurosci. 26, 9673.
    """

    A2_plus: float = param(0.0, "", "potentiation by pairs", nonnegative=True)
    A3_plus: float = param(6.5e-3, "", "potentiation by triplets", nonnegative=True)
    A2_minus: float = param(7.1e-3, "", "depression by pairs", nonnegative=True)
    A3_minus: float = param(0.0, "", "depression by triplets", nonnegative=True)
    tau_plus: float = param(16.8, "ms", "of x1", positive=True)
    tau_x: float = param(101.0, "ms", "of x2", positive=True)
    tau_minus: float = param(33.7, "ms", "of y1", positive=True)
    tau_y: float = param(114.0, "ms", "of y2", positive=True)
    w_max: float = param(100.0, "", "the largest weight, in its own unit", positive=True)

    def pre(self):
        return Trace(self.tau_plus), Trace(self.tau_x)

    def post(self):
        return Trace(self.tau_minus), Trace(self.tau_y)

    def potentiate(self, w, x, y):
        return jnp.minimum(w + x[0] * (self.A2_plus + self.A3_plus * y[1]), self.w_max)

    def depress(self, w, x, y):
        return jnp.maximum(w - y[0] * (self.A2_minus + self.A3_minus * x[1]), 0.0)


class TsodyksMarkram(ShortTerm):
    """Depression by used resources x, facilitation by a growing share u of them.

        x' = (1 - x) / tau_d,   u' = -u / tau_f
        spike:   u = u + U (1 - u),   amplitude u x,   x = x - u x

    tau_f = 0 is depression alone: u = U at each spike; tau_d = 0 facilitation alone.

    Source: Tsodyks, Pawelzik & Markram (1998), Neural Comput. 10, 821; Maass & Markram (2002),
    Neural Netw. 15, 155, for the order of u and x, which is also NEST's in `tsodyks2_synapse`.
    """

    U: float = param(0.5, "", "share of the resources that a first spike uses", nonnegative=True)
    tau_d: float = param(800.0, "ms", "recovery of resources", nonnegative=True)
    tau_f: float = param(0.0, "ms", "decay of facilitation", nonnegative=True)

    def init(self):
        """No resource is used, and none facilitated."""
        return 0.0, 1.0

    def spike(self, state, elapsed):
        u, x = state  # just after the spike before: x without what it used
        x = 1.0 + (x - 1.0) * _decay(elapsed, self.tau_d)
        u = u * _decay(elapsed, self.tau_f)
        u = u + self.U * (1.0 - u)
        return (u, x - u * x), u * x


def _decay(elapsed, tau):
    return jnp.exp(-elapsed / tau) if tau > 0 else 0.0


def _power(base, exponent):
    """Base^exponent; 1 and the base itself without a call of the library."""
    if exponent == 0.0:
        return 1.0
    return base if exponent == 1.0 else base**exponent
