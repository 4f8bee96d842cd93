"""Plastic weights in networks: published and NEST's values, any partition, and errors."""

import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd
from distdyn.errors import (
    NetworkError,
    ParameterError,
    PlatformError,
    RecordError,
    SimulationError,
    TimeError,
    WeightError,
)

PRE, POST = [1.0, 5.0, 6.0, 7.0, 9.5, 11.0, 13.0, 14.0], [2.0, 3.0, 4.0, 8.0, 10.0, 12.0]


class Pair(dd.Network):
    """One synapse; its post cell spikes when it is told. The delays are of one step each."""

    def __init__(self, plasticity, pre, post, weight):
        at_synapse = np.asarray(post) - 0.2  # a step to the cell, and one through its dendrite
        self.pre = dd.Population(1, dd.SpikeTimes(id=np.zeros(len(pre), int), time=pre))
        self.teacher = dd.Population(1, dd.SpikeTimes(id=np.zeros(len(post), int), time=at_synapse))
        self.post = dd.Population(1, dd.LIF(t_ref=0.0))
        self.teach = dd.Projection(
            self.teacher, self.post, dd.OneToOne(), dd.Delta(), weight=100.0, delay=0.1
        )
        self.syn = dd.Projection(
            self.pre, self.post, dd.OneToOne(), dd.Exponential(tau=2.0), weight=weight, delay=0.1,
            plasticity=plasticity,
        )  # fmt: skip


def final_weight(plasticity, pre=PRE, post=POST, weight=0.5, duration=20.0):
    runner = dd.DSRunner(Pair(plasticity, pre, post, weight), dt=0.1, precision="float64")
    runner.run(duration)
    [found] = runner["syn"].weight
    return found


# N24: what NEST's stdp_synapse gives to all digits, and the nearest-neighbour scheme.


@pytest.mark.parametrize(
    ("nearest", "expected", "digits"),
    [(False, 0.4039040073609292, 1e-12), (True, 0.4882013828, 1e-10)],
)
def test_pair_rule_gives_the_weight_of_NEST(nearest, expected, digits):
    found = final_weight(dd.STDP(w_max=1.0, nearest=nearest))
    assert abs(found - expected) < digits


@pytest.mark.parametrize(("lag", "change"), [(10.0, 0.0060653066), (-10.0, -0.0063685719)])
def test_window(lag, change):
    """A pair; a second pre spike, a second later, brings what the first left behind."""
    found = final_weight(dd.STDP(w_max=1.0), [20.0, 2000.0], [20.0 + lag], duration=2100.0)
    assert abs(found - 0.5 - change) < 1e-10


def test_sixty_pairs():
    times = 100.0 + 1000.0 * np.arange(61)
    found = final_weight(dd.STDP(w_max=1.0), times, times[:-1] + 10.0, duration=61_000.0)
    at_last = 0.0105 * sum(np.exp(-(990.0 + 1000.0 * k) / 20.0) for k in range(60))
    assert abs(found + at_last - 0.5 - 0.3639183958) < 1e-9


def test_triplets_of_the_visual_cortex():
    """Sixty pairs at 20 Hz, pre 10 ms before post: two sums of exponentials, spike by spike."""
    rule = dd.TripletSTDP(w_max=10.0)
    pre = 10.0 + 50.0 * np.arange(61)
    post = pre[:-1] + 10.0
    w = 1.0
    for k, t in enumerate(pre):
        w -= rule.A2_minus * sum(np.exp(-(t - s) / rule.tau_minus) for s in post[:k])
        if k < 60:
            r1 = sum(np.exp(-(post[k] - s) / rule.tau_plus) for s in pre[: k + 1])
            w += rule.A3_plus * r1 * sum(np.exp(-(post[k] - s) / rule.tau_y) for s in post[:k])
    assert abs(final_weight(rule, pre, post, 1.0, duration=3100.0) - w) < 1e-10
    assert w > 1.2  # fast pairs potentiate


def test_power_law():
    rule = dd.PowerLawSTDP()
    w = 45.0
    for t, before, after in ((10.0, [], [15.0]), (30.0, [15.0], [35.0]), (50.0, [15.0, 35.0], [])):
        y = sum(np.exp(-(t - s) / 30.0) for s in before)
        w -= 0.1 * 0.0513 * w * y
        for s in after:
            x = sum(np.exp(-(s - u) / 15.0) for u in (10.0, 30.0) if u < s)
            w += 0.1 * w**0.4 * x
    found = final_weight(rule, [10.0, 30.0, 50.0], [15.0, 35.0], 45.0, duration=60.0)
    assert abs(found / w - 1) < 1e-13


# N21: NEST's tsodyks2_synapse gives these to sixteen digits.

DEPRESSED = [0.5, 0.26514673429663105, 0.15483462147355664]
FACILITATED = [
    0.15, 0.24139077213765384, 0.2701721508095103, 0.2621575743833522, 0.2436808657455419,
    0.22839856828292782,
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "expected", "steady"),
    [
        (dd.TsodyksMarkram(U=0.5, tau_d=800.0), DEPRESSED, 0.057125857),
        (dd.TsodyksMarkram(U=0.15, tau_d=200.0, tau_f=1500.0), FACILITATED, 0.21246818),
    ],
    ids=["depression", "facilitation"],
)
def test_TsodyksMarkram_at_20_Hz(rule, expected, steady):
    """What each spike adds to a current that decays in between."""
    times = 10.0 + 50.0 * np.arange(400)
    network = Pair(rule, times, [5.0], 1.0)
    record = dd.every(0.1, "post.syn.g")
    runner = dd.DSRunner(network, dt=0.1, record=record, precision="float64")
    g = runner.run(20_020.0).traces["post.syn.g"].value[:, 0]
    k = np.rint(times / 0.1).astype(int)  # it arrives a step later, in the row of the next step
    added = g[k] - g[k - 1] * np.exp(-0.1 / 2.0)
    np.testing.assert_allclose(added[: len(expected)], expected, rtol=0, atol=1e-12)
    assert abs(added[-1] - steady) < 5e-9  # half of the last digit


class Fatigue(dd.ShortTerm):
    """A user's rule: the second spike brings nothing."""

    def init(self):
        return (1.0,)

    def spike(self, state, elapsed):
        return (0.0 * state[0],), state[0]


def test_a_short_term_rule_of_the_user_and_its_weights():
    runner = dd.DSRunner(
        Pair(Fatigue(), [1.0, 101.0], [5.0], 100.0), dt=0.1,
        record=dd.every(0.1, "post.syn.g"),
    )  # fmt: skip
    g = runner.run(110.0).traces["post.syn.g"]
    assert g.value.max() == pytest.approx(100.0) and g.value[1005:].max() < 1e-6
    assert runner["syn"].weight == [100.0]


class Learning(dd.Network):
    """Two populations that fire, and learn while they do."""

    def __init__(self, plasticity, weight=dd.Normal(10.0, 3.0, low=0.0, high=30.0)):  # noqa: B008
        cell = dd.LIF(I_e=dd.Uniform(370.0, 420.0), t_ref=2.0)
        self.A = dd.Population(331, cell, V=dd.Uniform(-65.0, -50.0))
        self.B = dd.Population(100, cell, V=dd.Uniform(-65.0, -50.0))
        every = (self.A, self.B)
        self.syn = dd.Projection(
            every, every, dd.FixedProb(0.1), dd.Exponential(tau=2.0), weight=weight,
            delay=dd.Uniform(0.3, 2.0), plasticity=plasticity,
        )  # fmt: skip


CLOPATH = dd.Clopath(A_LTD=0.3, A_LTP=2e-3, theta_minus=-70.0, theta_plus=-54.0, w_max=60.0)
RULES = {
    "long": dd.STDP(w_max=60.0),
    "short": dd.TsodyksMarkram(tau_f=500.0),
    "voltage": CLOPATH,
    "reward": dd.RewardSTDP(A_plus=3.0, A_minus=3.0, w_max=60.0, b=1e-4),
    "scaling": dd.Scaling(dd.STDP(w_max=60.0), rate=100.0, tau=500.0, tau_w=1000.0),
}


def pay(runner):
    """At some times in a run, of those rules that are paid."""
    if runner.graph.projections["syn"].plasticity.reward:
        runner["syn"].reward(0.01 if runner.t < 200 else -0.005)


def course(rule, devices, pieces, resets=0):
    """How many spikes there are, and all synapses at the end."""
    ways: dict = {"every": 50.0, "call": pay} if isinstance(rule, dd.Plasticity) else {}
    runner = dd.DSRunner(Learning(rule), dt=0.1, seed=3, record="spikes", devices=devices)
    for _ in range(1 + resets):  # reset brings the first weights back
        runner.reset()
        recordings = [runner.run(piece, **ways) for piece in pieces]
    return sum(sum(each.counts().values()) for each in recordings), *runner["syn"].edges()


@pytest.fixture(scope="module")
def uncut():
    """By rule: the course on one device, in one piece."""
    return {}


@pytest.mark.parametrize(
    "devices, pieces, resets",
    [
        (3, [0.1, 199.9, 100.0], 1),
        pytest.param(2, [150.0, 150.0], 0, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("rule", RULES)
def test_parts_and_pieces_of_a_run_change_no_bit(uncut, rule, devices, pieces, resets):
    if rule not in uncut:
        uncut[rule] = course(RULES[rule], 1, [300.0])
    one = uncut[rule]
    for x, y in zip(one, course(RULES[rule], devices, pieces, resets), strict=True):
        np.testing.assert_array_equal(x, y)
    n, weight = one[0], one[3]
    assert np.ptp(weight) > 10 and weight.min() >= 0.0 and n > 1000


class HalfLife(dd.Plasticity):
    """A user's rule, in which each pre spike takes a part of the weight."""

    part: float = 0.1

    def pre(self):
        return ()

    def post(self):
        return ()

    def potentiate(self, w, x, y):
        return w

    def depress(self, w, x, y):
        return w * jnp.exp(-self.part)


class Timeless(HalfLife):
    tau: float = 0.0

    def pre(self):
        return (dd.Trace(self.tau),)


def test_a_rule_of_the_user():
    found = final_weight(HalfLife(part=0.5), weight=2.0)
    assert abs(found - 2.0 * np.exp(-0.5 * len(PRE))) < 1e-14


def test_a_weight_delivers_what_it_is():
    """In a current, at the step after a spike: each spike brings less."""
    runner = dd.DSRunner(
        Pair(HalfLife(part=0.5), [1.0, 101.0], [200.0], 100.0), dt=0.1,
        record=dd.every(0.1, "post.syn.g"), precision="float64",
    )  # fmt: skip
    g = runner.run(102.0).traces["post.syn.g"]
    first, second = (g.value[np.searchsorted(g.time, t - 1e-9), 0] for t in (1.1, 101.1))
    assert abs(first - 100 * np.exp(-0.5)) < 1e-6 and abs(second - 100 * np.exp(-1.0)) < 1e-6


def test_weights_can_be_set_while_the_traces_stay():
    record = dd.every(100.0, "syn.weight")
    runner = dd.DSRunner(Learning(dd.STDP(w_max=60.0)), dt=0.1, seed=3, record=record)
    runner.run(100.0)
    runner["syn"].weight = 20.0
    assert set(runner["syn"].weight) == {20.0}
    recorded = runner.run(100.0).traces["syn.weight"].value[0]
    assert np.ptp(runner["syn"].weight) > 1.0
    np.testing.assert_array_equal(recorded, runner["syn"].weight)


def test_what_is_not_possible_is_said():
    with pytest.raises(WeightError, match="w_max"):
        Learning(dd.STDP(w_max=20.0))
    with pytest.raises(NetworkError, match="STDP"):
        Learning("stdp")
    N = dd.Population(10, dd.LIF())
    quiet = dd.Population(10, dd.LeakyIntegrator())
    given = {"weight": 1.0, "delay": 1.0, "plasticity": dd.STDP()}
    with pytest.raises(NetworkError, match="does not spike"):
        dd.Projection(N, quiet, dd.AllToAll(), dd.Exponential(), **given)
    with pytest.raises(NetworkError, match="cannot be drawn again"):
        dd.Projection(N, N, dd.AllToAll(), dd.Exponential(), storage="procedural", **given)
    with pytest.raises(ParameterError, match="tau_plus = Uniform"):
        Learning(dd.STDP(w_max=60.0, tau_plus=dd.Uniform(10.0, 20.0)))
    for tau in (0.0, -1.0):
        with pytest.raises(ParameterError, match="tau of a trace of Timeless"):
            Learning(Timeless(part=0.5, tau=tau))


def test_without_kernels_it_is_refused(monkeypatch):
    monkeypatch.setenv("DISTDYN_KERNELS", "reference")
    with pytest.raises(PlatformError, match="plasticity"):
        dd.DSRunner(Learning(dd.STDP(w_max=60.0)), dt=0.1)


class Runaway(HalfLife):
    """Weights that grow without an end."""

    def depress(self, w, x, y):
        return w * 2.0


def test_weights_beyond_their_bound_end_the_run():
    runner = dd.DSRunner(Learning(Runaway()), dt=0.1)
    with pytest.raises(SimulationError, match=r'projection "syn": a weight has grown beyond 60'):
        runner.run(200.0)


class Sorting(HalfLife):
    """What has no machine code."""

    def potentiate(self, w, x, y):
        return jnp.sort(jnp.stack([w, w]))[0]


def test_a_rule_without_machine_code_is_refused():
    with pytest.raises(NetworkError, match="Sorting uses an operation"):
        dd.DSRunner(Learning(Sorting()), dt=0.1)


def test_weights_over_time_are_those_of_the_equations():
    """A pair every 50 ms: at each sample what both spikes have brought by then."""
    pre, post = 10.0 + 50.0 * np.arange(4), 15.0 + 50.0 * np.arange(4)
    rule = dd.STDP(w_max=1.0)
    network = Pair(rule, pre, post, 0.5)
    record = ["post.spikes", dd.every(1.0, "syn.weight")]
    runner = dd.DSRunner(network, dt=0.1, record=record, precision="float64")
    recording = runner.run(200.0)
    trace = recording.traces["syn.weight"]
    expected = []
    for t in trace.time:  # all pairs, by their spikes; none of these reaches a limit
        grown = sum(np.exp(-(p - s) / 20.0) for p in post for s in pre if s < p <= t + 1e-9)
        shrunk = sum(np.exp(-(s - p) / 20.0) for p in post for s in pre if p < s <= t + 1e-9)
        expected.append(0.5 + rule.A_plus * grown - rule.A_minus * shrunk)
    assert trace.unit == "pA" and trace.id.tolist() == [0] and len(trace) == 200
    np.testing.assert_allclose(trace.value[:, 0], expected, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(runner["syn"].weight, trace.value[-1])


def test_recorded_weights_are_the_same_on_any_partition(tmp_path):
    """Those of all synapses and of some, in memory and in files."""
    network, found = Learning(dd.STDP(w_max=60.0)), []
    ids = np.array([7, 3, 12_345])
    for devices, pieces in ((1, [900.0]), (3, [100.5, 0.1, 799.4])):
        record = ["spikes", dd.every(50.0, "syn.weight")]
        out = tmp_path / "run" if devices == 3 else None
        runner = dd.DSRunner(network, dt=0.1, seed=3, record=record, devices=devices, out=out)
        traces = [runner.run(piece).traces["syn.weight"] for piece in pieces]
        runner.close()
        values = np.concatenate([trace.value for trace in traces])
        found.append(values)
        np.testing.assert_array_equal(values[-1], runner["syn"].weight)
        np.testing.assert_array_equal(
            np.concatenate([t.time for t in traces]), np.arange(50, 901, 50)
        )
    np.testing.assert_array_equal(dd.load(tmp_path / "run").traces["syn.weight"].value, found[0])
    np.testing.assert_array_equal(found[0], found[1])
    assert np.ptp(found[0], axis=0).max() > 10.0
    some = dd.DSRunner(network, dt=0.1, seed=3, record=dd.every(300.0, "syn.weight", ids=ids))
    trace = some.run(900.0).traces["syn.weight"]
    np.testing.assert_array_equal(trace.value, found[0][5::6, ids])
    np.testing.assert_array_equal(trace.id, ids)


def test_what_of_weights_cannot_be_recorded_is_said():
    network = Learning(dd.STDP(w_max=60.0))
    with pytest.raises(
        RecordError, match=r"id 99999999 of .syn.weight. is not one of \d+ synapses"
    ):
        dd.DSRunner(network, dt=0.1, record=dd.every(1.0, "syn.weight", ids=[99_999_999]))
    with pytest.raises(RecordError, match="asked for twice"):
        dd.DSRunner(network, dt=0.1, record=["syn.weight", dd.every(1.0, "syn.weight")])
    with pytest.raises(RecordError, match="does not change"):
        dd.DSRunner(Learning(dd.TsodyksMarkram()), dt=0.1, record="syn.weight")
    runner = dd.DSRunner(network, dt=0.1, record=dd.every(1.0, "syn.weight"))
    with pytest.raises(RecordError, match="synapses are others"):
        runner.reset(seed=5)


# Rules that see more than spikes, against their equations from step to step.

STEPS, LAG = 2000, 7  # of the delay


class Driven(dd.Network):
    """A cell that fires by itself, and a synapse onto it."""

    def __init__(self, rule):
        rng = np.random.default_rng(4)
        at = np.sort(rng.choice(np.arange(10, STEPS), 25, replace=False)) * 0.1
        self.pre = dd.Population(1, dd.SpikeTimes(id=np.zeros(25, int), time=at))
        self.post = dd.Population(1, dd.LIF(I_e=420.0, t_ref=3.0), V=-60.0)
        self.syn = dd.Projection(
            self.pre, self.post, dd.OneToOne(), dd.Exponential(tau=2.0), weight=30.0,
            delay=0.1 * LAG, plasticity=rule,
        )  # fmt: skip


def driven(rule, pay=None):
    """The weight after each step, V after each step and at the start, and who spikes at which."""
    record = ["spikes", "post.V", "syn.weight"]
    runner = dd.DSRunner(Driven(rule), dt=0.1, record=record, precision="float64")
    V = [float(runner["post"].V[0])]
    recordings = [runner.run(0.05 * STEPS)]
    if pay is not None:
        runner["syn"].reward(pay)
    recordings.append(runner.run(0.05 * STEPS))
    V += [v for r in recordings for v in r.traces["post.V"].value[:, 0]]
    weight = [w for r in recordings for w in r.traces["syn.weight"].value[:, 0]]
    spiked = [{s for r in recordings for s in r.spikes[of].step.tolist()} for of in ("pre", "post")]
    assert len(spiked[0]) == 25 and len(spiked[1]) > 5
    return np.array(weight), np.array(V), *spiked


def filtered(V, tau):
    """Low-passed V just before each step; before the first one it is the first V."""
    found = [V[0], V[0]]
    for v in V[1:]:
        found.append(found[-1] + (1 - np.exp(-0.1 / tau)) * (v - found[-1]))
    return lambda step: found[max(step, 0)]


@pytest.mark.parametrize("t_peak", [2.0, 0.0])
def test_Clopath_from_step_to_step(t_peak):
    rule = dd.Clopath(
        A_LTD=0.05, A_LTP=1e-3, theta_minus=-63.0, theta_plus=-52.0, delay=1.2, t_peak=t_peak
    )
    weight, V, pre, post = driven(rule)
    u = V.copy()
    for s in post:
        u[s : s + round(t_peak / 0.1)] = 33.0
    low, high = filtered(u, rule.tau_minus), filtered(u, rule.tau_plus)
    w, x, expected, events = 30.0, 0.0, [], 0
    for step in range(1, STEPS + 1):
        p = step - LAG
        x *= np.exp(-0.1 / rule.tau_x)
        if p >= 1 and u[p] > rule.theta_plus and high(p - 12) > rule.theta_minus:
            w += 0.1 * rule.A_LTP * x * (u[p] - rule.theta_plus) * (high(p - 12) + 63.0)
            events += 1
        if step in pre:
            w -= rule.A_LTD * max(low(p - 12) + 63.0, 0.0)
            x += 1 / rule.tau_x
        expected.append(w)
    np.testing.assert_allclose(weight, expected, rtol=1e-12, atol=0)
    assert events > 100 and np.ptp(expected) > 1.0


class Mixed(dd.Plasticity):
    """A user's rule: at spikes, by traces of V and of spikes."""

    def pre(self):
        return (dd.Trace(10.0),)

    def post(self):
        return dd.Trace(20.0), dd.LowPass(5.0)

    def potentiate(self, w, x, y):
        return w + x[0] * (y[1] + 70.0) * 0.1

    def depress(self, w, x, y):
        return w - 0.1 * y[0]


def test_a_rule_of_the_user_that_sees_V():
    weight, V, pre, post = driven(Mixed())
    u = filtered(V, 5.0)
    w, x, y, expected = 30.0, 0.0, 0.0, []
    for step in range(1, STEPS + 1):
        x, y = x * np.exp(-0.1 / 10.0), y * np.exp(-0.1 / 20.0)
        before, has_spiked = y, step - LAG in post
        if has_spiked:
            w += x * (u(step - LAG) + 70.0) * 0.1
            y += 1.0
        if step in pre:
            w -= 0.1 * before
            x += 1.0
        expected.append(w)
    np.testing.assert_allclose(weight, expected, rtol=1e-12, atol=0)
    assert np.ptp(expected) > 1.0


def test_RewardSTDP_from_step_to_step():
    rule = dd.RewardSTDP(tau_c=100.0, tau_n=30.0, b=0.001)
    weight, _, pre, post = driven(rule, pay=0.05)
    w, c, n, x, y, expected = 30.0, 0.0, 0.0, 0.0, 0.0, []
    tau = 1 / (1 / 100.0 + 1 / 30.0)
    for step in range(1, STEPS + 1):
        w += c * n * tau * -np.expm1(-0.1 / tau) - c * 0.001 * 100.0 * -np.expm1(-0.1 / 100.0)
        c, n = c * np.exp(-0.1 / 100.0), n * np.exp(-0.1 / 30.0)
        x, y = x * np.exp(-0.1 / 20.0), y * np.exp(-0.1 / 20.0)
        before = y
        if step - LAG in post:
            c, y = c + 1.0 * x, y + 1.0
        if step in pre:
            c, x = c - 1.5 * before, x + 1.0
        expected.append(w)
        n += 0.05 if step == STEPS // 2 else 0.0
    np.testing.assert_allclose(weight, expected, rtol=1e-12, atol=0)
    assert np.ptp(expected) > 0.1


def test_reward_gives_the_weight_of_NEST():
    """stdp_dopamine_synapse of NEST 3.10 with its defaults; a reward of 1 / tau_n at 72 ms."""
    pre, post = [11.0, 26.0, 48.0, 81.0, 121.0], [17.0, 32.0, 62.0, 92.0]
    network = Pair(dd.RewardSTDP(), pre, post, 35.0)
    runner = dd.DSRunner(network, dt=0.1, precision="float64")
    runner.run(72.0)
    runner["syn"].reward(1 / 200.0)
    runner.run(128.0)
    assert abs(runner["syn"].weight[0] - 35.109005231288556) < 1e-12


@pytest.mark.parametrize("inside", [None, dd.STDP(A_plus=0.001, A_minus=0.001)])
def test_Scaling_from_step_to_step(inside):
    rule = dd.Scaling(inside, rate=50.0, tau=200.0, tau_w=300.0)
    weight, _, pre, post = driven(rule)
    w, a, x, y, expected = 30.0, 0.0, 0.0, 0.0, []
    each = 0.1 if inside else 0.0  # a pair changes w_max / 1000
    for step in range(1, STEPS + 1):
        mean = a * 200.0 * -np.expm1(-0.1 / 200.0)  # the integral of a, in spikes
        w *= np.exp((0.1 - 1000.0 / 50.0 * mean) / 300.0)
        a, x, y = a * np.exp(-0.1 / 200.0), x * np.exp(-0.1 / 20.0), y * np.exp(-0.1 / 20.0)
        before = y
        if step - LAG in post:
            w, a, y = w + each * x, a + 1 / 200.0, y + 1.0
        if step in pre:
            w, x = w - each * before, x + 1.0
        expected.append(w)
    np.testing.assert_allclose(weight, expected, rtol=1e-12, atol=0)
    assert np.ptp(expected) > 1.0


def test_in_single_precision_small_steps_of_scaling_are_not_lost():
    found = []
    for precision in ("float32", "float64"):
        runner = dd.DSRunner(Driven(dd.Scaling(tau_w=1e9)), dt=0.1, precision=precision)
        runner.run(0.1 * STEPS)
        found.append(runner["syn"].weight[0] - 30.0)
    digit = np.spacing(np.float32(30.0))  # more than any spike of 30 brings, but not than all
    assert abs(found[0] - found[1]) <= digit / 2 and found[1] > 2 * digit


def test_Scaling_brings_a_cell_to_its_rate():
    """A cell that Poisson trains drive too hard: at the end it fires as it should."""

    class Homeostat(dd.Network):
        def __init__(self):
            self.source = dd.Population(200, dd.Poisson(rate=20.0))
            self.N = dd.Population(10, dd.LIF(E_L=-65.0))
            rule = dd.Scaling(rate=10.0, tau=2000.0, tau_w=2000.0, w_max=300.0)
            self.syn = dd.Projection(
                self.source, self.N, dd.AllToAll(), dd.Exponential(tau=5.0), weight=30.0,
                delay=1.0, plasticity=rule,
            )  # fmt: skip

    runner = dd.DSRunner(Homeostat(), dt=0.1, seed=1, record="N.spikes")
    before = runner.run(500.0).rates()["N"]
    runner.run(30_000.0)
    assert before > 30.0 and abs(runner.run(10_000.0).rates()["N"] - 10.0) < 1.0


def test_what_rules_cannot_do_is_said():
    with pytest.raises(NetworkError, match="follows V of the post cells and has a law between"):
        Learning(dd.Scaling(dd.Clopath()))
    with pytest.raises(ParameterError, match="STDP: tau_plus = Uniform"):
        Learning(dd.Scaling(dd.STDP(tau_plus=dd.Uniform(10.0, 20.0))))
    with pytest.raises(TimeError, match="t_peak of Clopath"):
        dd.DSRunner(Learning(dd.Clopath(t_peak=0.25)), dt=0.1)
    with pytest.raises(TimeError, match="Clopath: delay of a trace of V"):
        dd.DSRunner(Learning(dd.Clopath(delay=0.25)), dt=0.1)
    runner = dd.DSRunner(Learning(dd.STDP()), dt=0.1)
    with pytest.raises(NetworkError, match=r"follows no reward. Use a rule that does"):
        runner["syn"].reward(1.0)
    runner = dd.DSRunner(Learning(dd.RewardSTDP()), dt=0.1)
    for bad in (np.nan, [1.0, 2.0], "much"):
        with pytest.raises(ParameterError, match="reward"):
            runner["syn"].reward(bad)
