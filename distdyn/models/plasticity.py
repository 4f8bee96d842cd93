"""Rules by which synapses follow spikes, V and reward: for long; and for short."""

import jax.numpy as jnp

from distdyn.core.parameters import param
from distdyn.core.plasticity import LowPass, Plasticity, ShortTerm, Trace


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


class Clopath(Plasticity):
    """Depression by pre spikes, potentiation while V is high, both by low-passed V.

        pre spike:   w = w - A_LTD [u_minus - theta_minus]+,         at least 0
        always:      w' = A_LTP x [V - theta_plus]+ [u_plus - theta_minus]+,      at most w_max
        x' = -x / tau_x,   x += 1 / tau_x at a pre spike
        u_minus' = (V - u_minus) / tau_minus,   u_plus' = (V - u_plus) / tau_plus

    [z]+ is z where it is positive. u_minus and u_plus are as they were `delay` ago, before the
    spike itself. V of a cell that is reset has no spike: for `t_peak` from one it is taken to be
    `V_peak`; with t_peak = 0, V is as it is. The amplitudes are in the unit of the weight.

    Source: Clopath, Buesing, Vasilaki & Gerstner (2010), Nat. Neurosci. 13, 344, eqs. 1-3, with the
    parameters of visual cortex in its table 1, and constant A_LTD.
    """

    A_LTD: float = param(14e-5, "", "depression by a pre spike and mV", nonnegative=True)
    A_LTP: float = param(8e-5, "", "potentiation, per mV^2", nonnegative=True)
    theta_minus: float = param(-70.6, "mV", "of low-passed V, for any change")
    theta_plus: float = param(-45.3, "mV", "of V, for potentiation")
    tau_x: float = param(15.0, "ms", "time constant of x", positive=True)
    tau_minus: float = param(10.0, "ms", "time constant of u_minus", positive=True)
    tau_plus: float = param(7.0, "ms", "time constant of u_plus", positive=True)
    delay: float = param(5.0, "ms", "how old u_minus and u_plus are", nonnegative=True)
    V_peak: float = param(33.0, "mV", "V during a spike")
    t_peak: float = param(2.0, "ms", "for how long a spike is", nonnegative=True)
    w_max: float = param(100.0, "", "the largest weight, in its own unit", positive=True)

    def pre(self):
        return (Trace(self.tau_x),)

    def post(self):
        return LowPass(self.tau_minus, self.delay), LowPass(self.tau_plus, self.delay)

    # With V of NEST's aeif_psc_delta_clopath at dt = 0.1 ms a weight changes as much as that of its
    # clopath_synapse, up to 0.5 %: there u is integrated together with V, within the step.
    def event(self, V, y):
        return _above(V, self.theta_plus) * _above(y[1], self.theta_minus)

    def potentiate(self, w, x, y):
        *_, amount = y
        return jnp.minimum(w + self.A_LTP / self.tau_x * x[0] * amount, self.w_max)

    def depress(self, w, x, y):
        return jnp.maximum(w - self.A_LTD * _above(y[0], self.theta_minus), 0.0)


class RewardSTDP(Plasticity):
    """Pairs of spikes make a synapse eligible, reward makes it change.

        c' = -c / tau_c + STDP,   n' = -n / tau_n + rewards,   w' = c (n - b)
        post spike:   c = c + A_plus x
        pre spike:    c = c - A_minus y

    Rewards are given between two calls of `run`, or by the `call` of one, and add to n at once:
    `runner["syn"].reward(0.5)`. The weight is held within 0 and w_max where a spike or a reward
    reaches the synapse, and where it is read. c is in the unit of the weight, n and b in 1/ms.

    Source: Izhikevich (2007), Cereb. Cortex 17, 2443. In between it is solved exactly: Potjans,
    Morrison & Diesmann (2010), Front. Comput. Neurosci. 4, 141.
    """

    A_plus: float = param(1.0, "", "eligibility by a pair of pre before post", nonnegative=True)
    A_minus: float = param(1.5, "", "and of post before pre, which takes it", nonnegative=True)
    tau_plus: float = param(20.0, "ms", "time constant of x", positive=True)
    tau_minus: float = param(20.0, "ms", "time constant of y", positive=True)
    tau_c: float = param(1000.0, "ms", "time constant of eligibility", positive=True)
    tau_n: float = param(200.0, "ms", "time constant of reward", positive=True)
    b: float = param(0.0, "", "reward that is expected, per ms")
    w_max: float = param(200.0, "", "the largest weight, in its own unit", positive=True)

    def pre(self):
        return (Trace(self.tau_plus),)

    def post(self):
        return (Trace(self.tau_minus),)

    def synapse(self):
        """Nothing is eligible."""
        return (0.0,)

    def reward(self):
        """How fast n is forgotten."""
        return self.tau_n

    def between(self, w, x, y, r, elapsed):
        """The two integrals in closed form."""
        w, c = w
        tau = 1.0 / (1.0 / self.tau_c + 1.0 / self.tau_n)
        gained = -r * tau * jnp.expm1(-elapsed / tau)
        lost = -self.b * self.tau_c * jnp.expm1(-elapsed / self.tau_c)
        w = jnp.clip(w + c * (gained - lost), 0.0, self.w_max)
        return w, c * jnp.exp(-elapsed / self.tau_c)

    def potentiate(self, w, x, y):
        w, c = w
        return w, c + self.A_plus * x[0]

    def depress(self, w, x, y):
        w, c = w
        return w, c - self.A_minus * y[0]


class Scaling(Plasticity):
    """All synapses onto a cell grow in proportion until it fires as often as it should.

        w' = w (1 - a / rate) / tau_w,       at most w_max
        a' = -a / tau,   a += 1 / tau at a post spike

    Around another rule, `Scaling(STDP(), rate=5.)`, both change the weight; one that follows V is
    not possible. a is the activity since the start: with tau long against that, it is low at first.

    Source: van Rossum, Bi & Turrigiano (2000), J. Neurosci. 20, 8812, without the integral of the
    error: their beta is 1 / (rate tau_w). Turrigiano et al. (1998), Nature 391, 892.
    """

    rule: Plasticity | None = None
    rate: float = param(5.0, "Hz", "of the post cell, at which nothing changes", positive=True)
    tau: float = param(100_000.0, "ms", "time constant of activity", positive=True)
    tau_w: float = param(5_000_000.0, "ms", "how fast a silent cell's weights grow", positive=True)
    w_max: float = param(100.0, "", "the largest weight, in its own unit", positive=True)

    @property
    def event(self):
        """That of the rule inside."""
        return self.rule and self.rule.event

    @property
    def reward(self):
        """That of the rule inside."""
        return self.rule and self.rule.reward

    def pre(self):
        return self.rule.pre() if self.rule else ()

    def post(self):
        return (*(self.rule.post() if self.rule else ()), Trace(self.tau))

    def synapse(self):
        """The variables of the rule inside, and what rounding has left of a change of the weight.

        From spike to spike a weight changes by less than the last digit of single precision.
        """
        return *(self.rule.synapse() if self.rule and self.rule.synapse else ()), 0.0

    def between(self, w, x, y, r, elapsed):
        """The rule inside, then the growth, in closed form."""
        *inside, left = w
        if self.rule and self.rule.between:
            inside = _listed(self.rule.between(_bare(inside), x, y[:-1], r, elapsed))
        w, *others = inside
        spikes = -y[-1] * jnp.expm1(-elapsed / self.tau)  # the integral of a
        left = jnp.where(abs(left) < 1e-6 * abs(w), left, 0.0)  # of the weight that it was
        change = w * jnp.expm1((elapsed - 1000.0 / self.rate * spikes) / self.tau_w) + left
        grown = jnp.minimum(w + change, self.w_max)
        left = jnp.where(grown < self.w_max, change - (grown - w), 0.0)
        return grown, *others, left

    def potentiate(self, w, x, y):
        *inside, left = w
        if self.rule:
            inside = _listed(self.rule.potentiate(_bare(inside), x, y[:-1]))
        return jnp.minimum(inside[0], self.w_max), *inside[1:], left

    def depress(self, w, x, y):
        *inside, left = w
        if self.rule:
            inside = _listed(self.rule.depress(_bare(inside), x, y[:-1]))
        return jnp.minimum(inside[0], self.w_max), *inside[1:], left


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


def _above(value, threshold):
    return jnp.maximum(value - threshold, 0.0)


def _bare(synapse):
    """A synapse as its rule knows it: a weight alone is no tuple."""
    return synapse[0] if len(synapse) == 1 else tuple(synapse)


def _listed(synapse):
    return list(synapse) if isinstance(synapse, tuple) else [synapse]


def _power(base, exponent):
    """Base^exponent; 1 and the base itself without a call of the library."""
    if exponent == 0.0:
        return 1.0
    return base if exponent == 1.0 else base**exponent
